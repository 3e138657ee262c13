/* SPDX-License-Identifier: ISC */
/* A queue that owns the texts and errors in it. What a server can make us tell is bounded: notes by
 * their number, words by their length. */
#include "imap/events.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

static void *
owned_by(const struct session_event *event)
{
    return event->note != NULL ? (void *)event->note : (void *)event->error;
}

void
events_push(struct events *q, struct session_event event)
{
    if (q->lost || (q->leaving && event.type != SESSION_LOST)) {
        free(owned_by(&event));
        return;
    }
    if (q->n == q->cap) {
        q->cap = q->cap > 0 ? q->cap * 2 : 4;
        q->v = xreallocarray(q->v, q->cap, sizeof *q->v);
    }
    q->v[q->n++] = event;
}

void
events_note(struct events *q, const char *text, const char *words)
{
    if (q->notes < EVENTS_NOTES)
        events_push(q,
            (struct session_event){.type = SESSION_NOTE, .note = xasprintf("%s%s", text, words)});
    q->notes++;
}

static const struct err *
copy_of(const struct err *e)
{
    struct err *copy = xmalloc(sizeof *copy);
    *copy = *e;
    return copy;
}

void
events_lose(struct events *q, const struct err *e, uint64_t retry_after_ms)
{
    if (!q->lost)
        events_push(
            q, (struct session_event){
                   .type = SESSION_LOST, .error = copy_of(e), .retry_after_ms = retry_after_ms});
    q->lost = true;
}

void
events_acted(struct events *q, const struct act *a, bool gone, const struct err *failure)
{
    events_push(q, (struct session_event){.type = SESSION_ACTED,
                       .act = a,
                       .gone = gone,
                       .error = failure != NULL ? copy_of(failure) : NULL});
}

bool
events_pop(struct events *q, struct session_event *event)
{
    free(q->handed_out);
    q->handed_out = NULL;
    if (!events_wait(q)) {
        q->next = q->n = 0;
        return false;
    }
    *event = q->v[q->next++];
    q->handed_out = owned_by(event);
    return true;
}

bool
events_wait(const struct events *q)
{
    return q->next < q->n;
}

const char *
events_show(struct events *q, struct span words)
{
    buf_clear(&q->shown);
    if (login_repeated_in(q->login, words))
        return "(not shown, it repeats the secret)";
    struct buf visible = {0};
    struct span head = {words.p, words.n < EVENTS_WORDS ? words.n : EVENTS_WORDS};
    utf8_visible(&visible, head);
    buf_addspan(&q->shown, utf8_cut(span_trim(buf_span(&visible)), EVENTS_WORDS));
    buf_free(&visible);
    return q->shown.n > 0 ? buf_str(&q->shown) : "(no reason given)";
}

void
events_free(struct events *q)
{
    for (; q->next < q->n; q->next++)
        free(owned_by(&q->v[q->next]));
    free(q->handed_out);
    free(q->v);
    buf_free(&q->shown);
    *q = (struct events){0};
}
