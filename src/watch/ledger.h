/*
 * ledger: how far one mailbox is dealt with, as the journal should know it.
 * Never knows bytes of any protocol, or what dealing with a message means.
 *
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
};

struct ledger {
    struct journal *journal; /* NULL: nothing is kept, and every call below does nothing */
    const char *account;     /* borrowed, as is the next */
    const char *mailbox;
    uint32_t uidvalidity;
    uint32_t checked; /* a pass over everything up to here ended */
    uint32_t settled; /* what the journal was told */
    uint32_t ceiling; /* the mark stays at or below: a message above was left */
    struct list open; /* entries, in order of arrival */
};

void ledger_init(
    struct ledger *l, struct journal *journal, const char *account, const char *mailbox);
/* Puts what the journal knows into the mailbox. 0, or -1 with *e. */
int ledger_restore(struct ledger *l, struct mailbox *m, struct err *e);
/* The mailbox begins, or begins anew, at this mark: on the disk when this returns; -1 with *e when
 * it has to wait for a later commit. */
int ledger_baseline(struct ledger *l, uint32_t uidvalidity, uint32_t mark, struct err *e);
/* The message arrived / is dealt with. An entry never closed is never passed. */
void ledger_open(struct ledger *l, struct ledger_entry *entry, uint32_t uid);
void ledger_close(struct ledger *l, struct ledger_entry *entry);
/* Forgets the entry without dealing with its message: it is asked for again after a restart. */
void ledger_leave(struct ledger *l, struct ledger_entry *entry);
/* A pass ended: every message up to mark has arrived. */
void ledger_checked(struct ledger *l, uint32_t mark);

#endif
