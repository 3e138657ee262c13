/* job/journal: what is found again after a close, a crash, a full disk or damage, and what a commit
 * may not cost. */
#include "base/buf.h"
#include "base/mem.h"
#include "job/journal.h"

#include <dirent.h>
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

/* --- flushes, counted: the dynamic linker gives SQLite these instead of the C library's --- */

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

/* --- a folder, and the journal in it --- */

struct place {
    char folder[40];
    char file[64];
    char log[64];
    struct journal *j;
};

static void
place_reopen(struct place *p)
{
    struct err e = {0};
    journal_close(p->j);
    p->j = journal_open(p->folder, &e);
    assert_string_equal(e.text, "");
    assert_non_null(p->j);
}

static void
place_open(struct place *p)
{
    *p = (struct place){.folder = "/tmp/mailcall-journal.XXXXXX"};
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->file, sizeof p->file, "%s/journal.sqlite", p->folder);
    snprintf(p->log, sizeof p->log, "%s/journal.sqlite-wal", p->folder);
    place_reopen(p);
}

static void
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

static void
baseline(struct place *p, const char *mailbox, uint32_t uidvalidity, uint32_t mark)
{
    struct err e = {0};
    int rc = journal_baseline(p->j, "work", mailbox, uidvalidity, mark, &e);
    assert_string_equal(e.text, "");
    assert_int_equal(rc, 0);
}

static void
commit(struct place *p)
{
    struct err e = {0};
    int rc = journal_commit(p->j, &e);
    assert_string_equal(e.text, "");
    assert_int_equal(rc, 0);
}

/* What is known of a mailbox, as "UIDVALIDITY:mark+taken+taken". */
static void
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
    assert_string_equal(buf_str(&text), want);
    cursor_free(&c);
    buf_free(&text);
}

static void
assert_cursor(struct place *p, const char *want)
{
    assert_cursor_of(p, "work", "INBOX", want);
}

/* Waiting, committed, and read again by another journal: always the same. */
static void
assert_recorded(struct place *p, const char *want)
{
    assert_cursor(p, want);
    commit(p);
    assert_cursor(p, want);
    place_reopen(p);
    assert_cursor(p, want);
}

static void
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

static off_t
size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : -1;
}

static unsigned
mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void
run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* No row but those of the marks: UIDs at or below them are not kept for ever. */
static void
assert_no_uid_is_left(struct place *p)
{
    journal_close(p->j);
    p->j = NULL;
    /* a uniqueness that holds only for a table without rows */
    run_sql(p->file, "CREATE TEMP TABLE one (x UNIQUE); INSERT INTO one VALUES (1);"
                     "INSERT INTO one SELECT 1 FROM taken");
    place_reopen(p);
}

/* --- cursors --- */

static void
a_mailbox_never_seen_is_unknown(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    assert_cursor(&p, "");
    place_reopen(&p);
    assert_cursor(&p, "");
    place_close(&p);
}

static void
what_is_recorded_is_found_again(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    baseline(&p, "INBOX", 7, 100);
    assert_recorded(&p, "7:100");
    journal_take(p.j, "work", "INBOX", 105);
    assert_recorded(&p, "7:100+105");
    journal_take(p.j, "work", "INBOX", 103);
    journal_take(p.j, "work", "INBOX", 109);
    journal_take(p.j, "work", "INBOX", 105);
    assert_recorded(&p, "7:100+103+105+109");
    journal_settle(p.j, "work", "INBOX", 104);
    assert_recorded(&p, "7:104+105+109");
    journal_settle(p.j, "work", "INBOX", 105);
    assert_recorded(&p, "7:105+109");
    journal_settle(p.j, "work", "INBOX", 200);
    assert_recorded(&p, "7:200");
    assert_no_uid_is_left(&p);
    place_close(&p);
}

static void
a_mark_never_goes_back(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    baseline(&p, "INBOX", 7, 100);
    journal_settle(p.j, "work", "INBOX", 50);
    journal_take(p.j, "work", "INBOX", 60);
    journal_take(p.j, "work", "INBOX", 100);
    assert_recorded(&p, "7:100");
    assert_no_uid_is_left(&p);
    journal_settle(p.j, "work", "INBOX", 120);
    journal_settle(p.j, "work", "INBOX", 110);
    journal_take(p.j, "work", "INBOX", 120);
    assert_recorded(&p, "7:120");
    assert_no_uid_is_left(&p);
    place_close(&p);
}

static void
the_largest_numbers_fit(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    baseline(&p, "INBOX", UINT32_MAX, UINT32_MAX - 2);
    journal_take(p.j, "work", "INBOX", UINT32_MAX);
    assert_recorded(&p, "4294967295:4294967293+4294967295");
    journal_settle(p.j, "work", "INBOX", UINT32_MAX);
    assert_recorded(&p, "4294967295:4294967295");
    baseline(&p, "INBOX", 0, 0);
    assert_recorded(&p, "0:0");
    place_close(&p);
}

static void
a_new_epoch_replaces_everything(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    baseline(&p, "INBOX", 7, 100);
    journal_take(p.j, "work", "INBOX", 105);
    commit(&p);
    journal_take(p.j, "work", "INBOX", 106);
    journal_settle(p.j, "work", "INBOX", 103);
    baseline(&p, "INBOX", 8, 4);
    assert_recorded(&p, "8:4");
    place_close(&p);
}

static void
mailboxes_without_a_baseline_stay_unknown(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    journal_take(p.j, "work", "INBOX", 5);
    journal_settle(p.j, "work", "INBOX", 4);
    assert_recorded(&p, "");
    place_close(&p);
}

static void
names_are_told_apart(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {"work", "INBOX"},
        {"work", "inbox"},
        {"INBOX", "work"},
        {"", "workINBOX"},
        {"work", ""},
        {"it's", "'); DROP TABLE mailbox; --"},
        {"w\303\266rk", "\377\376"},
        {"work", "%s?1"},
    };
    struct place p;
    struct err e = {0};
    char want[32];
    place_open(&p);
    for (uint32_t i = 0; i < COUNT(names); i++)
        assert_int_equal(journal_baseline(p.j, names[i][0], names[i][1], i + 1, 10, &e), 0);
    for (uint32_t i = 0; i < COUNT(names); i++)
        journal_take(p.j, names[i][0], names[i][1], 20 + i);
    commit(&p);
    place_reopen(&p);
    for (uint32_t i = 0; i < COUNT(names); i++) {
        snprintf(want, sizeof want, "%u:10+%u", i + 1, 20 + i);
        assert_cursor_of(&p, names[i][0], names[i][1], want);
    }
    place_close(&p);
}

static void
a_thousand_uids_in_any_order_are_kept_in_order(void **state)
{
    (void)state;
    struct place p;
    struct cursor c;
    struct err e = {0};
    place_open(&p);
    baseline(&p, "INBOX", 7, 0);
    for (uint32_t i = 0; i < 1000; i++)
        journal_take(p.j, "work", "INBOX", 2 + i * 619 % 1000); /* 619 and 1000 are coprime */
    for (int turn = 0; turn < 2; turn++) {
        assert_int_equal(journal_load(p.j, "work", "INBOX", &c, &e), 0);
        assert_int_equal(c.n_taken, 1000);
        for (uint32_t i = 0; i < 1000; i++)
            assert_int_equal(c.taken[i], 2 + i);
        cursor_free(&c);
        commit(&p);
    }
    place_close(&p);
}

static void
closing_commits_nothing(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    baseline(&p, "INBOX", 7, 100);
    journal_settle(p.j, "work", "INBOX", 101);
    assert_cursor(&p, "7:101");
    place_reopen(&p);
    assert_cursor(&p, "7:100");
    place_close(&p);
}

/* --- what it costs --- */

static void
only_a_baseline_is_flushed(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    flushes = 0;
    baseline(&p, "INBOX", 7, 100);
#ifdef __linux__
    assert_true(flushes > 0);
#endif
    place_reopen(&p);
    flushes = 0;
    for (uint32_t uid = 101; uid < 900; uid++) {
        journal_take(p.j, "work", "INBOX", uid + 1);
        journal_settle(p.j, "work", "INBOX", uid);
        commit(&p);
    }
    assert_int_equal(flushes, 0);
    place_close(&p);
}

static void
nothing_to_do_writes_nothing(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    off_t before = size_of(p.log);
    commit(&p);
    assert_int_equal(size_of(p.log), before);
    place_close(&p);
}

static void
tidying_shortens_a_grown_log(void **state)
{
    (void)state;
    struct place p;
    uint32_t uid = 1;
    char want[32];
    place_open(&p);
    baseline(&p, "INBOX", 7, 0);
    for (; size_of(p.log) < 5 * 1024 * 1024; uid++) {
        journal_settle(p.j, "work", "INBOX", uid);
        commit(&p);
    }
    journal_tidy(p.j);
    assert_in_range(size_of(p.log), 1, 64 * 1024);
    flushes = 0;
    journal_settle(p.j, "work", "INBOX", uid);
    commit(&p);
    assert_int_equal(flushes, 0);
    snprintf(want, sizeof want, "7:%u", uid);
    place_reopen(&p);
    assert_cursor(&p, want);
    place_close(&p);
}

static void
files_are_ours_alone_whatever_the_umask(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    unsigned n = 0;
    mode_t mask = umask(0);
    place_open(&p);
    char *folder = xasprintf("%s/a/b", p.folder);
    struct journal *j = journal_open(folder, &e);
    assert_non_null(j);
    assert_int_equal(mode_of(folder), 0700);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        char *path = xasprintf("%s/%s", folder, d->d_name);
        if (d->d_name[0] != '.') {
            assert_int_equal(mode_of(path), 0600);
            n++;
        }
        free(path);
    }
    assert_int_equal(n, 3); /* the lock, the database and its log */
    rewinddir(dir);
    journal_close(j);
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        if (d->d_name[0] != '.')
            assert_int_equal(unlinkat(dirfd(dir), d->d_name, 0), 0);
    closedir(dir);
    assert_int_equal(rmdir(folder), 0);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(rmdir(folder), 0);
    free(folder);
    umask(mask);
    place_close(&p);
}

static void
a_restored_file_that_others_can_read_is_closed_to_them(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    journal_close(p.j);
    p.j = NULL;
    assert_int_equal(chmod(p.file, 0644), 0);
    place_reopen(&p);
    assert_int_equal(mode_of(p.file), 0600);
    assert_int_equal(mode_of(p.log), 0600);
    place_close(&p);
}

/* --- other processes --- */

struct child {
    pid_t pid;
    int from; /* what it says */
};

static struct child
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

static void
kill_hard(struct child *c)
{
    int status;
    assert_int_equal(kill(c->pid, SIGKILL), 0);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    assert_true(WIFSIGNALED(status));
    close(c->from);
}

/* Opens the journal, does a little, says so, and stays. */
static void
hold(struct place *p, int to)
{
    struct err e = {0};
    struct journal *j = journal_open(p->folder, &e);
    if (j == NULL)
        return;
    journal_take(j, "work", "INBOX", 100000);
    if (journal_commit(j, &e) == 0 && write(to, "", 1) == 1)
        for (;;)
            pause();
}

static struct child
start_holder(struct place *p)
{
    char byte;
    journal_close(p->j);
    p->j = NULL;
    struct child c = start(hold, p);
    assert_int_equal(read(c.from, &byte, 1), 1);
    return c;
}

static void
a_second_process_is_refused_until_the_first_is_dead(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    place_open(&p);
    baseline(&p, "INBOX", 7, 1);
    struct child c = start_holder(&p);
    assert_null(journal_open(p.folder, &e));
    char *want = xasprintf("%s: already running (pid %ld)", p.folder, (long)c.pid);
    assert_int_equal(e.kind, ERR_AGAIN);
    assert_string_equal(e.text, want);
    free(want);
    kill_hard(&c);
    place_reopen(&p);
    assert_cursor(&p, "7:1+100000");
    place_close(&p);
}

static void
a_second_journal_of_the_same_process_is_refused(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    place_open(&p);
    baseline(&p, "INBOX", 7, 1);
    assert_null(journal_open(p.folder, &e));
    assert_int_equal(e.kind, ERR_AGAIN);
    journal_settle(p.j, "work", "INBOX", 2);
    assert_recorded(&p, "7:2");
    place_close(&p);
}

/* Round r ends with the mark 3r and one UID above it, in two mailboxes. */
static void
play_round(struct journal *j, uint32_t r)
{
    static const char *const mailboxes[] = {"INBOX", "Lists"};
    for (size_t i = 0; i < COUNT(mailboxes); i++) {
        journal_take(j, "work", mailboxes[i], 3 * r + 2);
        journal_settle(j, "work", mailboxes[i], 3 * r);
    }
}

/* Says each round before its commit, and again after it. */
static void
play_rounds(struct place *p, int to)
{
    struct err e = {0};
    struct cursor c = {0};
    struct journal *j = journal_open(p->folder, &e);
    if (j == NULL || journal_load(j, "work", "INBOX", &c, &e) < 0)
        return;
    for (uint32_t r = c.mark / 3 + 1;; r++) {
        play_round(j, r);
        if (write(to, &r, sizeof r) != sizeof r || journal_commit(j, &e) < 0 ||
            write(to, &r, sizeof r) != sizeof r)
            return;
        journal_tidy(j);
    }
}

/* Kills it once it has said `words`, and counts on to its last one. Returns the rounds announced
 * and finished. */
static void
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

static void
a_kill_leaves_exactly_one_committed_state(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    struct cursor c;
    uint32_t announced = 0, finished = 0;
    char want[32];
    place_open(&p);
    baseline(&p, "INBOX", 7, 0);
    baseline(&p, "Lists", 7, 0);
    unsigned seed = 1;
    for (int kills = 0; kills < 30; kills++) {
        seed = (seed * 1103515245u + 12345u) & 0x7fffffffu;
        journal_close(p.j);
        p.j = NULL;
        struct child child = start(play_rounds, &p);
        kill_after(&child, 1 + (seed >> 8) % 500, &announced, &finished);
        place_reopen(&p);
        assert_int_equal(journal_load(p.j, "work", "INBOX", &c, &e), 0);
        uint32_t r = c.mark / 3;
        cursor_free(&c);
        assert_in_range(r, finished, announced);
        if (r == 0)
            snprintf(want, sizeof want, "7:0");
        else
            snprintf(want, sizeof want, "7:%u+%u", 3 * r, 3 * r + 2);
        assert_cursor_of(&p, "work", "INBOX", want);
        assert_cursor_of(&p, "work", "Lists", want);
        announced = finished = r;
    }
    assert_true(finished > 1000);
    place_close(&p);
}

/* --- files that are not as we left them --- */

/* A journal of several pages, closed. */
static void
place_fill(struct place *p)
{
    place_open(p);
    baseline(p, "INBOX", 7, 1);
    for (uint32_t uid = 10; uid < 6000; uid++)
        journal_take(p->j, "work", "INBOX", uid * 7);
    commit(p);
    journal_close(p->j);
    p->j = NULL;
}

/* Refuses, twice, and changes no byte of the file and its log. */
static void
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

static void
scribble(const char *path, off_t from, size_t n)
{
    int fd = open(path, O_WRONLY);
    unsigned seed = 5;
    assert_true(fd >= 0);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1103515245u + 12345u;
        char byte = (char)(seed >> 16);
        assert_int_equal(pwrite(fd, &byte, 1, from + (off_t)i), 1);
    }
    close(fd);
}

static const struct {
    off_t length; /* cut to this; -1 leaves it */
    off_t from;   /* random bytes from here */
    size_t n;
} damages[] = {
    {1, 0, 0},
    {100, 0, 0},
    {4096, 0, 0},
    {5000, 0, 0},
    {40960, 0, 0},
    {-1, 0, 16},
    {-1, 0, 4096},
    {-1, 16, 84},
    {-1, 100, 3000},
    {-1, 4096, 4096},
    {-1, 20480, 4096},
    {0, 0, 10000},
};

static void
a_damaged_file_is_refused_and_left_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(damages); i++) {
        struct place p;
        place_fill(&p);
        assert_in_range(size_of(p.file), 50000, 200000);
        if (damages[i].length >= 0)
            assert_int_equal(truncate(p.file, damages[i].length), 0);
        scribble(p.file, damages[i].from, damages[i].n);
        assert_refused(&p, ": damaged: ");
        place_close(&p);
    }
}

static void
a_damaged_file_beside_a_log_is_left_alone(void **state)
{
    (void)state;
    struct place p;
    place_fill(&p);
    struct child c = start_holder(&p);
    kill_hard(&c);
    assert_true(size_of(p.log) > 0);
    assert_int_equal(truncate(p.file, 8192), 0);
    assert_refused(&p, ": damaged: ");
    assert_int_equal(truncate(p.file, 0), 0);
    assert_refused(&p, ": damaged: it is empty, but journal.sqlite-wal is not");
    place_close(&p);
}

static void
an_empty_file_is_a_new_one(void **state)
{
    (void)state;
    struct place p;
    place_fill(&p);
    assert_int_equal(truncate(p.file, 0), 0);
    place_reopen(&p);
    assert_cursor(&p, "");
    baseline(&p, "INBOX", 9, 9);
    assert_recorded(&p, "9:9");
    place_close(&p);
}

static const struct {
    const char *sql;
    const char *why;
} strangers[] = {
    {"PRAGMA user_version = 2", ": written by a later version (format 2, this one knows 1)"},
    {"PRAGMA user_version = 0", ": not a journal of mailcall"},
    {"PRAGMA user_version = -1", ": not a journal of mailcall"},
    {"PRAGMA application_id = 0", ": not a journal of mailcall"},
    {"PRAGMA application_id = 77", ": not a journal of mailcall"},
    {"PRAGMA application_id = 0; PRAGMA user_version = 0", ": not a journal of mailcall"},
    {"PRAGMA ignore_check_constraints = 1; UPDATE mailbox SET mark = -1", ": damaged: CHECK"},
};

static void
a_file_that_is_not_for_us_is_refused_and_left_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(strangers); i++) {
        struct place p;
        place_fill(&p);
        run_sql(p.file, strangers[i].sql);
        assert_refused(&p, strangers[i].why);
        place_close(&p);
    }
}

static void
a_file_another_program_works_on_is_refused(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    place_fill(&p);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(p.file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT * FROM taken", NULL, NULL, NULL), SQLITE_OK);
    assert_null(journal_open(p.folder, &e));
    assert_int_equal(e.kind, ERR_AGAIN);
    assert_non_null(strstr(e.text, "another program has it open"));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    place_reopen(&p);
    place_close(&p);
}

/* --- file systems that refuse --- */

/* No file grows beyond this any more. */
static void
limit_files(rlim_t size)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void
assert_commit_fails(struct place *p)
{
    struct err e = {0};
    assert_int_equal(journal_commit(p->j, &e), -1);
    assert_int_equal(e.kind, ERR_IO);
    assert_memory_equal(e.text, p->file, strlen(p->file));
}

static void
a_failed_commit_loses_nothing(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    baseline(&p, "INBOX", 7, 100);
    journal_take(p.j, "work", "INBOX", 105);
    journal_take(p.j, "work", "INBOX", 107);
    limit_files((rlim_t)size_of(p.log));
    assert_commit_fails(&p);
    assert_cursor(&p, "7:100+105+107");
    journal_settle(p.j, "work", "INBOX", 105);
    journal_take(p.j, "work", "INBOX", 109);
    assert_commit_fails(&p);
    assert_commit_fails(&p);
    assert_cursor(&p, "7:105+107+109");
    limit_files(RLIM_INFINITY);
    flushes = 0;
    assert_recorded(&p, "7:105+107+109");
    place_close(&p);
}

static void
a_failed_commit_records_nothing(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    baseline(&p, "INBOX", 7, 100);
    journal_settle(p.j, "work", "INBOX", 101);
    for (uint32_t uid = 200; uid < 5000; uid++) /* many pages, so that it fails in the middle */
        journal_take(p.j, "work", "INBOX", uid);
    limit_files((rlim_t)size_of(p.log) + 10000);
    assert_commit_fails(&p);
    limit_files(RLIM_INFINITY);
    place_reopen(&p);
    assert_cursor(&p, "7:100");
    place_close(&p);
}

static void
a_failed_baseline_waits_and_is_flushed_later(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    place_open(&p);
    baseline(&p, "INBOX", 7, 100);
    journal_take(p.j, "work", "INBOX", 105);
    commit(&p);
    limit_files((rlim_t)size_of(p.log));
    assert_int_equal(journal_baseline(p.j, "work", "INBOX", 8, 3, &e), -1);
    assert_int_equal(e.kind, ERR_IO);
    assert_cursor(&p, "8:3");
    journal_take(p.j, "work", "INBOX", 5);
    limit_files(RLIM_INFINITY);
    flushes = 0;
    commit(&p);
#ifdef __linux__
    assert_true(flushes > 0);
#endif
    flushes = 0;
    journal_settle(p.j, "work", "INBOX", 4);
    commit(&p);
    assert_int_equal(flushes, 0);
    assert_recorded(&p, "8:4+5");
    place_close(&p);
}

static void
a_full_disk_while_tidying_loses_nothing(void **state)
{
    (void)state;
    struct place p;
    uint32_t uid = 1;
    char want[32];
    place_open(&p);
    baseline(&p, "INBOX", 7, 0);
    for (; size_of(p.log) < 5 * 1024 * 1024; uid++) {
        journal_settle(p.j, "work", "INBOX", uid);
        commit(&p);
    }
    limit_files(4096);
    journal_tidy(p.j);
    journal_settle(p.j, "work", "INBOX", uid);
    assert_commit_fails(&p);
    limit_files(RLIM_INFINITY);
    snprintf(want, sizeof want, "7:%u", uid);
    assert_recorded(&p, want);
    place_close(&p);
}

static void
a_folder_that_cannot_be_had_is_refused(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    place_fill(&p);
    char *below = xasprintf("%s/lock/below", p.folder);
    assert_null(journal_open(below, &e));
    assert_int_equal(e.kind, ERR_CREATE);
    free(below);
    assert_int_equal(chmod(p.folder, 0770), 0);
    assert_null(journal_open(p.folder, &e));
    assert_int_equal(e.kind, ERR_CREATE);
    assert_non_null(strstr(e.text, "others can write to it"));
    assert_int_equal(chmod(p.folder, 0700), 0);
    place_close(&p);
}

static void
a_full_disk_at_the_first_start_leaves_no_half_journal(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    place_fill(&p);
    for (rlim_t size = 0; size < 40000; size += 1000) {
        unlink(p.file);
        limit_files(size);
        struct journal *j = journal_open(p.folder, &e);
        limit_files(RLIM_INFINITY);
        if (j == NULL)
            assert_int_equal(e.kind, ERR_IO);
        journal_close(j);
        place_reopen(&p);
        assert_cursor(&p, "");
        journal_close(p.j);
        p.j = NULL;
    }
    place_close(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mailbox_never_seen_is_unknown),
        cmocka_unit_test(what_is_recorded_is_found_again),
        cmocka_unit_test(a_mark_never_goes_back),
        cmocka_unit_test(the_largest_numbers_fit),
        cmocka_unit_test(a_new_epoch_replaces_everything),
        cmocka_unit_test(mailboxes_without_a_baseline_stay_unknown),
        cmocka_unit_test(names_are_told_apart),
        cmocka_unit_test(a_thousand_uids_in_any_order_are_kept_in_order),
        cmocka_unit_test(closing_commits_nothing),
        cmocka_unit_test(only_a_baseline_is_flushed),
        cmocka_unit_test(nothing_to_do_writes_nothing),
        cmocka_unit_test(tidying_shortens_a_grown_log),
        cmocka_unit_test(files_are_ours_alone_whatever_the_umask),
        cmocka_unit_test(a_restored_file_that_others_can_read_is_closed_to_them),
        cmocka_unit_test(a_second_process_is_refused_until_the_first_is_dead),
        cmocka_unit_test(a_second_journal_of_the_same_process_is_refused),
        cmocka_unit_test(a_kill_leaves_exactly_one_committed_state),
        cmocka_unit_test(a_damaged_file_is_refused_and_left_alone),
        cmocka_unit_test(a_damaged_file_beside_a_log_is_left_alone),
        cmocka_unit_test(an_empty_file_is_a_new_one),
        cmocka_unit_test(a_file_that_is_not_for_us_is_refused_and_left_alone),
        cmocka_unit_test(a_file_another_program_works_on_is_refused),
        cmocka_unit_test(a_failed_commit_loses_nothing),
        cmocka_unit_test(a_failed_commit_records_nothing),
        cmocka_unit_test(a_failed_baseline_waits_and_is_flushed_later),
        cmocka_unit_test(a_full_disk_while_tidying_loses_nothing),
        cmocka_unit_test(a_folder_that_cannot_be_had_is_refused),
        cmocka_unit_test(a_full_disk_at_the_first_start_leaves_no_half_journal),
    };
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
