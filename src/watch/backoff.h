/*
 * backoff: how long to wait before the next try at a server.
 * Never knows what is tried, nor what time it is. Pure.
 */
#ifndef MAILCALL_WATCH_BACKOFF_H
#define MAILCALL_WATCH_BACKOFF_H

#include <stdint.h>

enum {
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MOST_MS = 5 * 60 * 1000,
    BACKOFF_HEALTHY_MS = 60 * 1000, /* up this long: the next failure is a first one again */
};

/* All zero: no failure yet. */
struct backoff {
    unsigned failures;
};

/* Counts one more failure; the wait is drawn evenly from 0 to the doubling bound (full jitter), so
 * that a thousand clients of one restarted server do not come back together. */
uint64_t backoff_next(struct backoff *b, uint64_t random);
/* After a connection that was up for up_ms. */
void backoff_was_up(struct backoff *b, uint64_t up_ms);

#endif
