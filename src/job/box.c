/* SPDX-License-Identifier: ISC */
/* Changes of one mailbox, each kept once. Without a baseline among them it is not known here what
 * is wanted, or where the mark stands: so a UID below the mark that waits is kept as well, for it
 * may be a wanted one. */
#include "job/box.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct box *
box_new(const char *account, const char *mailbox)
{
    struct box *b = xcalloc(1, sizeof *b);
    list_init(&b->link);
    list_init(&b->waits);
    b->account = xstrdup(account);
    b->mailbox = xstrdup(mailbox);
    return b;
}

void
box_clear(struct box *b)
{
    cursor_free(&b->cursor);
    free(b->seen);
    b->seen = NULL;
    b->n_seen = 0;
}

void
box_free(struct box *b)
{
    if (b == NULL)
        return;
    box_clear(b);
    list_remove(&b->link);
    list_remove(&b->waits);
    free(b->account);
    free(b->mailbox);
    free(b);
}

/* Room for one more of n, in an array whose room is the next power of two. */
static void *
grow(void *v, size_t n, size_t size)
{
    return (n & (n - 1)) == 0 ? xreallocarray(v, n > 0 ? 2 * n : 1, size) : v;
}

void
box_baseline(struct box *b, const struct cursor *c)
{
    struct cursor base = *c;
    base.known = true;
    base.taken = NULL;
    base.n_taken = 0;
    base = cursor_copy(&base); /* before the old one goes: it may be the same */
    cursor_free(&b->cursor);
    b->cursor = base;
    for (size_t i = 0; i < b->n_seen; i++)
        b->seen[i].old = true;
}

void
box_take(struct box *b, uint32_t uid)
{
    if (b->cursor.known)
        cursor_take(&b->cursor, uid);
    else
        cursor_add_taken(&b->cursor, uid);
}

void
box_settle(struct box *b, uint32_t mark)
{
    if (b->cursor.known)
        cursor_settle(&b->cursor, mark);
    else if (mark > b->cursor.mark)
        b->cursor.mark = mark;
}

static size_t
place_of(const struct box *b, const unsigned char *identity)
{
    size_t low = 0;
    size_t high = b->n_seen;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(b->seen[middle].sighting.identity, identity, IDENTITY_SIZE) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool
is_at(const struct box *b, size_t at, const unsigned char *identity)
{
    return at < b->n_seen && memcmp(b->seen[at].sighting.identity, identity, IDENTITY_SIZE) == 0;
}

bool
box_has_seen(const struct box *b, const struct sighting *s)
{
    size_t at = place_of(b, s->identity);
    return is_at(b, at, s->identity) && b->seen[at].old;
}

void
box_see(struct box *b, const struct sighting *s)
{
    size_t at = place_of(b, s->identity);
    if (s->received > b->cursor.latest)
        b->cursor.latest = s->received;
    if (is_at(b, at, s->identity)) {
        if (s->received > b->seen[at].sighting.received)
            b->seen[at].sighting.received = s->received;
        return;
    }
    b->seen = grow(b->seen, b->n_seen, sizeof *b->seen);
    memmove(b->seen + at + 1, b->seen + at, (b->n_seen - at) * sizeof *b->seen);
    b->seen[at] = (struct box_seen){.sighting = *s};
    b->n_seen++;
}

void
box_apply(const struct box *b, struct cursor *c)
{
    if (b->cursor.known) {
        int64_t latest = c->latest;
        cursor_free(c);
        *c = cursor_copy(&b->cursor);
        if (latest > c->latest)
            c->latest = latest;
        return;
    }
    cursor_settle(c, b->cursor.mark);
    for (size_t i = 0; i < b->cursor.n_taken; i++)
        cursor_take(c, b->cursor.taken[i]);
    if (b->cursor.latest > c->latest)
        c->latest = b->cursor.latest;
    if (b->cursor.begun != 0 && b->cursor.begun < c->begun)
        c->begun = b->cursor.begun;
}

void
box_began(struct box *b, int64_t begun)
{
    if (b->cursor.begun == 0 || begun < b->cursor.begun)
        b->cursor.begun = begun;
}
