/* SPDX-License-Identifier: ISC */
/* Dates of RFC 5322 section 3.3 with the deviations found in the wild, word by word. Only words are
 * changed; reading the date is the library's business. A date is short: of a longer field only the
 * beginning is read. */
#include "mail/date.h"

enum { DATE_MAX = 128 };

/* Names that only one zone has; the American ones and UT are known to everybody. */
static const struct {
    const char *name;
    const char *offset;
} zones[] = {
    {"Z", "+0000"},
    {"UTC", "+0000"},
    {"WET", "+0000"},
    {"WEST", "+0100"},
    {"CET", "+0100"},
    {"MET", "+0100"},
    {"MEZ", "+0100"},
    {"CEST", "+0200"},
    {"MEST", "+0200"},
    {"MESZ", "+0200"},
    {"EET", "+0200"},
    {"EEST", "+0300"},
    {"MSK", "+0300"},
    {"HKT", "+0800"},
    {"SGT", "+0800"},
    {"AWST", "+0800"},
    {"JST", "+0900"},
    {"KST", "+0900"},
    {"AEST", "+1000"},
    {"AEDT", "+1100"},
    {"NZST", "+1200"},
    {"NZDT", "+1300"},
};

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Whether s looks as the shape does: '0' stands for any digit. */
static bool
has_shape(struct span s, const char *shape)
{
    size_t n = strlen(shape);
    if (s.n < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (shape[i] == '0' ? !is_digit(s.p[i]) : s.p[i] != shape[i])
            return false;
    return true;
}

static struct span
skip(struct span s, size_t n)
{
    return (struct span){s.p + n, s.n - n};
}

static bool
is_offset(struct span s)
{
    return s.n >= 5 && (s.p[0] == '+' || s.p[0] == '-') &&
           ((s.n == 5 && has_shape(skip(s, 1), "0000")) ||
               (s.n == 6 && has_shape(skip(s, 1), "00:00")));
}

/* +0200, +02:00, GMT+0200, UTC+02:00, a name of the table; false for any other word. */
static bool
add_zone(struct buf *out, struct span word)
{
    bool prefixed = span_istarts(word, SPAN("GMT")) || span_istarts(word, SPAN("UTC"));
    struct span offset = prefixed ? skip(word, 3) : word;
    if (is_offset(offset)) {
        buf_add(out, offset.p, 3);
        buf_add(out, offset.p + offset.n - 2, 2);
        return true;
    }
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        if (span_ieq(word, span_str(zones[i].name))) {
            buf_adds(out, zones[i].offset);
            return true;
        }
    }
    return false;
}

/* A time may have a leap second, which no calendar of seconds knows; and "." for ":". */
static void
add_time(struct buf *out, struct span s)
{
    buf_addf(out, "%.2s:%.2s:%.2s", s.p, s.p + 3, s.n > 7 && s.p[6] == '6' ? "59" : s.p + 6);
}

/* The zone behind a time, which may be glued to it, as a fraction may. */
static void
add_rest(struct buf *out, struct span rest)
{
    if (rest.n > 0 && rest.p[0] == '.')
        do
            rest = skip(rest, 1);
        while (rest.n > 0 && is_digit(rest.p[0]));
    if (rest.n == 0)
        return;
    buf_addc(out, ' ');
    if (!add_zone(out, rest))
        buf_addspan(out, rest);
}

/* 2003-07-01T10:52:37.123Z */
static bool
add_iso(struct buf *out, struct span word)
{
    static const struct span day = SPAN("0000-00-00T");
    if (!has_shape(word, day.p) || !has_shape(skip(word, day.n), "00:00:00"))
        return false;
    buf_add(out, word.p, day.n - 1);
    buf_addc(out, ' ');
    add_time(out, skip(word, day.n));
    add_rest(out, skip(word, day.n + 8));
    return true;
}

static bool
is_time(struct span word)
{
    return has_shape(word, "00:00:00") || (word.n == 8 && has_shape(word, "00.00.00"));
}

/* "126" is what a clock counts from 1900. */
static bool
is_counted_year(struct span word)
{
    return word.n == 3 && has_shape(word, "000");
}

static void
add_word(struct buf *out, struct span word)
{
    if (out->n > 0)
        buf_addc(out, ' ');
    if (is_time(word)) {
        add_time(out, word);
        add_rest(out, skip(word, 8));
    } else if (is_counted_year(word)) {
        buf_addf(out, "%d%.2s", 19 + word.p[0] - '0', word.p + 1);
    } else if (!add_iso(out, word) && !add_zone(out, word)) {
        buf_addspan(out, word);
    }
}

/* The index behind the comment at i, or the end. */
static size_t
behind_comment(struct span s, size_t i)
{
    size_t depth = 0;
    do {
        depth += s.p[i] == '(';
        depth -= s.p[i] == ')';
        i++;
    } while (i < s.n && depth > 0);
    return i;
}

static struct span
next_word(struct span *rest)
{
    size_t start = 0;
    while (start < rest->n && (unsigned char)rest->p[start] <= ' ')
        start++;
    size_t end = start;
    while (end < rest->n && (unsigned char)rest->p[end] > ' ')
        end++;
    struct span word = {rest->p + start, end - start};
    *rest = skip(*rest, end);
    return word;
}

/* Comments are blanks, and blanks around a colon are nothing. */
static void
close_gaps(struct buf *out, struct span s)
{
    for (size_t i = 0; i < s.n;) {
        bool comment = s.p[i] == '(';
        bool blank = comment || (unsigned char)s.p[i] <= ' ';
        if (s.p[i] == ':')
            while (out->n > 0 && out->p[out->n - 1] == ' ')
                buf_cut(out, out->n - 1);
        if (!blank)
            buf_addc(out, s.p[i]);
        else if (out->n > 0 && out->p[out->n - 1] != ':')
            buf_addc(out, ' ');
        i = comment ? behind_comment(s, i) : i + 1;
    }
}

enum date_half
date_tidy(struct buf *out, struct span raw)
{
    enum date_half half = DATE_24H;
    struct buf plain = {0};
    close_gaps(&plain, (struct span){raw.p, raw.n < DATE_MAX ? raw.n : DATE_MAX});
    struct span rest = {buf_str(&plain), plain.n};
    struct span word;
    while ((word = next_word(&rest)).n > 0) {
        if (span_ieq(word, SPAN("AM")))
            half = DATE_AM;
        else if (span_ieq(word, SPAN("PM")))
            half = DATE_PM;
        else
            add_word(out, word);
    }
    buf_free(&plain);
    return half;
}
