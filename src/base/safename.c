/* SPDX-License-Identifier: ISC */
/* A name is a stem and an extension, so that a cut or a number leaves "invoice.pdf" a PDF. Only the
 * characters of the result decide: never what the name pretends to be. Numbers are searched in one
 * walk over the names taken, since a message may hold a thousand attachments of one name. */
#include "base/safename.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

enum {
    EXTENSION_MAX = 16, /* bytes with its dot; what is longer is none */
    NUMBER_MAX = 11,    /* bytes of "-4294967295" */
};

struct name {
    struct span stem;
    struct span extension; /* with its dot, or empty */
};

static struct span
last_part(const char *path)
{
    struct span part = span_str(path);
    for (const char *p = path; *p != '\0'; p++)
        if (*p == '/' || *p == '\\')
            part = span_str(p + 1);
    return part;
}

static bool
is_leading(char c)
{
    return c == '.' || c == '-' || c == ' ';
}

/* Invisible characters go after control characters have become spaces, and the trimming comes last:
 * what was hidden between the spaces at an end is gone by then. */
static void
clean(struct buf *out, struct span wanted)
{
    struct buf line = {0};
    struct buf visible = {0};
    utf8_line(&line, wanted);
    utf8_visible(&visible, buf_span(&line));
    struct span s = span_trim(buf_span(&visible));
    while (s.n > 0 && is_leading(*s.p))
        s = (struct span){s.p + 1, s.n - 1};
    buf_addspan(out, s);
    buf_free(&line);
    buf_free(&visible);
}

static struct name
divide(struct span s)
{
    for (size_t n = s.n; n > 1; n--) {
        size_t dot = n - 1;
        size_t length = s.n - dot;
        if (length > EXTENSION_MAX)
            break;
        if (s.p[dot] == '.' && length > 1)
            return (struct name){{s.p, dot}, {s.p + dot, length}};
    }
    return (struct name){s, {s.p + s.n, 0}};
}

/* The stem, such that `room` bytes more fit behind it. */
static struct span
cut(struct name name, size_t room)
{
    size_t most = SAFENAME_MAX - name.extension.n - room;
    return name.stem.n <= most ? name.stem : span_trim(utf8_cut(name.stem, most));
}

static bool
is_taken(const struct strv *taken, struct span name)
{
    for (size_t i = 0; i < taken->n; i++)
        if (span_ieq(span_str(taken->v[i]), name))
            return true;
    return false;
}

/* The number in "stem-NUMBER.extension", 0 if the string is something else. */
static size_t
number_in(struct span s, struct span stem, struct span extension)
{
    if (s.n <= stem.n + 1 + extension.n || s.n > SAFENAME_MAX)
        return 0;
    struct span end = {s.p + s.n - extension.n, extension.n};
    if (!span_istarts(s, stem) || s.p[stem.n] != '-' || !span_ieq(end, extension))
        return 0;
    size_t number = 0;
    for (const char *p = s.p + stem.n + 1; p < end.p; p++) {
        if (*p < '0' || *p > '9' || number > UINT32_MAX / 10)
            return 0;
        number = number * 10 + (size_t)(*p - '0');
    }
    return number;
}

/* The lowest number from `first` on that makes a new name: one of n + 1 is free of n. */
static size_t
free_number(const struct strv *taken, struct span stem, struct span extension, size_t first)
{
    size_t end = first + taken->n + 1;
    bool *used = xcalloc(end, sizeof *used);
    for (size_t i = 0; i < taken->n; i++) {
        size_t number = number_in(span_str(taken->v[i]), stem, extension);
        if (number < end)
            used[number] = true;
    }
    while (used[first])
        first++;
    free(used);
    return first;
}

static void
add_numbered(struct buf *out, struct name name, const struct strv *taken, size_t first)
{
    struct span stem = cut(name, NUMBER_MAX);
    buf_addspan(out, stem);
    buf_addf(out, "-%zu", free_number(taken, stem, name.extension, first));
    buf_addspan(out, name.extension);
}

void
safename(struct buf *out, const char *wanted, const struct strv *taken)
{
    struct buf all = {0};
    struct buf plain = {0};
    clean(&all, last_part(wanted));
    struct name name = divide(buf_span(&all));
    buf_addspan(&plain, cut(name, 0));
    buf_addspan(&plain, name.extension);
    if (plain.n == 0)
        add_numbered(out, (struct name){SPAN("attachment"), SPAN("")}, taken, 1);
    else if (is_taken(taken, buf_span(&plain)))
        add_numbered(out, name, taken, 2);
    else
        buf_addspan(out, buf_span(&plain));
    buf_free(&all);
    buf_free(&plain);
}
