/* SPDX-License-Identifier: ISC */
/* The kernel's random bytes; every system we build on has getentropy(). */
#include "sys/entropy.h"

#include <assert.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/random.h>
#endif

uint64_t
entropy_u64(void)
{
    uint64_t v;
    int bad = getentropy(&v, sizeof v);
    assert(bad == 0); /* fails only for more than 256 bytes or a bad address */
    return v;
}
