/*
 * watched: one mailbox at run time: its rules, how far it is dealt with, and its watch.
 * Never knows bytes of any protocol, or the other mailboxes.
 */
#ifndef MAILCALL_WATCH_WATCHED_H
#define MAILCALL_WATCH_WATCHED_H

#include "rule/plan.h"
#include "watch/ledger.h"
#include "watch/watch.h"

struct watched {
    void *owner; /* the daemon */
    struct post *post;
    const char *account; /* borrowed, as is the next */
    const char *name;
    const struct strv *trusted; /* likewise */
    struct plan plan;
    struct mailbox progress; /* what the server was asked for already */
    struct ledger ledger;    /* what is dealt with */
    struct watch *watch;
    struct list revived; /* messages that somebody wants read once more */
    uint64_t blocked; /* the intake's: which of its rounds found an earlier message not done with */
    bool stopped;
    bool looked; /* a pass has ended, or will not: the server cannot be had */
};

/* 0, or -1 with *e: the journal cannot be read. The watch comes later. */
int watched_init(struct watched *b, struct journal *j, const char *account, const char *name,
    const struct ruleset *rules, struct err *e);
void watched_clear(struct watched *b);

/* The message could not be read, and is to be tried again: this record stands for it until then. */
void watched_revive(struct watched *b, const struct record *r);
bool watched_is_revived(const struct watched *b, uint32_t uid);
/* It was read: its record is settled. */
void watched_read(struct watched *b, uint32_t uid);
/* It is gone / all are, for the mailbox was numbered anew: their records are dead once more. */
void watched_gone(struct watched *b, uint32_t uid);
void watched_renumbered(struct watched *b);
/* A record without a letter is dead once more. */
void watched_bury(struct journal *j, const struct record *r);

#endif
