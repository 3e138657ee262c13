/*
 * uidset: a set of 32-bit numbers, kept in order. Never knows mail, files or time.
 *
 * Taking numbers out at either end, and adding them in ascending order, costs nothing, however many
 * there are: that is how they come and go.
 */
#ifndef MAILCALL_BASE_UIDSET_H
#define MAILCALL_BASE_UIDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is an empty set. */
struct uidset {
    uint32_t *v; /* n of them, ascending; inside `room` */
    size_t n;
    uint32_t *room;
    size_t cap;
};

/* The index of the first number >= uid, or n. */
size_t uidset_index(const struct uidset *s, uint32_t uid);
bool uidset_has(const struct uidset *s, uint32_t uid);
/* False if it was there already. */
bool uidset_add(struct uidset *s, uint32_t uid);
/* False if it was not there. */
bool uidset_remove(struct uidset *s, uint32_t uid);
/* Removes everything <= uid. */
void uidset_cut(struct uidset *s, uint32_t uid);
void uidset_free(struct uidset *s); /* empty afterwards */

#endif
