/* hook/event: the idempotency key; its vectors were computed apart from this code and may never
 * change. And the event as JSON. */
#include "hook_sample.h"

#include "base/mem.h"
#include "base/utf8.h"
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

/* --- JSON --- */

static const char golden[] =
    "{\"v\":1,\"event\":\"new\",\"event_id\":\"abcdefghijklmnopqrstuvwxyz\",\"attempt\":1,"
    "\"rule\":\"invoices\",\"account\":\"work\",\"mailbox\":\"Lists/Rück schau\","
    "\"mailbox_role\":\"inbox\",\"uid\":4711,\"uidvalidity\":1700000000,"
    "\"flags\":[\"\\\\Seen\",\"$Label1\"],"
    "\"url\":\"imaps://ann%40example.com@imap.example.com/Lists/R%C3%BCck%20schau"
    ";UIDVALIDITY=1700000000/;UID=4711\","
    "\"received\":\"2026-10-03T14:02:11Z\",\"size\":48213,\"message_id\":\"x@stripe.com\","
    "\"in_reply_to\":[],\"references\":[],\"date\":\"2026-10-03T14:02:07Z\","
    "\"subject\":\"Invoice 2026-17 für März\","
    "\"from\":{\"name\":\"Stripe\",\"address\":\"billing@stripe.com\"},"
    "\"to\":[{\"name\":\"Ann\",\"address\":\"ann@example.com\"},"
    "{\"name\":\"\",\"address\":\"\\\"odd one\\\"@example.com\"},"
    "{\"name\":\"\",\"address\":\"bob@example.com\"}],\"cc\":[],\"reply_to\":[],"
    "\"sender\":\"bounce@stripe.com\",\"recipient\":\"ann+bills@example.com\","
    "\"extension\":\"bills\",\"list_id\":null,\"auth\":null,\"headers\":{},"
    "\"match\":{\"number\":\"2026-17\",\"x-kind\":\"\"}}";

static void
a_normal_mail_gives_the_golden_json(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    char *json = event_json(&s.event);
    assert_string_equal(json, golden);
    free(json);
}

/* That `json` holds this text. */
static void
assert_tells(const char *json, const char *text)
{
    if (strstr(json, text) == NULL)
        fail_msg("no %s in %s", text, json);
}

static const char golden_end[] =
    "\"auth\":{\"authserv\":\"mx.example.com\",\"dkim\":["
    "{\"result\":\"fail\",\"domain\":\"evil.example\"},"
    "{\"result\":\"pass\",\"domain\":\"stripe.com\"},"
    "{\"result\":\"pass\",\"domain\":\"stripe.com\"}],\"spf\":\"pass\",\"dmarc\":null},"
    "\"attachments\":["
    "{\"part\":\"2\",\"name\":\"../Rechnung März.pdf\",\"type\":\"application/pdf\","
    "\"size\":30436,\"path\":null},"
    "{\"part\":\"1.3\",\"name\":\"\",\"type\":\"image/png\",\"size\":17,\"path\":null},"
    "{\"part\":\"3\",\"name\":\"rechnung März.PDF\",\"type\":\"application/pdf\","
    "\"size\":0,\"path\":null}],"
    "\"headers\":{\"x-foo\":[\"one\",\"two, three\"],\"list-unsubscribe\":[]},"
    "\"match\":{\"number\":\"2026-17\",\"x-kind\":\"\"},"
    "\"text\":\"Guten Tag,\\n\\n\\tim Anhang Ihre \\\"Rechnung\\\".\\n\",\"text_truncated\":false}";

static void
a_whole_mail_gives_all_of_it(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    sample_whole(&s);
    s.facts.auth.dmarc = TEXT("");
    char *json = event_json(&s.event);
    const char *end = strstr(json, "\"auth\":");
    assert_string_equal(end, golden_end);
    assert_non_null(strstr(json,
        "\"in_reply_to\":[],\"references\":[\"first@stripe.com\",\"second@stripe.com\"],\"date\""));
    char *again = event_json_again(json, "new", 1);
    assert_string_equal(again, json);
    free(again);
    free(json);
}

static void
attachments_get_their_paths(void **state)
{
    (void)state;
    static const struct event_file files[] = {
        {1, "/a/attachment-1"}, {0, "/a/\"\xFF"}, {3, "/a/none"}, {SIZE_MAX, "/a/none"}};
    struct sample s;
    sample_init(&s);
    sample_whole(&s);
    char *json = event_json(&s.event);
    char *first = event_json_files(json, files, 4);
    assert_non_null(strstr(first, "\"size\":30436,\"path\":\"/a/\\\"\xEF\xBF\xBD\"},"));
    assert_non_null(strstr(first, "\"size\":17,\"path\":\"/a/attachment-1\"},"));
    assert_non_null(strstr(first, "\"size\":0,\"path\":null}]"));
    char *again = event_json_again(first, "retry", 2);
    assert_non_null(strstr(again, "\"path\":\"/a/attachment-1\"},"));
    char *none = event_json_files(first, NULL, 0);
    assert_string_equal(none, json);
    assert_null(event_json_files("{\"v\":1}", files, 1));
    char *headers_only = event_json_files(golden, files, 4);
    assert_string_equal(headers_only, golden);
    free(headers_only);
    free(none);
    free(again);
    free(first);
    free(json);
}

static void
what_is_unknown_is_null_or_empty(void **state)
{
    (void)state;
    static const char *const want[] = {"\"received\":null,", "\"date\":null,", "\"from\":null,",
        "\"to\":[],", "\"flags\":[],", "\"message_id\":\"\",", "\"sender\":\"\",",
        "\"list_id\":null,", "\"match\":{}}"};
    struct sample s;
    sample_init(&s);
    s.meta.received = 0;
    s.meta.flags = (struct strv){0};
    s.facts.has_date = false;
    s.facts.from.n = s.facts.to.n = 0;
    s.facts.message_id = s.facts.sender = TEXT("");
    s.hit.n_captures = 0;
    char *json = event_json(&s.event);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_tells(json, want[i]);
    assert_null(strstr(json, "attachments"));
    assert_null(strstr(json, "text"));
    free(json);
}

static void
what_is_known_is_there(void **state)
{
    (void)state;
    static const char *const want[] = {"\"in_reply_to\":[\"a@b\"],",
        "\"list_id\":\"l.example.com\",", "\"uid\":4294967295,", "\"uidvalidity\":4294967295,",
        "\"attempt\":4294967295,", "\"size\":9223372036854775807,", "\"date\":null,",
        "\"match\":{\"a\":\"first\"}}"};
    struct sample s;
    sample_init(&s);
    s.facts.in_reply_to = TEXT("a@b");
    s.facts.list_id = TEXT("l.example.com");
    s.facts.date = INT64_MAX; /* no year of four digits */
    s.meta.uid = s.meta.uidvalidity = UINT32_MAX;
    s.event.attempt = UINT32_MAX;
    s.meta.size = UINT64_MAX;
    s.captures[0] = (struct capture){TEXT("a"), TEXT("first")};
    s.captures[1] = (struct capture){TEXT("a"), TEXT("second")};
    char *json = event_json(&s.event);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_tells(json, want[i]);
    free(json);
}

static void
hostile_text_stays_one_string_of_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *subject;
        const char *want;
    } table[] = {
        {"\",\"rule\":\"evil", "\"subject\":\"\\\",\\\"rule\\\":\\\"evil\","},
        {"back\\slash \\u0000 / <script>", "\"subject\":\"back\\\\slash \\\\u0000 / <script>\","},
        {"bad \xFF\xC3 bytes", "\"subject\":\"bad \xEF\xBF\xBD\xEF\xBF\xBD bytes\","},
        {"\xED\xA0\x80", "\"subject\":\"\xEF\xBF\xBD"},
        {"a\nb\r\033\t", "\"subject\":\"a\\nb\\r\\u001B\\t\","},
        {"\xF0\x9F\x93\xAC", "\"subject\":\"\xF0\x9F\x93\xAC\","},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct sample s;
        sample_init(&s);
        s.facts.subject = s.from[0].name = s.from[0].addr = s.flags[0] = TEXT(table[i].subject);
        s.facts.message_id = s.facts.in_reply_to = s.facts.list_id = s.facts.subject;
        s.meta.mailbox = s.event.rule = s.captures[0].name = s.captures[0].value = s.facts.subject;
        char *json = event_json(&s.event);
        assert_tells(json, table[i].want);
        assert_true(utf8_valid(span_str(json)));
        for (const char *p = json; *p != '\0'; p++)
            assert_true((unsigned char)*p >= ' ');
        char *again = event_json_again(json, "new", 1);
        assert_string_equal(again, json);
        free(again);
        free(json);
    }
}

static void
long_text_is_not_cut(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    char *big = xmalloc(FACTS_VALUE_MAX + 1);
    memset(big, 'x', FACTS_VALUE_MAX);
    big[FACTS_VALUE_MAX] = '\0';
    s.facts.subject = big;
    char *json = event_json(&s.event);
    assert_tells(json, big);
    free(json);
    free(big);
}

static void
an_event_is_told_anew(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    char *json = event_json_again(golden, "retry", 2);
    s.event.kind = "retry";
    s.event.attempt = 2;
    char *want = event_json(&s.event);
    assert_string_equal(json, want);
    free(json);
    free(want);
}

static void
what_is_no_event_is_not_told(void **state)
{
    (void)state;
    static const char *const table[] = {"", "x", "[]", "null", "{}", "{\"v\":1}",
        "{\"v\":2,\"event\":\"new\",\"attempt\":1}", "{\"v\":1,\"event\":7,\"attempt\":1}",
        "{\"v\":1,\"event\":\"new\",\"attempt\":\"1\"}",
        "{\"v\":1,\"event\":\"new\",\"event\":\"new\",\"attempt\":1}",
        "{\"v\":1,\"event\":\"new\",\"attempt\":1", "{\"v\":1,\"event\":\"new\",\"attempt\":1}{}",
        "{\"v\":1,\"event\":\"\xFF\",\"attempt\":1}"};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_null(event_json_again(table[i], "retry", 2));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_the_same_for_ever),
        cmocka_unit_test(what_is_not_part_of_the_identity_changes_nothing),
        cmocka_unit_test(neighbours_differ),
        cmocka_unit_test(a_normal_mail_gives_the_golden_json),
        cmocka_unit_test(a_whole_mail_gives_all_of_it),
        cmocka_unit_test(attachments_get_their_paths),
        cmocka_unit_test(what_is_unknown_is_null_or_empty),
        cmocka_unit_test(what_is_known_is_there),
        cmocka_unit_test(hostile_text_stays_one_string_of_one_line),
        cmocka_unit_test(long_text_is_not_cut),
        cmocka_unit_test(an_event_is_told_anew),
        cmocka_unit_test(what_is_no_event_is_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
