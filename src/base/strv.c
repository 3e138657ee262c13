/* SPDX-License-Identifier: ISC */
/* A NULL-ended vector of owned strings. */
#include "base/strv.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
strv_take(struct strv *v, char *s)
{
    /* grows at powers of two; n + 1 slots hold n strings and the NULL */
    if ((v->n & (v->n + 1)) == 0)
        v->v = xreallocarray(v->v, (v->n + 1) * 2, sizeof *v->v);
    v->v[v->n++] = s;
    v->v[v->n] = NULL;
}

void
strv_add(struct strv *v, const char *s)
{
    strv_take(v, xstrdup(s));
}

void
strv_addf(struct strv *v, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = xmalloc((size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    strv_take(v, s);
}

bool
strv_has(const struct strv *v, const char *s)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->v[i], s) == 0)
            return true;
    return false;
}

void
strv_copy(struct strv *to, const struct strv *from)
{
    for (size_t i = 0; i < from->n; i++)
        strv_add(to, from->v[i]);
}

void
strv_free(struct strv *v)
{
    for (size_t i = 0; i < v->n; i++)
        free(v->v[i]);
    free(v->v);
    *v = (struct strv){0};
}
