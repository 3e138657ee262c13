/*
 * ledger: how far one mailbox is dealt with, as the journal should know it.
 * Never knows bytes of any protocol, or what dealing with a message means.
 *
 * A message is dealt with when its letters are written: that goes with them, in one transaction.
 * The journal's mark never passes a message that is still open, so whatever ends us, the server is
 * asked for that message again.
 */
#ifndef MAILCALL_WATCH_LEDGER_H
#define MAILCALL_WATCH_LEDGER_H

#include "base/list.h"
#include "imap/mailbox.h"
#include "job/journal.h"

/* Embedded in each message that is not dealt with yet. */
struct ledger_entry {
    struct list link;
    uint32_t uidvalidity;
    uint32_t uid;
    bool wanted; /* it lay below the mark */
};

struct ledger {
    struct journal *journal; /* NULL: nothing is kept, and every call below does nothing */
    const char *account;     /* borrowed, as is the next */
    const char *mailbox;
    uint32_t uidvalidity;
    uint32_t checked; /* a pass over everything up to here ended */
    uint32_t settled; /* what the journal was told */
    uint32_t ceiling; /* the mark stays at or below: a message above was left */
    int64_t begun;    /* as in struct cursor, as are the next two */
    int64_t floor;
    int64_t latest;
    int64_t epoch_since; /* what a new epoch may bring was received at or after this; 0 = nothing */
    bool wanting;        /* what the last baseline wanted has not all come */
    struct list open;    /* entries, in order of arrival */
};

void ledger_init(
    struct ledger *l, struct journal *journal, const char *account, const char *mailbox);
/* Puts what the journal knows into the mailbox. A beginning that lies in the future, by `now`, was
 * made by a clock that was wrong. 0, or -1 with *e. */
int ledger_restore(struct ledger *l, struct mailbox *m, int64_t now, struct err *e);
/* The mailbox begins, or begins anew, as m says: on the disk when this returns; -1 with *e when it
 * has to wait for a later commit. The first time `first` says when it began, and what is too old;
 * NULL later. */
struct ledger_first {
    int64_t begun; /* what the server received before is not ours, should it come again */
    int64_t floor; /* what is wanted and older than this is not ours; 0 = all of it is */
};
int ledger_baseline(
    struct ledger *l, const struct mailbox *m, const struct ledger_first *first, struct err *e);
/* The message arrived / is dealt with. An entry never closed is never passed. */
void ledger_open(struct ledger *l, struct ledger_entry *entry, uint32_t uid, bool wanted);
void ledger_close(struct ledger *l, struct ledger_entry *entry);
/* Forgets the entry without dealing with its message: it is asked for again after a restart. */
void ledger_leave(struct ledger *l, struct ledger_entry *entry);
/* A message that was wanted is not there any more. */
void ledger_gone(struct ledger *l, uint32_t uid);
/* A pass ended: every message up to m's mark has arrived. */
void ledger_checked(struct ledger *l, const struct mailbox *m);

/* A message that was wanted, and is none of ours: older than the floor, or seen before the mailbox
 * was renumbered. Its `received` is 0 if the server told no date. */
bool ledger_is_old(struct ledger *l, const struct sighting *s);
/* The message was looked at. A date in the future counts as now. One that came while we watched,
 * and is a little older than our beginning, tells that the server's clock is behind ours. */
void ledger_see(struct ledger *l, const struct sighting *s, bool wanted, int64_t now);

#endif
