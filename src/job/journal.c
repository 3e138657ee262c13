/* SPDX-License-Identifier: ISC */
/* What a row means to the process that finds it after a crash:
 *
 *   mailbox  one watched mailbox and its epoch. Every UID <= mark is dealt with: never look at it
 *            again. No row: never seen, "now" is yet to be decided. Another UIDVALIDITY than the
 *            server's: that mailbox is gone, and the row means nothing for the new one.
 *   taken    a UID above its mailbox's mark that is dealt with as well: skip it. A UID above the
 *            mark without a row was begun or never seen, which is the same: deal with it (again).
 *
 * A row is written after what it says has become true, so a commit that is lost repeats work and
 * never drops it. What a turn changes is collected in memory, one `struct change` for a mailbox,
 * and written by journal_commit() in one transaction; none is open between two calls, so a failed
 * one loses nothing. Tables of other things to remember are written in that same transaction.
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
#include "sys/folder.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATABASE "journal.sqlite"

#define FORMAT    1          /* PRAGMA user_version */
#define OUR_FILES 0x4d63616c /* PRAGMA application_id: "Mcal" */

#define AS_TEXT(n)    AS_TEXT_OF(n)
#define AS_TEXT_OF(n) #n
#define STAMP_FORMAT  "PRAGMA user_version = " AS_TEXT(FORMAT)
#define THIS_MAILBOX  "(SELECT id FROM mailbox WHERE account = ?1 AND name = ?2)"
#define WHAT_TO_DO    "restore " DATABASE "* from a backup, or move them away to start at now"

enum { LOG_LIMIT = 1024 }; /* pages, 4 MB */

/* What makes format n + 1 of format n. */
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
};

/* ?1 account, ?2 mailbox, ?3 a mark or UID, ?4 UIDVALIDITY. None of them can fail by a constraint:
 * a change that cannot be recorded would keep all others waiting for ever. */
enum query { BEGIN, COMMIT, ROLLBACK, FIND, LIST_TAKEN, BASELINE, SETTLE, FORGET, TAKE, N_QUERIES };

static const char *const queries[N_QUERIES] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [FIND] = "SELECT uidvalidity, mark FROM mailbox WHERE account = ?1 AND name = ?2",
    [LIST_TAKEN] = "SELECT uid FROM taken WHERE mailbox = " THIS_MAILBOX " ORDER BY uid",
    [BASELINE] = ("INSERT INTO mailbox (account, name, mark, uidvalidity) VALUES (?1, ?2, ?3, ?4)"
                  " ON CONFLICT (account, name)"
                  " DO UPDATE SET mark = excluded.mark, uidvalidity = excluded.uidvalidity"),
    [SETTLE] = "UPDATE mailbox SET mark = ?3 WHERE account = ?1 AND name = ?2 AND mark < ?3",
    [FORGET] = "DELETE FROM taken WHERE mailbox = " THIS_MAILBOX " AND uid <= ?3",
    [TAKE] = ("INSERT OR IGNORE INTO taken (mailbox, uid)"
              " SELECT id, ?3 FROM mailbox WHERE account = ?1 AND name = ?2 AND mark < ?3"),
};

/* What waits for one mailbox. A known cursor replaces what is recorded, any other adds to it. */
struct change {
    struct list link;
    char *account;
    char *mailbox;
    struct cursor cursor;
};

struct journal {
    char *folder; /* absolute */
    char *path;   /* of the database */
    char *log;    /* of its log */
    int lock;     /* a descriptor, -1 without */
    sqlite3 *db;
    sqlite3_stmt *statements[N_QUERIES];
    struct list changes;
    int log_pages;
};

/* --- cursors --- */

void
cursor_free(struct cursor *c)
{
    free(c->taken);
    *c = (struct cursor){0};
}

/* Where uid stands in c->taken, or would stand. */
static size_t
place_of(const struct cursor *c, uint32_t uid)
{
    size_t low = 0;
    size_t high = c->n_taken;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->taken[middle] < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void
cursor_take(struct cursor *c, uint32_t uid)
{
    size_t at = place_of(c, uid);
    size_t n = c->n_taken;
    if (uid <= c->mark || (at < n && c->taken[at] == uid))
        return;
    if ((n & (n - 1)) == 0) /* full: the room is always a power of two */
        c->taken = xreallocarray(c->taken, n > 0 ? 2 * n : 1, sizeof *c->taken);
    memmove(c->taken + at + 1, c->taken + at, (n - at) * sizeof *c->taken);
    c->taken[at] = uid;
    c->n_taken++;
}

static void
cursor_settle(struct cursor *c, uint32_t mark)
{
    if (mark <= c->mark)
        return;
    c->mark = mark;
    size_t n = place_of(c, mark);
    if (n < c->n_taken && c->taken[n] == mark)
        n++;
    c->n_taken -= n;
    if (n > 0)
        memmove(c->taken, c->taken + n, c->n_taken * sizeof *c->taken);
}

/* --- what waits --- */

static struct change *
find_change(struct journal *j, const char *account, const char *mailbox)
{
    LIST_EACH(&j->changes, link)
    {
        struct change *c = LIST_OWNER(link, struct change, link);
        if (strcmp(c->mailbox, mailbox) == 0 && strcmp(c->account, account) == 0)
            return c;
    }
    return NULL;
}

static struct change *
need_change(struct journal *j, const char *account, const char *mailbox)
{
    struct change *c = find_change(j, account, mailbox);
    if (c != NULL)
        return c;
    c = xcalloc(1, sizeof *c);
    c->account = xstrdup(account);
    c->mailbox = xstrdup(mailbox);
    list_append(&j->changes, &c->link);
    return c;
}

static void
forget_changes(struct journal *j)
{
    LIST_EACH(&j->changes, link)
    {
        struct change *c = LIST_OWNER(link, struct change, link);
        list_remove(link);
        cursor_free(&c->cursor);
        free(c->account);
        free(c->mailbox);
        free(c);
    }
}

void
journal_take(struct journal *j, const char *account, const char *mailbox, uint32_t uid)
{
    cursor_take(&need_change(j, account, mailbox)->cursor, uid);
}

void
journal_settle(struct journal *j, const char *account, const char *mailbox, uint32_t mark)
{
    cursor_settle(&need_change(j, account, mailbox)->cursor, mark);
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

/* A statement to be stepped and then reset; NULL with *e. */
static sqlite3_stmt *
bind(struct journal *j, enum query query, const char *account, const char *mailbox, struct err *e)
{
    sqlite3_stmt *s = j->statements[query];
    if (sqlite3_bind_text(s, 1, account, -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_bind_text(s, 2, mailbox, -1, SQLITE_STATIC) == SQLITE_OK)
        return s;
    fail(j, e);
    return NULL;
}

static int
finish(struct journal *j, sqlite3_stmt *s, struct err *e)
{
    sqlite3_step(s);
    return sqlite3_reset(s) == SQLITE_OK ? 0 : fail(j, e);
}

/* For a query about one mailbox and one number that answers nothing. */
static int
apply(struct journal *j, enum query query, const struct change *c, uint32_t number, struct err *e)
{
    sqlite3_stmt *s = bind(j, query, c->account, c->mailbox, e);
    if (s == NULL)
        return -1;
    return sqlite3_bind_int64(s, 3, number) == SQLITE_OK ? finish(j, s, e) : fail(j, e);
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

/* --- reading --- */

static int
read_mark(
    struct journal *j, const char *account, const char *mailbox, struct cursor *c, struct err *e)
{
    sqlite3_stmt *s = bind(j, FIND, account, mailbox, e);
    if (s == NULL)
        return -1;
    if (sqlite3_step(s) == SQLITE_ROW) {
        c->known = true;
        c->uidvalidity = (uint32_t)sqlite3_column_int64(s, 0);
        c->mark = (uint32_t)sqlite3_column_int64(s, 1);
    }
    return sqlite3_reset(s) == SQLITE_OK ? 0 : fail(j, e);
}

static int
read_taken(
    struct journal *j, const char *account, const char *mailbox, struct cursor *c, struct err *e)
{
    sqlite3_stmt *s = bind(j, LIST_TAKEN, account, mailbox, e);
    if (s == NULL)
        return -1;
    while (sqlite3_step(s) == SQLITE_ROW)
        cursor_take(c, (uint32_t)sqlite3_column_int64(s, 0));
    return sqlite3_reset(s) == SQLITE_OK ? 0 : fail(j, e);
}

static void
add_change(struct cursor *c, const struct cursor *change)
{
    if (change->known) {
        c->known = true;
        c->uidvalidity = change->uidvalidity;
    }
    cursor_settle(c, change->mark);
    for (size_t i = 0; i < change->n_taken; i++)
        cursor_take(c, change->taken[i]);
}

int
journal_load(
    struct journal *j, const char *account, const char *mailbox, struct cursor *c, struct err *e)
{
    *c = (struct cursor){0};
    const struct change *change = find_change(j, account, mailbox);
    bool is_replaced = change != NULL && change->cursor.known;
    if (!is_replaced &&
        (read_mark(j, account, mailbox, c, e) < 0 || read_taken(j, account, mailbox, c, e) < 0)) {
        cursor_free(c);
        return -1;
    }
    if (change != NULL && (c->known || is_replaced))
        add_change(c, &change->cursor);
    return 0;
}

/* --- writing --- */

static int
write_baseline(struct journal *j, const struct change *c, struct err *e)
{
    if (sqlite3_bind_int64(j->statements[BASELINE], 4, c->cursor.uidvalidity) != SQLITE_OK)
        return fail(j, e);
    if (apply(j, BASELINE, c, c->cursor.mark, e) < 0)
        return -1;
    return apply(j, FORGET, c, UINT32_MAX, e);
}

static int
write_mark(struct journal *j, const struct change *c, struct err *e)
{
    if (apply(j, SETTLE, c, c->cursor.mark, e) < 0)
        return -1;
    return apply(j, FORGET, c, c->cursor.mark, e);
}

static int
write_change(struct journal *j, const struct change *c, struct err *e)
{
    int rc = c->cursor.known      ? write_baseline(j, c, e)
             : c->cursor.mark > 0 ? write_mark(j, c, e)
                                  : 0;
    for (size_t i = 0; rc == 0 && i < c->cursor.n_taken; i++)
        rc = apply(j, TAKE, c, c->cursor.taken[i], e);
    return rc;
}

/* All or nothing. */
static int
write_changes(struct journal *j, struct err *e)
{
    int rc = finish(j, j->statements[BEGIN], e);
    LIST_EACH(&j->changes, link)
    if (rc == 0)
        rc = write_change(j, LIST_OWNER(link, struct change, link), e);
    if (rc == 0)
        rc = finish(j, j->statements[COMMIT], e);
    /* some failures end the transaction by themselves */
    if (rc < 0 && !sqlite3_get_autocommit(j->db))
        finish(j, j->statements[ROLLBACK], NULL);
    return rc;
}

static bool
is_baseline_waiting(const struct journal *j)
{
    LIST_EACH(&j->changes, link)
    if (LIST_OWNER(link, struct change, link)->cursor.known)
        return true;
    return false;
}

int
journal_commit(struct journal *j, struct err *e)
{
    if (list_empty(&j->changes))
        return 0;
    bool is_flushed = is_baseline_waiting(j);
    if (is_flushed && execute(j, "PRAGMA synchronous = FULL", e) < 0)
        return -1;
    int rc = write_changes(j, e);
    if (is_flushed)
        execute(j, "PRAGMA synchronous = NORMAL", NULL);
    if (rc == 0)
        forget_changes(j);
    return rc;
}

int
journal_baseline(struct journal *j, const char *account, const char *mailbox, uint32_t uidvalidity,
    uint32_t mark, struct err *e)
{
    struct cursor *c = &need_change(j, account, mailbox)->cursor;
    cursor_free(c);
    *c = (struct cursor){.known = true, .uidvalidity = uidvalidity, .mark = mark};
    return journal_commit(j, e);
}

/* A write that changes nothing: the header of a new log is on the disk then, and no commit has to
 * wait for it. */
static int
begin_log(struct journal *j, struct err *e)
{
    return execute(j, STAMP_FORMAT, e);
}

void
journal_tidy(struct journal *j)
{
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

static int
refuse_second(const struct journal *j, struct err *e)
{
    char text[16] = "";
    ssize_t n = pread(j->lock, text, sizeof text - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    if (pid <= 0) /* it is just about to write it */
        return err_set(e, ERR_AGAIN, "%s: already running", j->folder);
    return err_set(e, ERR_AGAIN, "%s: already running (pid %ld)", j->folder, pid);
}

static int
write_pid(int fd)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) == n ? 0 : -1;
}

/* The kernel gives the lock back when we die, however we do. */
static int
take_lock(struct journal *j, struct err *e)
{
    char *path = xasprintf("%s/lock", j->folder);
    j->lock = open_file(path, e);
    int rc = j->lock >= 0 ? 0 : -1;
    if (rc == 0 && flock(j->lock, LOCK_EX | LOCK_NB) < 0)
        rc = errno == EWOULDBLOCK ? refuse_second(j, e) : err_sys(e, ERR_CREATE, errno, "%s", path);
    else if (rc == 0 && write_pid(j->lock) < 0)
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
    return prepare_statements(j, e);
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

struct journal *
journal_open(const char *folder, struct err *e)
{
    char *absolute = find_folder(folder, e);
    if (absolute == NULL)
        return NULL;
    struct journal *j = xcalloc(1, sizeof *j);
    list_init(&j->changes);
    j->folder = absolute;
    j->path = xasprintf("%s/" DATABASE, absolute);
    j->log = xasprintf("%s-wal", j->path);
    if (take_lock(j, e) == 0 && open_database(j, e) == 0)
        return j;
    journal_close(j);
    return NULL;
}

void
journal_close(struct journal *j)
{
    if (j == NULL)
        return;
    forget_changes(j);
    for (int i = 0; i < N_QUERIES; i++)
        sqlite3_finalize(j->statements[i]);
    int rc = sqlite3_close(j->db);
    assert(rc == SQLITE_OK); /* it only fails when a statement was forgotten */
    if (j->lock >= 0)
        close(j->lock);
    free(j->folder);
    free(j->path);
    free(j->log);
    free(j);
}
