/* SPDX-License-Identifier: ISC */
/* mailcall test: what the rules would make of a message. Nothing is done unless --exec says so, and
 * then the hook alone. */
#include "cmd.h"

#include "base/mem.h"
#include "base/suggest.h"
#include "base/utf8.h"
#include "config/config.h"
#include "hook/event.h"
#include "job/spool.h"
#include "rule/plan.h"
#include "sort/sorter.h"
#include "sys/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { OPT_EXEC = 'e', OPT_ENV = 'E', OPT_JSON = 'j', OPT_IN = 'i', OPT_LAST = 'L' };
enum { NAME_LEAST = 10 };

struct test_args {
    struct strv rules;
    struct strv files;
    bool exec;
    bool env;
    bool zero;
    bool json;
    bool verbose;
    bool quiet;
};

/* --- arguments --- */

static void
take_option(struct options *o, struct test_args *args, int c)
{
    switch (c) {
    case 'r':
        strv_add(&args->rules, optarg);
        break;
    case '0':
        args->zero = true;
        break;
    case OPT_EXEC:
        args->exec = true;
        break;
    case OPT_ENV:
        args->env = true;
        break;
    case OPT_JSON:
        args->json = true;
        break;
    default:
        options_refuse(o, "messages out of a mailbox (--in, --last) are not supported yet");
    }
}

static int
check(const struct test_args *args)
{
    if (args->files.n == 0)
        return usage_error("test", "which message? Name files, or - for standard input") + 1;
    if (args->zero && !args->env)
        return usage_error("test", "-0 goes with --env") + 1;
    if (args->zero && args->json)
        return usage_error("test", "either -0 or --json") + 1;
    return 0;
}

/* Returns 0, or the exit code plus one when there is nothing more to do. */
static int
parse(struct globals *g, int argc, char **argv, struct test_args *args)
{
    static const struct option longs[] = {
        {"rule", required_argument, NULL, 'r'},
        {"exec", no_argument, NULL, OPT_EXEC},
        {"env", no_argument, NULL, OPT_ENV},
        {"null", no_argument, NULL, '0'},
        {"json", no_argument, NULL, OPT_JSON},
        {"in", required_argument, NULL, OPT_IN},
        {"last", required_argument, NULL, OPT_LAST},
        {0},
    };
    struct options o;
    int c;
    options_init(&o, g, argc, argv, longs, "r:0");
    while ((c = options_next(&o)) != -1)
        take_option(&o, args, c);
    options_free(&o);
    if (o.over)
        return o.status + 1;
    for (int i = optind; i < argc; i++)
        strv_add(&args->files, argv[i]);
    args->verbose = g->verbosity > 0;
    args->quiet = g->verbosity < 0;
    return check(args);
}

/* --- what is tried --- */

struct test {
    const struct test_args *args;
    const struct config *config;
    struct door door;
    struct plan plan;
    struct strv trusted; /* by any account: a file says not whose it is */
    int width;           /* of the rules' names */
    bool matched;
    int status; /* not EXIT_OK: something went wrong */
};

static int
find_rule(const struct ruleset *rules, const char *name, size_t *found, struct err *e)
{
    struct strv known = {0};
    size_t i = 0;
    while (i < rules->n && strcmp(rules->v[i].name, name) != 0)
        strv_add(&known, rules->v[i++].name);
    *found = i;
    const char *near = i == rules->n ? suggest(name, &known) : NULL;
    int rc = 0;
    if (i == rules->n)
        rc = err_set(e, ERR_USAGE,
            near != NULL ? "test: no rule '%s'; did you mean '%s'?" : "test: no rule '%s'", name,
            near);
    strv_free(&known);
    return rc;
}

/* The rules that are on, or those named, wherever they look. */
static int
plan_rules(struct test *t, struct err *e)
{
    const struct ruleset *rules = &t->config->rules;
    const struct strv *wanted = &t->args->rules;
    bool *named = xcalloc(rules->n + 1, sizeof *named);
    int rc = 0;
    for (size_t i = 0; i < wanted->n && rc == 0; i++) {
        size_t found;
        rc = find_rule(rules, wanted->v[i], &found, e);
        named[found] = true;
    }
    t->plan.v = xcalloc(rules->n + 1, sizeof *t->plan.v);
    for (size_t i = 0; i < rules->n && rc == 0; i++)
        if (wanted->n > 0 ? named[i] : rules->v[i].enabled)
            t->plan.v[t->plan.n++] = i;
    free(named);
    return rc;
}

static void
measure(struct test *t)
{
    t->width = NAME_LEAST;
    for (size_t i = 0; i < t->plan.n; i++) {
        int n = (int)strlen(t->config->rules.v[t->plan.v[i]].name);
        if (n > t->width && n <= 3 * NAME_LEAST)
            t->width = n;
    }
}

/* As root a hook would do what strangers' mail makes it do, with root's rights. */
static int
refuse_root(const struct test *t, struct err *e)
{
    if (!t->args->exec || geteuid() != 0 || t->config->daemon.allow_root)
        return 0;
    return err_set(e, ERR_CONFIG,
        "test: hooks would run as root; do it as a user, or write daemon: { allow_root: true }");
}

/* --- one rule and one message --- */

static void
fail_with(struct test *t, int status)
{
    if (t->status == EXIT_OK || t->status == EXIT_NO)
        t->status = status;
}

/* A file lies in no mailbox: the first that the rule looks at lends its name. */
static void
borrow_place(const struct config *c, const struct rule *r, struct meta *meta)
{
    for (size_t a = c->n_accounts; a-- > 0;)
        for (size_t m = c->accounts[a].mailboxes.n; m-- > 0;) {
            const char *mailbox = c->accounts[a].mailboxes.v[m];
            bool covered = r->in.n == 0;
            for (size_t i = 0; i < r->in.n && !covered; i++)
                covered = plan_covers(r->in.v[i], c->accounts[a].name, mailbox);
            if (!covered)
                continue;
            meta->account = c->accounts[a].name;
            meta->mailbox = mailbox;
            meta->role = strcasecmp(mailbox, "INBOX") == 0 ? "inbox" : "";
        }
}

static void
print_environment(const struct test *t, const struct verdict *v)
{
    bool several = t->plan.n > 1 || t->args->files.n > 1;
    enum env_form form = t->args->json ? ENV_JSON : t->args->zero ? ENV_ZERO : ENV_SHELL;
    if (form == ENV_SHELL && several) {
        printf("# ");
        out_value(v->rule->name);
        printf(", ");
        out_value(v->message->name);
        putchar('\n');
    }
    hook_environment(v->letter, t->config, form);
    if (form == ENV_ZERO && several)
        putchar('\0');
}

static void
print_verdict(const struct test *t, const struct verdict *v)
{
    if (t->args->quiet)
        return;
    if (t->args->env) {
        if (v->letter != NULL && v->ended_by == NULL)
            print_environment(t, v);
        return;
    }
    if (t->args->json) {
        verdict_json(v);
        return;
    }
    if (v->letter == NULL && !t->args->verbose)
        return;
    verdict_line(v, t->width);
    if (t->args->verbose)
        verdict_details(v);
}

static const struct hit *
find_hit(const struct hits *hits, size_t rule)
{
    for (size_t i = 0; i < hits->n; i++)
        if (hits->v[i].rule == rule)
            return &hits->v[i];
    return NULL;
}

/* A message that was read. */
struct reading {
    const struct given *message;
    const struct sort_answer *answer;
    const struct meta *meta;
    const char *folder; /* of its attachments, or "" */
    struct event_file *files;
    int64_t now;
};

static void
run_hook(struct test *t, const struct verdict *v)
{
    if (!t->args->exec || v->letter == NULL || v->ended_by != NULL)
        return;
    int status = hook_try(&t->door, v->message, v->letter, t->config);
    if (status != EXIT_OK)
        fail_with(t, status);
}

/* Says, and does, what a rule that matches makes of the message. */
static void
try_hit(struct test *t, const struct reading *x, struct verdict *v)
{
    struct letter *letter = letter_write(v->hook, v->event);
    struct spool_file *json = NULL;
    size_t n_files = v->hook->decode ? x->answer->n_files : 0;
    if (t->args->exec || t->args->env)
        json = hook_equip(&t->door, letter, v->event, x->files, n_files);
    v->letter = letter;
    t->matched = true;
    print_verdict(t, v);
    run_hook(t, v);
    letter_free(letter);
    v->letter = NULL;
    spool_remove(json);
}

/* Returns whether the message ends with this rule. */
static bool
try_rule(struct test *t, const struct reading *x, size_t rule, const char *ended_by)
{
    static const struct hit none = {.match = (char *)""};
    const struct hit *hit = find_hit(&x->answer->hits, rule);
    const struct hook_opts *hook = &t->config->hooks[rule];
    struct meta meta = *x->meta;
    char id[EVENT_ID_LENGTH + 1];
    struct event event = {
        .version = MAILCALL_VERSION,
        .kind = "test",
        .id = id,
        .attempt = 1,
        .rule = t->config->rules.v[rule].name,
        .meta = &meta,
        .facts = x->answer->facts,
        .hit = hit != NULL ? hit : &none,
        .file = spool_path(x->message->file),
        .folder = hook->decode ? x->folder : "",
        .headers = &hook->headers,
    };
    struct verdict v = {
        .message = x->message,
        .rule = &t->config->rules.v[rule],
        .hook = hook,
        .event = &event,
        .ended_by = ended_by,
        .now = x->now,
    };
    borrow_place(t->config, v.rule, &meta);
    event_id_make(id, &meta, v.rule->name);
    if (hit != NULL)
        try_hit(t, x, &v);
    else
        print_verdict(t, &v);
    return hit != NULL && v.rule->stop;
}

static void
try_rules(struct test *t, const struct reading *x)
{
    const char *ended_by = NULL;
    for (size_t i = 0; i < t->plan.n && t->status < 128; i++) {
        size_t rule = t->plan.v[i];
        if (try_rule(t, x, rule, ended_by) && ended_by == NULL)
            ended_by = t->config->rules.v[rule].name;
    }
}

/* --- one message --- */

static bool
wants_files(const struct test *t)
{
    bool wanted = false;
    for (size_t i = 0; i < t->plan.n; i++)
        wanted |= t->config->hooks[t->plan.v[i]].decode;
    return wanted && (t->args->exec || t->args->env);
}

static void
print_name(const struct test *t, const struct given *m, const struct facts *f)
{
    if (t->args->files.n < 2 || t->args->env || t->args->json || t->args->quiet)
        return;
    out_value(m->name);
    printf("  \"");
    out_value(f->subject);
    puts("\"");
}

/* Where the attachments lie, as the sorter wrote them. */
static struct event_file *
list_files(const struct sort_answer *a, const struct scratch *folder)
{
    struct event_file *files = xcalloc(a->n_files + 1, sizeof *files);
    for (size_t i = 0; i < a->n_files; i++)
        files[i] = (struct event_file){
            a->files[i].attachment, xasprintf("%s/%s", folder->path, a->files[i].name)};
    return files;
}

static void
free_files(struct reading *x)
{
    for (size_t i = 0; i < x->answer->n_files; i++)
        free((char *)x->files[i].path);
    free(x->files);
}

static void
try_message(struct test *t, const struct given *m, const struct scratch *folder)
{
    struct meta meta = {.account = "",
        .mailbox = "",
        .role = "",
        .url = "",
        .received = m->received,
        .size = m->size};
    struct sort_request request = {.folder = folder->path != NULL ? folder->fd : -1,
        .meta = &meta,
        .plan = &t->plan,
        .trusted = &t->trusted};
    struct sort_answer answer;
    int status = door_sort(&t->door, m, &request, &answer);
    if (status != EXIT_OK) {
        fail_with(t, status);
        return;
    }
    for (size_t i = 0; i < answer.hits.notes.n; i++)
        log_warn("%s", answer.hits.notes.v[i]);
    print_name(t, m, answer.facts);
    struct reading x = {
        .message = m,
        .answer = &answer,
        .meta = &meta,
        .folder = folder->path != NULL ? folder->path : "",
        .files = list_files(&answer, folder),
        .now = request.now,
    };
    try_rules(t, &x);
    free_files(&x);
    sort_answer_free(&answer);
}

static void
try_file(struct test *t, const char *name)
{
    struct err e = {0};
    struct given m;
    struct scratch folder = {0};
    int rc = given_open(&m, t->door.spool, name, &e);
    if (rc == 0 && wants_files(t))
        rc = scratch_open(&folder, t->door.folder, &e);
    if (rc == 0)
        try_message(t, &m, &folder);
    else
        fail_with(t, fail(&e));
    scratch_close(&folder);
    given_close(&m);
}

/* --- all of it --- */

static int
status_of(const struct test *t)
{
    if (t->status != EXIT_OK)
        return t->status;
    if (!t->matched && !t->args->quiet && !t->args->json && isatty(STDERR_FILENO))
        fputs("mailcall: no rule matches\n", stderr);
    return t->matched ? EXIT_OK : EXIT_NO;
}

static int
try_files(struct test *t, struct err *e)
{
    for (size_t i = 0; i < t->config->n_accounts; i++)
        strv_copy(&t->trusted, &t->config->accounts[i].trusted);
    measure(t);
    if (refuse_root(t, e) != 0 || door_open(&t->door, &t->config->rules, e) != 0)
        return fail(e);
    for (size_t i = 0; i < t->args->files.n && t->status < 128; i++)
        try_file(t, t->args->files.v[i]);
    if (flush_stdout(e) != 0 && e->kind != ERR_NONE)
        return fail(e);
    return status_of(t);
}

static int
test(const struct globals *g, const struct test_args *args)
{
    struct err e = {0};
    struct test t = {.args = args};
    struct config *c = config_open(g, &e);
    if (c == NULL)
        return exit_code(e.kind);
    t.config = c;
    int status = plan_rules(&t, &e) == 0 ? try_files(&t, &e) : fail(&e);
    door_close(&t.door);
    plan_free(&t.plan);
    strv_free(&t.trusted);
    config_free(c);
    return status;
}

int
cmd_test(struct globals *g, int argc, char **argv)
{
    struct test_args args = {0};
    int over = parse(g, argc, argv, &args);
    options_log(g);
    int status = over != 0 ? over - 1 : test(g, &args);
    strv_free(&args.rules);
    strv_free(&args.files);
    return status;
}
