/* SPDX-License-Identifier: ISC */
/* The keys of `daemon:`. A shutdown_timeout of 0 is a wish; a keep_failed of 0 would throw away
 * what nobody has seen, and is refused. */
#include "config/process.h"

#include "config/schema.h"

enum { MAX_HOOKS = 8, MAX_HOOKS_MOST = 1000, SECOND_MS = 1000, HOUR_MS = 3600 * SECOND_MS };

static const uint64_t day_ms = 24 * HOUR_MS;

static void
set_allow_root(struct scope *s, const struct node *value)
{
    struct daemon_config *d = s->target;
    scope_bool(s, value, &d->allow_root);
}

static void
set_max_hooks(struct scope *s, const struct node *value)
{
    struct daemon_config *d = s->target;
    scope_number(s, value, 1, MAX_HOOKS_MOST, &d->max_hooks);
}

static void
set_shutdown_timeout(struct scope *s, const struct node *value)
{
    struct daemon_config *d = s->target;
    const struct period p = {0, HOUR_MS, "between 0 and 1h"};
    scope_period(s, value, &p, &d->shutdown_timeout_ms);
}

static void
set_keep_failed(struct scope *s, const struct node *value)
{
    struct daemon_config *d = s->target;
    const struct period p = {SECOND_MS, 3650 * day_ms, "between 1s and 3650d"};
    scope_period(s, value, &p, &d->keep_failed_ms);
}

static const struct key daemon_keys[] = {
    {"allow_root", NODE_TEXT, 0, set_allow_root, 0},
    {"max_hooks", NODE_TEXT, 0, set_max_hooks, 0},
    {"shutdown_timeout", NODE_TEXT, 0, set_shutdown_timeout, 0},
    {"keep_failed", NODE_TEXT, 0, set_keep_failed, 0},
    {"log", 0, KEY_LATER, NULL, 0},
};

void
process_read(struct report *report, const struct node *map, struct daemon_config *d)
{
    struct scope s = {.report = report, .label = "daemon", .target = d};
    *d = (struct daemon_config){
        .max_hooks = MAX_HOOKS,
        .shutdown_timeout_ms = 30 * SECOND_MS,
        .keep_failed_ms = 30 * day_ms,
    };
    if (map != NULL)
        SCHEMA_READ(&s, daemon_keys, map);
}
