/* base/pack: values as bytes and back, and bytes that claim too much. */
#include "base/mem.h"
#include "base/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
the_bytes_are_those_of_the_header(void **state)
{
    (void)state;
    static const char want[] = "\x08\x07\x06\x05\x04\x03\x02\x01"
                               "\x02\0\0\0\0\0\0\0hi"
                               "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"
                               "\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    struct buf b = {0};
    struct strv v = {0};
    strv_add(&v, "");
    pack_number(&b, 0x0102030405060708);
    pack_str(&b, "hi");
    pack_str(&b, NULL);
    pack_strv(&b, &v);
    assert_int_equal(b.n, sizeof want - 1);
    assert_memory_equal(b.p, want, b.n);
    buf_free(&b);
    strv_free(&v);
}

static void
what_was_packed_comes_back(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0, 1, 255, 256, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};
    struct buf b = {0};
    struct strv v = {0};
    struct strv back = {0};
    for (size_t i = 0; i < 7; i++)
        pack_number(&b, numbers[i]);
    pack_span(&b, (struct span){"a\0b", 3});
    pack_span(&b, (struct span){0});
    pack_str(&b, "");
    pack_str(&b, NULL);
    pack_strv(&b, &v);
    for (int i = 0; i < 100; i++)
        strv_addf(&v, "%.*s", i, "a string of some length that is cut somewhere");
    pack_strv(&b, &v);
    struct unpack u = {buf_span(&b), false};
    for (size_t i = 0; i < 7; i++)
        assert_true(unpack_number(&u) == numbers[i]);
    assert_true(span_eq(unpack_span(&u), (struct span){"a\0b", 3}));
    assert_int_equal(unpack_span(&u).n, 0);
    char *empty = unpack_str(&u);
    assert_string_equal(empty, "");
    assert_null(unpack_str(&u));
    assert_false(u.broken);
    unpack_strv(&u, &back);
    assert_int_equal(back.n, 0);
    assert_false(unpack_whole(&u));
    unpack_strv(&u, &back);
    assert_true(unpack_whole(&u));
    assert_int_equal(back.n, v.n);
    for (size_t i = 0; i < v.n; i++)
        assert_string_equal(back.v[i], v.v[i]);
    free(empty);
    strv_free(&v);
    strv_free(&back);
    buf_free(&b);
}

static void
a_number_beyond_the_most_is_broken(void **state)
{
    (void)state;
    struct buf b = {0};
    pack_number(&b, 7);
    pack_number(&b, 8);
    pack_number(&b, 1);
    struct unpack u = {buf_span(&b), false};
    assert_int_equal(unpack_upto(&u, 7), 7);
    assert_int_equal(unpack_upto(&u, 7), 0);
    assert_true(u.broken);
    assert_int_equal(unpack_number(&u), 0);
    assert_false(unpack_whole(&u));
    buf_free(&b);
}

/* Each takes what it can from bytes that are exactly as long as they say, on the heap. */
static void
read_everything(struct span bytes, uint64_t *number, char **str, struct strv *v)
{
    struct unpack u = {bytes, false};
    *number = unpack_number(&u);
    u = (struct unpack){bytes, false};
    assert_true(unpack_span(&u).n <= bytes.n);
    u = (struct unpack){bytes, false};
    *str = unpack_str(&u);
    u = (struct unpack){bytes, false};
    unpack_strv(&u, v);
    assert_true(v->n <= bytes.n / 8);
}

static void
claims_that_the_bytes_do_not_bear_out_break(void **state)
{
    (void)state;
    static const uint64_t claims[] = {1, 2, 9, 1000, UINT64_C(1) << 31, UINT64_C(1) << 32,
        UINT64_C(1) << 60, UINT64_MAX / 8, UINT64_MAX - 7, UINT64_MAX - 1};
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        struct buf b = {0};
        struct strv v = {0};
        pack_number(&b, claims[i]);
        struct unpack u = {buf_span(&b), false};
        assert_int_equal(unpack_span(&u).n, 0);
        assert_true(u.broken);
        u = (struct unpack){buf_span(&b), false};
        assert_null(unpack_str(&u));
        assert_true(u.broken);
        u = (struct unpack){buf_span(&b), false};
        unpack_strv(&u, &v);
        assert_true(u.broken);
        assert_int_equal(v.n, 0);
        buf_free(&b);
    }
}

static void
a_string_with_a_nul_inside_is_broken(void **state)
{
    (void)state;
    struct buf b = {0};
    pack_span(&b, (struct span){"a\0b", 3});
    struct unpack u = {buf_span(&b), false};
    assert_null(unpack_str(&u));
    assert_true(u.broken);
    buf_free(&b);
}

static void
a_vector_holds_no_null(void **state)
{
    (void)state;
    struct buf b = {0};
    struct strv v = {0};
    pack_number(&b, 2);
    pack_str(&b, "first");
    pack_str(&b, NULL);
    struct unpack u = {buf_span(&b), false};
    unpack_strv(&u, &v);
    assert_true(u.broken);
    assert_int_equal(v.n, 1);
    strv_free(&v);
    buf_free(&b);
}

static void
broken_stays_broken(void **state)
{
    (void)state;
    struct buf b = {0};
    struct strv v = {0};
    pack_str(&b, "whole");
    struct unpack u = {buf_span(&b), true};
    assert_int_equal(unpack_number(&u), 0);
    assert_int_equal(unpack_span(&u).n, 0);
    assert_null(unpack_str(&u));
    unpack_strv(&u, &v);
    assert_int_equal(v.n, 0);
    assert_false(unpack_whole(&u));
    buf_free(&b);
}

static void
every_prefix_of_anything_is_read_within_its_bounds(void **state)
{
    (void)state;
    struct buf b = {0};
    struct strv v = {0};
    strv_add(&v, "one");
    strv_add(&v, "two");
    pack_strv(&b, &v);
    strv_free(&v);
    for (size_t n = 0; n <= b.n; n++) {
        char *exact = xmalloc(n > 0 ? n : 1);
        memcpy(exact, b.p, n);
        uint64_t number;
        char *str;
        read_everything((struct span){exact, n}, &number, &str, &v);
        struct unpack u = {{exact, n}, false};
        struct strv again = {0};
        unpack_strv(&u, &again);
        assert_true(unpack_whole(&u) == (n == b.n));
        strv_free(&again);
        strv_free(&v);
        free(str);
        free(exact);
    }
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_are_those_of_the_header),
        cmocka_unit_test(what_was_packed_comes_back),
        cmocka_unit_test(a_number_beyond_the_most_is_broken),
        cmocka_unit_test(claims_that_the_bytes_do_not_bear_out_break),
        cmocka_unit_test(a_string_with_a_nul_inside_is_broken),
        cmocka_unit_test(a_vector_holds_no_null),
        cmocka_unit_test(broken_stays_broken),
        cmocka_unit_test(every_prefix_of_anything_is_read_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
