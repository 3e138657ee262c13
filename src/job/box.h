/*
 * box: what waits in memory for one mailbox's part of the next commit.
 * Never knows what a message is, nor how it is written.
 */
#ifndef MAILCALL_JOB_BOX_H
#define MAILCALL_JOB_BOX_H

#include "base/list.h"
#include "job/journal.h"

struct box_seen {
    struct sighting sighting;
    bool old; /* a baseline was made since */
};

/* The lists, the names and `row` are the owner's business. */
struct box {
    struct list link;
    struct list waits;
    char *account;
    char *mailbox;
    int64_t row;
    /* Known: it replaces what is recorded, and is complete. Otherwise it is added to that: `mark`
     * is the highest that was reached, `taken` has every message that was taken. */
    struct cursor cursor;
    struct box_seen *seen; /* by identity */
    size_t n_seen;
};

struct box *box_new(const char *account, const char *mailbox);
void box_free(struct box *b);  /* NULL is fine */
void box_clear(struct box *b); /* nothing waits any more */

/* Each as journal_*() of the same name says. */
void box_baseline(struct box *b, const struct cursor *c);
void box_take(struct box *b, uint32_t uid);
void box_settle(struct box *b, uint32_t mark);
void box_began(struct box *b, int64_t begun);
void box_see(struct box *b, const struct sighting *s);
bool box_has_seen(const struct box *b, const struct sighting *s);

/* Brings what was recorded up to what waits. */
void box_apply(const struct box *b, struct cursor *c);

#endif
