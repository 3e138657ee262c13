/* SPDX-License-Identifier: ISC */
/* UTF-8 as of RFC 3629: decoding that always succeeds, and the scrubbing of text for the outside.
 * Knows nothing about charsets; those are mail's business. */
#include "base/utf8.h"

#define REPLACEMENT 0xFFFDu

struct shape {
    unsigned char length;
    unsigned char low; /* allowed range of the second byte */
    unsigned char high;
    unsigned char first; /* bits of the lead byte */
};

static struct shape
shape_of(unsigned char lead)
{
    if (lead < 0x80)
        return (struct shape){1, 0, 0, lead};
    if (lead >= 0xC2 && lead <= 0xDF)
        return (struct shape){2, 0x80, 0xBF, lead & 0x1F};
    if (lead >= 0xE0 && lead <= 0xEF)
        return (struct shape){
            3, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF, lead & 0x0F};
    if (lead >= 0xF0 && lead <= 0xF4)
        return (struct shape){
            4, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF, lead & 0x07};
    return (struct shape){0, 0, 0, 0};
}

/* The code point at the front, and in *used how many bytes it took; invalid ones say so. */
static uint32_t
decode(struct span s, size_t *used, bool *valid)
{
    const unsigned char *p = (const unsigned char *)s.p;
    struct shape shape = shape_of(p[0]);
    *used = 1;
    *valid = false;
    if (shape.length == 0)
        return REPLACEMENT;
    uint32_t cp = shape.first;
    for (size_t i = 1; i < shape.length; i++) {
        unsigned char low = i == 1 ? shape.low : 0x80;
        unsigned char high = i == 1 ? shape.high : 0xBF;
        if (i >= s.n || p[i] < low || p[i] > high) {
            *used = i;
            return REPLACEMENT;
        }
        cp = cp << 6 | (p[i] & 0x3Fu);
    }
    *used = shape.length;
    *valid = true;
    return cp;
}

uint32_t
utf8_take(struct span *s)
{
    size_t used;
    bool valid;
    uint32_t cp = decode(*s, &used, &valid);
    s->p += used;
    s->n -= used;
    return cp;
}

bool
utf8_valid(struct span s)
{
    while (s.n > 0) {
        size_t used;
        bool valid;
        decode(s, &used, &valid);
        if (!valid)
            return false;
        s.p += used;
        s.n -= used;
    }
    return true;
}

void
utf8_add(struct buf *out, uint32_t cp)
{
    char c[4];
    size_t n;
    if (cp < 0x80) {
        c[0] = (char)cp;
        n = 1;
    } else if (cp < 0x800) {
        c[0] = (char)(0xC0 | cp >> 6);
        c[1] = (char)(0x80 | (cp & 0x3F));
        n = 2;
    } else if (cp < 0x10000) {
        c[0] = (char)(0xE0 | cp >> 12);
        c[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        c[2] = (char)(0x80 | (cp & 0x3F));
        n = 3;
    } else {
        c[0] = (char)(0xF0 | cp >> 18);
        c[1] = (char)(0x80 | (cp >> 12 & 0x3F));
        c[2] = (char)(0x80 | (cp >> 6 & 0x3F));
        c[3] = (char)(0x80 | (cp & 0x3F));
        n = 4;
    }
    buf_add(out, c, n);
}

void
utf8_repair(struct buf *out, struct span s)
{
    while (s.n > 0)
        utf8_add(out, utf8_take(&s));
}

static bool
is_control(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7F && cp <= 0x9F) || cp == 0x2028 || cp == 0x2029;
}

static bool
is_invisible(uint32_t cp)
{
    return (cp >= 0x200B && cp <= 0x200F) || (cp >= 0x202A && cp <= 0x202E) ||
           (cp >= 0x2060 && cp <= 0x206F) || cp == 0xFEFF || cp == 0x061C;
}

void
utf8_line(struct buf *out, struct span s)
{
    size_t start = out->n;
    size_t end = start; /* behind the last character that is not a space */
    while (s.n > 0) {
        uint32_t cp = utf8_take(&s);
        bool space = cp == ' ' || is_control(cp);
        if (space && out->n == start)
            continue;
        utf8_add(out, space ? ' ' : cp);
        if (!space)
            end = out->n;
    }
    buf_cut(out, end);
}

struct span
utf8_cut(struct span s, size_t max)
{
    if (s.n <= max)
        return s;
    size_t n = max;
    while (n > 0 && ((unsigned char)s.p[n] & 0xC0) == 0x80)
        n--;
    return (struct span){s.p, n};
}

static void
add_escape(struct buf *out, uint32_t cp)
{
    switch (cp) {
    case '\n':
        buf_adds(out, "\\n");
        break;
    case '\r':
        buf_adds(out, "\\r");
        break;
    case '\t':
        buf_adds(out, "\\t");
        break;
    case 0x1B:
        buf_adds(out, "\\e");
        break;
    default:
        if (cp > 0xFF)
            buf_addf(out, "\\u%04x", (unsigned)cp);
        else
            buf_addf(out, "\\x%02x", (unsigned)cp);
    }
}

void
utf8_visible(struct buf *out, struct span s)
{
    while (s.n > 0) {
        uint32_t cp = utf8_take(&s);
        if (is_control(cp))
            add_escape(out, cp);
        else if (!is_invisible(cp))
            utf8_add(out, cp);
    }
}
