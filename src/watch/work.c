/* SPDX-License-Identifier: ISC */
/* A task is in the queue, which says when; on `running` while its hook does; with follow.c when the
 * hook has ended and actions are owed; or on its parcel's ring while the message is fetched again.
 * Parcels that nobody needs any more are kept until the commit that says so. */
#include "watch/work.h"

#include "base/mem.h"
#include "sys/clock.h"
#include "sys/entropy.h"
#include "sys/log.h"
#include "watch/outcome.h"
#include "watch/revive.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct work {
    struct work_opts opts;
    struct queue *queue;
    struct follow *follow;
    struct parcels parcels;
    struct list spent;  /* settled tasks: their parcels go with the commit */
    struct list fresh;  /* tasks the journal has not committed yet, by `fresh` */
    struct list chosen; /* to be started behind this turn's commit */
    struct list running;
    struct list lingering; /* runs that left somebody behind with their pipe */
    struct loop_timer due;
    struct loop_timer relief;
    bool is_short; /* of descriptors, or the like: until then nothing is started */
    struct work_tally tally;
    unsigned inside;
    bool hurried;
    bool ending;
};

static struct task *
task_of(struct job *job)
{
    return LIST_OWNER(job, struct task, job);
}

static struct work *
work_of(const struct task *t)
{
    return t->owner;
}

/* --- the end of a task --- */

static void
spend(struct work *w, struct task *t)
{
    w->inside--;
    list_remove(&t->fresh);
    list_remove(&t->link);
    list_append(&w->spent, &t->link);
    loop_wake(w->opts.loop);
}

/* It is out of the queue, and so are its followers. */
static void
spend_all(struct work *w, struct task *t)
{
    LIST_EACH(&t->job.followers, link)
    {
        list_remove(link);
        spend(w, LIST_OWNER(link, struct task, job.in_batch));
    }
    spend(w, t);
}

static void
die(struct work *w, struct task *t, const char *result)
{
    task_die(t, result);
    w->tally.failed++;
    spend_all(w, t);
}

static void
settle(struct work *w, struct task *t)
{
    task_settle(t);
    spend_all(w, t);
}

/* A job that will not run because its message ended. */
static void
drop_job(void *arg, struct job *job)
{
    settle(arg, task_of(job));
}

static void
leave_job(void *arg, struct job *job)
{
    struct work *w = arg;
    struct task *t = task_of(job);
    w->inside--;
    w->tally.left++;
    t->parcel->kept |= t->journal != NULL;
    task_free(t);
}

static void
on_followed(void *arg, struct task *t, const char *failed)
{
    struct work *w = arg;
    bool ok = strcmp(t->record.result, "ok") == 0;
    t->owner = w;
    if (ok && failed == NULL)
        settle(w, t);
    else if (ok)
        die(w, t, failed);
    else
        die(w, t, t->record.result);
}

/* --- what a run came to --- */

static const struct retry_opts *
retry_of(const struct task *t)
{
    static struct retry_opts usual;
    if (t->job.rule < work_of(t)->opts.rules->n)
        return &work_of(t)->opts.retries[t->job.rule];
    if (usual.attempts == 0)
        retry_default(&usual);
    return &usual;
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
on_line(void *arg, struct span line)
{
    log_info("[%s] %.*s", task_field(arg, "RULE"), (int)line.n, line.p);
}

/* wait_ms 0: there is no other attempt. */
static void
say_outcome(const struct task *t, const struct outcome *outcome, uint64_t wait_ms)
{
    struct buf line = {0};
    outcome_line(&line, t->letter, outcome);
    if (wait_ms > 0)
        buf_addf(&line, "; again in %" PRIu64 " s", (wait_ms + 500) / 1000);
    else if (t->record.attempt > 1 && outcome->result != RUN_OK)
        buf_addf(&line, "; given up after %u attempts", t->record.attempt);
    if (outcome->result == RUN_OK)
        log_info("%s", buf_str(&line));
    else
        log_warn("%s", buf_str(&line));
    buf_free(&line);
}

/* Each member of a batch has its own message to be acted upon. */
static void
follow_up(struct work *w, struct task *t)
{
    LIST_EACH(&t->job.followers, link)
    {
        list_remove(link);
        follow_take(w->follow, LIST_OWNER(link, struct task, job.in_batch));
    }
    follow_take(w->follow, t);
}

/* The hook will not run again. */
static void
conclude(struct work *w, struct task *t, const struct outcome *o)
{
    queue_settle(w->queue, &t->job);
    task_ran(t, o);
    if (task_actions(t)->n > 0)
        follow_up(w, t);
    else
        on_followed(w, t, NULL);
}

/* While we are ending, what did not succeed was cut short by us, or has no time for more. */
static void
interrupt(struct work *w, struct task *t)
{
    task_unbegin(t);
    queue_wait(w->queue, &t->job, UINT64_MAX);
}

static void
wait_for_again(struct work *w, struct task *t, const struct outcome *o, uint64_t wait_ms)
{
    task_wait(t, o, wait_ms);
    queue_wait(w->queue, &t->job, clock_ms() + wait_ms);
}

/* A newer one of its rule was to run in its place. */
static void
supersede(struct work *w, struct task *t)
{
    queue_settle(w->queue, &t->job);
    settle(w, t);
}

static void
end_messages(struct work *w, struct task *t)
{
    LIST_EACH(&t->job.followers, link)
    queue_end_message(w->queue, LIST_OWNER(link, struct job, in_batch)->message, drop_job, w);
    queue_end_message(w->queue, t->job.message, drop_job, w);
}

static void cannot_start(struct work *w, struct task *t, const struct err *e);

static void
on_done(void *arg, const struct outcome *o)
{
    struct task *t = arg;
    struct work *w = work_of(t);
    bool temporary = is_temporary(t, o);
    bool cut_short = w->ending && (temporary || o->result == RUN_AGAIN);
    uint64_t wait_ms = 0;
    t->run = NULL;
    task_rest(t);
    list_remove(&t->link);
    if (o->shortage) {
        struct err e;
        err_set(&e, ERR_SYSTEM, "%s", o->reason);
        cannot_start(w, t, &e);
        return;
    }
    if (o->stop_message)
        end_messages(w, t);
    if (w->opts.on_outcome != NULL)
        w->opts.on_outcome(w->opts.outcome_arg, o);
    bool again = !cut_short && !t->job.stopping && temporary &&
                 retry_next(retry_of(t), t->record.attempt, entropy_u64(), &wait_ms);
    say_outcome(t, o, again ? wait_ms : 0);
    if (cut_short)
        interrupt(w, t);
    else if (again)
        wait_for_again(w, t, o, wait_ms);
    else if (t->job.stopping && o->result != RUN_OK)
        supersede(w, t);
    else
        conclude(w, t, o);
    loop_wake(w->opts.loop);
}

/* --- starting --- */

static bool
gathers(const struct task *t)
{
    const struct work *w = work_of(t);
    return t->job.rule < w->opts.rules->n && w->opts.manners[t->job.rule].debounce_ms > 0;
}

static void
skip(struct work *w, struct task *t)
{
    log_info("%s skipped %s/%s:%u: busy", task_field(t, "RULE"), t->record.account,
        t->record.mailbox, (unsigned)t->record.uid);
    settle(w, t);
}

/* One that was only chosen in this turn need not begin. */
static void
stop_for_newer(struct work *w, struct task *t)
{
    if (t->run != NULL) {
        run_stop(t->run);
        return;
    }
    list_remove(&t->link);
    supersede(w, t);
}

void
work_choose(struct work *w)
{
    struct job *job;
    enum queue_verdict verdict;
    if (w->is_short || (w->ending && w->opts.journal != NULL))
        return; /* it will as well begin at the next start */
    while ((verdict = queue_next(w->queue, clock_ms(), &job)) != QUEUE_NOTHING) {
        struct task *t = task_of(job);
        switch (verdict) {
        case QUEUE_START:
            task_begin(t, gathers(t));
            list_append(&w->chosen, &t->link);
            break;
        case QUEUE_SKIP:
            skip(w, t);
            break;
        case QUEUE_STOP:
            stop_for_newer(w, t);
            break;
        case QUEUE_NOTHING:
            break;
        }
    }
    uint64_t next = queue_deadline(w->queue);
    if (next != UINT64_MAX)
        loop_timer_set(w->opts.loop, &w->due, next);
    else
        loop_timer_clear(w->opts.loop, &w->due);
}

/* What may be short, descriptors or room in the spool, comes back when a running hook ends, or by
 * itself: then this one is asked again, in its place. */
static void
cannot_start(struct work *w, struct task *t, const struct err *e)
{
    enum { SHORT_OF_SOMETHING_MS = 1000, SOME = 8 };
    task_unbegin(t);
    queue_put_back(w->queue, &t->job);
    run_abandon_oldest(&w->lingering, SOME);
    if (!list_empty(&w->running))
        return;
    log_error("%s: %s: cannot be started now: %s", task_field(t, "RULE"), task_field(t, "EVENT_ID"),
        e->text);
    w->is_short = true;
    loop_timer_set(w->opts.loop, &w->relief, clock_ms() + SHORT_OF_SOMETHING_MS);
}

static void
on_relief(void *arg)
{
    struct work *w = arg;
    w->is_short = false;
    loop_wake(w->opts.loop);
}

static void
start(struct work *w, struct task *t)
{
    struct err e = {0};
    int fd = task_stdin(t, t->letter->stdin_kind, &e);
    if (fd < 0 && t->letter->stdin_kind != STDIN_NONE) {
        cannot_start(w, t, &e);
        return;
    }
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
}

static void
empty(struct list *ring)
{
    LIST_EACH(ring, link)
    list_remove(link);
}

static void
free_spent(struct work *w)
{
    LIST_EACH(&w->spent, link)
    task_free(LIST_OWNER(link, struct task, link));
}

static bool
is_committed(const struct task *t)
{
    return t->journal == NULL || list_empty(&t->fresh);
}

void
work_start(struct work *w, bool committed)
{
    if (committed) {
        empty(&w->fresh);
        free_spent(w);
    }
    LIST_EACH(&w->chosen, link)
    {
        struct task *t = LIST_OWNER(link, struct task, link);
        list_remove(link);
        if (is_committed(t)) {
            start(w, t);
        } else {
            task_unbegin(t);
            queue_put_back(w->queue, &t->job);
        }
    }
    if (committed)
        follow_start(w->follow);
}

static void
on_due(void *arg)
{
    struct work *w = arg;
    loop_wake(w->opts.loop);
}

/* --- new jobs --- */

struct parcel *
work_parcel(struct work *w, struct spool_file *file, bool whole)
{
    return parcel_new(&w->parcels, file, whole);
}

bool
work_add(
    struct work *w, struct parcel *p, const struct meta *meta, size_t rule, struct letter *letter)
{
    struct task *t = task_new(w->opts.journal, p, letter, meta, rule);
    if (w->opts.journal != NULL && t->record.id == 0) {
        task_free(t);
        return false;
    }
    t->owner = w;
    w->inside++;
    list_append(&w->fresh, &t->fresh);
    queue_push(w->queue, &t->job, clock_ms());
    return true;
}

/* --- jobs of an earlier life --- */

/* What was cut short keeps its place; an attempt that is due later has lost it. */
static void
enqueue(struct work *w, struct task *t)
{
    int64_t wait = t->record.due - clock_wall_ms();
    int64_t longest = (int64_t)retry_of(t)->max_backoff_ms * 5 / 4;
    if (wait > longest) /* the clock was set back */
        wait = longest;
    if (t->record.stage == STAGE_WAITING && wait > 0)
        queue_push_waiting(w->queue, &t->job, clock_ms() + (uint64_t)wait);
    else
        queue_push(w->queue, &t->job, clock_ms());
}

static void
lose(struct work *w, struct task *t)
{
    task_say(t, SPAN("the message is no longer on the server"));
    log_error("%s: %s: its message is lost, and the server has it no longer", task_field(t, "RULE"),
        task_field(t, "EVENT_ID"));
    die(w, t, "gone");
}

/* Its message was fetched again, or need not be. */
static void
go_on(struct work *w, struct task *t)
{
    if (t->record.stage == STAGE_RAN)
        follow_take(w->follow, t);
    else
        enqueue(w, t);
}

static void
fetch_again(struct work *w, struct task *t)
{
    bool whole = t->record.file_is_whole || t->letter->stdin_kind == STDIN_MESSAGE;
    list_append(&t->parcel->waiting, &t->waiting);
    if (w->opts.on_lost(w->opts.arg, &t->record, whole))
        return;
    list_remove(&t->waiting);
    lose(w, t);
}

/* A hook that was running when we died is due at once, and counts that attempt. */
static void
resume(void *arg, struct task *t)
{
    struct work *w = arg;
    t->owner = w;
    w->inside++;
    LIST_EACH(&t->job.followers, link)
    {
        LIST_OWNER(link, struct task, job.in_batch)->owner = w;
        w->inside++;
    }
    if (task_owes_mailbox(t))
        w->opts.on_owed(w->opts.arg, &t->record);
    if (t->parcel->file == NULL && task_needs_message(t))
        fetch_again(w, t);
    else
        go_on(w, t);
    loop_wake(w->opts.loop);
}

static void
on_unread(void *arg, const struct record *r)
{
    struct work *w = arg;
    w->opts.on_unread(w->opts.arg, r);
}

static struct revive_opts
revive_opts(struct work *w)
{
    return (struct revive_opts){
        .parcels = &w->parcels,
        .rules = w->opts.rules,
        .hooks = w->opts.hooks,
        .on_task = resume,
        .on_unread = on_unread,
        .arg = w,
    };
}

int
work_restore(struct work *w, struct err *e)
{
    struct revive_opts opts = revive_opts(w);
    int buried = revive_all(&opts, e);
    if (buried > 0)
        w->tally.failed += (unsigned)buried;
    return buried < 0 ? -1 : 0;
}

void
work_revive(struct work *w, const struct record *record)
{
    struct revive_opts opts = revive_opts(w);
    revive_one(&opts, record);
}

/* --- messages fetched again --- */

static bool
waits_for(const struct parcel *p, const struct meta *meta)
{
    if (list_empty(&p->waiting))
        return false;
    const struct task *t = LIST_OWNER(p->waiting.next, const struct task, waiting);
    return t->record.uid == meta->uid && t->record.uidvalidity == meta->uidvalidity &&
           strcmp(t->record.account, meta->account) == 0 &&
           strcmp(t->record.mailbox, meta->mailbox) == 0;
}

static struct parcel *
find_waiting(struct work *w, const struct meta *meta)
{
    LIST_EACH(&w->parcels.ring, link)
    {
        struct parcel *p = LIST_OWNER(link, struct parcel, link);
        if (waits_for(p, meta))
            return p;
    }
    return NULL;
}

static void
supply(struct work *w, struct parcel *from, struct parcel *p)
{
    parcel_share(from); /* its last task may leave it */
    LIST_EACH(&from->waiting, link)
    {
        struct task *t = LIST_OWNER(link, struct task, waiting);
        list_remove(link);
        if (t->parcel != p) {
            parcel_drop(t->parcel);
            t->parcel = parcel_share(p);
        }
        task_refile(t);
        go_on(w, t);
    }
    parcel_drop(from);
}

bool
work_supply(struct work *w, const struct meta *meta, struct spool_file *file, bool whole)
{
    struct parcel *p = find_waiting(w, meta);
    if (p == NULL)
        return false;
    p->file = file;
    p->whole = whole;
    parcel_share(p);
    for (struct parcel *other = p; other != NULL; other = find_waiting(w, meta))
        supply(w, other, p);
    parcel_drop(p);
    return true;
}

static void
give_up(struct work *w, struct parcel *p)
{
    parcel_share(p);
    LIST_EACH(&p->waiting, link)
    {
        list_remove(link);
        lose(w, LIST_OWNER(link, struct task, waiting));
    }
    parcel_drop(p);
}

void
work_gone(struct work *w, const struct meta *meta)
{
    for (struct parcel *p; (p = find_waiting(w, meta)) != NULL;)
        give_up(w, p);
}

void
work_renumbered(struct work *w, const char *account, const char *mailbox, uint32_t uidvalidity)
{
    LIST_EACH(&w->parcels.ring, link)
    {
        struct parcel *p = LIST_OWNER(link, struct parcel, link);
        if (list_empty(&p->waiting))
            continue;
        const struct record *r = &LIST_OWNER(p->waiting.next, struct task, waiting)->record;
        if (r->uidvalidity != uidvalidity && strcmp(r->account, account) == 0 &&
            strcmp(r->mailbox, mailbox) == 0)
            give_up(w, p);
    }
}

/* --- the end --- */

void
work_hurry(struct work *w)
{
    if (w->hurried)
        return;
    w->hurried = true;
    queue_hurry(w->queue);
    loop_wake(w->opts.loop);
}

void
work_end(struct work *w)
{
    w->ending = true;
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
    follow_stop(w->follow);
}

void
work_kill(struct work *w)
{
    each_run(w, run_kill);
    follow_kill(w->follow);
}

static void
leave_all(struct work *w, struct task *t)
{
    LIST_EACH(&t->job.followers, link)
    {
        list_remove(link);
        leave_job(w, &LIST_OWNER(link, struct task, job.in_batch)->job);
    }
    leave_job(w, &t->job);
}

static void
leave_waiting(struct work *w)
{
    LIST_EACH(&w->parcels.ring, link)
    {
        struct parcel *p = parcel_share(LIST_OWNER(link, struct parcel, link));
        while (!list_empty(&p->waiting))
            leave_all(w, LIST_OWNER(p->waiting.next, struct task, waiting));
        parcel_drop(p);
    }
}

unsigned
work_abandon(struct work *w)
{
    unsigned owed = follow_owed(w->follow);
    unsigned before = w->tally.left;
    follow_abandon(w->follow);
    w->inside -= owed;
    leave_waiting(w);
    queue_free(w->queue, leave_job, w);
    w->queue = NULL;
    unsigned hooks = w->tally.left - before;
    w->tally.left += owed;
    return hooks;
}

struct work_tally
work_tally(const struct work *w)
{
    return w->tally;
}

unsigned
work_running(const struct work *w)
{
    return queue_running(w->queue) + follow_running(w->follow);
}

unsigned
work_acting(const struct work *w)
{
    return follow_busy(w->follow);
}

unsigned
work_startable(const struct work *w)
{
    return queue_startable(w->queue);
}

unsigned
work_inside(const struct work *w)
{
    return w->inside - queue_delayed(w->queue);
}

static enum reach
reach(void *arg, const char *account, const char *mailbox, struct watch **watch)
{
    struct work *w = arg;
    return w->opts.reach(w->opts.arg, account, mailbox, watch);
}

struct work *
work_new(const struct work_opts *opts)
{
    struct work *w = xcalloc(1, sizeof *w);
    w->opts = *opts;
    w->queue = queue_new(opts->max_hooks, opts->manners, opts->rules->n);
    parcels_init(&w->parcels, opts->spool, opts->journal);
    list_init(&w->spent);
    list_init(&w->fresh);
    list_init(&w->chosen);
    list_init(&w->running);
    list_init(&w->lingering);
    loop_timer_init(&w->due, on_due, w);
    loop_timer_init(&w->relief, on_relief, w);
    struct follow_opts follow = {
        .loop = opts->loop,
        .inherited = opts->inherited->v,
        .secrets = opts->secrets,
        .reach = reach,
        .on_line = on_line,
        .on_end = on_followed,
        .lingering = &w->lingering,
        .arg = w,
    };
    w->follow = follow_new(&follow);
    return w;
}

void
work_keep_all(struct work *w)
{
    LIST_EACH(&w->spent, link)
    LIST_OWNER(link, struct task, link)->parcel->kept = w->opts.journal != NULL;
}

void
work_free(struct work *w)
{
    if (w == NULL)
        return;
    if (w->queue != NULL)
        work_abandon(w);
    follow_free(w->follow);
    free_spent(w);
    run_abandon(&w->lingering);
    loop_timer_clear(w->opts.loop, &w->due);
    loop_timer_clear(w->opts.loop, &w->relief);
    free(w);
}
