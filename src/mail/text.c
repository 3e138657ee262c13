/* SPDX-License-Identifier: ISC */
/* Text for reading: its lines and characters, and format=flowed, RFC 3676 sections 4 and 5. Refuses
 * to know where it came from. */
#include "mail/text.h"

#include "base/utf8.h"

/* A line of flowed text taken apart. */
struct flow {
    size_t depth;     /* of quotation */
    struct span text; /* without quotes and stuffing */
    bool soft;        /* it goes on in the next line */
};

static bool
ends_line(uint32_t cp)
{
    return cp == '\n' || cp == '\r' || cp == 0x2028 || cp == 0x2029;
}

static bool
is_control(uint32_t cp)
{
    return (cp < 0x20 && cp != '\t') || (cp >= 0x7F && cp <= 0x9F);
}

/* Cuts what follows the last line that is not blank. */
static void
trim_end(struct buf *out, size_t start)
{
    size_t n = out->n;
    while (n > start && strchr(" \t\n", out->p[n - 1]) != NULL)
        n--;
    if (n == start) {
        buf_cut(out, start);
        return;
    }
    while (n < out->n && out->p[n] != '\n')
        n++;
    buf_cut(out, n);
    buf_addc(out, '\n');
}

void
text_clean(struct buf *out, struct span s)
{
    size_t start = out->n;
    while (s.n > 0) {
        uint32_t cp = utf8_take(&s);
        if (cp == '\r' && s.n > 0 && s.p[0] == '\n')
            continue;
        if (ends_line(cp))
            buf_addc(out, '\n');
        else if (cp == 0xFEFF && out->n == start)
            continue;
        else if (!is_control(cp))
            utf8_add(out, cp);
    }
    trim_end(out, start);
}

bool
text_is_clean(struct span s)
{
    if (!utf8_valid(s))
        return false;
    while (s.n > 0) {
        uint32_t cp = utf8_take(&s);
        if (cp != '\n' && (ends_line(cp) || is_control(cp)))
            return false;
    }
    return true;
}

static void
advance(struct span *s, size_t n)
{
    s->p += n;
    s->n -= n;
}

static struct flow
take_flow(struct span *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    struct flow line = {.text = {rest->p, end != NULL ? (size_t)(end - rest->p) : rest->n}};
    advance(rest, line.text.n + (end != NULL));
    while (line.text.n > 0 && line.text.p[0] == '>') {
        line.depth++;
        advance(&line.text, 1);
    }
    if (line.text.n > 0 && line.text.p[0] == ' ')
        advance(&line.text, 1);
    bool signature = span_eq(line.text, SPAN("-- "));
    line.soft = line.text.n > 0 && line.text.p[line.text.n - 1] == ' ' && !signature;
    return line;
}

static void
begin_paragraph(struct buf *out, size_t depth)
{
    for (size_t i = 0; i < depth; i++)
        buf_addc(out, '>');
    if (depth > 0)
        buf_addc(out, ' ');
}

void
text_unflow(struct buf *out, struct span s, enum text_delsp delsp)
{
    bool open = false;
    size_t depth = 0;
    while (s.n > 0) {
        struct flow line = take_flow(&s);
        bool signature = span_eq(line.text, SPAN("-- "));
        if (open && (line.depth != depth || signature)) {
            buf_addc(out, '\n');
            open = false;
        }
        if (!open)
            begin_paragraph(out, line.depth);
        if (line.soft && delsp == TEXT_DELETE_SPACE)
            line.text.n--;
        buf_addspan(out, line.text);
        open = line.soft;
        depth = line.depth;
        if (!open)
            buf_addc(out, '\n');
    }
    if (open)
        buf_addc(out, '\n');
}
