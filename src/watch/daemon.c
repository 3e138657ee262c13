/* SPDX-License-Identifier: ISC */
/*
 * The turn. Read turn() first: its order is the program's promise. Everything else here makes the
 * accounts' watches, carries mails from them to the intake, and ends it all.
 */
#include "watch/daemon.h"

#include "base/mem.h"
#include "job/journal.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "watch/control.h"
#include "watch/credential.h"
#include "watch/intake.h"
#include "watch/watched.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

enum {
    QUIET_MS = 1000,            /* before the disk is bothered with what can wait */
    COMMIT_AGAIN_MS = 1000,     /* when the journal could not be written */
    EXPIRE_MS = 60 * 60 * 1000, /* how often dead letters that are too old are looked for */
};

/* One configured account at run time. */
struct post {
    const struct account *account;
    struct credential *credential;
    struct tls_trust *trust;
    bool trust_is_ours; /* else an earlier post's */
    bool dead;          /* its login was refused for good */
};

enum phase { PHASE_RUNNING, PHASE_DRAINING, PHASE_KILLING };

struct daemon {
    struct daemon_opts opts;
    struct loop *loop;
    struct spool *spool;
    struct intake *intake;
    struct work *work;
    struct journal *journal; /* or NULL */
    struct control *control; /* or NULL */
    bool journal_fails;      /* nothing new is taken until it does not */
    struct err journal_error;
    struct post *posts;
    size_t n_posts;
    struct watched *boxes;
    size_t n_boxes;
    struct list dirty;     /* watches with bytes to send */
    struct strv inherited; /* our environment as it was when we started */
    struct loop_signal *signals[4];
    struct loop_timer shutdown;
    struct loop_timer time_limit;
    struct loop_timer commit_again;
    struct loop_timer expire;
    struct loop_timer quiet;
    bool is_quiet; /* this turn was needed by nobody but `quiet` */
    uint64_t next_mail;
    unsigned signals_seen;
    enum phase phase;
    enum daemon_end end;
    struct err failure;
    bool was_up; /* some mailbox was watched once */
    bool died;   /* an account did, and its mailboxes are to be stopped */
};

/* --- the accounts --- */

static void
on_mail(void *arg, struct mail *mail)
{
    struct watched *box = arg;
    struct daemon *d = box->owner;
    const struct meta *meta = &mail->meta;
    /* asked for because its file was lost: its letters are written already */
    if (mail->wanted && work_supply(d->work, meta, mail->file, mail->whole)) {
        mail->file = NULL;
        mail_free(mail);
        return;
    }
    if (mail->wanted && intake_supply(d->intake, box, mail)) {
        mail_free(mail);
        return;
    }
    mail->id = ++d->next_mail;
    mail->box = box;
    ledger_open(&box->ledger, &mail->entry, meta->uid, mail->wanted);
    intake_take(d->intake, mail);
}

static void
hold_watches(struct daemon *d, bool held)
{
    for (size_t i = 0; i < d->n_boxes; i++)
        watch_hold(d->boxes[i].watch, held);
}

static void
say_journal(struct daemon *d, const struct err *e)
{
    if (!d->journal_fails) {
        log_error("%s; no new mail is taken until it can be written", e->text);
        hold_watches(d, true);
    }
    d->journal_fails = true;
    d->journal_error = *e;
    loop_timer_set(d->loop, &d->commit_again, clock_ms() + COMMIT_AGAIN_MS);
}

/* From when on a mailbox seen for the first time is ours. */
static struct ledger_first
first_of_account(const struct account *a)
{
    enum { LONG_AGO = 2 * 86400 }; /* 1970, and a day in any time zone */
    int64_t now = clock_wall();
    int64_t age = now - (int64_t)(a->first_age_ms / 1000);
    switch (a->first_run) {
    case FIRST_RUN_ALL:
        return (struct ledger_first){LONG_AGO, LONG_AGO};
    case FIRST_RUN_AGE:
        return (struct ledger_first){age, age};
    case FIRST_RUN_NEW:
    case FIRST_RUN_UNSEEN:
        break;
    }
    return (struct ledger_first){now, 0};
}

static void
on_baseline(void *arg, enum mailbox_opening how)
{
    struct watched *box = arg;
    struct daemon *d = box->owner;
    struct err e;
    struct ledger_first first = first_of_account(box->post->account);
    work_renumbered(d->work, box->account, box->name, box->progress.uidvalidity);
    watched_renumbered(box);
    intake_renumbered(d->intake, box);
    /* what cannot be written now waits for this turn's commit, which says so */
    ledger_baseline(&box->ledger, &box->progress, how == MAILBOX_FIRST ? &first : NULL, &e);
}

/* What was asked for by name, and did not come, is not there any more. */
static void
give_up_missing(struct watched *box)
{
    struct daemon *d = box->owner;
    while (box->progress.absent.n > 0) {
        const struct meta meta = {
            .account = box->account,
            .mailbox = box->name,
            .uidvalidity = box->progress.uidvalidity,
            .uid = box->progress.absent.v[0],
        };
        log_detail("%s: message %u is gone", watch_name(box->watch), (unsigned)meta.uid);
        work_gone(d->work, &meta);
        watched_gone(box, meta.uid);
        intake_gone(d->intake, box, meta.uid);
        ledger_gone(&box->ledger, meta.uid);
        mailbox_forget(&box->progress, meta.uid);
    }
}

static void
on_checked(void *arg)
{
    struct watched *box = arg;
    give_up_missing(box);
    ledger_checked(&box->ledger, &box->progress);
    box->looked = box->progress.wanted.n == 0;
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
miss(struct watched *box, const struct err *why)
{
    box->looked = true;
    if (!box->post->dead) /* else it was said */
        log_warn("%s: %s", watch_name(box->watch), why->text);
    if (((struct daemon *)box->owner)->failure.kind != ERR_AUTH)
        ((struct daemon *)box->owner)->failure = *why;
}

static bool
on_state(void *arg, enum watch_state state, const struct err *why)
{
    struct watched *box = arg;
    struct daemon *d = box->owner;
    bool ends = d->opts.fail_first && state != WATCH_UP && (!d->was_up || state == WATCH_DEAD);
    bool missed =
        d->opts.once && state != WATCH_UP && (!box->looked || intake_give_up(d->intake, box));
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

/* Where one rule takes the whole of every message, nobody looks at header blocks first. */
static enum session_fetch
what_to_fetch(const struct daemon *d, const struct plan *plan)
{
    const struct config *c = d->opts.config;
    for (size_t i = 0; i < plan->n; i++) {
        const struct cond *match = c->rules.v[plan->v[i]].match;
        bool whole = cond_needs_whole(match) ||
                     (d->opts.on_letter == NULL && hook_needs_whole(&c->hooks[plan->v[i]]));
        if (whole && !cond_asks_header(match))
            return SESSION_FETCH_MESSAGES;
    }
    return SESSION_FETCH_HEADERS;
}

/* Whether a rule of this mailbox wants to change it. */
static bool
is_changed(const struct daemon *d, const struct plan *plan)
{
    for (size_t i = 0; i < plan->n; i++) {
        const struct hook_opts *h = &d->opts.config->hooks[plan->v[i]];
        const struct actions *lists[] = {&h->on_success, &h->on_failure};
        for (int k = 0; k < 2; k++)
            for (size_t n = 0; n < lists[k]->n; n++)
                if (action_is_for_mailbox(&lists[k]->v[n]))
                    return true;
    }
    return false;
}

static enum session_first
first_of(const struct account *a)
{
    static const enum session_first firsts[] = {
        [FIRST_RUN_NEW] = SESSION_FIRST_NONE,
        [FIRST_RUN_UNSEEN] = SESSION_FIRST_UNSEEN,
        [FIRST_RUN_ALL] = SESSION_FIRST_ALL,
        [FIRST_RUN_AGE] = SESSION_FIRST_SINCE,
    };
    return firsts[a->first_run];
}

static int
add_box(struct daemon *d, struct post *post, const char *mailbox, struct err *e)
{
    struct watched *box = &d->boxes[d->n_boxes++];
    const struct account *a = post->account;
    box->owner = d;
    box->post = post;
    box->trusted = &a->trusted;
    if (watched_init(box, d->journal, a->name, mailbox, &d->opts.config->rules, e) != 0)
        return -1;
    struct watch_opts opts = {
        .loop = d->loop,
        .account = a,
        .credential = post->credential,
        .trust = post->trust,
        .spool = d->spool,
        .mailbox = mailbox,
        .progress = &box->progress,
        .plan = &box->plan,
        .fetch = what_to_fetch(d, &box->plan),
        .writable = d->opts.on_letter == NULL && is_changed(d, &box->plan),
        .first = first_of(a),
        .first_since = clock_wall() - (int64_t)(a->first_age_ms / 1000),
        .epoch_since = &box->ledger.epoch_since,
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

/* --- jobs of an earlier life --- */

static struct watched *
find_box(const struct daemon *d, const char *account, const char *mailbox)
{
    for (size_t i = 0; i < d->n_boxes; i++)
        if (strcmp(d->boxes[i].account, account) == 0 && strcmp(d->boxes[i].name, mailbox) == 0)
            return &d->boxes[i];
    return NULL;
}

/* Whether it is watched by some run of this configuration, if not by this one. */
static bool
is_configured(const struct daemon *d, const char *account, const char *mailbox)
{
    const struct config *c = d->opts.config;
    for (size_t i = 0; i < c->n_accounts; i++)
        if (strcmp(c->accounts[i].name, account) == 0)
            return strv_has(&c->accounts[i].mailboxes, mailbox);
    return false;
}

static enum reach
reach(void *arg, const char *account, const char *mailbox, struct watch **watch)
{
    struct daemon *d = arg;
    struct watched *box = find_box(d, account, mailbox);
    if (box == NULL || box->stopped)
        return is_configured(d, account, mailbox) ? REACH_LATER : REACH_NEVER;
    *watch = box->watch;
    return REACH_NOW;
}

/* Where UIDs mean nothing beyond a connection, another message might come. */
static bool
on_lost(void *arg, const struct record *r, bool whole)
{
    struct daemon *d = arg;
    struct watched *box = find_box(d, r->account, r->mailbox);
    if (r->uidvalidity == 0)
        return false;
    if (box == NULL)
        return is_configured(d, r->account, r->mailbox);
    if (!box->progress.known || box->progress.uidvalidity != r->uidvalidity)
        return false;
    if (whole)
        mailbox_want_whole(&box->progress, r->uid);
    else
        mailbox_want(&box->progress, r->uid);
    watch_want(box->watch);
    return true;
}

/* In a later life where it is not watched in this one; never where its number means nothing. */
static void
on_unread(void *arg, const struct record *r)
{
    struct daemon *d = arg;
    struct watched *box = find_box(d, r->account, r->mailbox);
    if (box == NULL && is_configured(d, r->account, r->mailbox))
        return;
    if (box == NULL || !box->progress.known || box->progress.uidvalidity != r->uidvalidity ||
        r->uidvalidity == 0) {
        watched_bury(d->journal, r);
        log_error("%s/%s:%u: cannot be read once more: no longer on the server", r->account,
            r->mailbox, (unsigned)r->uid);
        return;
    }
    watched_revive(box, r);
    watch_want(box->watch);
}

static void
on_owed(void *arg, const struct record *r)
{
    struct watched *box = find_box(arg, r->account, r->mailbox);
    if (box != NULL)
        watch_want_writable(box->watch);
}

/* --- what people ask --- */

static void
on_retry(void *arg, const struct record *r)
{
    struct daemon *d = arg;
    work_revive(d->work, r);
}

static int
on_question(void *arg, const struct desk_question *q, struct desk_answer *a, struct err *e)
{
    struct daemon *d = arg;
    if (desk_answer(d->journal, d->spool, q, a, on_retry, d, e) != 0)
        return -1;
    return journal_commit(d->journal, e);
}

static void
on_expire(void *arg)
{
    struct daemon *d = arg;
    struct err e;
    int64_t before = clock_wall_ms() - (int64_t)d->opts.config->daemon.keep_failed_ms;
    int n = desk_expire(d->journal, d->spool, before, &e);
    if (n < 0)
        log_error("%s", e.text);
    else if (n > 0)
        log_info("%d dead letters are older than keep_failed, and forgotten", n);
    loop_timer_set(d->loop, &d->expire, clock_ms() + EXPIRE_MS);
}

/* --- the end --- */

static void
stop_watches(struct daemon *d)
{
    for (size_t i = 0; i < d->n_boxes; i++)
        watch_stop(d->boxes[i].watch);
}

/* No new mail; but what hooks that still run want changed in a mailbox can be. */
static void
quieten_watches(struct daemon *d)
{
    for (size_t i = 0; i < d->n_boxes; i++)
        if (watch_is_writable(d->boxes[i].watch))
            watch_hold(d->boxes[i].watch, true);
        else
            watch_stop(d->boxes[i].watch);
}

void
daemon_stop(struct daemon *d)
{
    if (d->phase == PHASE_RUNNING) {
        d->phase = PHASE_DRAINING;
        loop_timer_set(
            d->loop, &d->shutdown, clock_ms() + d->opts.config->daemon.shutdown_timeout_ms);
    }
    loop_wake(d->loop);
}

static void
on_shutdown_due(void *arg)
{
    struct daemon *d = arg;
    if (work_running(d->work) > 0)
        log_warn("hooks still running after %.0f s are stopped",
            (double)d->opts.config->daemon.shutdown_timeout_ms / 1000);
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
    return intake_is_empty(d->intake) && work_running(d->work) == 0;
}

static bool
is_all_looked_at(const struct daemon *d)
{
    for (size_t i = 0; i < d->n_boxes; i++)
        if (!d->boxes[i].looked)
            return false;
    return intake_is_empty(d->intake);
}

static bool
is_all_done(const struct daemon *d)
{
    return is_all_looked_at(d) && is_idle(d) && work_acting(d->work) == 0 &&
           work_startable(d->work) == 0;
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
    if (intake_limit_reached(d->intake))
        end_with(d, DAEMON_LIMIT, NULL);
    if (d->died)
        stop_dead_accounts(d);
    if (d->opts.once && is_all_looked_at(d))
        work_hurry(d->work);
    if (d->opts.once && d->journal_fails && is_idle(d))
        end_with(d, DAEMON_FAILED, &d->journal_error);
    if (d->opts.once && is_all_done(d))
        end_with(d, d->failure.kind == ERR_NONE ? DAEMON_DONE : DAEMON_FAILED, NULL);
}

/* With a journal, what has not begun is as well begun at the next start. */
static bool
is_over(const struct daemon *d)
{
    if (work_running(d->work) > 0)
        return false;
    if (d->phase == PHASE_KILLING)
        return true;
    if (work_acting(d->work) > 0)
        return false;
    return d->journal != NULL || (is_idle(d) && work_startable(d->work) == 0);
}

static bool
may_sort(const struct daemon *d)
{
    return !d->journal_fails && (d->phase == PHASE_RUNNING || d->journal == NULL);
}

/* --- the turn --- */

static void
flush_output(struct daemon *d, bool committed)
{
    LIST_EACH(&d->dirty, link)
    watch_flush(watch_of_dirty(link), committed);
}

/* What this turn came to becomes known for good, all of it or nothing: then it waits, no hook that
 * depends on it starts, and no more mail is taken. False: it waits. */
static bool
commit(struct daemon *d)
{
    struct err e;
    if (d->journal == NULL)
        return true;
    if (journal_commit(d->journal, &e) != 0) {
        say_journal(d, &e);
        return false;
    }
    if (d->journal_fails) {
        log_info("the journal is written again");
        d->journal_fails = false;
        if (d->phase == PHASE_RUNNING)
            hold_watches(d, false);
    }
    return true;
}

static void
on_quiet(void *arg)
{
    struct daemon *d = arg;
    d->is_quiet = true;
}

/* Only when no turn was needed for a while: a mail that has just come is mostly not alone. */
static void
tidy(struct daemon *d)
{
    if (d->journal == NULL)
        return;
    journal_tidy(d->journal, !d->is_quiet);
    if (!d->is_quiet)
        loop_timer_set(d->loop, &d->quiet, clock_ms() + QUIET_MS);
    d->is_quiet = false;
}

/* Nothing more is fetched. */
static void
give_up_incomplete(struct daemon *d)
{
    for (size_t i = 0; i < d->n_boxes; i++)
        intake_give_up(d->intake, &d->boxes[i]);
}

/*
 * What a crash at each line means is the reason for the order. Events fill memory only: a message
 * whose letters are not written is above the journal's mark, so the server is asked for it again.
 * Sorting writes the letters and moves the mark, choosing says which hooks are about to run, and
 * the commit makes all three known at once, before the first of these hooks starts and before any
 * byte leaves. So a crash behind it finds the letter; and a hook found "running" is the only one
 * that can run twice. The commit costs no disk flush; tidying does, so it comes last.
 */
static void
turn(struct daemon *d)
{
    loop_turn(d->loop, !may_sort(d) || !intake_is_due(d->intake));
    if (may_sort(d))
        intake_sort(d->intake);
    if (d->phase != PHASE_RUNNING)
        give_up_incomplete(d);
    if (d->phase != PHASE_RUNNING && d->journal == NULL && intake_is_empty(d->intake))
        work_hurry(d->work); /* what gathers would be lost */
    if (d->phase != PHASE_KILLING)
        work_choose(d->work);
    bool committed = commit(d);
    work_start(d->work, committed);
    flush_output(d, committed);
    stop_what_ended(d);
    tidy(d);
}

static void
leave_unfinished(struct daemon *d)
{
    unsigned n = work_abandon(d->work);
    if (n > 0 && d->journal != NULL)
        log_info("%u hooks are owed; they run at the next start", n);
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
    quieten_watches(d);
    work_end(d->work);
    do
        turn(d);
    while (!is_over(d));
    stop_watches(d);
    leave_unfinished(d);
    if (!commit(d))
        work_keep_all(d->work);
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
open_state(struct daemon *d, struct err *e)
{
    if ((d->journal = journal_open(d->opts.state, e)) == NULL)
        return -1;
    char *spool = xasprintf("%s/spool", journal_folder(d->journal));
    d->spool = spool_open_kept(spool, e);
    free(spool);
    return d->spool != NULL ? 0 : -1;
}

static void
make_work(struct daemon *d)
{
    const struct config *c = d->opts.config;
    struct work_opts work = {
        .loop = d->loop,
        .spool = d->spool,
        .journal = d->journal,
        .rules = &c->rules,
        .hooks = c->hooks,
        .retries = c->retries,
        .manners = c->manners,
        .max_hooks = c->daemon.max_hooks,
        .secrets = &c->secrets,
        .inherited = &d->inherited,
        .reach = reach,
        .on_lost = on_lost,
        .on_unread = on_unread,
        .on_owed = on_owed,
        .on_outcome = d->opts.on_outcome,
        .outcome_arg = d->opts.arg,
        .arg = d,
    };
    d->work = work_new(&work);
    struct intake_opts intake = {
        .config = c,
        .work = d->work,
        .on_letter = d->opts.on_letter,
        .arg = d->opts.arg,
        .limit = d->opts.limit,
        .loop = d->loop,
        .journal = d->journal,
    };
    d->intake = intake_new(&intake);
}

/* What was owed when we ended; and the door for those who ask, which needs all of it. */
static int
take_up(struct daemon *d, struct err *e)
{
    struct control_opts control = {
        .loop = d->loop,
        .folder = d->opts.control,
        .on_question = on_question,
        .arg = d,
    };
    if (d->journal == NULL)
        return 0;
    on_expire(d);
    if (work_restore(d->work, e) != 0)
        return -1;
    control.state = journal_folder(d->journal);
    if (d->opts.control == NULL || (d->control = control_open(&control, e)) != NULL)
        return 0;
    /* mail matters more than being asked about it */
    log_warn("%s; failed, retry and drop cannot reach us", e->text);
    return 0;
}

static void
on_commit_again(void *arg)
{
    struct daemon *d = arg;
    loop_wake(d->loop);
}

static void
init_timers(struct daemon *d)
{
    loop_timer_init(&d->shutdown, on_shutdown_due, d);
    loop_timer_init(&d->time_limit, on_time_limit, d);
    loop_timer_init(&d->commit_again, on_commit_again, d);
    loop_timer_init(&d->expire, on_expire, d);
    loop_timer_init(&d->quiet, on_quiet, d);
}

static int
open_all(struct daemon *d, struct err *e)
{
    if (d->opts.state != NULL && open_state(d, e) != 0)
        return -1;
    if (d->spool == NULL && (d->spool = spool_open(d->opts.spool, e)) == NULL)
        return -1;
    make_work(d);
    return add_posts(d, e) == 0 ? take_up(d, e) : -1;
}

struct daemon *
daemon_new(const struct daemon_opts *opts, struct err *e)
{
    struct daemon *d = xcalloc(1, sizeof *d);
    d->opts = *opts;
    list_init(&d->dirty);
    for (char **p = environ; *p != NULL; p++)
        strv_add(&d->inherited, *p);
    d->loop = loop_new();
    init_timers(d);
    watch_signals(d);
    if (open_all(d, e) != 0) {
        daemon_free(d);
        return NULL;
    }
    return d;
}

static void
clear_timers(struct daemon *d)
{
    loop_timer_clear(d->loop, &d->shutdown);
    loop_timer_clear(d->loop, &d->time_limit);
    loop_timer_clear(d->loop, &d->commit_again);
    loop_timer_clear(d->loop, &d->expire);
    loop_timer_clear(d->loop, &d->quiet);
}

void
daemon_free(struct daemon *d)
{
    if (d == NULL)
        return;
    control_close(d->control);
    intake_free(d->intake);
    work_free(d->work);
    for (size_t i = 0; i < d->n_boxes; i++)
        watched_clear(&d->boxes[i]);
    for (size_t i = 0; i < d->n_posts; i++) {
        credential_free(d->posts[i].credential);
        if (d->posts[i].trust_is_ours)
            tls_trust_free(d->posts[i].trust);
    }
    spool_close(d->spool);
    journal_close(d->journal);
    for (size_t i = 0; i < sizeof d->signals / sizeof *d->signals; i++)
        loop_signal_close(d->signals[i]);
    signal(SIGUSR1, SIG_IGN); /* it never was meant to kill */
    clear_timers(d);
    loop_free(d->loop);
    strv_free(&d->inherited);
    free(d->posts);
    free(d->boxes);
    free(d);
}

struct work_tally
daemon_tally(const struct daemon *d)
{
    struct work_tally tally = work_tally(d->work);
    tally.failed += intake_set_aside(d->intake);
    return tally;
}
