/* imap/mailbox: the arithmetic about UIDs. */
#include "imap/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void
opening_decides_where_to_go_on(void **state)
{
    (void)state;
    static const struct {
        bool known;
        uint32_t uidvalidity;
        uint32_t mark;
        struct mailbox_facts facts;
        enum mailbox_opening want;
    } table[] = {
        {false, 0, 0, {.uidvalidity = 7, .uidnext = 11}, MAILBOX_FIRST},
        {false, 0, 0, {.uidvalidity = 7, .uidnext = 1}, MAILBOX_FIRST},
        {false, 0, 0, {.uidvalidity = 7}, MAILBOX_FIRST},
        {false, 0, 0, {.exists = 3}, MAILBOX_FIRST},
        {true, 7, 10, {.uidvalidity = 7, .uidnext = 11}, MAILBOX_SAME},
        {true, 7, 10, {.uidvalidity = 7, .uidnext = 99}, MAILBOX_SAME},
        {true, 7, 10, {.uidvalidity = 7}, MAILBOX_SAME},
        {true, 7, UINT32_MAX, {.uidvalidity = 7}, MAILBOX_SAME},
        {true, 7, 10, {.uidvalidity = 8, .uidnext = 11}, MAILBOX_NEW_EPOCH},
        {true, 7, 10, {.uidvalidity = 8, .uidnext = 3}, MAILBOX_NEW_EPOCH},
        {true, 7, 10, {.uidvalidity = 8}, MAILBOX_NEW_EPOCH},
        {true, 7, 10, {.uidvalidity = 7, .uidnext = 10}, MAILBOX_NEW_EPOCH},
        {true, 7, 10, {.uidnext = 12}, MAILBOX_NEW_EPOCH},
        {true, 7, 10, {.exists = 3}, MAILBOX_NEW_EPOCH},
        {true, 0, 10, {.uidnext = 12}, MAILBOX_NEW_EPOCH},
        {true, 0, 10, {.uidvalidity = 7, .uidnext = 12}, MAILBOX_NEW_EPOCH},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct mailbox m;
        mailbox_init(&m);
        if (table[i].known)
            mailbox_baseline(&m, table[i].uidvalidity, table[i].mark);
        assert_int_equal(mailbox_open(&m, &table[i].facts), table[i].want);
        assert_int_equal(m.known, table[i].known);
        assert_int_equal(m.mark, table[i].mark);
        assert_int_equal(m.uidvalidity, table[i].uidvalidity);
        mailbox_clear(&m);
        assert_false(m.known);
    }
}

static void
a_uid_is_new_until_taken_or_below_the_mark(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 10);
    assert_false(mailbox_is_new(&m, 0));
    assert_false(mailbox_is_new(&m, 10));
    assert_true(mailbox_is_new(&m, 11));
    assert_true(mailbox_is_new(&m, UINT32_MAX));
    mailbox_take(&m, 12);
    assert_true(mailbox_is_new(&m, 11));
    assert_false(mailbox_is_new(&m, 12));
    assert_int_equal(m.mark, 10);
    mailbox_settle(&m);
    assert_int_equal(m.mark, 12);
    assert_false(mailbox_is_new(&m, 11));
    mailbox_settle(&m);
    assert_int_equal(m.mark, 12);
    mailbox_clear(&m);
}

static void
taken_uids_stay_in_order_however_they_come(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 1000);
    uint32_t uid = 0;
    for (int i = 0; i < 3000; i++) {
        uid = (uid * 1103515245u + 12345u) % 2048; /* with repetitions, and some below the mark */
        mailbox_take(&m, 500 + uid);
        assert_false(mailbox_is_new(&m, 500 + uid));
    }
    assert_true(m.taken.n > 100);
    for (size_t i = 0; i < m.taken.n; i++) {
        assert_true(m.taken.v[i] > 1000);
        assert_true(i == 0 || m.taken.v[i - 1] < m.taken.v[i]);
    }
    uint32_t highest = m.taken.v[m.taken.n - 1];
    mailbox_settle(&m);
    assert_int_equal(m.mark, highest);
    assert_int_equal(m.taken.n, 0);
    mailbox_clear(&m);
}

static void
a_new_epoch_forgets_what_was_taken(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 10);
    mailbox_take(&m, 11);
    mailbox_baseline(&m, 8, 5);
    assert_int_equal(m.taken.n, 0);
    assert_true(mailbox_is_new(&m, 11));
    mailbox_clear(&m);
}

static void
check_missing(struct mailbox *m, const char *expected)
{
    struct buf set = {0};
    mailbox_missing(m, "*", &set);
    assert_string_equal(buf_str(&set), expected);
    buf_free(&set);
}

static void
what_was_taken_is_not_asked_for_again(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 10);
    check_missing(&m, "11:*");
    mailbox_take(&m, 11);
    mailbox_take(&m, 12);
    check_missing(&m, "13:*");
    mailbox_take(&m, 14);
    mailbox_take(&m, 20);
    check_missing(&m, "13,15:19,21:*");
    mailbox_take(&m, UINT32_MAX);
    check_missing(&m, "13,15:19,21:4294967294,4294967295:*");
    mailbox_settle(&m);
    check_missing(&m, "4294967295:*");
    mailbox_clear(&m);
}

static void
a_request_has_so_many_ranges_at_most(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 0);
    for (uint32_t uid = 2; uid < 4000; uid += 2)
        mailbox_take(&m, uid);
    struct buf set = {0};
    mailbox_missing(&m, "*", &set);
    int ranges = 1;
    for (const char *p = buf_str(&set); *p != '\0'; p++)
        ranges += *p == ',';
    assert_int_equal(ranges, MAILBOX_RANGES);
    assert_non_null(strstr(buf_str(&set), ",127:*"));
    buf_free(&set);
    mailbox_clear(&m);
}

static void
what_is_wanted_is_new_until_taken_or_forgotten(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 10);
    mailbox_want(&m, 5);
    mailbox_want(&m, 6);
    mailbox_want(&m, 0);
    mailbox_want(&m, 11); /* anyway */
    assert_int_equal(m.wanted.n, 2);
    assert_true(mailbox_is_new(&m, 5));
    assert_true(mailbox_is_wanted(&m, 5));
    assert_false(mailbox_is_new(&m, 4));
    assert_true(mailbox_is_new(&m, 11));
    assert_false(mailbox_is_wanted(&m, 11));
    mailbox_take(&m, 5);
    assert_false(mailbox_is_new(&m, 5));
    assert_int_equal(m.taken.n, 0);
    mailbox_forget(&m, 6);
    assert_false(mailbox_is_new(&m, 6));
    assert_int_equal(m.wanted.n, 0);
    assert_int_equal(m.mark, 10);
    mailbox_clear(&m);
}

static void
what_was_taken_and_got_lost_is_wanted_again(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 10);
    mailbox_take(&m, 11);
    mailbox_take(&m, 13);
    mailbox_want(&m, 11);
    assert_true(mailbox_is_new(&m, 11));
    check_missing(&m, "11,12,14:*");
    mailbox_settle(&m);
    assert_int_equal(m.mark, 13);
    assert_true(mailbox_is_new(&m, 11));
    mailbox_take(&m, 11);
    assert_false(mailbox_is_new(&m, 11));
    mailbox_clear(&m);
}

static void
a_baseline_wants_nothing(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 10);
    mailbox_want(&m, 3);
    check_missing(&m, "3,11:*");
    mailbox_settle(&m);
    mailbox_baseline(&m, 8, 10);
    assert_int_equal(m.wanted.n + m.asked.n + m.absent.n, 0);
    check_missing(&m, "11:*");
    mailbox_clear(&m);
}

static void
wanted_ones_are_asked_for_in_runs_before_the_rest(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 10);
    static const uint32_t uids[] = {9, 1, 2, 4, 3, 7, 10};
    for (size_t i = 0; i < sizeof uids / sizeof *uids; i++)
        mailbox_want(&m, uids[i]);
    check_missing(&m, "1:4,7,9:10,11:*");
    mailbox_take(&m, 3);
    mailbox_take(&m, 12);
    check_missing(&m, "1:2,4,7,9:10,11,13:*");
    mailbox_clear(&m);
}

static void
what_a_pass_asked_for_in_vain_is_absent(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 10);
    mailbox_want(&m, 3);
    mailbox_want(&m, 5);
    assert_true(mailbox_wants_more(&m));
    check_missing(&m, "3,5,11:*");
    mailbox_take(&m, 3);
    mailbox_want(&m, 4); /* while the pass is under way: it was not asked for */
    mailbox_settle(&m);
    assert_int_equal(m.absent.n, 1);
    assert_int_equal(m.absent.v[0], 5);
    assert_true(mailbox_wants_more(&m));
    check_missing(&m, "4,11:*");
    mailbox_settle(&m);
    assert_int_equal(m.absent.n, 2);
    assert_false(mailbox_wants_more(&m));
    check_missing(&m, "4:5,11:*"); /* once more, from the beginning */
    assert_int_equal(m.absent.n, 0);
    mailbox_settle(&m);
    mailbox_forget(&m, 4);
    mailbox_forget(&m, 5);
    assert_int_equal(m.wanted.n + m.asked.n + m.absent.n, 0);
    check_missing(&m, "11:*");
    mailbox_clear(&m);
}

static void
a_pass_that_proves_nothing_makes_nothing_absent(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 10);
    mailbox_want(&m, 3);
    check_missing(&m, "3,11:*");
    check_missing(&m, "3,11:*"); /* the first was cut off */
    mailbox_unask(&m);
    mailbox_settle(&m);
    assert_int_equal(m.absent.n, 0);
    assert_true(mailbox_is_wanted(&m, 3));
    mailbox_clear(&m);
}

static unsigned
ranges_of(struct mailbox *m)
{
    struct buf set = {0};
    mailbox_missing(m, "*", &set);
    unsigned ranges = 1;
    for (const char *p = buf_str(&set); *p != '\0'; p++)
        ranges += *p == ',';
    assert_non_null(strstr(buf_str(&set), ",10001:*"));
    buf_free(&set);
    return ranges;
}

static void
more_than_a_request_holds_takes_several(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 10000);
    for (uint32_t uid = 2; uid <= 10000; uid += 2)
        mailbox_want(&m, uid);
    unsigned passes = 0;
    for (; mailbox_wants_more(&m); passes++) {
        assert_true(ranges_of(&m) <= MAILBOX_RANGES);
        while (m.asked.n > 1) /* the last of each is gone */
            mailbox_take(&m, m.asked.v[0]);
        mailbox_settle(&m);
    }
    assert_int_equal(passes, (5000 + MAILBOX_RANGES - 2) / (MAILBOX_RANGES - 1));
    assert_int_equal(m.absent.n, passes);
    assert_int_equal(m.wanted.n, passes);
    mailbox_clear(&m);
}

/* --- whole messages --- */

static void
check_missing_whole(struct mailbox *m, const char *expected)
{
    struct buf set = {0};
    mailbox_missing_whole(m, &set);
    assert_string_equal(buf_str(&set), expected);
    buf_free(&set);
}

static void
a_whole_message_is_wanted_by_a_request_of_its_own(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 10);
    mailbox_want(&m, 4);
    mailbox_want_whole(&m, 3);
    mailbox_want_whole(&m, 5);
    mailbox_want_whole(&m, 0);
    mailbox_want_whole(&m, 11); /* its header block comes first */
    assert_int_equal(m.wanted.n, 3);
    assert_int_equal(m.whole.n, 2);
    assert_true(mailbox_is_new(&m, 3) && mailbox_is_wanted_whole(&m, 3));
    assert_false(mailbox_is_wanted_whole(&m, 4));
    assert_false(mailbox_is_wanted_whole(&m, 11));
    check_missing(&m, "4,11:*");
    check_missing_whole(&m, "3,5");
    assert_false(mailbox_wants_more(&m) || mailbox_wants_whole(&m));
    mailbox_take(&m, 3);
    assert_false(mailbox_is_new(&m, 3) || mailbox_is_wanted_whole(&m, 3));
    mailbox_forget(&m, 5);
    assert_int_equal(m.wanted.n + m.whole.n + m.asked.n + m.asked_whole.n, 1 + 0 + 1 + 0);
    mailbox_clear(&m);
}

static void
each_request_proves_its_own_absent_ones(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 10);
    mailbox_want(&m, 3);
    mailbox_want_whole(&m, 4);
    check_missing(&m, "3,11:*");
    check_missing_whole(&m, "4");
    mailbox_settle_whole(&m);
    assert_int_equal(m.absent.n, 1);
    assert_int_equal(m.absent.v[0], 4);
    assert_false(mailbox_wants_whole(&m));
    mailbox_settle(&m);
    assert_int_equal(m.absent.n, 2);
    assert_false(mailbox_wants_more(&m));
    mailbox_want_whole(&m, 5);
    assert_true(mailbox_wants_whole(&m));
    check_missing_whole(&m, "5"); /* those not asked for before come first */
    mailbox_settle_whole(&m);
    check_missing_whole(&m, "4:5"); /* once more, from the beginning */
    assert_int_equal(m.absent.n, 1);
    mailbox_unask_whole(&m);
    mailbox_settle_whole(&m);
    assert_int_equal(m.absent.n, 1);
    check_missing(&m, "3,11:*");
    assert_int_equal(m.absent.n, 0);
    mailbox_forget(&m, 4);
    mailbox_forget(&m, 5);
    assert_int_equal(m.whole.n + m.asked_whole.n + m.absent_whole.n, 0);
    mailbox_clear(&m);
}

static void
a_round_of_header_blocks_leaves_absent_whole_ones_alone(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 10);
    mailbox_want_whole(&m, 4);
    check_missing_whole(&m, "4");
    mailbox_settle_whole(&m);
    check_missing(&m, "11:*");
    mailbox_settle(&m);
    assert_int_equal(m.absent.n, 1);
    assert_false(mailbox_wants_more(&m) || mailbox_wants_whole(&m));
    mailbox_baseline(&m, 8, 10);
    assert_int_equal(m.whole.n + m.absent.n + m.absent_whole.n, 0);
    mailbox_clear(&m);
}

static void
what_was_wanted_less_is_wanted_whole_from_then_on(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 10);
    mailbox_want(&m, 3);
    mailbox_want(&m, 4);
    check_missing(&m, "3:4,11:*");
    mailbox_want_whole(&m, 3); /* its header block is on the way */
    mailbox_settle(&m);
    assert_int_equal(m.absent.n, 1);
    assert_int_equal(m.absent.v[0], 4);
    mailbox_want_whole(&m, 4); /* it was gone */
    assert_int_equal(m.absent.n, 0);
    check_missing_whole(&m, "3:4");
    mailbox_want(&m, 3);
    mailbox_want_whole(&m, 3); /* changes nothing */
    assert_int_equal(m.asked_whole.n, 2);
    mailbox_take(&m, 12);
    mailbox_want_whole(&m, 12);
    check_missing_whole(&m, "3:4,12");
    mailbox_clear(&m);
}

static void
many_whole_messages_take_several_requests(void **state)
{
    (void)state;
    struct mailbox m;
    mailbox_init(&m);
    mailbox_baseline(&m, 7, 10000);
    for (uint32_t uid = 2; uid <= 10000; uid += 2)
        mailbox_want_whole(&m, uid);
    unsigned passes = 0;
    for (; mailbox_wants_whole(&m); passes++) {
        struct buf set = {0};
        mailbox_missing_whole(&m, &set);
        assert_true(set.n > 0 && set.p[set.n - 1] != ',');
        assert_true(m.asked_whole.n <= MAILBOX_RANGES);
        while (m.asked_whole.n > 1) /* the last of each is gone */
            mailbox_take(&m, m.asked_whole.v[0]);
        mailbox_settle_whole(&m);
        buf_free(&set);
    }
    assert_int_equal(passes, (5000 + MAILBOX_RANGES - 1) / MAILBOX_RANGES);
    assert_int_equal(m.absent.n, passes);
    assert_int_equal(m.wanted.n, passes);
    mailbox_clear(&m);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_decides_where_to_go_on),
        cmocka_unit_test(a_uid_is_new_until_taken_or_below_the_mark),
        cmocka_unit_test(taken_uids_stay_in_order_however_they_come),
        cmocka_unit_test(a_new_epoch_forgets_what_was_taken),
        cmocka_unit_test(what_was_taken_is_not_asked_for_again),
        cmocka_unit_test(a_request_has_so_many_ranges_at_most),
        cmocka_unit_test(what_is_wanted_is_new_until_taken_or_forgotten),
        cmocka_unit_test(what_was_taken_and_got_lost_is_wanted_again),
        cmocka_unit_test(a_baseline_wants_nothing),
        cmocka_unit_test(wanted_ones_are_asked_for_in_runs_before_the_rest),
        cmocka_unit_test(what_a_pass_asked_for_in_vain_is_absent),
        cmocka_unit_test(a_pass_that_proves_nothing_makes_nothing_absent),
        cmocka_unit_test(more_than_a_request_holds_takes_several),
        cmocka_unit_test(a_whole_message_is_wanted_by_a_request_of_its_own),
        cmocka_unit_test(each_request_proves_its_own_absent_ones),
        cmocka_unit_test(a_round_of_header_blocks_leaves_absent_whole_ones_alone),
        cmocka_unit_test(what_was_wanted_less_is_wanted_whole_from_then_on),
        cmocka_unit_test(many_whole_messages_take_several_requests),
    };
    return cmocka_run_group_tests_name("imap_mailbox", tests, NULL, NULL);
}
