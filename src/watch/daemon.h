/*
 * daemon: everything together: accounts watched, mail sorted, hooks run, in the order of one turn.
 * Never knows bytes of any protocol, or the syntax of any file.
 */
#ifndef MAILCALL_WATCH_DAEMON_H
#define MAILCALL_WATCH_DAEMON_H

#include "base/err.h"
#include "config/config.h"
#include "hook/run.h"
#include "watch/mail.h"
#include "watch/work.h"

struct daemon;

struct daemon_opts {
    const struct config *config; /* borrowed for the daemon's life */
    const char *state;           /* the folder of the journal and its messages … */
    const char *spool;           /* … or, without one, under which messages are spooled */
    const char *control;         /* with a journal: the folder of the control socket, or NULL */
    /* Instead of running hooks, each letter is shown here. NULL: hooks run. */
    void (*on_letter)(void *arg, const struct letter *letter);
    /* After each run, for whoever wants to tell or to count. May be NULL. */
    void (*on_outcome)(void *arg, const struct outcome *outcome);
    void *arg;
    unsigned limit;          /* end after this many hits; 0 = never */
    uint64_t time_limit_ms;  /* end after this long; 0 = never */
    bool once;               /* end when every mailbox was looked at and every hook has run */
    bool fail_first;         /* a failure before the first success ends the daemon with its error */
    bool forward_signals;    /* INT and TERM also go to the running hooks at once */
    const struct strv *only; /* targets, ACCOUNT or ACCOUNT/MAILBOX; NULL or empty = all */
};

enum daemon_end {
    DAEMON_STOPPED, /* by a signal, or daemon_stop() */
    DAEMON_LIMIT,   /* the limit of hits was reached */
    DAEMON_TIME,    /* the time limit passed */
    DAEMON_DONE,    /* once: all was looked at */
    DAEMON_FAILED,  /* *e says why */
};

/* NULL with *e: the spool folder, the journal (ERR_AGAIN: another daemon has it), a CA file, no
 * mailbox left to watch. */
struct daemon *daemon_new(const struct daemon_opts *opts, struct err *e);
/* Runs until the end. */
enum daemon_end daemon_run(struct daemon *d, struct err *e);
/* Begins the end, gracefully: no new mail; the hooks that run may end by themselves, for as long as
 * the configuration says. Without a journal those that wait run too. From callbacks. */
void daemon_stop(struct daemon *d);
/* What the hooks came to, once daemon_run() has returned. */
struct work_tally daemon_tally(const struct daemon *d);
/* As daemon_stop(), but what waits is not run, and what runs is asked to end. */
void daemon_stop_now(struct daemon *d);
void daemon_free(struct daemon *d); /* NULL is fine */

#endif
