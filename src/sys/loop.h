/*
 * loop: the one event loop (libuv): descriptors, timers, signals, work in a pool thread.
 * Never knows mail of any kind.
 *
 * Callbacks come only from inside loop_turn(). Anything may be closed or cleared inside any
 * callback, its own included; after that its callback does not come again.
 */
#ifndef MAILCALL_SYS_LOOP_H
#define MAILCALL_SYS_LOOP_H

#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

/* Also ignores SIGPIPE (OpenSSL writes with write(2)) and SIGXFSZ (a file over the limit is an
 * error like a full disk), undoes an inherited "ignore" of SIGCHLD, and sets UV_THREADPOOL_SIZE in
 * the environment where it is not set. */
struct loop *loop_new(void);
/* Everything registered must be closed before. Runs what is left of closing, and waits a second for
 * work that is under way in the pool; a lookup at a dead name server takes longer and cannot be
 * taken back: then the loop is left standing. NULL is fine. */
void loop_free(struct loop *l);
/* Whether one was. Then exit() would hang until that work is done; _exit() does not. */
bool loop_left_work(void);
/* Sleeps until something is due, then runs every callback that is ready, once around. With
 * `sleep` false it only polls. */
void loop_turn(struct loop *l, bool sleep);
/* Makes the current or next loop_turn() return without sleeping; only from the loop's thread. */
void loop_wake(struct loop *l);
/* The uv_loop_t, for sys/ and net/ only. */
void *loop_uv(struct loop *l);

/* --- descriptors --- */

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

struct loop_fd;
/* Watches fd (not owned; a socket, pipe, terminal or the like, never a regular file) for nothing
 * until loop_fd_want(), and makes it non-blocking. `events` in the callback is a mask; errors and
 * hang-ups come as every wanted direction, so that the next read or write tells. */
struct loop_fd *loop_fd_new(
    struct loop *l, int fd, void (*on_ready)(void *arg, int events), void *arg);
void loop_fd_want(struct loop_fd *f, int events);
/* Stops; fd may be closed right after. NULL is fine. */
void loop_fd_close(struct loop_fd *f);

/* --- timers: deadlines on clock_ms(), embedded in their owner, so setting never fails --- */

struct loop_timer {
    uint64_t at;    /* clock_ms(); meaningful while set */
    uint64_t order; /* the loop's: of two equal deadlines the one set first runs first */
    size_t slot;    /* the loop's: place in its heap plus one, 0 = not set */
    void (*on_due)(void *arg);
    void *arg;
};

void loop_timer_init(struct loop_timer *t, void (*on_due)(void *arg), void *arg);
/* Sets or moves the deadline. One shot. A deadline in the past means the next turn, never the
 * present one, so a timer that sets itself cannot hold the loop. */
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t at);
void loop_timer_clear(struct loop *l, struct loop_timer *t); /* harmless when not set */

/* --- signals --- */

struct loop_signal;
struct loop_signal *loop_signal_new(
    struct loop *l, int number, void (*on_signal)(void *arg, int number), void *arg);
void loop_signal_close(struct loop_signal *s); /* NULL is fine */

/* --- work in a pool thread --- */

/* Runs `work` in another thread, then `done` in the loop's. Cannot be cancelled: the owner must
 * outlive it. */
void loop_work(struct loop *l, void (*work)(void *arg), void (*done)(void *arg), void *arg);

/* --- the ends of owners and of the loop --- */

/* Frees p at the end of this turn (outside of one: of the next). So who was closed inside his own
 * callback still stands, silent, when the callback returns. */
void loop_discard(struct loop *l, void *p);

/* For what outlives its owner, such as a process nobody waits for: on_end comes once, out of
 * loop_free(), and must close what is left. Embedded; list_remove(&end->link) withdraws it. */
struct loop_end {
    struct list link;
    void (*on_end)(void *arg);
    void *arg;
};
void loop_at_end(struct loop *l, struct loop_end *end);

#endif
