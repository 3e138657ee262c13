/* SPDX-License-Identifier: ISC */
/* What the journal costs a mail, beside a bare SQLite transaction in the same settings: one row of
 * 4 kB is inserted in one transaction and deleted in the next. Ours for the same mail: a job with
 * that letter is added (as running), its message seen and taken, commit; it is dropped, commit. The
 * two take turns in short rounds, so that both meet the same machine. Flushes are counted on the
 * way: the dynamic linker gives SQLite the two functions below. */
#include "job/journal.h"
#include "base/mem.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

enum { LETTER = 4096, ROUNDS = 31, MAILS = 512, MOST_AT_ONCE = 64 };

static unsigned flushes;

#ifdef __linux__
int
fsync(int fd)
{
    flushes++;
    return (int)syscall(SYS_fsync, fd);
}

int
fdatasync(int fd)
{
    flushes++;
    return (int)syscall(SYS_fdatasync, fd);
}
#endif

static void
must(int good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "bench: %s failed\n", what);
    exit(1);
}

static double
microseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static char letter[LETTER];

/* --- bare SQLite --- */

struct bare {
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *insert, *drop;
    sqlite3_int64 id;
};

static void
bare_sql(struct bare *b, const char *sql)
{
    must(sqlite3_exec(b->db, sql, NULL, NULL, NULL) == SQLITE_OK, sql);
}

static sqlite3_stmt *
bare_prepare(struct bare *b, const char *sql)
{
    sqlite3_stmt *s;
    must(sqlite3_prepare_v3(b->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) == SQLITE_OK, sql);
    return s;
}

static void
bare_open(struct bare *b, const char *path)
{
    must(sqlite3_open_v2(path, &b->db,
             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK,
        path);
    bare_sql(b, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
                "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;"
                "CREATE TABLE job (id INTEGER PRIMARY KEY, letter BLOB NOT NULL) STRICT");
    b->begin = bare_prepare(b, "BEGIN IMMEDIATE");
    b->commit = bare_prepare(b, "COMMIT");
    b->insert = bare_prepare(b, "INSERT INTO job (id, letter) VALUES (?1, ?2)");
    b->drop = bare_prepare(b, "DELETE FROM job WHERE id = ?1");
}

static void
bare_close(struct bare *b)
{
    sqlite3_finalize(b->begin);
    sqlite3_finalize(b->commit);
    sqlite3_finalize(b->insert);
    sqlite3_finalize(b->drop);
    must(sqlite3_close(b->db) == SQLITE_OK, "close");
}

static void
bare_step(sqlite3_stmt *s)
{
    must(sqlite3_step(s) == SQLITE_DONE, "step");
    sqlite3_reset(s);
}

static void
bare_turns(void *arg, unsigned at_once)
{
    struct bare *b = arg;
    bare_step(b->begin);
    for (unsigned i = 0; i < at_once; i++) {
        sqlite3_bind_int64(b->insert, 1, b->id + i);
        sqlite3_bind_blob(b->insert, 2, letter, LETTER, SQLITE_STATIC);
        bare_step(b->insert);
    }
    bare_step(b->commit);
    bare_step(b->begin);
    for (unsigned i = 0; i < at_once; i++) {
        sqlite3_bind_int64(b->drop, 1, b->id++);
        bare_step(b->drop);
    }
    bare_step(b->commit);
}

/* The log begins anew between the rounds. */
static void
bare_tidy(void *arg)
{
    bare_sql(arg, "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA user_version = 1");
}

/* --- the journal --- */

struct ours {
    struct journal *j;
    uint32_t uid;
    uint64_t id[MOST_AT_ONCE];
};

static void
ours_open(struct ours *o, const char *folder)
{
    struct err e;
    const struct cursor c = {.uidvalidity = 1};
    o->j = journal_open(folder, &e);
    must(o->j != NULL, "open");
    must(journal_baseline(o->j, "work", "INBOX", &c, &e) == 0, "baseline");
}

/* As scattered as digests are. */
static void
scatter(uint32_t uid, unsigned char identity[static IDENTITY_SIZE])
{
    uint64_t x = uid;
    for (int i = 0; i < IDENTITY_SIZE; i++) {
        x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
        identity[i] = (unsigned char)(x >> 56);
    }
}

static uint64_t
ours_add(struct ours *o)
{
    struct sighting seen = {.received = 1750000000 + ++o->uid};
    char event[33];
    scatter(o->uid, seen.identity);
    for (int i = 0; i < IDENTITY_SIZE; i++)
        snprintf(event + 2 * i, 3, "%02x", seen.identity[i]);
    struct record r = {.account = "work",
        .mailbox = "INBOX",
        .uidvalidity = 1,
        .uid = o->uid,
        .event = event,
        .rule = "invoices",
        .subject = "Your invoice of this month",
        .letter = {letter, LETTER},
        .file = "1234567890.1",
        .file_size = 20000,
        .stage = STAGE_RUNNING,
        .attempt = 1,
        .since = 1750000000000 + o->uid};
    journal_see(o->j, "work", "INBOX", &seen);
    journal_take(o->j, "work", "INBOX", o->uid);
    return journal_add(o->j, &r);
}

static void
ours_turns(void *arg, unsigned at_once)
{
    struct ours *o = arg;
    struct err e;
    for (unsigned i = 0; i < at_once; i++)
        o->id[i] = ours_add(o);
    must(journal_commit(o->j, &e) == 0, "commit");
    for (unsigned i = 0; i < at_once; i++)
        journal_drop(o->j, o->id[i]);
    must(journal_commit(o->j, &e) == 0, "commit");
}

static void
ours_tidy(void *arg)
{
    struct ours *o = arg;
    struct err e;
    journal_settle(o->j, "work", "INBOX", o->uid);
    must(journal_commit(o->j, &e) == 0, "commit");
    journal_tidy(o->j, false);
}

/* --- rounds --- */

struct side {
    void *arg;
    void (*turns)(void *arg, unsigned at_once);
    void (*tidy)(void *arg);
    double cost[ROUNDS]; /* microseconds a mail */
    unsigned flushes;
};

static void
play_round(struct side *s, unsigned at_once, int round)
{
    unsigned before = flushes;
    double start = microseconds();
    for (unsigned n = 0; n < MAILS; n += at_once)
        s->turns(s->arg, at_once);
    s->cost[round] = (microseconds() - start) / MAILS;
    s->flushes += flushes - before;
    s->tidy(s->arg);
}

static int
by_cost(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double
median(struct side *s)
{
    qsort(s->cost, ROUNDS, sizeof *s->cost, by_cost);
    return s->cost[ROUNDS / 2];
}

static void
compare(struct side *bare, struct side *ours, unsigned at_once)
{
    bare->flushes = 0;
    ours->flushes = 0;
    for (int round = 0; round < ROUNDS; round++) {
        play_round(bare, at_once, round);
        play_round(ours, at_once, round);
    }
    double a = median(bare);
    double b = median(ours);
    printf("%8u  %12.1f  %12.1f  %6.2f  %8u\n", at_once, a, b, b / a, ours->flushes);
}

static void
clean_up(const char *folder)
{
    static const char *const names[] = {
        "bare.sqlite", "bare.sqlite-wal", "journal.sqlite", "journal.sqlite-wal", "lock"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = xasprintf("%s/%s", folder, names[i]);
        unlink(path);
        free(path);
    }
    rmdir(folder);
}

int
main(void)
{
    const char *tmp = getenv("TMPDIR");
    char *folder = xasprintf("%s/mailcall-bench.XXXXXX", tmp != NULL ? tmp : "/tmp");
    must(mkdtemp(folder) != NULL, folder);
    char *path = xasprintf("%s/bare.sqlite", folder);
    struct bare bare = {0};
    struct ours ours = {0};
    for (unsigned i = 0; i < LETTER; i++)
        letter[i] = (char)(i * 31);
    bare_open(&bare, path);
    ours_open(&ours, folder);
    struct side a = {.arg = &bare, .turns = bare_turns, .tidy = bare_tidy};
    struct side b = {.arg = &ours, .turns = ours_turns, .tidy = ours_tidy};
    printf("microseconds a mail, medians of %d rounds of %d mails\n", ROUNDS, MAILS);
    printf("%8s  %12s  %12s  %6s  %8s\n", "a commit", "bare SQLite", "the journal", "ratio",
        "flushes");
    compare(&a, &b, 1);
    compare(&a, &b, MOST_AT_ONCE);
    bare_close(&bare);
    journal_close(ours.j);
    clean_up(folder);
    free(path);
    free(folder);
    return 0;
}
