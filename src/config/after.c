/* SPDX-License-Identifier: ISC */
/* The actions are one list in the order of the file, whether they are written as a list of
 * mappings or as one mapping. A rule that writes the key inherits nothing of it, and `none` is how
 * it says only that.
 *
 * They are read when their key is, and judged when the whole rule is known: placeholders name its
 * captures, and a target may be where it looks. */
#include "config/after.h"

#include "base/mem.h"
#include "config/runs.h"
#include "config/template.h"
#include "config/url.h"
#include "rule/plan.h"

#include <stdlib.h>

/* One list being read. */
struct after {
    struct actions *actions;
    const char *gone; /* the action that took the message away, or NULL */
};

/* Whether the message still lies where the rule found it. */
static bool
is_there(struct scope *s)
{
    const struct after *l = s->target;
    if (l->gone != NULL)
        scope_error_at(s, s->key_at,
            "the message is gone by then; after '%s' only run and sh can follow", l->gone);
    return l->gone == NULL;
}

static void
add_text(struct scope *s, char *text)
{
    const struct after *l = s->target;
    actions_add(l->actions, (struct action){.kind = (enum action_kind)s->key->tag, .text = text});
}

static void
set_flag(struct scope *s, const struct node *value)
{
    struct err e;
    if (!is_there(s))
        return;
    if (value->kind == NODE_LIST) {
        scope_error(
            s, value, "one flag each; write [{ %s: A }, { %s: B }]", s->key->name, s->key->name);
        return;
    }
    char *flag = action_flag(value->text, &e);
    if (flag != NULL)
        add_text(s, flag);
    else
        scope_error(s, value, "%s", e.text);
}

static void
set_target(struct scope *s, const struct node *value)
{
    struct after *l = s->target;
    struct fault fault;
    struct err e;
    if (!is_there(s))
        return;
    if (mailbox_check(value->text, &e) != 0)
        scope_error(s, value, "%s", e.text);
    else if (mailbox_fault(value->text, &fault))
        scope_error_at(s, node_place(value, fault.offset, fault.length), "%s", fault.text);
    else
        add_text(s, xstrdup(value->text));
    if (s->key->tag == ACTION_MOVE)
        l->gone = s->key->name;
}

static void
set_delete(struct scope *s, const struct node *value)
{
    struct after *l = s->target;
    bool wanted;
    if (!is_there(s) || !scope_bool(s, value, &wanted))
        return;
    if (!wanted) {
        scope_error(s, value, "'false' does nothing; leave it out");
        return;
    }
    add_text(s, NULL);
    l->gone = s->key->name;
}

static void
set_run(struct scope *s, const struct node *value)
{
    const struct after *l = s->target;
    struct action a = {.kind = ACTION_RUN};
    if (runs_argv(s, value, &a.run))
        actions_add(l->actions, a);
    else
        strv_free(&a.run);
}

static void
set_sh(struct scope *s, const struct node *value)
{
    char *text = NULL;
    if (runs_command(s, value, &text))
        add_text(s, text);
}

static const struct key action_keys[] = {
    {"flag", NODE_TEXT | NODE_LIST, 0, set_flag, ACTION_FLAG},
    {"unflag", NODE_TEXT | NODE_LIST, 0, set_flag, ACTION_UNFLAG},
    {"move", NODE_TEXT, 0, set_target, ACTION_MOVE},
    {"copy", NODE_TEXT, 0, set_target, ACTION_COPY},
    {"delete", NODE_TEXT, 0, set_delete, ACTION_DELETE},
    {"run", NODE_TEXT | NODE_LIST, 0, set_run, ACTION_RUN},
    {"sh", NODE_TEXT, 0, set_sh, ACTION_SH},
};

/* The mappings of a list of mappings, or the one mapping that stands for such a list. */
struct maps {
    const struct node *const *v;
    size_t n;
};

static struct maps
maps_of(const struct node *const *value)
{
    if (*value == NULL)
        return (struct maps){0};
    if ((*value)->kind == NODE_LIST)
        return (struct maps){(const struct node *const *)(*value)->item, (*value)->n};
    return (struct maps){value, 1};
}

static void
read_actions(struct scope *s, const struct node *value, struct actions *actions)
{
    struct draft *d = s->target;
    struct after l = {.actions = actions};
    struct scope inner = {.report = s->report, .label = s->key->name, .target = &l};
    size_t errors = s->report->errors;
    struct maps maps = maps_of(&value);
    for (size_t i = 0; i < maps.n; i++)
        SCHEMA_READ(&inner, action_keys, maps.v[i]);
    if (s->report->errors == errors && actions->n == 0)
        scope_error(s, value, "no action in it; write none if nothing is to be done");
    if (s->report->errors == errors)
        d->after[s->key->tag] = value;
}

void
after_set(struct scope *s, const struct node *value)
{
    struct draft *d = s->target;
    struct actions *actions =
        s->key->tag == AFTER_SUCCESS ? &d->hook->on_success : &d->hook->on_failure;
    actions_free(actions);
    d->after[s->key->tag] = NULL;
    if (value->kind != NODE_TEXT)
        read_actions(s, value, actions);
    else if (strcmp(value->text, "none") != 0)
        scope_error(
            s, value, "'%.60s' is neither none nor actions such as [{ flag: seen }]", value->text);
}

/* One action after the other, as they are written. */
struct walk {
    const struct draft *draft;
    const struct draft *but; /* the lists of this one are passed over, if there is one */
    int end;
    size_t map;
    size_t pair;
    const struct node *key;
    const struct node *value;
};

static bool
walk_next(struct walk *w)
{
    for (; w->end < DRAFT_ENDS; w->end++, w->map = 0) {
        const struct node *list = w->draft->after[w->end];
        if (w->but != NULL && list == w->but->after[w->end])
            continue;
        struct maps maps = maps_of(&list);
        for (; w->map < maps.n; w->map++, w->pair = 0) {
            if (w->pair == maps.v[w->map]->n)
                continue;
            w->key = maps.v[w->map]->key[w->pair];
            w->value = maps.v[w->map]->item[w->pair++];
            return true;
        }
    }
    return false;
}

static bool
walk_is_at(const struct walk *w, enum action_kind kind)
{
    return strcmp(w->key->text, action_name(kind)) == 0;
}

void
after_check(
    struct scope *s, const struct draft *d, const struct draft *defaults, const struct names *names)
{
    struct scope inner = *s;
    struct walk w = {.draft = d, .but = defaults};
    while (walk_next(&w)) {
        if (walk_is_at(&w, ACTION_RUN))
            runs_check_argv(&inner, w.value, names, argument_fault);
        else if (walk_is_at(&w, ACTION_SH))
            runs_check_command(&inner, w.value, names);
    }
}

static bool
covers(const struct rule *rule, const struct account *a, const char *mailbox)
{
    for (size_t i = 0; i < rule->in.n; i++)
        if (plan_covers(rule->in.v[i], a->name, mailbox))
            return true;
    return rule->in.n == 0;
}

/* The mailboxes that a rule watches, and those of them that have this name. */
struct reach {
    size_t all;
    size_t same;
};

static struct reach
reach_of(const struct rule *rule, const char *target, const struct account_index *accounts)
{
    struct reach r = {0};
    for (size_t i = 0; i < accounts->n; i++) {
        const struct account *a = accounts->v[i];
        for (size_t k = 0; k < a->mailboxes.n; k++) {
            bool covered = covers(rule, a, a->mailboxes.v[k]);
            r.all += covered;
            r.same += covered && mailbox_is(a->mailboxes.v[k], target);
        }
    }
    return r;
}

/* `s` has no key: the place may be in the defaults, so the error has to name the rule. */
static void
check_target(struct scope *s, const struct walk *w, const struct reach *r)
{
    const char *name = w->key->text;
    const char *target = w->value->text;
    if (r->same > 0 && r->same == r->all)
        scope_error_at(s, w->value->at,
            "%s: '%.100s' is the mailbox that this rule watches; it would run again for ever", name,
            target);
    else if (r->same > 0)
        scope_warning_at(s, w->value->at,
            "%s: this rule watches '%.100s' too, and will run again for what comes there", name,
            target);
}

void
after_check_targets(struct scope *s, const struct draft *d, const struct account_index *accounts)
{
    struct walk w = {.draft = d};
    while (walk_next(&w)) {
        if (!walk_is_at(&w, ACTION_MOVE) && !walk_is_at(&w, ACTION_COPY))
            continue;
        struct reach r = reach_of(d->rule, w.value->text, accounts);
        check_target(s, &w, &r);
    }
}

void
after_warn_trust(struct scope *s, const struct draft *d)
{
    struct walk w = {.draft = d};
    while (walk_next(&w))
        if (walk_is_at(&w, ACTION_DELETE))
            scope_warning_at(s, w.value->at,
                "delete: deletion is irreversible, and 'auth' only as good as the server trusted");
}
