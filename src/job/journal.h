/*
 * journal: what survives us: how far each mailbox was dealt with; the only user of SQLite.
 * Never knows what a message is.
 *
 * One connection, exclusive, WAL. A commit costs no disk flush: it survives any crash of ours, and
 * a power cut can only take the last commits, together and in order, which makes mailcall look at a
 * message again. Two records are flushed, because losing them would move "now": a mailbox's first
 * baseline and a new epoch.
 */
#ifndef MAILCALL_JOB_JOURNAL_H
#define MAILCALL_JOB_JOURNAL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal;

/* How far one mailbox was dealt with: every UID <= mark, and those in `taken` (ascending, all above
 * the mark). */
struct cursor {
    bool known;
    uint32_t uidvalidity;
    uint32_t mark;
    uint32_t *taken;
    size_t n_taken;
};
void cursor_free(struct cursor *c); /* empty afterwards */

/* Opens, or makes, folder/journal.sqlite (the folder 0700, the files in it 0600). NULL with *e:
 * ERR_AGAIN "already running (pid N)" when another process has it; ERR_CREATE, ERR_IO for the file
 * system; ERR_CONFIG for a damaged file, one of a later version or of another program, with what to
 * do: it is never replaced nor changed. */
struct journal *journal_open(const char *folder, struct err *e);
void journal_close(struct journal *j); /* commits nothing; NULL is fine */

/* Fills *c, whatever was in it, with what is committed and what waits; the caller frees it. A
 * mailbox without a baseline is not an error but a cursor that is not known. */
int journal_load(
    struct journal *j, const char *account, const char *mailbox, struct cursor *c, struct err *e);

/* A first baseline or a new epoch: replaces all that was known of the mailbox, commits with what
 * else waits, and is on the disk when it returns. On failure it waits too, and the commit that
 * takes it up is flushed. */
int journal_baseline(struct journal *j, const char *account, const char *mailbox,
    uint32_t uidvalidity, uint32_t mark, struct err *e);

/* The message is dealt with / every message up to mark is. Both wait, in memory, for the commit; so
 * they cannot fail. A mark never goes back. For a mailbox without a baseline neither means
 * anything, and nothing is recorded. */
void journal_take(struct journal *j, const char *account, const char *mailbox, uint32_t uid);
void journal_settle(struct journal *j, const char *account, const char *mailbox, uint32_t mark);

/* One transaction for all that waits; nothing to do costs nothing. On failure (disk full,
 * read-only) -1 with *e, nothing of it is recorded, and it all waits for the next call. */
int journal_commit(struct journal *j, struct err *e);
/* Moves the log into the database when it has grown: disk flushes, so only when there is nothing
 * better to do. What fails is tried again by the next call. */
void journal_tidy(struct journal *j);

#endif
