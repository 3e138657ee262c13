/* job/queue: order, concurrency, the end of a message; all in the order of calls, without time. */
#include "base/mem.h"
#include "job/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { DROPS_MAX = 64 };

struct drops {
    struct job *v[DROPS_MAX];
    size_t n;
};

static void
note_drop(void *arg, struct job *job)
{
    struct drops *d = arg;
    assert_true(d->n < DROPS_MAX);
    d->v[d->n++] = job;
}

static void
ignore_drop(void *arg, struct job *job)
{
    (void)arg;
    (void)job;
}

static struct job
job_of(uint64_t message, uint64_t rule)
{
    return (struct job){.message = message, .rule = rule};
}

static void
push_all(struct queue *q, struct job *jobs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        queue_push(q, &jobs[i]);
}

static void
one_rule_runs_in_the_order_of_arrival(void **state)
{
    (void)state;
    struct queue *q = queue_new(8);
    struct job jobs[] = {job_of(1, 0), job_of(2, 0), job_of(3, 0)};
    push_all(q, jobs, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(queue_next(q), &jobs[i]);
        assert_int_equal(jobs[i].state, JOB_RUNNING);
        assert_null(queue_next(q)); /* one at a time */
        queue_settle(q, &jobs[i]);
    }
    assert_null(queue_next(q));
    queue_free(q, ignore_drop, NULL);
}

static void
the_jobs_of_one_message_run_one_after_the_other(void **state)
{
    (void)state;
    struct queue *q = queue_new(8);
    struct job jobs[] = {job_of(1, 5), job_of(1, 3), job_of(1, 9)};
    push_all(q, jobs, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(queue_message_left(q, 1), 3 - i);
        assert_ptr_equal(queue_next(q), &jobs[i]);
        assert_null(queue_next(q));
        queue_settle(q, &jobs[i]);
    }
    assert_int_equal(queue_message_left(q, 1), 0);
    queue_free(q, ignore_drop, NULL);
}

static void
messages_overlap_where_their_rules_allow(void **state)
{
    (void)state;
    struct queue *q = queue_new(8);
    struct job a0 = job_of(1, 0), a1 = job_of(1, 1), b0 = job_of(2, 0), b1 = job_of(2, 1);
    queue_push(q, &a0);
    queue_push(q, &a1);
    queue_push(q, &b0);
    queue_push(q, &b1);
    assert_ptr_equal(queue_next(q), &a0);
    assert_null(queue_next(q)); /* b0 waits for its rule, a1 for its message, b1 for both */
    queue_settle(q, &a0);
    assert_ptr_equal(queue_next(q), &a1);
    assert_ptr_equal(queue_next(q), &b0);
    assert_null(queue_next(q));
    queue_settle(q, &b0);
    assert_null(queue_next(q)); /* b1's rule is still busy with a1 */
    queue_settle(q, &a1);
    assert_ptr_equal(queue_next(q), &b1);
    queue_settle(q, &b1);
    queue_free(q, ignore_drop, NULL);
}

static void
a_job_put_back_stands_where_it_stood(void **state)
{
    (void)state;
    struct queue *q = queue_new(8);
    struct job jobs[] = {job_of(1, 0), job_of(1, 1), job_of(2, 0)};
    push_all(q, jobs, 3);
    assert_ptr_equal(queue_next(q), &jobs[0]);
    queue_put_back(q, &jobs[0]);
    assert_int_equal(jobs[0].state, JOB_WAITING);
    assert_int_equal(queue_running(q), 0);
    assert_int_equal(queue_waiting(q), 3);
    assert_ptr_equal(queue_next(q), &jobs[0]);
    assert_null(queue_next(q));
    queue_settle(q, &jobs[0]);
    assert_int_equal(queue_waiting(q), 2);
    queue_free(q, ignore_drop, NULL);
}

static void
the_oldest_message_goes_first(void **state)
{
    (void)state;
    struct queue *q = queue_new(8);
    struct job jobs[] = {job_of(4, 40), job_of(5, 7), job_of(6, 123456789), job_of(7, 0)};
    push_all(q, jobs, 4);
    for (size_t i = 0; i < 4; i++)
        assert_ptr_equal(queue_next(q), &jobs[i]);
    for (size_t i = 4; i-- > 0;)
        queue_settle(q, &jobs[i]);
    queue_free(q, ignore_drop, NULL);
}

static void
never_more_than_the_maximum_run(void **state)
{
    (void)state;
    struct queue *q = queue_new(2);
    struct job jobs[] = {job_of(1, 1), job_of(2, 2), job_of(3, 3)};
    push_all(q, jobs, 3);
    assert_ptr_equal(queue_next(q), &jobs[0]);
    assert_ptr_equal(queue_next(q), &jobs[1]);
    assert_null(queue_next(q));
    assert_int_equal(queue_running(q), 2);
    assert_int_equal(queue_waiting(q), 1);
    queue_settle(q, &jobs[1]);
    assert_ptr_equal(queue_next(q), &jobs[2]);
    queue_settle(q, &jobs[0]);
    queue_settle(q, &jobs[2]);
    assert_int_equal(queue_running(q), 0);
    assert_int_equal(queue_waiting(q), 0);
    queue_free(q, ignore_drop, NULL);
}

static void
an_ended_message_loses_its_waiting_jobs_only(void **state)
{
    (void)state;
    struct queue *q = queue_new(8);
    struct drops d = {.n = 0};
    struct job jobs[] = {job_of(1, 0), job_of(1, 1), job_of(1, 2), job_of(2, 1), job_of(2, 2)};
    push_all(q, jobs, 5);
    assert_ptr_equal(queue_next(q), &jobs[0]);
    assert_ptr_equal(queue_next(q), NULL);
    queue_end_message(q, 1, note_drop, &d);
    assert_int_equal(d.n, 2);
    assert_ptr_equal(d.v[0], &jobs[1]);
    assert_ptr_equal(d.v[1], &jobs[2]);
    assert_int_equal(queue_message_left(q, 1), 1);
    assert_int_equal(queue_waiting(q), 2);
    assert_ptr_equal(queue_next(q), &jobs[3]); /* its rule is free now */
    queue_settle(q, &jobs[0]);
    assert_int_equal(queue_message_left(q, 1), 0);
    queue_end_message(q, 1, note_drop, &d);
    queue_end_message(q, 77, note_drop, &d);
    assert_int_equal(d.n, 2);
    queue_settle(q, &jobs[3]);
    queue_end_message(q, 2, note_drop, &d);
    assert_ptr_equal(d.v[2], &jobs[4]);
    assert_int_equal(queue_waiting(q), 0);
    queue_free(q, ignore_drop, NULL);
}

static void
free_the_job(void *arg, struct job *job)
{
    (*(unsigned *)arg)++;
    free(job);
}

static void
dropped_jobs_may_be_freed(void **state)
{
    (void)state;
    struct queue *q = queue_new(8);
    unsigned freed = 0;
    for (uint64_t m = 1; m <= 3; m++) {
        for (uint64_t r = 0; r < 4; r++) {
            struct job *job = xcalloc(1, sizeof *job);
            *job = job_of(m, r);
            queue_push(q, job);
        }
    }
    queue_end_message(q, 2, free_the_job, &freed);
    assert_int_equal(freed, 4);
    assert_non_null(queue_next(q));
    queue_free(q, free_the_job, &freed);
    assert_int_equal(freed, 12);
}

static void
a_retry_may_be_overtaken_and_keeps_its_message_together(void **state)
{
    (void)state;
    struct queue *q = queue_new(8);
    struct job a = job_of(1, 0), b = job_of(2, 0), c = job_of(1, 1);
    queue_push(q, &a);
    queue_push(q, &b);
    queue_push(q, &c);
    assert_ptr_equal(queue_next(q), &a);
    queue_settle(q, &a);
    queue_push(q, &a);
    assert_ptr_equal(queue_next(q), &c);
    assert_ptr_equal(queue_next(q), &b);
    assert_null(queue_next(q));
    queue_settle(q, &b);
    assert_null(queue_next(q)); /* c still runs for message 1 */
    queue_settle(q, &c);
    assert_ptr_equal(queue_next(q), &a);
    queue_settle(q, &a);
    queue_free(q, ignore_drop, NULL);
}

static void
what_is_left_is_dropped_in_the_order_of_arrival(void **state)
{
    (void)state;
    struct queue *q = queue_new(8);
    struct drops d = {.n = 0};
    struct job jobs[] = {job_of(3, 9), job_of(3, 1), job_of(4, 9), job_of(5, 0), job_of(3, 7)};
    push_all(q, jobs, 5);
    assert_non_null(queue_next(q));
    queue_free(q, note_drop, &d);
    assert_int_equal(d.n, 5);
    for (size_t i = 0; i < 5; i++)
        assert_ptr_equal(d.v[i], &jobs[i]);
    queue_free(NULL, note_drop, &d);
}

/* Settles whatever runs in a shuffled order and checks both orders on the way. */
static void
many_jobs_all_run_once_and_in_order(void **state)
{
    (void)state;
    enum { MESSAGES = 10000, RULES = 20, MAX = 8 };
    struct job *jobs = xcalloc((size_t)MESSAGES * RULES, sizeof *jobs);
    uint64_t last_message[RULES] = {0};
    uint64_t *rules_done = xcalloc(MESSAGES + 1, sizeof *rules_done);
    struct job *running[MAX];
    struct queue *q = queue_new(MAX);
    for (size_t i = 0; i < (size_t)MESSAGES * RULES; i++) {
        jobs[i] = job_of(i / RULES + 1, i % RULES);
        queue_push(q, &jobs[i]);
    }
    uint32_t seed = 1;
    size_t n = 0;
    size_t done = 0;
    while (done < (size_t)MESSAGES * RULES) {
        struct job *job;
        while ((job = queue_next(q)) != NULL) {
            assert_true(n < MAX);
            assert_true(job->message > last_message[job->rule]);
            assert_int_equal(rules_done[job->message], job->rule);
            last_message[job->rule] = job->message;
            running[n++] = job;
        }
        assert_true(n > 0);
        seed = seed * 1664525u + 1013904223u;
        size_t pick = (seed >> 16) % n;
        rules_done[running[pick]->message]++;
        queue_settle(q, running[pick]);
        running[pick] = running[--n];
        done++;
    }
    assert_null(queue_next(q));
    queue_free(q, ignore_drop, NULL);
    free(rules_done);
    free(jobs);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_rule_runs_in_the_order_of_arrival),
        cmocka_unit_test(the_jobs_of_one_message_run_one_after_the_other),
        cmocka_unit_test(messages_overlap_where_their_rules_allow),
        cmocka_unit_test(a_job_put_back_stands_where_it_stood),
        cmocka_unit_test(the_oldest_message_goes_first),
        cmocka_unit_test(never_more_than_the_maximum_run),
        cmocka_unit_test(an_ended_message_loses_its_waiting_jobs_only),
        cmocka_unit_test(dropped_jobs_may_be_freed),
        cmocka_unit_test(a_retry_may_be_overtaken_and_keeps_its_message_together),
        cmocka_unit_test(what_is_left_is_dropped_in_the_order_of_arrival),
        cmocka_unit_test(many_jobs_all_run_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
