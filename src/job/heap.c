/* SPDX-License-Identifier: ISC */
/* The binary heap of the textbooks, in an array: nobody at place i is before the one at i / 2. What
 * is moved is always one node, looking for its place upwards or downwards from where it stands.
 * Knows only numbers. */
#include "job/heap.h"

#include "base/mem.h"

#include <stdlib.h>

static bool
is_before(const struct heap_node *a, const struct heap_node *b)
{
    return a->number != b->number ? a->number < b->number : a->turn < b->turn;
}

static struct heap_node *
at(const struct heap *h, size_t place)
{
    return h->v[place - 1];
}

static void
set_at(struct heap *h, size_t place, struct heap_node *node)
{
    h->v[place - 1] = node;
    node->place = place;
}

/* The place of the child that is before the other; 0: no children. */
static size_t
first_child(const struct heap *h, size_t place)
{
    size_t child = place * 2;
    if (child > h->n)
        return 0;
    return child < h->n && is_before(at(h, child + 1), at(h, child)) ? child + 1 : child;
}

/* Puts the node where it belongs, `place` being free. */
static void
settle(struct heap *h, size_t place, struct heap_node *node)
{
    for (; place > 1 && is_before(node, at(h, place / 2)); place /= 2)
        set_at(h, place, at(h, place / 2));
    for (size_t child; (child = first_child(h, place)) > 0; place = child) {
        if (!is_before(at(h, child), node))
            break;
        set_at(h, place, at(h, child));
    }
    set_at(h, place, node);
}

void
heap_set(struct heap *h, struct heap_node *node, uint64_t number)
{
    if (node->place > 0 && node->number == number)
        return;
    if (node->place == 0) {
        if (h->n == h->cap) {
            h->cap = h->cap > 0 ? h->cap * 2 : 16;
            h->v = xreallocarray(h->v, h->cap, sizeof *h->v);
        }
        node->place = ++h->n;
    }
    node->number = number;
    node->turn = h->turns++;
    settle(h, node->place, node);
}

void
heap_remove(struct heap *h, struct heap_node *node)
{
    size_t place = node->place;
    if (place == 0)
        return;
    node->place = 0;
    struct heap_node *last = at(h, h->n--);
    if (last != node)
        settle(h, place, last);
}

struct heap_node *
heap_least(const struct heap *h)
{
    return h->n > 0 ? h->v[0] : NULL;
}

void
heap_free(struct heap *h)
{
    free(h->v);
    *h = (struct heap){0};
}
