/*
 * desk: what people ask about the jobs that failed for good, and what they want done with them.
 * Never knows how a question reaches us, nor how an answer is printed.
 *
 * The same question is answered by a running daemon (control.h) or, where none runs, straight from
 * the journal.
 */
#ifndef MAILCALL_WATCH_DESK_H
#define MAILCALL_WATCH_DESK_H

#include "base/err.h"
#include "base/strv.h"
#include "job/journal.h"
#include "job/spool.h"

enum desk_what { DESK_FAILED, DESK_RETRY, DESK_DROP };

struct desk_question {
    enum desk_what what;
    struct strv events; /* event ids … */
    struct strv rules;  /* … and rule names; a job is meant when it is named by either … */
    bool all;           /* … and all are; FAILED: nothing named means all */
};
void desk_question_free(struct desk_question *q); /* empty afterwards */

enum { DESK_SUBJECT_MAX = 1024 };

/* Every text is valid UTF-8 and one line without control characters, but for `output`. */
struct desk_job {
    char *event;
    int64_t when; /* it failed, ms since 1970 */
    char *rule;
    char *account;
    char *mailbox;
    uint32_t uid;
    char *result; /* fail, timeout, signal, spawn, unparsable, gone, or flag, move, … that failed */
    int status;   /* the hook's exit status, or 128 + signal; 0 where nothing ran */
    unsigned attempts;
    char *subject; /* at most DESK_SUBJECT_MAX bytes of it; may be empty */
    char *output;  /* the last of it, visible text with \n between lines; empty unless FAILED was
                      asked for this event by its id */
};

struct desk_answer {
    struct desk_job
        *jobs; /* those meant, in order of arrival, as they were before anything was done */
    size_t n;
    struct strv unknown; /* named events that are not there, then rules of which there is none */
};
void desk_answer_free(struct desk_answer *a); /* empty afterwards */

/* Answers from what the journal holds. RETRY: each is planned again, its attempts counted on; when
 * its hook had succeeded and an action failed, the actions go on from there (STAGE_RAN, "ok"). Who
 * followed a leader that is not retried with him is alone from now on. `on_retry` sees each record
 * as it stands then, and may be NULL and call the journal. DROP: forgotten, its file in the spool
 * unlinked when no other record, dead or not, has it. The changes wait for the caller's
 * journal_commit(). Only DROP looks at s. 0, or -1 with *e: nothing was changed, *a is empty. */
int desk_answer(struct journal *j, struct spool *s, const struct desk_question *q,
    struct desk_answer *a, void (*on_retry)(void *arg, const struct record *r), void *arg,
    struct err *e);
/* Forgets, as DROP does, what failed before this moment, in ms since 1970. Returns how many, or -1
 * with *e. */
int desk_expire(struct journal *j, struct spool *s, int64_t before, struct err *e);

#endif
