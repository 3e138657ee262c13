/*
 * mailbox: what we have taken from one mailbox so far; the only arithmetic about UIDs.
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 *
 * Truth is (UIDVALIDITY, mark): every UID <= mark was taken or lay there before us. Above the mark
 * stands a set of UIDs already taken in a pass that has not ended, since servers answer in any
 * order. EXISTS, RECENT and UIDNEXT are hints and never counted with. Outlives its connections.
 */
#ifndef MAILCALL_IMAP_MAILBOX_H
#define MAILCALL_IMAP_MAILBOX_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAILBOX_RANGES = 64 };

struct mailbox {
    bool known; /* a baseline exists: uidvalidity and mark mean something */
    uint32_t uidvalidity;
    uint32_t mark;
    uint32_t *taken; /* UIDs > mark, ascending */
    size_t n_taken;
    size_t cap_taken;
};

enum mailbox_opening {
    MAILBOX_SAME,      /* go on behind the mark */
    MAILBOX_FIRST,     /* first time ever: the mark stands now at uidnext - 1 */
    MAILBOX_NEW_EPOCH, /* UIDVALIDITY changed, or UIDNEXT went back: mark set anew likewise */
    MAILBOX_ASK,       /* as one of the two above, but the server did not tell UIDNEXT: find the
                          highest UID, then mailbox_baseline() */
};

/* What an EXAMINE or SELECT told; 0 = not told. */
struct mailbox_facts {
    uint32_t uidvalidity;
    uint32_t uidnext;
    uint32_t exists;
    bool read_only;
};

void mailbox_init(struct mailbox *m);
void mailbox_clear(struct mailbox *m); /* frees; as after init */
/* What was known when we ended: `taken` holds n UIDs above the mark, in any order. */
void mailbox_restore(
    struct mailbox *m, uint32_t uidvalidity, uint32_t mark, const uint32_t *taken, size_t n);
enum mailbox_opening mailbox_open(struct mailbox *m, const struct mailbox_facts *facts);
void mailbox_baseline(struct mailbox *m, uint32_t uidvalidity, uint32_t mark);
/* Whether a message with this UID has not been taken. */
bool mailbox_is_new(const struct mailbox *m, uint32_t uid);
void mailbox_take(struct mailbox *m, uint32_t uid);
/* Appends the sequence set to ask for: from the mark to `last`, around what was taken in a pass
 * that was cut off. So connections that never live long get on all the same. At most MAILBOX_RANGES
 * ranges; the last of them may then hold some that were taken. */
void mailbox_missing(const struct mailbox *m, const char *last, struct buf *out);
/* The pass over everything above the mark ended well: the mark moves over what was taken. */
void mailbox_settle(struct mailbox *m);

#endif
