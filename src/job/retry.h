/*
 * retry: whether a job that failed for now runs again, and after how long.
 * Never knows what a message is, nor what time it is. Pure.
 */
#ifndef MAILCALL_JOB_RETRY_H
#define MAILCALL_JOB_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Filled by config/. */
struct retry_opts {
    unsigned attempts;       /* in all, the first included; 1 = none is repeated */
    uint64_t backoff_ms;     /* before the second; each further wait is four times as long … */
    uint64_t max_backoff_ms; /* … up to this */
    bool any;                /* every exit status but 0 and 99 is worth another attempt */
    int *codes;              /* else these are; owned */
    size_t n_codes;
};

/* What INTERFACE promises where nothing is configured: 6 attempts, 30 s, 1 h, 75 and 111. */
void retry_default(struct retry_opts *o);
void retry_opts_free(struct retry_opts *o); /* empty afterwards */

/* Whether this exit status (0 to 255) is worth another attempt. */
bool retry_status(const struct retry_opts *o, int status);
/* After `made` attempts (from 1): true and the wait, drawn from three quarters to five quarters of
 * the nominal one; false when there is no attempt left. */
bool retry_next(const struct retry_opts *o, unsigned made, uint64_t random, uint64_t *wait_ms);

#endif
