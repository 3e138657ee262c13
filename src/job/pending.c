/* SPDX-License-Identifier: ISC */
/* An array by id, which grows at its end: new ids are the highest. New records are also hashed by
 * event. Later changes are worked into the one that waits: a record that comes and goes before a
 * commit leaves nothing. */
#include "job/pending.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- copies of records --- */

static void
hold_text(const char **text)
{
    *text = xstrdup(*text != NULL ? *text : "");
}

static void
hold_span(struct span *s)
{
    char *copy = xmalloc(s->n + 1);
    if (s->n > 0)
        memcpy(copy, s->p, s->n);
    s->p = copy;
}

static void
release(const char *p)
{
    free((char *)p);
}

static void
hold_state(struct record *r)
{
    hold_text(&r->result);
    hold_span(&r->tail);
}

static void
release_state(struct record *r)
{
    release(r->result);
    release(r->tail.p);
}

static void
hold_letter(struct record *r)
{
    const char **texts[] = {&r->account, &r->mailbox, &r->event, &r->rule, &r->subject};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        hold_text(texts[i]);
    hold_span(&r->letter);
}

static void
release_letter(struct record *r)
{
    const char *texts[] = {r->account, r->mailbox, r->event, r->rule, r->subject, r->letter.p};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        release(texts[i]);
}

static void
set_state(struct record *to, const struct record *from)
{
    to->stage = from->stage;
    to->attempt = from->attempt;
    to->batch = from->batch;
    to->due = from->due;
    to->since = from->since;
    to->result = from->result;
    to->status = from->status;
    to->acted = from->acted;
    to->halfway = from->halfway;
    to->tail = from->tail;
}

static void
set_file(struct record *to, const struct record *from)
{
    to->file = from->file;
    to->file_size = from->file_size;
    memcpy(to->file_digest, from->file_digest, DIGEST_SIZE);
    to->file_is_whole = from->file_is_whole;
}

void
change_apply(const struct change *c, struct record *r)
{
    if (c->what & (CHANGE_MOVE | CHANGE_ADD))
        set_state(r, &c->r);
    if (c->what & (CHANGE_REFILE | CHANGE_ADD))
        set_file(r, &c->r);
}

static void
change_free(struct change *c)
{
    /* what it does not have is NULL */
    release_letter(&c->r);
    release(c->r.file);
    release_state(&c->r);
    free(c);
}

/* --- by id --- */

static size_t
place_of(const struct pending *p, uint64_t id)
{
    size_t low = 0;
    size_t high = p->n;
    if (high > 0 && p->v[high - 1]->r.id < id)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->v[middle]->r.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct change *
pending_find(const struct pending *p, uint64_t id)
{
    size_t at = place_of(p, id);
    return at < p->n && p->v[at]->r.id == id ? p->v[at] : NULL;
}

static struct change *
need(struct pending *p, uint64_t id)
{
    size_t at = place_of(p, id);
    if (at < p->n && p->v[at]->r.id == id)
        return p->v[at];
    if ((p->n & (p->n - 1)) == 0) /* full: the room is the next power of two */
        p->v = xreallocarray(p->v, p->n > 0 ? 2 * p->n : 1, sizeof *p->v);
    memmove(p->v + at + 1, p->v + at, (p->n - at) * sizeof *p->v);
    struct change *c = xcalloc(1, sizeof *c);
    c->r.id = id;
    p->v[at] = c;
    p->n++;
    return c;
}

/* --- by event --- */

static struct change **
bucket_of(const struct pending *p, const char *event)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (; *event != '\0'; event++)
        hash = (hash ^ (unsigned char)*event) * UINT64_C(1099511628211);
    return &p->buckets[(hash ^ hash >> 32) & (p->n_buckets - 1)];
}

const struct change *
pending_find_event(const struct pending *p, const char *event)
{
    const struct change *c = p->n_hashed > 0 ? *bucket_of(p, event) : NULL;
    while (c != NULL && strcmp(c->r.event, event) != 0)
        c = c->next;
    return c;
}

static void
link_event(struct pending *p, struct change *c)
{
    struct change **bucket = bucket_of(p, c->r.event);
    c->next = *bucket;
    *bucket = c;
}

static void
hash_event(struct pending *p, struct change *c)
{
    if (p->n_hashed++ < p->n_buckets) {
        link_event(p, c);
        return;
    }
    p->n_buckets = p->n_buckets > 0 ? 2 * p->n_buckets : 16;
    free(p->buckets);
    p->buckets = xcalloc(p->n_buckets, sizeof *p->buckets);
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i]->what == CHANGE_ADD)
            link_event(p, p->v[i]);
}

static void
unhash_event(struct pending *p, const struct change *c)
{
    struct change **link = bucket_of(p, c->r.event);
    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    p->n_hashed--;
}

/* --- changes --- */

void
pending_add(struct pending *p, const struct record *r)
{
    struct change *c = need(p, r->id);
    assert(c->what == 0);
    c->what = CHANGE_ADD;
    c->r = *r;
    hold_letter(&c->r);
    hold_text(&c->r.file);
    hold_state(&c->r);
    hash_event(p, c);
}

void
pending_move(struct pending *p, const struct record *r)
{
    struct change *c = need(p, r->id);
    assert(c->what != CHANGE_DROP);
    if (c->what != CHANGE_ADD)
        c->what |= CHANGE_MOVE;
    struct record old = c->r;
    set_state(&c->r, r);
    hold_state(&c->r);
    release_state(&old); /* last: it may be what r points to */
}

void
pending_refile(struct pending *p, const struct record *r)
{
    struct change *c = need(p, r->id);
    assert(c->what != CHANGE_DROP);
    if (c->what != CHANGE_ADD)
        c->what |= CHANGE_REFILE;
    const char *old = c->r.file;
    set_file(&c->r, r);
    hold_text(&c->r.file);
    release(old);
}

/* A record nobody has seen leaves no trace. */
static void
unadd(struct pending *p, struct change *c)
{
    size_t at = place_of(p, c->r.id);
    unhash_event(p, c);
    p->n--;
    memmove(p->v + at, p->v + at + 1, (p->n - at) * sizeof *p->v);
    change_free(c);
}

void
pending_drop(struct pending *p, uint64_t id)
{
    struct change *c = need(p, id);
    if (c->what == CHANGE_ADD)
        unadd(p, c);
    else
        c->what = CHANGE_DROP;
}

void
pending_clear(struct pending *p)
{
    for (size_t i = 0; i < p->n; i++)
        change_free(p->v[i]);
    free(p->v);
    free(p->buckets);
    *p = (struct pending){0};
}
