/* SPDX-License-Identifier: ISC */
/* The value of `retry:` is one value: a rule that writes it inherits nothing of what defaults say,
 * and what it leaves out is as the manual says. */
#include "config/repeat.h"

#include "base/mem.h"

#include <stdlib.h>

enum { ATTEMPTS_MAX = 100, STATUS_MAX = 255, STATUS_STOP = 99 };

static const struct period waits = {1000, 7 * 86400 * (uint64_t)1000, "between 1s and 7d"};

/* The mapping being read. */
struct repeat {
    struct retry_opts *opts;
    const struct node *backoff; /* as written, or NULL */
    const struct node *max_backoff;
};

void
repeat_copy(struct retry_opts *to, const struct retry_opts *from)
{
    *to = *from;
    to->codes = xcalloc(from->n_codes + 1, sizeof *to->codes);
    for (size_t i = 0; i < from->n_codes; i++)
        to->codes[i] = from->codes[i];
}

static void
set_attempts(struct scope *s, const struct node *value)
{
    const struct repeat *r = s->target;
    scope_number(s, value, 1, ATTEMPTS_MAX, &r->opts->attempts);
}

static void
set_backoff(struct scope *s, const struct node *value)
{
    struct repeat *r = s->target;
    r->backoff = value;
    scope_period(s, value, &waits, &r->opts->backoff_ms);
}

static void
set_max_backoff(struct scope *s, const struct node *value)
{
    struct repeat *r = s->target;
    r->max_backoff = value;
    scope_period(s, value, &waits, &r->opts->max_backoff_ms);
}

static bool
has_code(const struct retry_opts *o, int code)
{
    for (size_t i = 0; i < o->n_codes; i++)
        if (o->codes[i] == code)
            return true;
    return false;
}

/* There is room for one more. */
static void
add_code(struct scope *s, const struct node *value, struct retry_opts *o)
{
    unsigned code;
    if (!scope_is(s, value, NODE_TEXT))
        return;
    if (strcmp(value->text, "any") == 0)
        scope_error(s, value, "'any' is every status and stands alone: codes: any");
    else if (bounds_number(value->text, 1, STATUS_MAX, &code, NULL) != 0)
        scope_error(
            s, value, "'%.60s' is not an exit status from 1 to %d", value->text, STATUS_MAX);
    else if (code == STATUS_STOP)
        scope_error(
            s, value, "'%d' means stop: a success after which no further rule runs", STATUS_STOP);
    else if (has_code(o, (int)code))
        scope_error(s, value, "'%s' is there already", value->text);
    else
        o->codes[o->n_codes++] = (int)code;
}

static void
set_codes(struct scope *s, const struct node *value)
{
    struct retry_opts *o = ((const struct repeat *)s->target)->opts;
    size_t n = value->kind == NODE_LIST ? value->n : 1;
    free(o->codes);
    o->codes = xcalloc(n + 1, sizeof *o->codes);
    o->n_codes = 0;
    o->any = value->kind == NODE_TEXT && strcmp(value->text, "any") == 0;
    for (size_t i = 0; i < n && !o->any; i++)
        add_code(s, value->kind == NODE_LIST ? value->item[i] : value, o);
}

static const struct key repeat_keys[] = {
    {"attempts", NODE_TEXT, 0, set_attempts, 0},
    {"backoff", NODE_TEXT, 0, set_backoff, 0},
    {"max_backoff", NODE_TEXT, 0, set_max_backoff, 0},
    {"codes", NODE_TEXT | NODE_LIST, 0, set_codes, 0},
};

/* Points at what is written; the other may be the default. */
static void
check_waits(struct scope *s, const struct repeat *r)
{
    const struct node *most = r->max_backoff;
    const struct node *first = r->backoff;
    if (r->opts->backoff_ms <= r->opts->max_backoff_ms)
        return;
    if (most == NULL)
        scope_error(s, first, "backoff '%s' is longer than max_backoff; write max_backoff too",
            first->text);
    else
        scope_error(s, most, "max_backoff '%s' is shorter than backoff%s", most->text,
            first == NULL ? "; write backoff too" : "");
}

static void
read_map(struct scope *s, const struct node *map, struct retry_opts *o)
{
    struct repeat r = {.opts = o};
    struct scope inner = {.report = s->report, .label = "retry", .target = &r};
    size_t errors = s->report->errors;
    SCHEMA_READ(&inner, repeat_keys, map);
    if (s->report->errors == errors)
        check_waits(s, &r);
}

void
repeat_read(struct scope *s, const struct node *value, struct retry_opts *o)
{
    retry_opts_free(o);
    retry_default(o);
    if (value->kind == NODE_MAP)
        read_map(s, value, o);
    else if (strcmp(value->text, "none") == 0)
        o->attempts = 1;
    else
        scope_error(
            s, value, "'%.60s' is neither none nor a mapping such as { attempts: 3 }", value->text);
}
