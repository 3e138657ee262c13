/* job/journal: jobs. What comes back is compared with a model that is told the same, over commits
 * that fail, kills at every write, and other ends of a process. */
#include "journal_place.h"

#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

/* --- records: all that is in one follows from three numbers --- */

struct plan {
    uint64_t id;
    unsigned serial;  /* the event, and all that never changes */
    unsigned version; /* counts moves */
    unsigned file;    /* counts files */
};

enum { LONG_LETTER = 100000 };

static char letters[LONG_LETTER];

static enum job_stage
stage_of(unsigned version)
{
    return (enum job_stage)(1 + version % 5);
}

static size_t
letter_length(unsigned serial)
{
    static const size_t lengths[] = {0, 1, 300, 4096, 9000, 700, 20000};
    return serial % 50 == 49 ? LONG_LETTER : lengths[serial % COUNT(lengths)];
}

/* The record, and room for what it points to. */
struct sample {
    struct record r;
    char event[32], rule[32], subject[64], file[32];
};

static void
fill(struct sample *s, const struct plan *p)
{
    static const char *const results[] = {"", "ok", "timeout"};
    snprintf(s->event, sizeof s->event, "event-%u", p->serial);
    snprintf(s->rule, sizeof s->rule, "rule %u", p->serial % 3);
    snprintf(s->subject, sizeof s->subject, "%u gr\303\274n'; --", p->serial);
    snprintf(s->file, sizeof s->file, "%s%u", p->file % 4 == 3 ? "" : "file.", p->file);
    s->r = (struct record){
        .id = p->id,
        .account = "work",
        .mailbox = p->serial % 2 ? "INBOX" : "Lists",
        .uidvalidity = UINT32_MAX - p->serial,
        .uid = p->serial,
        .event = s->event,
        .rule = s->rule,
        .subject = s->subject,
        .letter = {letters + p->serial % 7, letter_length(p->serial) - p->serial % 7 % 2},
        .file = s->file,
        .file_size = (uint64_t)p->file << 33,
        .file_is_whole = p->file % 2,
        .stage = stage_of(p->version),
        .attempt = p->version * 1000003u,
        .batch = p->id > 1 && p->version % 3 != 0,
        .due = (int64_t)p->version * -1000,
        .since = 1750000000000 + p->version,
        .result = results[p->version % 3],
        .status = (int)p->version - 3,
        .acted = p->version,
        .halfway = p->version % 2,
        .tail = {letters, p->version % 4 * 1000},
    };
    if (s->r.letter.n > LONG_LETTER - 7)
        s->r.letter.n = LONG_LETTER - 7;
    memset(s->r.file_digest, (int)p->file, DIGEST_SIZE);
}

static void
assert_same_span(struct span a, struct span b)
{
    assert_int_equal(a.n, b.n);
    assert_non_null(a.p);
    if (a.n > 0)
        assert_memory_equal(a.p, b.p, a.n);
}

static void
assert_same(const struct record *a, const struct record *b)
{
    assert_true(a->id == b->id);
    assert_string_equal(a->event, b->event);
    assert_string_equal(a->account, b->account);
    assert_string_equal(a->mailbox, b->mailbox);
    assert_string_equal(a->rule, b->rule);
    assert_string_equal(a->subject, b->subject);
    assert_int_equal(a->uidvalidity, b->uidvalidity);
    assert_int_equal(a->uid, b->uid);
    assert_same_span(a->letter, b->letter);
    assert_string_equal(a->file, b->file);
    assert_true(a->file_size == b->file_size);
    assert_memory_equal(a->file_digest, b->file_digest, DIGEST_SIZE);
    assert_int_equal(a->file_is_whole, b->file_is_whole);
    assert_int_equal(a->stage, b->stage);
    assert_int_equal(a->attempt, b->attempt);
    assert_true(a->batch == b->batch);
    assert_true(a->due == b->due);
    assert_true(a->since == b->since);
    assert_string_equal(a->result, b->result);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->acted, b->acted);
    assert_int_equal(a->halfway, b->halfway);
    assert_same_span(a->tail, b->tail);
}

/* --- the model: what a journal should hold --- */

struct model {
    struct plan plans[4000];
    size_t n;
};

struct walk {
    const struct model *m;
    size_t at;
    bool dead;
};

static void
skip_others(struct walk *w)
{
    while (w->at < w->m->n && (stage_of(w->m->plans[w->at].version) == STAGE_DEAD) != w->dead)
        w->at++;
}

static void
walk_on(void *arg, const struct record *r)
{
    struct walk *w = arg;
    struct sample s;
    skip_others(w);
    assert_in_range(w->at, 0, w->m->n - 1);
    fill(&s, &w->m->plans[w->at++]);
    assert_same(r, &s.r);
}

static void
assert_model(struct place *p, const struct model *m)
{
    unsigned dead = 0;
    for (int kind = 0; kind < 2; kind++) {
        struct walk w = {m, 0, kind};
        struct err e = {0};
        int rc = journal_each(p->j, kind, walk_on, &w, &e);
        assert_string_equal(e.text, "");
        assert_int_equal(rc, 0);
        skip_others(&w);
        assert_int_equal(w.at, m->n);
    }
    for (size_t i = 0; i < m->n; i++)
        dead += stage_of(m->plans[i].version) == STAGE_DEAD;
    assert_int_equal(journal_dead(p->j), dead);
}

/* Waiting, committed, and read again by another journal: always the same. */
static void
assert_model_recorded(struct place *p, const struct model *m)
{
    assert_model(p, m);
    commit(p);
    assert_model(p, m);
    place_reopen(p);
    assert_model(p, m);
}

static void
add(struct place *p, struct model *m, unsigned serial, unsigned version)
{
    struct plan plan = {0, serial, version, 0};
    struct sample s;
    fill(&s, &plan);
    plan.id = journal_add(p->j, &s.r);
    assert_true(plan.id > 0 && plan.id == s.r.id);
    assert_true(m->n == 0 || plan.id > m->plans[m->n - 1].id);
    assert_in_range(m->n, 0, COUNT(m->plans) - 1);
    m->plans[m->n++] = plan;
    fill(&s, &plan);
    journal_move(p->j, &s.r); /* of the batch nothing was known before it had an id */
}

static void
move(struct place *p, struct plan *plan, unsigned version)
{
    struct sample s;
    plan->version = version;
    fill(&s, plan);
    /* what never changes is not looked at */
    s.r.event = s.r.rule = s.r.subject = s.r.account = s.r.mailbox = s.r.file = NULL;
    s.r.letter = (struct span){0};
    journal_move(p->j, &s.r);
}

static void
refile(struct place *p, struct plan *plan, unsigned file)
{
    struct sample s;
    plan->file = file;
    fill(&s, plan);
    s.r.event = s.r.rule = s.r.subject = s.r.account = s.r.mailbox = s.r.result = NULL;
    s.r.letter = s.r.tail = (struct span){0};
    s.r.stage = STAGE_DEAD;
    journal_refile(p->j, &s.r);
}

static void
drop(struct place *p, struct model *m, size_t at)
{
    journal_drop(p->j, m->plans[at].id);
    m->n--;
    memmove(&m->plans[at], &m->plans[at + 1], (m->n - at) * sizeof m->plans[0]);
}

static unsigned seed;

static unsigned
roll(unsigned below)
{
    seed = (seed * 1103515245u + 12345u) & 0x7fffffffu;
    return (seed >> 8) % below;
}

/* --- one after the other --- */

static void
a_job_is_found_again_as_it_was(void **state)
{
    (void)state;
    static struct model m;
    struct place p;
    place_open(&p);
    m.n = 0;
    for (unsigned serial = 0; serial < 100; serial++)
        add(&p, &m, serial, serial);
    assert_model_recorded(&p, &m);
    place_close(&p);
}

static void
a_job_moves_is_refiled_and_goes(void **state)
{
    (void)state;
    static struct model m;
    struct place p;
    place_open(&p);
    m.n = 0;
    for (unsigned serial = 0; serial < 8; serial++)
        add(&p, &m, serial, 0);
    assert_model_recorded(&p, &m);
    for (unsigned version = 1; version < 12; version++) {
        move(&p, &m.plans[version % 8], version);
        refile(&p, &m.plans[version % 5], version);
        assert_model_recorded(&p, &m);
    }
    while (m.n > 0) {
        drop(&p, &m, m.n / 2);
        assert_model_recorded(&p, &m);
    }
    place_close(&p);
}

static void
changes_of_a_turn_become_one(void **state)
{
    (void)state;
    static struct model m;
    struct place p;
    place_open(&p);
    m.n = 0;
    add(&p, &m, 1, 0);
    add(&p, &m, 2, 0);
    commit(&p);
    add(&p, &m, 3, 0);
    for (unsigned version = 1; version < 20; version++) {
        move(&p, &m.plans[0], version);
        move(&p, &m.plans[2], version);
        refile(&p, &m.plans[0], version);
        refile(&p, &m.plans[2], version + 1);
        assert_model(&p, &m);
    }
    move(&p, &m.plans[1], 7);
    drop(&p, &m, 1);
    assert_model_recorded(&p, &m);
    place_close(&p);
}

static void
what_comes_and_goes_in_one_turn_is_not_written(void **state)
{
    (void)state;
    static struct model m;
    struct place p;
    place_open(&p);
    m.n = 0;
    add(&p, &m, 1, 0);
    commit(&p);
    writes = 0;
    for (unsigned serial = 2; serial < 200; serial++) {
        add(&p, &m, serial, 0);
        move(&p, &m.plans[1], 4);
        refile(&p, &m.plans[1], 2);
        drop(&p, &m, 1);
        assert_int_equal(journal_dead(p.j), 0);
    }
    commit(&p);
    assert_int_equal(writes, 0);
    assert_model_recorded(&p, &m);
    place_close(&p);
}

static void
a_job_that_moves_at_once_is_written_once(void **state)
{
    (void)state;
    static struct model m;
    struct place p;
    unsigned plain;
    place_open(&p);
    m.n = 0;
    for (unsigned serial = 0; serial < 20; serial++) /* pages enough that none is begun */
        add(&p, &m, 4 * 7 + 2, 0), drop(&p, &m, 0), commit(&p);
    add(&p, &m, 2, 2);
    writes = 0;
    commit(&p);
    plain = writes;
    drop(&p, &m, 0);
    commit(&p);
    add(&p, &m, 2, 0);
    for (unsigned version = 0; version <= 2; version++)
        move(&p, &m.plans[0], version);
    writes = 0;
    commit(&p);
    assert_int_equal(writes, plain);
    assert_model_recorded(&p, &m);
    place_close(&p);
}

static void
nobody_need_give_a_text(void **state)
{
    (void)state;
    struct place p;
    struct record r = {.event = "bare", .stage = STAGE_PLANNED};
    place_open(&p);
    assert_true(journal_add(p.j, &r) > 0);
    commit(&p);
    journal_move(p.j, &r);
    journal_refile(p.j, &r);
    commit(&p);
    journal_close(p.j);
    p.j = NULL;
    run_sql(p.file, "CREATE TEMP TABLE one (x CHECK (x = 1)); INSERT INTO one SELECT count(*) FROM"
                    " job WHERE account = '' AND mailbox = '' AND rule = '' AND subject = '' AND"
                    " file = '' AND result = '' AND letter = x'' AND tail = x''");
    place_reopen(&p);
    place_close(&p);
}

/* --- names and numbers --- */

static uint64_t
add_event(struct place *p, const char *event, enum job_stage stage)
{
    struct record r = {.event = event, .stage = stage};
    uint64_t id = journal_add(p->j, &r);
    assert_true(id == r.id);
    return id;
}

static void
an_event_that_is_there_already_stays(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    uint64_t first = add_event(&p, "a", STAGE_PLANNED);
    uint64_t dead = add_event(&p, "b", STAGE_DEAD);
    for (int turn = 0; turn < 3; turn++) { /* waiting, committed, read again */
        assert_true(add_event(&p, "a", STAGE_DEAD) == 0);
        assert_true(add_event(&p, "b", STAGE_PLANNED) == 0);
        assert_int_equal(journal_dead(p.j), 1);
        commit(&p);
        if (turn == 1)
            place_reopen(&p);
    }
    journal_drop(p.j, dead);
    uint64_t second = add_event(&p, "b", STAGE_PLANNED); /* while the drop waits */
    assert_true(second > dead && dead > first);
    assert_true(add_event(&p, "b", STAGE_PLANNED) == 0);
    commit(&p);
    assert_true(add_event(&p, "b", STAGE_PLANNED) == 0);
    journal_drop(p.j, first);
    commit(&p);
    assert_true(add_event(&p, "a", STAGE_PLANNED) > second);
    commit(&p);
    assert_int_equal(journal_dead(p.j), 0);
    place_close(&p);
}

static void
no_record_is_changed_by_the_id_of_none(void **state)
{
    (void)state;
    static struct model m;
    struct place p;
    struct record none = {.stage = STAGE_DEAD};
    place_open(&p);
    m.n = 0;
    add(&p, &m, 1, 0);
    for (int turn = 0; turn < 2; turn++) {
        journal_move(p.j, &none);
        journal_refile(p.j, &none);
        journal_drop(p.j, 0);
        assert_model_recorded(&p, &m);
    }
    none.id = m.plans[0].id; /* settled, and moved again in the same turn */
    drop(&p, &m, 0);
    journal_move(p.j, &none);
    journal_refile(p.j, &none);
    journal_drop(p.j, none.id);
    assert_model_recorded(&p, &m);
    place_close(&p);
}

static void
an_id_is_not_given_again_while_a_batch_is_called_by_it(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    struct record follower = {.event = "follower", .stage = STAGE_PLANNED};
    struct record leader = {.event = "leader", .stage = STAGE_PLANNED};
    journal_add(p.j, &follower);
    follower.batch = journal_add(p.j, &leader);
    journal_move(p.j, &follower);
    commit(&p);
    journal_drop(p.j, leader.id);
    commit(&p);
    place_reopen(&p);
    assert_true(add_event(&p, "next", STAGE_PLANNED) == leader.id + 1);
    place_close(&p);
}

static void
the_dead_are_counted(void **state)
{
    (void)state;
    static struct model m;
    struct place p;
    place_open(&p);
    m.n = 0;
    for (unsigned serial = 0; serial < 50; serial++)
        add(&p, &m, serial, serial % 7 == 0 ? 4 : 0);
    assert_int_equal(journal_dead(p.j), 8);
    assert_model_recorded(&p, &m);
    for (size_t i = 0; i < m.n; i++)
        move(&p, &m.plans[i], i % 2 ? 4 : 3);
    assert_int_equal(journal_dead(p.j), 25);
    for (size_t i = m.n; i-- > 10;)
        drop(&p, &m, i);
    assert_int_equal(journal_dead(p.j), 5);
    assert_model_recorded(&p, &m);
    place_close(&p);
}

/* --- at random --- */

static void
change_at_random(struct place *p, struct model *m, unsigned *serial)
{
    size_t at = m->n > 0 ? roll((unsigned)m->n) : 0;
    unsigned what = roll(10);
    if (m->n == 0 || (what < 3 && m->n < 60))
        add(p, m, ++*serial, roll(5));
    else if (what < 6)
        move(p, &m->plans[at], roll(100));
    else if (what < 8)
        refile(p, &m->plans[at], roll(100));
    else
        drop(p, m, at);
}

/* What a commit did that may have failed in the middle. */
static void
try_to_commit(struct place *p, struct model *m, struct model *committed)
{
    static const int numbers[] = {ENOSPC, EIO, EROFS, EDQUOT};
    struct err e = {0};
    set_fault(roll(40), numbers[roll(COUNT(numbers))]);
    int rc = journal_commit(p->j, &e);
    set_fault(-1, 0);
    if (rc == 0)
        *committed = *m;
    else
        assert_int_equal(e.kind, ERR_IO);
}

static void
any_story_ends_as_the_model_says(void **state)
{
    (void)state;
    static struct model m, committed;
    struct place p;
    unsigned serial = 0;
    place_open(&p);
    m.n = committed.n = 0;
    seed = 4711;
    for (int step = 0; step < 4000; step++) {
        change_at_random(&p, &m, &serial);
        if (roll(4) == 0)
            try_to_commit(&p, &m, &committed);
        if (roll(8) == 0)
            assert_model(&p, &m);
        if (roll(40) == 0) {
            place_reopen(&p); /* what was not committed is lost, and nothing else */
            m = committed;
            assert_model(&p, &m);
        }
    }
    assert_model_recorded(&p, &m);
    place_close(&p);
}

/* --- disks that are full --- */

static void
a_thousand_jobs_wait_through_ten_thousand_changes(void **state)
{
    (void)state;
    static struct model m;
    struct place p;
    place_open(&p);
    m.n = 0;
    for (unsigned serial = 0; serial < 500; serial++)
        add(&p, &m, serial, 0);
    commit(&p);
    set_fault(0, ENOSPC);
    for (unsigned serial = 500; serial < 1000; serial++)
        add(&p, &m, serial, 0);
    seed = 3;
    for (unsigned i = 0; i < 10000; i++) {
        move(&p, &m.plans[roll(1000)], roll(50));
        if (i % 1000 == 0)
            assert_commit_fails(&p);
    }
    assert_model(&p, &m);
    set_fault(-1, 0);
    assert_model_recorded(&p, &m);
    place_close(&p);
}

/* Some of each kind of change. */
static void
change_a_little(struct place *p, struct model *m, unsigned serial)
{
    struct sighting seen = {
        {(unsigned char)serial, (unsigned char)(serial >> 8)}, .received = serial};
    add(p, m, serial, 1);
    add(p, m, serial + 1, 0);
    move(p, &m->plans[0], serial % 100);
    refile(p, &m->plans[1], serial);
    drop(p, m, 2);
    journal_take(p->j, "work", "INBOX", serial + 1);
    journal_settle(p->j, "work", "INBOX", serial);
    journal_see(p->j, "work", "INBOX", &seen);
}

static void
begin_model(struct place *p, struct model *m)
{
    place_open(p);
    baseline(p, "INBOX", 7, 0);
    m->n = 0;
    for (unsigned serial = 0; serial < 6; serial++)
        add(p, m, serial, 0);
    commit(p);
}

static void
a_commit_that_fails_at_any_write_loses_nothing(void **state)
{
    (void)state;
#ifdef __linux__
    static struct model m;
    struct place p;
    struct err e;
    char want[32];
    unsigned serial = 100;
    begin_model(&p, &m);
    for (long after = 0, rc = -1; rc < 0; after++, serial += 2) {
        change_a_little(&p, &m, serial);
        set_fault(after, ENOSPC);
        rc = journal_commit(p.j, &e);
        if (rc < 0) {
            assert_int_equal(e.kind, ERR_IO);
            assert_commit_fails(&p);
        }
        set_fault(-1, 0);
        assert_model(&p, &m);
        snprintf(want, sizeof want, "7:%u+%u", serial, serial + 1);
        assert_recorded(&p, want); /* commits */
        assert_model(&p, &m);
        assert_true(after < 100);
    }
    place_close(&p);
#else
    skip();
#endif
}

static void
a_full_disk_is_waited_for(void **state)
{
    (void)state;
#ifdef __linux__
    static struct model m;
    struct place p = {.folder = "/tmp/mailcall-journal.XXXXXX"};
    struct err e = {0};
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        skip();
    assert_non_null(mkdtemp(p.folder));
    assert_int_equal(mount("none", p.folder, "tmpfs", 0, "size=1m,mode=0700"), 0);
    snprintf(p.file, sizeof p.file, "%s/journal.sqlite", p.folder);
    place_reopen(&p);
    m.n = 0;
    unsigned serial = 0;
    for (; journal_commit(p.j, &e) == 0; serial += 10) {
        assert_in_range(serial, 0, 1000);
        for (unsigned i = 0; i < 10; i++)
            add(&p, &m, serial + i, 0);
    }
    assert_int_equal(e.kind, ERR_IO);
    assert_non_null(strstr(e.text, "database or disk is full"));
    for (size_t i = 0; i < m.n; i++)
        move(&p, &m.plans[i], (unsigned)i);
    add(&p, &m, 5000, 0);
    assert_commit_fails(&p);
    journal_tidy(p.j, false);
    assert_model(&p, &m);
    assert_int_equal(mount("none", p.folder, "tmpfs", MS_REMOUNT, "size=16m"), 0);
    assert_model_recorded(&p, &m);
    journal_close(p.j);
    assert_int_equal(umount(p.folder), 0);
    assert_int_equal(rmdir(p.folder), 0);
#else
    skip();
#endif
}

/* --- ends of a process --- */

/* After round r there are the jobs of the last rounds, each moved on in every round; every fifth
 * dies of it and stays longer; and the mailbox's mark is r. Their ids are their rounds'. */
enum { LIFE = 7, REMEMBERED = 20 };

static bool
is_alive(unsigned serial, unsigned age)
{
    return age < LIFE || (serial % 5 == 0 && age < REMEMBERED);
}

static struct plan
plan_at(unsigned serial, unsigned age)
{
    unsigned version = age < LIFE ? age : serial % 5 == 0 ? 9 : 0;
    return (struct plan){serial, serial, version, (age < LIFE ? age : LIFE) / 3};
}

static void
play_job(struct journal *j, unsigned serial, unsigned age)
{
    struct plan plan = plan_at(serial, age);
    struct sample s;
    fill(&s, &plan);
    if (age == 0) {
        journal_add(j, &s.r);
    } else if (is_alive(serial, age)) {
        journal_move(j, &s.r);
        journal_refile(j, &s.r);
    } else if (is_alive(serial, age - 1)) {
        journal_drop(j, serial);
    }
}

static void
play_round(struct journal *j, unsigned r)
{
    for (unsigned age = 0; age <= REMEMBERED && age < r; age++)
        play_job(j, r - age, age);
    journal_settle(j, "work", "INBOX", r);
}

static void
assert_round(struct place *p, unsigned r)
{
    static struct model m;
    char want[32];
    m.n = 0;
    for (unsigned serial = r > REMEMBERED ? r - REMEMBERED : 1; serial <= r; serial++)
        if (is_alive(serial, r - serial))
            m.plans[m.n++] = plan_at(serial, r - serial);
    assert_model(p, &m);
    snprintf(want, sizeof want, "7:%u", r);
    assert_cursor(p, want);
}

static uint32_t
last_round(struct place *p)
{
    struct cursor c;
    struct err e;
    assert_int_equal(journal_load(p->j, "work", "INBOX", &c, &e), 0);
    uint32_t r = c.mark;
    cursor_free(&c);
    return r;
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
    for (uint32_t r = c.mark + 1;; r++) {
        play_round(j, r);
        if (write(to, &r, sizeof r) != sizeof r || journal_commit(j, &e) < 0 ||
            write(to, &r, sizeof r) != sizeof r)
            return;
        if (r % 50 == 0)
            journal_tidy(j, false);
    }
}

/* One round, killed at the write that was armed, or after its commit. */
static void
play_to_the_end(struct place *p, int to)
{
    struct err e = {0};
    struct cursor c = {0};
    long after = fault.after;
    set_fault(-1, 0);
    struct journal *j = journal_open(p->folder, &e);
    if (j == NULL || journal_load(j, "work", "INBOX", &c, &e) < 0)
        return;
    play_round(j, c.mark + 1);
    set_fault(after, 0);
    if (journal_commit(j, &e) == 0 && write(to, "", 1) == 1)
        raise(SIGKILL);
}

/* Whether it came to the end of its commit. */
static bool
play_in_child(struct place *p, long after)
{
    char byte;
    int status;
    journal_close(p->j);
    p->j = NULL;
    set_fault(after, 0);
    struct child c = start(play_to_the_end, p);
    set_fault(-1, 0);
    bool finished = read(c.from, &byte, 1) == 1;
    assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(c.from);
    place_reopen(p);
    return finished;
}

static void
a_stop_after_any_commit_leaves_what_it_committed(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    baseline(&p, "INBOX", 7, 0);
    for (unsigned r = 1; r < 60; r++) {
        assert_true(play_in_child(&p, -1));
        assert_round(&p, r);
    }
    place_close(&p);
}

static void
a_kill_at_any_write_leaves_all_of_a_commit_or_nothing(void **state)
{
    (void)state;
#ifdef __linux__
    struct place p;
    unsigned r = 0, before = 0, after = 0;
    place_open(&p);
    baseline(&p, "INBOX", 7, 0);
    for (; r < 30; r++) {
        play_round(p.j, r + 1);
        commit(&p);
    }
    for (long n = 0; n < 400; n++) {
        bool finished = play_in_child(&p, n);
        unsigned found = last_round(&p);
        assert_in_range(found, r, r + 1);
        assert_round(&p, found);
        before += found == r && !finished;
        after += found > r && !finished;
        assert_true(!finished || found == r + 1);
        r = found;
        if (finished)
            break;
    }
    assert_true(before > 10);
    assert_int_equal(after, 0); /* the last write is what commits */
    place_close(&p);
#else
    skip();
#endif
}

static void
a_kill_at_any_moment_leaves_a_committed_round(void **state)
{
    (void)state;
    struct place p;
    uint32_t announced = 0, finished = 0;
    place_open(&p);
    baseline(&p, "INBOX", 7, 0);
    seed = 1;
    for (int kills = 0; kills < 30; kills++) {
        journal_close(p.j);
        p.j = NULL;
        struct child child = start(play_rounds, &p);
        kill_after(&child, 1 + roll(200), &announced, &finished);
        place_reopen(&p);
        uint32_t r = last_round(&p);
        assert_in_range(r, finished, announced);
        assert_round(&p, r);
        announced = finished = r;
    }
    assert_true(finished > 500);
    place_close(&p);
}

/* --- what it costs --- */

static void
a_thousand_turns_flush_nothing(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    baseline(&p, "INBOX", 7, 0);
    for (int turn = 0; turn < 2; turn++) {
        uint32_t first = last_round(&p);
        flushes = 0;
        for (uint32_t r = first + 1; r <= first + 1000; r++) {
            play_round(p.j, r);
            commit(&p);
        }
        assert_int_equal(flushes, 0);
        assert_in_range(size_of(p.log), 4 * 1024 * 1024, SIZE_MAX / 2);
        journal_tidy(p.j, false); /* the second time the log begins anew */
        assert_in_range(size_of(p.log), 1, 64 * 1024);
#ifdef __linux__
        assert_true(flushes > 0);
#endif
    }
    place_close(&p);
}

/* --- damage --- */

static const char *const damages[] = {
    "UPDATE job SET stage = 0",
    "UPDATE job SET stage = 6",
    "UPDATE job SET attempt = -1",
    "UPDATE job SET batch = 9223372036854775807",
    "UPDATE job SET id = 9223372036854775807 WHERE id = 3",
    "UPDATE job SET id = -1 WHERE id = 3",
    "UPDATE job SET status = 1 << 40",
    "UPDATE job SET acted = 1 << 40",
    "UPDATE job SET halfway = 2",
    "UPDATE job SET file_size = -1",
    "UPDATE job SET file_digest = x'00'",
    "UPDATE job SET file_is_whole = -1",
    "UPDATE job SET uid = 1 << 32",
    "UPDATE job SET uidvalidity = -1",
    "UPDATE job SET event = '' WHERE id = 3",
    "UPDATE job SET result = printf('%300s', 'x')",
    "UPDATE job SET file = printf('%300s', 'x')",
};

static void
a_job_that_cannot_be_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(damages); i++) {
        static struct model m;
        struct place p;
        begin_model(&p, &m);
        journal_close(p.j);
        p.j = NULL;
        char *sql = xasprintf("PRAGMA ignore_check_constraints = 1; %s", damages[i]);
        run_sql(p.file, sql);
        free(sql);
        assert_refused(&p, ": damaged: CHECK");
        place_close(&p);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_found_again_as_it_was),
        cmocka_unit_test(a_job_moves_is_refiled_and_goes),
        cmocka_unit_test(changes_of_a_turn_become_one),
        cmocka_unit_test(what_comes_and_goes_in_one_turn_is_not_written),
        cmocka_unit_test(a_job_that_moves_at_once_is_written_once),
        cmocka_unit_test(nobody_need_give_a_text),
        cmocka_unit_test(an_event_that_is_there_already_stays),
        cmocka_unit_test(no_record_is_changed_by_the_id_of_none),
        cmocka_unit_test(an_id_is_not_given_again_while_a_batch_is_called_by_it),
        cmocka_unit_test(the_dead_are_counted),
        cmocka_unit_test(any_story_ends_as_the_model_says),
        cmocka_unit_test(a_thousand_jobs_wait_through_ten_thousand_changes),
        cmocka_unit_test(a_commit_that_fails_at_any_write_loses_nothing),
        cmocka_unit_test(a_full_disk_is_waited_for),
        cmocka_unit_test(a_stop_after_any_commit_leaves_what_it_committed),
        cmocka_unit_test(a_kill_at_any_write_leaves_all_of_a_commit_or_nothing),
        cmocka_unit_test(a_kill_at_any_moment_leaves_a_committed_round),
        cmocka_unit_test(a_thousand_turns_flush_nothing),
        cmocka_unit_test(a_job_that_cannot_be_is_refused),
    };
    for (size_t i = 0; i < sizeof letters; i++)
        letters[i] = (char)(i * 7 >> 3);
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
