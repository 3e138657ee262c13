/*
 * bounds: numbers and durations that must lie between two others.
 * Never knows what they are for.
 */
#ifndef MAILCALL_CONFIG_BOUNDS_H
#define MAILCALL_CONFIG_BOUNDS_H

#include "base/err.h"

#include <stdint.h>

struct period {
    uint64_t least_ms;
    uint64_t most_ms;
    const char *words; /* "between 1s and 7d" */
};

/* Each returns 0, or -1 with *e (ERR_USAGE) that says what would be right. */
int bounds_number(const char *text, unsigned least, unsigned most, unsigned *number, struct err *e);
int bounds_period(const char *text, const struct period *p, uint64_t *ms, struct err *e);

#endif
