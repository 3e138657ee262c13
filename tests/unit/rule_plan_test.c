/* rule: which rules concern a mailbox. */
#include "base/mem.h"
#include "rule/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
entries_cover_accounts_mailboxes_and_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *account;
        const char *mailbox;
        bool want;
    } table[] = {
        {"work", "work", "INBOX", true},
        {"work", "work", "Lists/dev", true},
        {"work", "workshop", "INBOX", false},
        {"workshop", "work", "INBOX", false},
        {"Work", "work", "INBOX", false},
        {"work/INBOX", "work", "INBOX", true},
        {"work/inbox", "work", "INBOX", true},
        {"work/INBOX", "work", "Inbox", true},
        {"work/INBOX", "work", "INBOX/sub", false},
        {"work/inbox/sub", "work", "INBOX/sub", true},
        {"work/inbox/Sub", "work", "INBOX/sub", false},
        {"work/INBOX", "work", "INBOXES", false},
        {"work/inboxes", "work", "INBOXES", false},
        {"work/Lists", "work", "lists", false},
        {"work/Lists/*", "work", "Lists/dev", true},
        {"work/Lists/*", "work", "Lists/dev/c", true},
        {"work/Lists/*", "work", "Lists", false},
        {"work/Lists/*", "work", "Lists/", true},
        {"work/*", "work", "INBOX", true},
        {"work/*", "home", "INBOX", false},
        {"work/*/dev", "work", "Lists/a/dev", true},
        {"work/*/dev", "work", "Lists/a/devel", false},
        {"work/a*b*c", "work", "abbbc", true},
        {"work/a*b*c", "work", "abbb", false},
        {"work/a**", "work", "a", true},
        {"work/*a*a*a*a*b", "work", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
        {"work/M\xC3\xBCll", "work", "M\xC3\xBCll", true},
        {"work/", "work", "INBOX", false},
        {"", "work", "INBOX", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        bool got = plan_covers(table[i].in, table[i].account, table[i].mailbox);
        if (got != table[i].want)
            fail_msg("%s in %s/%s", table[i].in, table[i].account, table[i].mailbox);
    }
}

static void
plans_keep_the_order_and_leave_out_the_disabled(void **state)
{
    (void)state;
    struct ruleset rules = {.v = xcalloc(4, sizeof *rules.v), .n = 4};
    for (size_t i = 0; i < rules.n; i++)
        rules.v[i].enabled = i != 2;
    strv_add(&rules.v[0].in, "home");
    strv_add(&rules.v[1].in, "home");
    strv_add(&rules.v[1].in, "work/INBOX");
    struct plan p;
    plan_make(&p, &rules, "work", "inbox");
    assert_int_equal(p.n, 2);
    assert_int_equal(p.v[0], 1);
    assert_int_equal(p.v[1], 3);
    plan_free(&p);
    assert_int_equal(p.n, 0);
    plan_make(&p, &rules, "other", "x");
    assert_int_equal(p.n, 1);
    plan_free(&p);
    ruleset_free(&rules);
    assert_int_equal(rules.n, 0);
    plan_make(&p, &rules, "work", "INBOX");
    assert_int_equal(p.n, 0);
    plan_free(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_cover_accounts_mailboxes_and_patterns),
        cmocka_unit_test(plans_keep_the_order_and_leave_out_the_disabled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
