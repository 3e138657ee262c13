/*
 * told: what the server has told about itself and about the mailbox.
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_TOLD_H
#define MAILCALL_IMAP_TOLD_H

#include "base/buf.h"
#include "imap/mailbox.h"
#include "imap/reply.h"

struct told {
    unsigned caps; /* all that were ever told: some servers hide a few before or after the login */
    bool caps_known;
    bool syncs;     /* its name is one of those that report at the start of IDLE what came before */
    char separator; /* between the levels of a mailbox name */
    struct mailbox_facts facts;
    bool exists_told;
    bool permanent_told;
    struct buf permanent; /* the flags the mailbox keeps, as the server lists them */
};

void told_init(struct told *t);
void told_free(struct told *t); /* as after init */
/* The words of a greeting or of an ID. */
void told_name(struct told *t, struct span words);
/* A response code; those that concern nobody here are passed over. */
void told_code(struct told *t, struct span code);
/* Untagged data; likewise. */
void told_data(struct told *t, const struct reply *r);
/* An EXAMINE or SELECT goes out: what is told from now on is about its mailbox. */
void told_new_mailbox(struct told *t);
/* Whether the mailbox keeps this flag, a system flag or a keyword, as far as was told. */
bool told_keeps(const struct told *t, const char *flag);

#endif
