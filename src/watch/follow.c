/* SPDX-License-Identifier: ISC */
/* A task is on one of three rings: `owing` for its next action, which may begin with the next
 * commit; `asking` while its mailbox is at it, or it waits for its time; `running` while a command
 * runs. Its record alone says how far it has come. */
#include "watch/follow.h"

#include "base/mem.h"
#include "sys/clock.h"
#include "sys/entropy.h"
#include "sys/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    COMMANDS_MAX = 8, /* running at once */
    COMMAND_TRIES = 6,
};

struct follow {
    struct follow_opts opts;
    struct list owing;
    struct list asking;
    struct list running;
    unsigned commands;
    bool ending;
};

static const struct action *
present(const struct task *t)
{
    return &task_actions(t)->v[t->record.acted];
}

static struct follow *
follow_of(const struct task *t)
{
    return t->owner;
}

static void
move_to(struct list *ring, struct task *t)
{
    list_remove(&t->link);
    list_append(ring, &t->link);
}

static void
end(struct task *t, const char *failed)
{
    struct follow *f = follow_of(t);
    list_remove(&t->link);
    loop_timer_clear(f->opts.loop, &t->again);
    f->opts.on_end(f->opts.arg, t, failed);
    loop_wake(f->opts.loop);
}

/* The members of a batch were moved each, but the command for all of them ran once. */
static bool
is_for(const struct task *t, const struct action *a)
{
    return action_is_for_mailbox(a) || !task_is_follower(t);
}

static void
owe(struct task *t)
{
    struct follow *f = follow_of(t);
    const struct actions *all = task_actions(t);
    while (t->record.acted < all->n && !is_for(t, present(t)))
        t->record.acted++;
    t->tries = 0;
    t->backoff = (struct backoff){0};
    if (t->record.acted >= all->n)
        end(t, NULL);
    else
        move_to(&f->owing, t);
    loop_wake(f->opts.loop);
}

static void
done(struct task *t)
{
    task_acted(t);
    owe(t);
}

static void
say(const struct task *t, const char *what, const char *why)
{
    log_warn("%s: %s of %s/%s:%u %s: %s", task_field(t, "RULE"), action_name(present(t)->kind),
        t->record.account, t->record.mailbox, (unsigned)t->record.uid, what, why);
}

static void
try_later(struct task *t, const char *why)
{
    struct follow *f = follow_of(t);
    uint64_t wait = 1000 + backoff_next(&t->backoff, entropy_u64());
    say(t, "has to wait", why);
    move_to(&f->asking, t);
    loop_timer_set(f->opts.loop, &t->again, clock_ms() + wait);
}

static void
on_again(void *arg)
{
    struct task *t = arg;
    move_to(&follow_of(t)->owing, t);
    loop_wake(follow_of(t)->opts.loop);
}

static void
refuse(struct task *t, const char *why)
{
    say(t, "failed", why);
    task_say(t, span_str(why));
    end(t, action_name(present(t)->kind));
}

/* --- what a mailbox does --- */

static void
on_copied(void *arg)
{
    task_copied(arg);
}

static void
on_acted(void *arg, const struct err *why, bool gone)
{
    struct task *t = arg;
    if (why == NULL) {
        if (gone)
            say(t, "was not needed", "the message is no longer there");
        done(t);
    } else if (why->kind == ERR_AGAIN) {
        try_later(t, why->text);
    } else if (why->kind == ERR_MAILBOX) {
        say(t, "is dropped", why->text);
        end(t, NULL);
    } else {
        refuse(t, why->text);
    }
}

static void
ask_mailbox(struct task *t, const struct action *a)
{
    static const enum act_kind kinds[] = {
        [ACTION_FLAG] = ACT_FLAG,
        [ACTION_UNFLAG] = ACT_UNFLAG,
        [ACTION_MOVE] = ACT_MOVE,
        [ACTION_COPY] = ACT_COPY,
        [ACTION_DELETE] = ACT_DELETE,
    };
    struct follow *f = follow_of(t);
    struct watch *w;
    switch (f->opts.reach(f->opts.arg, t->record.account, t->record.mailbox, &w)) {
    case REACH_NOW:
        break;
    case REACH_LATER:
        move_to(&f->asking, t);
        return;
    case REACH_NEVER:
        refuse(t, "nobody watches that mailbox any more");
        return;
    }
    t->act = (struct watch_errand){
        .act = {.kind = kinds[a->kind],
            .uidvalidity = t->record.uidvalidity,
            .uid = t->record.uid,
            .text = a->text,
            .copied = t->record.halfway},
        .on_copied = on_copied,
        .on_done = on_acted,
        .arg = t,
    };
    move_to(&f->asking, t);
    watch_ask(w, &t->act);
}

/* --- what a command does --- */

static void
on_command_done(void *arg, const struct outcome *o)
{
    struct task *t = arg;
    struct follow *f = follow_of(t);
    t->run = NULL;
    task_rest(t);
    letter_free(t->errand);
    t->errand = NULL;
    f->commands--;
    bool temporary = o->result != RUN_OK && o->result != RUN_FAIL;
    char why[32];
    snprintf(why, sizeof why, "%s %d", run_result_name(o->result), o->status);
    if (o->result == RUN_OK)
        done(t);
    else if (f->ending)
        move_to(&f->asking, t);
    else if (temporary && ++t->tries < COMMAND_TRIES)
        try_later(t, why);
    else
        refuse(t, why);
}

static void
run_command(struct task *t, const struct action *a)
{
    struct follow *f = follow_of(t);
    struct err e = {0};
    int fd = task_stdin(t, t->letter->stdin_kind, &e);
    if (fd < 0 && t->letter->stdin_kind != STDIN_NONE) {
        try_later(t, e.text);
        return;
    }
    t->errand = letter_for_action(t->letter, a, t->record.result, t->record.status);
    struct run_opts opts = {
        .letter = t->errand,
        .stdin_fd = fd,
        .inherited = f->opts.inherited,
        .secrets = f->opts.secrets,
        .on_line = f->opts.on_line,
        .on_done = on_command_done,
        .left = f->opts.lingering,
        .arg = t,
    };
    move_to(&f->running, t);
    f->commands++;
    t->run = run_start(f->opts.loop, &opts);
    if (fd >= 0)
        close(fd);
}

void
follow_start(struct follow *f)
{
    LIST_EACH(&f->owing, link)
    {
        struct task *t = LIST_OWNER(link, struct task, link);
        const struct action *a = present(t);
        if (action_is_for_mailbox(a))
            ask_mailbox(t, a);
        else if (f->commands < COMMANDS_MAX && !f->ending)
            run_command(t, a);
    }
}

void
follow_take(struct follow *f, struct task *t)
{
    t->owner = f;
    loop_timer_init(&t->again, on_again, t);
    owe(t);
}

/* --- how much there is, and the end --- */

static unsigned
count(const struct list *ring)
{
    unsigned n = 0;
    for (const struct list *link = ring->next; link != ring; link = link->next)
        n++;
    return n;
}

unsigned
follow_owed(const struct follow *f)
{
    return count(&f->owing) + count(&f->asking) + count(&f->running);
}

unsigned
follow_running(const struct follow *f)
{
    return count(&f->running);
}

unsigned
follow_busy(const struct follow *f)
{
    unsigned n = count(&f->running);
    if (!f->ending)
        n += count(&f->owing);
    for (const struct list *link = f->asking.next; link != &f->asking; link = link->next)
        n += watch_is_at(&LIST_OWNER(link, const struct task, link)->act);
    return n;
}

static void
each_run(struct follow *f, void (*act)(struct run *r))
{
    f->ending = true;
    LIST_EACH(&f->running, link)
    act(LIST_OWNER(link, struct task, link)->run);
}

void
follow_stop(struct follow *f)
{
    each_run(f, run_stop);
}

void
follow_kill(struct follow *f)
{
    each_run(f, run_kill);
}

static void
abandon(struct follow *f, struct list *ring)
{
    LIST_EACH(ring, link)
    {
        struct task *t = LIST_OWNER(link, struct task, link);
        loop_timer_clear(f->opts.loop, &t->again);
        watch_unask(&t->act);
        t->parcel->kept |= t->journal != NULL;
        task_free(t);
    }
}

void
follow_abandon(struct follow *f)
{
    abandon(f, &f->owing);
    abandon(f, &f->asking);
}

struct follow *
follow_new(const struct follow_opts *opts)
{
    struct follow *f = xcalloc(1, sizeof *f);
    f->opts = *opts;
    list_init(&f->owing);
    list_init(&f->asking);
    list_init(&f->running);
    return f;
}

void
follow_free(struct follow *f)
{
    if (f == NULL)
        return;
    follow_abandon(f);
    assert(list_empty(&f->running));
    free(f);
}
