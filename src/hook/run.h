/*
 * run: one hook process from its start to its verdict.
 * Never knows IMAP, YAML or the queue.
 */
#ifndef MAILCALL_HOOK_RUN_H
#define MAILCALL_HOOK_RUN_H

#include "base/err.h"
#include "base/list.h"
#include "hook/letter.h"

struct loop;
struct run;

enum run_result {
    RUN_OK,      /* exit 0, or 99 */
    RUN_FAIL,    /* any other exit status */
    RUN_AGAIN,   /* temporary: exit 75 or 111, or 126/127 from the program itself; also whatever it
                    ended with, other than RUN_OK, after run_stop() or run_kill() */
    RUN_TIMEOUT, /* we ended it at timeout_ms, whatever its status */
    RUN_SIGNAL,  /* killed by a signal that we did not send */
    RUN_SPAWN,   /* could not be started: no such program, not executable, no resources */
};

enum {
    RUN_TAIL_MAX = 4096,
    RUN_LINE_MAX = 1024,
    RUN_LEFT_MAX = 64, /* leavings at once; of more, the oldest lose their pipe */
};

struct outcome {
    enum run_result result;
    int status;        /* exit status, or 128 + signal; 127/126 for RUN_SPAWN as a shell would */
    bool stop_message; /* exit 99 */
    uint64_t elapsed_ms;
    struct span tail;   /* last RUN_TAIL_MAX bytes of output, escaped, lines parted by \n, the last
                           one without; valid during the callback */
    const char *reason; /* RUN_SPAWN: why; else "" */
    bool shortage;      /* RUN_SPAWN: of descriptors, processes or memory; nothing to do with it */
};

struct run_opts {
    const struct letter *letter; /* borrowed until the run is over */
    int stdin_fd;                /* a regular file at offset 0, read-only; -1 = /dev/null; borrowed
                                    for the call */
    char *const *inherited;      /* the environment to start from */
    const struct strv *secrets;  /* names removed from it */
    /* One line of output (OUTPUT_LOG only), already escaped by utf8_visible(); a longer one comes
     * in pieces of at most RUN_LINE_MAX bytes. NULL: nobody wants them. */
    void (*on_line)(void *arg, struct span line);
    /* Exactly once, never from inside run_start(), when the process has ended; no on_line after
     * it. The run is over when it returns: r is not used again. */
    void (*on_done)(void *arg, const struct outcome *outcome);
    void *arg;
    /* A process that the hook left behind may hold the output pipe for long. What it writes is read
     * and thrown away until it is done, so that it never dies of a broken pipe; such leavings wait
     * in this ring (a head of the caller's, who empties it by run_abandon() before loop_free()).
     * NULL: they wait by themselves. */
    struct list *left;
};

/* Starts the process in its own group, signals at default. Never fails: what cannot be started
 * ends in on_done with RUN_SPAWN. The letter has an argv. */
struct run *run_start(struct loop *loop, const struct run_opts *opts);
/* TERM and CONT to the group, KILL after kill_after_ms; on_done follows. Once the process itself
 * has ended, whoever is left in the group is killed. The same happens at timeout_ms. */
void run_stop(struct run *r);
/* KILL to the group at once; on_done follows. */
void run_kill(struct run *r);
/* Closes the pipes of what hooks left behind; of the oldest of them. */
void run_abandon(struct list *left);
void run_abandon_oldest(struct list *left, unsigned n);

/* Finds the program of argv[0]: as it is with a '/', else in the folders of `path`, then those of
 * `search_path` ($PATH; NULL = none; relative entries are not searched), then among the shipped
 * hooks. The result is the caller's; NULL with *e (ERR_INPUT) that names what was searched, or the
 * file that is there but not executable. A relative name with '/' is not looked at: it starts from
 * the hook's own folder. Shared with `check`. */
char *run_find(const char *name, const struct strv *path, const char *search_path, struct err *e);

/* The verdict table: a wait status to result, status and stop_message. Pure, for tests. */
void run_verdict(int wait_status, struct outcome *o);
const char *run_result_name(enum run_result r); /* ok fail again timeout signal spawn */

#endif
