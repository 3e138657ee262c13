/*
 * idle: the IDLE of a session: asked for, accepted, and how long it lasts (RFC 2177).
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_IDLE_H
#define MAILCALL_IMAP_IDLE_H

#include <stdbool.h>
#include <stdint.h>

struct idle {
    enum { IDLE_OFF, IDLE_ASKED, IDLE_ON } state;
    uint64_t since;  /* ON */
    unsigned shorts; /* in a row that the server ended soon */
    uint64_t random;
};

/* The server accepts it. Returns when it is to be renewed: after 80 to 100 % of renew_ms. */
uint64_t idle_accepted(struct idle *i, uint64_t renew_ms, uint64_t now);
/* We end it. */
void idle_done(struct idle *i);
/* The server ends it; whether it does so all too soon, all too often. */
bool idle_ended(struct idle *i, uint64_t now);

#endif
