/* base: spans, buffers, UTF-8, base64, units, times. */
#include "base/b64.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/percent.h"
#include "base/rfc3339.h"
#include "base/strv.h"
#include "base/units.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void
lines_are_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t n;
        const char *want;
    } table[] = {
        {"plain", 5, "plain"},
        {"  trimmed \r\n", 12, "trimmed"},
        {"a\r\nb\tc", 6, "a  b c"},
        {"nul\0here", 8, "nul here"},
        {"esc\033[31m", 8, "esc [31m"},
        {"\xff\xfe", 2, "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"caf\xC3\xA9", 5, "caf\xC3\xA9"},
        {"cut\xE2\x82", 5, "cut\xEF\xBF\xBD"},
        {"\xED\xA0\x80", 3, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"sep\xE2\x80\xA8x\xC2\x85y", 10, "sep x y"},
        {"", 0, ""},
        {" \t ", 3, ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf b = {0};
        utf8_line(&b, (struct span){table[i].in, table[i].n});
        assert_string_equal(buf_str(&b), table[i].want);
        assert_true(utf8_valid(buf_span(&b)));
        buf_free(&b);
    }
}

static void
every_byte_string_is_made_valid(void **state)
{
    (void)state;
    /* a seeded walk through byte strings that are often nearly UTF-8 */
    uint32_t seed = 12345;
    for (int round = 0; round < 20000; round++) {
        char in[12];
        size_t n = 0;
        while (n < sizeof in) {
            seed = seed * 1664525u + 1013904223u;
            in[n++] = (char)(seed >> 24);
        }
        struct buf b = {0};
        utf8_repair(&b, (struct span){in, n});
        assert_true(utf8_valid(buf_span(&b)));
        buf_clear(&b);
        utf8_visible(&b, (struct span){in, n});
        for (size_t i = 0; i < b.n; i++)
            assert_true((unsigned char)b.p[i] >= 0x20 && b.p[i] != 0x7F);
        buf_free(&b);
    }
}

static void
visible_hides_nothing_but_bidi(void **state)
{
    (void)state;
    struct buf b = {0};
    utf8_visible(&b, SPAN("a\n\033[0m\xE2\x80\xAE"
                          "b\x07"));
    assert_string_equal(buf_str(&b), "a\\n\\e[0mb\\x07");
    buf_free(&b);
}

static void
cut_ends_between_characters(void **state)
{
    (void)state;
    struct span s = SPAN("a\xE2\x82\xAC"
                         "b");
    assert_int_equal(utf8_cut(s, 5).n, 5);
    assert_int_equal(utf8_cut(s, 4).n, 4);
    assert_int_equal(utf8_cut(s, 3).n, 1);
    assert_int_equal(utf8_cut(s, 2).n, 1);
    assert_int_equal(utf8_cut(s, 0).n, 0);
}

static void
base64_both_ways(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"\xff\xfe\xfd", "//79"}};
    for (size_t i = 0; i < 5; i++) {
        struct buf b = {0};
        b64_encode(&b, span_str(pairs[i][0]));
        assert_string_equal(buf_str(&b), pairs[i][1]);
        buf_clear(&b);
        assert_int_equal(b64_decode(&b, span_str(pairs[i][1])), 0);
        assert_string_equal(buf_str(&b), pairs[i][0]);
        buf_free(&b);
    }
    static const char *const bad[] = {"A", "AAA", "A===", "====", "A=AA", "AA A", "AAAA=", "=AAA"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf b = {0};
        buf_adds(&b, "kept");
        assert_int_equal(b64_decode(&b, span_str(bad[i])), -1);
        assert_string_equal(buf_str(&b), "kept");
        buf_free(&b);
    }
}

static void
durations_and_sizes_want_units(void **state)
{
    (void)state;
    uint64_t v;
    struct err e;
    assert_int_equal(duration_parse("90s", &v, &e), 0);
    assert_int_equal(v, 90000);
    assert_int_equal(duration_parse("1h30m", &v, &e), 0);
    assert_int_equal(v, 5400000);
    assert_int_equal(duration_parse("500ms", &v, &e), 0);
    assert_int_equal(v, 500);
    assert_int_equal(duration_parse("0", &v, &e), 0);
    static const char *const bad[] = {
        "", "5", "s", "5x", "-5s", "5s ", "99999999999999999999s", "99999999999999999w", "5 s"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(duration_parse(bad[i], &v, &e), -1);
    assert_string_equal(e.text, "'5 s' is not a duration; write a unit: 30s 5m 2h 7d");
    assert_int_equal(size_parse("20M", &v, &e), 0);
    assert_int_equal(v, 20 * 1024 * 1024);
    assert_int_equal(size_parse("1500", &v, &e), 0);
    assert_int_equal(v, 1500);
    assert_int_equal(size_parse("M", &v, &e), -1);
    assert_int_equal(size_parse("1MB", &v, &e), -1);
    assert_int_equal(size_parse("99999999999G", &v, &e), -1);
}

static void
times_are_utc(void **state)
{
    (void)state;
    char s[RFC3339_MAX];
    rfc3339_utc(s, 0);
    assert_string_equal(s, "1970-01-01T00:00:00Z");
    rfc3339_utc(s, 1791036131);
    assert_string_equal(s, "2026-10-03T14:02:11Z");
    rfc3339_utc(s, -1);
    assert_string_equal(s, "1969-12-31T23:59:59Z");
    rfc3339_utc(s, INT64_MAX);
    assert_string_equal(s, "");
    for (int64_t t = -60000000000; t < 200000000000; t += 86399 * 977) {
        int year, month, day, hour, minute, second;
        rfc3339_utc(s, t);
        assert_int_equal(
            sscanf(s, "%d-%d-%dT%d:%d:%dZ", &year, &month, &day, &hour, &minute, &second), 6);
        assert_true(rfc3339_seconds(year, month, day, hour, minute, second) == t);
    }
}

static void
vectors_and_errors(void **state)
{
    (void)state;
    struct strv v = {0};
    for (int i = 0; i < 100; i++) {
        strv_addf(&v, "item %d", i);
        assert_null(v.v[v.n]);
    }
    assert_true(strv_has(&v, "item 99"));
    assert_false(strv_has(&v, "item"));
    strv_free(&v);
    struct err e;
    assert_int_equal(err_set(&e, ERR_NET, "refused"), -1);
    assert_int_equal(err_wrap(&e, "%s:%d", "host", 993), -1);
    assert_string_equal(e.text, "host:993: refused");
    assert_int_equal(e.kind, ERR_NET);
}

static void
urls_hold_what_was_escaped(void **state)
{
    (void)state;
    struct buf b = {0};
    percent_add(&b, "ann+x@example.com/a-b._~", "");
    assert_string_equal(buf_str(&b), "ann%2Bx%40example.com%2Fa-b._~");
    buf_clear(&b);
    percent_add(&b, "Lists/\xC3\x9C $(x)", "/");
    assert_string_equal(buf_str(&b), "Lists/%C3%9C%20%24%28x%29");
    buf_free(&b);
}

static void
digest_separates_parts(void **state)
{
    (void)state;
    unsigned char a[DIGEST_SIZE], b[DIGEST_SIZE];
    digest_parts(a, (struct span[]){SPAN("ab"), SPAN("c")}, 2);
    digest_parts(b, (struct span[]){SPAN("a"), SPAN("bc")}, 2);
    assert_memory_not_equal(a, b, DIGEST_SIZE);
}

static void
assert_digest(const unsigned char got[static DIGEST_SIZE], const char *want)
{
    char hex[DIGEST_SIZE * 2 + 1];
    for (size_t i = 0; i < DIGEST_SIZE; i++)
        snprintf(hex + 2 * i, 3, "%02x", got[i]);
    assert_string_equal(hex, want);
}

/* The vectors of FIPS 180-2. */
static void
a_digest_is_the_same_whatever_the_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } table[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    unsigned char got[DIGEST_SIZE];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct span text = span_str(table[i].text);
        for (size_t cut = 0; cut <= text.n; cut++) {
            struct digest *d = digest_begin();
            digest_add(d, (struct span){text.p, cut});
            digest_add(d, (struct span){text.p + cut, text.n - cut});
            digest_end(d, got);
            assert_digest(got, table[i].want);
        }
    }
}

static void
a_digest_may_be_given_up(void **state)
{
    (void)state;
    struct digest *d = digest_begin();
    digest_add(d, SPAN("abc"));
    digest_add(d, (struct span){0});
    digest_end(d, NULL);
    digest_end(NULL, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_one_line),
        cmocka_unit_test(every_byte_string_is_made_valid),
        cmocka_unit_test(visible_hides_nothing_but_bidi),
        cmocka_unit_test(cut_ends_between_characters),
        cmocka_unit_test(base64_both_ways),
        cmocka_unit_test(durations_and_sizes_want_units),
        cmocka_unit_test(times_are_utc),
        cmocka_unit_test(vectors_and_errors),
        cmocka_unit_test(urls_hold_what_was_escaped),
        cmocka_unit_test(digest_separates_parts),
        cmocka_unit_test(a_digest_is_the_same_whatever_the_pieces),
        cmocka_unit_test(a_digest_may_be_given_up),
    };
    return cmocka_run_group_tests_name("base_text", tests, NULL, NULL);
}
