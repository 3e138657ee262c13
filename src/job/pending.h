/*
 * pending: the changes to jobs that wait in memory for the next commit, one for a job.
 * Never knows what a message is, nor how it is written.
 */
#ifndef MAILCALL_JOB_PENDING_H
#define MAILCALL_JOB_PENDING_H

#include "job/journal.h"

/* What a change does; a new record and one that is settled do nothing else. */
enum { CHANGE_ADD = 1, CHANGE_MOVE = 2, CHANGE_REFILE = 4, CHANGE_DROP = 8 };

struct change {
    struct record r; /* of it what the change does; owned */
    unsigned what;
    struct change *next; /* with the same hash */
};

/* All zero is an empty one. */
struct pending {
    struct change **v; /* by id */
    size_t n;
    struct change **buckets; /* the new records, by the hash of their events */
    size_t n_buckets;        /* a power of two, or 0 */
    size_t n_hashed;
};

/* Each as journal_*() of the same name says; the record is copied. A new one has its id, above all
 * others', and an event that no other new one has; one that was dropped is not changed again. */
void pending_add(struct pending *p, const struct record *r);
void pending_move(struct pending *p, const struct record *r);
void pending_refile(struct pending *p, const struct record *r);
void pending_drop(struct pending *p, uint64_t id);
void pending_clear(struct pending *p); /* empty, memory returned */

/* Borrowed, until the next change of the same; NULL for none. */
const struct change *pending_find(const struct pending *p, uint64_t id);
/* The new record with this event. */
const struct change *pending_find_event(const struct pending *p, const char *event);

/* Brings a record up to a change that moves or refiles it; what it points to is borrowed. */
void change_apply(const struct change *c, struct record *r);

#endif
