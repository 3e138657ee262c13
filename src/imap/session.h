/*
 * session: one IMAP connection to one mailbox, from the greeting to the end (RFC 3501, 2177, 4959,
 * 2971; 9051 where servers already follow it). Pure: bytes and time in, bytes and events out.
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 *
 * The owner feeds bytes, then pulls events until there are none, then writes the output. There are
 * no callbacks. The table of steps at the top of session.c is the order of the protocol.
 */
#ifndef MAILCALL_IMAP_SESSION_H
#define MAILCALL_IMAP_SESSION_H

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"
#include "imap/act.h"
#include "imap/mailbox.h"

enum session_auth { SESSION_PASSWORD, SESSION_TOKEN };
enum session_fetch { SESSION_FETCH_HEADERS, SESSION_FETCH_MESSAGES };

/* What of the messages that lie in a mailbox when it is seen for the first time is new. */
enum session_first {
    SESSION_FIRST_NONE,
    SESSION_FIRST_ALL,
    SESSION_FIRST_UNSEEN,
    SESSION_FIRST_SINCE, /* those the server received on the day of `first_since` or later */
};

struct session_opts {
    const char *host; /* as dialed; OAUTHBEARER names it */
    unsigned short port;
    const char *user;
    enum session_auth auth;
    bool starttls;       /* the connection is plain and TLS is mandatory */
    const char *mailbox; /* UTF-8 name */
    enum session_fetch fetch;
    bool writable; /* SELECT instead of EXAMINE: session_act() will be used */
    enum session_first first;
    int64_t first_since; /* seconds since 1970 */
    /* In a new epoch: what the server received on the day of it, or later, may be new, and is
     * wanted, and so is what is unseen while a first look at that has not ended; 0 = nothing is.
     * Read when the mailbox is opened; the owner's. */
    const int64_t *epoch_since;
    uint64_t renew_ms;          /* IDLE is renewed after 80 to 100 % of this */
    uint64_t poll_ms;           /* where there is no IDLE: how often to look */
    uint64_t literal_max;       /* a message larger than this ends the session with ERR_PROTOCOL */
    const char *client_version; /* for ID */
    uint64_t random;            /* seed of the jitter */
};

/* What was learnt about this server and should be known at the next connect. The owner keeps it. */
struct session_quirks {
    bool step_by_step; /* it lost what stood behind DONE: one command at a time from now on */
    bool no_idle;      /* it refused IDLE though offering it */
    bool no_literal_plus;
    bool wants_star; /* it refused 4294967295 as the end of a range */
};

struct session;

/* opts' strings, quirks and mailbox are borrowed and outlive the session. now = a clock that counts
 * suspend, in milliseconds; all times below are on it. */
struct session *session_new(const struct session_opts *opts, struct session_quirks *quirks,
    struct mailbox *mailbox, uint64_t now);
void session_free(struct session *s); /* NULL is fine; secrets are wiped */

/* The password or token; copied. May come before or after the server asks for it: until then the
 * session waits at the login. */
void session_login(struct session *s, struct span secret, uint64_t now);
/* TLS is up after SESSION_STARTTLS. Everything learnt in the clear is forgotten. */
void session_secured(struct session *s, uint64_t now);
/* Bytes from the server, all of them taken. Bytes that follow the OK of STARTTLS in the clear end
 * the session (response injection). After SESSION_LOST input is ignored. */
void session_feed(struct session *s, struct span bytes, uint64_t now);
/* Time passed; call when session_deadline() has come. */
void session_tick(struct session *s, uint64_t now);
/* Look for new mail now, whatever the server says: after a resume, at USR1. */
void session_check(struct session *s, uint64_t now);
/* mailbox_want_whole() was called: ask for that now, without a look for anything else. Those of one
 * turn are best told at once, at its end. */
void session_want(struct session *s, uint64_t now);
/* While held no look for mail begins, and nothing is asked for; what is under way goes on, and so
 * do acts. */
void session_hold(struct session *s, bool held, uint64_t now);
/* Has it done; only when the mailbox is open (after SESSION_OPENED) and writable. `*a` and its text
 * are the owner's and stay until SESSION_ACTED, or the end of the session, which says nothing of
 * those still open: they may have been done. Several are done in the order they came; those given
 * before the next session_next() or session_tick() leave in one write. */
void session_act(struct session *s, const struct act *a, uint64_t now);
/* Sends DONE and LOGOUT as politely as the state allows; no event follows but SESSION_LOST. */
void session_logout(struct session *s, uint64_t now);

enum session_event_type {
    SESSION_NONE,
    SESSION_STARTTLS, /* write the output, run the handshake, then session_secured() */
    SESSION_OPENED,   /* the mailbox is open: `opening` says how */
    SESSION_CHUNK,    /* `bytes` of the message now arriving */
    SESSION_MESSAGE,  /* that message is complete and new; after taking it for good the owner calls
                         mailbox_take(). With no chunk before it the message is empty. */
    SESSION_DISCARD,  /* forget the chunks since the last MESSAGE or DISCARD: not new, or cut */
    SESSION_CHECKED,  /* a pass ended well; the mark has moved, if it was over more than what is
                         wanted whole; `count` messages came. What was wanted and is gone stands in
                         the mailbox's `absent`: forget it. */
    SESSION_IDLE,     /* the server accepted IDLE, or polling has begun: all is well. Each time. */
    SESSION_COPIED,   /* of `act`, a MOVE on a server without it: the copy is made, and what is sent
                         next removes the message. Note that first: a copy made twice is two. */
    SESSION_ACTED,    /* `act` is done; or `error` says why it is not, by its kind: ERR_AGAIN, the
                         server cannot now; ERR_MAILBOX, this mailbox is not the one the message
                         was in; ERR_INPUT, it refuses for good. Nothing was destroyed by trying.
                         A message that is gone is a success with `gone`. */
    SESSION_NOTE, /* `note`: worth a log line (an ALERT, a fallback taken); one line, visible text
                   */
    SESSION_LOST, /* over; `error` says why; nothing follows */
};

struct session_event {
    enum session_event_type type;
    enum mailbox_opening opening; /* OPENED */
    struct mailbox_facts facts;   /* OPENED */
    struct span bytes;            /* CHUNK */
    uint32_t uid;                 /* MESSAGE */
    int64_t internaldate;         /* MESSAGE: seconds since 1970, 0 if unreadable */
    uint64_t size;                /* MESSAGE: RFC822.SIZE, 0 if not told */
    bool whole; /* MESSAGE: the chunks were all of it, as SESSION_FETCH_MESSAGES has it of every
                   message, mailbox_want_whole() of one; else its header block only */
    const struct strv *flags; /* MESSAGE */
    unsigned count;           /* CHECKED */
    const char *note;         /* NOTE */
    const struct act *act;    /* COPIED, ACTED */
    bool gone;                /* ACTED */
    const struct err *error; /* ACTED: NULL if it is done. LOST: kinds ERR_NET ERR_PROTOCOL ERR_AUTH
                                ERR_AGAIN ERR_MAILBOX ERR_TLS (STARTTLS refused or attacked) */
    uint64_t retry_after_ms; /* LOST: the server's own wish ("Suggested Backoff Time"), or 0 */
};

/* The next event, or SESSION_NONE. What it points to is valid until the next call on s. */
void session_next(struct session *s, struct session_event *event);

/* Bytes to send; the owner empties the buffer (buf_eat or buf_clear) after queueing them. What is
 * in it after one call of feed, tick, login or secured belongs in one write. */
struct buf *session_output(struct session *s);
/* When session_tick() wants to be called; UINT64_MAX = never. */
uint64_t session_deadline(const struct session *s);
/* Whether an answer from the server is outstanding (beyond IDLE's). */
bool session_reply_due(const struct session *s);

#endif
