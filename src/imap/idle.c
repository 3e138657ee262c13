/* SPDX-License-Identifier: ISC */
/* A server may end an IDLE, but one that ends each of them at once hardly means it: without a "+"
 * that may happen once, soon after it a few times. Renewals are spread, so that many sessions begun
 * together do not go on together. */
#include "imap/idle.h"

enum {
    SHORT_MS = 10 * 1000, /* an IDLE the server ends sooner was hardly meant */
    SHORT_IDLES = 3,      /* so many of them, and it is all too often */
};

uint64_t
idle_accepted(struct idle *i, uint64_t renew_ms, uint64_t now)
{
    uint64_t spread = renew_ms / 5;
    i->random = i->random * 6364136223846793005u + 1442695040888963407u;
    i->state = IDLE_ON;
    i->since = now;
    return now + renew_ms - (spread > 0 ? (i->random >> 33) % spread : 0);
}

void
idle_done(struct idle *i)
{
    i->state = IDLE_OFF;
    i->shorts = 0;
}

bool
idle_ended(struct idle *i, uint64_t now)
{
    bool accepted = i->state == IDLE_ON;
    bool in_time = accepted && now - i->since >= SHORT_MS;
    i->state = IDLE_OFF;
    i->shorts = in_time ? 0 : i->shorts + 1;
    return i->shorts > (accepted ? SHORT_IDLES : 1);
}
