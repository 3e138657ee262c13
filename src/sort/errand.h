/*
 * errand: one request on its way to an answer: what is sent, what came back, which files were made.
 * Never knows processes, or what a rule means.
 */
#ifndef MAILCALL_SORT_ERRAND_H
#define MAILCALL_SORT_ERRAND_H

#include "base/list.h"
#include "base/strv.h"
#include "sort/sorter.h"

struct errand {
    struct list link;   /* the sorter's */
    unsigned deaths;    /* the sorter's: workers it has cost */
    uint64_t serial;    /* of this errand alone */
    int fd;             /* the message, borrowed */
    uint64_t size;      /* its bytes */
    struct buf request; /* packed: everything of the request is in here */
    struct sort_answer answer;

    /* for errand.c */
    int folder;
    uint64_t written; /* bytes of the files made so far */
    bool whole;
    bool list;
    struct plan plan;
    struct strv names; /* of the files made so far */
};

/* With answer.failure set if the message is none that can be read: then there is nothing to send.
 */
struct errand *errand_new(const struct sort_request *request, uint64_t serial);
void errand_free(struct errand *x); /* with its answer; NULL is fine */
/* As if no worker had ever seen it: the answer is empty, the files are gone. */
void errand_forget(struct errand *x);
/* As errand_forget(), and answer.failure says why. */
void errand_fail(struct errand *x, const struct err *e);

/* Takes over what is in an ANSWER. 0, or -1: it is a lie. */
int errand_answer(struct errand *x, const struct ruleset *rules, struct span body);
/* Whether an attachment is still to be written. */
bool errand_wants_file(const struct errand *x);
/* Makes the file for the next attachment and packs the FILE about it. The descriptor, for writing;
 * or -1 with *e (ERR_CREATE). */
int errand_make_file(struct errand *x, struct buf *body, struct err *e);
enum errand_file { ERRAND_WRITTEN, ERRAND_DISK, ERRAND_LIE };
/* What WRITTEN says of that file, and what the file says. The descriptor stays the caller's. */
enum errand_file errand_written(struct errand *x, int fd, struct span body);

#endif
