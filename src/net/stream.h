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
    STREAM_LOST,    /* over, once: stream_error() says why; input may be left; close it */
};

/* The options and the trust are borrowed for the stream's life. `on_event` comes from the loop
 * only, never from inside a call below, and may close the stream. */
struct stream *stream_new(struct loop *l, const struct stream_opts *opts, struct tls_trust *trust,
    void (*on_event)(void *arg, enum stream_event event), void *arg);
void stream_close(struct stream *s); /* at once, nothing flushed; NULL is fine */

/* Bytes received and not yet eaten, at most 64 KiB at a time: reading waits while it is full. */
struct span stream_input(const struct stream *s);
void stream_eat(struct stream *s, size_t n);
/* Queues bytes; they leave at stream_flush(), in one write if the socket takes them. Not before
 * STREAM_OPEN, nor between stream_secure() and STREAM_SECURED: then they wait for a later flush. */
void stream_send(struct stream *s, struct span bytes);
void stream_flush(struct stream *s);
/* Starts TLS on a plain stream (of STREAM_STARTTLS). Input must be empty: leftover plain text is
 * the caller's to refuse, and loses the stream. Queued output is written first. */
void stream_secure(struct stream *s);
/* While a reply is due, TCP_QUICKACK is re-armed after each read: some servers wait for our
 * delayed ACK (44 ms against 0.8 ms, measured on Cyrus and Courier). */
void stream_reply_due(struct stream *s, bool due);
/* The text names the host: "imap.example.org:993: connection refused", "unknown host 'x'". */
const struct err *stream_error(const struct stream *s);
/* For a log line: "192.0.2.1:993, TLSv1.3 TLS_AES_256_GCM_SHA384". */
void stream_describe(const struct stream *s, char *p, size_t n);

#endif
