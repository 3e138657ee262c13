/* SPDX-License-Identifier: ISC */
/* Remarks are kept as place and text, and written at the end: sorted by file, line and column,
 * with the line they are about. Columns are counted in characters, what is shown has passed
 * utf8_visible(), and long lines are cut around the caret. */
#include "config/report.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SHOWN_BEFORE = 50, /* characters left of the caret in a line that is cut */
    SHOWN_MAX = 100,
};

#define MASK "***"

static char *
format(const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    char *text = xmalloc((size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, fmt, ap);
    return text;
}

void
report_error(struct report *r, struct place at, const char *fmt, ...)
{
    if (r->errors++ >= REPORT_MAX)
        return;
    va_list ap;
    va_start(ap, fmt);
    r->v[r->n++] = (struct remark){.at = at, .text = format(fmt, ap)};
    va_end(ap);
}

void
report_warning(struct report *r, struct place at, const char *fmt, ...)
{
    if (r->warnings++ >= REPORT_MAX)
        return;
    va_list ap;
    va_start(ap, fmt);
    r->v[r->n++] = (struct remark){.at = at, .warning = true, .text = format(fmt, ap)};
    va_end(ap);
}

void
report_hint(struct report *r, const char *fmt, ...)
{
    if (r->errors > REPORT_MAX || r->n == 0 || r->v[r->n - 1].warning)
        return;
    va_list ap;
    va_start(ap, fmt);
    free(r->v[r->n - 1].hint);
    r->v[r->n - 1].hint = format(fmt, ap);
    va_end(ap);
}

bool
report_full(const struct report *r)
{
    return r->errors >= REPORT_MAX;
}

void
report_free(struct report *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->v[i].text);
        free(r->v[i].hint);
    }
    *r = (struct report){0};
}

/* A line about to be shown, and the bytes of it that the caret marks. */
struct excerpt {
    struct buf line;
    size_t start;
    size_t end;
};

/* What stands behind a `password:` key: the rest of the line, for a password may hold anything. */
static bool
find_password(struct span line, size_t *from, size_t *to)
{
    static const char key[] = "password";
    for (size_t i = 0; i + sizeof key - 1 < line.n; i++) {
        if (memcmp(line.p + i, key, sizeof key - 1) != 0)
            continue;
        size_t at = i + sizeof key - 1;
        while (at < line.n && strchr("'\" ", line.p[at]) != NULL && line.p[at] != '\0')
            at++;
        if (at == line.n || line.p[at] != ':')
            continue;
        at++;
        while (at < line.n && line.p[at] == ' ')
            at++;
        *from = at;
        *to = line.n;
        return at < line.n;
    }
    return false;
}

static size_t
word_end(struct span line, size_t at)
{
    while (at < line.n && (unsigned char)line.p[at] > ' ')
        at++;
    return at;
}

/* The password in scheme://user:password@host. */
static bool
find_url_password(struct span line, size_t *from, size_t *to)
{
    for (size_t i = 0; i + 3 < line.n; i++) {
        if (memcmp(line.p + i, "://", 3) != 0)
            continue;
        size_t end = word_end(line, i + 3);
        while (end > i + 3 && line.p[end - 1] != '@')
            end--;
        const char *colon = memchr(line.p + i + 3, ':', end - (i + 3));
        if (colon == NULL)
            continue;
        *from = (size_t)(colon - line.p) + 1;
        *to = end - 1;
        return true;
    }
    return false;
}

static size_t
shifted(size_t at, size_t from, size_t to, size_t inside)
{
    if (at <= from)
        return at;
    return at < to ? inside : at - (to - from) + strlen(MASK);
}

static void
mask(struct excerpt *x, struct span line)
{
    size_t from;
    size_t to;
    if (!find_password(line, &from, &to) && !find_url_password(line, &from, &to)) {
        buf_addspan(&x->line, line);
        return;
    }
    buf_add(&x->line, line.p, from);
    buf_adds(&x->line, MASK);
    buf_add(&x->line, line.p + to, line.n - to);
    x->start = shifted(x->start, from, to, from);
    x->end = shifted(x->end, from, to, from + strlen(MASK));
}

static size_t
characters(struct span s)
{
    size_t n = 0;
    for (; s.n > 0; n++)
        utf8_take(&s);
    return n;
}

static size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Appends the first n characters of s, and says with an ellipsis if that is not all. */
static void
add_front(struct buf *out, struct span s, size_t n)
{
    struct span rest = s;
    for (size_t i = 0; i < n && rest.n > 0; i++)
        utf8_take(&rest);
    buf_add(out, s.p, s.n - rest.n);
    if (rest.n > 0)
        buf_adds(out, "…");
}

/* Appends the last characters of s; returns how many characters were written. */
static size_t
add_back(struct buf *out, struct span s)
{
    size_t n = characters(s);
    if (n <= SHOWN_BEFORE + 10) {
        buf_addspan(out, s);
        return n;
    }
    for (size_t i = 0; i < n - SHOWN_BEFORE; i++)
        utf8_take(&s);
    buf_adds(out, "…");
    buf_addspan(out, s);
    return SHOWN_BEFORE + 1;
}

static struct buf
visible(const struct excerpt *x, size_t from, size_t to)
{
    struct buf out = {0};
    if (to > from)
        utf8_visible(&out, (struct span){x->line.p + from, to - from});
    return out;
}

static void
add_caret(struct buf *out, size_t column, size_t width, const char *hint)
{
    buf_addf(out, "      | %*s^", (int)column, "");
    if (hint == NULL) {
        for (size_t i = 1; i < width; i++)
            buf_addc(out, '~');
        buf_addc(out, '\n');
        return;
    }
    struct span rest = span_str(hint);
    while (rest.n > 0) {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t n = end != NULL ? (size_t)(end - rest.p) : rest.n;
        buf_addc(out, ' ');
        utf8_visible(out, (struct span){rest.p, n});
        buf_addc(out, '\n');
        rest = (struct span){rest.p + n + (end != NULL), rest.n - n - (end != NULL)};
        if (rest.n > 0)
            buf_addf(out, "      | %*s ", (int)column, "");
    }
}

static void
add_excerpt(struct buf *out, const struct remark *m)
{
    const struct source *s = m->at.source;
    struct span line = source_line(s, m->at.line);
    size_t base = (size_t)(line.p - s->text);
    struct excerpt x = {{0}, source_offset(s, m->at.line, m->at.column) - base,
        source_offset(s, m->at.line, m->at.column + m->at.width) - base};
    mask(&x, line);
    struct buf before = visible(&x, 0, x.start);
    struct buf marked = visible(&x, x.start, x.end);
    struct buf after = visible(&x, x.end, x.line.n);

    buf_addf(out, "%5u | ", m->at.line);
    size_t column = add_back(out, buf_span(&before));
    size_t width = least(characters(buf_span(&marked)), SHOWN_MAX - column);
    add_front(out, buf_span(&marked), width);
    if (width == characters(buf_span(&marked)))
        add_front(out, buf_span(&after), SHOWN_MAX - column - width);
    buf_addc(out, '\n');
    add_caret(out, column, width, m->hint);

    buf_free(&before);
    buf_free(&marked);
    buf_free(&after);
    buf_wipe(&x.line);
}

/* Warnings are one line: they are seen at every start. */
static void
add_remark(struct buf *out, const struct remark *m)
{
    utf8_visible(out, span_str(m->at.source->name));
    if (m->at.line > 0)
        buf_addf(out, ":%u:%u", m->at.line, m->at.column);
    buf_adds(out, m->warning ? ": warning: " : ": error: ");
    utf8_visible(out, span_str(m->text));
    buf_addc(out, '\n');
    if (!m->warning && m->at.line > 0)
        add_excerpt(out, m);
}

static int
compare(unsigned a, unsigned b)
{
    return (a > b) - (a < b);
}

/* Remarks at one place keep the order in which they were made. */
static bool
stands_after(const struct remark *a, const struct remark *b)
{
    int order = compare(a->at.source->order, b->at.source->order);
    if (order == 0)
        order = compare(a->at.line, b->at.line);
    if (order == 0)
        order = compare(a->at.column, b->at.column);
    return order > 0;
}

static void
sort(struct report *r)
{
    for (size_t i = 1; i < r->n; i++) {
        struct remark m = r->v[i];
        size_t at = i;
        for (; at > 0 && stands_after(&r->v[at - 1], &m); at--)
            r->v[at] = r->v[at - 1];
        r->v[at] = m;
    }
}

void
report_write(struct report *r, struct buf *out)
{
    sort(r);
    for (size_t i = 0; i < r->n; i++)
        add_remark(out, &r->v[i]);
    if (r->errors > REPORT_MAX)
        buf_adds(out, "too many errors\n");
    if (r->warnings > REPORT_MAX)
        buf_adds(out, "too many warnings\n");
}
