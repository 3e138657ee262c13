/* SPDX-License-Identifier: ISC */
/* Parameters, RFC 2045 section 5.1 with RFC 2231, and what is made of them: semicolons forgotten,
 * blanks around '=' and inside values without quotes, quotes inside quotes or never closed,
 * backslashes of Windows paths, pieces out of order, percents without a charset, the charset form
 * without its star. One pass over the field, which is capped, and a sort of its pieces. What the
 * bytes mean as text is refused to be known here. */
#include "mail/param.h"

#include "base/mem.h"
#include "mail/charset.h"

#include <stdlib.h>

enum { PLAIN = -1, INDEX_MAX = 100000 };

/* One parameter as it stands in the field. */
struct pair {
    struct span name;
    struct span value; /* without the quotes around it */
    bool quoted;
};

/* One that was asked for. */
struct piece {
    int index;     /* name*3; PLAIN without a number */
    bool extended; /* name*3* or name*: percents */
    size_t order;  /* in the field */
    struct pair pair;
};

struct pieces {
    struct piece *v;
    size_t n;
};

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void
advance(struct span *s, size_t n)
{
    s->p += n;
    s->n -= n;
}

static size_t
blanks_at(struct span s, size_t i)
{
    while (i < s.n && is_blank(s.p[i]))
        i++;
    return i;
}

struct span
param_value(struct span field)
{
    if (field.n == 0)
        return field;
    size_t from = blanks_at(field, 0);
    size_t end = from;
    while (end < field.n && !is_blank(field.p[end]) && strchr(";,(=", field.p[end]) == NULL)
        end++;
    bool is_pair = end < field.n && field.p[end] == '='; /* the value was forgotten */
    return (struct span){field.p + from, is_pair ? 0 : end - from};
}

static bool
is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '*' ||
           c == '-' || c == '_';
}

/* Whether `name=` stands at i. */
static bool
pair_begins(struct span s, size_t i)
{
    size_t end = i;
    while (end < s.n && is_name_char(s.p[end]))
        end++;
    return end > i && end < s.n && s.p[end] == '=';
}

/* Whether a value may end before i: nothing is left, or what separates it from the next. */
static bool
value_ends(struct span s, size_t i)
{
    size_t next = blanks_at(s, i);
    return next == s.n || s.p[next] == ';' || (next > i && pair_begins(s, next)) ||
           (next > i && s.p[next] == '(');
}

/* The index of the quote that closes the one at 0: the first that can end a value, for quotes are
 * forgotten to be escaped inside; else the first there is; else 0. */
static size_t
closing_quote(struct span s)
{
    size_t first = 0;
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 1 < s.n) {
            i++;
        } else if (s.p[i] == '"') {
            if (value_ends(s, i + 1))
                return i;
            if (first == 0)
                first = i;
        } else if (s.p[i] == ';' && first != 0) {
            break;
        }
    }
    return first;
}

static size_t
plain_length(struct span s)
{
    size_t i = 0;
    while (i < s.n && s.p[i] != ';') {
        if (is_blank(s.p[i]) && pair_begins(s, blanks_at(s, i)))
            break;
        i = is_blank(s.p[i]) ? blanks_at(s, i) : i + 1;
    }
    return i;
}

static void
take_value(struct span *rest, struct pair *p)
{
    advance(rest, blanks_at(*rest, 0));
    size_t close = rest->n > 0 && rest->p[0] == '"' ? closing_quote(*rest) : 0;
    p->quoted = close > 0;
    if (p->quoted) {
        p->value = (struct span){rest->p + 1, close - 1};
        advance(rest, close + 1);
        return;
    }
    if (rest->n > 0 && rest->p[0] == '"')
        advance(rest, 1);
    size_t n = plain_length(*rest);
    p->value = span_trim((struct span){rest->p, n});
    advance(rest, n);
}

/* The last word before '=': in front of it stands what is no parameter. */
static struct span
last_word(struct span s)
{
    s = span_trim(s);
    size_t from = s.n;
    while (from > 0 && !is_blank(s.p[from - 1]) && s.p[from - 1] != ')')
        from--;
    return (struct span){s.p + from, s.n - from};
}

static bool
next_pair(struct span *rest, struct pair *p)
{
    while (rest->n > 0) {
        size_t i = 0;
        while (i < rest->n && rest->p[i] != '=' && rest->p[i] != ';')
            i++;
        struct span name = {rest->p, i};
        bool has_value = i < rest->n && rest->p[i] == '=';
        advance(rest, i < rest->n ? i + 1 : i);
        if (!has_value)
            continue;
        p->name = last_word(name);
        take_value(rest, p);
        return true;
    }
    return false;
}

/* Whether the pair is a piece of the parameter: `name`, `name*`, `name*3`, `name*3*`. */
static bool
is_piece(const struct pair *pair, struct span name, struct piece *piece)
{
    struct span s = pair->name;
    if (!span_istarts(s, name))
        return false;
    advance(&s, name.n);
    *piece = (struct piece){.index = PLAIN, .pair = *pair};
    if (s.n > 1 && s.p[s.n - 1] == '*') {
        piece->extended = true;
        s.n--;
    } else if (s.n == 1 && s.p[0] == '*') {
        piece->extended = true;
        return true;
    }
    if (s.n == 0)
        return true;
    if (s.p[0] != '*' || s.n == 1)
        return false;
    piece->index = 0;
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || piece->index > INDEX_MAX)
            return false;
        piece->index = piece->index * 10 + (s.p[i] - '0');
    }
    return true;
}

static void
pieces_collect(struct pieces *all, struct span field, const char *name)
{
    struct pair pair;
    struct piece piece;
    if (field.n == 0)
        return;
    struct span value = param_value(field);
    struct span rest = {value.p + value.n, (size_t)(field.p + field.n - (value.p + value.n))};
    while (next_pair(&rest, &pair)) {
        if (!is_piece(&pair, span_str(name), &piece))
            continue;
        piece.order = all->n;
        if ((all->n & (all->n - 1)) == 0)
            all->v = xreallocarray(all->v, all->n == 0 ? 1 : 2 * all->n, sizeof *all->v);
        all->v[all->n++] = piece;
    }
}

/* `name*` first, then the numbered ones in their order, then `name`. */
static int
rank(const struct piece *p)
{
    if (p->index != PLAIN)
        return 1;
    return p->extended ? 0 : 2;
}

static int
by_rank(const void *left, const void *right)
{
    const struct piece *a = left;
    const struct piece *b = right;
    if (rank(a) != rank(b))
        return rank(a) < rank(b) ? -1 : 1;
    if (a->index != b->index)
        return a->index < b->index ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static void
add_percents(struct buf *out, struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool triplet = s.p[i] == '%' && i + 2 < s.n && hex_digit(s.p[i + 1]) >= 0 &&
                       hex_digit(s.p[i + 2]) >= 0;
        if (triplet) {
            buf_addc(out, (char)(hex_digit(s.p[i + 1]) << 4 | hex_digit(s.p[i + 2])));
            i += 2;
        } else {
            buf_addc(out, s.p[i]);
        }
    }
}

/* A backslash counts only where it is needed: paths of Windows hold others. */
static void
add_plain(struct buf *out, const struct pair *p)
{
    for (size_t i = 0; i < p->value.n; i++) {
        bool escape = p->quoted && p->value.p[i] == '\\' && i + 1 < p->value.n &&
                      (p->value.p[i + 1] == '"' || p->value.p[i + 1] == '\\');
        buf_addc(out, p->value.p[escape ? ++i : i]);
    }
}

/* Takes charset'language' off the front. */
static bool
take_charset(struct span *value, struct span *charset)
{
    const char *first = value->n > 0 ? memchr(value->p, '\'', value->n) : NULL;
    if (first == NULL)
        return false;
    size_t n = (size_t)(first - value->p);
    const char *second = memchr(first + 1, '\'', value->n - n - 1);
    if (second == NULL)
        return false;
    *charset = (struct span){value->p, n};
    advance(value, (size_t)(second - value->p) + 1);
    return true;
}

static void
add_extended(struct param *out, struct span value)
{
    struct span charset;
    struct span rest = value;
    bool first = out->bytes.n == 0;
    if (take_charset(&rest, &charset) && (first || charset_of(charset) != NULL)) {
        value = rest;
        if (first)
            out->charset = charset;
    }
    add_percents(&out->bytes, value);
}

/* name="UTF-8''a%20b": the star was forgotten. */
static bool
lacks_its_star(const struct piece *p)
{
    struct span charset;
    struct span rest = p->pair.value;
    return p->index == PLAIN && !p->extended && memchr(rest.p, '%', rest.n) != NULL &&
           take_charset(&rest, &charset) && charset_of(charset) != NULL;
}

static void
join(struct param *out, const struct pieces *all)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct piece *p = &all->v[i];
        const struct piece *before = i > 0 ? p - 1 : NULL;
        if (before != NULL && rank(before) != rank(p) && out->bytes.n > 0)
            return;
        if (before != NULL && rank(before) == rank(p) && before->index == p->index)
            continue;
        if (p->pair.value.n == 0)
            continue;
        out->quoted |= p->pair.quoted;
        if (p->extended || lacks_its_star(p))
            add_extended(out, p->pair.value);
        else
            add_plain(&out->bytes, &p->pair);
    }
}

bool
param_find(struct span field, const char *name, struct param *out)
{
    struct pieces all = {0};
    buf_clear(&out->bytes);
    out->charset = (struct span){0};
    out->quoted = false;
    pieces_collect(&all, field, name);
    if (all.n > 1)
        qsort(all.v, all.n, sizeof *all.v, by_rank);
    join(out, &all);
    free(all.v);
    return out->bytes.n > 0;
}

void
param_free(struct param *p)
{
    buf_free(&p->bytes);
}

struct span
param_word(const struct param *p)
{
    struct span s = span_trim(buf_span(&p->bytes));
    size_t n = 0;
    while (n < s.n && !is_blank(s.p[n]))
        n++;
    return (struct span){s.p, n};
}
