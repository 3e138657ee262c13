/* SPDX-License-Identifier: ISC */
/* The allocator wrapper: every failure ends here, in one line on stderr and abort(). */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
checked(void *p)
{
    if (p == NULL) {
        fputs("mailcall: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *
xmalloc(size_t n)
{
    return checked(malloc(n > 0 ? n : 1));
}

void *
xcalloc(size_t count, size_t size)
{
    return checked(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *
xrealloc(void *p, size_t n)
{
    return checked(realloc(p, n > 0 ? n : 1));
}

void *
xreallocarray(void *p, size_t count, size_t size)
{
    if (size > 0 && count > SIZE_MAX / size)
        checked(NULL);
    return xrealloc(p, count * size);
}

char *
xstrdup(const char *s)
{
    return checked(strdup(s));
}

char *
xstrndup(const char *s, size_t n)
{
    return checked(strndup(s, n));
}

char *
xasprintf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        checked(NULL);
    char *s = xmalloc((size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}
