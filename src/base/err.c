/* SPDX-License-Identifier: ISC */
/* Error values on the caller's stack; no allocation, no output. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
fill(struct err *e, const char *fmt, va_list ap)
{
    vsnprintf(e->text, sizeof e->text, fmt, ap);
}

static void
append(struct err *e, const char *why)
{
    size_t n = strlen(e->text);
    snprintf(e->text + n, sizeof e->text - n, ": %s", why);
}

int
err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
    if (e == NULL)
        return -1;
    e->kind = kind;
    va_list ap;
    va_start(ap, fmt);
    fill(e, fmt, ap);
    va_end(ap);
    return -1;
}

int
err_sys(struct err *e, enum err_kind kind, int number, const char *fmt, ...)
{
    if (e == NULL)
        return -1;
    e->kind = kind;
    va_list ap;
    va_start(ap, fmt);
    fill(e, fmt, ap);
    va_end(ap);
    append(e, strerror(number));
    return -1;
}

int
err_wrap(struct err *e, const char *fmt, ...)
{
    if (e == NULL)
        return -1;
    char old[sizeof e->text];
    memcpy(old, e->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    fill(e, fmt, ap);
    va_end(ap);
    append(e, old);
    return -1;
}
