/* SPDX-License-Identifier: ISC */
/* libyaml's events become a tree, on a stack of our own.
 *
 * Events rather than yaml_parser_load(), which compares every anchor with every other one, has no
 * limit on depth, and lets an alias name the node it stands in. Here reading costs what the file is
 * long: anchors are few, depth and weight are bounded as nodes are attached, and a tree with all
 * its aliases written out is at most TREE_WEIGHT_MAX big, so walking it needs no care.
 *
 * Marks of libyaml begin at 0, ours at 1. What libyaml says of a syntax error is kept where it
 * helps, and said in the words of the likely mistake where one is known: syntax_faults. */
#include "config/yaml.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdlib.h>

#include <yaml.h>

enum { WEIGHT_BYTES = 32 }; /* so many bytes of text weigh as much as a node */

struct frame {
    struct node *node;
    struct node *key; /* the key that waits for its value */
};

struct anchor {
    char *name;
    struct node *node;
};

struct reader {
    yaml_parser_t parser;
    const struct source *source;
    struct report *report;
    struct tree *tree;
    struct frame stack[TREE_DEPTH_MAX];
    size_t depth;
    struct anchor anchors[YAML_ANCHORS_MAX];
    size_t n_anchors;
    bool over; /* no more events are wanted */
};

static struct place
mark_place(const struct reader *r, const yaml_mark_t *mark)
{
    return (struct place){r->source, (unsigned)mark->line + 1, (unsigned)mark->column + 1, 1};
}

static struct node *
new_node(struct reader *r, enum node_kind kind, const yaml_event_t *event)
{
    return tree_add(r->tree, kind, mark_place(r, &event->start_mark));
}

static unsigned
columns(struct span s)
{
    unsigned count = 0;
    for (; s.n > 0; count++)
        utf8_take(&s);
    return count;
}

static void
stop(struct reader *r, struct place at, const char *why)
{
    report_error(r->report, at, "%s", why);
    r->over = true;
}

static void
attach_to_map(struct reader *r, struct frame *f, struct node *n)
{
    if (f->key != NULL) {
        node_append(f->node, f->key, n);
        f->key = NULL;
        return;
    }
    if (n->kind == NODE_LIST || n->kind == NODE_MAP)
        report_error(
            r->report, n->at, "a key must be text%s", n->style == NODE_FLOW ? ": quote this" : "");
    f->key = n;
}

/* The finished node finds its place in what is open. */
static void
attach(struct reader *r, struct node *n, struct place at)
{
    if (r->depth == 0) {
        r->tree->root = n;
        return;
    }
    struct frame *f = &r->stack[r->depth - 1];
    f->node->weight += n->weight;
    if (n->height + 1 > f->node->height)
        f->node->height = n->height + 1;
    if (f->node->weight > TREE_WEIGHT_MAX)
        stop(r, at, "too many values in one file, with all aliases written out");
    else if (r->depth + n->height > TREE_DEPTH_MAX)
        stop(r, at, "nested too deeply");
    else if (f->node->kind == NODE_LIST)
        node_append(f->node, NULL, n);
    else
        attach_to_map(r, f, n);
}

/* A later anchor of the same name takes the place of the first. */
static void
remember_anchor(struct reader *r, const yaml_char_t *name, struct node *n)
{
    if (name == NULL)
        return;
    size_t i = 0;
    while (i < r->n_anchors && strcmp(r->anchors[i].name, (const char *)name) != 0)
        i++;
    if (i == YAML_ANCHORS_MAX) {
        stop(r, n->at, "too many anchors");
        return;
    }
    if (i == r->n_anchors) {
        r->anchors[i].name = xstrdup((const char *)name);
        r->n_anchors++;
    }
    r->anchors[i].node = n;
}

/* `!x`: typing comes from the schema, so this is a text that wanted quotes. */
static void
refuse_tag(struct reader *r, struct place at)
{
    struct span word = {r->source->text, 0};
    if (!report_full(r->report)) /* finding it costs as much as its line is long */
        word.p += source_offset(r->source, at.line, at.column);
    while (strchr(" \t\r\n,]}", word.p[word.n]) == NULL)
        word.n++;
    at.width = columns(word);
    report_error(r->report, at, "'%.*s' is a YAML tag: quote this", (int)word.n, word.p);
}

static void
measure_text(struct node *n, const yaml_event_t *event, size_t length)
{
    static const enum node_style styles[] = {
        [YAML_PLAIN_SCALAR_STYLE] = NODE_PLAIN,
        [YAML_SINGLE_QUOTED_SCALAR_STYLE] = NODE_SINGLE,
        [YAML_DOUBLE_QUOTED_SCALAR_STYLE] = NODE_DOUBLE,
        [YAML_LITERAL_SCALAR_STYLE] = NODE_BLOCK,
        [YAML_FOLDED_SCALAR_STYLE] = NODE_BLOCK,
    };
    n->style = styles[event->data.scalar.style];
    n->one_line = event->start_mark.line == event->end_mark.line;
    if (!n->one_line)
        return;
    unsigned end = (unsigned)event->end_mark.column + 1;
    if (n->style <= NODE_SINGLE) {
        /* the mark of an anchored text stands at its anchor */
        n->at.width = node_width(n, n->text, length) + (n->style == NODE_SINGLE ? 2 : 0);
        n->at.column = end - n->at.width;
    } else {
        n->at.width = end - n->at.column;
    }
    if (n->at.width == 0)
        n->at.width = 1;
}

static void
read_text(struct reader *r, const yaml_event_t *event)
{
    struct node *n = new_node(r, NODE_TEXT, event);
    size_t length = event->data.scalar.length;
    n->text = xstrndup((const char *)event->data.scalar.value, length);
    n->weight += length / WEIGHT_BYTES;
    measure_text(n, event, length);
    if (memchr(event->data.scalar.value, '\0', length) != NULL) {
        report_error(r->report, n->at, "a text cannot hold a NUL character");
        n->kind = NODE_BROKEN;
    }
    if (event->data.scalar.tag != NULL) {
        refuse_tag(r, mark_place(r, &event->start_mark));
        n->kind = NODE_BROKEN;
    }
    remember_anchor(r, event->data.scalar.anchor, n);
    attach(r, n, n->at);
}

static void
read_alias(struct reader *r, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    struct place at = mark_place(r, &event->start_mark);
    at.width = (unsigned)(event->end_mark.column - event->start_mark.column);
    struct node *n = NULL;
    for (size_t i = 0; i < r->n_anchors; i++)
        if (strcmp(r->anchors[i].name, name) == 0)
            n = r->anchors[i].node;
    if (n == NULL || n->open) {
        report_error(r->report, at,
            n == NULL ? "unknown alias '*%s': quote this if it is text"
                      : "the alias '*%s' stands inside what it names",
            name);
        n = new_node(r, NODE_BROKEN, event);
    }
    attach(r, n, at);
}

struct opening {
    enum node_kind kind;
    bool flow;
    const yaml_char_t *tag;
    const yaml_char_t *anchor;
};

static void
open_node(struct reader *r, const yaml_event_t *event, struct opening o)
{
    struct node *n = new_node(r, o.kind, event);
    if (r->depth == TREE_DEPTH_MAX) {
        stop(r, n->at, "nested too deeply");
        return;
    }
    n->style = o.flow ? NODE_FLOW : NODE_BLOCK;
    n->open = true;
    if (o.tag != NULL)
        refuse_tag(r, n->at);
    remember_anchor(r, o.anchor, n);
    r->stack[r->depth++] = (struct frame){n, NULL};
}

static void
close_node(struct reader *r, const yaml_event_t *event)
{
    assert(r->depth > 0);
    struct node *n = r->stack[--r->depth].node;
    n->open = false;
    if (n->style == NODE_FLOW && event->end_mark.line + 1 == n->at.line)
        n->at.width = (unsigned)event->end_mark.column + 1 - n->at.column;
    if (n->kind == NODE_MAP)
        node_settle(n, r->report);
    attach(r, n, n->at);
}

/* Behind the document only comments may follow: libyaml would go on to a second one. */
static void
end_document(struct reader *r, const yaml_event_t *event)
{
    r->over = true;
    const char *text = r->source->text;
    size_t i = source_offset(
        r->source, (unsigned)event->end_mark.line + 1, (unsigned)event->end_mark.column + 1);
    while (i < r->source->n) {
        if (text[i] == '#')
            while (i < r->source->n && text[i] != '\n' && text[i] != '\r')
                i++;
        else if (strchr(" \t\r\n", text[i]) != NULL)
            i++;
        else
            break;
    }
    if (i < r->source->n)
        report_error(r->report, source_place(r->source, i),
            "a second YAML document begins here: one file is one document");
}

static void
take_event(struct reader *r, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        read_text(r, event);
        break;
    case YAML_ALIAS_EVENT:
        read_alias(r, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        open_node(r, event,
            (struct opening){NODE_LIST,
                event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE,
                event->data.sequence_start.tag, event->data.sequence_start.anchor});
        break;
    case YAML_MAPPING_START_EVENT:
        open_node(r, event,
            (struct opening){NODE_MAP, event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE,
                event->data.mapping_start.tag, event->data.mapping_start.anchor});
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_node(r, event);
        break;
    case YAML_DOCUMENT_END_EVENT:
        end_document(r, event);
        break;
    case YAML_STREAM_END_EVENT:
        r->over = true;
        break;
    default:
        break;
    }
}

enum { AT_PROBLEM, AT_CONTEXT };

/* What libyaml says, and the mistake that makes it say so. The first line that fits is taken: NULL
 * fits everything, `at` is the character that must stand at the mark. */
static const struct syntax_fault {
    const char *context;
    const char *problem;
    char at;
    int where;
    const char *text; /* NULL: libyaml's own words */
} syntax_faults[] = {
    {NULL, "found unknown escape character", 0, AT_PROBLEM,
        "found unknown escape character: use single quotes"},
    {NULL, "hexdecimal", 0, AT_PROBLEM, "found unknown escape character: use single quotes"},
    {"an alias", NULL, 0, AT_CONTEXT, "'*' begins a YAML alias: quote this"},
    {"an anchor", NULL, 0, AT_CONTEXT, "'&' begins a YAML anchor: quote this"},
    {"a tag", NULL, 0, AT_CONTEXT, "'!' begins a YAML tag: quote this"},
    {NULL, "undefined tag handle", 0, AT_PROBLEM, "'!' begins a YAML tag: quote this"},
    {"a directive", NULL, 0, AT_CONTEXT, "'%' begins a YAML directive: quote this"},
    {NULL, "cannot start any token", '\t', AT_PROBLEM, "a tab cannot indent: use spaces"},
    {NULL, "a tab character", 0, AT_PROBLEM, "a tab cannot indent: use spaces"},
    {NULL, "cannot start any token", '%', AT_PROBLEM, "'%' cannot begin a plain text: quote this"},
    {NULL, "cannot start any token", '@', AT_PROBLEM, "'@' cannot begin a plain text: quote this"},
    {NULL, "cannot start any token", '`', AT_PROBLEM, "'`' cannot begin a plain text: quote this"},
    {"a block scalar", "comment or line break", '>', AT_CONTEXT,
        "'>' begins a YAML block: quote this"},
    {"a block scalar", "comment or line break", '|', AT_CONTEXT,
        "'|' begins a YAML block: quote this"},
    {"a quoted scalar", "end of stream", 0, AT_CONTEXT, "this quote is never closed"},
    {"a flow mapping", NULL, 0, AT_CONTEXT, "this '{' is not closed: close it, or quote this"},
    {"a flow sequence", NULL, 0, AT_CONTEXT, "this '[' is not closed: close it, or quote this"},
    {NULL, "mapping values are not allowed", 0, AT_PROBLEM,
        "a ':' cannot stand here: check the indentation, or quote the text"},
    {NULL, "block sequence entries are not allowed", 0, AT_PROBLEM,
        "a list cannot begin here: put it on its own line, or quote the text"},
    {"a block mapping", "expected key", 0, AT_PROBLEM,
        "expected 'key: value' here: check the indentation"},
    {"a block collection", "expected '-'", 0, AT_PROBLEM,
        "expected '- ' here: check the indentation"},
    {"a simple key", "expected ':'", 0, AT_CONTEXT, "expected 'key: value' here"},
    {NULL, "expected node content", 0, AT_PROBLEM,
        "expected a value here: quote this if it is text"},
    {NULL, NULL, 0, AT_PROBLEM, NULL},
};

static bool
fits(const struct syntax_fault *f, const yaml_parser_t *p, char at)
{
    const char *context = p->context != NULL ? p->context : "";
    return (f->context == NULL || strstr(context, f->context) != NULL) &&
           (f->problem == NULL || strstr(p->problem, f->problem) != NULL) &&
           (f->at == 0 || f->at == at);
}

/* `subject: [deploy] x`: the value closed before the line was over. */
static bool
goes_on_after_value(const struct reader *r, struct place problem, struct place *value)
{
    struct span line = source_line(r->source, problem.line);
    size_t base = (size_t)(line.p - r->source->text);
    size_t end = source_offset(r->source, problem.line, problem.column) - base;
    for (size_t i = 0; i + 2 < end; i++) {
        bool begins = (line.p[i] == ':' || line.p[i] == '-') && line.p[i + 1] == ' ';
        if (!begins || strchr("[{'\"", line.p[i + 2]) == NULL)
            continue;
        *value = source_place(r->source, base + i + 2);
        return true;
    }
    return false;
}

/* `[echo, x{subject}]`: the list is broken where it stands, not left open. */
static bool
breaks_flow(const struct reader *r, struct place problem)
{
    const yaml_parser_t *p = &r->parser;
    if (p->context == NULL || strstr(p->context, "parsing a flow") == NULL ||
        p->problem_mark.line != p->context_mark.line)
        return false;
    char c = r->source->text[source_offset(r->source, problem.line, problem.column)];
    return c != '\0' && c != '\n' && c != '\r';
}

static void
report_syntax(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    struct place at = mark_place(r, &p->problem_mark);
    struct place value;
    if (p->error == YAML_PARSER_ERROR && strstr(p->problem, "expected key") != NULL &&
        goes_on_after_value(r, at, &value)) {
        report_error(r->report, value, "the text goes on behind this value: quote this");
        return;
    }
    if (breaks_flow(r, at)) {
        report_error(r->report, at, "%s here: quote the text", p->problem);
        return;
    }
    const struct syntax_fault *f = syntax_faults;
    for (;; f++) {
        at = mark_place(r, f->where == AT_CONTEXT ? &p->context_mark : &p->problem_mark);
        size_t offset = source_offset(r->source, at.line, at.column);
        if (fits(f, p, r->source->text[offset]))
            break;
    }
    report_error(r->report, at, "%s", f->text != NULL ? f->text : p->problem);
}

static void
report_failure(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_READER_ERROR)
        report_error(r->report, source_place(r->source, p->problem_offset), "%s",
            strstr(p->problem, "control") != NULL ? "control characters are not allowed"
                                                  : "this is not valid UTF-8");
    else
        report_syntax(r);
}

/* %YAML and %TAG mean nothing to us, and libyaml compares every %TAG with every other one. */
static bool
has_directive(struct reader *r)
{
    for (unsigned i = 1; i <= r->source->n_lines; i++) {
        struct span line = span_trim(source_line(r->source, i));
        if (line.n == 0 || line.p[0] == '#')
            continue;
        if (line.p[0] != '%')
            return false;
        struct place at = source_place(r->source, (size_t)(line.p - r->source->text));
        at.width = columns(line);
        report_error(r->report, at, "'%%' begins a YAML directive: remove this line");
        return true;
    }
    return false;
}

static void
read_events(struct reader *r)
{
    while (!r->over) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event)) {
            if (r->parser.error == YAML_MEMORY_ERROR)
                abort();
            report_failure(r);
            return;
        }
        take_event(r, &event);
        yaml_event_delete(&event);
    }
}

struct tree *
yaml_read_tree(const struct source *source, struct report *report)
{
    struct reader *r = xcalloc(1, sizeof *r);
    struct tree *t = xcalloc(1, sizeof *t);
    r->source = source;
    r->report = report;
    r->tree = t;
    if (!yaml_parser_initialize(&r->parser))
        abort(); /* out of memory */
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)source->text, source->n);
    if (!has_directive(r))
        read_events(r);
    yaml_parser_delete(&r->parser);
    for (size_t i = 0; i < r->n_anchors; i++)
        free(r->anchors[i].name);
    free(r);
    return t;
}
