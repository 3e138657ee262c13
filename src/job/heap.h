/*
 * heap: things that carry a number, the least first; of equal ones that which came first.
 * Never knows what the things are, nor what the number counts.
 *
 * A node lives inside its owner and knows its place, so it is moved and removed in O(log n).
 */
#ifndef MAILCALL_JOB_HEAP_H
#define MAILCALL_JOB_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is a node that is in no heap. */
struct heap_node {
    uint64_t number;
    uint64_t turn;
    size_t place; /* from 1; 0 = in none */
};

/* All zero is an empty heap. */
struct heap {
    struct heap_node **v; /* v[i - 1] is at place i */
    size_t n;
    size_t cap;
    uint64_t turns;
};

/* Puts the node in with this number, or moves it if it is in this heap with another. */
void heap_set(struct heap *h, struct heap_node *node, uint64_t number);
/* Harmless if it is not in. */
void heap_remove(struct heap *h, struct heap_node *node);
struct heap_node *heap_least(const struct heap *h); /* NULL: empty */
/* Frees the heap's memory, not the nodes'; they may be gone already. */
void heap_free(struct heap *h);

static inline bool
heap_has(const struct heap_node *node)
{
    return node->place > 0;
}

#endif
