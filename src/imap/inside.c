/* SPDX-License-Identifier: ISC */
/* A session ends once, for the first reason there is; what was planned and under way is forgotten
 * then, and every later call finds nothing to do. */
#include "imap/inside.h"

#include "imap/refusal.h"

#include <stdarg.h>
#include <stdio.h>

void
inside_lose_by(struct session *s, const struct err *e, uint64_t retry_after_ms)
{
    if (s->events.lost)
        return;
    pass_discard(&s->pass);
    events_lose(&s->events, e, retry_after_ms);
    s->idle.state = IDLE_OFF;
    s->busy_until = PACE_NEVER;
    wire_clear(&s->wire);
    login_wipe(&s->login);
}

void __attribute__((format(printf, 3, 4)))
inside_lose(struct session *s, enum err_kind kind, const char *fmt, ...)
{
    struct err e = {.kind = kind};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e.text, sizeof e.text, fmt, ap);
    va_end(ap);
    inside_lose_by(s, &e, 0);
}

void
inside_lose_refused(struct session *s, enum err_kind kind, const char *what, struct span words)
{
    struct err e;
    err_set(&e, refusal_kind(words, kind), "%s: %s", what, events_show(&s->events, words));
    inside_lose_by(s, &e, refusal_backoff_ms(words));
}

void
inside_plan(struct session *s, enum step step)
{
    if (!s->events.lost)
        wire_plan(&s->wire, step);
}

void
inside_blame_pipelining(struct session *s, const char *why)
{
    s->quirks->step_by_step = true;
    events_note(&s->events, "one command at a time from now on: ", why);
    inside_lose(s, ERR_NET, "%s", why);
}

bool
inside_has_levels(const struct session *s)
{
    return strchr(s->opts.mailbox, '/') != NULL;
}
