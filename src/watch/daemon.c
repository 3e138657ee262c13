/* SPDX-License-Identifier: ISC */
/*
 * The turn. Read turn() first: its order is the program's promise. Everything else here makes the
 * accounts' watches, carries mails from them through the sorter into the work, and ends it all.
 */
#include "watch/daemon.h"

#include "base/mem.h"
#include "hook/event.h"
#include "job/journal.h"
#include "sort/sorter.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "watch/credential.h"
#include "watch/watch.h"
#include "watch/work.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

enum {
    SHUTDOWN_MS = 30 * 1000, /* for hooks to finish by themselves */
    ARRIVALS_PER_TURN = 64,  /* mails sorted before bytes are looked at again */
    LETTERS_MAX = 1000, /* jobs waiting before no more mail is sorted: a letter may be 64 KiB */
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
    struct mailbox progress; /* what the server was asked for already */
    struct ledger ledger;    /* what is dealt with */
    struct watch *watch;
    bool stopped;
    bool looked; /* a pass has ended, or will not: the server cannot be had */
};

enum phase { PHASE_RUNNING, PHASE_DRAINING, PHASE_KILLING };

struct daemon {
    struct daemon_opts opts;
    struct loop *loop;
    struct spool *spool;
    struct sorter *sorter;
    struct work *work;
    struct journal *journal; /* or NULL */
    bool journal_fails;      /* said once */
    struct post *posts;
    size_t n_posts;
    struct box *boxes;
    size_t n_boxes;
    struct list arrivals;  /* mails, in order */
    struct list sorting;   /* mails the sorter has */
    struct list dirty;     /* watches with bytes to send */
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
    bool died;   /* an account did, and its mailboxes are to be stopped */
};

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
deliver_hit(struct daemon *d, struct mail *m, const struct hit *hit, const struct facts *facts)
{
    struct letter *letter = write_letter(d, m, hit, facts);
    d->hits++;
    if (d->opts.on_letter == NULL) {
        work_add(d->work, m, hit->rule, letter);
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

/* The descriptors that are short may be those of the mails being sorted: they come back with the
 * answers, and this one waits so long. */
static bool
submit_mail(struct daemon *d, struct mail *m)
{
    struct err e;
    m->sort_fd = mail_open(m, &e);
    if (m->sort_fd < 0 && !list_empty(&d->sorting))
        return false;
    list_remove(&m->link);
    if (m->sort_fd < 0) {
        say_unread(m, &e);
        work_leave(m);
        return true;
    }
    list_append(&d->sorting, &m->link);
    struct sort_request request = {
        .id = m->id, .fd = m->sort_fd, .meta = &m->meta, .plan = m->plan, .now = clock_wall()};
    sorter_submit(d->sorter, &request);
    return true;
}

static bool
may_sort(const struct daemon *d)
{
    bool room = d->phase == PHASE_KILLING || work_waiting(d->work) < LETTERS_MAX;
    return room && !list_empty(&d->arrivals);
}

static void
submit_arrivals(struct daemon *d)
{
    for (int i = 0; i < ARRIVALS_PER_TURN && may_sort(d); i++)
        if (!submit_mail(d, LIST_OWNER(d->arrivals.next, struct mail, link)))
            return;
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
        m->left = answer.facts == NULL;
        if (m->left)
            say_unread(m, &answer.failure);
        else
            deliver_hits(d, m, &answer);
        work_settle(d->work, m);
        sort_answer_free(&answer);
    }
}

/* --- the accounts --- */

static void
on_mail(void *arg, struct mail *mail)
{
    struct box *box = arg;
    mail->id = ++box->daemon->next_mail;
    mail->ledger = &box->ledger;
    ledger_open(&box->ledger, &mail->entry, mail->meta.uid);
    list_append(&box->daemon->arrivals, &mail->link);
}

static void
say_journal(struct daemon *d, const struct err *e)
{
    if (!d->journal_fails)
        log_error("%s; going on, but a crash would repeat hooks", e->text);
    d->journal_fails = true;
}

static void
on_baseline(void *arg)
{
    struct box *box = arg;
    struct err e;
    if (ledger_baseline(&box->ledger, box->progress.uidvalidity, box->progress.mark, &e) != 0)
        say_journal(box->daemon, &e);
}

static void
on_checked(void *arg)
{
    struct box *box = arg;
    ledger_checked(&box->ledger, box->progress.mark);
    box->looked = true;
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
account_died(struct daemon *d, struct post *post, const struct err *why, bool ending)
{
    if (!post->dead && !ending)
        log_error("%s: %s; this account stops until mailcall is started again", post->account->name,
            why->text);
    post->dead = true;
    d->died = true;
}

/* Where every mailbox is looked at once, one that cannot be reached is told at the end. */
static void
miss(struct box *box, const struct err *why)
{
    box->looked = true;
    if (!box->post->dead) /* else it was said */
        log_warn("%s: %s", watch_name(box->watch), why->text);
    if (box->daemon->failure.kind != ERR_AUTH)
        box->daemon->failure = *why;
}

static bool
on_state(void *arg, enum watch_state state, const struct err *why)
{
    struct box *box = arg;
    struct daemon *d = box->daemon;
    bool ends = d->opts.fail_first && state != WATCH_UP && (!d->was_up || state == WATCH_DEAD);
    bool missed = d->opts.once && state != WATCH_UP && !box->looked;
    if (state == WATCH_UP)
        d->was_up = true;
    if (state == WATCH_DEAD)
        account_died(d, box->post, why, ends);
    if (ends)
        end_with(d, DAEMON_FAILED, why);
    if (missed)
        miss(box, why);
    return !ends && !missed;
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

static int
add_box(struct daemon *d, struct post *post, const char *mailbox, struct err *e)
{
    struct box *box = &d->boxes[d->n_boxes++];
    box->daemon = d;
    box->post = post;
    mailbox_init(&box->progress);
    ledger_init(&box->ledger, d->journal, post->account->name, mailbox);
    if (ledger_restore(&box->ledger, &box->progress, e) != 0)
        return -1;
    plan_make(&box->plan, &d->opts.config->rules, post->account->name, mailbox);
    struct watch_opts opts = {
        .loop = d->loop,
        .account = post->account,
        .credential = post->credential,
        .trust = post->trust,
        .spool = d->spool,
        .mailbox = mailbox,
        .progress = &box->progress,
        .plan = &box->plan,
        .fetch = what_to_fetch(d, &box->plan),
        .dirty = &d->dirty,
        .on_baseline = on_baseline,
        .on_checked = on_checked,
        .on_mail = on_mail,
        .on_state = on_state,
        .arg = box,
    };
    box->watch = watch_new(&opts);
    return 0;
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
        if (is_wanted(d, account->name, account->mailboxes.v[i]) &&
            add_box(d, post, account->mailboxes.v[i], e) != 0)
            return -1;
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
on_shutdown_due(void *arg)
{
    struct daemon *d = arg;
    log_warn("hooks still running after %d s are stopped", SHUTDOWN_MS / 1000);
    d->phase = PHASE_KILLING;
    work_stop(d->work);
}

static void
on_time_limit(void *arg)
{
    end_with(arg, DAEMON_TIME, NULL);
}

void
daemon_stop_now(struct daemon *d)
{
    daemon_stop(d);
    d->phase = PHASE_KILLING;
    work_stop(d->work);
}

static void
end_now(struct daemon *d)
{
    end_with(d, DAEMON_STOPPED, NULL);
    d->phase = PHASE_KILLING;
    work_kill(d->work);
    loop_wake(d->loop);
}

static void
on_stop_signal(void *arg, int number)
{
    struct daemon *d = arg;
    (void)number;
    if (++d->signals_seen > 1)
        end_now(d);
    else if (d->opts.forward_signals)
        work_stop(d->work);
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

static bool
is_idle(const struct daemon *d)
{
    return list_empty(&d->arrivals) && list_empty(&d->sorting) && work_running(d->work) == 0;
}

static bool
is_all_done(const struct daemon *d)
{
    for (size_t i = 0; i < d->n_boxes; i++)
        if (!d->boxes[i].looked)
            return false;
    return is_idle(d) && work_waiting(d->work) == 0;
}

/* An account that died takes its other mailboxes along. */
static void
stop_dead_accounts(struct daemon *d)
{
    for (size_t i = 0; i < d->n_boxes; i++)
        if (d->boxes[i].post->dead && !d->boxes[i].stopped) {
            d->boxes[i].stopped = true;
            d->boxes[i].looked = true;
            watch_stop(d->boxes[i].watch);
        }
    d->died = false;
}

static void
stop_what_ended(struct daemon *d)
{
    if (limit_reached(d))
        end_with(d, DAEMON_LIMIT, NULL);
    if (d->died)
        stop_dead_accounts(d);
    if (d->opts.once && is_all_done(d))
        end_with(d, d->failure.kind == ERR_NONE ? DAEMON_DONE : DAEMON_FAILED, NULL);
}

static bool
is_over(const struct daemon *d)
{
    bool idle = is_idle(d);
    return idle && (d->phase == PHASE_KILLING ||
                       (d->phase == PHASE_DRAINING && work_waiting(d->work) == 0));
}

/* --- the turn --- */

static void
flush_output(struct daemon *d)
{
    while (!list_empty(&d->dirty))
        watch_flush(watch_of_dirty(d->dirty.next));
}

/* What is dealt with becomes known for good. A failure loses nothing: it waits for the next turn,
 * and what the journal does not know is asked for again. */
static void
commit(struct daemon *d)
{
    struct err e;
    if (d->journal == NULL)
        return;
    if (journal_commit(d->journal, &e) != 0) {
        say_journal(d, &e);
    } else if (d->journal_fails) {
        log_info("the journal is written again");
        d->journal_fails = false;
    }
}

/*
 * What a crash at each line means is the reason for the order. Events fill memory only: a message
 * not yet dealt with is above the journal's mark, so the server is asked for it again. The commit
 * tells of messages whose hooks have ended, never of one whose hook is about to start; and it comes
 * before any byte leaves. It costs no disk flush; tidying does, so it comes last.
 */
static void
turn(struct daemon *d)
{
    loop_turn(d->loop, !may_sort(d));
    submit_arrivals(d);
    collect_answers(d);
    commit(d);
    if (d->phase != PHASE_KILLING)
        work_start_due(d->work);
    flush_output(d);
    stop_what_ended(d);
    if (d->journal != NULL)
        journal_tidy(d->journal);
}

static void
leave_unfinished(struct daemon *d)
{
    unsigned n = work_abandon(d->work);
    if (n > 0 && d->journal != NULL)
        log_warn("%u hooks did not run; they will at the next start", n);
    else if (n > 0)
        log_error("%u hooks did not run", n);
}

enum daemon_end
daemon_run(struct daemon *d, struct err *e)
{
    if (d->opts.time_limit_ms > 0)
        loop_timer_set(d->loop, &d->time_limit, clock_ms() + d->opts.time_limit_ms);
    while (d->phase == PHASE_RUNNING)
        turn(d);
    stop_watches(d);
    work_end(d->work);
    while (!is_over(d))
        turn(d);
    leave_unfinished(d);
    commit(d);
    *e = d->failure;
    return d->end;
}

/* nohup(1) has us ignore SIGHUP, and means it. */
static bool
is_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static void
watch_signals(struct daemon *d)
{
    d->signals[0] = loop_signal_new(d->loop, SIGTERM, on_stop_signal, d);
    d->signals[1] = loop_signal_new(d->loop, SIGINT, on_stop_signal, d);
    d->signals[2] = loop_signal_new(d->loop, SIGUSR1, on_check_signal, d);
    if (!is_ignored(SIGHUP))
        d->signals[3] = loop_signal_new(d->loop, SIGHUP, on_stop_signal, d);
}

static int
open_folders(struct daemon *d, struct err *e)
{
    if (d->opts.state != NULL && (d->journal = journal_open(d->opts.state, e)) == NULL)
        return -1;
    if ((d->spool = spool_open(d->opts.spool, e)) == NULL)
        return -1;
    struct work_opts opts = {
        .loop = d->loop,
        .spool = d->spool,
        .retries = d->opts.config->retries,
        .secrets = &d->opts.config->secrets,
        .inherited = &d->inherited,
        .on_outcome = d->opts.on_outcome,
        .arg = d->opts.arg,
    };
    d->work = work_new(&opts);
    return 0;
}

struct daemon *
daemon_new(const struct daemon_opts *opts, struct err *e)
{
    struct daemon *d = xcalloc(1, sizeof *d);
    d->opts = *opts;
    list_init(&d->arrivals);
    list_init(&d->sorting);
    list_init(&d->dirty);
    for (char **p = environ; *p != NULL; p++)
        strv_add(&d->inherited, *p);
    d->loop = loop_new();
    d->sorter = sorter_new(&opts->config->rules);
    loop_timer_init(&d->shutdown, on_shutdown_due, d);
    loop_timer_init(&d->time_limit, on_time_limit, d);
    watch_signals(d);
    if (open_folders(d, e) != 0 || add_posts(d, e) != 0) {
        daemon_free(d);
        return NULL;
    }
    return d;
}

static void
leave_mails(struct list *mails)
{
    LIST_EACH(mails, link)
    {
        list_remove(link);
        work_leave(LIST_OWNER(link, struct mail, link));
    }
}

void
daemon_free(struct daemon *d)
{
    if (d == NULL)
        return;
    leave_mails(&d->arrivals);
    work_free(d->work);
    for (size_t i = 0; i < d->n_boxes; i++) {
        watch_free(d->boxes[i].watch);
        mailbox_clear(&d->boxes[i].progress);
        plan_free(&d->boxes[i].plan);
    }
    for (size_t i = 0; i < d->n_posts; i++) {
        credential_free(d->posts[i].credential);
        if (d->posts[i].trust_is_ours)
            tls_trust_free(d->posts[i].trust);
    }
    sorter_free(d->sorter);
    spool_close(d->spool);
    journal_close(d->journal);
    for (size_t i = 0; i < sizeof d->signals / sizeof *d->signals; i++)
        loop_signal_close(d->signals[i]);
    signal(SIGUSR1, SIG_IGN); /* it never was meant to kill */
    loop_timer_clear(d->loop, &d->shutdown);
    loop_timer_clear(d->loop, &d->time_limit);
    loop_free(d->loop);
    strv_free(&d->inherited);
    free(d->posts);
    free(d->boxes);
    free(d);
}

struct work_tally
daemon_tally(const struct daemon *d)
{
    return work_tally(d->work);
}
