/*
 * queue: which job may start now.
 * Never knows what a message is, nor what time it is: the caller says. Pure.
 *
 * Per rule in the order of arrival, at most `concurrency` at once; the jobs of one message one
 * after the other; all together at most `max_running`. A job that waits for another attempt bars
 * nobody; when its moment has come it stands at the end.
 *
 * Jobs of a rule with `debounce_ms` gather: when nothing came for that long, or when the oldest has
 * waited max_delay_ms, they become one: the newest leads, the others are its followers, and from
 * then on the leader alone is in the queue, at the end, whatever happens to it. Gathering jobs bar
 * no other rule of their message, and followers none at all. With BUSY_QUEUE a burst that is quiet
 * while its rule is busy, or has somebody waiting, goes on gathering: one run follows, not many.
 *
 * The caller's time never goes back, in whatever unit the rules and it agree on.
 */
#ifndef MAILCALL_JOB_QUEUE_H
#define MAILCALL_JOB_QUEUE_H

#include "job/job.h"

/* What a job does that finds its rule busy when all else would let it start: `concurrency` of the
 * rule's own run. That max_running is reached makes nobody busy. A job that has run before always
 * waits: it is owed a run, and no reason to stop a newer one. */
enum queue_busy {
    BUSY_QUEUE,   /* wait */
    BUSY_SKIP,    /* do not run at all */
    BUSY_RESTART, /* the one that runs longest is stopped, then this one runs */
};

/* One rule's manners; filled by config/. */
struct queue_rule {
    unsigned concurrency;  /* > 0 */
    uint64_t debounce_ms;  /* 0: each job by itself */
    uint64_t max_delay_ms; /* >= debounce_ms, where that is not 0 */
    enum queue_busy on_busy;
};

struct queue;

/* max_running > 0. Rules are borrowed; job->rule is an index into them, and a job whose rule is
 * beyond them is of a rule of its own with {1, 0, 0, BUSY_QUEUE}. */
struct queue *queue_new(unsigned max_running, const struct queue_rule *rules, size_t n_rules);
/* Jobs still inside, followers too, are handed to `drop`, each by itself: none leads or follows any
 * more. NULL is fine. In any `drop` the job may be freed; the queue must be left alone. */
void queue_free(struct queue *q, void (*drop)(void *arg, struct job *job), void *arg);

/* Puts the job at the end; it stays the caller's memory and must live until it is settled. One that
 * is `formed` has run before, and does not gather (again); neither does one that brings followers
 * of its own, which are pushed with it. */
void queue_push(struct queue *q, struct job *job, uint64_t now);
/* One that has run before and may not start before `until`: an attempt that was due later when we
 * ended. It may bring followers too. UINT64_MAX: not before queue_wake(). */
void queue_push_waiting(struct queue *q, struct job *job, uint64_t until);

enum queue_verdict {
    QUEUE_NOTHING,
    QUEUE_START, /* *job may start now, and counts as running */
    QUEUE_SKIP,  /* its rule was busy: *job is out of the queue, its followers with it */
    QUEUE_STOP,  /* *job counts as running, maybe since a moment ago, and is to be stopped, for a
                    newer one that waits; said once, and for one job of a rule at a time */
};
/* What is to be done now, one after the other until QUEUE_NOTHING; of several startable jobs that
 * of the oldest message. */
enum queue_verdict queue_next(struct queue *q, uint64_t now, struct job **job);
/* When time alone may give queue_next() something to say; UINT64_MAX = never. After queue_next() it
 * is later than its `now`. */
uint64_t queue_deadline(const struct queue *q);
/* Everything that gathers is taken as quiet: for the end, where nothing more will come. Later
 * pushes do not gather either. Waits are waited. */
void queue_hurry(struct queue *q);

/* A running job waits again, in the place where it stood: as if it had not been started. */
void queue_put_back(struct queue *q, struct job *job);
/* A running job waits for another attempt, not before `until`; it has lost its place. */
void queue_wait(struct queue *q, struct job *job, uint64_t until);
/* A job that does not run, whatever it waits for, may start now as far as time is concerned: with
 * it go the burst it gathers with, and its leader. */
void queue_wake(struct queue *q, struct job *job, uint64_t now);
/* Takes a running job out, and its followers with it: they stay linked to it. */
void queue_settle(struct queue *q, struct job *job);
/* The same for a job that does not run. A follower leaves its leader, also one that runs; a burst
 * goes on as if the job had never come. */
void queue_remove(struct queue *q, struct job *job);
/* Takes the jobs of this message out that neither run nor have run, each handed to `drop`: the
 * message ended. Followers of others are among them, unless their leader runs or has run; and where
 * one leads, its followers, being of other messages, go on without it, led by the newest. */
void queue_end_message(
    struct queue *q, uint64_t message, void (*drop)(void *arg, struct job *job), void *arg);

unsigned queue_running(const struct queue *q);
unsigned queue_delayed(const struct queue *q); /* waiting for another attempt's time */
unsigned queue_waiting(const struct queue *q); /* all that do not run and are no followers */
/* Of them, those that waited for nothing but others when queue_next() was last asked. */
unsigned queue_startable(const struct queue *q);

#endif
