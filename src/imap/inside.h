/*
 * inside: what a session consists of, for session.c and steps.c alone; and how it speaks and ends.
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_INSIDE_H
#define MAILCALL_IMAP_INSIDE_H

#include "imap/acting.h"
#include "imap/events.h"
#include "imap/idle.h"
#include "imap/login.h"
#include "imap/opening.h"
#include "imap/pace.h"
#include "imap/pass.h"
#include "imap/session.h"
#include "imap/told.h"
#include "imap/wire.h"

enum step {
    GREETING,
    CAPABILITY,
    STARTTLS,
    LOGIN,
    ID,
    SEPARATOR, /* between the levels of a mailbox name */
    EXAMINE,
    SELECT,  /* where we write, and where EXAMINE did not tell UIDVALIDITY */
    HIGHEST, /* UID, where that did not tell UIDNEXT */
    SEARCH,  /* for what lay there before us and is wanted */
    STORE,   /* this and the next three in the order of enum acting_command */
    COPY,
    MOVE,
    EXPUNGE,
    NOOP, /* where we poll, or are held */
    FETCH,
    WHOLE, /* the messages wanted whole */
    IDLE,
    DONE, /* what an IDLE turns into when we end it */
    LOGOUT,
};

typedef int step_write(struct session *s, struct command *c, struct err *e);
typedef void step_answer(struct session *s, const struct reply *r);

enum step_flags {
    ALONE = 1 << 0,   /* nothing else may be under way */
    PROGRESS = 1 << 1 /* the wait begins anew with every byte */
};

struct step_row {
    const char *verb;  /* what to send … */
    step_write *write; /* … and its arguments */
    uint64_t wait_s;   /* for the answer */
    unsigned flags;
    step_answer *ok;    /* what OK means */
    step_answer *no;    /* what NO means */
    step_answer *bad;   /* what BAD means */
    enum err_kind kind; /* of the end, where that is `refused` */
};

struct session {
    struct session_opts opts;
    struct session_quirks *quirks;
    struct mailbox *mailbox;
    uint64_t now;

    struct wire wire;
    struct events events;
    enum step settling;         /* the one whose answer is being read … */
    const struct step_row *row; /* … its row in the table … */
    unsigned settling_tag;      /* … and what it was sent as */
    uint64_t busy_until;        /* the end of all patience, or PACE_NEVER */
    bool pushed_literal;        /* the login held a literal sent without asking */

    bool clear;     /* TLS is owed before anything that matters */
    bool handshake; /* STARTTLS was agreed upon */
    struct told told;
    struct login login;
    bool wants_secret;
    bool inside;      /* logged in */
    uint32_t highest; /* UID heard of since it was asked for */
    struct opening opening;

    bool open; /* the mailbox is */
    bool polling;
    struct idle idle;
    struct pace pace;
    struct pass pass;
    bool all_well;     /* so the last look ended */
    unsigned vanished; /* looks in a row that missed messages gone by then */
    bool whole_due;    /* what is wanted whole needs no look to be asked for */
    struct buf whole;  /* the set of those about to be asked for */
    struct acting acting;
};

/* The end, for this reason; secrets are wiped, and nothing is read or sent any more. */
void inside_lose_by(struct session *s, const struct err *e, uint64_t retry_after_ms);
void inside_lose(struct session *s, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The server said no in so many words. */
void inside_lose_refused(
    struct session *s, enum err_kind kind, const char *what, struct span words);
/* It lost, or did not understand, what stood behind DONE: the next connection goes step by step. */
void inside_blame_pipelining(struct session *s, const char *why);
/* To be sent when the steps before it allow. */
void inside_plan(struct session *s, enum step step);
/* Whether the mailbox's name has to be written with the server's separator. */
bool inside_has_levels(const struct session *s);

#endif
