/*
 * sorter: the daemon's door to everything that reads mail: a message goes in, facts and hits come
 * out. Never knows IMAP, or what a rule means.
 *
 * On the other side is our own program once more (worker.h), in a process that can do nothing but
 * read the message it was handed and answer; the message may have been written to take it over. So
 * every answer is checked as if an attacker had written it. A worker that dies, lies or is late
 * costs its message a second try in a fresh one, then that message is unparsable; the others go on
 * in another worker meanwhile. Requests are handed in, answers are pulled when there are any (the
 * loop is woken), in any order, matched by id.
 */
#ifndef MAILCALL_SORT_SORTER_H
#define MAILCALL_SORT_SORTER_H

#include "base/err.h"
#include "mail/message.h"
#include "rule/match.h"
#include "sys/loop.h"

struct sorter;

struct sorter_opts {
    struct loop *loop;
    const char *program;         /* our own, to be executed once more; NULL: /proc/self/exe or what
                                    else names it */
    const struct ruleset *rules; /* borrowed; must outlive the sorter */
    uint64_t deadline_ms;        /* for one message; 0 = SORT_DEADLINE_MS */
    unsigned workers;            /* at most so many at once; 0 = 2 */
};
enum { SORT_DEADLINE_MS = 10 * 1000 }; /* attachments have as long again, and a slow disk's time */

struct sort_request {
    uint64_t id;                /* the caller's own */
    int fd;                     /* the message or its header block: a regular file that does not
                                   change, opened for reading only; borrowed until the answer with
                                   this id was pulled */
    bool whole;                 /* it is the whole message */
    bool list;                  /* answer.nodes is wanted; only of a whole message */
    int folder;                 /* attachments are written into it, see sort_file; -1 = nowhere;
                                   borrowed likewise. Where there is no answer, no file is left */
    const struct meta *meta;    /* borrowed for the call */
    const struct plan *plan;    /* the rules to be tried; borrowed for the call */
    const struct strv *trusted; /* servers whose Authentication-Results count; borrowed likewise */
    int64_t now;                /* seconds since 1970 */
};

/* One attachment as a file in the request's folder, 0600. */
struct sort_file {
    size_t attachment; /* index into facts.attachments */
    char *name;        /* as base/safename.h makes them, one after the other */
};

struct sort_answer {
    uint64_t id;
    struct facts *facts; /* NULL: see failure */
    struct hits hits;
    struct message_nodes nodes; /* see message_list(); empty unless wanted */
    struct sort_file *files;    /* one for each attachment, in their order; none without a folder */
    size_t n_files;
    bool unparsable;    /* it killed, or silenced, two workers; or is beyond all measure (1 GiB) */
    struct err failure; /* ERR_INPUT: the message; ERR_CREATE, ERR_IO: its attachments' files;
                           ERR_SYSTEM: no worker starts, so it is nobody's fault: try later */
};

/* Starts nothing yet. */
struct sorter *sorter_new(const struct sorter_opts *opts);
void sorter_free(struct sorter *s); /* kills the workers; NULL is fine */
void sorter_submit(struct sorter *s, const struct sort_request *request);
/* True: *answer is the caller's, to be given back by sort_answer_free(). False: none is ready. */
bool sorter_next(struct sorter *s, struct sort_answer *answer);
void sort_answer_free(struct sort_answer *a);
/* Which walls stand around a worker here, for people: "seccomp, landlock, limits". */
const char *sorter_walls(void);

#endif
