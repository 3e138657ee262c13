/*
 * mail: one message on its way: where it lies, what the server said of it, the file it is in.
 * Never knows bytes of any protocol.
 */
#ifndef MAILCALL_WATCH_MAIL_H
#define MAILCALL_WATCH_MAIL_H

#include "base/list.h"
#include "job/spool.h"
#include "rule/meta.h"
#include "watch/ledger.h"

struct mail {
    struct list link;          /* the daemon's */
    struct ledger_entry entry; /* the daemon's: open until the message is dealt with */
    struct ledger *ledger;     /* the daemon's */
    unsigned retrying;         /* the daemon's: tasks that wait for another attempt */
    bool left;                 /* the daemon's: a hook of it was interrupted */
    uint64_t id;               /* the daemon's: ascending in order of arrival */
    struct meta meta;          /* its names are borrowed from the watch, which outlives the mail */
    const struct plan *plan;   /* the mailbox's rules, borrowed from the watch likewise */
    struct spool_file *file;   /* the message, or its header block */
    struct spool_file *header; /* the header block, where a hook wants only that */
    bool whole;                /* file is the whole message */
    int sort_fd;               /* the daemon's, while the sorter has it */
};

void mail_free(struct mail *m); /* removes its files; NULL is fine */
/* A descriptor with the whole file, or with the header block only, at offset 0; the caller closes.
 * -1 with *e. */
int mail_open(const struct mail *m, struct err *e);
int mail_open_header(struct mail *m, struct spool *spool, struct err *e);
/* The path for MAILCALL_FILE: "" when only the header block was fetched. */
const char *mail_path(const struct mail *m);

#endif
