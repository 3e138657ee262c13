/*
 * sorter: the daemon's door to everything that reads mail: a message goes in, facts and hits come
 * out. Never knows IMAP, or what a rule means.
 *
 * Shaped for a process on the other side: requests are handed in, answers are pulled when there are
 * any, in any order, matched by id.
 */
#ifndef MAILCALL_SORT_SORTER_H
#define MAILCALL_SORT_SORTER_H

#include "base/err.h"
#include "mail/facts.h"
#include "rule/match.h"

struct sorter;

struct sort_request {
    uint64_t id;             /* the caller's own */
    int fd;                  /* the message or its header block, readable from offset 0; borrowed
                                until the answer with this id was pulled */
    const struct meta *meta; /* borrowed for the call */
    const struct plan *plan; /* borrowed for the call */
    int64_t now;             /* seconds since 1970 */
};

struct sort_answer {
    uint64_t id;
    struct facts *facts; /* NULL if the message could not be read: see failure */
    struct hits hits;
    struct err failure;
};

/* The rules are borrowed and must outlive the sorter. */
struct sorter *sorter_new(const struct ruleset *rules);
void sorter_free(struct sorter *s); /* NULL is fine */
void sorter_submit(struct sorter *s, const struct sort_request *request);
/* True: *answer is the caller's, to be given back by sort_answer_free(). False: none is ready. */
bool sorter_next(struct sorter *s, struct sort_answer *answer);
void sort_answer_free(struct sort_answer *a);

#endif
