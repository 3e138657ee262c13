/* sort: messages in by descriptor, facts and hits out. */
#include "base/buf.h"
#include "base/mem.h"
#include "sort/sorter.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int
file_of(struct span bytes)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.p, 1, bytes.n, file), bytes.n);
    fflush(file);
    int fd = dup(fileno(file));
    fclose(file);
    return fd;
}

/* Rule 0: a number in the subject. Rule 1: everything. Rule 2: the keyword $Todo. */
static void
rules_fill(struct ruleset *rules)
{
    struct regex_fault fault;
    rules->n = 3;
    rules->v = xcalloc(rules->n, sizeof *rules->v);
    struct cond *number = cond_new(COND_TEXT);
    number->field = FIELD_SUBJECT;
    number->regex = regex_new("(?<no>\\d+)", false, &fault);
    struct cond *flag = cond_new(COND_FLAG);
    flag->text = xstrdup("$todo");
    rules->v[0].match = number;
    rules->v[2].match = flag;
    for (size_t i = 0; i < rules->n; i++)
        rules->v[i].enabled = true;
}

/* Everything handed in is destroyed at once, as the contract allows. */
static void
submit(struct sorter *s, uint64_t id, int fd)
{
    char *account = xstrdup("work");
    struct meta meta = {.account = account, .mailbox = "INBOX"};
    strv_add(&meta.flags, "$Todo");
    struct plan plan = {.v = xcalloc(3, sizeof *plan.v), .n = 3};
    for (size_t i = 0; i < 3; i++)
        plan.v[i] = i;
    sorter_submit(
        s, &(struct sort_request){.id = id, .fd = fd, .meta = &meta, .plan = &plan, .now = 1});
    plan_free(&plan);
    strv_free(&meta.flags);
    memset(account, 'x', 4);
    free(account);
}

static void
answers_carry_facts_and_hits(void **state)
{
    (void)state;
    struct ruleset rules;
    struct sort_answer a;
    rules_fill(&rules);
    struct sorter *s = sorter_new(&rules);
    assert_false(sorter_next(s, &a));
    int one = file_of(SPAN("Subject: order 42\r\n\r\nbody 43"));
    int two = file_of(SPAN("Subject: none\n\n1"));
    /* the offset of the descriptor does not matter and is not moved */
    lseek(one, 5, SEEK_SET);
    submit(s, 11, one);
    submit(s, 12, two);
    assert_true(sorter_next(s, &a));
    assert_int_equal(a.id, 11);
    assert_string_equal(a.facts->subject, "order 42");
    assert_int_equal(a.hits.n, 3);
    assert_string_equal(a.hits.v[0].captures[0].value, "42");
    assert_int_equal(lseek(one, 0, SEEK_CUR), 5);
    sort_answer_free(&a);
    assert_true(sorter_next(s, &a));
    assert_int_equal(a.id, 12);
    assert_int_equal(a.hits.n, 2);
    assert_int_equal(a.hits.v[0].rule, 1);
    sort_answer_free(&a);
    assert_false(sorter_next(s, &a));
    close(one);
    close(two);
    sorter_free(s);
    ruleset_free(&rules);
}

static void
what_cannot_be_read_is_a_failure(void **state)
{
    (void)state;
    struct ruleset rules;
    struct sort_answer a;
    rules_fill(&rules);
    struct sorter *s = sorter_new(&rules);
    int folder = open("/", O_RDONLY);
    submit(s, 1, folder);
    submit(s, 2, -1);
    for (uint64_t id = 1; id <= 2; id++) {
        assert_true(sorter_next(s, &a));
        assert_int_equal(a.id, id);
        assert_null(a.facts);
        assert_int_equal(a.hits.n, 0);
        assert_int_equal(a.failure.kind, ERR_INPUT);
        assert_int_equal(strncmp(a.failure.text, "message: ", 9), 0);
        sort_answer_free(&a);
    }
    close(folder);
    sorter_free(s);
    ruleset_free(&rules);
}

static void
only_the_header_block_counts(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        const char *unit;
        size_t size;
        bool truncated;
    } table[] = {
        {"Subject: 1\n\n", "body\n", 3000000, false},
        {"Subject: 1\n", "no field\n", 3000000, true},
        {"Subject: 1\n", "X: y\n", 3000000, true},
        {"Subject: 1\n", "X: y\n", 2000, false},
        {"Subject: 1\n", "", 0, false},
    };
    struct ruleset rules;
    struct sort_answer a;
    rules_fill(&rules);
    struct sorter *s = sorter_new(&rules);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf b = {0};
        buf_adds(&b, table[i].head);
        while (b.n < table[i].size)
            buf_adds(&b, table[i].unit);
        int fd = file_of(buf_span(&b));
        submit(s, i, fd);
        assert_true(sorter_next(s, &a));
        assert_string_equal(a.facts->subject, "1");
        assert_int_equal(a.facts->truncated, table[i].truncated);
        sort_answer_free(&a);
        close(fd);
        buf_free(&b);
    }
    sorter_free(s);
    ruleset_free(&rules);
}

static void
an_empty_message_has_empty_facts(void **state)
{
    (void)state;
    struct ruleset rules;
    struct sort_answer a;
    rules_fill(&rules);
    struct sorter *s = sorter_new(&rules);
    int fd = open("/dev/null", O_RDONLY);
    submit(s, 1, fd);
    assert_true(sorter_next(s, &a));
    assert_int_equal(a.facts->n_headers, 0);
    sort_answer_free(&a);
    close(fd);
    sorter_free(s);
    ruleset_free(&rules);
}

static void
requests_left_in_line_are_freed(void **state)
{
    (void)state;
    struct ruleset rules;
    rules_fill(&rules);
    struct sorter *s = sorter_new(&rules);
    submit(s, 1, -1);
    submit(s, 2, -1);
    sorter_free(s);
    sorter_free(NULL);
    ruleset_free(&rules);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_carry_facts_and_hits),
        cmocka_unit_test(what_cannot_be_read_is_a_failure),
        cmocka_unit_test(only_the_header_block_counts),
        cmocka_unit_test(an_empty_message_has_empty_facts),
        cmocka_unit_test(requests_left_in_line_are_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
