/*
 * child: one process, started with posix_spawn in a pool thread, watched to its end.
 * Never knows mail of any kind.
 *
 * Its own process group, default signals, empty mask; descriptors 0, 1, 2 and nothing else.
 */
#ifndef MAILCALL_SYS_CHILD_H
#define MAILCALL_SYS_CHILD_H

#include "base/span.h"
#include "sys/loop.h"

struct child;

struct child_opts {
    const char *path; /* program, no search */
    char *const *argv;
    char *const *envp;
    const char *cwd;  /* NULL: ours */
    int umask;        /* -1: ours */
    int stdin_fd;     /* -1: /dev/null */
    bool capture_out; /* stdout goes to on_output; else ours */
    bool capture_err; /* stderr likewise, into the same pipe; else ours */
    /* Raw bytes of output, in order. May still come after on_exit when the process left somebody
     * behind who holds the pipe. */
    void (*on_output)(void *arg, struct span bytes);
    /* Exactly once unless the child is closed before. status is wait's; or spawn_errno != 0 and
     * nothing was started. What was in the pipe when the process ended has been delivered. */
    void (*on_exit)(void *arg, int status, int spawn_errno);
    /* The pipe ended; comes after on_exit, or never when nothing is captured. May be NULL. */
    void (*on_eof)(void *arg);
    void *arg;
};

/* Everything in opts is copied, stdin_fd duplicated (the offset is shared, as dup does). Never
 * fails: see on_exit. No callback comes from inside; our own descriptors 0, 1 and 2 must be open.
 */
struct child *child_start(struct loop *l, const struct child_opts *opts);
/* Sends the signal to the whole group; while the process is still being started, as soon as it has
 * been. Also after on_exit, for those left behind: the dead process keeps its number until
 * child_close(), so no stranger can be hit. */
void child_signal(struct child *c, int signal);
/* What spawn_errno is about: "program", "interpreter", "working directory", "standard input",
 * "output pipe" or "process". Valid in on_exit and after; NULL if nothing failed. */
const char *child_failed(const struct child *c);
/* No callback comes any more. A process still running is left running, but reaped; its
 * pipe is gone. NULL is fine. */
void child_close(struct child *c);

#endif
