/*
 * mailbox: what we have taken from one mailbox so far; the only arithmetic about UIDs.
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 *
 * Truth is (UIDVALIDITY, mark): every UID <= mark was taken or lay there before us, except for
 * those that are wanted all the same. Above the mark stands a set of UIDs already taken in a pass
 * that has not ended, since servers answer in any order. EXISTS, RECENT and UIDNEXT are hints and
 * never counted with. Outlives its connections.
 */
#ifndef MAILCALL_IMAP_MAILBOX_H
#define MAILCALL_IMAP_MAILBOX_H

#include "base/buf.h"
#include "base/uidset.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAILBOX_RANGES = 64 };

struct mailbox {
    bool known;           /* a baseline exists: uidvalidity and mark mean something */
    uint32_t uidvalidity; /* 0: the server does not tell it */
    uint32_t mark;
    struct uidset taken;  /* UIDs > mark */
    struct uidset wanted; /* UIDs <= mark, or taken, that are wanted all the same */
    struct uidset asked;  /* of the wanted: what the last request named and has not come */
    struct uidset whole; /* of the wanted: those whose whole message is wanted, wherever the session
                            fetches headers only; they are asked for by a request of their own */
    struct uidset asked_whole; /* of `whole`, as `asked`, which holds none of them */
    struct uidset absent;      /* of the wanted: what passes that ended well asked for in vain. Seen
                                  after SESSION_CHECKED: the server has them no longer, and the owner
                                  forgets them. Those he does not are asked for again at a later look,
                                  when all others have been asked for. */
    struct uidset absent_whole; /* those of `whole` among them */
};

enum mailbox_opening {
    MAILBOX_SAME,      /* go on behind the mark */
    MAILBOX_FIRST,     /* first time ever: the mark stands now at uidnext - 1, or as the session was
                          told to begin */
    MAILBOX_NEW_EPOCH, /* UIDVALIDITY changed or is not told, or UIDNEXT went back: mark set anew
                          likewise, and what may be new below it is wanted */
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
/* How it is to be opened. Changes nothing: until what may be new is known for certain, and
 * mailbox_baseline() called, a lost connection begins anew. */
enum mailbox_opening mailbox_open(const struct mailbox *m, const struct mailbox_facts *facts);
/* Known from here on, with nothing taken and nothing wanted. */
void mailbox_baseline(struct mailbox *m, uint32_t uidvalidity, uint32_t mark);
/* These are wanted although the mark has passed them, or they were taken: in a new epoch, at a
 * first start that looks back, or because what was fetched got lost. UIDs above the mark are wanted
 * anyway. */
void mailbox_want(struct mailbox *m, uint32_t uid);
/* The same, and its whole message: its header block told that more is needed, or it was lost. Then
 * session_want(). */
void mailbox_want_whole(struct mailbox *m, uint32_t uid);
bool mailbox_is_wanted(const struct mailbox *m, uint32_t uid); /* by one of the two */
bool mailbox_is_wanted_whole(const struct mailbox *m, uint32_t uid);
/* It is not any more: the server has it no longer. */
void mailbox_forget(struct mailbox *m, uint32_t uid);
/* Whether a message with this UID has not been taken; or is wanted. */
bool mailbox_is_new(const struct mailbox *m, uint32_t uid);
void mailbox_take(struct mailbox *m, uint32_t uid);
/* Appends the sequence set to ask for: from the mark to `last`, around what was taken in a pass
 * that was cut off, and before that what is wanted, though not whole, as much as there is room for.
 * So connections that never live long get on all the same. At most MAILBOX_RANGES ranges; the last
 * of them may then hold some that were taken. */
void mailbox_missing(struct mailbox *m, const char *last, struct buf *out);
/* Appends the set of those wanted whole to ask for, MAILBOX_RANGES ranges at most. There is one. */
void mailbox_missing_whole(struct mailbox *m, struct buf *out);
/* The pass over everything above the mark ended well: the mark moves over what was taken, and what
 * was asked for and did not come is absent. */
void mailbox_settle(struct mailbox *m);
/* The pass over what is wanted whole did: what did not come is absent. */
void mailbox_settle_whole(struct mailbox *m);
/* The request, or the one for whole messages, proves nothing about what it named. */
void mailbox_unask(struct mailbox *m);
void mailbox_unask_whole(struct mailbox *m);
/* Whether something is wanted that no pass has asked for yet; the same of whole messages. */
bool mailbox_wants_more(const struct mailbox *m);
bool mailbox_wants_whole(const struct mailbox *m);

#endif
