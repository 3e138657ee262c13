/* job/journal: what is found again of a mailbox after a close, a crash, a full disk or damage, and
 * what a commit may not cost. */
#include "journal_place.h"

/* No row but those of the marks: UIDs at or below them are not kept for ever. */
static void
assert_no_uid_is_left(struct place *p)
{
    journal_close(p->j);
    p->j = NULL;
    /* a uniqueness that holds only for a table without rows */
    run_sql(p->file, "CREATE TEMP TABLE one (x UNIQUE); INSERT INTO one VALUES (1);"
                     "INSERT INTO one SELECT 1 FROM taken UNION ALL SELECT 1 FROM wanted");
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
    for (uint32_t i = 0; i < COUNT(names); i++) {
        struct cursor c = {.uidvalidity = i + 1, .mark = 10};
        assert_int_equal(journal_baseline(p.j, names[i][0], names[i][1], &c, &e), 0);
    }
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

/* --- what is wanted, and what a baseline says besides --- */

static void
begin_wanting(struct place *p, uint32_t uidvalidity, uint32_t mark)
{
    static uint32_t wanted[] = {3, 50, 90, 100};
    struct err e = {0};
    const struct cursor c = {.uidvalidity = uidvalidity,
        .mark = mark,
        .wanted = wanted,
        .n_wanted = COUNT(wanted),
        .begun = 1000,
        .floor = 2000,
        .latest = 3000};
    assert_int_equal(journal_baseline(p->j, "work", "INBOX", &c, &e), 0);
}

static void
what_is_wanted_is_wanted_until_it_is_taken(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    begin_wanting(&p, 7, 100);
    assert_recorded(&p, "7:100-3-50-90-100");
    journal_take(p.j, "work", "INBOX", 50);
    journal_take(p.j, "work", "INBOX", 51);
    assert_recorded(&p, "7:100-3-90-100");
    journal_settle(p.j, "work", "INBOX", 200);
    journal_take(p.j, "work", "INBOX", 90); /* below the mark that waits */
    journal_take(p.j, "work", "INBOX", 300);
    assert_recorded(&p, "7:200+300-3-100");
    journal_take(p.j, "work", "INBOX", 100);
    journal_settle(p.j, "work", "INBOX", 300);
    assert_recorded(&p, "7:300-3");
    journal_take(p.j, "work", "INBOX", 3);
    assert_recorded(&p, "7:300");
    assert_no_uid_is_left(&p);
    place_close(&p);
}

static void
a_baseline_replaces_what_is_wanted(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    begin_wanting(&p, 7, 100);
    journal_take(p.j, "work", "INBOX", 3);
    begin_wanting(&p, 8, 60);
    assert_recorded(&p, "8:60-3-50-90-100");
    baseline(&p, "INBOX", 9, 4);
    assert_recorded(&p, "9:4");
    place_close(&p);
}

static void
assert_dates(struct place *p, int64_t begun, int64_t least, int64_t latest)
{
    struct cursor c;
    struct err e = {0};
    for (int turn = 0; turn < 3; turn++) {
        assert_int_equal(journal_load(p->j, "work", "INBOX", &c, &e), 0);
        assert_true(c.begun == begun);
        assert_true(c.floor == least);
        assert_true(c.latest == latest);
        cursor_free(&c);
        if (turn == 1)
            place_reopen(p);
        commit(p);
    }
}

static struct sighting
sighting(unsigned n, int64_t received)
{
    struct sighting s = {
        {(unsigned char)(n * 151), (unsigned char)(n >> 8), 0}, .received = received};
    memcpy(s.identity + 8, &n, sizeof n);
    return s;
}

static void
see(struct place *p, const char *mailbox, unsigned n, int64_t received)
{
    struct sighting s = sighting(n, received);
    journal_see(p->j, "work", mailbox, &s);
}

static bool
is_old(struct place *p, const char *mailbox, unsigned n)
{
    struct sighting s = sighting(n, 0);
    struct err e = {0};
    int rc = journal_has_seen(p->j, "work", mailbox, &s, &e);
    assert_string_equal(e.text, "");
    assert_in_range(rc, 0, 1);
    return rc == 1;
}

/* Whether it would be known, were the mailbox renumbered now. */
static bool
has_seen(struct place *p, const char *mailbox, unsigned n)
{
    struct cursor c;
    struct err e;
    assert_int_equal(journal_load(p->j, "work", mailbox, &c, &e), 0);
    if (c.known)
        assert_int_equal(journal_baseline(p->j, "work", mailbox, &c, &e), 0);
    cursor_free(&c);
    return is_old(p, mailbox, n);
}

static void
dates_are_kept_and_the_latest_follows_what_is_seen(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    begin_wanting(&p, 7, 100);
    assert_dates(&p, 1000, 2000, 3000);
    see(&p, "INBOX", 1, 2500);
    assert_dates(&p, 1000, 2000, 3000);
    baseline(&p, "INBOX", 8, 1);
    assert_dates(&p, 0, 0, 3000);
    begin_wanting(&p, 9, 100);
    see(&p, "INBOX", 2, 3500);
    see(&p, "INBOX", 3, 3400);
    see(&p, "Lists", 4, 9000);
    assert_dates(&p, 1000, 2000, 3500);
    baseline(&p, "INBOX", 8, 1);
    assert_dates(&p, 0, 0, 3500);
    place_close(&p);
}

static void
a_waiting_baseline_knows_the_latest(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    place_open(&p);
    begin_wanting(&p, 7, 100);
    see(&p, "INBOX", 1, 3500);
    commit(&p);
    limit_files((rlim_t)size_of(p.log));
    const struct cursor c = {.uidvalidity = 8, .mark = 3, .latest = 40};
    assert_int_equal(journal_baseline(p.j, "work", "INBOX", &c, &e), -1);
    assert_cursor(&p, "8:3");
    limit_files(RLIM_INFINITY);
    assert_dates(&p, 0, 0, 3500);
    place_close(&p);
}

static void
what_was_seen_is_known_again(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    baseline(&p, "INBOX", 7, 0);
    baseline(&p, "Lists", 7, 0);
    for (unsigned n = 0; n < 600; n += 2)
        see(&p, "INBOX", n * 7 % 600, n);
    for (int turn = 0; turn < 3; turn++) {
        for (unsigned n = 0; n < 600; n++)
            assert_int_equal(has_seen(&p, "INBOX", n), n % 2 == 0);
        assert_false(has_seen(&p, "Lists", 0));
        commit(&p);
        if (turn == 1)
            baseline(&p, "INBOX", 8, 1); /* another epoch, the same messages */
    }
    place_reopen(&p);
    assert_true(has_seen(&p, "INBOX", 44));
    place_close(&p);
}

/* Two alike in one epoch are two messages; one that comes again in another is the old one. */
static void
seen_means_before_the_last_baseline(void **state)
{
    (void)state;
    for (int committed = 0; committed < 2; committed++) {
        struct place p;
        place_open(&p);
        baseline(&p, "INBOX", 7, 0);
        see(&p, "INBOX", 5, 10);
        if (committed)
            commit(&p);
        assert_false(is_old(&p, "INBOX", 5));
        baseline(&p, "INBOX", 7, 0);
        see(&p, "INBOX", 6, 11);
        see(&p, "INBOX", 5, 11);
        for (int reopened = 0; reopened < 2; reopened++) {
            assert_true(is_old(&p, "INBOX", 5));
            assert_false(is_old(&p, "INBOX", 6));
            commit(&p);
            place_reopen(&p);
        }
        place_close(&p);
    }
}

static void
nothing_is_seen_in_a_mailbox_without_a_baseline(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    see(&p, "INBOX", 1, 100);
    assert_false(has_seen(&p, "INBOX", 1));
    commit(&p);
    assert_false(has_seen(&p, "INBOX", 1));
    see(&p, "INBOX", 2, 100);
    baseline(&p, "INBOX", 7, 0);
    assert_true(has_seen(&p, "INBOX", 2));
    assert_false(has_seen(&p, "INBOX", 1));
    place_close(&p);
}

static void
what_was_seen_long_ago_is_forgotten_when_tidying(void **state)
{
    (void)state;
    enum { DAY = 86400, OLD = 2500, NEW = 300 };
    struct place p;
    place_open(&p);
    baseline(&p, "INBOX", 7, 0);
    baseline(&p, "Lists", 7, 0);
    for (unsigned n = 0; n < OLD; n++)
        see(&p, "INBOX", n, 100 * DAY + n / 1500);
    see(&p, "Lists", 1, 100 * DAY); /* nothing newer there */
    see(&p, "INBOX", 1, 108 * DAY); /* seen again */
    commit(&p);
    journal_tidy(p.j, false);
    assert_true(has_seen(&p, "INBOX", 0));
    for (unsigned n = 0; n < NEW; n++)
        see(&p, "INBOX", OLD + n, 108 * DAY + 2);
    commit(&p);
    for (int turn = 0; turn < 4; turn++) /* bounded each */
        journal_tidy(p.j, false);
    for (unsigned n = 0; n < OLD + NEW; n++)
        assert_int_equal(has_seen(&p, "INBOX", n), n == 1 || n >= OLD);
    assert_true(has_seen(&p, "Lists", 1));
    place_close(&p);
}

static void
tidying_purges_after_every_start(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    baseline(&p, "INBOX", 7, 0);
    journal_tidy(p.j, false);
    see(&p, "INBOX", 1, 100);
    see(&p, "INBOX", 2, 101 + SEEN_DAYS * 86400);
    commit(&p);
    journal_tidy(p.j, false);
    assert_true(has_seen(&p, "INBOX", 1));
    place_reopen(&p);
    journal_tidy(p.j, false);
    assert_false(has_seen(&p, "INBOX", 1));
    assert_true(has_seen(&p, "INBOX", 2));
    place_close(&p);
}

static void
any_date_is_kept(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    baseline(&p, "INBOX", 7, 0);
    see(&p, "INBOX", 1, INT64_MIN);
    see(&p, "INBOX", 2, INT64_MAX);
    see(&p, "INBOX", 3, 0);
    assert_dates(&p, 0, 0, INT64_MAX);
    journal_tidy(p.j, false);
    assert_false(has_seen(&p, "INBOX", 1));
    assert_true(has_seen(&p, "INBOX", 2));
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
    journal_tidy(p.j, false);
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
        journal_tidy(j, false);
    }
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
    {"PRAGMA user_version = 3", ": written by a later version (format 3, this one knows 2)"},
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

/* --- files of earlier versions --- */

/* The first format, as it was written then: two mailboxes, and two UIDs taken in one. */
static const char first_format[] =
    "PRAGMA journal_mode = WAL;"
    "BEGIN;"
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
    ") STRICT, WITHOUT ROWID;"
    "PRAGMA application_id = 0x4d63616c;"
    "PRAGMA user_version = 1;"
    "INSERT INTO mailbox (account, name, uidvalidity, mark) VALUES ('work', 'INBOX', 7, 100);"
    "INSERT INTO mailbox (account, name, uidvalidity, mark) VALUES ('work', 'Lists', 9, 0);"
    "INSERT INTO taken (mailbox, uid) VALUES (1, 103), (1, 105);"
    "COMMIT";

static void
place_open_first_format(struct place *p)
{
    place_open(p);
    journal_close(p->j);
    p->j = NULL;
    unlink(p->file);
    run_sql(p->file, first_format);
}

static void
assert_brought_up(struct place *p)
{
    place_reopen(p);
    assert_cursor(p, "7:100+103+105");
    assert_cursor_of(p, "work", "Lists", "9:0");
    assert_dates(p, 0, 0, 0);
    see(p, "INBOX", 1, 100);
    struct record r = {.event = "a", .stage = STAGE_DEAD};
    assert_true(journal_add(p->j, &r) == 1);
    journal_settle(p->j, "work", "INBOX", 104);
    assert_recorded(p, "7:104+105");
    assert_int_equal(journal_dead(p->j), 1);
    assert_true(has_seen(p, "INBOX", 1));
}

static void
a_file_of_the_first_format_is_brought_up(void **state)
{
    (void)state;
    struct place p;
    place_open_first_format(&p);
    assert_brought_up(&p);
    place_close(&p);
}

static void
a_migration_that_fails_at_any_write_can_be_repeated(void **state)
{
    (void)state;
#ifdef __linux__
    long after = 0;
    for (bool failed = true; failed; after++) {
        struct place p;
        struct err e = {0};
        place_open_first_format(&p);
        set_fault(after, ENOSPC);
        struct journal *j = journal_open(p.folder, &e);
        failed = fault.after == 0;
        journal_close(j);
        set_fault(-1, 0);
        assert_brought_up(&p);
        place_close(&p);
    }
    assert_true(after > 10);
#else
    skip();
#endif
}

static void
migrate_only(struct place *p, int to)
{
    struct err e;
    (void)to;
    journal_close(journal_open(p->folder, &e));
}

static void
a_migration_that_is_killed_at_any_write_can_be_repeated(void **state)
{
    (void)state;
#ifdef __linux__
    int status = SIGKILL;
    long after = 0;
    for (; WIFSIGNALED(status); after++) {
        struct place p;
        place_open_first_format(&p);
        set_fault(after, 0);
        struct child c = start(migrate_only, &p);
        set_fault(-1, 0);
        assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
        close(c.from);
        assert_brought_up(&p);
        place_close(&p);
    }
    assert_true(after > 10);
#else
    skip();
#endif
}

/* --- file systems that refuse --- */

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
    struct cursor c = {.uidvalidity = 8, .mark = 3};
    assert_int_equal(journal_baseline(p.j, "work", "INBOX", &c, &e), -1);
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
    journal_tidy(p.j, false);
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
        cmocka_unit_test(what_is_wanted_is_wanted_until_it_is_taken),
        cmocka_unit_test(a_baseline_replaces_what_is_wanted),
        cmocka_unit_test(dates_are_kept_and_the_latest_follows_what_is_seen),
        cmocka_unit_test(a_waiting_baseline_knows_the_latest),
        cmocka_unit_test(what_was_seen_is_known_again),
        cmocka_unit_test(seen_means_before_the_last_baseline),
        cmocka_unit_test(nothing_is_seen_in_a_mailbox_without_a_baseline),
        cmocka_unit_test(what_was_seen_long_ago_is_forgotten_when_tidying),
        cmocka_unit_test(tidying_purges_after_every_start),
        cmocka_unit_test(any_date_is_kept),
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
        cmocka_unit_test(a_file_of_the_first_format_is_brought_up),
        cmocka_unit_test(a_migration_that_fails_at_any_write_can_be_repeated),
        cmocka_unit_test(a_migration_that_is_killed_at_any_write_can_be_repeated),
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
