/* watch/ledger: the journal's mark never passes a message that is still open. */
#include "base/mem.h"
#include "watch/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct state {
    char *folder;
    struct journal *journal;
    struct ledger ledger;
    struct mailbox mailbox;
    struct ledger_entry entries[20]; /* by UID */
};

static void
open_again(struct state *s)
{
    struct err e;
    journal_close(s->journal);
    mailbox_clear(&s->mailbox);
    s->journal = journal_open(s->folder, &e);
    assert_non_null(s->journal);
    ledger_init(&s->ledger, s->journal, "work", "INBOX");
    assert_int_equal(ledger_restore(&s->ledger, &s->mailbox, &e), 0);
}

static int
set_up(void **state)
{
    struct state *s = xcalloc(1, sizeof *s);
    char folder[] = "/tmp/mailcall-test.XXXXXX";
    struct err e;
    s->folder = xstrdup(mkdtemp(folder));
    mailbox_init(&s->mailbox);
    open_again(s);
    assert_false(s->mailbox.known);
    assert_int_equal(ledger_baseline(&s->ledger, 7, 4, &e), 0);
    *state = s;
    return 0;
}

static int
tear_down(void **state)
{
    struct state *s = *state;
    journal_close(s->journal);
    mailbox_clear(&s->mailbox);
    char *rm = xasprintf("rm -rf %s", s->folder);
    int status = system(rm);
    free(rm);
    free(s->folder);
    free(s);
    return status;
}

static void
arrive(struct state *s, uint32_t uid)
{
    ledger_open(&s->ledger, &s->entries[uid], uid);
}

static void
deal_with(struct state *s, uint32_t uid)
{
    ledger_close(&s->ledger, &s->entries[uid]);
}

/* Ends and begins again, as after a crash behind the last commit; then what is still asked for? */
static void
assert_after_restart(struct state *s, uint32_t mark, const char *new_ones)
{
    struct err e;
    char found[100] = "";
    assert_int_equal(journal_commit(s->journal, &e), 0);
    open_again(s);
    assert_true(s->mailbox.known);
    assert_int_equal(s->mailbox.mark, mark);
    for (uint32_t uid = 1; uid < 12; uid++)
        if (mailbox_is_new(&s->mailbox, uid))
            snprintf(found + strlen(found), sizeof found - strlen(found), " %u", (unsigned)uid);
    assert_string_equal(found, new_ones);
}

static void
a_baseline_is_where_it_begins(void **state)
{
    assert_after_restart(*state, 4, " 5 6 7 8 9 10 11");
}

static void
what_is_dealt_with_is_not_asked_for_again(void **state)
{
    struct state *s = *state;
    for (uint32_t uid = 5; uid <= 7; uid++)
        arrive(s, uid);
    deal_with(s, 6);
    deal_with(s, 5);
    assert_after_restart(s, 4, " 7 8 9 10 11"); /* the pass had not ended */
}

static void
the_mark_stops_below_the_oldest_open_message(void **state)
{
    struct state *s = *state;
    for (uint32_t uid = 5; uid <= 8; uid++)
        arrive(s, uid);
    deal_with(s, 5);
    deal_with(s, 7);
    ledger_checked(&s->ledger, 8);
    assert_after_restart(s, 5, " 6 8 9 10 11");
}

static void
the_mark_follows_when_the_oldest_is_closed(void **state)
{
    struct state *s = *state;
    arrive(s, 6); /* 5 was expunged before we saw it */
    arrive(s, 9);
    ledger_checked(&s->ledger, 9);
    deal_with(s, 6);
    assert_int_equal(s->ledger.settled, 8);
    deal_with(s, 9);
    assert_after_restart(s, 9, " 10 11");
}

static void
a_message_that_was_left_comes_again(void **state)
{
    struct state *s = *state;
    arrive(s, 5);
    arrive(s, 6);
    arrive(s, 7);
    ledger_checked(&s->ledger, 7);
    deal_with(s, 5);
    ledger_leave(&s->ledger, &s->entries[6]);
    deal_with(s, 7);
    assert_after_restart(s, 5, " 6 8 9 10 11");
}

static void
a_message_of_an_earlier_epoch_says_nothing_about_this_one(void **state)
{
    struct state *s = *state;
    struct err e;
    arrive(s, 5);
    arrive(s, 6);
    assert_int_equal(ledger_baseline(&s->ledger, 8, 2, &e), 0);
    deal_with(s, 5);
    ledger_leave(&s->ledger, &s->entries[6]);
    ledger_checked(&s->ledger, 3);
    assert_after_restart(s, 3, " 4 5 6 7 8 9 10 11");
    assert_int_equal(s->mailbox.uidvalidity, 8);
}

static void
without_a_journal_nothing_is_kept_and_nothing_breaks(void **state)
{
    (void)state;
    struct ledger l;
    struct ledger_entry entry;
    struct mailbox m;
    struct err e;
    mailbox_init(&m);
    ledger_init(&l, NULL, "work", "INBOX");
    assert_int_equal(ledger_restore(&l, &m, &e), 0);
    assert_false(m.known);
    assert_int_equal(ledger_baseline(&l, 1, 1, &e), 0);
    ledger_open(&l, &entry, 2);
    ledger_checked(&l, 2);
    ledger_close(&l, &entry);
    assert_true(list_empty(&l.open));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_baseline_is_where_it_begins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            what_is_dealt_with_is_not_asked_for_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            the_mark_stops_below_the_oldest_open_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            the_mark_follows_when_the_oldest_is_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_that_was_left_comes_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_message_of_an_earlier_epoch_says_nothing_about_this_one, set_up, tear_down),
        cmocka_unit_test(without_a_journal_nothing_is_kept_and_nothing_breaks),
    };
    return cmocka_run_group_tests_name("watch_ledger", tests, NULL, NULL);
}
