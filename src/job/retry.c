/* SPDX-License-Identifier: ISC */
/* Waits that grow fourfold, so that a short trouble is over soon and a long one costs little; a
 * quarter of jitter either way, so that what failed together does not come back together. The
 * sums saturate: no value of the options can make a wait short by overflow. */
#include "job/retry.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_STOP = 99 }; /* a success that ends the rules of its message */

/* Five quarters of it can still be told in 64 bits. */
static const uint64_t longest_ms = UINT64_MAX / 5 * 4;

void
retry_default(struct retry_opts *o)
{
    static const int codes[] = {75, 111};
    *o = (struct retry_opts){
        .attempts = 6,
        .backoff_ms = 30 * 1000,
        .max_backoff_ms = 60 * 60 * 1000,
        .codes = xmalloc(sizeof codes),
        .n_codes = sizeof codes / sizeof *codes,
    };
    memcpy(o->codes, codes, sizeof codes);
}

void
retry_opts_free(struct retry_opts *o)
{
    free(o->codes);
    *o = (struct retry_opts){0};
}

bool
retry_status(const struct retry_opts *o, int status)
{
    if (status == 0 || status == STATUS_STOP)
        return false;
    for (size_t i = 0; i < o->n_codes; i++)
        if (o->codes[i] == status)
            return true;
    return o->any;
}

static uint64_t
nominal_wait(const struct retry_opts *o, unsigned made)
{
    uint64_t most = o->max_backoff_ms < longest_ms ? o->max_backoff_ms : longest_ms;
    uint64_t wait = o->backoff_ms;
    /* 32 turns at most: nothing stays nothing, and anything else has reached the bound by then */
    for (unsigned n = 1; n < made && wait > 0 && wait < most; n++)
        wait = wait > most / 4 ? most : wait * 4;
    return wait < most ? wait : most;
}

bool
retry_next(const struct retry_opts *o, unsigned made, uint64_t random, uint64_t *wait_ms)
{
    assert(made > 0);
    if (made >= o->attempts)
        return false;
    uint64_t nominal = nominal_wait(o, made);
    uint64_t quarter = nominal / 4;
    *wait_ms = nominal - quarter + random % (2 * quarter + 1);
    return true;
}
