/*
 * secret: one password or token from wherever the configuration says it is.
 * Never knows what it is for.
 */
#ifndef MAILCALL_WATCH_SECRET_H
#define MAILCALL_WATCH_SECRET_H

#include "base/err.h"
#include "config/config.h"
#include "sys/loop.h"

struct secret;

enum {
    SECRET_MAX = 64 * 1024,        /* bytes; longer is an error */
    SECRET_TIMEOUT_MS = 60 * 1000, /* for a command: a person may have to type a PIN */
};

/* Asks. on_secret comes exactly once unless closed before, and never from inside this call:
 * why == NULL and the first line of what was found (borrowed, wiped afterwards), or why says what
 * failed (ERR_AUTH). The secret is freed after it returns. The options are borrowed until then. */
struct secret *secret_ask(struct loop *l, const struct secret_opts *opts,
    void (*on_secret)(void *arg, struct span secret, const struct err *why), void *arg);
void secret_close(struct secret *s); /* no callback any more; NULL is fine */

#endif
