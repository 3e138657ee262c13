/*
 * dial: from a host name to a connected socket: resolved off the loop, addresses raced (RFC 8305).
 * Never knows IMAP.
 */
#ifndef MAILCALL_NET_DIAL_H
#define MAILCALL_NET_DIAL_H

#include "base/err.h"
#include "sys/loop.h"

struct dial;

struct dial_opts {
    const char *host; /* a name, or an address; an IPv6 address also in brackets */
    unsigned short port;
    bool loopback_only; /* refuse every address outside 127.0.0.0/8 and ::1 */
    /* Exactly once unless closed before, never from inside dial_start(). fd >= 0: connected,
     * non-blocking, close-on-exec, the caller's; else *why is ERR_HOST, ERR_NET, or ERR_TLS for an
     * address that loopback_only refuses; its text names the host. The dial is freed after it
     * returns. */
    void (*on_done)(void *arg, int fd, const struct err *why);
    void *arg;
};

/* IPv6 and IPv4 alternate, 250 ms apart; the first that connects wins. 30 s for all of it. The
 * options are copied. */
struct dial *dial_start(struct loop *l, const struct dial_opts *opts);
void dial_close(struct dial *d); /* no callback any more; NULL is fine */

#endif
