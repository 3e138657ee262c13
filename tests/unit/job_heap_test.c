/* job/heap: against the plainest thing that does the same, a list that is searched. */
#include "job/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
the_least_comes_first_and_of_equal_ones_the_first_put_in(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {5, UINT64_MAX, 3, 5, 0, 3, 9};
    static const size_t order[] = {4, 2, 5, 0, 3, 6, 1};
    struct heap_node nodes[7] = {0};
    struct heap h = {0};
    assert_null(heap_least(&h));
    for (size_t i = 0; i < 7; i++)
        heap_set(&h, &nodes[i], numbers[i]);
    for (size_t i = 0; i < 7; i++) {
        struct heap_node *least = heap_least(&h);
        assert_ptr_equal(least, &nodes[order[i]]);
        assert_true(heap_has(least));
        heap_remove(&h, least);
        assert_false(heap_has(least));
        heap_remove(&h, least); /* harmless */
    }
    assert_null(heap_least(&h));
    heap_free(&h);
}

enum { NODES = 200 };

static struct heap_node *
search(struct heap_node *nodes)
{
    struct heap_node *best = NULL;
    for (struct heap_node *n = nodes; n < nodes + NODES; n++)
        if (heap_has(n) && (best == NULL || n->number < best->number ||
                               (n->number == best->number && n->turn < best->turn)))
            best = n;
    return best;
}

static void
moving_and_removing_anywhere_keeps_the_order(void **state)
{
    (void)state;
    struct heap_node nodes[NODES] = {0};
    struct heap h = {0};
    uint32_t seed = 7;
    for (int i = 0; i < 50000; i++) {
        seed = seed * 1664525u + 1013904223u;
        struct heap_node *n = &nodes[(seed >> 8) % NODES];
        if (seed >> 30 == 0)
            heap_remove(&h, n);
        else
            heap_set(&h, n, (seed >> 16) % 100);
        assert_ptr_equal(heap_least(&h), search(nodes));
    }
    heap_free(&h);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_comes_first_and_of_equal_ones_the_first_put_in),
        cmocka_unit_test(moving_and_removing_anywhere_keeps_the_order),
    };
    return cmocka_run_group_tests_name("job_heap", tests, NULL, NULL);
}
