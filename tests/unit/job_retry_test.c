/* job/retry: which exit statuses are worth another attempt, how many there are, how long to wait.
 */
#include "job/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000)
#define HOUR   (3600 * SECOND)

static uint64_t
wait_after(const struct retry_opts *o, unsigned made, uint64_t random)
{
    uint64_t wait = UINT64_MAX;
    assert_true(retry_next(o, made, random, &wait));
    return wait;
}

/* What is drawn when all of the jitter's range, or none of it, is added to its lower end. */
static uint64_t
shortest(const struct retry_opts *o, unsigned made)
{
    return wait_after(o, made, 0);
}

static uint64_t
longest(const struct retry_opts *o, unsigned made, uint64_t nominal)
{
    return wait_after(o, made, nominal / 4 * 2);
}

static void
waits_around(const struct retry_opts *o, unsigned made, uint64_t nominal)
{
    assert_int_equal(shortest(o, made), nominal - nominal / 4);
    assert_int_equal(longest(o, made, nominal), nominal + nominal / 4);
}

static void
by_default_a_wait_is_four_times_the_one_before_up_to_an_hour(void **state)
{
    (void)state;
    struct retry_opts o;
    uint64_t untouched = 17;
    retry_default(&o);
    waits_around(&o, 1, 30 * SECOND);
    waits_around(&o, 2, 120 * SECOND);
    waits_around(&o, 3, 480 * SECOND);
    waits_around(&o, 4, 1920 * SECOND);
    waits_around(&o, 5, HOUR);
    assert_false(retry_next(&o, 6, 0, &untouched));
    assert_false(retry_next(&o, 7, 0, &untouched));
    assert_false(retry_next(&o, UINT32_MAX, 0, &untouched));
    assert_int_equal(untouched, 17);
    retry_opts_free(&o);
}

static void
the_cap_holds_from_the_first_wait_to_the_last(void **state)
{
    (void)state;
    static const struct {
        uint64_t backoff, most;
        unsigned made;
        uint64_t nominal;
    } v[] = {
        {8000, 8000, 1, 8000},
        {8000, 8000, 2, 8000},
        {9000, 8000, 1, 8000}, /* config/ refuses it */
        {8000, 31999, 2, 31999},
        {8000, 32000, 2, 32000},
        {8000, 32001, 2, 32000},
        {8000, 32001, 3, 32001},
        {8000, 32001, 99, 32001},
        {8000, 32001, 4000000000, 32001},
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        struct retry_opts o = {UINT32_MAX, v[i].backoff, v[i].most, true, NULL, 0};
        waits_around(&o, v[i].made, v[i].nominal);
    }
}

static void
no_random_number_leaves_the_quarters(void **state)
{
    (void)state;
    static const uint64_t nominals[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 1000, 1001, 1002, 1003};
    for (size_t i = 0; i < sizeof nominals / sizeof *nominals; i++) {
        uint64_t nominal = nominals[i];
        struct retry_opts o = {2, nominal, nominal, true, NULL, 0};
        for (uint64_t n = 0; n < 6000; n++) {
            uint64_t random = n < 3000 ? n : UINT64_MAX - (n - 3000);
            uint64_t wait = wait_after(&o, 1, random);
            assert_true(4 * wait >= 3 * nominal);
            assert_true(4 * wait <= 5 * nominal);
        }
    }
}

static void
every_wait_between_the_quarters_can_come(void **state)
{
    (void)state;
    bool seen[501] = {false};
    struct retry_opts o = {2, 1000, 1000, true, NULL, 0};
    for (uint64_t random = 0; random < 501; random++)
        seen[wait_after(&o, 1, random) - 750] = true;
    for (size_t i = 0; i < 501; i++)
        assert_true(seen[i]);
}

static void
huge_values_wait_long_instead_of_wrapping_around(void **state)
{
    (void)state;
    static const struct {
        uint64_t backoff, most;
        unsigned made;
    } v[] = {
        {UINT64_MAX, UINT64_MAX, 1},
        {UINT64_MAX / 4, UINT64_MAX, 2},
        {UINT64_MAX / 4 + 1, UINT64_MAX, 2},
        {1, UINT64_MAX, 33},
        {1, UINT64_MAX, 34},
        {3, UINT64_MAX, 100},
        {1, UINT64_MAX, UINT32_MAX - 1},
    };
    static const uint64_t randoms[] = {0, 1, UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        for (size_t k = 0; k < sizeof randoms / sizeof *randoms; k++) {
            struct retry_opts o = {UINT32_MAX, v[i].backoff, v[i].most, true, NULL, 0};
            assert_true(wait_after(&o, v[i].made, randoms[k]) >= UINT64_MAX / 5 * 3);
        }
    struct retry_opts o = {2, UINT64_MAX, UINT64_MAX, true, NULL, 0};
    assert_int_equal(longest(&o, 1, UINT64_MAX / 5 * 4), UINT64_MAX);
}

static void
no_backoff_is_no_wait_however_often(void **state)
{
    (void)state;
    struct retry_opts o = {UINT32_MAX, 0, HOUR, true, NULL, 0};
    assert_int_equal(wait_after(&o, 1, UINT64_MAX), 0);
    assert_int_equal(wait_after(&o, 40, UINT64_MAX), 0);
    assert_int_equal(wait_after(&o, UINT32_MAX - 1, UINT64_MAX), 0);
}

static void
one_attempt_is_never_repeated(void **state)
{
    (void)state;
    uint64_t wait;
    struct retry_opts o;
    retry_default(&o);
    o.attempts = 1;
    assert_false(retry_next(&o, 1, 0, &wait));
    assert_false(retry_next(&o, 2, 0, &wait));
    o.attempts = 2;
    assert_true(retry_next(&o, 1, 0, &wait));
    assert_false(retry_next(&o, 2, 0, &wait));
    retry_opts_free(&o);
}

static void
by_default_75_and_111_are_worth_another_attempt(void **state)
{
    (void)state;
    struct retry_opts o;
    retry_default(&o);
    assert_int_equal(o.attempts, 6);
    assert_false(o.any);
    for (int status = 0; status < 256; status++)
        assert_int_equal(retry_status(&o, status), status == 75 || status == 111);
    retry_opts_free(&o);
}

static void
named_codes_are_all_that_counts(void **state)
{
    (void)state;
    int codes[] = {255, 1};
    struct retry_opts o = {.codes = codes, .n_codes = 2};
    for (int status = 0; status < 256; status++)
        assert_int_equal(retry_status(&o, status), status == 1 || status == 255);
    o.n_codes = 0;
    for (int status = 0; status < 256; status++)
        assert_false(retry_status(&o, status));
}

static void
success_and_stop_are_no_failures_whatever_is_asked(void **state)
{
    (void)state;
    int codes[] = {0, 99};
    struct retry_opts any = {.any = true};
    struct retry_opts listed = {.codes = codes, .n_codes = 2};
    for (int status = 0; status < 256; status++)
        assert_int_equal(retry_status(&any, status), status != 0 && status != 99);
    assert_false(retry_status(&listed, 0));
    assert_false(retry_status(&listed, 99));
}

static void
freed_options_are_empty(void **state)
{
    (void)state;
    struct retry_opts o;
    retry_default(&o);
    retry_opts_free(&o);
    assert_null(o.codes);
    assert_int_equal(o.n_codes, 0);
    assert_int_equal(o.attempts, 0);
    retry_opts_free(&o);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_default_a_wait_is_four_times_the_one_before_up_to_an_hour),
        cmocka_unit_test(the_cap_holds_from_the_first_wait_to_the_last),
        cmocka_unit_test(no_random_number_leaves_the_quarters),
        cmocka_unit_test(every_wait_between_the_quarters_can_come),
        cmocka_unit_test(huge_values_wait_long_instead_of_wrapping_around),
        cmocka_unit_test(no_backoff_is_no_wait_however_often),
        cmocka_unit_test(one_attempt_is_never_repeated),
        cmocka_unit_test(by_default_75_and_111_are_worth_another_attempt),
        cmocka_unit_test(named_codes_are_all_that_counts),
        cmocka_unit_test(success_and_stop_are_no_failures_whatever_is_asked),
        cmocka_unit_test(freed_options_are_empty),
    };
    return cmocka_run_group_tests_name("job_retry", tests, NULL, NULL);
}
