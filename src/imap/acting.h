/*
 * acting: the acts a session was given, and how far each of them has got: which command it takes
 * next, and what the answer means (RFC 3501 section 6.4, RFC 4315 UIDPLUS, RFC 6851 MOVE).
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_ACTING_H
#define MAILCALL_IMAP_ACTING_H

#include "base/err.h"
#include "imap/act.h"
#include "imap/command.h"
#include "imap/mailbox.h"
#include "imap/reply.h"
#include "imap/told.h"

enum { ACTING_AT_ONCE = 8 };

enum acting_command { ACTING_STORE, ACTING_COPY, ACTING_MOVE, ACTING_EXPUNGE, ACTING_NOTHING };

/* All zero but for its borrowed pointers is one without acts. */
struct acting {
    struct acting_one {
        const struct act *act;
        const enum acting_command *next; /* of the commands it takes; NULL: not looked at yet */
        enum acting_state { ACTING_WAITS, ACTING_PLANNED, ACTING_SENT } state;
        unsigned tag; /* SENT, else 0 */
    } * v;            /* in the order they came */
    size_t n;
    size_t cap;
    bool behind_done; /* the last of the commands went in one write with DONE */
    bool answered;    /* … and one at least was answered */
    bool left_marked; /* a message stays marked \Deleted, since the server has no UID EXPUNGE */
    const struct told *told;
    const struct mailbox *mailbox;
};

/* What an answer has brought about. */
struct acting_outcome {
    const struct act *act;
    bool copied;          /* one half of it, the copy, is made */
    bool ended;           /* it is done */
    bool gone;            /* … because its message is no longer there */
    enum err_kind failed; /* it is over and not done */
};

void acting_add(struct acting *a, const struct act *act);
/* Takes out an act that must not be tried here, and says why not; NULL if there is none. */
const struct act *acting_refused(struct acting *a, struct err *e);
/* Plans one more command that waits for nothing, in the order of the acts, and those of one message
 * one after the other; ACTING_NOTHING if there is none, or enough are planned. */
enum acting_command acting_plan(struct acting *a);
/* Writes what is planned first, into a command begun with this tag. */
int acting_write(
    struct acting *a, struct command *c, unsigned tag, bool behind_done, struct err *e);
/* The answer to the command of this tag. */
void acting_settle(
    struct acting *a, unsigned tag, const struct reply *r, struct acting_outcome *outcome);
void acting_free(struct acting *a); /* without acts afterwards */

#endif
