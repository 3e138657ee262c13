/* base/uidset: numbers in order. */
#include "base/uidset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void
fill(struct uidset *s, const uint32_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        uidset_add(s, v[i]);
}

static void
check(const struct uidset *s, const uint32_t *v, size_t n)
{
    assert_int_equal(s->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(s->v[i], v[i]);
}

static void
numbers_stay_in_order_and_come_once(void **state)
{
    (void)state;
    struct uidset s = {0};
    assert_true(uidset_add(&s, 7));
    assert_true(uidset_add(&s, UINT32_MAX));
    assert_true(uidset_add(&s, 0));
    assert_true(uidset_add(&s, 5));
    assert_false(uidset_add(&s, 7));
    check(&s, (uint32_t[]){0, 5, 7, UINT32_MAX}, 4);
    uidset_free(&s);
    assert_int_equal(s.n, 0);
}

static void
an_empty_set_holds_nothing(void **state)
{
    (void)state;
    struct uidset s = {0};
    assert_false(uidset_has(&s, 0));
    assert_false(uidset_remove(&s, 0));
    assert_int_equal(uidset_index(&s, 5), 0);
    uidset_cut(&s, UINT32_MAX);
    uidset_add(&s, 1);
    assert_true(uidset_remove(&s, 1));
    assert_null(s.room);
    uidset_free(&s);
}

static void
the_index_is_of_the_first_that_is_not_smaller(void **state)
{
    (void)state;
    struct uidset s = {0};
    fill(&s, (uint32_t[]){10, 20, 30}, 3);
    static const struct {
        uint32_t uid;
        size_t want;
        bool has;
    } table[] = {
        {0, 0, false},
        {10, 0, true},
        {11, 1, false},
        {20, 1, true},
        {29, 2, false},
        {30, 2, true},
        {31, 3, false},
        {UINT32_MAX, 3, false},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        assert_int_equal(uidset_index(&s, table[i].uid), table[i].want);
        assert_int_equal(uidset_has(&s, table[i].uid), table[i].has);
    }
    uidset_free(&s);
}

static void
what_is_removed_leaves_the_others(void **state)
{
    (void)state;
    for (uint32_t gone = 1; gone <= 6; gone++) {
        struct uidset s = {0};
        fill(&s, (uint32_t[]){1, 2, 3, 4, 5, 6}, 6);
        assert_true(uidset_remove(&s, gone));
        assert_false(uidset_remove(&s, gone));
        assert_int_equal(s.n, 5);
        for (uint32_t uid = 1; uid <= 6; uid++)
            assert_int_equal(uidset_has(&s, uid), uid != gone);
        assert_true(uidset_add(&s, gone));
        check(&s, (uint32_t[]){1, 2, 3, 4, 5, 6}, 6);
        uidset_free(&s);
    }
}

static void
a_cut_takes_everything_up_to_its_number(void **state)
{
    (void)state;
    static const struct {
        uint32_t uid;
        size_t left;
    } table[] = {{0, 3}, {9, 3}, {10, 2}, {29, 1}, {30, 0}, {UINT32_MAX, 0}};
    for (size_t i = 0; i < COUNT(table); i++) {
        struct uidset s = {0};
        fill(&s, (uint32_t[]){10, 20, 30}, 3);
        uidset_cut(&s, table[i].uid);
        assert_int_equal(s.n, table[i].left);
        assert_true(s.n == 0 || s.v[s.n - 1] == 30);
        uidset_add(&s, 40);
        assert_int_equal(s.v[s.n - 1], 40);
        uidset_free(&s);
    }
}

/* Against a table of what is in it. */
static void
it_agrees_with_a_table_however_they_come_and_go(void **state)
{
    (void)state;
    enum { NUMBERS = 512 };
    bool in[NUMBERS] = {false};
    size_t n = 0;
    uint32_t random = 1;
    struct uidset s = {0};
    for (unsigned i = 0; i < 20000; i++) {
        random = random * 1664525u + 1013904223u;
        uint32_t uid = (random >> 16) % NUMBERS;
        bool add = (random >> 8) % 8 < 4 + (i / 1000) % 2;
        assert_int_equal(add ? uidset_add(&s, uid) : uidset_remove(&s, uid), in[uid] != add);
        n = n + (add && !in[uid]) - (!add && in[uid]);
        in[uid] = add;
        assert_int_equal(s.n, n);
        for (size_t k = 0; k < s.n; k++)
            assert_true(in[s.v[k]] && (k == 0 || s.v[k - 1] < s.v[k]));
    }
    uidset_free(&s);
}

/* As a queue it uses the room in front again, and does not grow. */
static void
what_comes_behind_and_goes_in_front_keeps_its_room(void **state)
{
    (void)state;
    struct uidset s = {0};
    for (uint32_t uid = 0; uid < 100000; uid++) {
        uidset_add(&s, uid);
        if (s.n > 10)
            uidset_remove(&s, uid - 10);
    }
    assert_int_equal(s.n, 10);
    assert_true(s.cap <= 64);
    uidset_free(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_stay_in_order_and_come_once),
        cmocka_unit_test(an_empty_set_holds_nothing),
        cmocka_unit_test(the_index_is_of_the_first_that_is_not_smaller),
        cmocka_unit_test(what_is_removed_leaves_the_others),
        cmocka_unit_test(a_cut_takes_everything_up_to_its_number),
        cmocka_unit_test(it_agrees_with_a_table_however_they_come_and_go),
        cmocka_unit_test(what_comes_behind_and_goes_in_front_keeps_its_room),
    };
    return cmocka_run_group_tests_name("base_uidset", tests, NULL, NULL);
}
