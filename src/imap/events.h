/*
 * events: what a session has to tell its owner, in order, until he asks.
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_EVENTS_H
#define MAILCALL_IMAP_EVENTS_H

#include "imap/login.h"
#include "imap/session.h"

enum { EVENTS_NOTES = 32, EVENTS_WORDS = 200 };

struct events {
    struct session_event *v;
    size_t n;
    size_t next;
    size_t cap;
    unsigned notes;            /* a session writes EVENTS_NOTES of them at most */
    bool leaving;              /* only the end is still told */
    bool lost;                 /* the end was told */
    void *handed_out;          /* the text or error of the event last asked for */
    struct buf shown;          /* the words last made visible */
    const struct login *login; /* borrowed; its secret is never shown */
};

/* Its note and error become the queue's. */
void events_push(struct events *q, struct session_event event);
/* A NOTE of the two texts, one behind the other. */
void events_note(struct events *q, const char *text, const char *words);
/* LOST; nothing can be told after it. */
void events_lose(struct events *q, const struct err *e, uint64_t retry_after_ms);
/* ACTED; `failure` may be NULL. */
void events_acted(struct events *q, const struct act *a, bool gone, const struct err *failure);
/* False if there is none. The event's pointers are valid until the next call. */
bool events_pop(struct events *q, struct session_event *event);
bool events_wait(const struct events *q);
/* Words of the server for people, visible and bounded: never our secret, which some servers repeat,
 * and never empty. Valid until the next call. */
const char *events_show(struct events *q, struct span words);
void events_free(struct events *q);

#endif
