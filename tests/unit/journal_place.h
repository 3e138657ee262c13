/* For the tests of job/journal: a folder with a journal in it; other processes that work on it;
 * flushes counted, and writes that fail or kill. */
#ifndef MAILCALL_TESTS_JOURNAL_PLACE_H
#define MAILCALL_TESTS_JOURNAL_PLACE_H

#include "base/buf.h"
#include "base/mem.h"
#include "job/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- flushes and writes: the dynamic linker gives SQLite these instead of the C library's --- */

static unsigned flushes; /* counted */
static unsigned writes;  /* likewise */

/* After so many more writes each one fails, or kills us; -1: never. */
static struct {
    long after;
    int number; /* errno; 0: kills */
} fault = {-1, 0};

static inline void
set_fault(long after, int number)
{
    fault.after = after;
    fault.number = number;
}

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

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
    writes++;
    if (fault.after == 0 && fault.number == 0)
        raise(SIGKILL);
    if (fault.after == 0) {
        errno = fault.number;
        return -1;
    }
    if (fault.after > 0)
        fault.after--;
    return (ssize_t)syscall(SYS_pwrite64, fd, p, n, at);
}
#endif

/* --- a folder, and the journal in it --- */

struct place {
    char folder[40];
    char file[64];
    char log[64];
    struct journal *j;
};

static inline void
place_reopen(struct place *p)
{
    struct err e = {0};
    journal_close(p->j);
    p->j = journal_open(p->folder, &e);
    assert_string_equal(e.text, "");
    assert_non_null(p->j);
}

static inline void
place_open(struct place *p)
{
    *p = (struct place){.folder = "/tmp/mailcall-journal.XXXXXX"};
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->file, sizeof p->file, "%s/journal.sqlite", p->folder);
    snprintf(p->log, sizeof p->log, "%s/journal.sqlite-wal", p->folder);
    place_reopen(p);
}

static inline void
place_close(struct place *p)
{
    static const char *const names[] = {"lock", "journal.sqlite", "journal.sqlite-wal"};
    journal_close(p->j);
    for (size_t i = 0; i < COUNT(names); i++) {
        char *path = xasprintf("%s/%s", p->folder, names[i]);
        unlink(path);
        free(path);
    }
    assert_int_equal(rmdir(p->folder), 0); /* nothing else was made */
}

static inline void
baseline(struct place *p, const char *mailbox, uint32_t uidvalidity, uint32_t mark)
{
    struct err e = {0};
    struct cursor c = {.uidvalidity = uidvalidity, .mark = mark};
    int rc = journal_baseline(p->j, "work", mailbox, &c, &e);
    assert_string_equal(e.text, "");
    assert_int_equal(rc, 0);
}

static inline void
commit(struct place *p)
{
    struct err e = {0};
    int rc = journal_commit(p->j, &e);
    assert_string_equal(e.text, "");
    assert_int_equal(rc, 0);
}

/* What is known of a mailbox, as "UIDVALIDITY:mark+taken+taken-wanted-wanted". */
static inline void
assert_cursor_of(struct place *p, const char *account, const char *mailbox, const char *want)
{
    struct cursor c;
    struct err e = {0};
    struct buf text = {0};
    int rc = journal_load(p->j, account, mailbox, &c, &e);
    assert_string_equal(e.text, "");
    assert_int_equal(rc, 0);
    if (c.known)
        buf_addf(&text, "%u:%u", c.uidvalidity, c.mark);
    for (size_t i = 0; i < c.n_taken; i++)
        buf_addf(&text, "+%u", c.taken[i]);
    for (size_t i = 0; i < c.n_wanted; i++)
        buf_addf(&text, "-%u", c.wanted[i]);
    assert_string_equal(buf_str(&text), want);
    cursor_free(&c);
    buf_free(&text);
}

static inline void
assert_cursor(struct place *p, const char *want)
{
    assert_cursor_of(p, "work", "INBOX", want);
}

/* Waiting, committed, and read again by another journal: always the same. */
static inline void
assert_recorded(struct place *p, const char *want)
{
    assert_cursor(p, want);
    commit(p);
    assert_cursor(p, want);
    place_reopen(p);
    assert_cursor(p, want);
}

static inline void
read_file(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    for (ssize_t n = 1; n > 0; out->n += (size_t)n) {
        n = read(fd, buf_room(out, 65536), 65536);
        assert_true(n >= 0);
    }
    buf_end(out);
    close(fd);
}

static inline off_t
size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : -1;
}

static inline unsigned
mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static inline void
run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* --- other processes --- */

struct child {
    pid_t pid;
    int from; /* what it says */
};

static inline struct child
start(void (*body)(struct place *p, int to), struct place *p)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct child c = {fork(), ends[0]};
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        alarm(60); /* a failed test leaves nobody behind */
        close(ends[0]);
        body(p, ends[1]);
        _exit(1);
    }
    close(ends[1]);
    return c;
}

static inline void
kill_hard(struct child *c)
{
    int status;
    assert_int_equal(kill(c->pid, SIGKILL), 0);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    assert_true(WIFSIGNALED(status));
    close(c->from);
}

/* Kills it once it has said `words`, and counts on to its last one. Returns the rounds announced
 * and finished. */
static inline void
kill_after(struct child *c, unsigned words, uint32_t *announced, uint32_t *finished)
{
    uint32_t r;
    for (unsigned n = 0; read(c->from, &r, sizeof r) == sizeof r;) {
        if (*announced == r)
            *finished = r;
        *announced = r;
        if (++n == words)
            assert_int_equal(kill(c->pid, SIGKILL), 0);
    }
    assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
    close(c->from);
}

/* --- files and file systems that are not as they should be --- */

/* Refuses, twice, and changes no byte of the file and its log. */
static inline void
assert_refused(struct place *p, const char *why)
{
    struct buf file = {0}, log = {0};
    read_file(p->file, &file);
    if (size_of(p->log) > 0)
        read_file(p->log, &log);
    for (int turn = 0; turn < 2; turn++) {
        struct err e = {0};
        struct buf now = {0};
        assert_null(journal_open(p->folder, &e));
        assert_int_equal(e.kind, ERR_CONFIG);
        assert_memory_equal(e.text, p->file, strlen(p->file));
        assert_non_null(strstr(e.text, why));
        assert_non_null(strstr(e.text, "to start at now"));
        assert_null(strchr(e.text, '\n'));
        read_file(p->file, &now);
        assert_int_equal(now.n, file.n);
        if (file.n > 0)
            assert_memory_equal(now.p, file.p, file.n);
        buf_clear(&now);
        if (log.n > 0) {
            read_file(p->log, &now);
            assert_int_equal(now.n, log.n);
            assert_memory_equal(now.p, log.p, log.n);
        }
        buf_free(&now);
    }
    buf_free(&file);
    buf_free(&log);
}

/* No file grows beyond this any more. */
static inline void
limit_files(rlim_t size)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static inline void
assert_commit_fails(struct place *p)
{
    struct err e = {0};
    assert_int_equal(journal_commit(p->j, &e), -1);
    assert_int_equal(e.kind, ERR_IO);
    assert_memory_equal(e.text, p->file, strlen(p->file));
}

#endif
