/*
 * revive: jobs of an earlier life, from their records to tasks with letters and messages.
 * Never knows when they run, or how a message is fetched again.
 */
#ifndef MAILCALL_WATCH_REVIVE_H
#define MAILCALL_WATCH_REVIVE_H

#include "rule/rule.h"
#include "watch/task.h"

struct revive_opts {
    struct parcels *parcels;
    const struct ruleset *rules;   /* of today */
    const struct hook_opts *hooks; /* by rule */
    /* A job, or the leader of a batch with its followers. */
    void (*on_task)(void *arg, struct task *t);
    /* One without a letter: its message could not be read, and somebody wants it tried again. */
    void (*on_unread)(void *arg, const struct record *r);
    void *arg;
};

/* Everything that is owed, in order of arrival. Jobs whose letter cannot be read become dead;
 * returns how many, or -1 with *e. Files in the spool that belong to no record are removed. */
int revive_all(const struct revive_opts *opts, struct err *e);
/* One that was dead: the callback comes from inside. False: its letter cannot be read, and it is
 * dead again. */
bool revive_one(const struct revive_opts *opts, const struct record *r);
/* The number of a rule; those of no rule of today share one behind them. */
uint64_t revive_rule(const struct ruleset *rules, const char *name);

#endif
