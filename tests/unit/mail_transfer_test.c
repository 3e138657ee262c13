/* mail: transfer encodings, whole and broken. */
#include "mail/transfer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
names_are_known_in_any_case(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        enum transfer_kind want;
    } table[] = {
        {" Base64", TRANSFER_BASE64},
        {"BASE64 (x)", TRANSFER_BASE64},
        {"quoted-printable\r\n", TRANSFER_QUOTED},
        {"x-uuencode", TRANSFER_UU},
        {"7bit", TRANSFER_PLAIN},
        {"base128", TRANSFER_PLAIN},
        {"", TRANSFER_PLAIN},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(transfer_of(span_str(table[i].field)), table[i].want);
}

static void
what_can_be_had_is_had(void **state)
{
    (void)state;
    static const struct {
        enum transfer_kind kind;
        const char *body;
        const char *want;
    } table[] = {
        {TRANSFER_PLAIN, "a=3D\n", "a=3D\n"},
        {TRANSFER_BASE64, "aGVsbG8=", "hello"},
        {TRANSFER_BASE64, "aGVs\r\nbG8=\r\n", "hello"},
        {TRANSFER_BASE64, "aGVsbG8", "hello"},
        {TRANSFER_BASE64, "aGVsbG8==", "hello"},
        {TRANSFER_BASE64, "aGVsbA=\nbG8=", "helllo"},
        {TRANSFER_BASE64, "aGVsbA==bG8=", "helllo"},
        {TRANSFER_BASE64, "aGV!sb*G8=", "hello"},
        {TRANSFER_BASE64, "aGVsb", "hel"},
        {TRANSFER_BASE64, "aGVsbG8=\n\n_____\na list\n", "hello"},
        {TRANSFER_BASE64, "aGVs\n-----\na list\n", "hel"},
        {TRANSFER_BASE64, "aGVsbG8=\nSent with care\n", "hello"},
        {TRANSFER_BASE64, "no base64, as one sees.\n", "no base64, as one sees.\n"},
        {TRANSFER_BASE64, "", ""},
        {TRANSFER_QUOTED, "a=3Db=c3=A9", "a=b\xC3\xA9"},
        {TRANSFER_QUOTED, "a=\r\nb=\nc=  \nd", "abcd"},
        {TRANSFER_QUOTED, "a=zz=4", "a=zz=4"},
        {TRANSFER_QUOTED, "a=", "a"},
        {TRANSFER_QUOTED, "a \nb", "a \nb"},
        {TRANSFER_UU, "text\nbegin 644 x\n#86)C\n`\nend\nmore", "abc"},
        {TRANSFER_UU, "begin 644 x\n#86)C", "abc"},
        {TRANSFER_UU, "nothing begins", "nothing begins"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct transfer t;
        struct buf out = {0};
        struct span body = span_str(table[i].body);
        transfer_init(&t, table[i].kind, body);
        while (transfer_next(&t, &out))
            ;
        assert_string_equal(buf_str(&out), table[i].want);
        assert_int_equal(transfer_size(table[i].kind, body), out.n);
        buf_free(&out);
    }
}

static void
a_large_body_comes_in_pieces(void **state)
{
    (void)state;
    static const enum transfer_kind kinds[] = {TRANSFER_PLAIN, TRANSFER_BASE64, TRANSFER_QUOTED};
    struct buf body = {0};
    for (int i = 0; i < 20000; i++)
        buf_adds(&body, i % 7 != 0 ? "QUJDREVGR0hJSktM" : "QUJDREVGR0hJSktM\r\n");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct transfer t;
        struct buf piece = {0};
        uint64_t size = 0;
        transfer_init(&t, kinds[i], buf_span(&body));
        while (transfer_next(&t, &piece)) {
            assert_in_range(piece.n, 1, 2 * TRANSFER_PIECE);
            assert_memory_equal(piece.p, kinds[i] == TRANSFER_BASE64 ? "ABC" : piece.p, 3);
            size += piece.n;
            buf_clear(&piece);
        }
        assert_int_equal(size, kinds[i] == TRANSFER_BASE64 ? 20000 * 12 : body.n);
        buf_free(&piece);
    }
    buf_free(&body);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_known_in_any_case),
        cmocka_unit_test(what_can_be_had_is_had),
        cmocka_unit_test(a_large_body_comes_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
