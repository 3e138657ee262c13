/*
 * journal: what survives us: how far each mailbox was dealt with, and the jobs that are owed; the
 * only user of SQLite.
 * Never knows what a message is, nor what is written in a letter.
 *
 * One connection, exclusive, WAL. A commit costs no disk flush: it survives any crash of ours, and
 * a power cut can only take the last commits, together and in order, which makes mailcall look at a
 * message again. Two records are flushed, because losing them would move "now": a mailbox's first
 * baseline and a new epoch.
 *
 * All that changes waits in memory for journal_commit(), which writes it in one transaction; so
 * nothing but reading and committing can fail. Reading tells what is committed and what waits.
 */
#ifndef MAILCALL_JOB_JOURNAL_H
#define MAILCALL_JOB_JOURNAL_H

#include "base/digest.h"
#include "base/err.h"
#include "base/span.h"
#include "job/cursor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal;

/* --- opening --- */

/* Opens, or makes, folder/journal.sqlite (the folder 0700, the files in it 0600). NULL with *e:
 * ERR_AGAIN "already running (pid N)" when another process has it; ERR_CREATE, ERR_IO for the file
 * system; ERR_CONFIG for a damaged file, one of a later version or of another program, with what to
 * do: it is never replaced nor changed. A file of an earlier version is brought up to this one, in
 * one transaction. */
struct journal *journal_open(const char *folder, struct err *e);
/* The same for a moment only: another that comes meanwhile waits for us up to two seconds, as we
 * wait for one who is here as briefly. */
struct journal *journal_open_briefly(const char *folder, struct err *e);
void journal_close(struct journal *j);               /* commits nothing; NULL is fine */
const char *journal_folder(const struct journal *j); /* absolute, links resolved; borrowed */

/* --- mailboxes --- */

/* Fills *c, whatever was in it; the caller frees it. A mailbox without a baseline is not an error
 * but a cursor that is not known. */
int journal_load(
    struct journal *j, const char *account, const char *mailbox, struct cursor *c, struct err *e);

/* A first baseline or a new epoch: *c (copied; `known` and `taken` are not looked at) replaces all
 * that was known of the mailbox's UIDs, commits with what else waits, and is on the disk when it
 * returns. What was seen in it (below) stays, so its `latest` never goes back. On failure it waits
 * too, and the commit that takes it up is flushed. */
int journal_baseline(struct journal *j, const char *account, const char *mailbox,
    const struct cursor *c, struct err *e);

/* The message is dealt with, and not wanted any more / every message up to mark is that is not
 * wanted. A mark never goes back. For a mailbox without a baseline neither means anything, and
 * nothing is recorded. */
void journal_take(struct journal *j, const char *account, const char *mailbox, uint32_t uid);
void journal_settle(struct journal *j, const char *account, const char *mailbox, uint32_t mark);

/* A message that was looked at, by what it says of itself: when a server renumbers a mailbox, those
 * seen before are told by it. */
enum { IDENTITY_SIZE = 16, SEEN_DAYS = 8 };
struct sighting {
    unsigned char identity[IDENTITY_SIZE];
    int64_t received; /* the server's date */
};
/* Kept for SEEN_DAYS behind the mailbox's latest; journal_tidy() drops the older. For a mailbox
 * without a baseline nothing is recorded. */
void journal_see(
    struct journal *j, const char *account, const char *mailbox, const struct sighting *s);
/* The mailbox is ours from an earlier moment on than its baseline said. */
void journal_began(struct journal *j, const char *account, const char *mailbox, int64_t begun);
/* Whether it was seen before the last journal_baseline(): 1, 0, or -1 with *e. Two alike between
 * two baselines are two messages. */
int journal_has_seen(struct journal *j, const char *account, const char *mailbox,
    const struct sighting *s, struct err *e);

/* --- jobs --- */

/* The table of what each means after a crash, and who may move it, opens journal.c. */
enum job_stage {
    STAGE_PLANNED = 1, /* nothing has run */
    STAGE_RUNNING,     /* its hook was started */
    STAGE_WAITING,     /* it failed for now: again when `due` */
    STAGE_RAN,         /* its hook has ended for good; `acted` of its actions are done */
    STAGE_DEAD,        /* it failed for good, and is kept to be looked at */
};

/* One job as it is kept. A text given as NULL comes back as "". */
enum { RECORD_WORD = 255 };
struct record {
    uint64_t id; /* given by journal_add(), at least 1; ascending in order of arrival */
    const char *account;
    const char *mailbox;
    uint32_t uidvalidity;
    uint32_t uid;
    const char *event;   /* its stable name, unique among the records; 1 to RECORD_WORD bytes */
    const char *rule;    /* the rule's name */
    const char *subject; /* for people, in lists */
    struct span letter;  /* opaque; "" for a message nobody could read */
    const char *file;    /* its message, as spool.h notes it: the name, "" for none, at most
                            RECORD_WORD bytes … */
    uint64_t file_size;  /* … and the rest */
    unsigned char file_digest[DIGEST_SIZE];
    bool file_is_whole; /* the message, not only its header block */

    enum job_stage stage;
    unsigned attempt;   /* begun so far */
    uint64_t batch;     /* those that run together share the leader's id; 0 = alone */
    int64_t due;        /* WAITING: ms since 1970 */
    int64_t since;      /* when it came to this stage, ms since 1970 */
    const char *result; /* RAN, WAITING, DEAD: how the last run ended: "ok", "fail", …; at most
                           RECORD_WORD bytes */
    int status;         /* likewise: exit status, or 128 + signal */
    unsigned acted;     /* RAN, DEAD: actions done */
    bool halfway;       /* RAN: half of the next one is done too: copied, not yet removed */
    struct span tail;   /* DEAD: the last output */
};

/* The id is set in the record and returned; everything is copied. 0 when a record that is not
 * settled, dead or not, has this event already: that one stays, and nothing is added. */
uint64_t journal_add(struct journal *j, struct record *r);
/* What stands below the empty line in struct record, for the record with this id; what stands above
 * never changes, but for the next. Here and below, id 0 is no record, and nothing happens. */
void journal_move(struct journal *j, const struct record *r);
/* Its message lies in another file by now. */
void journal_refile(struct journal *j, const struct record *r);
/* Settled: nothing is owed any more. */
void journal_drop(struct journal *j, uint64_t id);

/* Shows every record in order of id, those that are dead or the others; `each` may do anything but
 * call the journal, and gets spans and texts that are valid during the call. 0, or -1 with *e. */
int journal_each(struct journal *j, bool dead, void (*each)(void *arg, const struct record *r),
    void *arg, struct err *e);
unsigned journal_dead(const struct journal *j); /* how many are */
/* Whether one that is dead, and committed, has this file; true also when that cannot be read. */
bool journal_has_dead(struct journal *j, const char *file);

/* --- the turn --- */

/* One transaction for all that waits; nothing to do costs nothing. On failure (disk full,
 * read-only) -1 with *e, nothing of it is recorded, and it all waits for the next call. */
int journal_commit(struct journal *j, struct err *e);
/* Moves the log into the database when it has grown, and drops what is too old: disk flushes, so
 * only when there is nothing better to do; `busy` says that there is, and then only a log that has
 * grown large is looked at. What fails is tried again by the next call. */
void journal_tidy(struct journal *j, bool busy);

#endif
