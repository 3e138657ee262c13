/* job/queue: order, concurrency, bursts, busy rules, waiting for another attempt, the end of a
 * message. The tests own the clock. The random walk against a slow model is job_queue_model_test.c.
 */
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
        queue_push(q, &jobs[i], 0);
}

static struct queue *
plain_queue(unsigned max_running)
{
    return queue_new(max_running, NULL, 0);
}

static void
assert_verdict(struct queue *q, uint64_t now, enum queue_verdict want, const struct job *job)
{
    struct job *got = NULL;
    assert_int_equal(queue_next(q, now, &got), want);
    assert_ptr_equal(got, job);
}

#define assert_starts(q, now, job) assert_verdict(q, now, QUEUE_START, job)
#define assert_skips(q, now, job)  assert_verdict(q, now, QUEUE_SKIP, job)
#define assert_stops(q, now, job)  assert_verdict(q, now, QUEUE_STOP, job)
#define assert_nothing(q, now)     assert_verdict(q, now, QUEUE_NOTHING, NULL)

/* Its followers are exactly these, in this order; n of them. */
static void
assert_leads(const struct job *leader, struct job *const *followers, size_t n)
{
    const struct list *link = leader->followers.next;
    for (size_t i = 0; i < n; i++, link = link->next)
        assert_ptr_equal(link, &followers[i]->in_batch);
    assert_ptr_equal(link, &leader->followers);
}

#define FOLLOWERS(...) \
    (struct job *[]){__VA_ARGS__}, sizeof((struct job *[]){__VA_ARGS__}) / sizeof(struct job *)

static void
assert_alone(const struct job *job)
{
    assert_leads(job, NULL, 0);
}

/* --- order --- */

static void
one_rule_runs_in_the_order_of_arrival(void **state)
{
    (void)state;
    struct queue *q = plain_queue(8);
    struct job jobs[] = {job_of(1, 0), job_of(2, 0), job_of(3, 0)};
    push_all(q, jobs, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_starts(q, 0, &jobs[i]);
        assert_int_equal(jobs[i].state, JOB_RUNNING);
        assert_nothing(q, 0); /* one at a time */
        queue_settle(q, &jobs[i]);
    }
    assert_nothing(q, 0);
    queue_free(q, ignore_drop, NULL);
}

static void
as_many_as_the_rule_allows_run_at_once(void **state)
{
    (void)state;
    static const struct queue_rule rule = {.concurrency = 2};
    struct queue *q = queue_new(8, &rule, 1);
    struct job jobs[] = {job_of(1, 0), job_of(2, 0), job_of(3, 0), job_of(3, 1), job_of(4, 1)};
    push_all(q, jobs, 5);
    assert_starts(q, 0, &jobs[0]);
    assert_starts(q, 0, &jobs[1]);
    assert_nothing(q, 0); /* jobs[4] would have to overtake jobs[3], which waits for its message */
    queue_settle(q, &jobs[1]);
    assert_starts(q, 0, &jobs[2]);
    assert_nothing(q, 0);
    queue_settle(q, &jobs[2]);
    assert_starts(q, 0, &jobs[3]);
    assert_nothing(q, 0); /* a rule beyond those given runs one at a time */
    queue_settle(q, &jobs[3]);
    assert_starts(q, 0, &jobs[4]);
    queue_free(q, ignore_drop, NULL);
}

static void
the_jobs_of_one_message_run_one_after_the_other(void **state)
{
    (void)state;
    struct queue *q = plain_queue(8);
    struct job jobs[] = {job_of(1, 5), job_of(1, 3), job_of(1, 9)};
    push_all(q, jobs, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_starts(q, 0, &jobs[i]);
        assert_nothing(q, 0);
        queue_settle(q, &jobs[i]);
    }
    queue_free(q, ignore_drop, NULL);
}

static void
messages_overlap_where_their_rules_allow(void **state)
{
    (void)state;
    struct queue *q = plain_queue(8);
    struct job a0 = job_of(1, 0), a1 = job_of(1, 1), b0 = job_of(2, 0), b1 = job_of(2, 1);
    queue_push(q, &a0, 0);
    queue_push(q, &a1, 0);
    queue_push(q, &b0, 0);
    queue_push(q, &b1, 0);
    assert_starts(q, 0, &a0);
    assert_nothing(q, 0); /* b0 waits for its rule, a1 for its message, b1 for both */
    queue_settle(q, &a0);
    assert_starts(q, 0, &a1);
    assert_starts(q, 0, &b0);
    assert_nothing(q, 0);
    queue_settle(q, &b0);
    assert_nothing(q, 0); /* b1's rule is still busy with a1 */
    queue_settle(q, &a1);
    assert_starts(q, 0, &b1);
    queue_settle(q, &b1);
    queue_free(q, ignore_drop, NULL);
}

static void
a_job_put_back_stands_where_it_stood(void **state)
{
    (void)state;
    static const struct queue_rule rule = {.concurrency = 3};
    struct queue *q = queue_new(8, &rule, 1);
    struct job jobs[] = {job_of(1, 0), job_of(2, 0), job_of(3, 0), job_of(4, 0), job_of(1, 1)};
    push_all(q, jobs, 5);
    for (size_t i = 0; i < 3; i++)
        assert_starts(q, 0, &jobs[i]);
    static const size_t back[] = {1, 2, 0};
    for (size_t i = 0; i < 3; i++)
        queue_put_back(q, &jobs[back[i]]);
    assert_int_equal(jobs[0].state, JOB_WAITING);
    assert_false(jobs[0].again);
    assert_int_equal(queue_running(q), 0);
    assert_int_equal(queue_waiting(q), 5);
    for (size_t i = 0; i < 3; i++)
        assert_starts(q, 0, &jobs[i]);
    assert_nothing(q, 0); /* jobs[4] waits for its message as before */
    queue_free(q, ignore_drop, NULL);
}

static void
the_oldest_message_goes_first(void **state)
{
    (void)state;
    struct queue *q = plain_queue(8);
    struct job jobs[] = {job_of(7, 0), job_of(5, 7), job_of(4, 40), job_of(6, 123456789)};
    push_all(q, jobs, 4);
    assert_starts(q, 0, &jobs[2]);
    assert_starts(q, 0, &jobs[1]);
    assert_starts(q, 0, &jobs[3]);
    assert_starts(q, 0, &jobs[0]);
    for (size_t i = 4; i-- > 0;)
        queue_settle(q, &jobs[i]);
    queue_free(q, ignore_drop, NULL);
}

static void
never_more_than_the_maximum_run(void **state)
{
    (void)state;
    struct queue *q = plain_queue(2);
    struct job jobs[] = {job_of(1, 1), job_of(2, 2), job_of(3, 3)};
    push_all(q, jobs, 3);
    assert_starts(q, 0, &jobs[0]);
    assert_starts(q, 0, &jobs[1]);
    assert_nothing(q, 0);
    assert_int_equal(queue_running(q), 2);
    assert_int_equal(queue_waiting(q), 1);
    assert_int_equal(queue_startable(q), 1);
    queue_settle(q, &jobs[1]);
    assert_starts(q, 0, &jobs[2]);
    queue_settle(q, &jobs[0]);
    queue_settle(q, &jobs[2]);
    assert_int_equal(queue_running(q), 0);
    assert_int_equal(queue_waiting(q), 0);
    queue_free(q, ignore_drop, NULL);
}

/* --- another attempt --- */

static void
a_delayed_job_bars_nobody_and_comes_back_at_the_end(void **state)
{
    (void)state;
    struct queue *q = plain_queue(8);
    struct job a = job_of(1, 0), b = job_of(2, 0), c = job_of(1, 1), d = job_of(3, 0);
    queue_push(q, &a, 0);
    queue_push(q, &b, 0);
    queue_push(q, &c, 0);
    queue_push(q, &d, 0);
    assert_starts(q, 0, &a);
    assert_int_equal(queue_deadline(q), UINT64_MAX);
    queue_wait(q, &a, 100);
    assert_int_equal(a.state, JOB_DELAYED);
    assert_int_equal(queue_deadline(q), 100);
    assert_starts(q, 10, &c);
    assert_starts(q, 10, &b);
    assert_nothing(q, 99);
    assert_int_equal(queue_waiting(q), 2);
    assert_int_equal(queue_startable(q), 1);
    assert_nothing(q, 100); /* its rule and its message are at work */
    assert_int_equal(queue_startable(q), 2);
    assert_int_equal(queue_deadline(q), UINT64_MAX);
    queue_settle(q, &b);
    assert_starts(q, 100, &d);
    queue_settle(q, &d);
    assert_nothing(q, 100); /* c still runs for message 1 */
    queue_settle(q, &c);
    assert_starts(q, 100, &a);
    queue_settle(q, &a);
    queue_free(q, ignore_drop, NULL);
}

static void
waits_end_in_the_order_of_their_moments(void **state)
{
    (void)state;
    struct queue *q = plain_queue(8);
    struct job jobs[] = {job_of(1, 0), job_of(2, 0), job_of(3, 0), job_of(4, 0)};
    queue_push_waiting(q, &jobs[0], 300);
    queue_push_waiting(q, &jobs[1], UINT64_MAX);
    queue_push_waiting(q, &jobs[2], 200);
    queue_push_waiting(q, &jobs[3], 200);
    assert_int_equal(queue_deadline(q), 200);
    static const size_t order[] = {2, 3, 0};
    for (size_t i = 0; i < 3; i++) {
        assert_starts(q, 1000, &jobs[order[i]]);
        queue_settle(q, &jobs[order[i]]);
    }
    assert_nothing(q, UINT64_MAX - 1);
    assert_int_equal(queue_deadline(q), UINT64_MAX);
    queue_wake(q, &jobs[1], 2000);
    assert_int_equal(queue_deadline(q), 2000);
    assert_starts(q, 2000, &jobs[1]);
    queue_wake(q, &jobs[1], 2000); /* nothing to wake */
    queue_free(q, ignore_drop, NULL);
}

/* --- bursts --- */

static const struct queue_rule bursts[] = {
    {.concurrency = 1, .debounce_ms = 5, .max_delay_ms = 60},
    {.concurrency = 1},
};

static void
what_gathers_becomes_one_when_it_is_quiet(void **state)
{
    (void)state;
    struct queue *q = queue_new(8, bursts, 2);
    struct job jobs[] = {job_of(1, 0), job_of(2, 0), job_of(3, 0)};
    queue_push(q, &jobs[0], 100);
    assert_int_equal(queue_deadline(q), 105);
    queue_push(q, &jobs[1], 104);
    assert_int_equal(queue_deadline(q), 109);
    queue_push(q, &jobs[2], 108);
    assert_nothing(q, 112);
    assert_int_equal(queue_waiting(q), 3);
    assert_int_equal(queue_startable(q), 0);
    assert_starts(q, 113, &jobs[2]);
    assert_leads(&jobs[2], FOLLOWERS(&jobs[0], &jobs[1]));
    assert_int_equal(jobs[0].state, JOB_FOLLOWING);
    assert_int_equal(queue_waiting(q), 0);
    assert_int_equal(queue_deadline(q), UINT64_MAX);
    queue_settle(q, &jobs[2]);
    assert_leads(&jobs[2], FOLLOWERS(&jobs[0], &jobs[1])); /* for the owner to settle them */
    struct drops d = {.n = 0};
    queue_free(q, note_drop, &d);
    assert_int_equal(d.n, 0);
}

static void
a_burst_without_end_is_cut_when_its_oldest_waited_too_long(void **state)
{
    (void)state;
    struct queue *q = queue_new(8, bursts, 1);
    struct job jobs[20];
    for (uint64_t i = 0; i < 16; i++) {
        jobs[i] = job_of(i + 1, 0);
        queue_push(q, &jobs[i], 1000 + i * 4);
        if (i * 4 < 60)
            assert_nothing(q, 1000 + i * 4);
    }
    assert_starts(q, 1060, &jobs[15]);
    jobs[16] = job_of(17, 0);
    queue_push(q, &jobs[16], 1064);
    assert_int_equal(queue_deadline(q), 1069); /* a burst of its own */
    assert_int_equal(jobs[16].state, JOB_GATHERING);
    queue_free(q, ignore_drop, NULL);
}

static void
gathering_bars_no_other_rule_of_the_message(void **state)
{
    (void)state;
    struct queue *q = queue_new(8, bursts, 2);
    struct job gathers = job_of(1, 0), other = job_of(1, 1), next = job_of(2, 1);
    queue_push(q, &gathers, 0);
    queue_push(q, &other, 0);
    queue_push(q, &next, 0);
    assert_starts(q, 0, &other);
    assert_nothing(q, 5); /* formed, but now it is one of its message, and that is at work */
    assert_int_equal(gathers.state, JOB_WAITING);
    assert_alone(&gathers);
    queue_settle(q, &other);
    assert_starts(q, 5, &gathers);
    queue_free(q, ignore_drop, NULL);
}

static void
while_the_rule_is_busy_a_burst_gathers_on(void **state)
{
    (void)state;
    struct queue *q = queue_new(8, bursts, 1);
    struct job jobs[] = {job_of(1, 0), job_of(2, 0), job_of(3, 0), job_of(4, 0)};
    queue_push(q, &jobs[0], 0);
    assert_starts(q, 5, &jobs[0]);
    queue_push(q, &jobs[1], 10);
    assert_nothing(q, 15);
    assert_int_equal(queue_deadline(q), UINT64_MAX); /* time alone changes nothing */
    assert_int_equal(queue_startable(q), 1);
    queue_push(q, &jobs[2], 50);
    assert_int_equal(queue_deadline(q), 55); /* not quiet any more */
    assert_int_equal(queue_startable(q), 0);
    assert_nothing(q, 55);
    queue_push(q, &jobs[3], 90); /* the oldest has waited too long: quiet at once */
    assert_int_equal(queue_deadline(q), 70);
    assert_nothing(q, 91);
    assert_int_equal(queue_startable(q), 3);
    queue_settle(q, &jobs[0]);
    assert_starts(q, 91, &jobs[3]);
    assert_leads(&jobs[3], FOLLOWERS(&jobs[1], &jobs[2]));
    queue_free(q, ignore_drop, NULL);
}

static void
a_burst_goes_on_without_a_job_that_is_removed(void **state)
{
    (void)state;
    struct queue *q = queue_new(8, bursts, 1);
    struct job jobs[] = {job_of(1, 0), job_of(2, 0), job_of(3, 0)};
    queue_push(q, &jobs[0], 0);
    queue_push(q, &jobs[1], 3);
    queue_push(q, &jobs[2], 6);
    queue_remove(q, &jobs[2]); /* the newest, which would have led */
    assert_int_equal(queue_deadline(q), 8);
    queue_push(q, &jobs[2], 7);
    queue_remove(q, &jobs[0]);
    assert_starts(q, 12, &jobs[2]);
    assert_leads(&jobs[2], FOLLOWERS(&jobs[1]));
    queue_remove(q, &jobs[1]); /* a follower leaves even while it runs */
    assert_alone(&jobs[2]);
    queue_push(q, &jobs[0], 20);
    queue_remove(q, &jobs[0]); /* the only one */
    assert_int_equal(queue_deadline(q), UINT64_MAX);
    queue_settle(q, &jobs[2]);
    assert_nothing(q, 1000);
    queue_free(q, ignore_drop, NULL);
}

static void
a_batch_stays_together_whatever_happens_to_its_leader(void **state)
{
    (void)state;
    struct queue *q = queue_new(8, bursts, 1);
    struct job jobs[] = {job_of(1, 0), job_of(2, 0), job_of(3, 0)};
    push_all(q, jobs, 2);
    assert_starts(q, 5, &jobs[1]);
    queue_put_back(q, &jobs[1]);
    assert_starts(q, 5, &jobs[1]);
    queue_wait(q, &jobs[1], 50);
    queue_push(q, &jobs[2], 48);
    assert_starts(q, 50, &jobs[1]); /* it does not gather again */
    assert_leads(&jobs[1], FOLLOWERS(&jobs[0]));
    queue_wait(q, &jobs[1], 900);
    queue_wake(q, &jobs[0], 51); /* whoever is woken, the leader is meant */
    assert_starts(q, 51, &jobs[1]);
    queue_wait(q, &jobs[1], 900);
    queue_remove(q, &jobs[1]);
    assert_leads(&jobs[1], FOLLOWERS(&jobs[0]));
    assert_int_equal(queue_waiting(q), 1);
    assert_starts(q, 53, &jobs[2]);
    struct drops d = {.n = 0};
    queue_free(q, note_drop, &d);
    assert_int_equal(d.n, 1); /* jobs[0] went with its leader */
}

static void
a_batch_of_an_earlier_life_brings_its_followers(void **state)
{
    (void)state;
    struct queue *q = queue_new(8, bursts, 1);
    struct job a = job_of(1, 0), b = job_of(2, 0), leader = job_of(3, 0), fresh = job_of(4, 0);
    list_init(&leader.followers);
    list_append(&leader.followers, &a.in_batch);
    list_append(&leader.followers, &b.in_batch);
    leader.formed = true;
    queue_push(q, &leader, 0);
    queue_push(q, &fresh, 0);
    assert_int_equal(queue_waiting(q), 2);
    assert_int_equal(a.state, JOB_FOLLOWING);
    assert_starts(q, 0, &leader);
    assert_leads(&leader, FOLLOWERS(&a, &b));
    queue_settle(q, &leader);
    queue_push_waiting(q, &leader, 70);
    assert_int_equal(b.state, JOB_FOLLOWING);
    assert_starts(q, 69, &fresh);
    struct drops d = {.n = 0};
    queue_free(q, note_drop, &d);
    assert_int_equal(d.n, 4);
    assert_alone(&leader);
    assert_true(list_empty(&a.in_batch));
}

static void
to_wake_a_gathering_job_is_to_form_its_burst(void **state)
{
    (void)state;
    struct queue *q = queue_new(8, bursts, 1);
    struct job a = job_of(1, 0), b = job_of(2, 0);
    queue_push(q, &a, 0);
    queue_push(q, &b, 0);
    queue_wake(q, &a, 1);
    assert_starts(q, 1, &b);
    assert_leads(&b, FOLLOWERS(&a));
    queue_free(q, ignore_drop, NULL);
}

static void
hurry_ends_all_gathering(void **state)
{
    (void)state;
    struct queue *q = queue_new(8, bursts, 2);
    struct job a = job_of(1, 0), b = job_of(2, 0), w = job_of(3, 1), c = job_of(4, 0);
    queue_push(q, &a, 0);
    queue_push(q, &b, 0);
    queue_push_waiting(q, &w, 95);
    queue_hurry(q);
    assert_int_equal(queue_deadline(q), 95); /* an attempt that is due later is due later */
    assert_int_equal(queue_startable(q), 1);
    assert_int_equal(queue_delayed(q), 1);
    queue_push(q, &c, 1);
    assert_starts(q, 1, &b);
    queue_wait(q, &b, 90);
    assert_starts(q, 1, &c); /* by itself */
    assert_alone(&c);
    assert_nothing(q, 89);
    queue_settle(q, &c);
    assert_starts(q, 90, &b);
    queue_free(q, ignore_drop, NULL);
}

static void
times_near_the_end_of_time_do_not_wrap(void **state)
{
    (void)state;
    static const struct queue_rule rule = {
        .concurrency = 1, .debounce_ms = UINT64_MAX - 10, .max_delay_ms = UINT64_MAX};
    struct queue *q = queue_new(8, &rule, 1);
    struct job a = job_of(1, 0), b = job_of(2, 0);
    queue_push(q, &a, 5);
    assert_int_equal(queue_deadline(q), UINT64_MAX - 5);
    queue_push(q, &b, 100);
    assert_int_equal(queue_deadline(q), UINT64_MAX);
    assert_nothing(q, UINT64_MAX - 1);
    queue_free(q, ignore_drop, NULL);
}

/* --- busy rules --- */

static void
a_busy_rule_that_skips_lets_go_of_what_comes(void **state)
{
    (void)state;
    static const struct queue_rule rules[] = {
        {.concurrency = 2, .on_busy = BUSY_SKIP}, {.concurrency = 1}};
    struct queue *q = queue_new(3, rules, 2);
    struct job jobs[] = {job_of(1, 0), job_of(2, 0), job_of(3, 0), job_of(3, 1), job_of(4, 0)};
    push_all(q, jobs, 5);
    assert_starts(q, 0, &jobs[0]);
    assert_starts(q, 0, &jobs[1]);
    assert_skips(q, 0, &jobs[2]);
    assert_skips(q, 0, &jobs[4]);
    assert_starts(q, 0, &jobs[3]); /* the next of its message */
    assert_int_equal(queue_waiting(q), 0);
    queue_settle(q, &jobs[0]);
    queue_push(q, &jobs[2], 0);
    assert_nothing(q, 0); /* jobs[3] runs for its message; whether it is busy is seen then */
    queue_settle(q, &jobs[3]);
    assert_starts(q, 0, &jobs[2]);
    queue_free(q, ignore_drop, NULL);
}

static void
that_all_together_are_many_is_no_reason_to_skip(void **state)
{
    (void)state;
    static const struct queue_rule rules[] = {
        {.concurrency = 1}, {.concurrency = 1, .on_busy = BUSY_SKIP}};
    struct queue *q = queue_new(1, rules, 2);
    struct job a = job_of(1, 0), b = job_of(2, 1);
    queue_push(q, &a, 0);
    queue_push(q, &b, 0);
    assert_starts(q, 0, &a);
    assert_nothing(q, 0);
    queue_settle(q, &a);
    assert_starts(q, 0, &b);
    queue_free(q, ignore_drop, NULL);
}

static void
who_has_run_before_is_never_skipped(void **state)
{
    (void)state;
    static const struct queue_rule rule = {.concurrency = 1, .on_busy = BUSY_SKIP};
    struct queue *q = queue_new(8, &rule, 1);
    struct job a = job_of(1, 0), b = job_of(2, 0), c = job_of(3, 0), d = job_of(4, 0);
    c.formed = true;
    queue_push(q, &a, 0);
    assert_starts(q, 0, &a);
    queue_wait(q, &a, 10);
    queue_push(q, &b, 0);
    assert_starts(q, 0, &b);
    assert_nothing(q, 10); /* a is due, and waits */
    queue_push(q, &c, 10); /* interrupted in an earlier life */
    queue_push(q, &d, 10);
    queue_settle(q, &b);
    assert_starts(q, 10, &a);
    assert_nothing(q, 10);
    queue_settle(q, &a);
    assert_starts(q, 10, &c);
    assert_skips(q, 10, &d);
    queue_free(q, ignore_drop, NULL);
}

static void
a_quiet_burst_is_skipped_as_one(void **state)
{
    (void)state;
    static const struct queue_rule rule = {
        .concurrency = 1, .debounce_ms = 5, .max_delay_ms = 60, .on_busy = BUSY_SKIP};
    struct queue *q = queue_new(8, &rule, 1);
    struct job a = job_of(1, 0), b = job_of(2, 0), c = job_of(3, 0);
    queue_push(q, &a, 0);
    assert_starts(q, 5, &a);
    queue_push(q, &b, 10);
    queue_push(q, &c, 11);
    assert_nothing(q, 15);
    assert_skips(q, 16, &c);
    assert_leads(&c, FOLLOWERS(&b));
    assert_int_equal(queue_waiting(q), 0);
    struct drops d = {.n = 0};
    queue_free(q, note_drop, &d);
    assert_int_equal(d.n, 1);
}

static void
a_newer_one_has_the_running_one_stopped_once(void **state)
{
    (void)state;
    static const struct queue_rule rule = {.concurrency = 2, .on_busy = BUSY_RESTART};
    struct queue *q = queue_new(8, &rule, 1);
    struct job jobs[] = {job_of(1, 0), job_of(2, 0), job_of(3, 0), job_of(4, 0)};
    push_all(q, jobs, 2);
    assert_starts(q, 0, &jobs[0]);
    assert_starts(q, 0, &jobs[1]);
    assert_nothing(q, 0);
    queue_push(q, &jobs[2], 0);
    queue_push(q, &jobs[3], 0);
    assert_stops(q, 0, &jobs[0]); /* it runs longest */
    assert_true(jobs[0].stopping);
    assert_nothing(q, 0); /* one at a time */
    queue_settle(q, &jobs[0]);
    assert_starts(q, 0, &jobs[2]);
    assert_stops(q, 0, &jobs[1]);
    assert_nothing(q, 0);
    queue_wait(q, &jobs[1], 50);
    assert_starts(q, 0, &jobs[3]);
    assert_false(jobs[1].stopping);
    assert_nothing(q, 60); /* due again, it stops nobody */
    queue_settle(q, &jobs[3]);
    assert_starts(q, 60, &jobs[1]);
    queue_free(q, ignore_drop, NULL);
}

static void
nobody_is_stopped_for_one_whose_turn_it_is_not(void **state)
{
    (void)state;
    static const struct queue_rule rules[] = {
        {.concurrency = 1}, {.concurrency = 1, .on_busy = BUSY_RESTART}};
    struct queue *q = queue_new(8, rules, 2);
    struct job a = job_of(1, 1), b0 = job_of(2, 0), b1 = job_of(2, 1);
    queue_push(q, &a, 0);
    queue_push(q, &b0, 0);
    queue_push(q, &b1, 0);
    assert_starts(q, 0, &a);
    assert_starts(q, 0, &b0);
    assert_nothing(q, 0); /* b0 may end the message yet */
    queue_settle(q, &b0);
    assert_stops(q, 0, &a);
    queue_free(q, ignore_drop, NULL);
}

/* --- the end of a message, and of the queue --- */

static void
an_ended_message_loses_its_waiting_jobs_only(void **state)
{
    (void)state;
    struct queue *q = plain_queue(8);
    struct drops d = {.n = 0};
    struct job jobs[] = {
        job_of(1, 0), job_of(1, 1), job_of(1, 2), job_of(2, 1), job_of(2, 2), job_of(1, 7)};
    queue_push_waiting(q, &jobs[5], 900);
    push_all(q, jobs, 5);
    assert_starts(q, 0, &jobs[0]);
    assert_nothing(q, 0);
    queue_end_message(q, 1, note_drop, &d);
    assert_int_equal(d.n, 2);
    assert_ptr_equal(d.v[0], &jobs[1]);
    assert_ptr_equal(d.v[1], &jobs[2]);
    assert_int_equal(queue_waiting(q), 3);
    assert_starts(q, 0, &jobs[3]); /* its rule is free now */
    queue_settle(q, &jobs[0]);
    queue_end_message(q, 1, note_drop, &d); /* jobs[5] has run before, and stays */
    queue_end_message(q, 77, note_drop, &d);
    assert_int_equal(d.n, 2);
    assert_starts(q, 900, &jobs[5]);
    queue_settle(q, &jobs[3]);
    queue_end_message(q, 2, note_drop, &d);
    assert_ptr_equal(d.v[2], &jobs[4]);
    assert_int_equal(queue_waiting(q), 0);
    queue_free(q, ignore_drop, NULL);
}

static void
an_ended_message_leaves_its_burst(void **state)
{
    (void)state;
    struct queue *q = queue_new(8, bursts, 2);
    struct drops d = {.n = 0};
    struct job a = job_of(1, 0), b = job_of(2, 0), c = job_of(3, 0), other = job_of(3, 1);
    queue_push(q, &a, 0);
    queue_push(q, &b, 1);
    queue_push(q, &c, 2);
    queue_push(q, &other, 2);
    assert_starts(q, 2, &other);
    queue_end_message(q, 3, note_drop, &d);
    assert_int_equal(d.n, 1);
    assert_ptr_equal(d.v[0], &c);
    queue_settle(q, &other);
    assert_starts(q, 6, &b);
    assert_leads(&b, FOLLOWERS(&a));
    queue_end_message(q, 1, note_drop, &d); /* runs already, as its leader's follower */
    assert_int_equal(d.n, 1);
    queue_wait(q, &b, 50);
    queue_end_message(q, 1, note_drop, &d);
    queue_end_message(q, 2, note_drop, &d);
    assert_int_equal(d.n, 1);
    assert_starts(q, 50, &b);
    assert_leads(&b, FOLLOWERS(&a));
    queue_free(q, ignore_drop, NULL);
}

static void
where_an_ended_message_led_the_newest_follower_leads(void **state)
{
    (void)state;
    struct queue *q = queue_new(8, bursts, 2);
    struct drops d = {.n = 0};
    struct job a = job_of(1, 0), b = job_of(2, 0), c = job_of(3, 0), e = job_of(4, 0);
    struct job other = job_of(4, 1);
    queue_push(q, &other, 0);
    queue_push(q, &a, 0);
    queue_push(q, &b, 0);
    queue_push(q, &c, 0);
    queue_push(q, &e, 0);
    assert_starts(q, 0, &other);
    assert_nothing(q, 5); /* formed; e waits for its message */
    assert_leads(&e, FOLLOWERS(&a, &b, &c));
    queue_end_message(q, 2, note_drop, &d);
    assert_leads(&e, FOLLOWERS(&a, &c));
    queue_end_message(q, 4, note_drop, &d);
    assert_int_equal(d.n, 2);
    assert_ptr_equal(d.v[0], &b);
    assert_ptr_equal(d.v[1], &e);
    assert_alone(&e);
    assert_starts(q, 5, &c);
    assert_leads(&c, FOLLOWERS(&a));
    assert_ptr_equal(a.leader, &c);
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
    struct queue *q = queue_new(8, bursts, 2);
    unsigned freed = 0;
    for (uint64_t m = 1; m <= 6; m++) {
        for (uint64_t r = 0; r < 4; r++) {
            struct job *job = xcalloc(1, sizeof *job);
            *job = job_of(m, r);
            queue_push(q, job, m * 4);
        }
    }
    queue_end_message(q, 2, free_the_job, &freed); /* one gathers */
    assert_int_equal(freed, 4);
    struct job *job;
    assert_int_equal(queue_next(q, 29, &job), QUEUE_START);
    queue_end_message(q, 6, free_the_job, &freed); /* one leads */
    assert_int_equal(freed, 8);
    queue_end_message(q, 4, free_the_job, &freed); /* one follows */
    assert_int_equal(freed, 12);
    queue_free(q, free_the_job, &freed);
    assert_int_equal(freed, 24);
}

static void
what_is_left_is_dropped(void **state)
{
    (void)state;
    struct queue *q = plain_queue(8);
    struct drops d = {.n = 0};
    struct job jobs[] = {job_of(3, 9), job_of(3, 1), job_of(4, 9), job_of(5, 0), job_of(3, 7)};
    push_all(q, jobs, 5);
    assert_starts(q, 0, &jobs[0]);
    queue_free(q, note_drop, &d);
    assert_int_equal(d.n, 5);
    for (size_t i = 0; i < 5; i++)
        assert_ptr_equal(d.v[i], &jobs[i]);
    queue_free(NULL, note_drop, &d);
}

/* --- many --- */

/* Settles whatever runs in a shuffled order and checks both orders on the way. Anything linear in
 * the jobs or the rules would make this a matter of minutes. */
static void
many_jobs_all_run_once_and_in_order(void **state)
{
    (void)state;
    enum { MESSAGES = 1000, RULES = 1000, MAX = 8 };
    struct job *jobs = xcalloc((size_t)MESSAGES * RULES, sizeof *jobs);
    uint64_t last_message[RULES] = {0};
    uint64_t *rules_done = xcalloc(MESSAGES + 1, sizeof *rules_done);
    struct job *running[MAX];
    struct queue *q = plain_queue(MAX);
    for (size_t i = 0; i < (size_t)MESSAGES * RULES; i++) {
        jobs[i] = job_of(i / RULES + 1, i % RULES);
        queue_push(q, &jobs[i], 0);
    }
    uint32_t seed = 1;
    size_t n = 0;
    for (size_t done = 0; done < (size_t)MESSAGES * RULES; done++) {
        struct job *job;
        while (queue_next(q, 0, &job) == QUEUE_START) {
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
    }
    assert_nothing(q, 0);
    queue_free(q, ignore_drop, NULL);
    free(rules_done);
    free(jobs);
}

static void
many_waits_end_in_order(void **state)
{
    (void)state;
    enum { JOBS = 100000 };
    struct job *jobs = xcalloc(JOBS, sizeof *jobs);
    struct queue *q = plain_queue(1);
    uint32_t seed = 1;
    for (size_t i = 0; i < JOBS; i++) {
        seed = seed * 1664525u + 1013904223u;
        jobs[i] = job_of(i, i % 1000);
        queue_push_waiting(q, &jobs[i], seed);
    }
    uint64_t last = 0;
    for (size_t i = 0; i < JOBS; i++) {
        uint64_t now = queue_deadline(q);
        struct job *job;
        assert_true(now >= last && now < UINT64_MAX);
        assert_int_equal(queue_next(q, now, &job), QUEUE_START);
        queue_settle(q, job);
        last = queue_deadline(q) == now ? now : now + 1;
    }
    assert_int_equal(queue_waiting(q), 0);
    queue_free(q, ignore_drop, NULL);
    free(jobs);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_rule_runs_in_the_order_of_arrival),
        cmocka_unit_test(as_many_as_the_rule_allows_run_at_once),
        cmocka_unit_test(the_jobs_of_one_message_run_one_after_the_other),
        cmocka_unit_test(messages_overlap_where_their_rules_allow),
        cmocka_unit_test(a_job_put_back_stands_where_it_stood),
        cmocka_unit_test(the_oldest_message_goes_first),
        cmocka_unit_test(never_more_than_the_maximum_run),
        cmocka_unit_test(a_delayed_job_bars_nobody_and_comes_back_at_the_end),
        cmocka_unit_test(waits_end_in_the_order_of_their_moments),
        cmocka_unit_test(what_gathers_becomes_one_when_it_is_quiet),
        cmocka_unit_test(a_burst_without_end_is_cut_when_its_oldest_waited_too_long),
        cmocka_unit_test(gathering_bars_no_other_rule_of_the_message),
        cmocka_unit_test(while_the_rule_is_busy_a_burst_gathers_on),
        cmocka_unit_test(a_burst_goes_on_without_a_job_that_is_removed),
        cmocka_unit_test(a_batch_stays_together_whatever_happens_to_its_leader),
        cmocka_unit_test(a_batch_of_an_earlier_life_brings_its_followers),
        cmocka_unit_test(to_wake_a_gathering_job_is_to_form_its_burst),
        cmocka_unit_test(hurry_ends_all_gathering),
        cmocka_unit_test(times_near_the_end_of_time_do_not_wrap),
        cmocka_unit_test(a_busy_rule_that_skips_lets_go_of_what_comes),
        cmocka_unit_test(that_all_together_are_many_is_no_reason_to_skip),
        cmocka_unit_test(who_has_run_before_is_never_skipped),
        cmocka_unit_test(a_quiet_burst_is_skipped_as_one),
        cmocka_unit_test(a_newer_one_has_the_running_one_stopped_once),
        cmocka_unit_test(nobody_is_stopped_for_one_whose_turn_it_is_not),
        cmocka_unit_test(an_ended_message_loses_its_waiting_jobs_only),
        cmocka_unit_test(an_ended_message_leaves_its_burst),
        cmocka_unit_test(where_an_ended_message_led_the_newest_follower_leads),
        cmocka_unit_test(dropped_jobs_may_be_freed),
        cmocka_unit_test(what_is_left_is_dropped),
        cmocka_unit_test(many_jobs_all_run_once_and_in_order),
        cmocka_unit_test(many_waits_end_in_order),
    };
    return cmocka_run_group_tests_name("job_queue", tests, NULL, NULL);
}
