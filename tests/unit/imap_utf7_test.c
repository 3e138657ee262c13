/* imap/utf7: mailbox names there and back. */
#include "base/utf8.h"
#include "imap/utf7.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void
names_travel_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *utf8;
        const char *wire;
    } table[] = {
        {"", ""},
        {"INBOX", "INBOX"},
        {"Tom & Jerry", "Tom &- Jerry"},
        {"&", "&-"},
        {"~peter/mail/\xE5\x8F\xB0\xE5\x8C\x97/\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E",
            "~peter/mail/&U,BTFw-/&ZeVnLIqe-"},
        {"Entw\xC3\xBCrfe", "Entw&APw-rfe"},
        {"\xC3\xA4\xC3\xB6\xC3\xBC", "&AOQA9gD8-"},
        {"\xC3\xA4&\xC3\xB6", "&AOQ-&-&APY-"},
        {"\xF0\x9F\x98\x80!", "&2D3eAA-!"},
        {"\t", "&AAk-"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf b = {0};
        assert_int_equal(utf7_encode(&b, span_str(table[i].utf8)), 0);
        assert_string_equal(buf_str(&b), table[i].wire);
        buf_clear(&b);
        assert_int_equal(utf7_decode(&b, span_str(table[i].wire)), 0);
        assert_string_equal(buf_str(&b), table[i].utf8);
        buf_free(&b);
    }
}

static void
what_is_not_the_encoding_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "&", "a&AOQ",  /* not ended */
        "&AOQ!-",      /* not a digit */
        "&AOQ/-",      /* the other base64's digit */
        "&A-",         /* too short for a unit */
        "&AOR-",       /* left-over bits that are not zero */
        "&AOQA-",      /* left-over digit */
        "&AGE-",       /* an `a` that should stand for itself */
        "&2D0-",       /* half a pair */
        "&3gA-",       /* the other half */
        "&2D0AZQ-",    /* a half and something else */
        "caf\xC3\xA9", /* 8-bit */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct buf b = {0};
        buf_adds(&b, "kept");
        assert_int_equal(utf7_decode(&b, span_str(wrong[i])), -1);
        assert_string_equal(buf_str(&b), "kept");
        buf_free(&b);
    }
    struct buf b = {0};
    assert_int_equal(utf7_encode(&b, SPAN("a\xFF")), -1);
    assert_int_equal(b.n, 0);
    buf_free(&b);
}

static void
every_name_comes_back(void **state)
{
    (void)state;
    static const uint32_t points[] = {
        'a', '&', '-', ' ', 0xE4, 0x7FF, 0xFFFD, 0x1F600, 0x10FFFF, 9};
    uint32_t seed = 1;
    for (int round = 0; round < 5000; round++) {
        struct buf name = {0};
        struct buf wire = {0};
        struct buf back = {0};
        for (int i = 0; i < 8; i++) {
            seed = seed * 1664525u + 1013904223u;
            utf8_add(&name, points[(seed >> 16) % (sizeof points / sizeof *points)]);
        }
        assert_int_equal(utf7_encode(&wire, buf_span(&name)), 0);
        for (size_t i = 0; i < wire.n; i++)
            assert_in_range(wire.p[i], 0x20, 0x7E);
        assert_int_equal(utf7_decode(&back, buf_span(&wire)), 0);
        assert_string_equal(buf_str(&back), buf_str(&name));
        buf_free(&name);
        buf_free(&wire);
        buf_free(&back);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_travel_both_ways),
        cmocka_unit_test(what_is_not_the_encoding_is_refused),
        cmocka_unit_test(every_name_comes_back),
    };
    return cmocka_run_group_tests_name("imap_utf7", tests, NULL, NULL);
}
