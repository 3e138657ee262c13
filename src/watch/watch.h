/*
 * watch: one mailbox watched: connects, pumps bytes between stream and session, spools what comes,
 * waits and connects again.
 * Never knows bytes of any protocol, rules, or hooks.
 */
#ifndef MAILCALL_WATCH_WATCH_H
#define MAILCALL_WATCH_WATCH_H

#include "base/err.h"
#include "base/list.h"
#include "config/config.h"
#include "imap/session.h"
#include "net/tls.h"
#include "rule/plan.h"
#include "watch/credential.h"
#include "watch/mail.h"

struct watch;

enum watch_state {
    WATCH_UP,   /* the server accepted IDLE, or polling has begun */
    WATCH_DOWN, /* not connected; will try again by itself */
    WATCH_DEAD, /* not connected; will not try again: the login was refused */
};

/* A change to a message in the mailbox, wished for; embedded in its owner. The act's text stays the
 * owner's too. */
struct watch_errand {
    struct list link;    /* the watch's */
    struct watch *watch; /* the watch's */
    struct act act;
    /* A MOVE has been copied and is to be removed: note it before bytes leave. */
    void (*on_copied)(void *arg);
    /* Once; why and gone as in session.h, SESSION_ACTED. */
    void (*on_done)(void *arg, const struct err *why, bool gone);
    void *arg;
};

struct watch_opts {
    struct loop *loop;
    const struct account *account;
    struct credential *credential; /* shared by the account's mailboxes */
    struct tls_trust *trust;
    struct spool *spool;
    const char *mailbox;      /* UTF-8 */
    struct mailbox *progress; /* what was taken from it; kept by the owner */
    const struct plan *plan;
    enum session_fetch fetch;
    bool writable;            /* changes will be wished for */
    enum session_first first; /* as in session.h, as are the next two */
    int64_t first_since;
    const int64_t *epoch_since;
    struct list *dirty; /* watches with bytes to send put themselves on this list */
    /* The mailbox begins, or begins anew, where progress now stands. */
    void (*on_baseline)(void *arg, enum mailbox_opening how);
    /* A pass ended: all up to progress->mark has come through on_mail. */
    void (*on_checked)(void *arg);
    /* A new message, spooled; the callee's. Only queue it here. */
    void (*on_mail)(void *arg, struct mail *mail);
    /* The state changed; why is NULL when up. Only mark it here. False: do not try again. */
    bool (*on_state)(void *arg, enum watch_state state, const struct err *why);
    void *arg;
};

/* Everything in opts is borrowed for the watch's life. Connects in the next turn. */
struct watch *watch_new(const struct watch_opts *opts);
void watch_free(struct watch *w); /* closes at once; NULL is fine */

/* Writes what the session has to say and leaves the dirty list: the last thing of a turn. Where the
 * turn was not committed, what would destroy a message that was copied in it stays and waits. */
void watch_flush(struct watch *w, bool committed);
/* The watch behind a link of the dirty list. */
struct watch *watch_of_dirty(struct list *link);
/* Does it as soon as the mailbox is open, and again on the next connection when this one is lost in
 * the middle of it. */
void watch_ask(struct watch *w, struct watch_errand *e);
void watch_unask(struct watch_errand *e); /* never mind; harmless when it was not asked */
/* Whether the errand is being done: the server was asked, and can answer. */
bool watch_is_at(const struct watch_errand *e);
/* The mailbox has to be open for writing from now on. */
void watch_want_writable(struct watch *w);
bool watch_is_writable(const struct watch *w);
/* mailbox_want() or mailbox_want_whole() was called: this turn's flush asks for it. */
void watch_want(struct watch *w);
/* Looks for no new mail while held. */
void watch_hold(struct watch *w, bool held);
/* Takes no new mail from now on and says good-bye to the server. */
void watch_stop(struct watch *w);
/* Looks for mail now, or connects now. */
void watch_check(struct watch *w);
const char *watch_name(const struct watch *w); /* "account/mailbox", for the log */

#endif
