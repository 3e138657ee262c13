/*
 * work: the jobs of all messages, from the letter to the end of its last action: waiting in the
 * queue, running, waiting for another attempt, followed up.
 * Never knows accounts, servers, or why a rule hit.
 *
 * In a turn: work_choose() says what will start, the journal commits, work_start() starts it. A
 * hook whose letter is not committed does not start.
 */
#ifndef MAILCALL_WATCH_WORK_H
#define MAILCALL_WATCH_WORK_H

#include "hook/run.h"
#include "job/queue.h"
#include "job/retry.h"
#include "rule/rule.h"
#include "sys/loop.h"
#include "watch/follow.h"

struct work;

struct work_opts {
    struct loop *loop;
    struct spool *spool;
    struct journal *journal;          /* NULL: nothing outlives us */
    const struct ruleset *rules;      /* for their names */
    const struct hook_opts *hooks;    /* by rule */
    const struct retry_opts *retries; /* by rule */
    const struct queue_rule *manners; /* by rule */
    unsigned max_hooks;
    const struct strv *secrets;   /* names that hooks must not inherit */
    const struct strv *inherited; /* the environment they start from */
    follow_reach *reach;
    /* The message of this one is lost: it is to be fetched again, whole if need be, now or in a
     * later life; work_supply(), work_gone() or work_renumbered() follow. False: it cannot be. */
    bool (*on_lost)(void *arg, const struct record *r, bool whole);
    /* One without a letter: its message is to be looked at once more. */
    void (*on_unread)(void *arg, const struct record *r);
    /* A job of an earlier life with a change to its mailbox to come. */
    void (*on_owed)(void *arg, const struct record *r);
    /* After each run of a hook. May be NULL. */
    void (*on_outcome)(void *arg, const struct outcome *outcome);
    void *outcome_arg;
    void *arg; /* of the others */
};

/* Everything in opts is borrowed, but copied itself. */
struct work *work_new(const struct work_opts *opts);
/* Nothing may be running. What is left inside is in the journal. NULL is fine. */
void work_free(struct work *w);

/* One rule's letter for the message in the parcel; the letter is the work's from here on. False:
 * the journal has another job of this name, dead perhaps, and the letter is gone. */
bool work_add(
    struct work *w, struct parcel *p, const struct meta *meta, size_t rule, struct letter *letter);
/* A parcel for work_add(); parcel_drop() it afterwards. Messages are numbered in order of arrival.
 */
struct parcel *work_parcel(struct work *w, struct spool_file *file, bool whole);

/* Takes up what the journal holds. 0, or -1 with *e. */
int work_restore(struct work *w, struct err *e);
/* A job that was dead, and whose record somebody has revived. */
void work_revive(struct work *w, const struct record *r);
/* The message on_lost() asked for: the file becomes the work's. False, and nothing happens: nobody
 * waits for it. / The server has it no longer. / No UID of the mailbox means what it meant. */
bool work_supply(struct work *w, const struct meta *meta, struct spool_file *file, bool whole);
void work_gone(struct work *w, const struct meta *meta);
void work_renumbered(
    struct work *w, const char *account, const char *mailbox, uint32_t uidvalidity);

/* The turn: before the commit; after it, which succeeded or not. */
void work_choose(struct work *w);
void work_start(struct work *w, bool committed);

/* What gathers has gathered: a batch starts now. */
void work_hurry(struct work *w);
/* The end, in this order: nothing is tried again any more; those running get a TERM, and a KILL
 * when they do not heed it; or a KILL at once. */
void work_end(struct work *w);
void work_stop(struct work *w);
void work_kill(struct work *w);
/* What waits, when nothing runs any more, is left in the journal. Returns how many hooks were never
 * started that without a journal never will. */
unsigned work_abandon(struct work *w);

/* The last commit failed: what was settled since is not, and its messages stay. */
void work_keep_all(struct work *w);

/* What has happened so far. */
struct work_tally {
    unsigned failed; /* jobs that ended for good without success */
    unsigned left;   /* jobs owed when work_abandon() was called */
};
struct work_tally work_tally(const struct work *w);
unsigned work_running(const struct work *w);   /* hooks, and commands that follow them */
unsigned work_acting(const struct work *w);    /* jobs whose actions can go on now */
unsigned work_startable(const struct work *w); /* hooks that wait for others only */
unsigned work_inside(const struct work *w); /* jobs in memory but for those whose time will come */

#endif
