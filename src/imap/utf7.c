/* SPDX-License-Identifier: ISC */
/* Modified UTF-7: printable ASCII stands for itself, `&-` for the ampersand, everything else is
 * UTF-16 in a base64 with `,` for `/` and no padding, between `&` and `-`. RFC 3501 5.1.3. */
#include "imap/utf7.h"

#include "base/utf8.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool
stands_for_itself(uint32_t cp)
{
    return cp >= 0x20 && cp <= 0x7E;
}

/* Bits on their way from 16-bit units to 6-bit digits, or back. */
struct bits {
    uint32_t value;
    unsigned n;
};

static void
put_unit(struct buf *out, struct bits *b, uint32_t unit)
{
    b->value = b->value << 16 | unit;
    b->n += 16;
    while (b->n >= 6) {
        b->n -= 6;
        buf_addc(out, digits[b->value >> b->n & 63]);
    }
}

static void
put_run(struct buf *out, struct span *s)
{
    struct bits b = {0};
    buf_addc(out, '&');
    while (s->n > 0 && !stands_for_itself((unsigned char)s->p[0])) {
        uint32_t cp = utf8_take(s);
        if (cp >= 0x10000) {
            put_unit(out, &b, 0xD800 | (cp - 0x10000) >> 10);
            cp = 0xDC00 | ((cp - 0x10000) & 0x3FF);
        }
        put_unit(out, &b, cp);
    }
    if (b.n > 0)
        buf_addc(out, digits[b.value << (6 - b.n) & 63]);
    buf_addc(out, '-');
}

int
utf7_encode(struct buf *out, struct span name)
{
    if (!utf8_valid(name))
        return -1;
    while (name.n > 0) {
        if (!stands_for_itself((unsigned char)name.p[0])) {
            put_run(out, &name);
            continue;
        }
        buf_addc(out, name.p[0]);
        if (name.p[0] == '&')
            buf_addc(out, '-');
        name.p++;
        name.n--;
    }
    return 0;
}

/* The next 16-bit unit of a run; -1 at its end, -2 if it is broken. */
static int32_t
take_unit(struct span *s, struct bits *b)
{
    while (b->n < 16) {
        if (s->n == 0 || s->p[0] == '-')
            return b->n >= 6 || (b->value & ((1u << b->n) - 1)) != 0 ? -2 : -1;
        const char *digit = s->p[0] != '\0' ? strchr(digits, s->p[0]) : NULL;
        if (digit == NULL)
            return -2;
        b->value = b->value << 6 | (uint32_t)(digit - digits);
        b->n += 6;
        s->p++;
        s->n--;
    }
    b->n -= 16;
    return (int32_t)(b->value >> b->n & 0xFFFF);
}

/* One code point of a run; -1 and -2 as above. */
static int32_t
take_point(struct span *s, struct bits *b)
{
    int32_t unit = take_unit(s, b);
    if (unit < 0xD800 || unit > 0xDFFF)
        return unit >= 0 && stands_for_itself((uint32_t)unit) ? -2 : unit;
    if (unit > 0xDBFF)
        return -2;
    int32_t low = take_unit(s, b);
    if (low < 0xDC00 || low > 0xDFFF)
        return -2;
    return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
}

/* *s stands behind the `&`; afterwards behind the `-`. */
static int
take_run(struct buf *out, struct span *s)
{
    struct bits b = {0};
    if (s->n > 0 && s->p[0] == '-')
        buf_addc(out, '&');
    int32_t cp;
    while ((cp = take_point(s, &b)) >= 0)
        utf8_add(out, (uint32_t)cp);
    if (cp == -2 || s->n == 0)
        return -1;
    s->p++;
    s->n--;
    return 0;
}

int
utf7_decode(struct buf *out, struct span name)
{
    size_t start = out->n;
    while (name.n > 0) {
        char c = name.p[0];
        name.p++;
        name.n--;
        if (c == '&' ? take_run(out, &name) < 0 : !stands_for_itself((unsigned char)c)) {
            buf_cut(out, start);
            return -1;
        }
        if (c != '&')
            buf_addc(out, c);
    }
    return 0;
}
