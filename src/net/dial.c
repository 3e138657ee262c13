/* SPDX-License-Identifier: ISC */
/* Happy Eyeballs, RFC 8305: resolve in the pool, race the addresses, hand over the first socket
 * that connects. A failed attempt starts the next at once, a slow one after 250 ms.
 *
 * Everything happens in callbacks of the loop, the first attempt included, so the caller hears
 * nothing before dial_start() has returned. A lookup cannot be taken back once libc has it: it
 * owns itself and forgets its dial when the dial is closed. */
#include "net/dial.h"

#include "base/buf.h"
#include "base/mem.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum {
    ADDRESSES_MAX = 16,
    STAGGER_MS = 250, /* "Connection Attempt Delay", RFC 8305 section 5 */
    PATIENCE_MS = 30 * 1000
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct attempt {
    struct dial *dial;
    union address to;
    int fd; /* -1: not begun, or over */
    struct loop_fd *watch;
};

struct lookup {
    uv_getaddrinfo_t request;
    struct dial *dial; /* NULL: nobody wants the answer any more */
};

struct dial {
    struct loop *loop;
    char *host; /* without brackets */
    unsigned short port;
    bool loopback_only;
    void (*on_done)(void *arg, int fd, const struct err *why); /* NULL: over */
    void *arg;
    struct lookup *lookup;
    struct attempt attempts[ADDRESSES_MAX];
    size_t count;
    size_t next; /* the attempt to begin next */
    size_t running;
    struct loop_timer stagger;
    struct loop_timer patience;
    struct err why; /* the most telling failure so far */
    int why_rank;
};

/* --- the end --- */

static void
end_attempt(struct attempt *a)
{
    if (a->fd < 0)
        return;
    loop_fd_close(a->watch);
    a->watch = NULL;
    close(a->fd);
    a->fd = -1;
    a->dial->running--;
}

static void
drop_lookup(struct dial *d)
{
    if (d->lookup == NULL)
        return;
    d->lookup->dial = NULL;
    uv_cancel((uv_req_t *)&d->lookup->request); /* saves the work if it has not begun */
    d->lookup = NULL;
}

void
dial_close(struct dial *d)
{
    if (d == NULL || d->on_done == NULL)
        return;
    d->on_done = NULL;
    drop_lookup(d);
    for (size_t i = 0; i < d->count; i++)
        end_attempt(&d->attempts[i]);
    loop_timer_clear(d->loop, &d->stagger);
    loop_timer_clear(d->loop, &d->patience);
    free(d->host);
    loop_discard(d->loop, d);
}

static void
finish(struct dial *d, int fd)
{
    void (*on_done)(void *arg, int fd, const struct err *why) = d->on_done;
    dial_close(d);
    on_done(d->arg, fd, fd < 0 ? &d->why : NULL);
}

/* --- failures --- */

/* Among the failures of several addresses the one told is the one that says most about the server:
 * "refused" more than "timed out", that more than "this machine has no IPv6". */
enum rank { RANK_NO_ROUTE = 1, RANK_SILENT, RANK_ANSWERED, RANK_FORBIDDEN };

static enum rank
rank_of(int error)
{
    switch (error) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return RANK_NO_ROUTE;
    case ETIMEDOUT:
        return RANK_SILENT;
    default:
        return RANK_ANSWERED;
    }
}

/* "host:port", an IPv6 address in brackets. */
static void
add_place(struct buf *out, const struct dial *d)
{
    bool brackets = strchr(d->host, ':') != NULL;
    buf_addf(out, brackets ? "[%s]:%d" : "%s:%d", d->host, d->port);
}

static void
note_failure(struct dial *d, enum rank rank, enum err_kind kind, const char *reason)
{
    if ((int)rank < d->why_rank)
        return;
    struct buf place = {0};
    add_place(&place, d);
    err_set(&d->why, kind, "%s: %s", buf_str(&place), reason);
    d->why_rank = rank;
    buf_free(&place);
}

static void
note_errno(struct dial *d, int error)
{
    note_failure(d, rank_of(error), ERR_NET, uv_strerror(uv_translate_sys_error(error)));
}

/* --- attempts --- */

static bool
is_loopback(const union address *to)
{
    if (to->any.sa_family == AF_INET)
        return ntohl(to->v4.sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&to->v6.sin6_addr);
}

static void
note_forbidden(struct dial *d, const union address *to)
{
    char text[INET6_ADDRSTRLEN] = "";
    uv_inet_ntop(to->any.sa_family,
        to->any.sa_family == AF_INET ? (const void *)&to->v4.sin_addr
                                     : (const void *)&to->v6.sin6_addr,
        text, sizeof text);
    char reason[160];
    snprintf(reason, sizeof reason,
        "plain text is only allowed to this machine; %s is elsewhere: use tls", text);
    note_failure(d, RANK_FORBIDDEN, ERR_TLS, reason);
}

static int
open_socket(int family)
{
#ifdef SOCK_CLOEXEC
    return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
#else
    int fd = socket(family, SOCK_STREAM, 0);
    if (fd >= 0) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, O_NONBLOCK);
    }
    return fd;
#endif
}

static void begin_next(struct dial *d);

static void
on_attempt_ready(void *arg, int events)
{
    (void)events;
    struct attempt *a = arg;
    struct dial *d = a->dial;
    int error = 0;
    socklen_t n = sizeof error;
    if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
        error = errno;
    if (error != 0) {
        end_attempt(a);
        note_errno(d, error);
        begin_next(d);
        return;
    }
    int fd = a->fd;
    loop_fd_close(a->watch);
    a->fd = -1; /* it is the caller's now */
    finish(d, fd);
}

/* 0: under way; an errno: it failed at once. */
static int
begin(struct attempt *a)
{
    int fd = open_socket(a->to.any.sa_family);
    if (fd < 0)
        return errno;
    socklen_t n = a->to.any.sa_family == AF_INET ? sizeof a->to.v4 : sizeof a->to.v6;
    if (connect(fd, &a->to.any, n) != 0 && errno != EINPROGRESS && errno != EINTR) {
        int error = errno;
        close(fd);
        return error;
    }
    a->fd = fd;
    a->dial->running++;
    a->watch = loop_fd_new(a->dial->loop, fd, on_attempt_ready, a);
    loop_fd_want(a->watch, LOOP_WRITE);
    return 0;
}

/* Begins the next address that can be begun; with none left and none running the dial has failed.
 */
static void
begin_next(struct dial *d)
{
    while (d->next < d->count) {
        struct attempt *a = &d->attempts[d->next++];
        if (d->loopback_only && !is_loopback(&a->to)) {
            note_forbidden(d, &a->to);
            continue;
        }
        int error = begin(a);
        if (error == 0) {
            loop_timer_set(d->loop, &d->stagger, clock_ms() + STAGGER_MS);
            return;
        }
        note_errno(d, error);
    }
    if (d->running == 0)
        finish(d, -1);
}

static void
on_stagger(void *arg)
{
    begin_next(arg);
}

static void
on_patience(void *arg)
{
    struct dial *d = arg;
    if (d->lookup != NULL)
        err_set(&d->why, ERR_NET, "host '%s' could not be looked up within %d s", d->host,
            PATIENCE_MS / 1000);
    else
        note_failure(d, RANK_SILENT, ERR_NET, "no answer within 30 s");
    finish(d, -1);
}

/* --- addresses --- */

static void
add_address(struct dial *d, const struct sockaddr *from)
{
    bool v6 = from->sa_family == AF_INET6;
    if (d->count == ADDRESSES_MAX || (from->sa_family != AF_INET && !v6))
        return;
    struct attempt *a = &d->attempts[d->count++];
    *a = (struct attempt){.dial = d, .fd = -1};
    memcpy(&a->to, from, v6 ? sizeof a->to.v6 : sizeof a->to.v4);
    if (v6)
        a->to.v6.sin6_port = htons(d->port);
    else
        a->to.v4.sin_port = htons(d->port);
}

static const struct addrinfo *
skip_to_family(const struct addrinfo *a, int family)
{
    while (a != NULL && a->ai_family != family)
        a = a->ai_next;
    return a;
}

/* One IPv6, one IPv4, and so on; each family in the resolver's order, which is RFC 6724's. */
static void
add_alternating(struct dial *d, const struct addrinfo *all)
{
    const struct addrinfo *v6 = skip_to_family(all, AF_INET6);
    const struct addrinfo *v4 = skip_to_family(all, AF_INET);
    while (v6 != NULL || v4 != NULL) {
        if (v6 != NULL) {
            add_address(d, v6->ai_addr);
            v6 = skip_to_family(v6->ai_next, AF_INET6);
        }
        if (v4 != NULL) {
            add_address(d, v4->ai_addr);
            v4 = skip_to_family(v4->ai_next, AF_INET);
        }
    }
}

static void
explain_lookup(struct dial *d, int status)
{
    if (status == UV_EAI_NONAME || status == UV_EAI_NODATA || status == UV_EAI_ADDRFAMILY)
        err_set(&d->why, ERR_HOST, "unknown host '%s'", d->host);
    else
        err_set(
            &d->why, ERR_NET, "host '%s' could not be looked up: %s", d->host, uv_strerror(status));
}

static void
on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct lookup *lookup = request->data;
    struct dial *d = lookup->dial;
    free(lookup);
    if (d != NULL) {
        d->lookup = NULL;
        if (status == 0)
            add_alternating(d, found);
        else
            explain_lookup(d, status);
        begin_next(d);
    }
    uv_freeaddrinfo(found);
}

/* No AI_ADDRCONFIG: it would hide 127.0.0.1 and ::1 on a machine that is offline. */
static void
look_up(struct dial *d)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct lookup *lookup = xcalloc(1, sizeof *lookup);
    lookup->request.data = lookup;
    lookup->dial = d;
    int status =
        uv_getaddrinfo(loop_uv(d->loop), &lookup->request, on_resolved, d->host, NULL, &hints);
    if (status == 0) {
        d->lookup = lookup;
        return;
    }
    free(lookup);
    explain_lookup(d, status == UV_ENOMEM ? status : UV_EAI_NONAME); /* no name can look so */
    loop_timer_set(d->loop, &d->stagger, 0);
}

static bool
take_literal(struct dial *d)
{
    union address a;
    if (uv_ip4_addr(d->host, 0, &a.v4) != 0 && uv_ip6_addr(d->host, 0, &a.v6) != 0)
        return false;
    add_address(d, &a.any);
    return true;
}

static char *
without_brackets(const char *host)
{
    size_t n = strlen(host);
    if (n > 2 && host[0] == '[' && host[n - 1] == ']')
        return xstrndup(host + 1, n - 2);
    return xstrdup(host);
}

struct dial *
dial_start(struct loop *l, const struct dial_opts *opts)
{
    struct dial *d = xcalloc(1, sizeof *d);
    d->loop = l;
    d->host = without_brackets(opts->host);
    d->port = opts->port;
    d->loopback_only = opts->loopback_only;
    d->on_done = opts->on_done;
    d->arg = opts->arg;
    loop_timer_init(&d->stagger, on_stagger, d);
    loop_timer_init(&d->patience, on_patience, d);
    loop_timer_set(l, &d->patience, clock_ms() + PATIENCE_MS);
    if (take_literal(d))
        loop_timer_set(l, &d->stagger, 0);
    else
        look_up(d);
    return d;
}
