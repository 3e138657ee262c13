/*
 * task: one job in memory: its letter, its message, and what the journal is told of it.
 * Never knows when it runs, nor why its rule hit.
 *
 * Every step that a crash must not forget is one function here; a leader's followers go through it
 * with it. Without a journal nothing is told.
 */
#ifndef MAILCALL_WATCH_TASK_H
#define MAILCALL_WATCH_TASK_H

#include "hook/run.h"
#include "imap/act.h"
#include "job/job.h"
#include "job/journal.h"
#include "rule/meta.h"
#include "sys/loop.h"
#include "watch/backoff.h"
#include "watch/parcel.h"
#include "watch/watch.h"

struct task {
    struct job job;
    struct list link;        /* the work's: where the task is, when it is not in the queue alone */
    struct list fresh;       /* the work's: not committed yet */
    struct list waiting;     /* on parcel->waiting */
    void *owner;             /* the work, or the follow */
    struct journal *journal; /* or NULL */
    struct parcel *parcel;
    struct letter *letter;
    struct record record; /* its file is the parcel's; the other texts are in `texts` */
    struct strv texts;
    struct buf tail;          /* what the record's tail points to */
    struct run *run;          /* while a process of it runs */
    struct spool_file *lines; /* likewise: what MAILCALL_JSON_FILE names */
    struct letter *errand;    /* the letter of the action that runs */
    struct watch_errand act;  /* the change its mailbox was asked for */
    struct loop_timer again;  /* an action waits for another attempt */
    struct backoff backoff;   /* of its actions */
    unsigned tries;           /* of the action that runs */
};

/* A new job: planned. Takes over the letter, and a reference of the parcel of its own. */
struct task *task_new(
    struct journal *j, struct parcel *p, struct letter *l, const struct meta *meta, uint64_t rule);
/* One of an earlier life; the parcel likewise. NULL with *e for a letter that cannot be read. */
struct task *task_restore(
    struct journal *j, struct parcel *p, const struct record *r, uint64_t rule, struct err *e);
void task_free(struct task *t); /* tells nothing */

const char *task_field(const struct task *t, const char *name);
bool task_is_follower(const struct task *t); /* another one of its batch led the run */
/* Whether what is still to run of it cannot do without the message. */
bool task_needs_message(const struct task *t);
/* Whether a change to its mailbox is owed. */
bool task_owes_mailbox(const struct task *t);
/* The file its letter's stdin is; -1 with *e, or for none. */
int task_stdin(struct task *t, enum hook_stdin kind, struct err *e);
void task_rest(struct task *t); /* the process has ended: what was made for it goes */

/* running: an attempt begins, `gathers` if its rule makes batches. */
void task_begin(struct task *t, bool gathers);
/* The attempt that was begun does not count: it is waiting, for nothing. */
void task_unbegin(struct task *t);
/* waiting: it failed for now. */
void task_wait(struct task *t, const struct outcome *o, uint64_t wait_ms);
/* ran: the hook has ended for good, and actions are owed. */
void task_ran(struct task *t, const struct outcome *o);
void task_copied(struct task *t); /* half of the present action is done */
void task_acted(struct task *t);  /* it is done, the next is owed */
/* What people are shown of it when it is dead, instead of what its hook wrote. */
void task_say(struct task *t, struct span words);
/* dead: kept with its message, for people. */
void task_die(struct task *t, const char *result);
/* settled: forgotten. */
void task_settle(struct task *t);
/* Its message was fetched again. */
void task_refile(struct task *t);

/* The actions its result calls for. */
const struct actions *task_actions(const struct task *t);

#endif
