/* SPDX-License-Identifier: ISC */
/* Two ascending lists of UIDs and a mark. The room of a list is not kept: it is at least the next
 * power of two, so a list whose length is one is full. Most UIDs come at the end. */
#include "job/cursor.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Where uid stands among the n of v, or would stand. */
static size_t
place_of(const uint32_t *v, size_t n, uint32_t uid)
{
    size_t low = 0;
    size_t high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (v[middle] < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void
add(uint32_t **v, size_t *n, uint32_t uid)
{
    size_t at = place_of(*v, *n, uid);
    if (at < *n && (*v)[at] == uid)
        return;
    if ((*n & (*n - 1)) == 0)
        *v = xreallocarray(*v, *n > 0 ? 2 * *n : 1, sizeof **v);
    memmove(*v + at + 1, *v + at, (*n - at) * sizeof **v);
    (*v)[at] = uid;
    ++*n;
}

static uint32_t *
copy(const uint32_t *v, size_t n)
{
    size_t room = 1;
    while (room < n)
        room *= 2;
    uint32_t *to = n > 0 ? xreallocarray(NULL, room, sizeof *to) : NULL;
    if (n > 0)
        memcpy(to, v, n * sizeof *to);
    return to;
}

void
cursor_free(struct cursor *c)
{
    free(c->taken);
    free(c->wanted);
    *c = (struct cursor){0};
}

struct cursor
cursor_copy(const struct cursor *c)
{
    struct cursor to = *c;
    to.taken = copy(c->taken, c->n_taken);
    to.wanted = copy(c->wanted, c->n_wanted);
    return to;
}

void
cursor_add_taken(struct cursor *c, uint32_t uid)
{
    add(&c->taken, &c->n_taken, uid);
}

void
cursor_add_wanted(struct cursor *c, uint32_t uid)
{
    add(&c->wanted, &c->n_wanted, uid);
}

void
cursor_take(struct cursor *c, uint32_t uid)
{
    size_t at = place_of(c->wanted, c->n_wanted, uid);
    if (at < c->n_wanted && c->wanted[at] == uid) {
        c->n_wanted--;
        memmove(c->wanted + at, c->wanted + at + 1, (c->n_wanted - at) * sizeof *c->wanted);
    }
    if (uid > c->mark)
        cursor_add_taken(c, uid);
}

void
cursor_settle(struct cursor *c, uint32_t mark)
{
    if (mark <= c->mark)
        return;
    c->mark = mark;
    size_t n = place_of(c->taken, c->n_taken, mark);
    if (n < c->n_taken && c->taken[n] == mark)
        n++;
    c->n_taken -= n;
    if (n > 0)
        memmove(c->taken, c->taken + n, c->n_taken * sizeof *c->taken);
}
