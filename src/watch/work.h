/*
 * work: the hooks of all mails: waiting in the queue, running, waiting for another attempt.
 * Never knows accounts, servers, or why a rule hit.
 *
 * A mail given to work_settle() is dealt with when its last hook has ended for good: only then is
 * it closed in its ledger. One whose hook was cut short, or never started, is left open there.
 */
#ifndef MAILCALL_WATCH_WORK_H
#define MAILCALL_WATCH_WORK_H

#include "hook/run.h"
#include "job/retry.h"
#include "job/spool.h"
#include "sys/loop.h"
#include "watch/mail.h"

struct work;

struct work_opts {
    struct loop *loop;
    struct spool *spool;
    const struct retry_opts *retries; /* by rule */
    const struct strv *secrets;       /* names that hooks must not inherit */
    const struct strv *inherited;     /* the environment they start from */
    /* After each run. May be NULL. */
    void (*on_outcome)(void *arg, const struct outcome *outcome);
    void *arg;
};

/* Everything in opts is borrowed, but copied itself. */
struct work *work_new(const struct work_opts *opts);
/* Nothing may be running. What is left inside is left in its ledger. NULL is fine. */
void work_free(struct work *w);

/* One rule's letter for the mail; the letter is the work's from here on. */
void work_add(struct work *w, struct mail *mail, size_t rule, struct letter *letter);
/* No more letters come; the mail is the work's from here on. */
void work_settle(struct work *w, struct mail *mail);
/* The mail cannot be worked on in this life. */
void work_leave(struct mail *mail);

/* Starts what may start. */
void work_start_due(struct work *w);

/* The end, in this order: nothing is tried again any more; those running get a TERM, and a KILL
 * when they do not heed it; or a KILL at once; nothing more is started, and what waits is left. The
 * last returns how many hooks did not run. */
void work_end(struct work *w);
void work_stop(struct work *w);
void work_kill(struct work *w);
unsigned work_abandon(struct work *w);

/* What has happened so far. */
struct work_tally {
    unsigned failed; /* hooks that ended for good without success */
    unsigned left;   /* hooks owed: cut short, not started, or with an attempt to come */
};
struct work_tally work_tally(const struct work *w);
unsigned work_running(const struct work *w);
unsigned work_waiting(const struct work *w); /* in the queue */

#endif
