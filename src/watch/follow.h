/*
 * follow: what is owed to a message after its hook has ended: flags, copies, moves, commands.
 * Never knows queues, or how a mailbox is reached.
 *
 * The actions of a job are done in order, each journalled before the next; the first that fails for
 * good ends them, so that nothing is deleted that could not be copied. What a lost connection cut
 * short is done again, and the hook is not run again for it.
 */
#ifndef MAILCALL_WATCH_FOLLOW_H
#define MAILCALL_WATCH_FOLLOW_H

#include "watch/task.h"

struct follow;

enum reach {
    REACH_NOW,   /* *watch watches it */
    REACH_LATER, /* not in this life: it is configured, and left out, or the login was refused */
    REACH_NEVER, /* the configuration does not know it any more */
};
typedef enum reach follow_reach(
    void *arg, const char *account, const char *mailbox, struct watch **watch);

struct follow_opts {
    struct loop *loop;
    char *const *inherited;     /* the environment of commands */
    const struct strv *secrets; /* names they must not inherit */
    follow_reach *reach;
    /* One line that a command printed. */
    void (*on_line)(void *arg, struct span line); /* arg: the task */
    /* Its last action is done, or never will be: `failed` is the name of the one that failed, or
     * NULL. The task is the callee's again; from inside loop_turn() or follow_start(). */
    void (*on_end)(void *arg, struct task *t, const char *failed);
    struct list *lingering; /* as run_opts.left */
    void *arg;
};

struct follow *follow_new(const struct follow_opts *opts);
/* Nothing may be running. NULL is fine. */
void follow_free(struct follow *f);

/* The task is the follow's from here on: what its record says is owed is done. */
void follow_take(struct follow *f, struct task *t);
/* What the last commit justified is begun. */
void follow_start(struct follow *f);
unsigned follow_owed(const struct follow *f);    /* tasks inside */
unsigned follow_running(const struct follow *f); /* of them, those whose command runs */
/* Those that go on by themselves: with a mailbox that can be had now, a command, or the next turn.
 */
unsigned follow_busy(const struct follow *f);
/* The end: commands get a TERM / a KILL; then, when none runs any more, what is still owed is left
 * in the journal: the tasks are freed. */
void follow_stop(struct follow *f);
void follow_kill(struct follow *f);
void follow_abandon(struct follow *f);

#endif
