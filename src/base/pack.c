/* SPDX-License-Identifier: ISC */
/* Plain values as bytes and back. NULL has the length that no string can have.
 *
 * Reading allocates only what bytes stand for that are really there: a count is compared with the
 * bytes that its items need at least, before anything is made for them. Refuses to know what the
 * values mean; ranges beyond unpack_upto() are the reader's business. */
#include "base/pack.h"

#include "base/mem.h"

enum { NUMBER_SIZE = 8 };

static const uint64_t length_of_null = UINT64_MAX;

void
pack_number(struct buf *out, uint64_t n)
{
    char bytes[NUMBER_SIZE];
    for (size_t i = 0; i < NUMBER_SIZE; i++)
        bytes[i] = (char)(n >> 8 * i & 0xFF);
    buf_add(out, bytes, sizeof bytes);
}

void
pack_span(struct buf *out, struct span s)
{
    pack_number(out, s.n);
    buf_addspan(out, s);
}

void
pack_str(struct buf *out, const char *s)
{
    if (s == NULL)
        pack_number(out, length_of_null);
    else
        pack_span(out, span_str(s));
}

void
pack_strv(struct buf *out, const struct strv *v)
{
    pack_number(out, v->n);
    for (size_t i = 0; i < v->n; i++)
        pack_str(out, v->v[i]);
}

/* Takes n bytes off the front; an empty span if they are not there. */
static struct span
take(struct unpack *u, uint64_t n)
{
    if (u->broken || n > u->rest.n) {
        u->broken = true;
        return (struct span){0};
    }
    struct span s = {u->rest.p, (size_t)n};
    u->rest = (struct span){n > 0 ? s.p + n : s.p, u->rest.n - s.n};
    return s;
}

uint64_t
unpack_number(struct unpack *u)
{
    struct span s = take(u, NUMBER_SIZE);
    uint64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n |= (uint64_t)(unsigned char)s.p[i] << 8 * i;
    return n;
}

uint64_t
unpack_upto(struct unpack *u, uint64_t most)
{
    uint64_t n = unpack_number(u);
    if (n <= most)
        return n;
    u->broken = true;
    return 0;
}

struct span
unpack_span(struct unpack *u)
{
    uint64_t n = unpack_number(u);
    return take(u, n);
}

char *
unpack_str(struct unpack *u)
{
    uint64_t n = unpack_number(u);
    if (u->broken || n == length_of_null)
        return NULL;
    struct span s = take(u, n);
    if (s.n > 0 && memchr(s.p, '\0', s.n) != NULL)
        u->broken = true;
    return u->broken ? NULL : xstrndup(s.n > 0 ? s.p : "", s.n);
}

void
unpack_strv(struct unpack *u, struct strv *v)
{
    uint64_t n = unpack_upto(u, u->rest.n / NUMBER_SIZE);
    for (; n > 0 && !u->broken; n--) {
        char *s = unpack_str(u);
        if (s != NULL)
            strv_take(v, s);
        else
            u->broken = true;
    }
}

bool
unpack_whole(const struct unpack *u)
{
    return !u->broken && u->rest.n == 0;
}
