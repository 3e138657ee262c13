/* config: trees: what is read, where it stands, and what is bounded. */
#include "base/mem.h"
#include "config/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* One text as a tree. */
struct sample {
    struct source *source;
    struct report report;
    struct tree *tree;
};

static struct sample
read_sample(const char *text)
{
    struct sample s = {.source = source_new("x.yaml", span_str(text))};
    s.tree = yaml_read_tree(s.source, &s.report);
    return s;
}

static void
free_sample(struct sample *s)
{
    tree_free(s->tree);
    report_free(&s->report);
    source_free(s->source);
}

static const struct node *
get(const struct node *map, const char *key)
{
    assert_int_equal(map->kind, NODE_MAP);
    for (size_t i = 0; i < map->n; i++)
        if (strcmp(map->key[i]->text, key) == 0)
            return map->item[i];
    fail_msg("no key '%s'", key);
    return NULL;
}

static void
assert_first_error(const struct sample *s, unsigned line, unsigned column, const char *text)
{
    assert_true(s->report.errors > 0);
    assert_string_equal(s->report.v[0].text, text);
    assert_int_equal(s->report.v[0].at.line, line);
    assert_int_equal(s->report.v[0].at.column, column);
}

static void
every_scalar_is_text(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "no", "on", "22:30", "0644", "~", "null", "1_000", "0x1F", ".inf", "2001-01-01"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *text = xasprintf("k: %s\n", texts[i]);
        struct sample s = read_sample(text);
        assert_string_equal(get(s.tree->root, "k")->text, texts[i]);
        assert_false(node_is_empty(get(s.tree->root, "k")));
        free_sample(&s);
        free(text);
    }
}

static void
nothing_behind_a_key_is_empty_but_quotes_are_not(void **state)
{
    (void)state;
    struct sample s = read_sample("a:\nb: ''\nc: \"\"\n");
    assert_true(node_is_empty(get(s.tree->root, "a")));
    assert_false(node_is_empty(get(s.tree->root, "b")));
    assert_false(node_is_empty(get(s.tree->root, "c")));
    free_sample(&s);
}

static void
places_are_counted_from_one_in_characters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line, column, width;
        enum node_style style;
    } table[] = {
        {"k: plain\n", 1, 4, 5, NODE_PLAIN},
        {"\n\nk:   'it''s'\n", 3, 6, 7, NODE_SINGLE},
        {"k: \"a\\tb\"\n", 1, 4, 6, NODE_DOUBLE},
        {"k: |\n  x\n", 1, 4, 1, NODE_BLOCK},
        {"k: [a, b]\n", 1, 4, 6, NODE_FLOW},
        {"k: { a: b }\n", 1, 4, 8, NODE_FLOW},
        {"k:\n  - a\n", 2, 3, 1, NODE_BLOCK},
        {"k: [a,\n  b]\n", 1, 4, 1, NODE_FLOW},
        {"{ \xC3\xBC: \xE2\x82\xAC, k: \xC3\xA4\xC3\xB6 }\n", 1, 12, 2, NODE_PLAIN},
        {"k: &anchor 'x'\n", 1, 12, 3, NODE_SINGLE},
        {"\xEF\xBB\xBFk: x\n", 1, 4, 1, NODE_PLAIN},
        {"# c\r\nk: x\r\n", 2, 4, 1, NODE_PLAIN},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct sample s = read_sample(table[i].text);
        const struct node *n = get(s.tree->root, "k");
        assert_int_equal(n->at.line, table[i].line);
        assert_int_equal(n->at.column, table[i].column);
        assert_int_equal(n->at.width, table[i].width);
        assert_int_equal(n->style, table[i].style);
        free_sample(&s);
    }
}

static void
offsets_of_a_text_are_found_in_the_file(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t offset, length;
        unsigned column, width;
    } table[] = {
        {"k: abcdef\n", 2, 3, 6, 3},
        {"k: 'abcdef'\n", 2, 3, 7, 3},
        {"k: 'a''''b'\n", 0, 3, 5, 5},
        {"k: 'a''''b'\n", 3, 1, 10, 1},
        {"k: '\xC3\xBC\xC3\xBC(x'\n", 4, 1, 7, 1},
        {"k: 'abc'\n", 3, 0, 8, 0},
        {"k: \"abcdef\"\n", 2, 3, 4, 8},
        {"k: 'abc\n  def'\n", 2, 3, 4, 1},
        {"k: |\n  abcdef\n", 2, 3, 4, 1},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct sample s = read_sample(table[i].text);
        struct place p = node_place(get(s.tree->root, "k"), table[i].offset, table[i].length);
        assert_int_equal(p.line, 1);
        assert_int_equal(p.column, table[i].column);
        assert_int_equal(p.width, table[i].width);
        free_sample(&s);
    }
}

static void
aliases_are_what_they_name(void **state)
{
    (void)state;
    struct sample s = read_sample("a: &x [1, 2]\nb: *x\nc: &x new\nd: *x\n");
    assert_int_equal(s.report.errors, 0);
    assert_ptr_equal(get(s.tree->root, "a"), get(s.tree->root, "b"));
    assert_string_equal(get(s.tree->root, "d")->text, "new");
    free_sample(&s);
}

static void
merging_keeps_what_stands_there_and_what_comes_first(void **state)
{
    (void)state;
    struct sample s = read_sample("one: &one { a: 1, b: 1 }\n"
                                  "two: &two { b: 2, c: 2 }\n"
                                  "r: { <<: [*one, *two], a: 0 }\n"
                                  "s: { <<: *two, '<<': text }\n");
    assert_int_equal(s.report.errors, 0);
    const struct node *r = get(s.tree->root, "r");
    assert_int_equal(r->n, 3);
    assert_string_equal(get(r, "a")->text, "0");
    assert_string_equal(get(r, "b")->text, "1");
    assert_string_equal(get(r, "c")->text, "2");
    assert_string_equal(get(get(s.tree->root, "s"), "<<")->text, "text");
    free_sample(&s);
}

static void
duplicate_keys_are_all_reported(void **state)
{
    (void)state;
    struct sample s = read_sample("a: 1\nb: { x: 1, x: 2 }\na: 2\na: 3\n");
    assert_int_equal(s.report.errors, 3);
    assert_first_error(&s, 2, 12, "duplicate key 'x', first on line 2");
    assert_string_equal(s.report.v[2].text, "duplicate key 'a', first on line 1");
    assert_int_equal(s.report.v[2].at.line, 4);
    assert_string_equal(get(s.tree->root, "a")->text, "1");
    free_sample(&s);
}

static void
broken_values_are_marked_and_the_rest_is_read(void **state)
{
    (void)state;
    struct sample s = read_sample("a: !x y\nb: *nobody\nc: \"\\0\"\nd: fine\n");
    assert_int_equal(s.report.errors, 3);
    assert_int_equal(get(s.tree->root, "a")->kind, NODE_BROKEN);
    assert_int_equal(get(s.tree->root, "b")->kind, NODE_BROKEN);
    assert_int_equal(get(s.tree->root, "c")->kind, NODE_BROKEN);
    assert_string_equal(get(s.tree->root, "d")->text, "fine");
    free_sample(&s);
}

static void
an_alias_cannot_stand_inside_what_it_names(void **state)
{
    (void)state;
    struct sample s = read_sample("a: &x [1, *x]\n");
    assert_first_error(&s, 1, 11, "the alias '*x' stands inside what it names");
    free_sample(&s);
}

static void
depth_is_bounded_also_through_aliases(void **state)
{
    (void)state;
    struct buf deep = {0};
    for (int i = 0; i < TREE_DEPTH_MAX; i++)
        buf_addc(&deep, '[');
    for (int i = 0; i < TREE_DEPTH_MAX; i++)
        buf_addc(&deep, ']');
    struct sample s = read_sample(buf_str(&deep));
    assert_int_equal(s.report.errors, 0);
    free_sample(&s);
    buf_free(&deep);

    struct sample t = read_sample("a: &a [[[[[[[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]]]]]]\n"
                                  "b: &b [[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]]\n"
                                  "c: &c [[[[[[[[[[[[[[[[[[[[[[[[[*b]]]]]]]]]]]]]]]]]]]]]]]]]\n");
    assert_first_error(&t, 3, 32, "nested too deeply");
    assert_null(t.tree->root);
    free_sample(&t);
}

static void
aliases_cannot_blow_up(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_adds(&b, "x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n");
    for (int i = 1; i < 30; i++)
        buf_addf(&b, "x%d: &x%d [*x%d, *x%d, *x%d]\n", i, i, i - 1, i - 1, i - 1);
    struct sample s = read_sample(buf_str(&b));
    assert_int_equal(s.report.errors, 1);
    assert_string_equal(
        s.report.v[0].text, "too many values in one file, with all aliases written out");
    free_sample(&s);
    buf_free(&b);
}

static void
a_long_text_weighs_as_much_as_it_is_long(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_adds(&b, "a: &a '");
    for (int i = 0; i < 100000; i++)
        buf_addc(&b, 'x');
    buf_adds(&b, "'\nb: [");
    for (int i = 0; i < 40; i++)
        buf_adds(&b, "*a, ");
    buf_adds(&b, "]\n");
    struct sample s = read_sample(buf_str(&b));
    assert_int_equal(s.report.errors, 1);
    free_sample(&s);
    buf_free(&b);
}

static void
the_canonical_form_is_content_alone(void **state)
{
    (void)state;
    static const char *const same[] = {
        "a: [b, 'c']\n",
        "# comment\n{\"a\":   [\"b\", c]}\n",
        "'a':\n  - b\n  - c\n",
        "x: &x c\na: [b, *x]\n",
    };
    struct buf first = {0};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct sample s = read_sample(same[i]);
        struct buf b = {0};
        node_canonical(get(s.tree->root, "a"), &b);
        if (i == 0)
            node_canonical(get(s.tree->root, "a"), &first);
        assert_string_equal(buf_str(&b), buf_str(&first));
        buf_free(&b);
        free_sample(&s);
    }
    struct sample other = read_sample("a: [bc, '']\n");
    struct buf b = {0};
    node_canonical(get(other.tree->root, "a"), &b);
    assert_string_not_equal(buf_str(&b), buf_str(&first));
    buf_free(&b);
    buf_free(&first);
    free_sample(&other);
}

static void
nothing_but_comments_may_follow_the_document(void **state)
{
    (void)state;
    struct sample s = read_sample("a: b\n...\n# fine\n\n");
    assert_int_equal(s.report.errors, 0);
    free_sample(&s);
    struct sample t = read_sample("a: b\n---\nc: d\n");
    assert_first_error(&t, 2, 1, "a second YAML document begins here: one file is one document");
    free_sample(&t);
}

static void
secrets_in_shown_lines_are_masked(void **state)
{
    (void)state;
    static const char *const lines[] = {"password: hunter2", "  'password' :  \"hunter2\", x: y",
        "url: imaps://me:hunter2@host", "{ url: 'imaps://me:hunter2@a@host', x: y }"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct sample s = {.source = source_new("x.yaml", span_str(lines[i]))};
        struct buf out = {0};
        for (unsigned column = 1; column < strlen(lines[i]); column += 3)
            report_error(&s.report, (struct place){s.source, 1, column, 4}, "wrong");
        report_write(&s.report, &out);
        assert_null(strstr(buf_str(&out), "hunter2"));
        assert_non_null(strstr(buf_str(&out), "***"));
        buf_free(&out);
        free_sample(&s);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scalar_is_text),
        cmocka_unit_test(nothing_behind_a_key_is_empty_but_quotes_are_not),
        cmocka_unit_test(places_are_counted_from_one_in_characters),
        cmocka_unit_test(offsets_of_a_text_are_found_in_the_file),
        cmocka_unit_test(aliases_are_what_they_name),
        cmocka_unit_test(merging_keeps_what_stands_there_and_what_comes_first),
        cmocka_unit_test(duplicate_keys_are_all_reported),
        cmocka_unit_test(broken_values_are_marked_and_the_rest_is_read),
        cmocka_unit_test(an_alias_cannot_stand_inside_what_it_names),
        cmocka_unit_test(depth_is_bounded_also_through_aliases),
        cmocka_unit_test(aliases_cannot_blow_up),
        cmocka_unit_test(a_long_text_weighs_as_much_as_it_is_long),
        cmocka_unit_test(the_canonical_form_is_content_alone),
        cmocka_unit_test(nothing_but_comments_may_follow_the_document),
        cmocka_unit_test(secrets_in_shown_lines_are_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
