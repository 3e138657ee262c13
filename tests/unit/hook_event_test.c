/* hook/event: the idempotency key; its vectors were computed apart from this code and may never
 * change. */
#include "hook/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
ids_are_the_same_for_ever(void **state)
{
    (void)state;
    static const struct {
        struct meta meta;
        const char *rule;
        const char *want;
    } table[] = {
        {{.account = "work", .mailbox = "INBOX", .uidvalidity = 1700000000, .uid = 4711},
            "invoices", "ztqfycv6rgeubbe27qjxedso7p"},
        {{.account = "", .mailbox = ""}, "", "3p5lnb5zpizh4wadju6hi72wkt"},
        {{.account = "gmail",
             .mailbox = "Lists/Rück schau",
             .uidvalidity = UINT32_MAX,
             .uid = UINT32_MAX},
            "a b", "7ehldr5kwtso7ar5flnecljjjq"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char id[EVENT_ID_LENGTH + 1];
        event_id_make(id, &table[i].meta, table[i].rule);
        assert_string_equal(id, table[i].want);
    }
}

static void
what_is_not_part_of_the_identity_changes_nothing(void **state)
{
    (void)state;
    char a[EVENT_ID_LENGTH + 1];
    char b[EVENT_ID_LENGTH + 1];
    struct meta meta = {
        .account = "a", .mailbox = "m", .role = "", .url = "u", .uid = 1, .uidvalidity = 2};
    event_id_make(a, &meta, "r");
    meta.role = "inbox";
    meta.url = "other";
    meta.size = 5;
    meta.received = 6;
    event_id_make(b, &meta, "r");
    assert_string_equal(a, b);
}

static void
neighbours_differ(void **state)
{
    (void)state;
    static const struct {
        struct meta meta;
        const char *rule;
    } table[] = {
        {{.account = "a", .mailbox = "b", .uidvalidity = 1, .uid = 23}, "r"},
        {{.account = "a", .mailbox = "b", .uidvalidity = 12, .uid = 3}, "r"},
        {{.account = "a", .mailbox = "b", .uidvalidity = 1, .uid = 24}, "r"},
        {{.account = "a", .mailbox = "b", .uidvalidity = 1, .uid = 23}, "s"},
        {{.account = "ab", .mailbox = "", .uidvalidity = 1, .uid = 23}, "r"},
        {{.account = "", .mailbox = "ab", .uidvalidity = 1, .uid = 23}, "r"},
        {{.account = "b", .mailbox = "a", .uidvalidity = 1, .uid = 23}, "r"},
        {{.account = "a", .mailbox = "b", .uidvalidity = 1, .uid = 2}, "3r"},
    };
    enum { N = sizeof table / sizeof *table };
    char ids[N][EVENT_ID_LENGTH + 1];
    for (size_t i = 0; i < N; i++) {
        event_id_make(ids[i], &table[i].meta, table[i].rule);
        assert_int_equal(strspn(ids[i], "abcdefghijklmnopqrstuvwxyz234567"), EVENT_ID_LENGTH);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(ids[i], ids[j]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_the_same_for_ever),
        cmocka_unit_test(what_is_not_part_of_the_identity_changes_nothing),
        cmocka_unit_test(neighbours_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
