/* SPDX-License-Identifier: ISC */
/* The talk with one worker. It speaks only when it was asked, so at each moment at most one kind of
 * frame may come, and at each moment but IDLE there is a deadline. Whatever else happens ends the
 * same way: the process is killed, its end is awaited, and only then is the errand given back, so
 * that nobody writes to its files any more. Refuses to know what becomes of an errand. */
#include "sort/cell.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "sort/channel.h"
#include "sort/worker.h"
#include "sys/child.h"
#include "sys/clock.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    START_MS = 60 * 1000,     /* thousands of patterns are compiled in it */
    DISK_BYTES_PER_MS = 1000, /* of a slow disk, that attachments are written to */
    SAID_MAX = 200,           /* bytes kept of what it says before it is ready */
};

struct cell {
    struct cell_opts opts;
    enum cell_state state;
    enum cell_state died; /* the state before DYING */
    bool fresh;
    struct child *child;
    struct channel channel;
    struct loop_fd *watch;
    struct loop_timer deadline;
    struct errand *errand;
    int file; /* being written by the worker; -1 = none */
    struct buf said;
    char why[512];
};

/* --- the end --- */

static void
close_file(struct cell *c)
{
    if (c->file >= 0)
        close(c->file);
    c->file = -1;
}

static void
hang_up(struct cell *c)
{
    loop_timer_clear(c->opts.loop, &c->deadline);
    loop_fd_close(c->watch);
    c->watch = NULL;
    channel_clear(&c->channel);
    close_file(c);
}

static void
say_why(struct cell *c, const char *why)
{
    snprintf(c->why, sizeof c->why, "%s", why);
}

/* `why` NULL: the process will tell by its exit status. */
static void
kill_worker(struct cell *c, const char *why)
{
    if (c->state == CELL_DYING)
        return;
    if (why != NULL)
        say_why(c, why);
    c->died = c->state;
    c->state = CELL_DYING;
    hang_up(c);
    child_signal(c->child, SIGKILL);
}

static void
describe_end(struct cell *c, int status, int spawn_errno)
{
    struct err e = {0};
    if (spawn_errno != 0)
        err_sys(&e, ERR_SYSTEM, spawn_errno, "%s: %s", c->opts.program, child_failed(c->child));
    else if (WIFSIGNALED(status))
        err_set(&e, ERR_SYSTEM, "killed by signal %d (%s)", WTERMSIG(status),
            strsignal(WTERMSIG(status)));
    else if (c->said.n > 0)
        err_set(&e, ERR_SYSTEM, "%s", buf_str(&c->said));
    else
        err_set(&e, ERR_SYSTEM, "ended with status %d", WEXITSTATUS(status));
    say_why(c, e.text);
}

static void
on_exit_of(void *arg, int status, int spawn_errno)
{
    struct cell *c = arg;
    struct errand *x = c->errand;
    kill_worker(c, NULL);
    if (c->why[0] == '\0')
        describe_end(c, status, spawn_errno);
    child_close(c->child);
    c->child = NULL;
    c->errand = NULL;
    c->state = CELL_EMPTY;
    buf_free(&c->said);
    c->opts.on_gone(c->opts.arg, x, c->died, c->why);
}

/* What a dynamic linker says that finds no library, for one; later a worker has no voice. */
static void
on_output(void *arg, struct span bytes)
{
    struct cell *c = arg;
    if (c->state == CELL_STARTING && c->said.n < SAID_MAX)
        utf8_line(&c->said, utf8_cut(bytes, SAID_MAX - c->said.n));
}

static void
set_deadline(struct cell *c, uint64_t ms)
{
    loop_timer_set(c->opts.loop, &c->deadline, clock_ms() + ms);
}

/* --- talking --- */

static void
flush(struct cell *c)
{
    enum channel_result result = channel_send(&c->channel);
    if (result == CHANNEL_END)
        kill_worker(c, NULL);
    else
        loop_fd_want(c->watch, result == CHANNEL_AGAIN ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void
become_idle(struct cell *c)
{
    struct errand *x = c->errand;
    c->errand = NULL;
    c->state = CELL_IDLE;
    loop_timer_clear(c->opts.loop, &c->deadline);
    c->opts.on_idle(c->opts.arg, x);
}

static void
give_up(struct cell *c, const struct err *e)
{
    errand_fail(c->errand, e);
    become_idle(c);
}

static void
ask_for_file(struct cell *c)
{
    struct err e;
    struct buf body = {0};
    c->file = errand_make_file(c->errand, &body, &e);
    if (c->file < 0) {
        give_up(c, &e);
    } else {
        channel_put(&c->channel, WIRE_FILE, buf_span(&body), c->file);
        flush(c);
    }
    buf_free(&body);
}

static void
go_on(struct cell *c)
{
    if (errand_wants_file(c->errand))
        ask_for_file(c);
    else
        become_idle(c);
}

static void
take_written(struct cell *c, struct span body)
{
    struct err e;
    enum errand_file result = errand_written(c->errand, c->file, body);
    if (result == ERRAND_LIE) {
        kill_worker(c, "lied about an attachment");
        return;
    }
    close_file(c);
    if (result == ERRAND_WRITTEN) {
        go_on(c);
        return;
    }
    err_set(&e, ERR_IO, "attachment: cannot be written");
    give_up(c, &e);
}

static void
take_ready(struct cell *c, struct span body)
{
    char *reason = wire_unpack_ready(body);
    if (reason == NULL)
        kill_worker(c, "talked nonsense");
    else if (*reason != '\0')
        kill_worker(c, reason);
    else
        become_idle(c);
    free(reason);
}

static void
take_answer(struct cell *c, struct span body)
{
    if (errand_answer(c->errand, c->opts.rules, body) != 0) {
        kill_worker(c, "gave a false answer");
        return;
    }
    /* the files have a time of their own, all together: it is the disk's as well */
    set_deadline(c, c->opts.deadline_ms + c->errand->size / DISK_BYTES_PER_MS);
    go_on(c);
}

static void
take(struct cell *c, const struct frame *f)
{
    bool answered = c->errand != NULL && c->errand->answer.facts != NULL;
    if (c->state == CELL_STARTING && f->kind == WIRE_READY)
        take_ready(c, f->body);
    else if (c->state == CELL_BUSY && f->kind == WIRE_ANSWER && !answered)
        take_answer(c, f->body);
    else if (c->state == CELL_BUSY && f->kind == WIRE_WRITTEN && c->file >= 0)
        take_written(c, f->body);
    else
        kill_worker(c, "spoke without being asked");
}

static void
listen_to(struct cell *c)
{
    struct frame f;
    switch (channel_receive(&c->channel, &f)) {
    case CHANNEL_DONE:
        take(c, &f);
        break;
    case CHANNEL_AGAIN:
        break;
    case CHANNEL_END:
        kill_worker(c, NULL);
        break;
    case CHANNEL_LIE:
        kill_worker(c, "talked nonsense");
        break;
    }
}

static void
on_ready(void *arg, int events)
{
    struct cell *c = arg;
    if ((events & LOOP_WRITE) != 0)
        flush(c);
    if ((events & LOOP_READ) != 0 && c->watch != NULL)
        listen_to(c);
}

static void
on_deadline(void *arg)
{
    struct cell *c = arg;
    uint64_t at = c->deadline.at;
    listen_to(c); /* it may be ourselves who are late */
    bool waiting = c->state == CELL_STARTING || c->state == CELL_BUSY;
    if (waiting && c->deadline.at == at)
        kill_worker(c, "no answer in time");
}

/* --- the beginning --- */

static struct child *
start_process(struct cell *c, int fd)
{
    char *const argv[] = {(char *)(uintptr_t)c->opts.name, (char[]){WORKER_COMMAND}, NULL};
    char *const envp[] = {NULL};
    return child_start(c->opts.loop, &(struct child_opts){
                                         .path = c->opts.program,
                                         .argv = argv,
                                         .envp = envp,
                                         .umask = -1,
                                         .stdin_fd = fd,
                                         .capture_out = true,
                                         .capture_err = true,
                                         .on_output = on_output,
                                         .on_exit = on_exit_of,
                                         .arg = c,
                                     });
}

/* Without a socket there is no talk; the timer tells, for a callback never comes from inside. */
static void
on_no_socket(void *arg)
{
    struct cell *c = arg;
    loop_timer_init(&c->deadline, on_deadline, c);
    c->state = CELL_EMPTY;
    c->opts.on_gone(c->opts.arg, NULL, CELL_STARTING, c->why);
}

static void
fail_to_start(struct cell *c, int error)
{
    snprintf(c->why, sizeof c->why, "socket: %s", strerror(error));
    loop_timer_init(&c->deadline, on_no_socket, c);
    set_deadline(c, 0);
}

void
cell_start(struct cell *c)
{
    int fds[2];
    assert(c->state == CELL_EMPTY);
    c->state = CELL_STARTING;
    c->fresh = true;
    c->why[0] = '\0';
    if (channel_pair(fds) != 0) {
        fail_to_start(c, errno);
        return;
    }
    channel_init(&c->channel, fds[0]);
    c->watch = loop_fd_new(c->opts.loop, fds[0], on_ready, c);
    c->child = start_process(c, fds[1]);
    close(fds[1]);
    set_deadline(c, START_MS);
    channel_put(&c->channel, WIRE_ORDERS, buf_span(c->opts.orders), -1);
    loop_fd_want(c->watch, LOOP_READ | LOOP_WRITE);
}

void
cell_give(struct cell *c, struct errand *x)
{
    assert(c->state == CELL_IDLE);
    c->state = CELL_BUSY;
    c->fresh = false;
    c->errand = x;
    set_deadline(c, c->opts.deadline_ms);
    channel_put(&c->channel, WIRE_REQUEST, buf_span(&x->request), x->fd);
    flush(c);
}

enum cell_state
cell_state(const struct cell *c)
{
    return c->state;
}

bool
cell_is_fresh(const struct cell *c)
{
    return c->fresh;
}

struct cell *
cell_new(const struct cell_opts *opts)
{
    struct cell *c = xcalloc(1, sizeof *c);
    c->opts = *opts;
    c->file = -1;
    channel_init(&c->channel, -1);
    loop_timer_init(&c->deadline, on_deadline, c);
    return c;
}

void
cell_free(struct cell *c)
{
    if (c == NULL)
        return;
    hang_up(c);
    if (c->child != NULL) {
        child_signal(c->child, SIGKILL);
        child_close(c->child);
    }
    errand_free(c->errand);
    buf_free(&c->said);
    loop_discard(c->opts.loop, c);
}
