/* SPDX-License-Identifier: ISC */
/* Fields of a header block, RFC 5322 section 2.2, as lines end in the wild: LF or CRLF. One pass,
 * no memory, no recursion; every limit that concerns raw bytes is kept here, before any other code
 * sees the mail. Refuses to know charsets and the meaning of any field. */
#include "mail/block.h"

#include "mail/facts.h"

void
block_init(struct block *b, struct span bytes)
{
    bool cut_short = bytes.n > FACTS_BLOCK_MAX;
    if (cut_short)
        bytes.n = FACTS_BLOCK_MAX;
    if (bytes.n >= 3 && memcmp(bytes.p, "\xEF\xBB\xBF", 3) == 0) /* of a text editor */
        bytes = (struct span){bytes.p + 3, bytes.n - 3};
    *b = (struct block){.rest = bytes, .cut_short = cut_short};
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The length of the line at the front with its line end. */
static size_t
line_length(struct span s)
{
    const char *end = s.n > 0 ? memchr(s.p, '\n', s.n) : NULL;
    return end != NULL ? (size_t)(end - s.p) + 1 : s.n;
}

static bool
at_empty_line(struct span s)
{
    return (s.n >= 1 && s.p[0] == '\n') || (s.n >= 2 && s.p[0] == '\r' && s.p[1] == '\n');
}

/* One line and the folded ones behind it. */
static struct span
take_folded(struct span *rest)
{
    size_t n = line_length(*rest);
    while (n < rest->n && is_blank(rest->p[n]))
        n += line_length((struct span){rest->p + n, rest->n - n});
    struct span taken = {rest->p, n};
    rest->p += n;
    rest->n -= n;
    return taken;
}

/* A field over the limit ends between characters, if it is UTF-8 at all. */
static struct span
cut_field(struct span s)
{
    size_t n = FACTS_FIELD_MAX;
    for (int back = 0; back < 3 && ((unsigned char)s.p[n] & 0xC0) == 0x80; back++)
        n--;
    return (struct span){s.p, n};
}

/* "From a@b Thu Jan 1 …" of an mbox file, also quoted; but not the field "From : a@b". */
static bool
is_mbox_line(struct span s)
{
    if (s.n > 0 && s.p[0] == '>')
        s = (struct span){s.p + 1, s.n - 1};
    if (s.n < 5 || memcmp(s.p, "From ", 5) != 0)
        return false;
    size_t i = 5;
    while (i < s.n && is_blank(s.p[i]))
        i++;
    return i == s.n || s.p[i] != ':';
}

static bool
is_name(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return s.n > 0;
}

static bool
split_field(struct span s, struct field *f)
{
    const char *colon = memchr(s.p, ':', s.n);
    if (colon == NULL)
        return false;
    size_t n = (size_t)(colon - s.p);
    f->value = (struct span){colon + 1, s.n - n - 1};
    while (n > 0 && is_blank(s.p[n - 1]))
        n--;
    f->name = (struct span){s.p, n};
    return is_name(f->name);
}

static bool
ends_here(struct block *b)
{
    if (at_empty_line(b->rest))
        return true;
    if (b->rest.n > 0 && b->fields < FACTS_HEADERS_MAX)
        return false;
    b->truncated |= b->cut_short || b->rest.n > 0;
    return true;
}

bool
block_next(struct block *b, struct field *f)
{
    while (!ends_here(b)) {
        struct span s = take_folded(&b->rest);
        if (b->fields == 0 && is_mbox_line(s))
            continue;
        if (s.n > FACTS_FIELD_MAX) {
            s = cut_field(s);
            b->truncated = true;
        }
        if (!split_field(s, f))
            continue;
        b->fields++;
        return true;
    }
    return false;
}

bool
block_complete(struct span bytes, size_t seen)
{
    if (bytes.n == 0)
        return false;
    if (at_empty_line(bytes))
        return true;
    /* an end that was cut in two by the last read begins up to two bytes before */
    size_t from = seen > 2 ? seen - 2 : 0;
    struct span s = {bytes.p + from, bytes.n - from};
    while (s.n > 0) {
        size_t n = line_length(s);
        if (s.p[n - 1] != '\n')
            return false;
        s = (struct span){s.p + n, s.n - n};
        if (at_empty_line(s))
            return true;
    }
    return false;
}

void
field_unfold(struct buf *out, struct span value)
{
    while (value.n > 0) {
        size_t n = line_length(value);
        size_t text = n;
        if (value.p[text - 1] == '\n') {
            text--;
            if (text > 0 && value.p[text - 1] == '\r')
                text--;
        }
        buf_add(out, value.p, text);
        value = (struct span){value.p + n, value.n - n};
    }
}
