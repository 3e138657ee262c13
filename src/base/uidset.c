/* SPDX-License-Identifier: ISC */
/* A sorted array with free room at both ends: what is removed is closed by moving the shorter side,
 * what is added moves the greater numbers up. Empty, it holds no memory. */
#include "base/uidset.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 8 };

size_t
uidset_index(const struct uidset *s, uint32_t uid)
{
    size_t low = 0;
    size_t high = s->n;
    if (high > 0 && s->v[high - 1] < uid)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->v[middle] < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool
uidset_has(const struct uidset *s, uint32_t uid)
{
    size_t i = uidset_index(s, uid);
    return i < s->n && s->v[i] == uid;
}

/* Room for one more behind the last. */
static void
make_room(struct uidset *s)
{
    size_t free_in_front = s->n > 0 ? (size_t)(s->v - s->room) : 0;
    if (free_in_front + s->n < s->cap)
        return;
    if (free_in_front > s->cap / 2) {
        memmove(s->room, s->v, s->n * sizeof *s->v);
        s->v = s->room;
        return;
    }
    s->cap = s->cap > 0 ? s->cap * 2 : FIRST_ROOM;
    s->room = xreallocarray(s->room, s->cap, sizeof *s->room);
    s->v = s->room + free_in_front;
}

bool
uidset_add(struct uidset *s, uint32_t uid)
{
    size_t i = uidset_index(s, uid);
    if (i < s->n && s->v[i] == uid)
        return false;
    make_room(s);
    memmove(s->v + i + 1, s->v + i, (s->n - i) * sizeof *s->v);
    s->v[i] = uid;
    s->n++;
    return true;
}

bool
uidset_remove(struct uidset *s, uint32_t uid)
{
    size_t i = uidset_index(s, uid);
    if (i == s->n || s->v[i] != uid)
        return false;
    s->n--;
    if (i < s->n / 2) {
        memmove(s->v + 1, s->v, i * sizeof *s->v);
        s->v++;
    } else {
        memmove(s->v + i, s->v + i + 1, (s->n - i) * sizeof *s->v);
    }
    if (s->n == 0)
        uidset_free(s);
    return true;
}

void
uidset_cut(struct uidset *s, uint32_t uid)
{
    size_t i = uidset_index(s, uid);
    i += i < s->n && s->v[i] == uid;
    if (i == s->n) {
        uidset_free(s);
        return;
    }
    s->v += i;
    s->n -= i;
}

void
uidset_free(struct uidset *s)
{
    free(s->room);
    *s = (struct uidset){0};
}
