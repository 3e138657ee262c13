/* SPDX-License-Identifier: ISC */
/* One rule: what it is called, where it looks, what must hold, what runs. The conditions are read
 * by cond, what runs by runs and after; here all meet, because placeholders name captures. */
#include "config/rules.h"

#include "base/digest.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "config/after.h"
#include "config/captures.h"
#include "config/cond.h"
#include "config/manners.h"
#include "config/repeat.h"
#include "config/runs.h"
#include "rule/plan.h"

#include <stdlib.h>

enum { NAME_MAX_CHARACTERS = 64 };

static bool
is_rule_name(const char *name)
{
    struct buf shown = {0};
    struct span s = span_str(name);
    size_t n = 0;
    utf8_visible(&shown, s);
    bool printable = span_eq(buf_span(&shown), s);
    buf_free(&shown);
    for (; s.n > 0; n++)
        utf8_take(&s);
    return printable && n > 0 && n <= NAME_MAX_CHARACTERS && name[0] != ' ';
}

static void
set_name(struct scope *s, const struct node *value)
{
    const struct draft *d = s->target;
    if (is_rule_name(value->text))
        scope_text(s, value, &d->rule->name);
    else
        scope_error(s, value, "expected one line of at most %d characters", NAME_MAX_CHARACTERS);
}

static void
set_in(struct scope *s, const struct node *value)
{
    struct draft *d = s->target;
    if (value->kind == NODE_LIST && value->n == 0)
        scope_error(s, value, "an empty list; leave it out to look everywhere");
    d->in = value;
}

static void
set_match(struct scope *s, const struct node *value)
{
    struct draft *d = s->target;
    d->match = value;
}

static void
set_stop(struct scope *s, const struct node *value)
{
    const struct draft *d = s->target;
    scope_bool(s, value, &d->rule->stop);
}

static void
set_enabled(struct scope *s, const struct node *value)
{
    const struct draft *d = s->target;
    scope_bool(s, value, &d->rule->enabled);
}

/* The rows that rules and defaults have in common. */
#define SHARED_KEYS                                                                         \
    {"stdin", NODE_TEXT, 0, runs_set_stdin, 0}, {"env", NODE_MAP, 0, runs_set_env, 0},      \
        {"cwd", NODE_TEXT, 0, runs_set_cwd, 0}, {"umask", NODE_TEXT, 0, runs_set_umask, 0}, \
        {"timeout", NODE_TEXT, 0, runs_set_timeout, 0},                                     \
        {"kill_after", NODE_TEXT, 0, runs_set_kill_after, 0},                               \
        {"retry", NODE_TEXT | NODE_MAP, 0, runs_set_retry, 0},                              \
        {"concurrency", NODE_TEXT, 0, manners_set, 0},                                      \
        {"debounce", NODE_TEXT, 0, manners_set_debounce, 0},                                \
        {"max_delay", NODE_TEXT, 0, manners_set_max_delay, 0},                              \
        {"on_busy", NODE_TEXT, 0, manners_set, 0},                                          \
        {"on_success", NODE_TEXT | NODE_LIST | NODE_MAP, 0, after_set, AFTER_SUCCESS},      \
        {"on_failure", NODE_TEXT | NODE_LIST | NODE_MAP, 0, after_set, AFTER_FAILURE},      \
        {"attachments", NODE_TEXT, 0, runs_set_attachments, 0},                             \
        {"headers", NODE_TEXT | NODE_LIST, 0, runs_set_headers, 0},                         \
        {"output", NODE_TEXT, 0, runs_set_output, 0},                                       \
        {"stdin_eol", NODE_TEXT, 0, runs_set_eol, 0},                                       \
    {                                                                                       \
        "env_inherit", NODE_TEXT, 0, runs_set_env_inherit, 0                                \
    }

static const struct key rule_keys[] = {
    {"name", NODE_TEXT, 0, set_name, 0},
    {"in", NODE_TEXT | NODE_LIST, 0, set_in, 0},
    {"match", NODE_MAP, 0, set_match, 0},
    {"run", NODE_TEXT | NODE_LIST, 0, runs_set_run, 0},
    {"sh", NODE_TEXT, 0, runs_set_sh, 0},
    {"stop", NODE_TEXT, 0, set_stop, 0},
    {"enabled", NODE_TEXT, 0, set_enabled, 0},
    SHARED_KEYS,
};

static const struct key defaults_keys[] = {SHARED_KEYS};

void
defaults_init(struct draft *defaults)
{
    runs_default(defaults->hook);
    retry_default(defaults->retry);
    manners_default(defaults->manners);
}

/* No rule is known yet, so actions that all inherit name no captures. */
void
defaults_read(struct report *report, const struct node *map, struct draft *defaults)
{
    const struct names names = {.headers = &defaults->hook->headers};
    struct scope s = {.report = report, .label = "defaults", .target = defaults};
    size_t errors = report->errors;
    SCHEMA_READ(&s, defaults_keys, map);
    if (report->errors > errors)
        return;
    manners_check(&s, defaults);
    after_check(&s, defaults, NULL, &names);
}

/* The journal calls a rule by its name, so a nameless rule is called by its content. */
static char *
content_name(const struct node *map)
{
    struct buf content = {0};
    unsigned char digest[DIGEST_SIZE];
    node_canonical(map, &content);
    struct span part = buf_span(&content);
    digest_parts(digest, &part, 1);
    buf_free(&content);
    return xasprintf("rule-%02x%02x%02x%02x", digest[0], digest[1], digest[2], digest[3]);
}

static void
refuse_account(struct scope *s, const struct node *value, const char *name,
    const struct account_index *accounts)
{
    struct strv known = {0};
    for (size_t i = 0; i < accounts->n && !report_full(s->report); i++)
        strv_add(&known, accounts->v[i]->name);
    char *mean = did_you_mean(name, &known);
    scope_error_at(s, node_place(value, 0, strlen(name)), "no account '%.64s'%s", name, mean);
    free(mean);
}

static void
refuse_mailbox(
    struct scope *s, const struct node *value, const char *mailbox, const struct account *a)
{
    struct strv known = {0};
    if (!report_full(s->report))
        strv_copy(&known, &a->mailboxes);
    char *mean = did_you_mean(mailbox, &known);
    scope_error_at(s, node_place(value, (size_t)(mailbox - value->text), strlen(mailbox)),
        "account '%s' has no mailbox '%.100s'%s", a->name, mailbox, mean);
    free(mean);
}

static bool
covers_something(const char *in, const struct account *a)
{
    for (size_t i = 0; i < a->mailboxes.n; i++)
        if (plan_covers(in, a->name, a->mailboxes.v[i]))
            return true;
    return false;
}

static bool
covers_account(const struct rule *rule, const struct account *a)
{
    for (size_t i = 0; i < rule->in.n; i++)
        if (covers_something(rule->in.v[i], a))
            return true;
    return rule->in.n == 0;
}

static void
check_mailbox(
    struct scope *s, const struct node *value, const char *mailbox, const struct account *a)
{
    bool pattern = strchr(mailbox, '*') != NULL;
    if (mailbox[0] == '\0')
        scope_error(s, value, "no mailbox behind the '/'; '%s' alone is every mailbox", a->name);
    else if (!pattern && !account_has_mailbox(a, mailbox))
        refuse_mailbox(s, value, mailbox, a);
    else if (pattern && !covers_something(value->text, a))
        scope_warning_at(
            s, value->at, "'%.100s' covers no mailbox of account '%s'", value->text, a->name);
}

/* ACCOUNT, ACCOUNT/MAILBOX or ACCOUNT/PATTERN. */
static void
check_in(struct scope *s, const struct node *value, const struct account_index *accounts)
{
    if (!scope_is(s, value, NODE_TEXT))
        return;
    size_t n = strcspn(value->text, "/");
    char *name = xstrndup(value->text, n);
    const struct account *a = account_find(accounts, name);
    if (a == NULL)
        refuse_account(s, value, name, accounts);
    else if (value->text[n] == '/' && a->mailboxes.n > 0) /* none: reported where they stand */
        check_mailbox(s, value, value->text + n + 1, a);
    free(name);
}

static void
read_in(struct scope *s, const struct draft *d, const struct account_index *accounts)
{
    static const struct key word = {.name = "in"};
    struct scope inner = *s;
    inner.key = &word;
    const struct node *const *v =
        d->in->kind == NODE_LIST ? (const struct node *const *)d->in->item : &d->in;
    size_t n = d->in->kind == NODE_LIST ? d->in->n : 1;
    for (size_t i = 0; i < n; i++) {
        check_in(&inner, v[i], accounts);
        if (v[i]->kind == NODE_TEXT)
            strv_add(&d->rule->in, v[i]->text);
    }
}

/* What Google's servers are called is known; for others, how to find out. */
static void
hint_trust(struct report *report, const struct account *a)
{
    bool google = a->net.host != NULL && strstr(a->net.host, "gmail.com") != NULL;
    report_hint(report,
        "anyone can write an Authentication-Results header; name the server you trust:\n"
        "  accounts: %s: trust_auth_results: %s%s",
        a->name, google ? "mx.google.com" : "SERVER",
        google ? "" : "\nSERVER is what stands first in that header of mail you have");
}

static void
check_trust(struct report *report, const struct draft *d, const struct nodes *auths,
    const struct account_index *accounts)
{
    for (size_t i = 0; i < auths->n; i++)
        for (size_t k = 0; k < accounts->n && !report_full(report); k++) {
            const struct account *a = accounts->v[k];
            if (a->trusted.n > 0 || !covers_account(d->rule, a))
                continue;
            report_error(
                report, auths->v[i]->at, "auth: account '%s' has no trust_auth_results", a->name);
            hint_trust(report, a);
        }
}

static void
read_match(struct scope *s, struct draft *d, const struct account_index *accounts)
{
    struct cond_nodes nodes = {0};
    size_t bad;
    struct err e;
    d->rule->match = cond_read(s->report, d->match, &nodes);
    if (captures_check(d->rule->match, &bad, &e) != 0)
        report_error(s->report, nodes.regexes.v[bad]->at, "%s", e.text);
    check_trust(s->report, d, &nodes.auths, accounts);
    if (nodes.auths.n > 0)
        after_warn_trust(s, d);
    cond_nodes_free(&nodes);
}

static void
check_action(struct scope *s, const struct draft *d, struct place at, bool misspelt)
{
    if (d->run == NULL && d->sh == NULL && !misspelt) {
        scope_label_error(s, at, "nothing to run");
        report_hint(s->report, "write run: [PROGRAM, ARGUMENT, …] or sh: 'COMMAND'");
    }
    if (d->run != NULL && d->sh != NULL)
        scope_label_error(s, at, "'run' and 'sh' stand together; keep one of them");
}

static void
read_rule(struct scope *s, const struct node *map, const struct rules_room *room, struct draft *d)
{
    size_t errors = s->report->errors;
    SCHEMA_READ(s, rule_keys, map);
    check_action(s, d, map->at, s->report->errors > errors);
    if (s->report->errors == errors)
        manners_check(s, d);
    errors = s->report->errors;
    if (d->in != NULL)
        read_in(s, d, room->accounts);
    if (d->match != NULL)
        read_match(s, d, room->accounts);
    if (s->report->errors > errors)
        return; /* a placeholder may name a capture of a regex that does not compile */
    struct strv captures = {0};
    const struct names names = {&captures, &d->hook->headers};
    cond_captures(d->rule->match, &captures);
    runs_check(s, d, &names);
    /* actions of the defaults were judged there, unless what they may name is another list now */
    after_check(s, d, d->headers == NULL ? room->defaults : NULL, &names);
    after_check_targets(s, d, room->accounts);
    strv_free(&captures);
}

/* "rules[0] invoices": the name as far as it can be shown. */
static char *
rule_label(const struct node *map, size_t index)
{
    for (size_t i = 0; map->kind == NODE_MAP && i < map->n; i++)
        if (strcmp(map->key[i]->text, "name") == 0 && map->item[i]->kind == NODE_TEXT &&
            is_rule_name(map->item[i]->text))
            return xasprintf("rules[%zu] %s", index, map->item[i]->text);
    return xasprintf("rules[%zu]", index);
}

/* The rule as it is before it says anything. */
static struct draft
rule_draft(const struct rules_room *room, size_t i)
{
    const struct draft *defaults = room->defaults;
    struct draft d = {
        .rule = &room->rules[i],
        .hook = &room->hooks[i],
        .retry = &room->retries[i],
        .manners = &room->manners[i],
    };
    d.rule->enabled = true;
    runs_copy(d.hook, defaults->hook);
    repeat_copy(d.retry, defaults->retry);
    *d.manners = *defaults->manners;
    for (int end = 0; end < DRAFT_ENDS; end++)
        d.after[end] = defaults->after[end];
    return d;
}

void
rules_read(struct report *report, const struct node *list, const struct rules_room *room)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct node *map = list->item[i];
        char *label = rule_label(map, i);
        struct draft d = rule_draft(room, i);
        struct scope s = {.report = report, .label = label, .target = &d};
        d.rule->where = xasprintf("%s:%u", map->at.source->name, map->at.line);
        read_rule(&s, map, room, &d);
        if (d.rule->name == NULL)
            d.rule->name = content_name(map);
        free(label);
    }
}
