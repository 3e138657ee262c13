/* SPDX-License-Identifier: ISC */
/* Nodes, and what makes a mapping of pairs that were read: keys that are unique, merges carried
 * out. All pairs of a mapping are sorted once by key and rank, so doubles cost no more than the
 * sorting. */
#include "config/tree.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

bool
node_is_empty(const struct node *n)
{
    return n->kind == NODE_TEXT && n->style == NODE_PLAIN && n->text[0] == '\0';
}

/* '' is one quote, written twice. */
unsigned
node_width(const struct node *n, const char *text, size_t length)
{
    unsigned width = 0;
    for (struct span s = {text, length}; s.n > 0; width++)
        utf8_take(&s);
    if (n->style == NODE_SINGLE)
        for (size_t i = 0; i < length; i++)
            width += text[i] == '\'';
    return width;
}

struct place
node_place(const struct node *n, size_t offset, size_t length)
{
    if (n->kind != NODE_TEXT || !n->one_line || n->style > NODE_SINGLE)
        return n->at;
    struct place p = n->at;
    p.column += (n->style == NODE_SINGLE) + node_width(n, n->text, offset);
    p.width = node_width(n, n->text + offset, length);
    return p;
}

void
node_canonical(const struct node *n, struct buf *out)
{
    if (n->kind == NODE_TEXT) {
        buf_addf(out, "t%zu:%s", strlen(n->text), n->text);
        return;
    }
    buf_addf(out, "%c%zu:", n->kind == NODE_MAP ? 'm' : 'l', n->n);
    for (size_t i = 0; i < n->n; i++) {
        if (n->kind == NODE_MAP)
            node_canonical(n->key[i], out);
        node_canonical(n->item[i], out);
    }
}

/* Grows at powers of two; room for one more. */
static struct node **
grown(struct node **v, size_t n)
{
    return (n & (n + 1)) == 0 ? xreallocarray(v, (n + 1) * 2, sizeof(struct node *)) : v;
}

struct node *
tree_add(struct tree *t, enum node_kind kind, struct place at)
{
    struct node *n = xcalloc(1, sizeof *n);
    n->kind = kind;
    n->at = at;
    n->weight = 1;
    t->all = grown(t->all, t->n);
    t->all[t->n++] = n;
    return n;
}

void
node_append(struct node *to, struct node *key, struct node *item)
{
    if (to->kind == NODE_MAP) {
        to->key = grown(to->key, to->n);
        to->key[to->n] = key;
    }
    to->item = grown(to->item, to->n);
    to->item[to->n++] = item;
}

/* A pair of a mapping while its keys are compared; rank 0 stands there, others are merged in. */
struct pair {
    struct node *key;
    struct node *item;
    size_t rank;
    size_t index;
    bool dropped;
};

struct pairs {
    struct pair *v;
    size_t n;
};

static void
add_pair(struct pairs *p, struct node *key, struct node *item, size_t rank)
{
    if ((p->n & (p->n + 1)) == 0)
        p->v = xreallocarray(p->v, (p->n + 1) * 2, sizeof *p->v);
    p->v[p->n] = (struct pair){key, item, rank, p->n, false};
    p->n++;
}

static bool
is_merge_key(const struct node *key)
{
    return key->kind == NODE_TEXT && key->style == NODE_PLAIN && strcmp(key->text, "<<") == 0;
}

static bool
add_merged_map(struct pairs *p, const struct node *map, size_t rank)
{
    if (map->kind == NODE_BROKEN)
        return true;
    if (map->kind != NODE_MAP)
        return false;
    for (size_t i = 0; i < map->n; i++)
        add_pair(p, map->key[i], map->item[i], rank);
    return true;
}

/* `<<: *map` or `<<: [*first, *second]`; what comes first wins, and what stands there wins. */
static void
add_merged(struct pairs *p, const struct node *value, struct report *report)
{
    bool good = true;
    if (value->kind == NODE_LIST)
        for (size_t i = 0; i < value->n; i++)
            good = add_merged_map(p, value->item[i], i + 1) && good;
    else
        good = add_merged_map(p, value, 1);
    if (!good)
        report_error(report, value->at, "'<<' takes a mapping, or a list of mappings");
}

static int
by_key(const void *a, const void *b)
{
    const struct pair *x = *(struct pair *const *)a;
    const struct pair *y = *(struct pair *const *)b;
    int order = strcmp(x->key->text, y->key->text);
    if (order == 0)
        order = (x->rank > y->rank) - (x->rank < y->rank);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static void
drop_doubles(struct pairs *p, struct report *report)
{
    struct pair **sorted = xreallocarray(NULL, p->n, sizeof(struct pair *));
    for (size_t i = 0; i < p->n; i++)
        sorted[i] = &p->v[i];
    qsort(sorted, p->n, sizeof *sorted, by_key);
    const struct pair *kept = p->n > 0 ? sorted[0] : NULL;
    for (size_t i = 1; i < p->n; i++) {
        if (strcmp(sorted[i]->key->text, kept->key->text) != 0) {
            kept = sorted[i];
            continue;
        }
        sorted[i]->dropped = true;
        if (sorted[i]->rank == 0)
            report_error(report, sorted[i]->key->at, "duplicate key '%s', first on line %u",
                kept->key->text, kept->key->at.line);
    }
    free(sorted);
}

void
node_settle(struct node *map, struct report *report)
{
    struct pairs p = {0};
    for (size_t i = 0; i < map->n; i++) {
        if (is_merge_key(map->key[i]))
            add_merged(&p, map->item[i], report);
        else if (map->key[i]->kind == NODE_TEXT)
            add_pair(&p, map->key[i], map->item[i], 0);
    }
    drop_doubles(&p, report);
    map->n = 0;
    for (size_t i = 0; i < p.n; i++)
        if (!p.v[i].dropped)
            node_append(map, p.v[i].key, p.v[i].item);
    free(p.v);
}

void
tree_free(struct tree *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n; i++) {
        /* there may be a password in it */
        struct buf text = {
            t->all[i]->text, 0, t->all[i]->text != NULL ? strlen(t->all[i]->text) : 0};
        buf_wipe(&text);
        free(t->all[i]->key);
        free(t->all[i]->item);
        free(t->all[i]);
    }
    free(t->all);
    free(t);
}
