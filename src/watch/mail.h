/*
 * mail: one message on its way to its letters: where it lies, what the server said of it, the file
 * it is in.
 * Never knows bytes of any protocol.
 */
#ifndef MAILCALL_WATCH_MAIL_H
#define MAILCALL_WATCH_MAIL_H

#include "base/list.h"
#include "job/spool.h"
#include "rule/meta.h"
#include "sort/sorter.h"
#include "watch/ledger.h"

struct mail {
    struct list link;  /* the intake's: to be handed to the sorter */
    struct list order; /* the intake's: handed to it, and not done with */
    enum mail_state { MAIL_NEW, MAIL_SORTING, MAIL_SORTED, MAIL_INCOMPLETE } state;
    struct sort_answer *answer; /* MAIL_SORTED */
    struct ledger_entry entry;  /* the daemon's: open until the message is dealt with */
    struct watched *box;        /* the daemon's */
    uint64_t id;                /* the daemon's: ascending in order of arrival */
    struct meta meta;           /* its names are borrowed from the watch, which outlives the mail */
    const struct plan *plan;    /* the mailbox's rules, borrowed from the watch likewise */
    struct spool_file *file;    /* the message, or its header block */
    bool whole;                 /* file is the whole message */
    bool wanted;                /* it lay below the mark: see mailbox.h */
    int sort_fd;                /* the intake's, while the sorter has it, as is the next */
    int folder_fd;              /* -1: its attachments are not wanted */
};

void mail_free(struct mail *m); /* removes its file, unless somebody took it; NULL is fine */
/* The path for MAILCALL_FILE: "" when only the header block was fetched. */
const char *mail_path(const struct mail *m);

#endif
