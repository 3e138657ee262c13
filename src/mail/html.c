/* SPDX-License-Identifier: ISC */
/* Text from HTML through libxml2's push parser: no tree is built, its events are laid out as they
 * come. The parser gets what mail/thin.h leaves, so entities and broken markup are its business,
 * and nesting and attributes, which cost it the square of their number, are none. */
#include "mail/html.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "mail/charset.h"
#include "mail/thin.h"

#include <libxml/HTMLparser.h>
#include <stdlib.h>

struct layout {
    struct buf *out;
    size_t start; /* of out */
    size_t most;
    struct buf line; /* the one that is written */
    bool space;      /* white space was seen since the last character */
    bool item;       /* the line begins an item */
    bool verbatim;
    bool empty_line; /* the last line in out is empty */
    const char *to;  /* the attribute of the mark that is applied, or "" */
    bool linking;
    struct buf target;
    struct buf linked; /* the text of the link so far */
};

static bool
is_full(const struct layout *l)
{
    return l->out->n - l->start >= l->most;
}

static bool
is_space(uint32_t cp)
{
    return cp == ' ' || (cp >= '\t' && cp <= '\r') || cp == 0xA0 || cp == 0x202F || cp == 0x205F ||
           (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029;
}

/* There is no empty line at the beginning, and no second one. */
static void
put_line(struct layout *l)
{
    while (l->line.n > 0 && strchr(" \t", l->line.p[l->line.n - 1]) != NULL)
        buf_cut(&l->line, l->line.n - 1);
    bool first = l->out->n == l->start;
    bool empty = l->line.n == 0;
    if (empty && (first || l->empty_line))
        return;
    l->empty_line = empty;
    buf_addspan(l->out, buf_span(&l->line));
    buf_addc(l->out, '\n');
    buf_clear(&l->line);
}

/* The line ends if it was begun. */
static void
end_line(struct layout *l)
{
    if (l->line.n > 0)
        put_line(l);
    l->space = false;
}

static void
break_line(struct layout *l)
{
    put_line(l);
    l->space = false;
}

static void
begin_text(struct layout *l)
{
    if (l->line.n == 0 && l->item)
        buf_adds(&l->line, "- ");
    else if (l->space && l->line.n > 0 && l->line.p[l->line.n - 1] != '\t')
        buf_addc(&l->line, ' ');
    l->item = false;
    l->space = false;
}

static void
add_char(struct layout *l, uint32_t cp)
{
    if (l->verbatim && cp == '\n') {
        break_line(l);
    } else if (l->verbatim && (cp == ' ' || cp == '\t' || cp == 0xA0)) {
        buf_addc(&l->line, cp == '\t' ? '\t' : ' ');
    } else if (is_space(cp)) {
        l->space = true;
        if (l->linking && l->linked.n > 0)
            buf_addc(&l->linked, ' ');
    } else {
        begin_text(l);
        utf8_add(&l->line, cp);
        if (l->linking)
            utf8_add(&l->linked, cp);
    }
}

static bool
leads_nowhere(struct span target)
{
    static const char *const schemes[] = {
        "#", "javascript:", "vbscript:", "data:", "cid:", "about:"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (span_istarts(target, span_str(schemes[i])))
            return true;
    return target.n == 0;
}

/* What of the target a person would write: without scheme, and without the slash at the end. */
static struct span
bare_target(struct span target)
{
    static const char *const schemes[] = {"https://", "http://", "mailto:", "tel:"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t n = strlen(schemes[i]);
        if (span_istarts(target, span_str(schemes[i]))) {
            target = (struct span){target.p + n, target.n - n};
            break;
        }
    }
    if (target.n > 0 && target.p[target.n - 1] == '/')
        target.n--;
    return target;
}

static bool
holds(struct span text, struct span part)
{
    return part.n == 0 || (text.n > 0 && memmem(text.p, text.n, part.p, part.n) != NULL);
}

static void
end_link(struct layout *l)
{
    struct span target = span_trim(buf_span(&l->target));
    bool shown = leads_nowhere(target) || holds(buf_span(&l->linked), bare_target(target));
    if (l->linking && !shown) {
        l->space |= l->line.n > 0;
        begin_text(l);
        buf_addc(&l->line, '[');
        buf_addspan(&l->line, target);
        buf_addc(&l->line, ']');
    }
    l->linking = false;
    buf_clear(&l->target);
    buf_clear(&l->linked);
}

static void
begin_link(struct layout *l)
{
    end_link(l);
    l->linking = true;
    struct span rest = span_str(l->to);
    while (rest.n > 0) {
        uint32_t cp = utf8_take(&rest);
        if (!is_space(cp) || cp == ' ')
            utf8_add(&l->target, cp);
    }
}

static void
begin_item(struct layout *l)
{
    end_line(l);
    l->item = true;
}

static void
end_item(struct layout *l)
{
    end_line(l);
    l->item = false;
}

static void
add_cell(struct layout *l)
{
    if (l->line.n > 0 && l->line.p[l->line.n - 1] != '\t')
        buf_addc(&l->line, '\t');
    l->space = false;
}

static void
begin_verbatim(struct layout *l)
{
    end_line(l);
    l->verbatim = true;
    l->empty_line = true; /* the line end behind <pre> is none */
}

static void
end_verbatim(struct layout *l)
{
    end_line(l);
    l->verbatim = false;
}

/* The marks of mail/thin.h. */
static const struct {
    const char *name;
    void (*apply)(struct layout *l);
} marks[] = {
    {"block", end_line},
    {"line", break_line},
    {"item", begin_item},
    {"done", end_item},
    {"cell", add_cell},
    {"link", begin_link},
    {"linked", end_link},
    {"verbatim", begin_verbatim},
    {"folded", end_verbatim},
};

static void
on_start(void *arg, const xmlChar *name, const xmlChar **attributes)
{
    struct layout *l = arg;
    bool has_value = attributes != NULL && attributes[0] != NULL && attributes[1] != NULL;
    if (is_full(l))
        return;
    l->to = has_value ? (const char *)attributes[1] : "";
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strcmp((const char *)name, marks[i].name) == 0)
            marks[i].apply(l);
}

/* A number that means a character of Windows-1252, as those of its range always do in HTML. */
static uint32_t
character(uint32_t cp)
{
    if (cp < 0x80 || cp > 0x9F)
        return cp;
    char byte = (char)cp;
    struct buf b = {0};
    charset_western(&b, (struct span){&byte, 1});
    struct span s = buf_span(&b);
    cp = utf8_take(&s);
    buf_free(&b);
    return cp;
}

static void
on_text(void *arg, const xmlChar *text, int length)
{
    struct layout *l = arg;
    struct span rest = {(const char *)text, length > 0 ? (size_t)length : 0};
    while (rest.n > 0 && !is_full(l))
        add_char(l, character(utf8_take(&rest)));
}

/* Out of memory ends the program in libxml2 as it does everywhere. */
void
html_prepare(void)
{
    static bool done;
    if (!done && xmlMemSetup(free, xmalloc, xrealloc, xstrdup) == 0)
        xmlInitParser();
    done = true;
}

static bool
is_alnum(char c)
{
    char lower = (char)(c | 0x20);
    return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z');
}

/* The length of the longest name of a character at the front of s that lacks its semicolon and may:
 * those of Latin-1. 0 if there is none. */
static size_t
unclosed_name(struct span s)
{
    char name[8] = "";
    size_t run = 0;
    while (run < s.n && run < 32 && is_alnum(s.p[run]))
        run++;
    if (run < s.n && s.p[run] == ';')
        return 0;
    size_t n = run < sizeof name ? run : sizeof name - 1;
    memcpy(name, s.p, n);
    for (; n > 1; n--) {
        name[n] = '\0';
        const htmlEntityDesc *entity = htmlEntityLookup((const xmlChar *)name);
        if (entity != NULL && entity->value < 256)
            return n;
    }
    return 0;
}

/* Copies with the semicolons that libxml2 wants. */
static void
close_names(struct buf *out, struct span s)
{
    while (s.n > 0) {
        const char *mark = memchr(s.p, '&', s.n);
        size_t n = mark != NULL ? (size_t)(mark - s.p) + 1 : s.n;
        buf_add(out, s.p, n);
        s = (struct span){s.p + n, s.n - n};
        size_t name = mark != NULL ? unclosed_name(s) : 0;
        if (name == 0)
            continue;
        buf_add(out, s.p, name);
        buf_addc(out, ';');
        s = (struct span){s.p + name, s.n - name};
    }
}

static void
parse(struct layout *l, struct span thin)
{
    htmlSAXHandler events = {
        .startElement = on_start,
        .characters = on_text,
        .ignorableWhitespace = on_text,
        .cdataBlock = on_text,
    };
    htmlParserCtxtPtr parser =
        htmlCreatePushParserCtxt(&events, l, NULL, 0, NULL, XML_CHAR_ENCODING_UTF8);
    htmlCtxtUseOptions(parser, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                   HTML_PARSE_NONET | HTML_PARSE_NODEFDTD);
    htmlParseChunk(parser, thin.p, (int)thin.n, 0);
    htmlParseChunk(parser, NULL, 0, 1);
    htmlFreeParserCtxt(parser);
}

static void
finish(struct layout *l)
{
    end_link(l);
    end_line(l);
    struct span text = {buf_str(l->out) + l->start, l->out->n - l->start};
    while (text.n > 1 && text.p[text.n - 1] == '\n' && text.p[text.n - 2] == '\n')
        text.n--;
    buf_cut(l->out, l->start + utf8_cut(text, l->most).n);
    buf_free(&l->line);
    buf_free(&l->target);
    buf_free(&l->linked);
}

void
html_text(struct buf *out, struct span html, size_t most)
{
    struct layout l = {.out = out, .start = out->n, .most = most};
    struct buf valid = {0};
    struct buf thin = {0};
    html_prepare();
    utf8_repair(&valid, utf8_cut(html, HTML_MAX));
    thin_html(&thin, buf_span(&valid));
    buf_clear(&valid);
    close_names(&valid, buf_span(&thin));
    if (valid.n > 0)
        parse(&l, buf_span(&valid));
    finish(&l);
    buf_free(&valid);
    buf_free(&thin);
}
