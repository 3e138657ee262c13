/*
 * stream: bytes to and from one server, plain or TLS, behind one interface.
 * Never knows IMAP.
 *
 * Dials, shakes hands, reads what is there, writes what is queued. TCP_NODELAY, keepalive 60/20/3,
 * TCP_USER_TIMEOUT 60 s. Its states: dialing, (securing), open, lost.
 */
#ifndef MAILCALL_NET_STREAM_H
#define MAILCALL_NET_STREAM_H

#include "base/buf.h"
#include "base/err.h"
#include "net/tls.h"
#include "sys/loop.h"

enum stream_tls {
    STREAM_IMPLICIT, /* TLS from the first byte */
    STREAM_STARTTLS, /* plain until stream_secure(); the session above insists on it */
    STREAM_PLAIN,    /* to loopback only, checked against the address really connected to */
};

/* Filled by config/. */
struct stream_opts {
    char *host;
    unsigned short port;
    enum stream_tls tls;
    char *ca_file;     /* NULL: system CAs */
    char *fingerprint; /* 64 lower-case hex digits, or NULL */
};
void stream_opts_free(struct stream_opts *o); /* empty afterwards */

struct stream;

enum stream_event {
    STREAM_OPEN,    /* connected, and TLS is up if implicit */
    STREAM_SECURED, /* the handshake asked for by stream_secure() is done */
    STREAM_INPUT,   /* stream_input() has bytes */
    STREAM_LOST,    /* over: stream_error() says why; close it */
};

/* The options are borrowed for the stream's life. `on_event` may close the stream. */
struct stream *stream_new(struct loop *l, const struct stream_opts *opts, struct tls_trust *trust,
    void (*on_event)(void *arg, enum stream_event event), void *arg);
void stream_close(struct stream *s); /* at once, nothing flushed; NULL is fine */

/* Bytes received and not yet eaten, at most 64 KiB at a time: reading waits while it is full. */
struct span stream_input(const struct stream *s);
void stream_eat(struct stream *s, size_t n);
/* Queues bytes; they leave at stream_flush(), in one write if the socket takes them. */
void stream_send(struct stream *s, struct span bytes);
void stream_flush(struct stream *s);
/* Starts TLS on a plain stream. Input must be empty: leftover plain text is the caller's to refuse.
 * Queued output is written first. */
void stream_secure(struct stream *s);
/* While a reply is due, TCP_QUICKACK is re-armed after each read: some servers wait for our
 * delayed ACK (44 ms against 0.8 ms, measured on Cyrus and Courier). */
void stream_reply_due(struct stream *s, bool due);
const struct err *stream_error(const struct stream *s);

#endif
