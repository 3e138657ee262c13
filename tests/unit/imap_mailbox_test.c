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
        uint32_t want_mark;
        uint32_t want_uidvalidity;
    } table[] = {
        {false, 0, 0, {.uidvalidity = 7, .uidnext = 11}, MAILBOX_FIRST, 10, 7},
        {false, 0, 0, {.uidvalidity = 7, .uidnext = 1}, MAILBOX_FIRST, 0, 7},
        {false, 0, 0, {.uidvalidity = 7}, MAILBOX_ASK, 0, 0},
        {true, 7, 10, {.uidvalidity = 7, .uidnext = 11}, MAILBOX_SAME, 10, 7},
        {true, 7, 10, {.uidvalidity = 7, .uidnext = 99}, MAILBOX_SAME, 10, 7},
        {true, 7, 10, {.uidvalidity = 7}, MAILBOX_SAME, 10, 7},
        {true, 7, 10, {.uidnext = 12}, MAILBOX_SAME, 10, 7},
        {true, 7, 10, {.exists = 3}, MAILBOX_SAME, 10, 7},
        {true, 7, 10, {.uidvalidity = 8, .uidnext = 11}, MAILBOX_NEW_EPOCH, 10, 8},
        {true, 7, 10, {.uidvalidity = 8, .uidnext = 3}, MAILBOX_NEW_EPOCH, 2, 8},
        {true, 7, 10, {.uidvalidity = 8}, MAILBOX_ASK, 10, 7},
        {true, 7, 10, {.uidvalidity = 7, .uidnext = 10}, MAILBOX_NEW_EPOCH, 9, 7},
        {true, 7, 10, {.uidnext = 1}, MAILBOX_NEW_EPOCH, 0, 7},
        {true, 7, UINT32_MAX, {.uidvalidity = 7}, MAILBOX_SAME, UINT32_MAX, 7},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct mailbox m;
        mailbox_init(&m);
        if (table[i].known)
            mailbox_baseline(&m, table[i].uidvalidity, table[i].mark);
        assert_int_equal(mailbox_open(&m, &table[i].facts), table[i].want);
        assert_int_equal(m.mark, table[i].want_mark);
        assert_int_equal(m.uidvalidity, table[i].want_uidvalidity);
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
    assert_true(m.n_taken > 100);
    for (size_t i = 0; i < m.n_taken; i++) {
        assert_true(m.taken[i] > 1000);
        assert_true(i == 0 || m.taken[i - 1] < m.taken[i]);
    }
    uint32_t highest = m.taken[m.n_taken - 1];
    mailbox_settle(&m);
    assert_int_equal(m.mark, highest);
    assert_int_equal(m.n_taken, 0);
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
    assert_int_equal(m.n_taken, 0);
    assert_true(mailbox_is_new(&m, 11));
    mailbox_clear(&m);
}

static void
check_missing(const struct mailbox *m, const char *expected)
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
    };
    return cmocka_run_group_tests_name("imap_mailbox", tests, NULL, NULL);
}
