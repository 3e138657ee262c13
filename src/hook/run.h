/*
 * run: one hook process from its start to its verdict.
 * Never knows IMAP, YAML or the queue.
 */
#ifndef MAILCALL_HOOK_RUN_H
#define MAILCALL_HOOK_RUN_H

#include "hook/letter.h"

struct loop;
struct run;

enum run_result {
    RUN_OK,    /* exit 0, or 99 */
    RUN_FAIL,  /* any other exit status */
    RUN_AGAIN, /* temporary: exit 75 or 111, or 126/127 from the program itself */
    RUN_TIMEOUT,
    RUN_SIGNAL, /* killed by a signal that we did not send */
    RUN_SPAWN,  /* could not be started: no such program, not executable, no resources */
};

enum { RUN_TAIL_MAX = 4096 };

struct outcome {
    enum run_result result;
    int status;        /* exit status, or 128 + signal; 127/126 for RUN_SPAWN as a shell would */
    bool stop_message; /* exit 99 */
    uint64_t elapsed_ms;
    struct span tail;   /* last RUN_TAIL_MAX bytes of output, escaped; valid during the callback */
    const char *reason; /* RUN_SPAWN: why; else "" */
};

struct run_opts {
    const struct letter *letter; /* borrowed until the run is over */
    int stdin_fd;                /* a regular file at offset 0, read-only; -1 = /dev/null; borrowed
                                    for the call */
    char *const *inherited;      /* the environment to start from */
    const struct strv *secrets;  /* names removed from it */
    /* One line of output (LOG only), already escaped by utf8_visible(), at most 1 KiB a piece. */
    void (*on_line)(void *arg, struct span line);
    /* Exactly once, never from inside run_start(); the run is freed after it returns. */
    void (*on_done)(void *arg, const struct outcome *outcome);
    void *arg;
};

/* Starts the process in its own group, signals at default. Never fails: what cannot be started
 * ends in on_done with RUN_SPAWN. */
struct run *run_start(struct loop *loop, const struct run_opts *opts);
/* TERM and CONT to the group, KILL after kill_after_ms; on_done follows. */
void run_stop(struct run *r);
/* KILL to the group at once; on_done follows. */
void run_kill(struct run *r);

/* Finds the program of argv[0]: as it is with a '/', else in `path`, then in $PATH of `env`. The
 * result is the caller's; NULL with *e (ERR_INPUT) that names what was searched. Shared with
 * `check`. */
char *run_find(const char *name, const struct strv *path, const char *search_path, struct err *e);

/* The verdict table: a wait status to a result. Pure, for tests. */
void run_verdict(int wait_status, struct outcome *o);
const char *run_result_name(enum run_result r); /* ok fail again timeout signal spawn */

#endif
