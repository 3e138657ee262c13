/* mail: the header block, fed as reads may cut it. */
#include "mail/block.h"
#include "mail/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
the_end_is_found_wherever_reads_cut(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
        size_t end; /* so many bytes hold the empty line; 0: never */
    } table[] = {
        {SPAN("A: b\n\nbody\n\n"), 6},
        {SPAN("A: b\r\n\r\nbody"), 8},
        {SPAN("A: b\n\r\nbody"), 7},
        {SPAN("\nbody"), 1},
        {SPAN("\r\nbody"), 2},
        {SPAN("A: b\r\n \r\nC: d\r\n"), 0},
        {SPAN("A: b\n"), 0},
        {SPAN(""), 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct span all = table[i].bytes;
        size_t seen = 0;
        for (size_t n = 0; n <= all.n; n++) {
            bool want = table[i].end != 0 && n >= table[i].end;
            assert_int_equal(block_complete((struct span){all.p, n}, seen), want);
            assert_int_equal(block_complete((struct span){all.p, n}, 0), want);
            seen = want ? seen : n;
        }
    }
}

static void
every_prefix_of_a_block_is_a_block(void **state)
{
    (void)state;
    struct span all = SPAN("From x\r\nA: b\r\n c\r\nno field\r\nD : e\r\n\r\nF: g\r\n");
    for (size_t n = 0; n <= all.n; n++) {
        struct block b;
        struct field f;
        size_t fields = 0;
        block_init(&b, (struct span){all.p, n});
        while (block_next(&b, &f)) {
            assert_in_range(f.name.n, 1, 4);
            assert_true(f.value.p + f.value.n <= all.p + n);
            fields++;
        }
        assert_in_range(fields, 0, 2);
        assert_false(b.truncated);
    }
}

static void
unfolding_keeps_the_blank(void **state)
{
    (void)state;
    static const char *const table[][2] = {{" a\r\n b\n\tc\r\n", " a b\tc"}, {"", ""}, {"\n", ""},
        {"a\r\r\n", "a\r"}, {"a\rb", "a\rb"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf b = {0};
        field_unfold(&b, span_str(table[i][0]));
        assert_string_equal(buf_str(&b), table[i][1]);
        buf_free(&b);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_is_found_wherever_reads_cut),
        cmocka_unit_test(every_prefix_of_a_block_is_a_block),
        cmocka_unit_test(unfolding_keeps_the_blank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
