/* SPDX-License-Identifier: ISC */
/*
 * The turn. Read turn() first: its order is the program's promise. Everything else here fills or
 * empties one of three queues: arrivals (spooled, unsorted), the job queue, and the bytes to send.
 *
 * A mail lives from its arrival until the last of its jobs is settled; a task is one rule's job for
 * one mail together with its letter and its run.
 */
#include "watch/daemon.h"

#include "base/mem.h"
#include "hook/event.h"
#include "job/queue.h"
#include "sort/sorter.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "watch/credential.h"
#include "watch/outcome.h"
#include "watch/watch.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

enum {
    MAX_HOOKS = 8,           /* running at once, all rules together */
    SHUTDOWN_MS = 30 * 1000, /* for hooks to finish by themselves */
    ARRIVALS_PER_TURN = 64,  /* mails sorted before bytes are looked at again */
};

/* One configured account at run time. */
struct post {
    const struct account *account;
    struct credential *credential;
    struct tls_trust *trust;
    bool trust_is_ours; /* else an earlier post's */
    bool dead;          /* its login was refused for good */
};

/* One mailbox and the rules that concern it. */
struct box {
    struct daemon *daemon;
    struct post *post;
    struct plan plan;
    struct watch *watch;
    bool stopped;
};

struct task {
    struct job job;
    struct list link; /* in the daemon's running tasks, while it runs */
    struct daemon *daemon;
    struct mail *mail;
    struct letter *letter;
    struct run *run;
};

enum phase { PHASE_RUNNING, PHASE_DRAINING, PHASE_KILLING };

struct daemon {
    struct daemon_opts opts;
    struct loop *loop;
    struct spool *spool;
    struct sorter *sorter;
    struct queue *queue;
    struct post *posts;
    size_t n_posts;
    struct box *boxes;
    size_t n_boxes;
    struct list arrivals;  /* mails, in order */
    struct list sorting;   /* mails the sorter has */
    struct list running;   /* tasks */
    struct list dirty;     /* watches with bytes to send */
    struct list left;      /* runs that left somebody behind with their pipe */
    struct strv inherited; /* our environment as it was when we started */
    struct loop_signal *signals[4];
    struct loop_timer shutdown;
    struct loop_timer time_limit;
    uint64_t next_mail;
    unsigned hits;
    unsigned signals_seen;
    enum phase phase;
    enum daemon_end end;
    struct err failure;
    bool was_up; /* some mailbox was watched once */
};

/* --- settling --- */

static void
settle_mail(struct daemon *d, struct mail *m)
{
    if (queue_message_left(d->queue, m->id) == 0)
        mail_free(m);
}

static void
task_free(struct task *t)
{
    letter_free(t->letter);
    free(t);
}

/* A job that will not run because its message ended: the mail outlives it. */
static void
drop_job(void *arg, struct job *job)
{
    (void)arg;
    task_free(LIST_OWNER(job, struct task, job));
}

static void
settle_task(struct task *t)
{
    struct daemon *d = t->daemon;
    struct mail *m = t->mail;
    queue_settle(d->queue, &t->job);
    task_free(t);
    settle_mail(d, m);
    loop_wake(d->loop);
}

/* --- running --- */

static void
on_line(void *arg, struct span line)
{
    struct task *t = arg;
    log_info("[%s] %.*s", fields_get(&t->letter->fields, "RULE"), (int)line.n, line.p);
}

static void
say_outcome(const struct task *t, const struct outcome *outcome)
{
    struct buf line = {0};
    outcome_line(&line, t->letter, t->mail, outcome);
    if (outcome->result == RUN_OK)
        log_info("%s", buf_str(&line));
    else
        log_warn("%s", buf_str(&line));
    buf_free(&line);
}

static void
on_done(void *arg, const struct outcome *outcome)
{
    struct task *t = arg;
    struct daemon *d = t->daemon;
    t->run = NULL;
    list_remove(&t->link);
    say_outcome(t, outcome);
    if (d->opts.on_outcome != NULL)
        d->opts.on_outcome(d->opts.arg, outcome);
    if (outcome->stop_message)
        queue_end_message(d->queue, t->mail->id, drop_job, d);
    settle_task(t);
}

static int
open_stdin(struct task *t, struct err *e)
{
    switch (t->letter->stdin_kind) {
    case STDIN_MESSAGE:
        return mail_open(t->mail, e);
    case STDIN_HEADERS:
        return mail_open_header(t->mail, t->daemon->spool, e);
    case STDIN_NONE:
        break;
    }
    return -1;
}

static void
start_task(struct task *t)
{
    struct daemon *d = t->daemon;
    struct err e = {0};
    int fd = open_stdin(t, &e);
    if (fd < 0 && t->letter->stdin_kind != STDIN_NONE) {
        log_error("%s: %s: not run: %s", fields_get(&t->letter->fields, "RULE"),
            fields_get(&t->letter->fields, "EVENT_ID"), e.text);
        settle_task(t);
        return;
    }
    struct run_opts opts = {
        .letter = t->letter,
        .stdin_fd = fd,
        .inherited = d->inherited.v,
        .secrets = &d->opts.config->secrets,
        .on_line = on_line,
        .on_done = on_done,
        .left = &d->left,
        .arg = t,
    };
    list_append(&d->running, &t->link);
    t->run = run_start(d->loop, &opts);
    if (fd >= 0)
        close(fd);
}

static void
start_due(struct daemon *d)
{
    struct job *job;
    while (d->phase != PHASE_KILLING && (job = queue_next(d->queue)) != NULL)
        start_task(LIST_OWNER(job, struct task, job));
}

/* --- sorting --- */

static struct letter *
write_letter(
    struct daemon *d, const struct mail *m, const struct hit *hit, const struct facts *facts)
{
    const struct rule *rule = &d->opts.config->rules.v[hit->rule];
    char id[EVENT_ID_LENGTH + 1];
    event_id_make(id, &m->meta, rule->name);
    struct event event = {
        .version = MAILCALL_VERSION,
        .kind = "new",
        .id = id,
        .attempt = 1,
        .rule = rule->name,
        .meta = &m->meta,
        .facts = facts,
        .hit = hit,
        .file = mail_path(m),
    };
    return letter_write(&d->opts.config->hooks[hit->rule], &event);
}

static void
queue_letter(struct daemon *d, struct mail *m, size_t rule, struct letter *letter)
{
    struct task *t = xcalloc(1, sizeof *t);
    t->job = (struct job){.message = m->id, .rule = rule};
    list_init(&t->link);
    t->daemon = d;
    t->mail = m;
    t->letter = letter;
    queue_push(d->queue, &t->job);
}

static void
deliver_hit(struct daemon *d, struct mail *m, const struct hit *hit, const struct facts *facts)
{
    struct letter *letter = write_letter(d, m, hit, facts);
    d->hits++;
    if (d->opts.on_letter == NULL) {
        queue_letter(d, m, hit->rule, letter);
        return;
    }
    d->opts.on_letter(d->opts.arg, letter, m);
    letter_free(letter);
}

static bool
limit_reached(const struct daemon *d)
{
    return d->opts.limit > 0 && d->hits >= d->opts.limit;
}

static void
deliver_hits(struct daemon *d, struct mail *m, const struct sort_answer *answer)
{
    for (size_t i = 0; i < answer->hits.notes.n; i++)
        log_warn("%s", answer->hits.notes.v[i]);
    for (size_t i = 0; i < answer->hits.n && !limit_reached(d); i++) {
        deliver_hit(d, m, &answer->hits.v[i], answer->facts);
        if (d->opts.config->rules.v[answer->hits.v[i].rule].stop)
            break;
    }
}

static void
say_unread(const struct mail *m, const struct err *e)
{
    log_error(
        "%s/%s:%u: not read: %s", m->meta.account, m->meta.mailbox, (unsigned)m->meta.uid, e->text);
}

static void
submit_mail(struct daemon *d, struct mail *m)
{
    struct err e;
    m->sort_fd = mail_open(m, &e);
    if (m->sort_fd < 0) {
        say_unread(m, &e);
        mail_free(m);
        return;
    }
    list_append(&d->sorting, &m->link);
    struct sort_request request = {
        .id = m->id, .fd = m->sort_fd, .meta = &m->meta, .plan = m->plan, .now = clock_wall()};
    sorter_submit(d->sorter, &request);
}

static void
submit_arrivals(struct daemon *d)
{
    for (int i = 0; i < ARRIVALS_PER_TURN && !list_empty(&d->arrivals); i++) {
        struct mail *m = LIST_OWNER(d->arrivals.next, struct mail, link);
        list_remove(&m->link);
        submit_mail(d, m);
    }
}

/* Answers come nearly in the order of the requests, so the walk is short. */
static struct mail *
take_sorted(struct daemon *d, uint64_t id)
{
    LIST_EACH(&d->sorting, link)
    {
        struct mail *m = LIST_OWNER(link, struct mail, link);
        if (m->id == id) {
            list_remove(&m->link);
            close(m->sort_fd);
            return m;
        }
    }
    return NULL;
}

static void
collect_answers(struct daemon *d)
{
    struct sort_answer answer;
    while (sorter_next(d->sorter, &answer)) {
        struct mail *m = take_sorted(d, answer.id);
        assert(m != NULL);
        if (answer.facts != NULL)
            deliver_hits(d, m, &answer);
        else
            say_unread(m, &answer.failure);
        settle_mail(d, m);
        sort_answer_free(&answer);
    }
}

/* --- the accounts --- */

static void
on_mail(void *arg, struct mail *mail)
{
    struct box *box = arg;
    mail->id = ++box->daemon->next_mail;
    list_append(&box->daemon->arrivals, &mail->link);
}

static void
end_with(struct daemon *d, enum daemon_end end, const struct err *why)
{
    if (d->phase != PHASE_RUNNING)
        return;
    d->end = end;
    if (why != NULL)
        d->failure = *why;
    daemon_stop(d);
}

/* Its other mailboxes are stopped in this turn; said once, and by whoever ends if that is us. */
static void
account_died(struct post *post, const struct err *why, bool ending)
{
    if (!post->dead && !ending)
        log_error("%s: %s; this account stops until mailcall is started again", post->account->name,
            why->text);
    post->dead = true;
}

static bool
on_state(void *arg, enum watch_state state, const struct err *why)
{
    struct box *box = arg;
    struct daemon *d = box->daemon;
    bool ends = d->opts.fail_first && state != WATCH_UP && (!d->was_up || state == WATCH_DEAD);
    if (state == WATCH_UP)
        d->was_up = true;
    if (state == WATCH_DEAD)
        account_died(box->post, why, ends);
    if (ends)
        end_with(d, DAEMON_FAILED, why);
    return !ends;
}

static bool
is_wanted(const struct daemon *d, const char *account, const char *mailbox)
{
    if (d->opts.only == NULL || d->opts.only->n == 0)
        return true;
    for (size_t i = 0; i < d->opts.only->n; i++)
        if (plan_covers(d->opts.only->v[i], account, mailbox))
            return true;
    return false;
}

static enum session_fetch
what_to_fetch(const struct daemon *d, const struct plan *plan)
{
    for (size_t i = 0; i < plan->n; i++)
        if (d->opts.config->hooks[plan->v[i]].stdin_kind == STDIN_MESSAGE)
            return SESSION_FETCH_MESSAGES;
    return SESSION_FETCH_HEADERS;
}

static void
add_box(struct daemon *d, struct post *post, const char *mailbox)
{
    struct box *box = &d->boxes[d->n_boxes++];
    box->daemon = d;
    box->post = post;
    plan_make(&box->plan, &d->opts.config->rules, post->account->name, mailbox);
    struct watch_opts opts = {
        .loop = d->loop,
        .account = post->account,
        .credential = post->credential,
        .trust = post->trust,
        .spool = d->spool,
        .mailbox = mailbox,
        .plan = &box->plan,
        .fetch = what_to_fetch(d, &box->plan),
        .dirty = &d->dirty,
        .on_mail = on_mail,
        .on_state = on_state,
        .arg = box,
    };
    box->watch = watch_new(&opts);
}

/* Accounts that trust the same share one certificate store. */
static struct tls_trust *
shared_trust(const struct daemon *d, const struct stream_opts *net)
{
    if (net->fingerprint != NULL)
        return NULL;
    for (size_t i = 0; i < d->n_posts; i++) {
        const struct stream_opts *other = &d->posts[i].account->net;
        bool same = net->ca_file == NULL
                        ? other->ca_file == NULL
                        : other->ca_file != NULL && strcmp(net->ca_file, other->ca_file) == 0;
        if (same && other->fingerprint == NULL)
            return d->posts[i].trust;
    }
    return NULL;
}

static int
add_post(struct daemon *d, const struct account *account, struct err *e)
{
    struct post *post = &d->posts[d->n_posts];
    struct tls_trust *shared = shared_trust(d, &account->net);
    struct tls_trust *trust = shared;
    if (trust == NULL)
        trust = tls_trust_new(account->net.ca_file, account->net.fingerprint, e);
    if (trust == NULL)
        return err_wrap(e, "%s", account->name);
    *post = (struct post){.account = account,
        .credential = credential_new(d->loop, account),
        .trust = trust,
        .trust_is_ours = shared == NULL};
    d->n_posts++;
    for (size_t i = 0; i < account->mailboxes.n; i++)
        if (is_wanted(d, account->name, account->mailboxes.v[i]))
            add_box(d, post, account->mailboxes.v[i]);
    return 0;
}

static int
add_posts(struct daemon *d, struct err *e)
{
    const struct config *c = d->opts.config;
    size_t boxes = 0;
    for (size_t i = 0; i < c->n_accounts; i++)
        boxes += c->accounts[i].mailboxes.n;
    /* sized once: watches keep pointers into both */
    d->posts = xcalloc(c->n_accounts, sizeof *d->posts);
    d->boxes = xcalloc(boxes, sizeof *d->boxes);
    for (size_t i = 0; i < c->n_accounts; i++)
        if (add_post(d, &c->accounts[i], e) != 0)
            return -1;
    if (d->n_boxes == 0)
        return err_set(e, ERR_CONFIG, "no mailbox to watch");
    return 0;
}

/* --- the end --- */

static void
stop_watches(struct daemon *d)
{
    for (size_t i = 0; i < d->n_boxes; i++)
        watch_stop(d->boxes[i].watch);
}

static void
each_run(struct daemon *d, void (*act)(struct run *r))
{
    LIST_EACH(&d->running, link)
    {
        struct task *t = LIST_OWNER(link, struct task, link);
        if (t->run != NULL)
            act(t->run);
    }
}

void
daemon_stop(struct daemon *d)
{
    if (d->phase == PHASE_RUNNING) {
        d->phase = PHASE_DRAINING;
        loop_timer_set(d->loop, &d->shutdown, clock_ms() + SHUTDOWN_MS);
    }
    loop_wake(d->loop);
}

static void
stop_hard(struct daemon *d, void (*act)(struct run *r))
{
    d->phase = PHASE_KILLING;
    each_run(d, act);
    loop_wake(d->loop);
}

static void
on_shutdown_due(void *arg)
{
    struct daemon *d = arg;
    log_warn("hooks still running after %d s are stopped", SHUTDOWN_MS / 1000);
    stop_hard(d, run_stop);
}

static void
on_time_limit(void *arg)
{
    end_with(arg, DAEMON_TIME, NULL);
}

static void
on_stop_signal(void *arg, int number)
{
    struct daemon *d = arg;
    (void)number;
    if (++d->signals_seen > 1)
        stop_hard(d, run_kill);
    else if (d->opts.forward_signals)
        each_run(d, run_stop);
    end_with(d, DAEMON_STOPPED, NULL);
}

static void
on_check_signal(void *arg, int number)
{
    struct daemon *d = arg;
    (void)number;
    for (size_t i = 0; i < d->n_boxes; i++)
        watch_check(d->boxes[i].watch);
}

/* An account that died takes its other mailboxes along; once it is ending, all do. */
static void
stop_what_ended(struct daemon *d)
{
    if (limit_reached(d))
        end_with(d, DAEMON_LIMIT, NULL);
    for (size_t i = 0; i < d->n_boxes; i++)
        if (d->boxes[i].post->dead && !d->boxes[i].stopped) {
            d->boxes[i].stopped = true;
            watch_stop(d->boxes[i].watch);
        }
}

static bool
is_over(const struct daemon *d)
{
    bool idle = list_empty(&d->arrivals) && list_empty(&d->sorting) && queue_running(d->queue) == 0;
    return idle && (d->phase == PHASE_KILLING ||
                       (d->phase == PHASE_DRAINING && queue_waiting(d->queue) == 0));
}

/* --- the turn --- */

static void
flush_output(struct daemon *d)
{
    while (!list_empty(&d->dirty))
        watch_flush(watch_of_dirty(d->dirty.next));
}

/*
 * What a crash at each line means is the reason for the order: events fill memory only; sorting
 * makes letters; letters stand in the queue before a hook starts and before a byte leaves that
 * could tell the server we are done with a message.
 */
static void
turn(struct daemon *d)
{
    loop_turn(d->loop, list_empty(&d->arrivals));
    submit_arrivals(d);
    collect_answers(d);
    start_due(d);
    flush_output(d);
    stop_what_ended(d);
}

enum daemon_end
daemon_run(struct daemon *d, struct err *e)
{
    if (d->opts.time_limit_ms > 0)
        loop_timer_set(d->loop, &d->time_limit, clock_ms() + d->opts.time_limit_ms);
    while (d->phase == PHASE_RUNNING)
        turn(d);
    stop_watches(d);
    while (!is_over(d))
        turn(d);
    if (queue_waiting(d->queue) > 0)
        log_error("%u hooks were not run", queue_waiting(d->queue));
    *e = d->failure;
    return d->end;
}

struct daemon *
daemon_new(const struct daemon_opts *opts, struct err *e)
{
    struct daemon *d = xcalloc(1, sizeof *d);
    d->opts = *opts;
    list_init(&d->arrivals);
    list_init(&d->sorting);
    list_init(&d->running);
    list_init(&d->dirty);
    list_init(&d->left);
    for (char **p = environ; *p != NULL; p++)
        strv_add(&d->inherited, *p);
    d->loop = loop_new();
    d->queue = queue_new(MAX_HOOKS);
    d->sorter = sorter_new(&opts->config->rules);
    loop_timer_init(&d->shutdown, on_shutdown_due, d);
    loop_timer_init(&d->time_limit, on_time_limit, d);
    static const int stops[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < 3; i++)
        d->signals[i] = loop_signal_new(d->loop, stops[i], on_stop_signal, d);
    d->signals[3] = loop_signal_new(d->loop, SIGUSR1, on_check_signal, d);
    d->spool = spool_open(opts->spool, e);
    if (d->spool == NULL || add_posts(d, e) != 0) {
        daemon_free(d);
        return NULL;
    }
    return d;
}

static void
free_mails(struct list *mails)
{
    LIST_EACH(mails, link)
    {
        list_remove(link);
        mail_free(LIST_OWNER(link, struct mail, link));
    }
}

/* Only after a failed start or an ended run: nothing is running. */
static void
free_waiting(struct daemon *d)
{
    struct job *job;
    while ((job = queue_next(d->queue)) != NULL)
        settle_task(LIST_OWNER(job, struct task, job));
}

void
daemon_free(struct daemon *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->n_boxes; i++) {
        watch_free(d->boxes[i].watch);
        plan_free(&d->boxes[i].plan);
    }
    for (size_t i = 0; i < d->n_posts; i++) {
        credential_free(d->posts[i].credential);
        if (d->posts[i].trust_is_ours)
            tls_trust_free(d->posts[i].trust);
    }
    free_mails(&d->arrivals);
    free_waiting(d);
    queue_free(d->queue, drop_job, d);
    sorter_free(d->sorter);
    spool_close(d->spool);
    for (size_t i = 0; i < sizeof d->signals / sizeof *d->signals; i++)
        loop_signal_close(d->signals[i]);
    loop_timer_clear(d->loop, &d->shutdown);
    loop_timer_clear(d->loop, &d->time_limit);
    run_abandon(&d->left);
    loop_free(d->loop);
    strv_free(&d->inherited);
    free(d->posts);
    free(d->boxes);
    free(d);
}
