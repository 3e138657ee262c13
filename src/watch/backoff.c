/* SPDX-License-Identifier: ISC */
/* Exponential backoff with full jitter. */
#include "watch/backoff.h"

uint64_t
backoff_next(struct backoff *b, uint64_t random)
{
    uint64_t bound = BACKOFF_MOST_MS;
    if (b->failures < 9) /* 1 s << 9 is beyond the bound */
        bound = (uint64_t)BACKOFF_FIRST_MS << b->failures;
    if (bound > BACKOFF_MOST_MS)
        bound = BACKOFF_MOST_MS;
    b->failures++;
    return random % (bound + 1);
}

void
backoff_was_up(struct backoff *b, uint64_t up_ms)
{
    if (up_ms >= BACKOFF_HEALTHY_MS)
        b->failures = 0;
}
