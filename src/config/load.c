/* SPDX-License-Identifier: ISC */
/* Loading, in phases, because a rule may name anything that any file defines: read the file and
 * its includes as trees, then daemon and defaults, then all accounts, then all rules. Accounts and
 * rules of included files follow those of the main file. Everything wrong is reported in one pass;
 * a configuration with an error is never handed out. */
#include "config/config.h"

#include "base/mem.h"
#include "config/accounts.h"
#include "config/process.h"
#include "config/rules.h"
#include "config/schema.h"
#include "config/yaml.h"

#include <glob.h>
#include <stdlib.h>

enum { FILES_MAX = 1000 };

/* One file, and where its parts stand in it; the nodes are the tree's, NULL if not there. */
struct document {
    struct source *source;
    struct tree *tree;
    const struct node *include;
    const struct node *daemon;
    const struct node *defaults;
    const struct node *accounts;
    const struct node *rules;
};

struct load {
    struct report *report;
    struct config *config;
    struct document *docs;
    size_t n_docs;
    bool in_memory;
    struct account_index accounts;
    struct draft defaults; /* of these three */
    struct hook_opts hook_defaults;
    struct retry_opts retry_defaults;
    struct queue_rule manner_defaults;
};

static struct document *
document_of(const struct scope *s)
{
    return s->target;
}

static void
note_include(struct scope *s, const struct node *value)
{
    document_of(s)->include = value;
}

static void
note_daemon(struct scope *s, const struct node *value)
{
    document_of(s)->daemon = value;
}

static void
note_defaults(struct scope *s, const struct node *value)
{
    document_of(s)->defaults = value;
}

static void
note_accounts(struct scope *s, const struct node *value)
{
    document_of(s)->accounts = value;
}

static void
note_rules(struct scope *s, const struct node *value)
{
    document_of(s)->rules = value;
}

static void
refuse_included(struct scope *s, const struct node *value)
{
    (void)value;
    scope_error_at(s, s->key_at, "only accounts and rules can stand in an included file");
}

static const struct key main_keys[] = {
    {"include", NODE_TEXT | NODE_LIST, 0, note_include, 0},
    {"daemon", NODE_MAP, 0, note_daemon, 0},
    {"defaults", NODE_MAP, 0, note_defaults, 0},
    {"accounts", NODE_MAP, 0, note_accounts, 0},
    {"rules", NODE_LIST, 0, note_rules, 0},
};

static const struct key included_keys[] = {
    {"include", NODE_TEXT | NODE_LIST, 0, refuse_included, 0},
    {"daemon", NODE_MAP, 0, refuse_included, 0},
    {"defaults", NODE_MAP, 0, refuse_included, 0},
    {"accounts", NODE_MAP, 0, note_accounts, 0},
    {"rules", NODE_LIST, 0, note_rules, 0},
};

/* The source becomes the load's own. */
static void
add_document(struct load *l, struct source *source)
{
    source->order = (unsigned)l->n_docs;
    if ((l->n_docs & (l->n_docs + 1)) == 0)
        l->docs = xreallocarray(l->docs, (l->n_docs + 1) * 2, sizeof *l->docs);
    struct document *d = &l->docs[l->n_docs++];
    *d = (struct document){.source = source, .tree = yaml_read_tree(source, l->report)};
    struct scope s = {.report = l->report, .label = "", .target = d};
    if (d->tree->root == NULL)
        return;
    if (l->n_docs == 1)
        SCHEMA_READ(&s, main_keys, d->tree->root);
    else
        SCHEMA_READ(&s, included_keys, d->tree->root);
}

static void
include_file(struct load *l, struct scope *s, const struct node *value, const char *path)
{
    struct err e;
    if (l->n_docs == FILES_MAX) {
        scope_error(s, value, "more than %d files", FILES_MAX);
        return;
    }
    struct source *source = source_open(path, &e);
    if (source == NULL)
        scope_error(s, value, "%s", e.text);
    else
        add_document(l, source);
}

/* What the pattern means beside the main file, its folder written as the user wrote it; stars in
 * the name of that folder are no wildcards. The caller frees. NULL: no home folder. */
static char *
beside(const struct source *main_file, const char *pattern)
{
    if (pattern[0] == '/' || pattern[0] == '~')
        return source_path(main_file, pattern);
    struct buf path = {0};
    const char *slash = strrchr(main_file->name, '/');
    for (const char *p = main_file->name; slash != NULL && p <= slash; p++) {
        if (strchr("*?[\\", *p) != NULL)
            buf_addc(&path, '\\');
        buf_addc(&path, *p);
    }
    buf_adds(&path, pattern);
    return buf_take(&path);
}

static void
include_pattern(struct load *l, struct scope *s, const struct node *value)
{
    char *path = beside(value->at.source, value->text);
    glob_t found = {0};
    int result = path != NULL ? glob(path, 0, NULL, &found) : GLOB_NOMATCH;
    bool wild = strpbrk(value->text, "*?[") != NULL;
    if (path == NULL)
        scope_error(s, value, "nothing says where the home folder is");
    else if (result == GLOB_NOMATCH && !wild)
        scope_error(s, value, "'%.200s' does not exist", path);
    else if (result != 0 && result != GLOB_NOMATCH)
        scope_error(s, value, "'%.200s' cannot be read", path);
    for (size_t i = 0; result == 0 && i < found.gl_pathc; i++)
        include_file(l, s, value, found.gl_pathv[i]);
    globfree(&found);
    free(path);
}

static void
read_includes(struct load *l)
{
    static const struct key word = {.name = "include"};
    struct scope s = {.report = l->report, .label = "", .key = &word};
    const struct node *value = l->docs[0].include;
    if (value == NULL)
        return;
    if (l->in_memory) {
        scope_error(&s, value, "nothing can be included here");
        return;
    }
    size_t n = value->kind == NODE_LIST ? value->n : 1;
    for (size_t i = 0; i < n; i++) {
        const struct node *pattern = value->kind == NODE_LIST ? value->item[i] : value;
        if (scope_is(&s, pattern, NODE_TEXT))
            include_pattern(l, &s, pattern);
    }
}

static void
read_process(struct load *l)
{
    const struct document *d = &l->docs[0];
    process_read(l->report, d->daemon, &l->config->daemon);
    l->defaults = (struct draft){
        .hook = &l->hook_defaults, .retry = &l->retry_defaults, .manners = &l->manner_defaults};
    defaults_init(&l->defaults);
    if (strcmp(d->source->name, "-") != 0)
        strv_addf(&l->hook_defaults.path, "%s/hooks", d->source->folder);
    if (d->defaults != NULL)
        defaults_read(l->report, d->defaults, &l->defaults);
}

/* A name and where it stands, for finding doubles. */
struct named {
    const char *name;
    struct place at;
    size_t index;
};

static int
by_name(const void *a, const void *b)
{
    const struct named *x = a;
    const struct named *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* Sorts, and reports every name that was there before. */
static void
refuse_doubles(struct load *l, struct named *v, size_t n, const char *what)
{
    if (n > 0)
        qsort(v, n, sizeof *v, by_name);
    const struct named *first = v;
    for (size_t i = 1; i < n; i++) {
        if (strcmp(v[i].name, first->name) != 0)
            first = &v[i];
        else
            report_error(l->report, v[i].at, "%s: '%.64s' is there already, in %s line %u", what,
                v[i].name, first->at.source->name, first->at.line);
    }
}

static size_t
count_accounts(const struct load *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n_docs; i++)
        n += l->docs[i].accounts != NULL ? l->docs[i].accounts->n : 0;
    return n;
}

static void
read_accounts(struct load *l)
{
    struct config *c = l->config;
    size_t room = count_accounts(l);
    c->accounts = xcalloc(room + 1, sizeof *c->accounts);
    struct named *names = xcalloc(room + 1, sizeof *names);
    for (size_t i = 0; i < l->n_docs; i++) {
        const struct node *map = l->docs[i].accounts;
        if (map == NULL)
            continue;
        accounts_read(l->report, map, c->accounts + c->n_accounts);
        for (size_t k = 0; k < map->n; k++, c->n_accounts++)
            names[c->n_accounts] =
                (struct named){c->accounts[c->n_accounts].name, map->key[k]->at, c->n_accounts};
    }
    refuse_doubles(l, names, c->n_accounts, "accounts");
    l->accounts.v = xcalloc(room + 1, sizeof *l->accounts.v);
    l->accounts.n = c->n_accounts;
    for (size_t i = 0; i < c->n_accounts; i++)
        l->accounts.v[i] = &c->accounts[names[i].index];
    free(names);
}

static size_t
count_rules(const struct load *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n_docs; i++)
        n += l->docs[i].rules != NULL ? l->docs[i].rules->n : 0;
    return n;
}

static void
read_rules(struct load *l)
{
    struct config *c = l->config;
    size_t room = count_rules(l);
    c->rules.v = xcalloc(room + 1, sizeof *c->rules.v);
    c->hooks = xcalloc(room + 1, sizeof *c->hooks);
    c->retries = xcalloc(room + 1, sizeof *c->retries);
    c->manners = xcalloc(room + 1, sizeof *c->manners);
    struct named *names = xcalloc(room + 1, sizeof *names);
    for (size_t i = 0; i < l->n_docs; i++) {
        const struct node *list = l->docs[i].rules;
        if (list == NULL)
            continue;
        struct rules_room to = {
            .accounts = &l->accounts,
            .defaults = &l->defaults,
            .rules = c->rules.v + c->rules.n,
            .hooks = c->hooks + c->rules.n,
            .retries = c->retries + c->rules.n,
            .manners = c->manners + c->rules.n,
        };
        rules_read(l->report, list, &to);
        for (size_t k = 0; k < list->n; k++, c->rules.n++)
            names[c->rules.n] =
                (struct named){c->rules.v[c->rules.n].name, list->item[k]->at, c->rules.n};
    }
    refuse_doubles(l, names, c->rules.n, "rules");
    free(names);
}

void
config_fixed_secrets(struct strv *names)
{
    static const char *const fixed[] = {
        "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_*", "LISTEN_*"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        strv_add(names, fixed[i]);
}

static void
collect_secrets(struct config *c)
{
    config_fixed_secrets(&c->secrets);
    for (size_t i = 0; i < c->n_accounts; i++)
        if (c->accounts[i].secret.kind == SECRET_ENV && c->accounts[i].secret.text != NULL)
            strv_add(&c->secrets, c->accounts[i].secret.text);
}

/* A file that cannot be read as YAML has said enough. */
static void
ask_for_parts(struct load *l)
{
    struct place top = {l->docs[0].source, 1, 1, 1};
    if (l->report->errors > 0)
        return;
    if (l->config->n_accounts == 0)
        report_error(l->report, top, "no accounts; name one under accounts:");
    else if (l->config->rules.n == 0)
        report_warning(l->report, top, "no rules: nothing will run");
}

static void
load_free(struct load *l)
{
    for (size_t i = 0; i < l->n_docs; i++) {
        tree_free(l->docs[i].tree);
        source_free(l->docs[i].source);
    }
    free(l->docs);
    free(l->accounts.v);
    hook_opts_free(&l->hook_defaults);
    retry_opts_free(&l->retry_defaults);
}

static struct config *
load(struct source *source, bool in_memory, struct buf *out, struct err *e)
{
    struct report report = {0};
    struct config *c = xcalloc(1, sizeof *c);
    struct load l = {.report = &report, .config = c, .in_memory = in_memory};
    add_document(&l, source);
    read_includes(&l);
    read_process(&l);
    read_accounts(&l);
    read_rules(&l);
    collect_secrets(c);
    ask_for_parts(&l);
    report_write(&report, out);
    if (report.errors > 0) {
        err_set(e, ERR_CONFIG, "%s: %zu error%s", source->name, report.errors,
            report.errors == 1 ? "" : "s");
        config_free(c);
        c = NULL;
    }
    report_free(&report);
    load_free(&l);
    return c;
}

struct config *
config_load(const char *path, struct buf *report, struct err *e)
{
    struct source *source = source_open(path, e);
    return source != NULL ? load(source, false, report, e) : NULL;
}

struct config *
config_parse(const char *name, struct span text, struct buf *report, struct err *e)
{
    return load(source_new(name, text), true, report, e);
}
