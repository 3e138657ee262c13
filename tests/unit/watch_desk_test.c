/* watch/desk: what is told, run again and forgotten, on a real journal and a real spool. */
#include "base/mem.h"
#include "job/journal.h"
#include "job/spool.h"
#include "watch/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* --- a state folder --- */

struct place {
    char folder[40];
    char spool_folder[64];
    struct journal *j;
    struct spool *s;
};

static void
open_state(struct place *p)
{
    struct err e;
    p->j = journal_open(p->folder, &e);
    assert_non_null(p->j);
    p->s = spool_open_kept(p->spool_folder, &e);
    assert_non_null(p->s);
}

static void
close_state(struct place *p)
{
    spool_close(p->s);
    journal_close(p->j);
}

static void
open_place(struct place *p)
{
    *p = (struct place){.folder = "/tmp/mailcall.XXXXXX"};
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->spool_folder, sizeof p->spool_folder, "%s/spool", p->folder);
    open_state(p);
}

static void
close_place(struct place *p)
{
    char command[64];
    close_state(p);
    snprintf(command, sizeof command, "rm -rf '%s'", p->folder);
    assert_int_equal(system(command), 0);
}

static void
commit(struct place *p)
{
    struct err e;
    assert_int_equal(journal_commit(p->j, &e), 0);
}

/* --- records --- */

static struct record
dead(const char *event, const char *rule)
{
    return (struct record){
        .account = "work",
        .mailbox = "INBOX",
        .uidvalidity = 7,
        .uid = 4711,
        .event = event,
        .rule = rule,
        .subject = "Invoice",
        .letter = SPAN("letter\0with a NUL"),
        .file = "",
        .stage = STAGE_DEAD,
        .attempt = 6,
        .since = 1760000000000,
        .result = "fail",
        .status = 1,
        .tail = SPAN("out"),
    };
}

static struct record
alive(const char *event, const char *rule)
{
    struct record r = dead(event, rule);
    r.stage = STAGE_PLANNED;
    r.attempt = 0;
    r.result = "";
    r.status = 0;
    r.tail = SPAN("");
    return r;
}

static uint64_t
add(struct place *p, struct record r)
{
    return journal_add(p->j, &r);
}

/* A finished file of the spool, by its name; the caller frees. */
static char *
add_file(struct place *p)
{
    struct err e;
    struct spool_file *f = spool_begin(p->s, &e);
    assert_non_null(f);
    assert_int_equal(spool_write(f, SPAN("a message\n"), &e), 0);
    assert_int_equal(spool_finish(f, &e), 0);
    char *name = xstrdup(spool_note(f).name);
    spool_let_go(f);
    return name;
}

static uint64_t
add_with_file(struct place *p, struct record r, const char *file)
{
    r.file = file;
    r.file_size = 10;
    return journal_add(p->j, &r);
}

static bool
has_file(const struct place *p, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", p->spool_folder, name);
    return access(path, F_OK) == 0;
}

/* The record of this event as the journal has it; its texts end with the reading. */
struct seen {
    const char *event;
    struct record record;
    char result[16];
    char letter[64];
    size_t letter_size;
    bool found;
};

static void
see(void *arg, const struct record *r)
{
    struct seen *s = arg;
    if (strcmp(r->event, s->event) != 0)
        return;
    s->record = *r;
    s->found = true;
    snprintf(s->result, sizeof s->result, "%s", r->result);
    s->letter_size = r->letter.n;
    if (r->letter.n > 0)
        memcpy(s->letter, r->letter.p, r->letter.n);
}

static struct seen
look(struct place *p, const char *event)
{
    struct err e;
    struct seen s = {.event = event};
    assert_int_equal(journal_each(p->j, true, see, &s, &e), 0);
    assert_int_equal(journal_each(p->j, false, see, &s, &e), 0);
    return s;
}

/* --- questions --- */

static void
ask_for(struct place *p, struct desk_question *q, struct desk_answer *a)
{
    struct err e;
    assert_int_equal(desk_answer(p->j, p->s, q, a, NULL, NULL, &e), 0);
}

static struct desk_answer
ask(struct place *p, enum desk_what what, const char *event, const char *rule)
{
    struct desk_question q = {.what = what};
    struct desk_answer a;
    if (event != NULL)
        strv_add(&q.events, event);
    if (rule != NULL)
        strv_add(&q.rules, rule);
    ask_for(p, &q, &a);
    desk_question_free(&q);
    return a;
}

static void
assert_told(struct desk_answer a, const char *events)
{
    char told[256] = "";
    for (size_t i = 0; i < a.n; i++) {
        size_t n = strlen(told);
        snprintf(told + n, sizeof told - n, "%s%s", i > 0 ? " " : "", a.jobs[i].event);
    }
    assert_string_equal(told, events);
    desk_answer_free(&a);
}

/* --- telling --- */

static void
everything_of_a_failed_job_is_told(void **state)
{
    (void)state;
    struct place p;
    open_place(&p);
    add(&p, dead("a", "invoices"));
    struct desk_answer a = ask(&p, DESK_FAILED, NULL, NULL);
    assert_int_equal(a.n, 1);
    const struct desk_job *j = &a.jobs[0];
    assert_string_equal(j->event, "a");
    assert_true(j->when == 1760000000000);
    assert_string_equal(j->rule, "invoices");
    assert_string_equal(j->account, "work");
    assert_string_equal(j->mailbox, "INBOX");
    assert_int_equal(j->uid, 4711);
    assert_string_equal(j->result, "fail");
    assert_int_equal(j->status, 1);
    assert_int_equal(j->attempts, 6);
    assert_string_equal(j->subject, "Invoice");
    assert_string_equal(j->output, "");
    desk_answer_free(&a);
    close_place(&p);
}

static void
three_of_two_rules(struct place *p)
{
    open_place(p);
    add(p, dead("a", "one"));
    add(p, alive("x", "one"));
    add(p, dead("b", "two"));
    commit(p);
    add(p, alive("y", "two"));
    add(p, dead("c", "one"));
}

static void
who_names_nothing_is_told_of_all_that_failed(void **state)
{
    (void)state;
    struct place p;
    three_of_two_rules(&p);
    assert_told(ask(&p, DESK_FAILED, NULL, NULL), "a b c");
    close_place(&p);
}

static void
jobs_are_named_by_event_or_by_rule(void **state)
{
    (void)state;
    struct place p;
    three_of_two_rules(&p);
    assert_told(ask(&p, DESK_FAILED, "b", NULL), "b");
    assert_told(ask(&p, DESK_FAILED, NULL, "one"), "a c");
    assert_told(ask(&p, DESK_FAILED, "b", "one"), "a b c");
    assert_told(ask(&p, DESK_FAILED, "a", "one"), "a c");
    close_place(&p);
}

static void
only_who_names_a_job_gets_its_output(void **state)
{
    (void)state;
    struct place p;
    three_of_two_rules(&p);
    struct desk_answer a = ask(&p, DESK_FAILED, "a", "one");
    assert_string_equal(a.jobs[0].output, "out");
    assert_string_equal(a.jobs[1].output, "");
    desk_answer_free(&a);
    close_place(&p);
}

static void
what_is_not_there_is_told_once_in_the_order_of_asking(void **state)
{
    (void)state;
    struct place p;
    struct desk_answer a;
    struct desk_question q = {.what = DESK_FAILED};
    three_of_two_rules(&p);
    const char *events[] = {"z", "a", "x", "nope", "z", "a"};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        strv_add(&q.events, events[i]);
    strv_add(&q.rules, "three");
    strv_add(&q.rules, "two");
    ask_for(&p, &q, &a);
    assert_int_equal(a.n, 2);
    assert_int_equal(a.unknown.n, 4);
    assert_string_equal(a.unknown.v[0], "z");
    assert_string_equal(a.unknown.v[1], "x"); /* one that did not fail */
    assert_string_equal(a.unknown.v[2], "nope");
    assert_string_equal(a.unknown.v[3], "three");
    desk_answer_free(&a);
    desk_question_free(&q);
    close_place(&p);
}

static void
no_control_byte_gets_out(void **state)
{
    (void)state;
    struct place p;
    open_place(&p);
    struct record r = dead("a", "rule\033[2J");
    r.mailbox = "Lists\tdev";
    r.subject = "red\033[31m\nnext\xff";
    r.tail = SPAN("one\033[31m\n\ttwo\r\n\n\xfflast");
    add(&p, r);
    struct desk_answer a = ask(&p, DESK_FAILED, "a", NULL);
    assert_string_equal(a.jobs[0].rule, "rule [2J");
    assert_string_equal(a.jobs[0].mailbox, "Lists dev");
    assert_string_equal(a.jobs[0].subject, "red [31m next\uFFFD");
    assert_string_equal(a.jobs[0].output, "one\\e[31m\n\\ttwo\\r\n\n\uFFFDlast");
    desk_answer_free(&a);
    close_place(&p);
}

static void
a_long_subject_is_cut_between_characters(void **state)
{
    (void)state;
    struct place p;
    char subject[3000] = "x";
    open_place(&p);
    for (size_t i = 1; i + 3 < sizeof subject; i += 3)
        memcpy(subject + i, "☃", 4);
    struct record r = dead("a", "rule");
    r.subject = subject;
    add(&p, r);
    struct desk_answer a = ask(&p, DESK_FAILED, NULL, NULL);
    size_t n = strlen(a.jobs[0].subject);
    assert_int_equal(n, 1 + (DESK_SUBJECT_MAX - 1) / 3 * 3);
    assert_memory_equal(a.jobs[0].subject, subject, n);
    desk_answer_free(&a);
    close_place(&p);
}

/* --- retrying --- */

static void
a_failed_hook_is_planned_again(void **state)
{
    (void)state;
    struct place p;
    three_of_two_rules(&p);
    assert_told(ask(&p, DESK_RETRY, "b", NULL), "b");
    commit(&p);
    close_state(&p);
    open_state(&p);
    struct seen s = look(&p, "b");
    assert_int_equal(s.record.stage, STAGE_PLANNED);
    assert_int_equal(s.record.attempt, 6);
    assert_string_equal(s.result, "");
    assert_int_equal(s.record.status, 0);
    assert_int_equal(s.record.acted, 0);
    assert_true(s.record.since > 1760000000000);
    assert_int_equal(s.letter_size, sizeof "letter\0with a NUL" - 1);
    assert_memory_equal(s.letter, "letter\0with a NUL", s.letter_size);
    assert_told(ask(&p, DESK_FAILED, NULL, NULL), "a c");
    close_place(&p);
}

static void
all_are_retried_when_all_are_meant(void **state)
{
    (void)state;
    struct place p;
    struct desk_answer a;
    struct desk_question q = {.what = DESK_RETRY, .all = true};
    three_of_two_rules(&p);
    ask_for(&p, &q, &a);
    assert_told(a, "a b c");
    assert_int_equal(journal_dead(p.j), 0);
    close_place(&p);
}

static void
nothing_is_retried_or_dropped_by_naming_nothing(void **state)
{
    (void)state;
    struct place p;
    three_of_two_rules(&p);
    assert_told(ask(&p, DESK_RETRY, NULL, NULL), "");
    assert_told(ask(&p, DESK_DROP, NULL, NULL), "");
    assert_told(ask(&p, DESK_FAILED, NULL, NULL), "a b c");
    close_place(&p);
}

static void
what_waits_is_undone_without_a_commit(void **state)
{
    (void)state;
    struct place p;
    three_of_two_rules(&p);
    commit(&p);
    assert_told(ask(&p, DESK_RETRY, "a", NULL), "a");
    assert_told(ask(&p, DESK_DROP, "b", NULL), "b");
    assert_told(ask(&p, DESK_FAILED, NULL, NULL), "c");
    close_state(&p);
    open_state(&p);
    assert_told(ask(&p, DESK_FAILED, NULL, NULL), "a b c");
    close_place(&p);
}

static void
a_failed_action_goes_on_where_it_stood(void **state)
{
    (void)state;
    static const struct {
        const char *result;
        int status;
        enum job_stage stage;
    } cases[] = {
        {"move", 0, STAGE_RAN},
        {"run", 99, STAGE_RAN},
        {"flag", 1, STAGE_PLANNED}, /* of on_failure: the hook has to run again */
        {"fail", 1, STAGE_PLANNED},
        {"timeout", 143, STAGE_PLANNED},
        {"gone", 0, STAGE_PLANNED},
        {"unparsable", 0, STAGE_PLANNED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct place p;
        open_place(&p);
        struct record r = dead("a", "rule");
        r.result = cases[i].result;
        r.status = cases[i].status;
        r.acted = 2;
        add(&p, r);
        assert_told(ask(&p, DESK_RETRY, "a", NULL), "a");
        struct seen s = look(&p, "a");
        bool ran = cases[i].stage == STAGE_RAN;
        assert_int_equal(s.record.stage, cases[i].stage);
        assert_int_equal(s.record.acted, ran ? 2 : 0);
        assert_int_equal(s.record.status, ran ? cases[i].status : 0);
        assert_string_equal(s.result, ran ? "ok" : "");
        close_place(&p);
    }
}

/* Three that ran together: the newest led. */
static void
add_batch(struct place *p)
{
    struct record r[3] = {dead("a", "rule"), dead("b", "rule"), dead("c", "rule")};
    for (size_t i = 0; i < 3; i++)
        journal_add(p->j, &r[i]);
    for (size_t i = 0; i < 3; i++) {
        r[i].batch = r[2].id;
        journal_move(p->j, &r[i]);
    }
}

static void
a_batch_stays_together_when_its_leader_is_retried(void **state)
{
    (void)state;
    struct place p;
    open_place(&p);
    add_batch(&p);
    assert_told(ask(&p, DESK_RETRY, NULL, "rule"), "a b c");
    uint64_t leader = look(&p, "c").record.id;
    assert_true(look(&p, "a").record.batch == leader);
    assert_true(look(&p, "b").record.batch == leader);
    assert_true(look(&p, "c").record.batch == leader);
    close_place(&p);
}

static void
who_is_retried_without_his_leader_is_alone(void **state)
{
    (void)state;
    struct place p;
    open_place(&p);
    add_batch(&p);
    assert_told(ask(&p, DESK_RETRY, "a", NULL), "a");
    assert_int_equal(look(&p, "a").record.batch, 0);
    assert_told(ask(&p, DESK_RETRY, "c", NULL), "c");
    assert_int_equal(look(&p, "b").record.stage, STAGE_DEAD);
    assert_told(ask(&p, DESK_RETRY, "b", NULL), "b");
    assert_int_equal(look(&p, "b").record.batch, 0);
    close_place(&p);
}

struct retried {
    struct place *p;
    unsigned n;
};

static void
on_retry(void *arg, const struct record *r)
{
    struct retried *x = arg;
    static const char *const events[] = {"a", "c"};
    assert_string_equal(r->event, events[x->n++]);
    assert_string_equal(r->account, "work");
    assert_string_equal(r->mailbox, "INBOX");
    assert_string_equal(r->rule, "one");
    assert_string_equal(r->subject, "Invoice");
    assert_string_equal(r->file, "");
    assert_int_equal(r->letter.n, sizeof "letter\0with a NUL" - 1);
    assert_memory_equal(r->letter.p, "letter\0with a NUL", r->letter.n);
    assert_int_equal(r->stage, STAGE_PLANNED);
    assert_int_equal(r->attempt, 6);
    assert_int_equal(look(x->p, r->event).record.stage, STAGE_PLANNED); /* may ask the journal … */
    struct record moved = *r;
    moved.stage = STAGE_RUNNING;
    moved.attempt++;
    journal_move(x->p->j, &moved); /* … and tell it */
}

static void
whoever_runs_them_is_told_of_each(void **state)
{
    (void)state;
    struct place p;
    struct desk_answer a;
    struct err e;
    struct desk_question q = {.what = DESK_RETRY};
    struct retried x = {.p = &p};
    three_of_two_rules(&p);
    strv_add(&q.rules, "one");
    assert_int_equal(desk_answer(p.j, p.s, &q, &a, on_retry, &x, &e), 0);
    assert_int_equal(x.n, 2);
    assert_int_equal(look(&p, "c").record.stage, STAGE_RUNNING);
    desk_answer_free(&a);
    desk_question_free(&q);
    close_place(&p);
}

/* --- dropping --- */

static void
what_is_dropped_is_forgotten_with_its_message(void **state)
{
    (void)state;
    struct place p;
    open_place(&p);
    char *file = add_file(&p);
    add_with_file(&p, dead("a", "rule"), file);
    add(&p, dead("b", "rule"));
    assert_told(ask(&p, DESK_DROP, "a", NULL), "a");
    commit(&p);
    assert_false(has_file(&p, file));
    close_state(&p);
    open_state(&p);
    assert_told(ask(&p, DESK_FAILED, NULL, NULL), "b");
    free(file);
    close_place(&p);
}

static void
a_message_that_another_job_has_stays(void **state)
{
    (void)state;
    struct place p;
    open_place(&p);
    char *with_dead = add_file(&p);
    char *with_alive = add_file(&p);
    add_with_file(&p, dead("a", "one"), with_dead);
    add_with_file(&p, dead("a too", "one"), with_dead);
    add_with_file(&p, dead("b", "two"), with_dead);
    add_with_file(&p, dead("c", "one"), with_alive);
    add_with_file(&p, alive("d", "two"), with_alive);
    assert_told(ask(&p, DESK_DROP, NULL, "one"), "a a too c");
    assert_true(has_file(&p, with_dead));
    assert_true(has_file(&p, with_alive));
    assert_told(ask(&p, DESK_DROP, NULL, "two"), "b");
    assert_false(has_file(&p, with_dead));
    assert_true(has_file(&p, with_alive));
    assert_true(look(&p, "d").found);
    free(with_dead);
    free(with_alive);
    close_place(&p);
}

static void
a_message_goes_with_the_last_of_those_dropped_together(void **state)
{
    (void)state;
    struct place p;
    open_place(&p);
    char *file = add_file(&p);
    add_with_file(&p, dead("a", "one"), file);
    add_with_file(&p, dead("b", "one"), file);
    assert_told(ask(&p, DESK_DROP, NULL, "one"), "a b");
    assert_false(has_file(&p, file));
    free(file);
    close_place(&p);
}

static void
what_failed_long_ago_expires(void **state)
{
    (void)state;
    struct place p;
    struct err e;
    open_place(&p);
    char *old = add_file(&p);
    char *shared = add_file(&p);
    struct record r = dead("old", "rule");
    r.since = 999;
    add_with_file(&p, r, old);
    r.event = "old too";
    add_with_file(&p, r, shared);
    r.event = "just in time";
    r.since = 1000;
    add_with_file(&p, r, shared);
    r = alive("alive", "rule");
    r.since = 1;
    add(&p, r);
    assert_int_equal(desk_expire(p.j, p.s, 1000, &e), 2);
    assert_told(ask(&p, DESK_FAILED, NULL, NULL), "just in time");
    assert_true(look(&p, "alive").found);
    assert_false(has_file(&p, old));
    assert_true(has_file(&p, shared));
    assert_int_equal(desk_expire(p.j, p.s, 1000, &e), 0);
    free(old);
    free(shared);
    close_place(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_of_a_failed_job_is_told),
        cmocka_unit_test(who_names_nothing_is_told_of_all_that_failed),
        cmocka_unit_test(jobs_are_named_by_event_or_by_rule),
        cmocka_unit_test(only_who_names_a_job_gets_its_output),
        cmocka_unit_test(what_is_not_there_is_told_once_in_the_order_of_asking),
        cmocka_unit_test(no_control_byte_gets_out),
        cmocka_unit_test(a_long_subject_is_cut_between_characters),
        cmocka_unit_test(a_failed_hook_is_planned_again),
        cmocka_unit_test(all_are_retried_when_all_are_meant),
        cmocka_unit_test(nothing_is_retried_or_dropped_by_naming_nothing),
        cmocka_unit_test(what_waits_is_undone_without_a_commit),
        cmocka_unit_test(a_failed_action_goes_on_where_it_stood),
        cmocka_unit_test(a_batch_stays_together_when_its_leader_is_retried),
        cmocka_unit_test(who_is_retried_without_his_leader_is_alone),
        cmocka_unit_test(whoever_runs_them_is_told_of_each),
        cmocka_unit_test(what_is_dropped_is_forgotten_with_its_message),
        cmocka_unit_test(a_message_that_another_job_has_stays),
        cmocka_unit_test(a_message_goes_with_the_last_of_those_dropped_together),
        cmocka_unit_test(what_failed_long_ago_expires),
    };
    return cmocka_run_group_tests_name("watch_desk", tests, NULL, NULL);
}
