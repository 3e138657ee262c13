/* SPDX-License-Identifier: ISC */
/* One connection: dialing, securing, open, lost; every step recomputes from the state what to wait
 * for.
 *
 * The owner is called from the loop only, never from inside a call of his own: what happens there
 * is told by a timer that is due at once. So he needs no guard against himself. After each event
 * the stream looks whether it has been closed; its memory stands until the end of the turn.
 *
 * Bytes leave in the order they were queued and only up to the last flush: what the owner queues
 * later waits for his next flush, whatever the socket does meanwhile. An idle stream holds no
 * buffers. */
#include "net/stream.h"

#include "base/mem.h"
#include "net/dial.h"
#include "sys/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum { INPUT_MAX = 64 * 1024, CHUNK = 16 * 1024, HANDSHAKE_MS = 30 * 1000 };

enum state { DIALING, SECURING, OPEN, LOST, CLOSED };

struct stream {
    struct loop *loop;
    const struct stream_opts *opts;
    struct tls_trust *trust;
    void (*on_event)(void *arg, enum stream_event event);
    void *arg;
    enum state state;
    struct dial *dial;
    int fd;
    struct loop_fd *watch;
    struct tls *tls; /* NULL: plain, so far */
    struct buf in;
    struct buf out;
    size_t released; /* bytes of out that a flush has let go */
    /* what TLS waits for before it can go on; for plain bytes always the natural direction */
    int handshake_wants;
    int read_wants;
    int write_wants;
    bool reply_due;
    /* securing: the handshake's deadline; open: TLS holds more input; lost: the news is due */
    struct loop_timer timer;
    struct err why;
};

void
stream_opts_free(struct stream_opts *o)
{
    free(o->host);
    free(o->ca_file);
    free(o->fingerprint);
    *o = (struct stream_opts){0};
}

/* --- waiting and losing --- */

static int
wanted_events(const struct stream *s)
{
    switch (s->state) {
    case SECURING:
        return s->tls == NULL ? LOOP_WRITE : s->handshake_wants;
    case OPEN:
        return (s->in.n < INPUT_MAX ? s->read_wants : 0) | (s->released > 0 ? s->write_wants : 0);
    default:
        return 0;
    }
}

static void
await(struct stream *s)
{
    if (s->watch != NULL)
        loop_fd_want(s->watch, wanted_events(s));
}

/* The connection is over; the owner hears of it in the next turn, when he has had the chance to
 * take the last input. */
static void
lose(struct stream *s)
{
    bool brackets = strchr(s->opts->host, ':') != NULL && s->opts->host[0] != '[';
    err_wrap(&s->why, brackets ? "[%s]:%d" : "%s:%d", s->opts->host, s->opts->port);
    s->state = LOST;
    await(s);
    loop_timer_set(s->loop, &s->timer, 0);
}

static void
emit(struct stream *s, enum stream_event event)
{
    s->on_event(s->arg, event);
}

/* --- the socket, plain or TLS: one read, one write --- */

static enum tls_want
plain_result(struct stream *s, ssize_t n, size_t *done, enum tls_want again)
{
    if (n >= 0) {
        *done = (size_t)n;
        return TLS_DONE;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return again;
    err_set(&s->why, ERR_NET, "%s", uv_strerror(uv_translate_sys_error(errno)));
    return TLS_FAILED;
}

static enum tls_want
receive(struct stream *s, void *p, size_t n, size_t *done)
{
    if (s->tls != NULL)
        return tls_read(s->tls, p, n, done, &s->why);
    ssize_t got = recv(s->fd, p, n, 0);
    return got == 0 ? TLS_CLOSED : plain_result(s, got, done, TLS_WANT_READ);
}

static enum tls_want
transmit(struct stream *s, const void *p, size_t n, size_t *done)
{
    if (s->tls != NULL)
        return tls_write(s->tls, p, n, done, &s->why);
    return plain_result(s, send(s->fd, p, n, 0), done, TLS_WANT_WRITE);
}

static int
direction(enum tls_want want)
{
    return want == TLS_WANT_WRITE ? LOOP_WRITE : LOOP_READ;
}

/* CLOSED and FAILED end the stream. */
static void
lose_by(struct stream *s, enum tls_want end)
{
    if (end == TLS_CLOSED)
        err_set(&s->why, ERR_NET, "server closed the connection");
    lose(s);
}

/* --- open: reading and writing --- */

static void
quick_ack(struct stream *s)
{
#ifdef TCP_QUICKACK
    int on = 1;
    if (s->reply_due) /* not sticky: the kernel falls back to delaying by itself */
        setsockopt(s->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
#else
    (void)s;
#endif
}

static void
read_in(struct stream *s)
{
    char bytes[CHUNK];
    size_t before = s->in.n;
    enum tls_want got = TLS_DONE;
    while (got == TLS_DONE && s->in.n < INPUT_MAX) {
        size_t room = INPUT_MAX - s->in.n;
        size_t n = 0;
        got = receive(s, bytes, room < sizeof bytes ? room : sizeof bytes, &n);
        if (got == TLS_DONE)
            buf_add(&s->in, bytes, n);
    }
    bool news = s->in.n > before;
    if (news)
        quick_ack(s);
    if (got == TLS_CLOSED || got == TLS_FAILED)
        lose_by(s, got);
    else if (got != TLS_DONE)
        s->read_wants = direction(got);
    if (news)
        emit(s, STREAM_INPUT);
}

static void
write_out(struct stream *s)
{
    size_t sent = 0;
    enum tls_want put = TLS_DONE;
    while (put == TLS_DONE && sent < s->released) {
        size_t n = 0;
        put = transmit(s, s->out.p + sent, s->released - sent, &n);
        sent += n;
    }
    s->released -= sent;
    buf_eat(&s->out, sent);
    if (s->out.n == 0)
        buf_wipe(&s->out);
    if (put == TLS_CLOSED || put == TLS_FAILED)
        lose_by(s, put);
    else
        s->write_wants = put == TLS_WANT_READ ? LOOP_READ : LOOP_WRITE;
}

/* --- securing --- */

static void
become_open(struct stream *s, enum stream_event event)
{
    s->state = OPEN;
    s->read_wants = LOOP_READ;
    s->write_wants = LOOP_WRITE;
    loop_timer_clear(s->loop, &s->timer);
    if (s->tls != NULL && tls_pending(s->tls))
        loop_timer_set(s->loop, &s->timer, 0);
    emit(s, event);
}

static void
shake_hands(struct stream *s)
{
    enum tls_want want = tls_handshake(s->tls, &s->why);
    if (want == TLS_DONE)
        become_open(s, s->opts->tls == STREAM_STARTTLS ? STREAM_SECURED : STREAM_OPEN);
    else if (want == TLS_WANT_READ || want == TLS_WANT_WRITE)
        s->handshake_wants = direction(want);
    else
        lose_by(s, want);
}

static void
begin_securing(struct stream *s)
{
    s->state = SECURING;
    loop_timer_set(s->loop, &s->timer, clock_ms() + HANDSHAKE_MS);
}

/* The plain bytes released before go first, then the first flight of the handshake. */
static void
secure(struct stream *s)
{
    if (s->tls == NULL) {
        write_out(s);
        if (s->state != SECURING || s->released > 0)
            return;
        s->tls = tls_new(s->trust, s->fd, s->opts->host);
    }
    shake_hands(s);
}

/* --- events of the loop --- */

static void
on_ready(void *arg, int events)
{
    struct stream *s = arg;
    if (s->state == SECURING) {
        secure(s);
    } else {
        /* reading first: a server that says why it closes is heard before a write fails */
        if (s->in.n < INPUT_MAX && (events & s->read_wants) != 0)
            read_in(s);
        if (s->state == OPEN && s->released > 0 && (events & s->write_wants) != 0)
            write_out(s);
    }
    await(s);
}

static void
on_timer(void *arg)
{
    struct stream *s = arg;
    switch (s->state) {
    case SECURING:
        err_set(&s->why, ERR_NET, "TLS handshake not finished within %d s", HANDSHAKE_MS / 1000);
        lose(s);
        break;
    case OPEN:
        read_in(s);
        break;
    default:
        emit(s, STREAM_LOST);
    }
    await(s);
}

/* --- dialing --- */

/* A dead peer is noticed by keepalive after two minutes when idle, and after one when bytes of
 * ours stay unacknowledged. */
static void
set_options(int fd)
{
    static const struct {
        int level, name, value;
    } table[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
#if defined(TCP_KEEPIDLE)
        {IPPROTO_TCP, TCP_KEEPIDLE, 60},
#elif defined(TCP_KEEPALIVE)
        {IPPROTO_TCP, TCP_KEEPALIVE, 60},
#endif
#ifdef TCP_KEEPINTVL
        {IPPROTO_TCP, TCP_KEEPINTVL, 20},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},
#endif
#ifdef TCP_USER_TIMEOUT
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 60 * 1000},
#endif
#ifdef SO_NOSIGPIPE
        {SOL_SOCKET, SO_NOSIGPIPE, 1},
#endif
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        setsockopt(fd, table[i].level, table[i].name, &table[i].value, sizeof table[i].value);
}

static void
on_dialed(void *arg, int fd, const struct err *why)
{
    struct stream *s = arg;
    s->dial = NULL;
    if (fd < 0) {
        s->why = *why; /* names the host already */
        s->state = LOST;
        emit(s, STREAM_LOST);
        return;
    }
    s->fd = fd;
    set_options(fd);
    s->watch = loop_fd_new(s->loop, fd, on_ready, s);
    if (s->opts->tls == STREAM_IMPLICIT) {
        begin_securing(s);
        secure(s);
    } else {
        become_open(s, STREAM_OPEN);
    }
    await(s);
}

struct stream *
stream_new(struct loop *l, const struct stream_opts *opts, struct tls_trust *trust,
    void (*on_event)(void *arg, enum stream_event event), void *arg)
{
    struct stream *s = xcalloc(1, sizeof *s);
    s->loop = l;
    s->opts = opts;
    s->trust = trust;
    s->on_event = on_event;
    s->arg = arg;
    s->fd = -1;
    loop_timer_init(&s->timer, on_timer, s);
    struct dial_opts dial = {.host = opts->host,
        .port = opts->port,
        .loopback_only = opts->tls == STREAM_PLAIN,
        .on_done = on_dialed,
        .arg = s};
    s->dial = dial_start(l, &dial);
    return s;
}

void
stream_close(struct stream *s)
{
    if (s == NULL)
        return;
    if (s->state == OPEN && s->tls != NULL)
        tls_shutdown(s->tls);
    s->state = CLOSED;
    dial_close(s->dial);
    loop_timer_clear(s->loop, &s->timer);
    loop_fd_close(s->watch);
    s->watch = NULL;
    tls_free(s->tls);
    if (s->fd >= 0)
        close(s->fd);
    buf_free(&s->in);
    buf_wipe(&s->out);
    loop_discard(s->loop, s);
}

/* --- the owner's calls --- */

struct span
stream_input(const struct stream *s)
{
    return buf_span(&s->in);
}

void
stream_eat(struct stream *s, size_t n)
{
    bool was_full = s->in.n >= INPUT_MAX;
    buf_eat(&s->in, n);
    if (s->in.n == 0)
        buf_free(&s->in);
    /* what TLS has decrypted already no descriptor announces */
    if (was_full && s->state == OPEN && s->tls != NULL && tls_pending(s->tls))
        loop_timer_set(s->loop, &s->timer, 0);
    await(s);
}

void
stream_send(struct stream *s, struct span bytes)
{
    if (s->state != LOST)
        buf_addspan(&s->out, bytes);
}

void
stream_flush(struct stream *s)
{
    if (s->state != OPEN)
        return;
    s->released = s->out.n;
    write_out(s);
    await(s);
}

void
stream_secure(struct stream *s)
{
    if (s->state != OPEN)
        return;
    if (s->in.n > 0) {
        err_set(&s->why, ERR_TLS, "server sent plain text where its TLS handshake was due");
        lose(s);
        return;
    }
    s->released = s->out.n;
    begin_securing(s);
    await(s);
}

void
stream_reply_due(struct stream *s, bool due)
{
    s->reply_due = due;
    if (s->fd >= 0)
        quick_ack(s);
}

const struct err *
stream_error(const struct stream *s)
{
    return &s->why;
}

/* --- for the log --- */

void
stream_describe(const struct stream *s, char *p, size_t n)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer;
    socklen_t size = sizeof peer;
    char address[INET6_ADDRSTRLEN] = "";
    if (s->fd < 0 || getpeername(s->fd, &peer.any, &size) != 0) {
        snprintf(p, n, "not connected");
        return;
    }
    bool v6 = peer.any.sa_family == AF_INET6;
    uv_inet_ntop(peer.any.sa_family,
        v6 ? (const void *)&peer.v6.sin6_addr : (const void *)&peer.v4.sin_addr, address,
        sizeof address);
    char how[80] = "plain text";
    if (s->tls != NULL)
        tls_describe(s->tls, how, sizeof how);
    snprintf(p, n, v6 ? "[%s]:%d, %s" : "%s:%d, %s", address, s->opts->port, how);
}
