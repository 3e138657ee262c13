/*
 * pack: plain values as bytes and back, for what outlives a process or crosses to another.
 * Never knows mail, files or time.
 *
 * Numbers are 8 bytes, little endian; everything else is preceded by its length. Reading trusts
 * nothing: what does not fit makes `broken` true for good, and every further answer empty.
 */
#ifndef MAILCALL_BASE_PACK_H
#define MAILCALL_BASE_PACK_H

#include "base/buf.h"
#include "base/strv.h"

#include <stdbool.h>
#include <stdint.h>

void pack_number(struct buf *out, uint64_t n);
void pack_span(struct buf *out, struct span s);
void pack_str(struct buf *out, const char *s); /* NULL is packed too, and comes back as NULL */
void pack_strv(struct buf *out, const struct strv *v);

/* {bytes, false} to begin. */
struct unpack {
    struct span rest;
    bool broken;
};

uint64_t unpack_number(struct unpack *u);
uint64_t unpack_upto(struct unpack *u, uint64_t most); /* a larger one is broken, and gives 0 */
struct span unpack_span(struct unpack *u);             /* points into the bytes */
char *unpack_str(struct unpack *u);                 /* owned; NULL packed or broken (a NUL in it) */
void unpack_strv(struct unpack *u, struct strv *v); /* appends; none of its strings is NULL */
bool unpack_whole(const struct unpack *u);          /* nothing broken, nothing left */

#endif
