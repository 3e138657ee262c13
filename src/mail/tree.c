/* SPDX-License-Identifier: ISC */
/* The structure of a message, RFC 2046 section 5, found in one pass from line to line with a stack
 * of the containers that are open; no recursion, no copy. Only lines that begin with "--" are
 * compared with boundaries, the innermost first, and there are at most TREE_DEPTH_MAX of them, so
 * no nesting and no number of parts costs more than a small multiple of the message's length.
 *
 * GMime's parser is not used: it compares every such line with a thousand boundaries, recurses over
 * fields of every part, and what it should be kept from could only be found by parsing before it.
 * Refuses to decode anything. */
#include "mail/tree.h"

#include "base/mem.h"
#include "mail/block.h"
#include "mail/param.h"
#include "mail/transfer.h"

#include <assert.h>
#include <stdlib.h>

/* A container that is open. */
struct open {
    size_t node;
    char *boundary; /* NULL: none, or its last part is over */
    size_t length;
};

struct scan {
    struct tree *tree;
    const char *at;
    const char *end;
    struct open stack[TREE_DEPTH_MAX];
    unsigned depth;
    bool in_leaf; /* the last node is a leaf, and open */
};

/* A line that separates parts. */
struct mark {
    const char *line;
    const char *next;
    unsigned level; /* of the stack */
    bool last;      /* "--boundary--" */
};

static const char *
line_end(const struct scan *s, const char *line)
{
    const char *end = line < s->end ? memchr(line, '\n', (size_t)(s->end - line)) : NULL;
    return end != NULL ? end + 1 : s->end;
}

static bool
is_boundary(const struct open *o, struct span line, bool *last)
{
    if (o->boundary == NULL || line.n < o->length)
        return false;
    size_t more = line.n - o->length;
    *last = more == 2;
    bool ends = more == 0 || (more == 2 && memcmp(line.p + o->length, "--", 2) == 0);
    return ends && memcmp(line.p, o->boundary, o->length) == 0;
}

/* Whether the line is a boundary of an open container. */
static bool
is_mark(const struct scan *s, const char *line, struct mark *m)
{
    if (s->end - line < 2 || line[0] != '-' || line[1] != '-')
        return false;
    m->line = line;
    m->next = line_end(s, line);
    struct span text = {line + 2, (size_t)(m->next - line - 2)};
    while (
        text.n > 0 && strchr(" \t\r\n", text.p[text.n - 1]) != NULL && text.p[text.n - 1] != '\0')
        text.n--;
    for (m->level = s->depth; m->level-- > 0;)
        if (is_boundary(&s->stack[m->level], text, &m->last))
            return true;
    return false;
}

static bool
has_boundary(const struct scan *s)
{
    for (unsigned i = 0; i < s->depth; i++)
        if (s->stack[i].boundary != NULL)
            return true;
    return false;
}

/* The next boundary at or behind s->at, which begins a line. */
static bool
next_mark(const struct scan *s, struct mark *m)
{
    if (!has_boundary(s))
        return false;
    const char *line = s->at;
    while (!is_mark(s, line, m)) {
        const char *found = memmem(line, (size_t)(s->end - line), "\n--", 3);
        if (found == NULL)
            return false;
        line = found + 1;
    }
    return true;
}

/* Where the text before a boundary ends: the line end in front of it is the boundary's. */
static const char *
before_mark(const char *from, const char *line)
{
    if (line > from && line[-1] == '\n')
        line--;
    if (line > from && line[-1] == '\r')
        line--;
    return line;
}

static void
close_node(struct scan *s, size_t i, const char *end)
{
    struct tree_node *node = &s->tree->v[i];
    if (end < node->body.p)
        end = node->body.p;
    node->body.n = (size_t)(end - node->body.p);
    node->next = s->tree->n;
    if (node->kind == TREE_MULTIPART && node->children == 0) {
        node->kind = TREE_LEAF;
        node->raw = true;
    }
}

/* Closes the open leaf, and containers until `depth` are left. */
static void
close_down(struct scan *s, unsigned depth, const char *end)
{
    if (s->in_leaf)
        close_node(s, s->tree->n - 1, end);
    s->in_leaf = false;
    while (s->depth > depth) {
        struct open *o = &s->stack[--s->depth];
        free(o->boundary);
        close_node(s, o->node, end);
    }
}

static struct tree_node *
add_node(struct scan *s)
{
    struct tree *t = s->tree;
    if (t->n == t->cap) {
        t->cap = t->cap == 0 ? 8 : 2 * t->cap;
        t->v = xreallocarray(t->v, t->cap, sizeof *t->v);
    }
    size_t parent = s->depth > 0 ? s->stack[s->depth - 1].node : 0;
    struct tree_node *node = &t->v[t->n];
    *node = (struct tree_node){.parent = parent, .next = ++t->n, .depth = s->depth};
    if (s->depth > 0)
        node->place = ++t->v[parent].children;
    else
        node->place = 1;
    return node;
}

/* The header block at s->at, and where the body begins. A boundary ends it too. */
static void
find_head(const struct scan *s, struct tree_node *node)
{
    struct mark m;
    const char *line = s->at;
    const char *body = s->end;
    while (line < s->end) {
        const char *next = line_end(s, line);
        bool empty = next - line == 1 || (next - line == 2 && line[0] == '\r' && line[1] == '\n');
        body = empty ? next : line;
        if (empty || is_mark(s, line, &m))
            break;
        body = line = next;
    }
    node->head = (struct span){s->at, (size_t)(line - s->at)};
    node->body = (struct span){body, 0};
}

static void
keep_field(struct tree_node *node, const struct field *f)
{
    const struct {
        const char *name;
        struct span *to;
    } wanted[] = {
        {"Content-Type", &node->content_type},
        {"Content-Disposition", &node->disposition},
        {"Content-Transfer-Encoding", &node->encoding},
        {"Content-ID", &node->content_id},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (wanted[i].to->n == 0 && span_ieq(f->name, span_str(wanted[i].name)))
            *wanted[i].to = f->value;
}

/* Reads the fields. Lines behind the last of them that are none belong to the body: the empty line
 * was forgotten. */
static void
read_head(struct tree_node *node)
{
    struct block b;
    struct field f;
    const char *fields_end = node->head.p;
    block_init(&b, node->head);
    while (block_next(&b, &f)) {
        keep_field(node, &f);
        fields_end = f.value.p + f.value.n;
    }
    const char *end = node->head.p + node->head.n;
    struct span behind = {fields_end, (size_t)(end - fields_end)};
    if (b.truncated || span_trim(behind).n == 0)
        return;
    node->body.p = fields_end;
    node->head.n = (size_t)(fields_end - node->head.p);
}

static bool
is_type(struct span s)
{
    const char *slash = s.n > 0 ? memchr(s.p, '/', s.n) : NULL;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"')
            return false;
    return slash != NULL && slash > s.p && slash + 1 < s.p + s.n && s.n <= 200;
}

static char *
lower_case(struct span s)
{
    char *word = xstrndup(s.p, s.n);
    for (char *c = word; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + ('a' - 'A'));
    return word;
}

static bool
has_param(struct span field, const char *name)
{
    struct buf line = {0};
    struct param p = {0};
    field_unfold(&line, field);
    bool found = param_find(buf_span(&line), name, &p);
    param_free(&p);
    buf_free(&line);
    return found;
}

static bool
is_named(const struct tree_node *node)
{
    return has_param(node->disposition, "filename") || has_param(node->content_type, "name");
}

/* The type of a part that names none, or none that can be read. */
static const char *
default_type(const struct scan *s, const struct tree_node *node)
{
    struct span value = param_value(node->content_type);
    bool in_digest = s->depth > 0 && strcmp(s->tree->v[node->parent].type, "multipart/digest") == 0;
    if (span_ieq(value, SPAN("multipart")))
        return "multipart/mixed";
    if (value.n == 0)
        return in_digest ? "message/rfc822" : "text/plain";
    return span_ieq(value, SPAN("text")) || !is_named(node) ? "text/plain"
                                                            : "application/octet-stream";
}

static void
read_type(const struct scan *s, struct tree_node *node)
{
    struct span value = param_value(node->content_type);
    node->type = is_type(value) ? lower_case(value) : xstrdup(default_type(s, node));
}

static bool
is_one_of(const char *type, const char *const *types)
{
    for (; *types != NULL; types++)
        if (strcmp(type, *types) == 0)
            return true;
    return false;
}

static bool
is_multipart(const struct tree_node *node)
{
    return strncmp(node->type, "multipart/", 10) == 0;
}

bool
tree_is_message(const struct tree_node *node)
{
    static const char *const types[] = {"message/rfc822", "message/global", "message/news", NULL};
    return is_one_of(node->type, types);
}

/* The boundary, or NULL. */
static char *
boundary_of(const struct tree_node *node, size_t *length)
{
    struct buf line = {0};
    struct param p = {0};
    char *boundary = NULL;
    field_unfold(&line, node->content_type);
    if (param_find(buf_span(&line), "boundary", &p)) {
        struct span s = p.quoted ? span_trim(buf_span(&p.bytes)) : param_word(&p);
        if (s.n > 0 && s.n <= TREE_BOUNDARY_MAX) {
            boundary = memcpy(xmalloc(s.n), s.p, s.n);
            *length = s.n;
        }
    }
    param_free(&p);
    buf_free(&line);
    return boundary;
}

/* Opens the last node if it is a container. */
static void
open_container(struct scan *s)
{
    size_t i = s->tree->n - 1;
    struct tree_node *node = &s->tree->v[i];
    struct open o = {.node = i};
    bool message = tree_is_message(node) && transfer_of(node->encoding) == TRANSFER_PLAIN;
    s->in_leaf = true;
    if (s->depth == TREE_DEPTH_MAX || !(message || is_multipart(node)))
        return;
    if (!message) {
        o.boundary = boundary_of(node, &o.length);
        node->raw = o.boundary == NULL;
        if (node->raw)
            return;
    }
    node->kind = message ? TREE_MESSAGE : TREE_MULTIPART;
    s->stack[s->depth++] = o;
    s->in_leaf = false;
}

/* A part begins at s->at; and what is inside, if it is a message. */
static void
begin_part(struct scan *s)
{
    struct tree_node *node;
    do {
        node = add_node(s);
        find_head(s, node);
        read_head(node);
        read_type(s, node);
        s->at = node->body.p;
        open_container(s);
    } while (node->kind == TREE_MESSAGE && s->tree->n < TREE_NODES_MAX);
    if (node->kind == TREE_MESSAGE) {
        node->kind = TREE_LEAF;
        s->depth--;
        s->in_leaf = true;
    }
}

static void
pass_mark(struct scan *s, const struct mark *m)
{
    struct tree *t = s->tree;
    s->at = m->next;
    if (t->n == TREE_NODES_MAX) {
        t->truncated = true;
        return;
    }
    size_t container = s->stack[m->level].node;
    close_down(s, m->level + 1, before_mark(t->v[container].body.p, m->line));
    if (!m->last) {
        begin_part(s);
        return;
    }
    free(s->stack[m->level].boundary);
    s->stack[m->level].boundary = NULL;
}

void
tree_read(struct tree *t, struct span bytes)
{
    struct scan s = {.tree = t};
    struct mark m;
    *t = (struct tree){0};
    s.at = bytes.n > 0 ? bytes.p : "";
    s.end = s.at + bytes.n;
    begin_part(&s);
    while (next_mark(&s, &m))
        pass_mark(&s, &m);
    close_down(&s, 0, s.end);
}

void
tree_clear(struct tree *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->v[i].type);
    free(t->v);
    *t = (struct tree){0};
}

static struct span
disposition_of(const struct tree_node *node)
{
    return param_value(node->disposition);
}

static bool
is_in(const struct tree *t, const struct tree_node *node, const char *type)
{
    return node->depth > 0 && strcmp(t->v[node->parent].type, type) == 0;
}

static bool
is_signature(const struct tree *t, const struct tree_node *node)
{
    static const char *const types[] = {"application/pgp-signature", "application/pkcs7-signature",
        "application/x-pkcs7-signature", NULL};
    return node->place > 1 && is_in(t, node, "multipart/signed") && is_one_of(node->type, types);
}

/* Whether a text there is for reading although it has a name. */
static bool
is_main_place(const struct tree *t, const struct tree_node *node)
{
    return node->place == 1 || is_in(t, node, "multipart/alternative");
}

/* A way of a multipart/alternative to say the same, for others: text/x-amp-html, text/enriched. An
 * invitation is more than that. */
static bool
is_other_way(const struct tree *t, const struct tree_node *node)
{
    static const char *const more[] = {"text/plain", "text/html", "text/calendar", NULL};
    return is_in(t, node, "multipart/alternative") && strncmp(node->type, "text/", 5) == 0 &&
           !is_one_of(node->type, more) && disposition_of(node).n == 0 && !is_named(node);
}

enum tree_role
tree_role(const struct tree *t, size_t i)
{
    static const char *const texts[] = {"text/plain", "text/html", NULL};
    const struct tree_node *node = &t->v[i];
    if (node->kind == TREE_MULTIPART)
        return TREE_CONTAINER;
    if (is_signature(t, node) || is_other_way(t, node))
        return TREE_SKIPPED;
    if (!node->raw && !is_one_of(node->type, texts))
        return TREE_ATTACHMENT;
    if (span_ieq(disposition_of(node), SPAN("attachment")))
        return TREE_ATTACHMENT;
    return is_main_place(t, node) || !is_named(node) ? TREE_TEXT : TREE_ATTACHMENT;
}

bool
tree_is_inline(const struct tree *t, size_t i)
{
    const struct tree_node *node = &t->v[i];
    struct span mark = disposition_of(node);
    if (mark.n > 0)
        return span_ieq(mark, SPAN("inline"));
    return node->content_id.n > 0 && is_in(t, node, "multipart/related");
}

void
tree_number(const struct tree *t, size_t i, struct buf *out)
{
    size_t places[TREE_DEPTH_MAX + 1];
    size_t n = 0;
    bool content = i != 0 && t->v[t->v[i].parent].kind == TREE_MESSAGE;
    bool suffix = content && t->v[i].kind == TREE_MULTIPART;
    for (; i != 0; i = t->v[i].parent) {
        /* a multipart that is a message's content has no number of its own */
        bool counts = t->v[t->v[i].parent].kind != TREE_MESSAGE || t->v[i].kind != TREE_MULTIPART;
        assert(n <= TREE_DEPTH_MAX);
        if (counts)
            places[n++] = t->v[i].place;
    }
    if (t->v[0].kind != TREE_MULTIPART) {
        assert(n <= TREE_DEPTH_MAX);
        places[n++] = 1;
    }
    while (n > 0) {
        buf_addf(out, "%zu", places[--n]);
        if (n > 0)
            buf_addc(out, '.');
    }
    if (suffix)
        buf_adds(out, ".TEXT");
}
