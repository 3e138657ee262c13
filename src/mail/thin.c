/* SPDX-License-Identifier: ISC */
/* Tags of HTML, taken off as browsers do: quoted values may hold '>', a '<' before anything but a
 * letter is text, raw text ends only at its own end tag. What comes out has no nesting and at most
 * one attribute a tag, so no reader of it can be made to spend more than the length is worth: the
 * price of nesting, of attributes and of wrong end tags is paid here, and is nothing.
 *
 * One pass: a search that went to the end in vain is not done again. */
#include "mail/thin.h"

enum { LINK_MAX = 8 * 1024 };

enum effect { NOTHING, BLOCK, LINE, ITEM, CELL, LINK, PRE, RAW };

static const struct {
    const char *name;
    enum effect effect;
} elements[] = {
    {"a", LINK},
    {"address", BLOCK},
    {"article", BLOCK},
    {"aside", BLOCK},
    {"blockquote", BLOCK},
    {"body", BLOCK},
    {"br", LINE},
    {"caption", BLOCK},
    {"center", BLOCK},
    {"dd", BLOCK},
    {"details", BLOCK},
    {"dir", BLOCK},
    {"div", BLOCK},
    {"dl", BLOCK},
    {"dt", BLOCK},
    {"fieldset", BLOCK},
    {"figcaption", BLOCK},
    {"figure", BLOCK},
    {"footer", BLOCK},
    {"form", BLOCK},
    {"h1", BLOCK},
    {"h2", BLOCK},
    {"h3", BLOCK},
    {"h4", BLOCK},
    {"h5", BLOCK},
    {"h6", BLOCK},
    {"header", BLOCK},
    {"hr", BLOCK},
    {"legend", BLOCK},
    {"li", ITEM},
    {"main", BLOCK},
    {"menu", BLOCK},
    {"nav", BLOCK},
    {"ol", BLOCK},
    {"option", BLOCK},
    {"p", BLOCK},
    {"pre", PRE},
    {"script", RAW},
    {"section", BLOCK},
    {"style", RAW},
    {"summary", BLOCK},
    {"table", BLOCK},
    {"tbody", BLOCK},
    {"td", CELL},
    {"template", RAW},
    {"tfoot", BLOCK},
    {"th", CELL},
    {"thead", BLOCK},
    {"title", RAW},
    {"tr", BLOCK},
    {"ul", BLOCK},
};

struct thin {
    struct buf *out;
    struct span rest;
    bool no_single; /* no further quote of the kind, or end of a comment, is there */
    bool no_double;
    bool no_comment_end;
};

struct tag {
    struct span name;
    bool end;
    struct span href; /* as written, without quotes */
};

static void
advance(struct thin *t, size_t n)
{
    t->rest.p += n;
    t->rest.n -= n;
}

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f';
}

static bool
is_letter(char c)
{
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'z';
}

static void
skip_space(struct thin *t)
{
    while (t->rest.n > 0 && is_space(t->rest.p[0]))
        advance(t, 1);
}

/* Takes bytes up to white space or one of `ends`. */
static struct span
take_until(struct thin *t, const char *ends)
{
    size_t n = 0;
    while (n < t->rest.n && !is_space(t->rest.p[n]) &&
           (t->rest.p[n] == '\0' || strchr(ends, t->rest.p[n]) == NULL))
        n++;
    struct span taken = {t->rest.p, n};
    advance(t, n);
    return taken;
}

static struct span
take_value(struct thin *t)
{
    char quote = t->rest.n > 0 ? t->rest.p[0] : ' ';
    bool *none = quote == '"' ? &t->no_double : &t->no_single;
    if ((quote == '"' || quote == '\'') && !*none) {
        const char *close = memchr(t->rest.p + 1, quote, t->rest.n - 1);
        *none = close == NULL;
        if (close != NULL) {
            struct span value = {t->rest.p + 1, (size_t)(close - t->rest.p) - 1};
            advance(t, value.n + 2);
            return value;
        }
    }
    return take_until(t, ">");
}

/* Up to the end of the tag; false if it was cut off. */
static bool
take_attributes(struct thin *t, struct tag *tag)
{
    while (skip_space(t), t->rest.n > 0 && t->rest.p[0] != '>') {
        struct span name = take_until(t, "=>/");
        skip_space(t);
        if (t->rest.n > 0 && t->rest.p[0] == '=') {
            advance(t, 1);
            skip_space(t);
            struct span value = take_value(t);
            if (tag->href.p == NULL && span_ieq(name, SPAN("href")))
                tag->href = value;
        } else if (name.n == 0 && t->rest.n > 0 && t->rest.p[0] != '>') {
            advance(t, 1);
        }
    }
    if (t->rest.n == 0)
        return false;
    advance(t, 1);
    return true;
}

static enum effect
effect_of(struct span name)
{
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        if (span_ieq(name, span_str(elements[i].name)))
            return elements[i].effect;
    return NOTHING;
}

/* Whether "&name;" stands at the front: "&copy=1" in a target is no character. */
static bool
is_reference(struct span s)
{
    size_t i = 1;
    while (i < s.n && i < 16 && s.p[i] > ' ' && strchr("&;=/?", s.p[i]) == NULL)
        i++;
    return i > 1 && i < s.n && s.p[i] == ';';
}

static void
add_link(struct buf *out, struct span href)
{
    buf_adds(out, "<link to=\"");
    for (size_t i = 0; href.n <= LINK_MAX && i < href.n; i++) {
        if (href.p[i] == '"')
            buf_adds(out, "&quot;");
        else if (href.p[i] == '<')
            buf_adds(out, "&lt;");
        else if (href.p[i] == '&' && !is_reference((struct span){href.p + i, href.n - i}))
            buf_adds(out, "&amp;");
        else if (href.p[i] != '\0')
            buf_addc(out, href.p[i]);
    }
    buf_adds(out, "\"/>");
}

/* Passes over everything up to the end tag of the raw text. */
static void
skip_raw(struct thin *t, struct span name)
{
    while (t->rest.n > 0) {
        const char *mark = memchr(t->rest.p, '<', t->rest.n);
        if (mark == NULL)
            break;
        advance(t, (size_t)(mark - t->rest.p));
        struct span s = {t->rest.p + 1, t->rest.n - 1};
        if (s.n > name.n && s.p[0] == '/' && span_istarts((struct span){s.p + 1, s.n - 1}, name))
            return;
        advance(t, 1);
    }
    t->rest.n = 0;
}

static void
apply(struct thin *t, const struct tag *tag)
{
    static const struct {
        const char *begin;
        const char *end;
    } marks[] = {
        [NOTHING] = {"", ""},
        [BLOCK] = {"<block/>", "<block/>"},
        [LINE] = {"<line/>", "<line/>"},
        [ITEM] = {"<item/>", "<done/>"},
        [CELL] = {"<cell/>", ""},
        [LINK] = {"", "<linked/>"},
        [PRE] = {"<verbatim/>", "<folded/>"},
        [RAW] = {"", ""},
    };
    enum effect effect = effect_of(tag->name);
    buf_adds(t->out, tag->end ? marks[effect].end : marks[effect].begin);
    if (effect == LINK && !tag->end)
        add_link(t->out, tag->href);
    if (effect == RAW && !tag->end)
        skip_raw(t, tag->name);
}

static void
take_tag(struct thin *t)
{
    struct tag tag = {0};
    advance(t, 1);
    tag.end = t->rest.p[0] == '/';
    if (tag.end)
        advance(t, 1);
    tag.name = take_until(t, ">/");
    if (take_attributes(t, &tag))
        apply(t, &tag);
}

/* A comment, a declaration, a processing instruction. */
static void
skip_declaration(struct thin *t)
{
    const char *end = NULL;
    if (span_istarts(t->rest, SPAN("<!--")) && !t->no_comment_end) {
        end = memmem(t->rest.p + 2, t->rest.n - 2, "-->", 3);
        t->no_comment_end = end == NULL;
    }
    if (end != NULL) {
        advance(t, (size_t)(end - t->rest.p) + 3);
        return;
    }
    end = memchr(t->rest.p, '>', t->rest.n);
    advance(t, end != NULL ? (size_t)(end - t->rest.p) + 1 : t->rest.n);
}

static void
add_text(struct buf *out, struct span s)
{
    while (s.n > 0) {
        const char *nul = memchr(s.p, '\0', s.n);
        size_t n = nul != NULL ? (size_t)(nul - s.p) : s.n;
        buf_add(out, s.p, n);
        n += nul != NULL;
        s = (struct span){s.p + n, s.n - n};
    }
}

void
thin_html(struct buf *out, struct span html)
{
    struct thin t = {.out = out, .rest = html};
    while (t.rest.n > 0) {
        const char *mark = memchr(t.rest.p, '<', t.rest.n);
        size_t n = mark != NULL ? (size_t)(mark - t.rest.p) : t.rest.n;
        add_text(out, (struct span){t.rest.p, n});
        advance(&t, n);
        if (t.rest.n == 0)
            break;
        char next = t.rest.n > 1 ? t.rest.p[1] : ' ';
        char after = t.rest.n > 2 ? t.rest.p[2] : ' ';
        if (is_letter(next) || (next == '/' && is_letter(after))) {
            take_tag(&t);
        } else if (next == '!' || next == '?' || next == '/') {
            skip_declaration(&t);
        } else {
            buf_adds(out, "&lt;");
            advance(&t, 1);
        }
    }
}
