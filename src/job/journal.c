/* SPDX-License-Identifier: ISC */
/* What a row means to the process that finds it after a crash:
 *
 *   mailbox  one watched mailbox and its epoch. Every UID <= mark is dealt with: never look at it
 *            again. No row: never seen, "now" is yet to be decided. Another UIDVALIDITY than the
 *            server's: that mailbox is gone, and the row means nothing for the new one.
 *   wanted   a UID that is not dealt with, whatever the mark says: deal with it.
 *   taken    a UID above its mailbox's mark that is dealt with as well: skip it. A UID above the
 *            mark without a row was begun or never seen, which is the same: deal with it (again).
 *   seen     a message that was looked at; once it is old, not a new one whatever number it has.
 *   job      something is owed for one message, by its stage:
 *
 *   stage    after a crash                                 who moves it, and where to
 *   planned  nothing has run: run it                       the queue: running
 *   running  its hook was interrupted, and may have done   the hook's end: ran, waiting, dead, or
 *            all of its work: run it again, attempt + 1    gone when nothing more is owed; an end
 *                                                          of ours that stopped it: planned
 *   waiting  it failed for now: run it when it is due,     the queue, when it is due: running
 *            attempt + 1
 *   ran      its hook is never run again; its actions      an action's end: ran, with one more
 *            from `acted` on are owed, of the next one     acted; the last one's: gone, or dead
 *            only the second half if it is halfway         after a failure; one that can never be
 *                                                          done: dead
 *   dead     nothing is owed                               a person: planned, or ran when only an
 *                                                          action had failed, or gone; age: gone
 *   (gone)   settled: there is no row                      nobody
 *
 * A row is written after what it says has become true, and `running` before: so a commit that is
 * lost repeats work and never drops it. A message's mark or UID and its jobs change in one commit.
 * What a turn changes is collected in memory (box.h, pending.h), and journal_commit() writes it in
 * one transaction; none is open between two calls, so a failed one loses nothing.
 *
 * No flush in a commit: synchronous=NORMAL, and checkpoints only when tidying and closing. The one
 * flush SQLite still makes, for the header of a log that begins anew, is had by begin_log().
 * One process, one connection: the lock on folder/lock sees to it, and locking_mode=EXCLUSIVE keeps
 * the index of the log in memory instead of a file.
 *
 * A file that is not as we left it is refused before the first byte of it is changed. */
#include "job/journal.h"

#include "base/list.h"
#include "base/mem.h"
#include "job/box.h"
#include "job/pending.h"
#include "sys/folder.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DATABASE "journal.sqlite"

#define FORMAT    2          /* PRAGMA user_version */
#define OUR_FILES 0x4d63616c /* PRAGMA application_id: "Mcal" */

#define AS_TEXT(n)    AS_TEXT_OF(n)
#define AS_TEXT_OF(n) #n
#define STAMP_FORMAT  "PRAGMA user_version = " AS_TEXT(FORMAT)
#define WHAT_TO_DO    "restore " DATABASE "* from a backup, or move them away to start at now"

enum {
    LOG_LIMIT = 1024, /* pages, 4 MB */
    LOG_LIMIT_BUSY = 16 * LOG_LIMIT,
    LOCK_WAIT_MS = 2000, /* for those who have it for a moment */
    LOCK_PAUSE_MS = 10,
    PURGE_EVERY = 256, /* messages seen */
    PURGE_ROWS = 1000, /* at once */
    SEEN_SECONDS = SEEN_DAYS * 86400,
};

/* What makes format n + 1 of format n. A check here guards against damage: what this program can
 * be made to write passes all of them, for a change that cannot be recorded would keep all others
 * waiting for ever. A job's stage comes first in its row, and last its letter, the only long thing.
 * 2^62 ids are never given. */
static const char *const migrations[FORMAT] = {
    "CREATE TABLE mailbox ("
    " id INTEGER PRIMARY KEY,"
    " account TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " uidvalidity INTEGER NOT NULL CHECK (uidvalidity BETWEEN 0 AND 4294967295),"
    " mark INTEGER NOT NULL CHECK (mark BETWEEN 0 AND 4294967295),"
    " UNIQUE (account, name)"
    ") STRICT;"
    "CREATE TABLE taken ("
    " mailbox INTEGER NOT NULL REFERENCES mailbox ON DELETE CASCADE,"
    " uid INTEGER NOT NULL CHECK (uid BETWEEN 0 AND 4294967295),"
    " PRIMARY KEY (mailbox, uid)"
    ") STRICT, WITHOUT ROWID",

    "ALTER TABLE mailbox ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE mailbox ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE mailbox ADD COLUMN latest INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE wanted ("
    " mailbox INTEGER NOT NULL REFERENCES mailbox ON DELETE CASCADE,"
    " uid INTEGER NOT NULL CHECK (uid BETWEEN 0 AND 4294967295),"
    " PRIMARY KEY (mailbox, uid)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE seen ("
    " mailbox INTEGER NOT NULL REFERENCES mailbox ON DELETE CASCADE,"
    " identity BLOB NOT NULL CHECK (length(identity) = 16),"
    " old INTEGER NOT NULL CHECK (old IN (0, 1)),"
    " received INTEGER NOT NULL,"
    " PRIMARY KEY (mailbox, identity)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX seen_by_age ON seen (mailbox, received);"
    "CREATE TABLE job ("
    " id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 4611686018427387904),"
    " stage INTEGER NOT NULL CHECK (stage BETWEEN 1 AND 5),"
    " attempt INTEGER NOT NULL CHECK (attempt BETWEEN 0 AND 4294967295),"
    " batch INTEGER NOT NULL CHECK (batch BETWEEN 0 AND 4611686018427387904),"
    " due INTEGER NOT NULL,"
    " since INTEGER NOT NULL,"
    " status INTEGER NOT NULL CHECK (status BETWEEN -2147483648 AND 2147483647),"
    " acted INTEGER NOT NULL CHECK (acted BETWEEN 0 AND 4294967295),"
    " halfway INTEGER NOT NULL CHECK (halfway IN (0, 1)),"
    " result TEXT NOT NULL CHECK (length(result) <= 255),"
    " tail BLOB NOT NULL,"
    " file TEXT NOT NULL CHECK (length(file) <= 255),"
    " file_size INTEGER NOT NULL CHECK (file_size >= 0),"
    " file_digest BLOB NOT NULL CHECK (length(file_digest) = 32),"
    " file_is_whole INTEGER NOT NULL CHECK (file_is_whole IN (0, 1)),"
    " uidvalidity INTEGER NOT NULL CHECK (uidvalidity BETWEEN 0 AND 4294967295),"
    " uid INTEGER NOT NULL CHECK (uid BETWEEN 0 AND 4294967295),"
    " event TEXT NOT NULL UNIQUE CHECK (length(event) BETWEEN 1 AND 255),"
    " account TEXT NOT NULL,"
    " mailbox TEXT NOT NULL,"
    " rule TEXT NOT NULL,"
    " subject TEXT NOT NULL,"
    " letter BLOB NOT NULL"
    ") STRICT;"
    "CREATE INDEX dead_files ON job (file) WHERE stage = 5",
};

/* Of a mailbox: ?1 its row. Of a name: ?1 account, ?2 mailbox. Of a job: ?1 to ?23 as the columns
 * of its table, whichever of them are used. */
enum query {
    BEGIN,
    COMMIT,
    ROLLBACK,
    FIND,
    LIST_TAKEN,
    LIST_WANTED,
    HAS_SEEN,
    BASELINE,
    SETTLE,
    BEGAN,
    TAKE,
    TAKE_WANTED,
    FORGET_TAKEN,
    FORGET_WANTED,
    WANT,
    AGE_SEEN,
    SEE,
    FIND_OLD,
    PURGE,
    FIND_EVENT,
    LIST_JOBS,
    ADD,
    MOVE,
    REFILE,
    DROP,
    HAS_DEAD,
    N_QUERIES
};

#define JOB_COLUMNS                                                                            \
    "id, stage, attempt, batch, due, since, status, acted, halfway, result, tail, file, "      \
    "file_size, file_digest, file_is_whole, uidvalidity, uid, event, account, mailbox, rule, " \
    "subject, letter"

static const char *const queries[N_QUERIES] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [FIND] = ("SELECT id, uidvalidity, mark, begun, floor, max(latest, ifnull("
              "(SELECT max(received) FROM seen WHERE seen.mailbox = mailbox.id), latest))"
              " FROM mailbox WHERE account = ?1 AND name = ?2"),
    [LIST_TAKEN] = "SELECT uid FROM taken WHERE mailbox = ?1 ORDER BY uid",
    [LIST_WANTED] = "SELECT uid FROM wanted WHERE mailbox = ?1 ORDER BY uid",
    [HAS_SEEN] = ("SELECT 1 FROM seen WHERE mailbox = ?1 AND identity = ?2"
                  " AND (old = 1 OR ?3 = 1)"),
    [BASELINE] =
        ("INSERT INTO mailbox (account, name, uidvalidity, mark, begun, floor, latest)"
         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (account, name) DO UPDATE"
         " SET uidvalidity = excluded.uidvalidity, mark = excluded.mark, begun = excluded.begun,"
         " floor = excluded.floor, latest = max(latest, excluded.latest)"),
    [SETTLE] = "UPDATE mailbox SET mark = ?2 WHERE id = ?1 AND mark < ?2",
    [BEGAN] = "UPDATE mailbox SET begun = ?2 WHERE id = ?1 AND begun > ?2",
    [TAKE] = ("INSERT OR IGNORE INTO taken (mailbox, uid)"
              " SELECT id, ?2 FROM mailbox WHERE id = ?1 AND mark < ?2"),
    [TAKE_WANTED] = "DELETE FROM wanted WHERE mailbox = ?1 AND uid = ?2",
    [FORGET_TAKEN] = "DELETE FROM taken WHERE mailbox = ?1 AND uid <= ?2",
    [FORGET_WANTED] = "DELETE FROM wanted WHERE mailbox = ?1",
    [WANT] = "INSERT OR IGNORE INTO wanted (mailbox, uid) VALUES (?1, ?2)",
    [AGE_SEEN] = "UPDATE seen SET old = 1 WHERE mailbox = ?1 AND old = 0",
    [SEE] = ("INSERT INTO seen (mailbox, identity, old, received) VALUES (?1, ?2, ?3, ?4)"
             " ON CONFLICT (mailbox, identity) DO UPDATE"
             " SET received = excluded.received WHERE received < excluded.received"),
    [FIND_OLD] = ("SELECT id, horizon FROM (SELECT id, max(latest, ifnull("
                  "(SELECT max(received) FROM seen WHERE seen.mailbox = mailbox.id), latest))"
                  " - ?1 AS horizon FROM mailbox) AS m WHERE horizon >"
                  " (SELECT min(received) FROM seen WHERE seen.mailbox = m.id) LIMIT 1"),
    [PURGE] = ("DELETE FROM seen WHERE mailbox = ?1 AND received < ?2 AND received <= ifnull("
               "(SELECT received FROM seen WHERE mailbox = ?1 ORDER BY received LIMIT 1 OFFSET ?3),"
               " ?2)"),
    [FIND_EVENT] = "SELECT id FROM job WHERE event = ?1",
    [LIST_JOBS] = "SELECT " JOB_COLUMNS " FROM job WHERE ?1 OR (stage = 5) = ?2 ORDER BY id",
    [ADD] = ("INSERT INTO job (" JOB_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
             " ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)"
             " ON CONFLICT (event) DO NOTHING"),
    [MOVE] = ("UPDATE job SET stage = ?2, attempt = ?3, batch = ?4, due = ?5, since = ?6,"
              " status = ?7, acted = ?8, halfway = ?9, result = ?10, tail = ?11 WHERE id = ?1"),
    [REFILE] = ("UPDATE job SET file = ?12, file_size = ?13, file_digest = ?14,"
                " file_is_whole = ?15 WHERE id = ?1"),
    [DROP] = "DELETE FROM job WHERE id = ?1",
    [HAS_DEAD] = "SELECT 1 FROM job WHERE file = ?1 AND stage = 5 LIMIT 1",
};

struct journal {
    char *folder; /* absolute */
    char *path;   /* of the database */
    char *log;    /* of its log */
    int lock;     /* a descriptor, -1 without */
    sqlite3 *db;
    sqlite3_stmt *statements[N_QUERIES];
    int log_pages;
    unsigned unpurged; /* messages seen since the last purge */

    struct list boxes;   /* one for each mailbox ever asked for, the last one first */
    struct list waiting; /* those of them with changes */
    struct pending pending;
    bool flush;       /* a baseline is among the changes */
    bool has_wanted;  /* its table may have rows */
    uint64_t last_id; /* given to a job */
    uint64_t *dead;   /* ids, ascending; with what waits */
    size_t n_dead;
};

const char *
journal_folder(const struct journal *j)
{
    return j->folder;
}

/* --- what waits --- */

/* The mailbox's box; the changes of a turn are about few mailboxes. */
static struct box *
find_box(struct journal *j, const char *account, const char *mailbox)
{
    struct box *b = NULL;
    LIST_EACH(&j->boxes, link)
    {
        b = LIST_OWNER(link, struct box, link);
        if (strcmp(b->mailbox, mailbox) == 0 && strcmp(b->account, account) == 0)
            break;
        b = NULL;
    }
    if (b == NULL)
        b = box_new(account, mailbox);
    list_remove(&b->link);
    list_append(j->boxes.next, &b->link); /* before the first */
    return b;
}

/* The same, for a change. */
static struct box *
change_box(struct journal *j, const char *account, const char *mailbox)
{
    struct box *b = find_box(j, account, mailbox);
    if (list_empty(&b->waits))
        list_append(&j->waiting, &b->waits);
    return b;
}

static void
forget_changes(struct journal *j)
{
    pending_clear(&j->pending);
    j->flush = false;
    LIST_EACH(&j->waiting, link)
    {
        box_clear(LIST_OWNER(link, struct box, waits));
        list_remove(link);
    }
}

void
journal_take(struct journal *j, const char *account, const char *mailbox, uint32_t uid)
{
    box_take(change_box(j, account, mailbox), uid);
}

void
journal_settle(struct journal *j, const char *account, const char *mailbox, uint32_t mark)
{
    box_settle(change_box(j, account, mailbox), mark);
}

void
journal_began(struct journal *j, const char *account, const char *mailbox, int64_t begun)
{
    box_began(change_box(j, account, mailbox), begun);
}

void
journal_see(struct journal *j, const char *account, const char *mailbox, const struct sighting *s)
{
    box_see(change_box(j, account, mailbox), s);
}

/* Where id stands among the dead, or would stand. */
static size_t
place_of_dead(const struct journal *j, uint64_t id)
{
    size_t low = 0;
    size_t high = j->n_dead;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (j->dead[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void
bury(struct journal *j, uint64_t id)
{
    size_t at = place_of_dead(j, id);
    size_t n = j->n_dead;
    if (at < n && j->dead[at] == id)
        return;
    if ((n & (n - 1)) == 0) /* full: the room is the next power of two */
        j->dead = xreallocarray(j->dead, n > 0 ? 2 * n : 1, sizeof *j->dead);
    memmove(j->dead + at + 1, j->dead + at, (n - at) * sizeof *j->dead);
    j->dead[at] = id;
    j->n_dead++;
}

static void
exhume(struct journal *j, uint64_t id)
{
    size_t at = place_of_dead(j, id);
    if (at == j->n_dead || j->dead[at] != id)
        return;
    j->n_dead--;
    memmove(j->dead + at, j->dead + at + 1, (j->n_dead - at) * sizeof *j->dead);
}

unsigned
journal_dead(const struct journal *j)
{
    return (unsigned)j->n_dead;
}

/* What the checks of its table demand. */
static void
assert_word(const char *text)
{
    assert(text == NULL || strlen(text) <= RECORD_WORD);
}

static void
assert_state(const struct journal *j, const struct record *r)
{
    assert(r->stage >= STAGE_PLANNED && r->stage <= STAGE_DEAD);
    assert(r->batch <= j->last_id);
    assert_word(r->result);
}

static void
assert_file(const struct record *r)
{
    assert(r->file_size <= INT64_MAX);
    assert_word(r->file);
}

static bool
is_settled(const struct journal *j, uint64_t id)
{
    assert(id <= j->last_id);
    const struct change *c = pending_find(&j->pending, id);
    return id == 0 || (c != NULL && c->what == CHANGE_DROP);
}

static bool is_recorded(struct journal *j, const char *event);

uint64_t
journal_add(struct journal *j, struct record *r)
{
    assert_state(j, r);
    assert_file(r);
    assert(r->event[0] != '\0');
    assert_word(r->event);
    r->id = 0;
    if (pending_find_event(&j->pending, r->event) != NULL || is_recorded(j, r->event))
        return 0;
    r->id = ++j->last_id;
    pending_add(&j->pending, r);
    if (r->stage == STAGE_DEAD)
        bury(j, r->id);
    return r->id;
}

void
journal_move(struct journal *j, const struct record *r)
{
    assert_state(j, r);
    if (is_settled(j, r->id))
        return;
    pending_move(&j->pending, r);
    if (r->stage == STAGE_DEAD)
        bury(j, r->id);
    else
        exhume(j, r->id);
}

void
journal_refile(struct journal *j, const struct record *r)
{
    assert_file(r);
    if (!is_settled(j, r->id))
        pending_refile(&j->pending, r);
}

void
journal_drop(struct journal *j, uint64_t id)
{
    if (is_settled(j, id))
        return;
    pending_drop(&j->pending, id);
    exhume(j, id);
}

/* --- talking to SQLite --- */

static int
refuse_damaged(const struct journal *j, const char *why, struct err *e)
{
    return err_set(e, ERR_CONFIG, "%s: damaged: %s; " WHAT_TO_DO, j->path, why);
}

/* Says what SQLite's last call failed of. */
static int
fail(const struct journal *j, struct err *e)
{
    const char *why = sqlite3_errmsg(j->db);
    int number = sqlite3_system_errno(j->db);
    switch (sqlite3_errcode(j->db) & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return refuse_damaged(j, why, e);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, ERR_AGAIN, "%s: another program has it open", j->path);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        if (number != 0)
            return err_sys(e, ERR_IO, number, "%s: %s", j->path, why);
        break;
    default:
        break;
    }
    return err_set(e, ERR_IO, "%s: %s", j->path, why);
}

static int
execute(struct journal *j, const char *sql, struct err *e)
{
    return sqlite3_exec(j->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(j, e);
}

/* Binding borrows the value until the statement is reset; all it could fail of is no memory. */
static void
put_number(sqlite3_stmt *s, int at, int64_t number)
{
    int rc = sqlite3_bind_int64(s, at, number);
    assert(rc == SQLITE_OK);
}

static void
put_text(sqlite3_stmt *s, int at, const char *text)
{
    int rc = sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
    assert(rc == SQLITE_OK);
}

static void
put_blob(sqlite3_stmt *s, int at, const void *p, size_t n)
{
    int rc = sqlite3_bind_blob64(s, at, p, n, SQLITE_STATIC);
    assert(rc == SQLITE_OK);
}

static int
finish(struct journal *j, sqlite3_stmt *s, struct err *e)
{
    sqlite3_step(s);
    return sqlite3_reset(s) == SQLITE_OK ? 0 : fail(j, e);
}

/* For a query about a mailbox's row and perhaps a number that answers nothing. */
static int
apply(struct journal *j, enum query query, const struct box *b, int64_t number, struct err *e)
{
    sqlite3_stmt *s = j->statements[query];
    put_number(s, 1, b->row);
    if (sqlite3_bind_parameter_count(s) > 1)
        put_number(s, 2, number);
    return finish(j, s, e);
}

static sqlite3_stmt *
name_query(struct journal *j, enum query query, const struct box *b)
{
    sqlite3_stmt *s = j->statements[query];
    put_text(s, 1, b->account);
    put_text(s, 2, b->mailbox);
    return s;
}

static int
on_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    struct journal *j = arg;
    j->log_pages = pages;
    return SQLITE_OK;
}

/* --- reading: mailboxes --- */

/* Also learns the box's row. */
static int
read_cursor(struct journal *j, struct box *b, struct cursor *c, struct err *e)
{
    sqlite3_stmt *s = name_query(j, FIND, b);
    if (sqlite3_step(s) == SQLITE_ROW) {
        b->row = sqlite3_column_int64(s, 0);
        c->known = true;
        c->uidvalidity = (uint32_t)sqlite3_column_int64(s, 1);
        c->mark = (uint32_t)sqlite3_column_int64(s, 2);
        c->begun = sqlite3_column_int64(s, 3);
        c->floor = sqlite3_column_int64(s, 4);
        c->latest = sqlite3_column_int64(s, 5);
    }
    return sqlite3_reset(s) == SQLITE_OK ? 0 : fail(j, e);
}

static int
find_row(struct journal *j, struct box *b, struct err *e)
{
    struct cursor c = {0};
    return b->row != 0 ? 0 : read_cursor(j, b, &c, e);
}

static int
read_uids(struct journal *j, enum query query, const struct box *b,
    void (*add)(struct cursor *c, uint32_t uid), struct cursor *c, struct err *e)
{
    sqlite3_stmt *s = j->statements[query];
    put_number(s, 1, b->row);
    while (sqlite3_step(s) == SQLITE_ROW)
        add(c, (uint32_t)sqlite3_column_int64(s, 0));
    return sqlite3_reset(s) == SQLITE_OK ? 0 : fail(j, e);
}

/* What is recorded. */
static int
read_box(struct journal *j, struct box *b, struct cursor *c, struct err *e)
{
    if (read_cursor(j, b, c, e) < 0)
        return -1;
    if (!c->known)
        return 0;
    if (read_uids(j, LIST_TAKEN, b, cursor_add_taken, c, e) < 0)
        return -1;
    return read_uids(j, LIST_WANTED, b, cursor_add_wanted, c, e);
}

int
journal_load(
    struct journal *j, const char *account, const char *mailbox, struct cursor *c, struct err *e)
{
    struct box *b = find_box(j, account, mailbox);
    *c = (struct cursor){0};
    if (read_box(j, b, c, e) < 0) {
        cursor_free(c);
        return -1;
    }
    if (c->known || b->cursor.known)
        box_apply(b, c);
    return 0;
}

bool
journal_has_dead(struct journal *j, const char *file)
{
    sqlite3_stmt *s = j->statements[HAS_DEAD];
    put_text(s, 1, file);
    bool found = sqlite3_step(s) == SQLITE_ROW;
    return sqlite3_reset(s) != SQLITE_OK || found;
}

int
journal_has_seen(struct journal *j, const char *account, const char *mailbox,
    const struct sighting *seen, struct err *e)
{
    struct box *b = find_box(j, account, mailbox);
    if (find_row(j, b, e) < 0)
        return -1;
    if (b->row == 0 && !b->cursor.known)
        return 0;
    if (box_has_seen(b, seen))
        return 1;
    sqlite3_stmt *s = j->statements[HAS_SEEN];
    put_number(s, 1, b->row);
    put_blob(s, 2, seen->identity, IDENTITY_SIZE);
    put_number(s, 3, b->cursor.known); /* a baseline waits: all of it is from before */
    bool found = sqlite3_step(s) == SQLITE_ROW;
    return sqlite3_reset(s) == SQLITE_OK ? found : fail(j, e);
}

/* --- reading: jobs --- */

static const char *
text_at(sqlite3_stmt *s, int column)
{
    const char *text = (const char *)sqlite3_column_text(s, column);
    assert(text != NULL); /* no memory */
    return text;
}

static struct span
blob_at(sqlite3_stmt *s, int column)
{
    const char *p = sqlite3_column_blob(s, column);
    return (struct span){p != NULL ? p : "", (size_t)sqlite3_column_bytes(s, column)};
}

static void
read_digest(sqlite3_stmt *s, int column, unsigned char *digest)
{
    struct span bytes = blob_at(s, column);
    assert(bytes.n == DIGEST_SIZE); /* checked when it was opened */
    memcpy(digest, bytes.p, bytes.n);
}

/* What it points to is SQLite's, until the next step. */
static struct record
read_record(sqlite3_stmt *s)
{
    struct record r = {
        .id = (uint64_t)sqlite3_column_int64(s, 0),
        .stage = (enum job_stage)sqlite3_column_int(s, 1),
        .attempt = (unsigned)sqlite3_column_int64(s, 2),
        .batch = (uint64_t)sqlite3_column_int64(s, 3),
        .due = sqlite3_column_int64(s, 4),
        .since = sqlite3_column_int64(s, 5),
        .status = sqlite3_column_int(s, 6),
        .acted = (unsigned)sqlite3_column_int64(s, 7),
        .halfway = sqlite3_column_int(s, 8) != 0,
        .result = text_at(s, 9),
        .tail = blob_at(s, 10),
        .file = text_at(s, 11),
        .file_size = (uint64_t)sqlite3_column_int64(s, 12),
        .file_is_whole = sqlite3_column_int(s, 14) != 0,
        .uidvalidity = (uint32_t)sqlite3_column_int64(s, 15),
        .uid = (uint32_t)sqlite3_column_int64(s, 16),
        .event = text_at(s, 17),
        .account = text_at(s, 18),
        .mailbox = text_at(s, 19),
        .rule = text_at(s, 20),
        .subject = text_at(s, 21),
        .letter = blob_at(s, 22),
    };
    read_digest(s, 13, r.file_digest);
    return r;
}

struct view {
    bool dead;
    void (*each)(void *arg, const struct record *r);
    void *arg;
};

static void
show(const struct view *v, const struct record *r)
{
    if ((r->stage == STAGE_DEAD) == v->dead)
        v->each(v->arg, r);
}

static int
show_recorded(struct journal *j, const struct view *v, struct err *e)
{
    sqlite3_stmt *s = j->statements[LIST_JOBS];
    put_number(s, 1, j->pending.n > 0);
    put_number(s, 2, v->dead);
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct record r = read_record(s);
        const struct change *c = pending_find(&j->pending, r.id);
        if (c != NULL && c->what == CHANGE_DROP)
            continue;
        if (c != NULL)
            change_apply(c, &r);
        show(v, &r);
    }
    return sqlite3_reset(s) == SQLITE_OK ? 0 : fail(j, e);
}

int
journal_each(struct journal *j, bool dead, void (*each)(void *arg, const struct record *r),
    void *arg, struct err *e)
{
    struct view v = {dead, each, arg};
    if (show_recorded(j, &v, e) < 0)
        return -1;
    for (size_t i = 0; i < j->pending.n; i++)
        if (j->pending.v[i]->what == CHANGE_ADD) /* all above those that are recorded */
            show(&v, &j->pending.v[i]->r);
    return 0;
}

/* Whether a record with this event will be there after the commit. One that could not be read is
 * taken for none: if it is there, ADD leaves it alone. */
static bool
is_recorded(struct journal *j, const char *event)
{
    sqlite3_stmt *s = j->statements[FIND_EVENT];
    put_text(s, 1, event);
    bool found = sqlite3_step(s) == SQLITE_ROW;
    uint64_t id = found ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    return found && !is_settled(j, id);
}

/* --- writing: jobs --- */

static void
put_state(sqlite3_stmt *s, const struct record *r)
{
    put_number(s, 2, r->stage);
    put_number(s, 3, r->attempt);
    put_number(s, 4, (int64_t)r->batch);
    put_number(s, 5, r->due);
    put_number(s, 6, r->since);
    put_number(s, 7, r->status);
    put_number(s, 8, r->acted);
    put_number(s, 9, r->halfway);
    put_text(s, 10, r->result);
    put_blob(s, 11, r->tail.p, r->tail.n);
}

static void
put_file(sqlite3_stmt *s, const struct record *r)
{
    put_text(s, 12, r->file);
    put_number(s, 13, (int64_t)r->file_size);
    put_blob(s, 14, r->file_digest, DIGEST_SIZE);
    put_number(s, 15, r->file_is_whole);
}

static void
put_letter(sqlite3_stmt *s, const struct record *r)
{
    put_number(s, 16, r->uidvalidity);
    put_number(s, 17, r->uid);
    put_text(s, 18, r->event);
    put_text(s, 19, r->account);
    put_text(s, 20, r->mailbox);
    put_text(s, 21, r->rule);
    put_text(s, 22, r->subject);
    put_blob(s, 23, r->letter.p, r->letter.n);
}

static const struct {
    unsigned what;
    enum query query;
    void (*put[3])(sqlite3_stmt *s, const struct record *r);
} writes[] = {
    {CHANGE_DROP, DROP, {NULL}},
    {CHANGE_ADD, ADD, {put_state, put_file, put_letter}},
    {CHANGE_MOVE, MOVE, {put_state}},
    {CHANGE_REFILE, REFILE, {put_file}},
};
enum { N_WRITES = sizeof writes / sizeof *writes };

/* Kind by kind: a new record may have the event of one that is dropped. */
static int
write_jobs(struct journal *j, struct err *e)
{
    for (size_t kind = 0; kind < N_WRITES; kind++) {
        sqlite3_stmt *s = j->statements[writes[kind].query];
        for (size_t i = 0; i < j->pending.n; i++) {
            const struct change *c = j->pending.v[i];
            if (!(c->what & writes[kind].what))
                continue;
            put_number(s, 1, (int64_t)c->r.id);
            for (size_t part = 0; part < 3 && writes[kind].put[part] != NULL; part++)
                writes[kind].put[part](s, &c->r);
            if (finish(j, s, e) < 0)
                return -1;
        }
    }
    return 0;
}

/* --- writing: mailboxes --- */

static int
write_wanted(struct journal *j, const struct box *b, struct err *e)
{
    int rc = apply(j, FORGET_WANTED, b, 0, e);
    for (size_t i = 0; rc == 0 && i < b->cursor.n_wanted; i++) {
        j->has_wanted = true;
        rc = apply(j, WANT, b, b->cursor.wanted[i], e);
    }
    return rc;
}

static int
write_baseline(struct journal *j, struct box *b, struct err *e)
{
    sqlite3_stmt *s = name_query(j, BASELINE, b);
    put_number(s, 3, b->cursor.uidvalidity);
    put_number(s, 4, b->cursor.mark);
    put_number(s, 5, b->cursor.begun);
    put_number(s, 6, b->cursor.floor);
    put_number(s, 7, b->cursor.latest);
    if (finish(j, s, e) < 0 || find_row(j, b, e) < 0)
        return -1;
    if (apply(j, FORGET_TAKEN, b, UINT32_MAX, e) < 0 || write_wanted(j, b, e) < 0)
        return -1;
    return apply(j, AGE_SEEN, b, 0, e);
}

static int
write_mark(struct journal *j, const struct box *b, struct err *e)
{
    uint32_t mark = b->cursor.mark;
    if (mark == 0)
        return 0;
    return apply(j, SETTLE, b, mark, e) < 0 ? -1 : apply(j, FORGET_TAKEN, b, mark, e);
}

static int
write_begun(struct journal *j, const struct box *b, struct err *e)
{
    return b->cursor.begun != 0 ? apply(j, BEGAN, b, b->cursor.begun, e) : 0;
}

static int
write_take(struct journal *j, const struct box *b, uint32_t uid, struct err *e)
{
    if (uid > b->cursor.mark && apply(j, TAKE, b, uid, e) < 0)
        return -1;
    return j->has_wanted ? apply(j, TAKE_WANTED, b, uid, e) : 0;
}

static int
write_seen(struct journal *j, const struct box *b, const struct box_seen *seen, struct err *e)
{
    sqlite3_stmt *s = j->statements[SEE];
    put_number(s, 1, b->row);
    put_blob(s, 2, seen->sighting.identity, IDENTITY_SIZE);
    put_number(s, 3, seen->old);
    put_number(s, 4, seen->sighting.received);
    j->unpurged++;
    return finish(j, s, e);
}

static int
write_box(struct journal *j, struct box *b, struct err *e)
{
    int rc = b->cursor.known ? write_baseline(j, b, e) : find_row(j, b, e);
    if (rc < 0 || b->row == 0)
        return rc;
    rc = write_mark(j, b, e);
    if (rc == 0)
        rc = write_begun(j, b, e);
    for (size_t i = 0; rc == 0 && i < b->cursor.n_taken; i++)
        rc = write_take(j, b, b->cursor.taken[i], e);
    for (size_t i = 0; rc == 0 && i < b->n_seen; i++)
        rc = write_seen(j, b, &b->seen[i], e);
    return rc;
}

static int
write_boxes(struct journal *j, struct err *e)
{
    LIST_EACH(&j->waiting, link)
    if (write_box(j, LIST_OWNER(link, struct box, waits), e) < 0)
        return -1;
    return 0;
}

/* --- writing: the turn --- */

/* Some failures end the transaction by themselves. */
static void
roll_back(struct journal *j)
{
    if (!sqlite3_get_autocommit(j->db))
        finish(j, j->statements[ROLLBACK], NULL);
    LIST_EACH(&j->waiting, link)
    LIST_OWNER(link, struct box, waits)->row = 0; /* it may have been a new one */
}

/* All or nothing. */
static int
write_changes(struct journal *j, struct err *e)
{
    int rc = finish(j, j->statements[BEGIN], e);
    if (rc == 0)
        rc = write_jobs(j, e);
    if (rc == 0)
        rc = write_boxes(j, e);
    if (rc == 0)
        rc = finish(j, j->statements[COMMIT], e);
    if (rc < 0)
        roll_back(j);
    return rc;
}

int
journal_commit(struct journal *j, struct err *e)
{
    if (list_empty(&j->waiting) && j->pending.n == 0)
        return 0;
    if (j->flush && execute(j, "PRAGMA synchronous = FULL", e) < 0)
        return -1;
    int rc = write_changes(j, e);
    if (j->flush)
        execute(j, "PRAGMA synchronous = NORMAL", NULL);
    if (rc == 0)
        forget_changes(j);
    return rc;
}

int
journal_baseline(struct journal *j, const char *account, const char *mailbox,
    const struct cursor *c, struct err *e)
{
    box_baseline(change_box(j, account, mailbox), c);
    j->flush = true;
    return journal_commit(j, e);
}

/* A write that changes nothing: the header of a new log is on the disk then, and no commit has to
 * wait for it. */
static int
begin_log(struct journal *j, struct err *e)
{
    return execute(j, STAMP_FORMAT, e);
}

/* Of one mailbox, and not much more than PURGE_ROWS; the rest is left to the next call. */
static void
purge(struct journal *j)
{
    sqlite3_stmt *old = j->statements[FIND_OLD];
    sqlite3_stmt *s = j->statements[PURGE];
    put_number(old, 1, SEEN_SECONDS);
    bool found = sqlite3_step(old) == SQLITE_ROW;
    put_number(s, 1, sqlite3_column_int64(old, 0));
    put_number(s, 2, sqlite3_column_int64(old, 1));
    put_number(s, 3, PURGE_ROWS);
    int rc = sqlite3_reset(old);
    if (found)
        finish(j, s, NULL);
    else if (rc == SQLITE_OK)
        j->unpurged = 0;
}

void
journal_tidy(struct journal *j, bool busy)
{
    if (busy && j->log_pages < LOG_LIMIT_BUSY)
        return;
    if (j->unpurged >= PURGE_EVERY)
        purge(j);
    if (j->log_pages < LOG_LIMIT)
        return;
    int rc = sqlite3_wal_checkpoint_v2(j->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (rc == SQLITE_OK)
        begin_log(j, NULL);
}

/* --- opening: the files --- */

/* Opens a file of ours in the folder, made if it is missing. SQLite would give it, and the log
 * beside it, what the umask leaves. */
static int
open_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && ((st.st_mode & 07777) == 0600 || fchmod(fd, 0600) == 0))
        return fd;
    err_sys(e, ERR_CREATE, errno, "%s", path);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* The process that wrote its number into the lock, or 0. */
static long
holder_of(const struct journal *j)
{
    char text[16] = "";
    ssize_t n = pread(j->lock, text, sizeof text - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    return pid > 0 ? pid : 0;
}

static int
refuse_second(const struct journal *j, struct err *e)
{
    long pid = holder_of(j);
    if (pid == 0)
        return err_set(e, ERR_AGAIN, "%s: already running", j->folder);
    return err_set(e, ERR_AGAIN, "%s: already running (pid %ld)", j->folder, pid);
}

/* Who opened it briefly leaves no number. And a child that a dead process was just about to start
 * holds its lock until it has become another program. */
static bool
is_held_for_long(const struct journal *j)
{
    long pid = holder_of(j);
    return pid > 0 && (kill((pid_t)pid, 0) == 0 || errno != ESRCH);
}

static int
wait_for_lock(const struct journal *j)
{
    const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000};
    for (int i = 0; i < LOCK_WAIT_MS / LOCK_PAUSE_MS; i++) {
        if (flock(j->lock, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK || is_held_for_long(j))
            return -1;
        nanosleep(&pause, NULL);
    }
    errno = EWOULDBLOCK;
    return -1;
}

static int
write_pid(int fd, bool briefly)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0)
        return -1;
    return briefly || pwrite(fd, text, (size_t)n, 0) == n ? 0 : -1;
}

/* The kernel gives the lock back when we die, however we do. */
static int
take_lock(struct journal *j, bool briefly, struct err *e)
{
    char *path = xasprintf("%s/lock", j->folder);
    j->lock = open_file(path, e);
    int rc = j->lock >= 0 ? 0 : -1;
    if (rc == 0 && wait_for_lock(j) < 0)
        rc = errno == EWOULDBLOCK ? refuse_second(j, e) : err_sys(e, ERR_CREATE, errno, "%s", path);
    else if (rc == 0 && write_pid(j->lock, briefly) < 0)
        rc = err_sys(e, ERR_IO, errno, "%s", path);
    free(path);
    return rc;
}

/* Sees to the database file before SQLite does. Closed again before that too: closing it later
 * would drop SQLite's lock. */
static int
prepare_file(struct journal *j, struct err *e)
{
    int fd = open_file(j->path, e);
    if (fd < 0)
        return -1;
    struct stat database, log;
    int rc = fstat(fd, &database);
    close(fd);
    if (rc < 0)
        return err_sys(e, ERR_IO, errno, "%s", j->path);
    if (database.st_size == 1) /* SQLite would call it empty */
        return refuse_damaged(j, "it is cut off", e);
    /* SQLite would throw the log of an empty database away */
    if (database.st_size == 0 && stat(j->log, &log) == 0 && log.st_size > 0)
        return refuse_damaged(j, "it is empty, but " DATABASE "-wal is not", e);
    return 0;
}

/* --- opening: the database --- */

static int
connect_to(struct journal *j, struct err *e)
{
    int rc = sqlite3_open_v2(j->path, &j->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return fail(j, e);
    /* until we know that it is ours, closing must not change it */
    sqlite3_db_config(j->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return execute(j, "PRAGMA locking_mode = EXCLUSIVE", e);
}

/* The version of the file, 0 for one with nothing in it; -1 with *e for one that is not for us. */
static int
read_format(struct journal *j, struct err *e)
{
    sqlite3_stmt *s;
    static const char sql[] = "SELECT application_id, user_version,"
                              " (SELECT count(*) FROM sqlite_schema)"
                              " FROM pragma_application_id, pragma_user_version";
    if (sqlite3_prepare_v2(j->db, sql, -1, &s, NULL) != SQLITE_OK)
        return fail(j, e);
    sqlite3_step(s);
    int application = sqlite3_column_int(s, 0);
    int format = sqlite3_column_int(s, 1);
    int tables = sqlite3_column_int(s, 2);
    if (sqlite3_finalize(s) != SQLITE_OK)
        return fail(j, e);
    if (application == 0 && format == 0 && tables == 0)
        return 0;
    if (application != OUR_FILES || format < 1)
        return err_set(e, ERR_CONFIG, "%s: not a journal of mailcall; " WHAT_TO_DO, j->path);
    if (format > FORMAT)
        return err_set(e, ERR_CONFIG,
            "%s: written by a later version (format %d, this one knows %d); use that version, "
            "or " WHAT_TO_DO,
            j->path, format, FORMAT);
    return format;
}

static int
check_sound(struct journal *j, struct err *e)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(j->db, "PRAGMA quick_check(1)", -1, &s, NULL) != SQLITE_OK)
        return fail(j, e);
    int rc = 0;
    const char *found =
        sqlite3_step(s) == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
    if (found != NULL && strcmp(found, "ok") != 0) {
        const char *line = strrchr(found, '\n'); /* what stands above is a headline */
        rc = refuse_damaged(j, line != NULL ? line + 1 : found, e);
    }
    if (sqlite3_finalize(s) != SQLITE_OK)
        return fail(j, e);
    return rc;
}

/* One transaction; the last of it is written even when there is nothing to migrate, so that a file
 * that cannot be written shows now, and the log begins. */
static int
migrate(struct journal *j, int format, struct err *e)
{
    int rc = execute(j, "BEGIN IMMEDIATE", e);
    for (int i = format; rc == 0 && i < FORMAT; i++)
        rc = execute(j, migrations[i], e);
    if (rc == 0)
        rc = execute(j, "PRAGMA application_id = " AS_TEXT(OUR_FILES), e);
    if (rc == 0)
        rc = begin_log(j, e);
    return rc == 0 ? execute(j, "COMMIT", e) : rc;
}

static int
set_up(struct journal *j, struct err *e)
{
    static const char settings[] = "PRAGMA journal_mode = WAL;"
                                   "PRAGMA synchronous = NORMAL;"
#ifdef __APPLE__
                                   "PRAGMA fullfsync = 1;"
#endif
                                   "PRAGMA temp_store = MEMORY;"
                                   "PRAGMA foreign_keys = ON";
    if (execute(j, settings, e) < 0)
        return -1;
    sqlite3_wal_hook(j->db, on_commit, j); /* in place of SQLite's, which makes checkpoints */
    return 0;
}

static int
prepare_statements(struct journal *j, struct err *e)
{
    for (int i = 0; i < N_QUERIES; i++)
        if (sqlite3_prepare_v3(j->db, queries[i], -1, SQLITE_PREPARE_PERSISTENT, &j->statements[i],
                NULL) != SQLITE_OK)
            return fail(j, e);
    return 0;
}

static int
learn_wanted(struct journal *j, struct err *e)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(j->db, "SELECT 1 FROM wanted", -1, &s, NULL) != SQLITE_OK)
        return fail(j, e);
    j->has_wanted = sqlite3_step(s) == SQLITE_ROW;
    return sqlite3_finalize(s) == SQLITE_OK ? 0 : fail(j, e);
}

/* A batch may be called by the id of a record that is gone: it is not given again. */
static int
learn_jobs(struct journal *j, struct err *e)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(j->db, "SELECT id, batch, stage FROM job", -1, &s, NULL) != SQLITE_OK)
        return fail(j, e);
    while (sqlite3_step(s) == SQLITE_ROW) {
        uint64_t id = (uint64_t)sqlite3_column_int64(s, 0);
        uint64_t batch = (uint64_t)sqlite3_column_int64(s, 1);
        uint64_t most = id > batch ? id : batch;
        if (most > j->last_id)
            j->last_id = most;
        if (sqlite3_column_int(s, 2) == STAGE_DEAD)
            bury(j, id);
    }
    return sqlite3_finalize(s) == SQLITE_OK ? 0 : fail(j, e);
}

static int
learn_rows(struct journal *j, struct err *e)
{
    j->unpurged = PURGE_EVERY;
    return learn_wanted(j, e) < 0 ? -1 : learn_jobs(j, e);
}

static int
open_database(struct journal *j, struct err *e)
{
    if (prepare_file(j, e) < 0 || connect_to(j, e) < 0)
        return -1;
    int format = read_format(j, e);
    if (format < 0 || check_sound(j, e) < 0)
        return -1;
    sqlite3_db_config(j->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    if (set_up(j, e) < 0 || migrate(j, format, e) < 0)
        return -1;
    return prepare_statements(j, e) < 0 ? -1 : learn_rows(j, e);
}

static char *
find_folder(const char *folder, struct err *e)
{
    int fd = folder_open(folder, e);
    if (fd < 0)
        return NULL;
    close(fd);
    char *absolute = realpath(folder, NULL);
    if (absolute == NULL)
        err_sys(e, ERR_CREATE, errno, "%s", folder);
    return absolute;
}

static struct journal *
open_journal(const char *folder, bool briefly, struct err *e)
{
    char *absolute = find_folder(folder, e);
    if (absolute == NULL)
        return NULL;
    struct journal *j = xcalloc(1, sizeof *j);
    list_init(&j->boxes);
    list_init(&j->waiting);
    j->folder = absolute;
    j->path = xasprintf("%s/" DATABASE, absolute);
    j->log = xasprintf("%s-wal", j->path);
    if (take_lock(j, briefly, e) == 0 && open_database(j, e) == 0)
        return j;
    journal_close(j);
    return NULL;
}

struct journal *
journal_open(const char *folder, struct err *e)
{
    return open_journal(folder, false, e);
}

struct journal *
journal_open_briefly(const char *folder, struct err *e)
{
    return open_journal(folder, true, e);
}

void
journal_close(struct journal *j)
{
    if (j == NULL)
        return;
    forget_changes(j);
    LIST_EACH(&j->boxes, link)
    box_free(LIST_OWNER(link, struct box, link));
    for (int i = 0; i < N_QUERIES; i++)
        sqlite3_finalize(j->statements[i]);
    int rc = sqlite3_close(j->db);
    assert(rc == SQLITE_OK); /* it only fails when a statement was forgotten */
    if (j->lock >= 0)
        close(j->lock);
    free(j->folder);
    free(j->path);
    free(j->log);
    free(j->dead);
    free(j);
}
