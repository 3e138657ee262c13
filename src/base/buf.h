/*
 * buf: one growing byte buffer, always followed by a NUL that is not counted.
 * Never knows mail, files or time.
 */
#ifndef MAILCALL_BASE_BUF_H
#define MAILCALL_BASE_BUF_H

#include "base/span.h"

/* All zero is an empty buffer: `struct buf b = {0}` needs no call. */
struct buf {
    char *p; /* NULL until the first byte; else p[n] == '\0' */
    size_t n;
    size_t cap;
};

void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addspan(struct buf *b, struct span s);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for n more bytes; returns where they go. Follow with b->n += used and buf_end(). */
char *buf_room(struct buf *b, size_t n);
/* Restores the NUL after bytes were written into buf_room(). */
void buf_end(struct buf *b);
/* Forgets the first n bytes (n <= b->n). */
void buf_eat(struct buf *b, size_t n);
void buf_cut(struct buf *b, size_t n); /* keeps the first n bytes (n <= b->n) */
void buf_clear(struct buf *b);         /* empty, memory kept */
void buf_free(struct buf *b);          /* empty, memory returned; harmless twice */
/* As buf_free(), but the bytes are overwritten first: for secrets. */
void buf_wipe(struct buf *b);
/* The content as a C string that the caller owns and frees; b is empty afterwards. */
char *buf_take(struct buf *b);
/* The content as a C string, never NULL; valid until the next change. */
const char *buf_str(const struct buf *b);

static inline struct span
buf_span(const struct buf *b)
{
    return (struct span){b->p, b->n};
}

#endif
