/* SPDX-License-Identifier: ISC */
/* The growing buffer: doubling, NUL kept behind the last byte. */
#include "base/buf.h"

#include "base/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char *
buf_room(struct buf *b, size_t n)
{
    size_t need = b->n + n + 1;
    assert(need > n);
    if (need > b->cap) {
        size_t cap = b->cap > 0 ? b->cap : 64;
        while (cap < need)
            cap = cap > (size_t)-1 / 2 ? need : cap * 2;
        b->p = xrealloc(b->p, cap);
        b->cap = cap;
    }
    return b->p + b->n;
}

void
buf_end(struct buf *b)
{
    assert(b->n < b->cap);
    b->p[b->n] = '\0';
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
    char *to = buf_room(b, n);
    if (n > 0)
        memcpy(to, p, n);
    b->n += n;
    buf_end(b);
}

void
buf_adds(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void
buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void
buf_addspan(struct buf *b, struct span s)
{
    buf_add(b, s.p, s.n);
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    assert(n >= 0);
    char *to = buf_room(b, (size_t)n);
    va_start(ap, fmt);
    vsnprintf(to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

void
buf_eat(struct buf *b, size_t n)
{
    assert(n <= b->n);
    if (n == 0)
        return;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
    buf_end(b);
}

void
buf_cut(struct buf *b, size_t n)
{
    assert(n <= b->n);
    b->n = n;
    if (b->p != NULL)
        buf_end(b);
}

void
buf_clear(struct buf *b)
{
    buf_cut(b, 0);
}

void
buf_free(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

void
buf_wipe(struct buf *b)
{
    /* volatile: the compiler must not drop stores to memory that is freed next */
    volatile char *p = b->p;
    for (size_t i = 0; i < b->cap; i++)
        p[i] = 0;
    buf_free(b);
}

char *
buf_take(struct buf *b)
{
    if (b->p == NULL)
        buf_add(b, "", 0);
    char *s = b->p;
    *b = (struct buf){0};
    return s;
}

const char *
buf_str(const struct buf *b)
{
    return b->p != NULL ? b->p : "";
}
