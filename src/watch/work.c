/* SPDX-License-Identifier: ISC */
/*
 * A task is one rule's job for one mail, with its letter and its run. It is in the queue, or on
 * `running`, or on `waiting` for its next attempt; a mail lives until its last task is gone.
 */
#include "watch/work.h"

#include "base/mem.h"
#include "job/queue.h"
#include "sys/clock.h"
#include "sys/entropy.h"
#include "sys/log.h"
#include "watch/outcome.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_HOOKS = 8 }; /* running at once, all rules together */

struct work {
    struct work_opts opts;
    struct queue *queue;
    struct list running;
    struct list waiting;
    struct list lingering; /* runs that left somebody behind with their pipe */
    struct work_tally tally;
    bool ending;
};

struct task {
    struct job job;
    struct list link; /* on running or waiting */
    struct work *work;
    struct mail *mail;
    struct letter *letter;
    struct run *run;         /* while it runs */
    struct loop_timer again; /* while it waits */
    unsigned attempt;        /* from 1 */
};

/* --- the life of a mail --- */

void
work_leave(struct mail *m)
{
    ledger_leave(m->ledger, &m->entry);
    mail_free(m);
}

void
work_settle(struct work *w, struct mail *m)
{
    if (m->retrying > 0 || queue_message_left(w->queue, m->id) > 0)
        return;
    if (m->left) {
        work_leave(m);
        return;
    }
    ledger_close(m->ledger, &m->entry);
    mail_free(m);
}

/* --- the life of a task --- */

static void
task_free(struct task *t)
{
    letter_free(t->letter);
    free(t);
}

static const char *
field_of(const struct task *t, const char *name)
{
    return fields_get(&t->letter->fields, name);
}

/* A job that will not run because its message ended: the mail outlives it. */
static void
drop_job(void *arg, struct job *job)
{
    (void)arg;
    task_free(LIST_OWNER(job, struct task, job));
}

/* The hook is owed: its mail is not dealt with, whatever the others did. */
static void
leave_open(struct task *t)
{
    t->mail->left = true;
    t->work->tally.left++;
}

/* Out of the queue, and done with. */
static void
settle_task(struct task *t)
{
    struct work *w = t->work;
    struct mail *m = t->mail;
    queue_settle(w->queue, &t->job);
    task_free(t);
    work_settle(w, m);
    loop_wake(w->opts.loop);
}

/* --- another attempt --- */

static const struct retry_opts *
retry_of(const struct task *t)
{
    return &t->work->opts.retries[t->job.rule];
}

static bool
is_temporary(const struct task *t, const struct outcome *o)
{
    switch (o->result) {
    case RUN_OK:
        return false;
    case RUN_FAIL:
    case RUN_AGAIN:
        /* 126 and 127: the program may be on its way, during an upgrade */
        return o->status == 126 || o->status == 127 || retry_status(retry_of(t), o->status);
    case RUN_TIMEOUT:
    case RUN_SIGNAL:
    case RUN_SPAWN:
        break;
    }
    return true;
}

static void
on_again(void *arg)
{
    struct task *t = arg;
    list_remove(&t->link);
    t->mail->retrying--;
    queue_push(t->work->queue, &t->job);
    loop_wake(t->work->opts.loop);
}

/* Later rules and later messages go on meanwhile. */
static void
wait_for_again(struct task *t, uint64_t wait_ms)
{
    struct work *w = t->work;
    char number[16];
    snprintf(number, sizeof number, "%u", ++t->attempt);
    fields_set(&t->letter->fields, "ATTEMPT", number);
    fields_set(&t->letter->fields, "EVENT", "retry");
    queue_settle(w->queue, &t->job);
    t->mail->retrying++;
    list_append(&w->waiting, &t->link);
    loop_timer_set(w->opts.loop, &t->again, clock_ms() + wait_ms);
    loop_wake(w->opts.loop);
}

/* --- running --- */

static void
on_line(void *arg, struct span line)
{
    log_info("[%s] %.*s", field_of(arg, "RULE"), (int)line.n, line.p);
}

/* wait_ms 0: there is no other attempt. */
static void
say_outcome(const struct task *t, const struct outcome *outcome, uint64_t wait_ms)
{
    struct buf line = {0};
    outcome_line(&line, t->letter, t->mail, outcome);
    if (wait_ms > 0)
        buf_addf(&line, "; again in %" PRIu64 " s", (wait_ms + 500) / 1000);
    else if (t->attempt > 1 && outcome->result != RUN_OK)
        buf_addf(&line, "; given up after %u attempts", t->attempt);
    if (outcome->result == RUN_OK)
        log_info("%s", buf_str(&line));
    else
        log_warn("%s", buf_str(&line));
    buf_free(&line);
}

/* While we are ending, what did not succeed was cut short by us, or has no time for more. */
static void
end_task(struct task *t, const struct outcome *outcome)
{
    bool temporary = is_temporary(t, outcome);
    uint64_t wait_ms = 0;
    if (t->work->ending && (temporary || outcome->result == RUN_AGAIN))
        leave_open(t);
    else if (temporary && !retry_next(retry_of(t), t->attempt, entropy_u64(), &wait_ms))
        wait_ms = 0;
    t->work->tally.failed += outcome->result != RUN_OK && wait_ms == 0 && !t->mail->left;
    say_outcome(t, outcome, wait_ms);
    if (wait_ms > 0)
        wait_for_again(t, wait_ms);
    else
        settle_task(t);
}

static void
on_done(void *arg, const struct outcome *outcome)
{
    struct task *t = arg;
    struct work *w = t->work;
    t->run = NULL;
    list_remove(&t->link);
    if (outcome->stop_message)
        queue_end_message(w->queue, t->mail->id, drop_job, NULL);
    if (w->opts.on_outcome != NULL)
        w->opts.on_outcome(w->opts.arg, outcome);
    end_task(t, outcome);
}

static int
open_stdin(const struct task *t, struct err *e)
{
    switch (t->letter->stdin_kind) {
    case STDIN_MESSAGE:
        return mail_open(t->mail, e);
    case STDIN_HEADERS:
        return mail_open_header(t->mail, t->work->opts.spool, e);
    case STDIN_NONE:
        break;
    }
    return -1;
}

/* What may be short, descriptors or room in the spool, comes back when a running hook ends: then
 * this one is asked again. */
static bool
cannot_start(struct task *t, const struct err *e)
{
    struct work *w = t->work;
    if (!list_empty(&w->running)) {
        queue_put_back(w->queue, &t->job);
        return false;
    }
    log_error("%s: %s: not run: %s", field_of(t, "RULE"), field_of(t, "EVENT_ID"), e->text);
    leave_open(t);
    settle_task(t);
    return true;
}

/* False: no more can be started for now. */
static bool
start(struct task *t)
{
    struct work *w = t->work;
    struct err e = {0};
    int fd = open_stdin(t, &e);
    if (fd < 0 && t->letter->stdin_kind != STDIN_NONE)
        return cannot_start(t, &e);
    struct run_opts opts = {
        .letter = t->letter,
        .stdin_fd = fd,
        .inherited = w->opts.inherited->v,
        .secrets = w->opts.secrets,
        .on_line = on_line,
        .on_done = on_done,
        .left = &w->lingering,
        .arg = t,
    };
    list_append(&w->running, &t->link);
    t->run = run_start(w->opts.loop, &opts);
    if (fd >= 0)
        close(fd);
    return true;
}

void
work_start_due(struct work *w)
{
    struct job *job;
    while ((job = queue_next(w->queue)) != NULL)
        if (!start(LIST_OWNER(job, struct task, job)))
            return;
}

void
work_add(struct work *w, struct mail *mail, size_t rule, struct letter *letter)
{
    struct task *t = xcalloc(1, sizeof *t);
    t->job = (struct job){.message = mail->id, .rule = rule};
    t->work = w;
    t->mail = mail;
    t->letter = letter;
    t->attempt = 1;
    list_init(&t->link);
    loop_timer_init(&t->again, on_again, t);
    queue_push(w->queue, &t->job);
}

/* --- the end --- */

void
work_end(struct work *w)
{
    w->ending = true;
    LIST_EACH(&w->waiting, link)
    {
        struct task *t = LIST_OWNER(link, struct task, link);
        loop_timer_clear(w->opts.loop, &t->again);
        list_remove(&t->link);
        t->mail->retrying--;
        leave_open(t);
        work_settle(w, t->mail);
        task_free(t);
    }
}

static void
each_run(struct work *w, void (*act)(struct run *r))
{
    LIST_EACH(&w->running, link)
    act(LIST_OWNER(link, struct task, link)->run);
}

void
work_stop(struct work *w)
{
    each_run(w, run_stop);
}

void
work_kill(struct work *w)
{
    each_run(w, run_kill);
}

unsigned
work_abandon(struct work *w)
{
    unsigned n = 0;
    struct job *job;
    while ((job = queue_next(w->queue)) != NULL) {
        struct task *t = LIST_OWNER(job, struct task, job);
        leave_open(t);
        settle_task(t);
        n++;
    }
    return n;
}

struct work_tally
work_tally(const struct work *w)
{
    return w->tally;
}

unsigned
work_running(const struct work *w)
{
    return queue_running(w->queue);
}

unsigned
work_waiting(const struct work *w)
{
    return queue_waiting(w->queue);
}

struct work *
work_new(const struct work_opts *opts)
{
    struct work *w = xcalloc(1, sizeof *w);
    w->opts = *opts;
    w->queue = queue_new(MAX_HOOKS);
    list_init(&w->running);
    list_init(&w->waiting);
    list_init(&w->lingering);
    return w;
}

void
work_free(struct work *w)
{
    if (w == NULL)
        return;
    work_end(w);
    work_abandon(w);
    run_abandon(&w->lingering);
    queue_free(w->queue, drop_job, NULL);
    free(w);
}
