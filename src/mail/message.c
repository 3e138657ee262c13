/* SPDX-License-Identifier: ISC */
/* A message and its parts: the structure (mail/tree), what a part holds without its encodings
 * (mail/transfer, charsets here), what of it is the text and what an attachment. Attachments are
 * decoded piece by piece, of a text only as much as is shown, so a message of any size costs its
 * own bytes and a little more.
 *
 * GMime converts charsets and reads dates here. Its parser and its decoders are not used: the first
 * recurses once per group and spends minutes on boundaries on the sender's say, the others lose
 * what comes behind padding, or before a padding that was forgotten. */
#include "mail/message.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "mail/block.h"
#include "mail/charset.h"
#include "mail/date.h"
#include "mail/head.h"
#include "mail/html.h"
#include "mail/param.h"
#include "mail/text.h"
#include "mail/transfer.h"
#include "mail/tree.h"
#include "mail/words.h"

#include <assert.h>
#include <errno.h>
#include <gmime/gmime.h>
#include <stdlib.h>

enum {
    ENCODED_MAX = 4 * 1024 * 1024, /* bytes of all texts that are looked at, in their encoding */
    DECODED_MAX = 1024 * 1024,     /* … and of each without it */
    INNER_HEAD_MAX = 64 * 1024, /* bytes of a message inside in which its subject is looked for */
    META_MAX = 1024,            /* bytes of HTML in which it may name its charset */
};

struct message {
    struct span bytes;
    struct tree tree;
    size_t *attachments; /* indices of nodes */
    size_t n_attachments;
    bool more_attachments;
};

struct part {
    struct transfer transfer;
    struct buf piece;
    size_t at; /* so much of the piece was read */
};

/* How much may still be looked at. */
struct budget {
    size_t encoded;
    size_t decoded; /* of each part */
};

/* A text being put together. */
struct reader {
    const struct tree *tree;
    struct buf text;
    struct budget budget;
    bool truncated;
};

static void
gmime_once(void)
{
    static bool done;
    if (!done)
        g_mime_init();
    done = true;
}

static iconv_t
open_converter(const char *name)
{
    iconv_t cd = g_mime_iconv_open("UTF-8", name);
    if (cd == (iconv_t)-1 && strcmp(name, "EUC-JP-MS") == 0) /* not known everywhere */
        cd = g_mime_iconv_open("UTF-8", "EUC-JP");
    return cd;
}

/* The converter for a name of charset_of(), in its initial state. They are few, so each stays open:
 * opening costs more than a word takes, and GMime's own cache forgets too soon for a mail that
 * changes its charset with every word. */
static iconv_t
converter(const char *name)
{
    static struct {
        const char *name;
        iconv_t cd;
    } known[64];
    static size_t n;
    size_t i = 0;
    while (i < n && strcmp(known[i].name, name) != 0)
        i++;
    if (i == n) {
        assert(n < sizeof known / sizeof *known);
        known[n].name = name;
        known[n++].cd = open_converter(name);
    }
    if (known[i].cd != (iconv_t)-1)
        iconv(known[i].cd, NULL, NULL, NULL, NULL);
    return known[i].cd;
}

/* Appends bytes through iconv; what is invalid becomes U+FFFD, byte by byte. */
static void
convert_with(iconv_t cd, struct buf *out, struct span bytes)
{
    char *in = (char *)(uintptr_t)bytes.p; /* iconv() does not write there */
    size_t left = bytes.n;
    bool flushed = false;
    while (!flushed) {
        char chunk[512];
        char *to = chunk;
        size_t room = sizeof chunk;
        flushed = left == 0;
        size_t rc = iconv(cd, flushed ? NULL : &in, &left, &to, &room);
        bool invalid = rc == (size_t)-1 && errno != E2BIG;
        utf8_repair(out, (struct span){chunk, sizeof chunk - room});
        if (invalid && left > 0) {
            utf8_add(out, 0xFFFD);
            in++;
            left--;
        }
    }
}

static void
convert_jis(struct buf *out, struct span bytes)
{
    struct buf euc = {0};
    charset_unescape_jis(&euc, bytes);
    message_decode_charset(out, SPAN("euc-jp"), buf_span(&euc));
    buf_free(&euc);
}

/* The mark that some put before UTF-8 and UTF-16. */
static void
drop_mark(struct buf *out, size_t start)
{
    if (out->n < start + 3 || memcmp(out->p + start, "\xEF\xBB\xBF", 3) != 0)
        return;
    memmove(out->p + start, out->p + start + 3, out->n - start - 3);
    buf_cut(out, out->n - 3);
}

void
message_decode_charset(struct buf *out, struct span label, struct span bytes)
{
    size_t start = out->n;
    gmime_once();
    const char *name = charset_of(label);
    if (name == NULL) {
        charset_guess(out, bytes);
    } else if (strcmp(name, "UTF-8") == 0) {
        utf8_repair(out, bytes);
    } else if (strcmp(name, "WINDOWS-1252") == 0) {
        charset_western(out, bytes);
    } else if (strcmp(name, "ISO-2022-JP") == 0) {
        convert_jis(out, bytes);
    } else if (converter(name) == (iconv_t)-1) {
        charset_guess(out, bytes);
    } else {
        convert_with(converter(name), out, bytes);
    }
    drop_mark(out, start);
}

void
message_decode_words(struct buf *out, struct span raw)
{
    struct words w = {.rest = raw};
    struct word word = {0};
    while (words_next(&w, &word)) {
        if (word.encoded)
            message_decode_charset(out, word.charset, buf_span(&word.bytes));
        else
            charset_guess(out, buf_span(&word.bytes));
    }
    buf_free(&word.bytes);
}

static int64_t
with_half(GDateTime *date, enum date_half half)
{
    int hour = g_date_time_get_hour(date);
    int64_t seconds = g_date_time_to_unix(date);
    if (half == DATE_PM && hour < 12)
        return seconds + 12 * 3600;
    if (half == DATE_AM && hour == 12)
        return seconds - 12 * 3600;
    return seconds;
}

bool
message_date(struct span raw, int64_t *seconds)
{
    struct buf tidy = {0};
    enum date_half half = date_tidy(&tidy, raw);
    gmime_once();
    GDateTime *date = g_mime_utils_header_decode_date(buf_str(&tidy));
    if (date != NULL) {
        *seconds = with_half(date, half);
        g_date_time_unref(date);
    }
    buf_free(&tidy);
    return date != NULL;
}

struct facts *
message_facts(struct span bytes, const struct strv *trusted)
{
    struct facts *f = facts_new();
    head_read(f, bytes, trusted);
    return f;
}

void
message_prepare(void)
{
    int64_t now;
    const char *name;
    gmime_once();
    html_prepare();
    for (size_t i = 0; (name = charset_name(i)) != NULL; i++)
        converter(name);
    message_date(SPAN("Tue, 1 Jul 2003 10:52:37 +0200"), &now);
}

/* The parameter of a folded field as text; false, and nothing appended, if there is none. */
static bool
add_param(struct buf *out, struct span field, const char *name)
{
    struct buf line = {0};
    struct param p = {0};
    field_unfold(&line, field);
    bool found = param_find(buf_span(&line), name, &p);
    if (found && p.charset.n > 0)
        message_decode_charset(out, p.charset, buf_span(&p.bytes));
    else if (found)
        message_decode_words(out, buf_span(&p.bytes));
    param_free(&p);
    buf_free(&line);
    return found;
}

/* Whether the parameter is that word. */
static bool
param_is(struct span field, const char *name, const char *word)
{
    struct buf value = {0};
    add_param(&value, field, name);
    bool same = span_ieq(span_trim(buf_span(&value)), span_str(word));
    buf_free(&value);
    return same;
}

/* The body decoded, as far as the budget goes. Returns whether there is more. */
static bool
add_body(struct buf *out, const struct tree_node *node, struct budget *budget)
{
    struct transfer t;
    size_t most = budget->decoded;
    bool long_body = node->body.n > budget->encoded;
    struct span body = {node->body.p, long_body ? budget->encoded : node->body.n};
    budget->encoded -= body.n;
    transfer_init(&t, transfer_of(node->encoding), body);
    while (out->n < most && transfer_next(&t, out))
        ;
    bool more = long_body || out->n > most || t.rest.n > 0;
    if (out->n > most)
        buf_cut(out, most);
    return more;
}

static void
add_subject(struct buf *out, struct span head)
{
    struct block b;
    struct field f;
    struct buf line = {0};
    block_init(&b, head);
    while (block_next(&b, &f)) {
        if (!span_ieq(f.name, SPAN("Subject")))
            continue;
        field_unfold(&line, f.value);
        message_decode_words(out, span_trim(buf_span(&line)));
        break;
    }
    buf_free(&line);
}

/* A message that was attached goes by its subject. */
static void
add_inner_name(struct buf *out, const struct tree_node *node)
{
    struct buf head = {0};
    struct budget budget = {2 * INNER_HEAD_MAX, INNER_HEAD_MAX};
    add_body(&head, node, &budget);
    add_subject(out, buf_span(&head));
    if (out->n > 0)
        buf_adds(out, ".eml");
    buf_free(&head);
}

static char *
name_of(struct facts *f, const struct tree_node *node)
{
    struct buf name = {0};
    bool named = add_param(&name, node->disposition, "filename") ||
                 add_param(&name, node->content_type, "name");
    if (!named && tree_is_message(node))
        add_inner_name(&name, node);
    char *line = facts_line(f, buf_span(&name));
    buf_free(&name);
    return line;
}

static char *
number_of(const struct tree *t, size_t i)
{
    struct buf number = {0};
    tree_number(t, i, &number);
    return buf_take(&number);
}

static uint64_t
size_of(const struct tree_node *node)
{
    if (node->kind != TREE_LEAF)
        return node->body.n;
    return transfer_size(transfer_of(node->encoding), node->body);
}

static void
find_attachments(struct message *m)
{
    size_t i = 0;
    while (i < m->tree.n) {
        const struct tree_node *node = &m->tree.v[i];
        bool is_attachment = tree_role(&m->tree, i) == TREE_ATTACHMENT;
        if (is_attachment && m->n_attachments == FACTS_ATTACHMENTS_MAX) {
            m->more_attachments = true;
            return;
        }
        if (is_attachment)
            m->attachments[m->n_attachments++] = i;
        i = node->kind == TREE_MULTIPART ? i + 1 : node->next;
    }
}

struct message *
message_open(struct span bytes)
{
    struct message *m = xcalloc(1, sizeof *m);
    m->bytes = bytes;
    m->attachments = xreallocarray(NULL, FACTS_ATTACHMENTS_MAX, sizeof *m->attachments);
    tree_read(&m->tree, bytes);
    find_attachments(m);
    return m;
}

void
message_free(struct message *m)
{
    if (m == NULL)
        return;
    tree_clear(&m->tree);
    free(m->attachments);
    free(m);
}

/* The charset that HTML names in itself: <meta charset="…"> or what stands for it. */
static struct span
meta_charset(struct span html)
{
    static const char mark[] = "charset=";
    size_t most = html.n < META_MAX ? html.n : META_MAX;
    for (size_t i = 0; i + sizeof mark < most; i++) {
        struct span s = {html.p + i, most - i};
        if (!span_istarts(s, SPAN(mark)))
            continue;
        s = (struct span){s.p + sizeof mark - 1, s.n - (sizeof mark - 1)};
        while (s.n > 0 && strchr("\"' ", s.p[0]) != NULL)
            s = (struct span){s.p + 1, s.n - 1};
        size_t n = 0;
        while (n < s.n && strchr("\"' />;", s.p[n]) == NULL)
            n++;
        return (struct span){s.p, n};
    }
    return (struct span){NULL, 0};
}

/* Text that was cut: the beginning of a character may be left at its end. */
static void
cut_character(struct buf *b)
{
    for (int i = 0; i < 3 && b->n > 0 && (unsigned char)b->p[b->n - 1] >= 0x80; i++)
        buf_cut(b, b->n - 1);
}

/* The body of a text as UTF-8. Returns whether there is more of it. */
static bool
add_utf8(struct buf *out, const struct tree_node *node, bool html, struct budget *budget)
{
    struct buf body = {0};
    struct buf label = {0};
    bool more = add_body(&body, node, budget);
    if (more)
        cut_character(&body);
    add_param(&label, node->content_type, "charset");
    struct span charset = param_value(buf_span(&label));
    if (html && charset_of(charset) == NULL && !utf8_valid(buf_span(&body)))
        charset = meta_charset(buf_span(&body));
    message_decode_charset(out, charset, buf_span(&body));
    buf_free(&label);
    buf_free(&body);
    return more;
}

static void
add_flowed(struct buf *out, const struct tree_node *node, struct span text)
{
    struct buf clean = {0};
    bool delsp = param_is(node->content_type, "delsp", "yes");
    text_clean(&clean, text);
    text_unflow(out, buf_span(&clean), delsp ? TEXT_DELETE_SPACE : TEXT_KEEP_SPACE);
    buf_free(&clean);
}

/* What a person would read of a part, clean. Returns whether there is more of it. */
static bool
add_readable(struct buf *out, const struct tree_node *node, struct budget *budget)
{
    struct buf utf8 = {0};
    struct buf shown = {0};
    bool html = !node->raw && strcmp(node->type, "text/html") == 0;
    bool more = add_utf8(&utf8, node, html, budget);
    if (html)
        html_text(&shown, buf_span(&utf8), FACTS_TEXT_MAX + 1);
    else if (param_is(node->content_type, "format", "flowed"))
        add_flowed(&shown, node, buf_span(&utf8));
    text_clean(out, shown.n > 0 || html ? buf_span(&shown) : buf_span(&utf8));
    buf_free(&utf8);
    buf_free(&shown);
    return more;
}

/* Texts are kept apart by an empty line; the last may be cut. */
static void
add_leaf(struct reader *r, const struct tree_node *node)
{
    struct buf readable = {0};
    size_t begin = r->text.n > 0;
    if (r->text.n + begin + 1 >= FACTS_TEXT_MAX) {
        r->truncated = true;
        return;
    }
    r->truncated |= add_readable(&readable, node, &r->budget);
    if (readable.n > 0 && begin)
        buf_addc(&r->text, '\n');
    size_t room = FACTS_TEXT_MAX - r->text.n;
    if (readable.n > room) {
        r->truncated = true;
        buf_cut(&readable, utf8_cut(buf_span(&readable), room).n);
    }
    buf_addspan(&r->text, buf_span(&readable));
    buf_free(&readable);
}

/* The part behind this one and all that is in it. */
static size_t
behind(const struct tree *t, size_t i)
{
    return t->v[i].next;
}

/* Whether a text of that type is to be read in the part or below it. */
static bool
offers(const struct tree *t, size_t part, const char *type)
{
    for (size_t i = part; i < behind(t, part);) {
        if (tree_role(t, i) == TREE_TEXT && (t->v[i].raw || strcmp(t->v[i].type, type) == 0))
            return true;
        i = t->v[i].kind == TREE_MULTIPART ? i + 1 : behind(t, i);
    }
    return false;
}

static void add_part(struct reader *r, size_t part);

/* The first that gives any text, those with plain text before the others; each is read once at
 * most. */
static void
add_alternative(struct reader *r, size_t part)
{
    const struct tree *t = r->tree;
    size_t before = r->text.n;
    for (int plain = 1; plain >= 0; plain--)
        for (size_t i = part + 1; i < behind(t, part); i = behind(t, i)) {
            if (offers(t, i, "text/plain") != plain)
                continue;
            add_part(r, i);
            if (r->text.n > before)
                return;
        }
}

/* Recursion is as deep as the tree: TREE_DEPTH_MAX. */
static void
add_part(struct reader *r, size_t part)
{
    const struct tree *t = r->tree;
    enum tree_role role = tree_role(t, part);
    if (role == TREE_TEXT)
        add_leaf(r, &t->v[part]);
    if (role != TREE_CONTAINER)
        return;
    if (strcmp(t->v[part].type, "multipart/alternative") == 0) {
        add_alternative(r, part);
        return;
    }
    for (size_t i = part + 1; i < behind(t, part); i = behind(t, i))
        add_part(r, i);
}

static void
read_text(struct facts *f, const struct message *m)
{
    struct reader r = {.tree = &m->tree, .budget = {ENCODED_MAX, DECODED_MAX}};
    add_part(&r, 0);
    f->text_truncated = r.truncated;
    free(f->text);
    f->text = buf_take(&r.text);
}

static void
read_attachments(struct facts *f, const struct message *m)
{
    f->attachments = xcalloc(m->n_attachments + 1, sizeof *f->attachments);
    for (; f->n_attachments < m->n_attachments; f->n_attachments++) {
        size_t i = m->attachments[f->n_attachments];
        const struct tree_node *node = &m->tree.v[i];
        f->attachments[f->n_attachments] = (struct attachment){
            .part = number_of(&m->tree, i),
            .name = name_of(f, node),
            .type = xstrdup(node->type),
            .size = size_of(node),
            .is_inline = tree_is_inline(&m->tree, i),
        };
    }
}

struct facts *
message_whole_facts(struct message *m, const struct strv *trusted)
{
    struct facts *f = message_facts(m->bytes, trusted);
    f->whole = true;
    f->truncated |= m->tree.truncated || m->more_attachments;
    read_attachments(f, m);
    read_text(f, m);
    return f;
}

struct part *
message_part(struct message *m, size_t i)
{
    if (i >= m->n_attachments)
        return NULL;
    const struct tree_node *node = &m->tree.v[m->attachments[i]];
    struct part *p = xcalloc(1, sizeof *p);
    transfer_init(&p->transfer, transfer_of(node->encoding), node->body);
    return p;
}

size_t
part_read(struct part *p, char *bytes, size_t n)
{
    size_t done = 0;
    while (done < n) {
        if (p->at == p->piece.n) {
            buf_clear(&p->piece);
            p->at = 0;
            if (!transfer_next(&p->transfer, &p->piece))
                break;
        }
        size_t left = p->piece.n - p->at;
        size_t take = left < n - done ? left : n - done;
        memcpy(bytes + done, p->piece.p + p->at, take);
        p->at += take;
        done += take;
    }
    return done;
}

void
part_free(struct part *p)
{
    if (p == NULL)
        return;
    buf_free(&p->piece);
    free(p);
}

void
message_list(struct message *m, struct message_nodes *out)
{
    struct facts *limits = facts_new();
    size_t n = m->tree.n < FACTS_ATTACHMENTS_MAX ? m->tree.n : FACTS_ATTACHMENTS_MAX;
    *out = (struct message_nodes){.v = xcalloc(n, sizeof *out->v)};
    for (; out->n < n; out->n++) {
        const struct tree_node *node = &m->tree.v[out->n];
        out->v[out->n] = (struct message_node){
            .part = number_of(&m->tree, out->n),
            .type = xstrdup(node->type),
            .name = name_of(limits, node),
            .size = size_of(node),
            .depth = node->depth,
        };
    }
    facts_free(limits);
}

void
message_nodes_free(struct message_nodes *nodes)
{
    for (size_t i = 0; i < nodes->n; i++) {
        free(nodes->v[i].part);
        free(nodes->v[i].type);
        free(nodes->v[i].name);
    }
    free(nodes->v);
    *nodes = (struct message_nodes){0};
}
