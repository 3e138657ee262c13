/* SPDX-License-Identifier: ISC */
/* The data of a response as a tree, read from a whole response at once: lex has already found its
 * end. Forgiving about everything that leaves the tree meaningful (stray parentheses, odd atoms);
 * depth and count are bounded. RFC 3501 section 9. */
#include "imap/value.h"

#include "base/mem.h"

#include <stdlib.h>

struct parser {
    struct value_tree *tree;
    struct span rest;
    size_t open[VALUE_DEPTH]; /* the lists we are in */
    size_t depth;
};

static int
add(struct parser *p, enum value_type type, struct span text)
{
    struct value_tree *t = p->tree;
    if (t->n == VALUE_COUNT)
        return -1;
    if (t->n == t->cap) {
        t->cap = t->cap > 0 ? t->cap * 2 : 16;
        t->v = xreallocarray(t->v, t->cap, sizeof *t->v);
    }
    t->v[t->n++] = (struct value){.type = type, .width = 1, .text = text};
    return 0;
}

/* The first n bytes of the rest. */
static struct span
eat(struct parser *p, size_t n)
{
    struct span s = {p->rest.p, n};
    p->rest.p += n;
    p->rest.n -= n;
    return s;
}

static int
open_list(struct parser *p)
{
    if (p->depth == VALUE_DEPTH || add(p, VALUE_LIST, (struct span){0}) < 0)
        return -1;
    eat(p, 1);
    p->open[p->depth++] = p->tree->n - 1;
    return 0;
}

static void
end_list(struct parser *p)
{
    size_t list = p->open[--p->depth];
    p->tree->v[list].width = (unsigned)(p->tree->n - list);
}

static void
close_list(struct parser *p)
{
    eat(p, 1);
    if (p->depth > 0)
        end_list(p);
}

/* Where the string that begins at p->rest ends (its closing quote), or 0. */
static size_t
closing_quote(struct span s, bool *escaped)
{
    *escaped = false;
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '"')
            return i;
        if (s.p[i] == '\\') {
            *escaped = true;
            i++;
        }
    }
    return 0;
}

static struct span
unquote(struct parser *p, struct span s)
{
    struct buf *b = &p->tree->unquoted;
    size_t start = b->n; /* room for all of them was made before: what stands there never moves */
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 1 < s.n)
            i++;
        buf_addc(b, s.p[i]);
    }
    return (struct span){b->p + start, b->n - start};
}

static int
quoted(struct parser *p)
{
    bool escaped;
    size_t end = closing_quote(p->rest, &escaped);
    if (end == 0)
        return -1;
    struct span s = eat(p, end + 1);
    s = (struct span){s.p + 1, s.n - 2};
    return add(p, VALUE_STRING, escaped ? unquote(p, s) : s);
}

/* `{5}\r\n` and five bytes, with the line end that only lex can have put there. */
static bool
is_literal(struct span s, size_t *head, size_t *size)
{
    const char *brace = memchr(s.p, '}', s.n);
    if (s.p[0] != '{' || brace == NULL)
        return false;
    size_t n = (size_t)(brace - s.p);
    struct span digits = {s.p + 1, n - 1};
    if (digits.n > 0 && digits.p[digits.n - 1] == '+')
        digits.n--;
    uint64_t number;
    if (value_number(digits, s.n, &number) < 0 || s.n < n + 3 ||
        memcmp(s.p + n + 1, "\r\n", 2) != 0)
        return false;
    *head = n + 3;
    *size = (size_t)number;
    return *size <= s.n - *head;
}

static size_t
atom_length(struct span s)
{
    size_t i = 0;
    if (span_istarts(s, SPAN("BODY[")) || span_istarts(s, SPAN("BINARY["))) {
        const char *bracket = memchr(s.p, ']', s.n);
        i = bracket != NULL ? (size_t)(bracket - s.p) : 0;
    }
    while (i < s.n && s.p[i] != ' ' && s.p[i] != '(' && s.p[i] != ')')
        i++;
    return i;
}

static int
atom(struct parser *p)
{
    size_t head;
    size_t size;
    if (is_literal(p->rest, &head, &size)) {
        eat(p, head);
        return add(p, VALUE_STRING, eat(p, size));
    }
    struct span s = eat(p, atom_length(p->rest));
    if (span_eq(s, SPAN("{}")))
        return add(p, VALUE_STREAMED, (struct span){0});
    return add(p, span_ieq(s, SPAN("NIL")) ? VALUE_NIL : VALUE_ATOM, s);
}

static int
parse_one(struct parser *p)
{
    switch (p->rest.p[0]) {
    case ' ':
        eat(p, 1);
        return 0;
    case '(':
        return open_list(p);
    case ')':
        close_list(p);
        return 0;
    case '"':
        return quoted(p);
    default:
        return atom(p);
    }
}

int
value_parse(struct value_tree *t, struct span text)
{
    struct parser p = {.tree = t, .rest = text};
    t->n = 0;
    buf_clear(&t->unquoted);
    if (text.n > 0 && memchr(text.p, '\\', text.n) != NULL)
        buf_room(&t->unquoted, text.n);
    int result = 0;
    while (p.rest.n > 0 && result == 0)
        result = parse_one(&p);
    while (p.depth > 0)
        end_list(&p);
    return result;
}

void
value_free(struct value_tree *t)
{
    free(t->v);
    buf_free(&t->unquoted);
    *t = (struct value_tree){0};
}

bool
value_is(const struct value *v, struct span atom)
{
    return v->type == VALUE_ATOM && span_ieq(v->text, atom);
}

int
value_number(struct span text, uint64_t max, uint64_t *number)
{
    uint64_t n = 0;
    if (text.n == 0)
        return -1;
    for (size_t i = 0; i < text.n; i++) {
        unsigned digit = (unsigned)((unsigned char)text.p[i] - '0');
        if (digit > 9 || n > (UINT64_MAX - digit) / 10)
            return -1;
        n = n * 10 + digit;
    }
    if (n > max)
        return -1;
    *number = n;
    return 0;
}

struct span
value_word(struct span *s)
{
    *s = span_trim(*s);
    if (s->n == 0)
        return *s;
    size_t n = 0;
    while (n < s->n && s->p[n] != ' ')
        n++;
    struct span word = {s->p, n};
    *s = span_trim((struct span){s->p + n, s->n - n});
    return word;
}

struct span
value_behind(struct span s, struct span phrase)
{
    for (; phrase.n > 0 && s.n >= phrase.n; s.p++, s.n--)
        if (span_istarts(s, phrase))
            return (struct span){s.p + phrase.n, s.n - phrase.n};
    return (struct span){0};
}
