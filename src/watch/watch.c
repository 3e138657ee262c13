/* SPDX-License-Identifier: ISC */
/*
 * One mailbox's life: wait, dial, log in, watch, lose, wait again. The session decides what is
 * said, the stream how it travels; here bytes are carried between them and events become mails.
 *
 * Invariants: stream and session live and die together; `incoming` exists only between a message's
 * first chunk and its end; a UID is taken only after its file is complete on its way to the daemon.
 */
#include "watch/watch.h"

#include "base/mem.h"
#include "base/percent.h"
#include "sys/clock.h"
#include "sys/entropy.h"
#include "sys/log.h"
#include "watch/backoff.h"

#include <assert.h>
#include <stdlib.h>

enum {
    RENEW_MS = 5 * 60 * 1000,
    POLL_MS = 2 * 60 * 1000,
    MAILBOX_RETRY_MS = 5 * 60 * 1000, /* a mailbox that is not there: it may be made later */
};
static const uint64_t message_max = (uint64_t)1 << 30;

struct watch {
    struct watch_opts opts;
    char *name;
    char *url;
    struct session_quirks quirks;
    struct session_opts session_opts;
    struct backoff backoff;
    struct credential_waiter waiter;
    unsigned credential_round;
    struct stream *stream;
    struct session *session;
    struct spool_file *incoming;
    struct list errands;     /* in order */
    struct list dirty;       /* on opts.dirty while bytes wait to be flushed */
    struct loop_timer timer; /* connected: the session's deadline; else: the next try */
    uint64_t up_since;       /* 0 = not up */
    bool open;               /* the mailbox is, and was told of the errands */
    bool asked;              /* an errand waits to be said */
    bool wants;              /* so do messages that are wanted */
    bool removes;            /* what waits to be said may remove what was just copied */
    bool held;
    bool stopping;
    char last_error[sizeof((struct err *)0)->text]; /* said once, not at every try */
};

static void pump(struct watch *w);

/* --- losing and trying again --- */

static void
disconnect(struct watch *w)
{
    credential_cancel(&w->waiter);
    list_remove(&w->dirty);
    stream_close(w->stream);
    session_free(w->session);
    spool_remove(w->incoming);
    w->open = false;
    w->removes = false;
    w->stream = NULL;
    w->session = NULL;
    w->incoming = NULL;
    if (w->up_since != 0)
        backoff_was_up(&w->backoff, clock_ms() - w->up_since);
    w->up_since = 0;
}

static uint64_t
delay_after(struct watch *w, const struct err *why, uint64_t asked_ms)
{
    uint64_t delay = backoff_next(&w->backoff, entropy_u64());
    if (why->kind == ERR_MAILBOX)
        delay = MAILBOX_RETRY_MS;
    return delay > asked_ms ? delay : asked_ms;
}

static void
say_lost(struct watch *w, const struct err *why, uint64_t delay)
{
    if (strcmp(w->last_error, why->text) == 0) {
        log_detail("%s: %s; next try in %.1f s", w->name, why->text, (double)delay / 1000);
        return;
    }
    memcpy(w->last_error, why->text, sizeof w->last_error);
    log_warn("%s: %s; next try in %.1f s", w->name, why->text, (double)delay / 1000);
}

/* `why` may live in what is closed here. */
static void
lost(struct watch *w, const struct err *lost_why, uint64_t asked_ms)
{
    struct err why = *lost_why;
    bool dead = credential_dead(w->opts.credential);
    disconnect(w);
    if (w->stopping)
        return;
    if (why.kind == ERR_AUTH && !dead)
        dead = !credential_refused(w->opts.credential, w->credential_round);
    if (!w->opts.on_state(w->opts.arg, dead ? WATCH_DEAD : WATCH_DOWN, &why) || dead)
        return;
    uint64_t delay = delay_after(w, &why, asked_ms);
    say_lost(w, &why, delay);
    loop_timer_set(w->opts.loop, &w->timer, clock_ms() + delay);
}

/* --- messages --- */

static int
add_chunk(struct watch *w, struct span bytes, struct err *e)
{
    if (w->incoming == NULL && (w->incoming = spool_begin(w->opts.spool, e)) == NULL)
        return -1;
    return spool_write(w->incoming, bytes, e);
}

static struct mail *
make_mail(struct watch *w, const struct session_event *event)
{
    struct mail *m = xcalloc(1, sizeof *m);
    list_init(&m->link);
    list_init(&m->order);
    m->meta = (struct meta){
        .account = w->opts.account->name,
        .mailbox = w->opts.mailbox,
        .role = span_ieq(span_str(w->opts.mailbox), SPAN("INBOX")) ? "inbox" : "",
        .url = w->url,
        .uid = event->uid,
        .uidvalidity = w->opts.progress->uidvalidity,
        .received = event->internaldate,
        .size = event->size,
    };
    strv_copy(&m->meta.flags, event->flags);
    m->plan = w->opts.plan;
    m->file = w->incoming;
    m->whole = event->whole;
    m->sort_fd = m->folder_fd = -1;
    m->wanted = mailbox_is_wanted(w->opts.progress, event->uid);
    w->incoming = NULL;
    return m;
}

/* The UID is taken last: whatever fails before makes the server send the message again. */
static int
complete_message(struct watch *w, const struct session_event *event, struct err *e)
{
    if (w->incoming == NULL && (w->incoming = spool_begin(w->opts.spool, e)) == NULL)
        return -1;
    if (spool_finish(w->incoming, e) != 0)
        return -1;
    w->opts.on_mail(w->opts.arg, make_mail(w, event));
    mailbox_take(w->opts.progress, event->uid);
    return 0;
}

/* --- errands --- */

void
watch_ask(struct watch *w, struct watch_errand *e)
{
    list_init(&e->link);
    list_append(&w->errands, &e->link);
    e->watch = w;
    watch_want_writable(w);
    if (!w->open)
        return;
    session_act(w->session, &e->act, clock_ms());
    w->asked = true; /* what is asked in one turn leaves in one write */
    list_remove(&w->dirty);
    list_append(w->opts.dirty, &w->dirty);
}

/* One that was begun goes on without us, and its end must not find us. */
void
watch_unask(struct watch_errand *e)
{
    struct watch *w = e->watch;
    if (list_empty(&e->link))
        return;
    list_remove(&e->link);
    if (w->open)
        disconnect(w);
}

bool
watch_is_at(const struct watch_errand *e)
{
    return !list_empty(&e->link) && e->watch->open;
}

static struct watch_errand *
errand_of(struct watch *w, const struct act *act)
{
    LIST_EACH(&w->errands, link)
    {
        struct watch_errand *e = LIST_OWNER(link, struct watch_errand, link);
        if (&e->act == act)
            return e;
    }
    return NULL;
}

static void
copied(struct watch *w, const struct session_event *event)
{
    struct watch_errand *e = errand_of(w, event->act);
    assert(e != NULL);
    e->act.copied = true; /* should this connection be lost now */
    w->removes = true;
    e->on_copied(e->arg);
}

static void
acted(struct watch *w, const struct session_event *event)
{
    struct watch_errand *e = errand_of(w, event->act);
    assert(e != NULL);
    list_remove(&e->link);
    e->on_done(e->arg, event->error, event->gone);
}

/* --- session events --- */

static void
say_epoch(const struct watch *w, const struct session_event *event)
{
    log_warn("%s: the server renumbered this mailbox (UIDVALIDITY %u); %zu messages are looked at "
             "again for new ones",
        w->name, (unsigned)event->facts.uidvalidity, w->opts.progress->wanted.n);
}

static void
opened(struct watch *w, const struct session_event *event)
{
    credential_accepted(w->opts.credential);
    if (event->opening != MAILBOX_SAME)
        w->opts.on_baseline(w->opts.arg, event->opening);
    w->open = true;
    LIST_EACH(&w->errands, link)
    session_act(w->session, &LIST_OWNER(link, struct watch_errand, link)->act, clock_ms());
    if (event->opening == MAILBOX_NEW_EPOCH)
        say_epoch(w, event);
    else
        log_detail("%s: open, uidvalidity %u, last uid seen %u", w->name,
            (unsigned)w->opts.progress->uidvalidity, (unsigned)w->opts.progress->mark);
}

static void
say_up(struct watch *w)
{
    if (w->up_since != 0)
        return;
    w->up_since = clock_ms();
    w->last_error[0] = '\0';
    log_info("%s: watching", w->name);
    w->opts.on_state(w->opts.arg, WATCH_UP, NULL);
}

/* Returns 0, or -1 when the connection is gone and w must not be pumped on. */
static int
handle(struct watch *w, const struct session_event *event)
{
    struct err e;
    int result = 0;
    switch (event->type) {
    case SESSION_STARTTLS:
        /* the STARTTLS command left with the last flush; nothing may follow it in the clear */
        stream_secure(w->stream);
        break;
    case SESSION_OPENED:
        opened(w, event);
        break;
    case SESSION_CHUNK:
        result = add_chunk(w, event->bytes, &e);
        break;
    case SESSION_MESSAGE:
        result = complete_message(w, event, &e);
        break;
    case SESSION_DISCARD:
        spool_remove(w->incoming);
        w->incoming = NULL;
        break;
    case SESSION_CHECKED:
        log_detail("%s: checked, %u new", w->name, event->count);
        w->opts.on_checked(w->opts.arg);
        break;
    case SESSION_IDLE:
        say_up(w);
        break;
    case SESSION_COPIED:
        copied(w, event);
        break;
    case SESSION_ACTED:
        acted(w, event);
        break;
    case SESSION_NOTE:
        log_info("%s: %s", w->name, event->note);
        break;
    case SESSION_LOST:
        lost(w, event->error, event->retry_after_ms);
        return -1;
    case SESSION_NONE:
        break;
    }
    if (result != 0)
        lost(w, &e, 0);
    return result;
}

static void
queue_output(struct watch *w)
{
    struct buf *out = session_output(w->session);
    if (out->n == 0)
        return;
    stream_send(w->stream, buf_span(out));
    list_remove(&w->dirty);
    list_append(w->opts.dirty, &w->dirty);
    /* a password may have been in it */
    buf_wipe(out);
}

static void
pump(struct watch *w)
{
    struct session_event event;
    for (session_next(w->session, &event); event.type != SESSION_NONE;
         session_next(w->session, &event))
        if (handle(w, &event) != 0)
            return;
    queue_output(w);
    stream_reply_due(w->stream, session_reply_due(w->session));
    uint64_t at = session_deadline(w->session);
    if (at != UINT64_MAX)
        loop_timer_set(w->opts.loop, &w->timer, at);
    else
        loop_timer_clear(w->opts.loop, &w->timer);
}

/* --- stream events --- */

static void
take_input(struct watch *w)
{
    struct span bytes = stream_input(w->stream);
    session_feed(w->session, bytes, clock_ms());
    stream_eat(w->stream, bytes.n);
    pump(w);
}

static void
on_secret(void *arg, struct span secret, const struct err *why)
{
    struct watch *w = arg;
    if (why != NULL) {
        /* not the server's refusal: the command may work again later */
        struct err temporary = *why;
        if (!credential_dead(w->opts.credential))
            temporary.kind = ERR_AGAIN;
        lost(w, &temporary, 0);
        return;
    }
    w->credential_round = credential_round(w->opts.credential);
    session_login(w->session, secret, clock_ms());
    pump(w);
}

static void
on_stream(void *arg, enum stream_event what)
{
    struct watch *w = arg;
    switch (what) {
    case STREAM_OPEN:
        w->session = session_new(&w->session_opts, &w->quirks, w->opts.progress, clock_ms());
        session_hold(w->session, w->held, clock_ms());
        credential_ask(w->opts.credential, &w->waiter);
        pump(w);
        break;
    case STREAM_SECURED:
        session_secured(w->session, clock_ms());
        pump(w);
        break;
    case STREAM_INPUT:
        take_input(w);
        break;
    case STREAM_LOST:
        lost(w, stream_error(w->stream), 0);
        break;
    }
}

static void
connect_now(struct watch *w)
{
    assert(w->stream == NULL && w->session == NULL);
    w->session_opts.random = entropy_u64();
    w->stream = stream_new(w->opts.loop, &w->opts.account->net, w->opts.trust, on_stream, w);
}

static void
on_timer(void *arg)
{
    struct watch *w = arg;
    if (w->session != NULL) {
        session_tick(w->session, clock_ms());
        pump(w);
    } else if (w->stream == NULL) {
        connect_now(w);
    }
}

/* --- the outside --- */

/* The server part of an RFC 5092 URL. */
static char *
server_url(const struct account *a)
{
    bool implicit = a->net.tls == STREAM_IMPLICIT;
    bool literal6 = strchr(a->net.host, ':') != NULL;
    struct buf b = {0};
    buf_adds(&b, implicit ? "imaps://" : "imap://");
    percent_add(&b, a->user, "");
    buf_addf(&b, literal6 ? "@[%s]" : "@%s", a->net.host);
    if (a->net.port != (implicit ? 993 : 143))
        buf_addf(&b, ":%u", (unsigned)a->net.port);
    return buf_take(&b);
}

struct watch *
watch_new(const struct watch_opts *opts)
{
    struct watch *w = xcalloc(1, sizeof *w);
    const struct account *a = opts->account;
    w->opts = *opts;
    w->name = xasprintf("%s/%s", a->name, opts->mailbox);
    w->url = server_url(a);
    list_init(&w->errands);
    list_init(&w->dirty);
    credential_waiter_init(&w->waiter, on_secret, w);
    loop_timer_init(&w->timer, on_timer, w);
    w->session_opts = (struct session_opts){
        .host = a->net.host,
        .port = a->net.port,
        .user = a->user,
        .auth = a->secret.kind == SECRET_TOKEN_COMMAND ? SESSION_TOKEN : SESSION_PASSWORD,
        .starttls = a->net.tls == STREAM_STARTTLS,
        .mailbox = opts->mailbox,
        .fetch = opts->fetch,
        .writable = opts->writable,
        .first = opts->first,
        .first_since = opts->first_since,
        .epoch_since = opts->epoch_since,
        .renew_ms = a->keepalive_ms > 0 ? a->keepalive_ms : RENEW_MS,
        .poll_ms = a->poll_ms > 0 ? a->poll_ms : POLL_MS,
        .literal_max = message_max,
        .client_version = MAILCALL_VERSION,
    };
    loop_timer_set(opts->loop, &w->timer, clock_ms());
    return w;
}

void
watch_free(struct watch *w)
{
    if (w == NULL)
        return;
    disconnect(w);
    loop_timer_clear(w->opts.loop, &w->timer);
    free(w->name);
    free(w->url);
    free(w);
}

void
watch_flush(struct watch *w, bool committed)
{
    if (w->removes && !committed)
        return;
    w->removes = false;
    if (w->wants && w->session != NULL)
        session_want(w->session, clock_ms());
    if ((w->asked || w->wants) && w->session != NULL)
        pump(w);
    w->asked = w->wants = false;
    list_remove(&w->dirty);
    if (w->stream != NULL)
        stream_flush(w->stream);
}

struct watch *
watch_of_dirty(struct list *link)
{
    return LIST_OWNER(link, struct watch, dirty);
}

void
watch_stop(struct watch *w)
{
    w->stopping = true;
    if (w->session != NULL && w->up_since != 0) {
        session_logout(w->session, clock_ms());
        queue_output(w);
        watch_flush(w, true);
    }
    disconnect(w);
    loop_timer_clear(w->opts.loop, &w->timer);
}

/* What the connection was made for has changed: another one is made. */
static void
connect_anew(struct watch *w)
{
    if (w->stream == NULL || w->stopping)
        return;
    disconnect(w);
    loop_timer_set(w->opts.loop, &w->timer, clock_ms());
}

void
watch_want_writable(struct watch *w)
{
    if (w->session_opts.writable)
        return;
    w->session_opts.writable = true;
    connect_anew(w);
}

bool
watch_is_writable(const struct watch *w)
{
    return w->session_opts.writable;
}

void
watch_want(struct watch *w)
{
    w->wants = true;
    list_remove(&w->dirty);
    list_append(w->opts.dirty, &w->dirty);
}

void
watch_hold(struct watch *w, bool held)
{
    w->held = held;
    if (w->session == NULL)
        return;
    session_hold(w->session, held, clock_ms());
    pump(w);
}

void
watch_check(struct watch *w)
{
    if (w->session != NULL) {
        session_check(w->session, clock_ms());
        pump(w);
    } else if (w->stream == NULL && !w->stopping && !credential_dead(w->opts.credential)) {
        loop_timer_set(w->opts.loop, &w->timer, clock_ms());
    }
}

const char *
watch_name(const struct watch *w)
{
    return w->name;
}
