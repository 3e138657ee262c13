/* watch/backoff: the waits between two tries. */
#include "watch/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A random number whose remainder is the bound itself: the longest wait that can come. */
static uint64_t
longest(unsigned failures)
{
    uint64_t most = 0;
    for (uint64_t r = 0; r <= BACKOFF_MOST_MS; r += 500) {
        struct backoff b = {failures};
        uint64_t wait = backoff_next(&b, r);
        most = wait > most ? wait : most;
    }
    return most;
}

static void
the_bound_doubles_up_to_five_minutes(void **state)
{
    (void)state;
    assert_int_equal(longest(0), 1000);
    assert_int_equal(longest(1), 2000);
    assert_int_equal(longest(2), 4000);
    assert_int_equal(longest(8), 256000);
    assert_int_equal(longest(9), BACKOFF_MOST_MS);
    assert_int_equal(longest(1000000), BACKOFF_MOST_MS);
}

static void
the_wait_may_be_nothing_and_is_never_beyond_the_bound(void **state)
{
    (void)state;
    struct backoff b = {0};
    assert_int_equal(backoff_next(&b, 0), 0);
    for (uint64_t r = UINT64_MAX - 5000; r < UINT64_MAX; r++) {
        struct backoff fresh = {0};
        assert_true(backoff_next(&fresh, r) <= BACKOFF_FIRST_MS);
    }
}

static void
only_a_minute_of_health_forgets_failures(void **state)
{
    (void)state;
    struct backoff b = {7};
    backoff_was_up(&b, BACKOFF_HEALTHY_MS - 1);
    assert_int_equal(b.failures, 7);
    backoff_was_up(&b, BACKOFF_HEALTHY_MS);
    assert_int_equal(b.failures, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bound_doubles_up_to_five_minutes),
        cmocka_unit_test(the_wait_may_be_nothing_and_is_never_beyond_the_bound),
        cmocka_unit_test(only_a_minute_of_health_forgets_failures),
    };
    return cmocka_run_group_tests_name("watch_backoff", tests, NULL, NULL);
}
