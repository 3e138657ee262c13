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

enum { NOW = 1700000000, DAY = 86400 };

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
    assert_int_equal(ledger_restore(&s->ledger, &s->mailbox, NOW + 1000 * DAY, &e), 0);
}

static void
begin(struct state *s, uint32_t uidvalidity, uint32_t mark, bool first)
{
    struct err e;
    mailbox_baseline(&s->mailbox, uidvalidity, mark);
    const struct ledger_first now = {NOW, 0};
    assert_int_equal(ledger_baseline(&s->ledger, &s->mailbox, first ? &now : NULL, &e), 0);
    ledger_checked(&s->ledger, &s->mailbox);
}

static int
set_up(void **state)
{
    struct state *s = xcalloc(1, sizeof *s);
    char folder[] = "/tmp/mailcall-test.XXXXXX";
    s->folder = xstrdup(mkdtemp(folder));
    mailbox_init(&s->mailbox);
    open_again(s);
    assert_false(s->mailbox.known);
    begin(s, 7, 4, true);
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
    ledger_open(&s->ledger, &s->entries[uid], uid, mailbox_is_wanted(&s->mailbox, uid));
}

static void
deal_with(struct state *s, uint32_t uid)
{
    ledger_close(&s->ledger, &s->entries[uid]);
}

static void
checked(struct state *s, uint32_t mark)
{
    s->mailbox.mark = mark;
    ledger_checked(&s->ledger, &s->mailbox);
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
    checked(s, 8);
    assert_after_restart(s, 5, " 6 8 9 10 11");
}

static void
the_mark_follows_when_the_oldest_is_closed(void **state)
{
    struct state *s = *state;
    arrive(s, 6); /* 5 was expunged before we saw it */
    arrive(s, 9);
    checked(s, 9);
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
    checked(s, 7);
    deal_with(s, 5);
    ledger_leave(&s->ledger, &s->entries[6]);
    deal_with(s, 7);
    assert_after_restart(s, 5, " 6 8 9 10 11");
}

static void
a_message_of_an_earlier_epoch_says_nothing_about_this_one(void **state)
{
    struct state *s = *state;
    arrive(s, 5);
    arrive(s, 6);
    begin(s, 8, 2, false);
    deal_with(s, 5);
    ledger_leave(&s->ledger, &s->entries[6]);
    checked(s, 3);
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
    assert_int_equal(ledger_restore(&l, &m, NOW, &e), 0);
    assert_false(m.known);
    struct sighting seen = {{1}, NOW};
    mailbox_baseline(&m, 1, 1);
    assert_int_equal(ledger_baseline(&l, &m, NULL, &e), 0);
    ledger_open(&l, &entry, 2, false);
    m.mark = 2;
    ledger_checked(&l, &m);
    ledger_close(&l, &entry);
    assert_true(list_empty(&l.open));
    ledger_see(&l, &seen, false, NOW + 1000 * DAY);
    assert_false(ledger_is_old(&l, &seen));
    assert_int_equal(l.epoch_since, 0); /* a new epoch begins at now, then */
    mailbox_clear(&m);
}

static void
what_is_wanted_below_the_mark_is_wanted_until_it_is_dealt_with(void **state)
{
    struct state *s = *state;
    struct err e;
    mailbox_baseline(&s->mailbox, 7, 9);
    mailbox_want(&s->mailbox, 2);
    mailbox_want(&s->mailbox, 5);
    mailbox_want(&s->mailbox, 8);
    const struct ledger_first first = {NOW, 0};
    assert_int_equal(ledger_baseline(&s->ledger, &s->mailbox, &first, &e), 0);
    assert_after_restart(s, 9, " 2 5 8 10 11");
    arrive(s, 5);
    deal_with(s, 5);
    ledger_gone(&s->ledger, 2);
    assert_after_restart(s, 9, " 8 10 11");
}

static void
a_wanted_message_that_is_open_does_not_hold_the_mark(void **state)
{
    struct state *s = *state;
    mailbox_want(&s->mailbox, 2);
    arrive(s, 2);
    arrive(s, 5);
    deal_with(s, 5);
    checked(s, 6);
    assert_int_equal(s->ledger.settled, 6);
    ledger_leave(&s->ledger, &s->entries[2]);
    checked(s, 7);
    assert_int_equal(s->ledger.settled, 7);
}

static struct sighting
sighting(unsigned n, int64_t received)
{
    return (struct sighting){{(unsigned char)n}, received};
}

static void
see(struct state *s, unsigned n, int64_t received)
{
    struct sighting seen = sighting(n, received);
    ledger_see(&s->ledger, &seen, false, NOW + 1000 * DAY);
}

static bool
is_old(struct state *s, unsigned n, int64_t received)
{
    struct sighting seen = sighting(n, received);
    return ledger_is_old(&s->ledger, &seen);
}

/* The moment from which a new epoch may bring something new. */
static void
an_epoch_looks_back_a_week_from_the_latest_but_never_before_the_beginning(void **state)
{
    struct state *s = *state;
    assert_int_equal(s->ledger.epoch_since, NOW);
    see(s, 1, NOW + 3 * DAY);
    assert_int_equal(s->ledger.epoch_since, NOW);
    see(s, 1, NOW + 30 * DAY);
    assert_int_equal(s->ledger.epoch_since, NOW + 23 * DAY);
    see(s, 1, NOW + 10 * DAY);
    assert_int_equal(s->ledger.epoch_since, NOW + 23 * DAY);
    assert_after_restart(s, 4, " 5 6 7 8 9 10 11");
    assert_int_equal(s->ledger.epoch_since, NOW + 23 * DAY);
}

static void
after_renumbering_only_what_was_never_seen_is_new(void **state)
{
    struct state *s = *state;
    see(s, 1, NOW + DAY);
    assert_false(is_old(s, 1, NOW + DAY)); /* a copy is a message too */
    begin(s, 8, 3, false);
    assert_true(is_old(s, 1, NOW + DAY));
    assert_true(is_old(s, 1, 0));
    assert_false(is_old(s, 2, NOW + DAY));
    assert_false(is_old(s, 2, 0));
    assert_true(is_old(s, 2, NOW - 1)); /* from before we began */
    assert_after_restart(s, 3, " 4 5 6 7 8 9 10 11");
    assert_true(is_old(s, 1, NOW + DAY));
    begin(s, 9, 3, false);
    assert_true(is_old(s, 1, NOW + DAY));
}

static void
a_server_without_uidvalidity_begins_a_new_epoch_each_time(void **state)
{
    struct state *s = *state;
    begin(s, 0, 3, false);
    see(s, 1, NOW);
    begin(s, 0, 3, false);
    assert_true(is_old(s, 1, NOW));
}

static void
a_first_start_that_looks_back_takes_what_is_young_enough(void **state)
{
    struct state *s = *state;
    struct err e;
    const struct ledger_first week = {NOW - 7 * DAY, NOW - 7 * DAY};
    assert_int_equal(ledger_baseline(&s->ledger, &s->mailbox, &week, &e), 0);
    assert_true(is_old(s, 1, NOW - 7 * DAY - 1));
    assert_false(is_old(s, 1, NOW - 7 * DAY));
    assert_false(is_old(s, 1, 0));
}

static void
a_server_whose_clock_is_behind_begins_earlier(void **state)
{
    struct state *s = *state;
    see(s, 1, NOW - DAY);
    assert_int_equal(s->ledger.epoch_since, NOW - DAY);
    see(s, 2, NOW - 30 * DAY); /* an old one, moved here */
    assert_int_equal(s->ledger.epoch_since, NOW - DAY);
    assert_after_restart(s, 4, " 5 6 7 8 9 10 11");
    assert_int_equal(s->ledger.epoch_since, NOW - DAY);
    begin(s, 8, 3, false);
    assert_false(is_old(s, 3, NOW - DAY));
    assert_true(is_old(s, 3, NOW - DAY - 1));
}

/* Renumbered before all of a first look back has come: the rest of it is still owed. */
static void
what_a_first_look_back_owes_outlives_its_numbers(void **state)
{
    struct state *s = *state;
    struct err e;
    const struct ledger_first week = {NOW - 7 * DAY, NOW - 7 * DAY};
    mailbox_want(&s->mailbox, 2);
    mailbox_want(&s->mailbox, 3);
    assert_int_equal(ledger_baseline(&s->ledger, &s->mailbox, &week, &e), 0);
    see(s, 1, NOW);
    assert_int_equal(s->ledger.epoch_since, NOW - 7 * DAY);
    assert_after_restart(s, 4, " 2 3 5 6 7 8 9 10 11");
    assert_int_equal(s->ledger.epoch_since, NOW - 7 * DAY);
    see(s, 2, NOW + 20 * DAY);
    assert_int_equal(s->ledger.epoch_since, NOW - 7 * DAY);
    mailbox_baseline(&s->mailbox, 8, 9);
    mailbox_want(&s->mailbox, 6);
    assert_int_equal(ledger_baseline(&s->ledger, &s->mailbox, NULL, &e), 0);
    assert_false(is_old(s, 3, NOW - 6 * DAY));
    assert_true(is_old(s, 1, NOW));
    mailbox_forget(&s->mailbox, 6);
    checked(s, 9);
    assert_int_equal(s->ledger.epoch_since, NOW + 13 * DAY);
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
        cmocka_unit_test_setup_teardown(
            what_is_wanted_below_the_mark_is_wanted_until_it_is_dealt_with, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_wanted_message_that_is_open_does_not_hold_the_mark, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            an_epoch_looks_back_a_week_from_the_latest_but_never_before_the_beginning, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            after_renumbering_only_what_was_never_seen_is_new, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_server_without_uidvalidity_begins_a_new_epoch_each_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_first_start_that_looks_back_takes_what_is_young_enough, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            what_a_first_look_back_owes_outlives_its_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_server_whose_clock_is_behind_begins_earlier, set_up, tear_down),
        cmocka_unit_test(without_a_journal_nothing_is_kept_and_nothing_breaks),
    };
    return cmocka_run_group_tests_name("watch_ledger", tests, NULL, NULL);
}
