/* rule: patterns, what they capture, and what they may cost. */
#include "base/buf.h"
#include "rule/regex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct regex *
compiled(const char *pattern)
{
    struct regex_fault fault;
    struct regex *r = regex_new(pattern, false, &fault);
    assert_non_null(r);
    return r;
}

/* "whole|group|group", "-" for a group that took no part; NULL if it does not match. */
static const char *
matched(const struct regex *r, const char *subject)
{
    static struct buf b;
    struct regex_match m;
    buf_free(&b);
    enum regex_result result = regex_exec(r, span_str(subject), &m);
    if (result != REGEX_YES) {
        assert_int_equal(result, REGEX_NO);
        return NULL;
    }
    assert_int_equal(m.n, regex_names(r)->n);
    buf_addspan(&b, m.whole);
    for (size_t i = 0; i < m.n; i++) {
        buf_addc(&b, '|');
        buf_addspan(&b, m.group[i].p != NULL ? m.group[i] : SPAN("-"));
    }
    regex_match_free(&m);
    return buf_str(&b);
}

static void
patterns_match_anywhere_in_any_case(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *subject;
        const char *want; /* NULL: no match */
    } table[] = {
        {"voic", "An INVOICE", "VOIC"},
        {"(?-i)voic", "An INVOICE", NULL},
        {"^inv", "An invoice", NULL},
        {"\xC3\xA9t\xC3\xA9", "\xC3\x89T\xC3\x89", "\xC3\x89T\xC3\x89"},
        {"^.$", "\xE2\x82\xAC", "\xE2\x82\xAC"},
        {"(?<n>\\d+)", "no 42", "42|42"},
        {"(a)|(?<b>b)", "b", "b|-|b"},
        {"(?<x>a)?b", "b", "b|-"},
        {"(?<x>a*)b", "b", "b|"},
        {"a(?:b)(c)", "abc", "abc|c"},
        {"(?J)(?<x>a)|(?<x>b)", "b", "b|b"},
        {"(?J)(?<x>a)|(?<x>b)", "a", "a|a"},
        {"(?|(?<x>a)|(?<x>b))", "b", "b|b"},
        {"foo\\Kbar", "foobar", "bar"},
        {"", "", ""},
        {"^$", "", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct regex *r = compiled(table[i].pattern);
        const char *got = matched(r, table[i].subject);
        if (table[i].want == NULL)
            assert_null(got);
        else
            assert_string_equal(got, table[i].want);
        regex_free(r);
    }
}

static void
names_come_in_the_order_of_groups(void **state)
{
    (void)state;
    struct regex *r = compiled("(?<zeta>a)(b)(?<alpha>c)(d)");
    const struct strv *names = regex_names(r);
    assert_int_equal(names->n, 4);
    assert_string_equal(names->v[0], "zeta");
    assert_string_equal(names->v[1], "2");
    assert_string_equal(names->v[2], "alpha");
    assert_string_equal(names->v[3], "4");
    assert_true(regex_has_unnamed(r));
    assert_string_equal(matched(r, "abcd"), "abcd|a|b|c|d");
    regex_free(r);
    r = compiled("(?<a>x)(?:y)");
    assert_false(regex_has_unnamed(r));
    regex_free(r);
    r = compiled("xy");
    assert_int_equal(regex_names(r)->n, 0);
    assert_false(regex_has_unnamed(r));
    regex_free(r);
}

static void
lines_count_only_when_asked(void **state)
{
    (void)state;
    struct regex_fault fault;
    struct regex_match m;
    struct regex *one = regex_new("^b$", false, &fault);
    struct regex *many = regex_new("^b$", true, &fault);
    assert_int_equal(regex_exec(one, SPAN("a\nb\nc"), &m), REGEX_NO);
    assert_int_equal(regex_exec(many, SPAN("a\nb\nc"), &m), REGEX_YES);
    assert_int_equal(m.whole.n, 1);
    regex_match_free(&m);
    regex_free(one);
    regex_free(many);
}

static void
bad_patterns_have_a_place_and_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        size_t offset;
        const char *text;
    } table[] = {
        {"^\\[deploy\\] (?<app>[a-z]+", 25, "missing closing parenthesis"},
        {"ab)", 2, "unmatched closing parenthesis"},
        {"*a", 0, "quantifier does not follow a repeatable item"},
        {"[b-a]", 3, "range out of order in character class"},
        {"(?<a>x)(?<a>y)", 12, "two named subpatterns have the same name (PCRE2_DUPNAMES not set)"},
        {"a\\C", 3, "using \\C is disabled by the application"},
        {"ok\xFF", 2, "UTF-8 error: illegal byte (0xfe or 0xff)"},
        {"ok\xC3", 2, "UTF-8 error: 1 byte missing at end"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct regex_fault fault = {0};
        assert_null(regex_new(table[i].pattern, false, &fault));
        assert_string_equal(fault.text, table[i].text);
        assert_int_equal(fault.offset, table[i].offset);
    }
}

static void
catastrophes_end_at_a_limit(void **state)
{
    (void)state;
    static const char *const patterns[] = {"(a+)+$", "^(a+)+[0-9]", "(?:aa|a)+[0-9]",
        "(\\w+\\s*)+[:;]", "(.*)(.*)(.*)[0-9]", "([a-z]|[a-y])+[0-9]", "(\\w+)\\1\\1[0-9]"};
    struct buf subject = {0};
    for (int i = 0; i < 16000; i++)
        buf_addc(&subject, 'a');
    buf_addc(&subject, '!');
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct regex *r = compiled(patterns[i]);
        struct regex_match m;
        assert_int_equal(regex_exec(r, buf_span(&subject), &m), REGEX_LIMIT);
        assert_string_not_equal(m.reason, "");
        /* and the pattern is as good as new */
        assert_int_equal(regex_exec(r, SPAN("-"), &m), REGEX_NO);
        regex_free(r);
    }
    buf_free(&subject);
}

/* One pattern costs its length at each start: harmless on a line, not on a long field. */
static void
the_limit_is_for_the_whole_call(void **state)
{
    (void)state;
    struct regex *r = compiled("(?:a(?=b|a))*[0-9]");
    struct regex_match m;
    char subject[2000];
    memset(subject, 'a', sizeof subject);
    assert_int_equal(regex_exec(r, (struct span){subject, 60}, &m), REGEX_NO);
    assert_int_equal(regex_exec(r, (struct span){subject, sizeof subject}, &m), REGEX_LIMIT);
    regex_free(r);
}

/* Patterns people write, on headers as long as they come, stay far from the limits. */
static void
honest_patterns_reach_no_limit(void **state)
{
    (void)state;
    static const char *const patterns[] = {"foo.*bar.*baz", "invoice\\s+(?<n>[A-Z0-9-]+)",
        "^(?:re|fwd?): .*\\[(?<list>[^]]+)\\].*$", "(?:[a-z0-9-]+\\.)+example\\.com",
        "^received: from .* by .* with esmtps?", "(?<a>\\d+)[.,](?<b>\\d+)\\s*(?:EUR|USD)",
        "^(?!.*unsubscribe).*$", "\\b(?:urgent|asap|now)\\b.*!", "\\w+@\\w+(?:\\.\\w+)+"};
    struct buf subject = {0};
    while (subject.n < 3000)
        buf_adds(&subject, "from mx1.example.org (unknown [192.0.2.1]) by b with esmtp id 4a; ");
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct regex *r = compiled(patterns[i]);
        struct regex_match m;
        assert_int_not_equal(regex_exec(r, buf_span(&subject), &m), REGEX_LIMIT);
        regex_match_free(&m);
        regex_free(r);
    }
    buf_free(&subject);
}

/* The same pattern, whichever way it goes: short or long, with an end or without. */
static void
long_subjects_match_as_short_ones(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *want;
    } table[] = {
        {"code (\\d{6})", "code 123456|123456"},
        {"code (?<c>\\d+)\\.", "code 123456.|123456"},
        {"^(approved)$", "approved|approved"},
        {"(?s)code.*?(EUR)", "code 123456.\nTotal: 23.50 EUR|EUR"},
        {"(\\d)\\d+\\.\\d+ (x)?", "23.50 |2|-"},
        {"(.)\\1(r)", "ppr|p|r"},
        {"code(.|\n)*? EUR", "code 123456.\nTotal: 23.50 EUR|0"},
        {"never", NULL},
        {"ne+ver", NULL},
    };
    struct buf subject = {0};
    struct regex_fault fault;
    for (int kib = 0; kib <= 256; kib += 64) {
        buf_clear(&subject);
        while (subject.n < (size_t)kib * 1024)
            buf_adds(&subject, "Some lines of text before it,\nas mails have.\n");
        buf_adds(&subject, "Your code 123456.\nTotal: 23.50 EUR\napproved\n");
        for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
            struct regex *r = regex_new(table[i].pattern, true, &fault);
            assert_non_null(r);
            const char *got = matched(r, buf_str(&subject));
            if (table[i].want == NULL)
                assert_null(got);
            else
                assert_string_equal(got, table[i].want);
            regex_free(r);
        }
    }
    buf_free(&subject);
}

/* No limit of PCRE2 counts these: each start reads to the end of the subject in one step. */
static void
loops_over_one_character_end_too(void **state)
{
    (void)state;
    static const char *const patterns[] = {"\\d+[.,]\\d\\d", "(?=(1+))\\1x?[a-z]", "1.*2?.*[a-z]",
        "\\X[a-z]", "1{4,}[a-z]", "(?s)1.*?[a-z]", "1{60000}[a-z]"};
    struct buf subject = {0};
    struct regex_fault fault;
    for (int i = 0; i < 256 * 1024; i++)
        buf_addc(&subject, '1');
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        for (int multiline = 0; multiline < 2; multiline++) {
            struct regex *r = regex_new(patterns[i], multiline, &fault);
            struct regex_match m;
            enum regex_result result = regex_exec_valid(r, buf_span(&subject), &m);
            assert_int_equal(result, i == 3 ? REGEX_NO : REGEX_LIMIT);
            assert_int_equal(regex_exec(r, SPAN("-"), &m), REGEX_NO);
            regex_free(r);
        }
    buf_free(&subject);
}

static void
add_many(struct buf *b, char c, int n, const char *end)
{
    for (int i = 0; i < n; i++)
        buf_addc(b, c);
    buf_adds(b, end);
}

static enum regex_result
answer(const char *pattern, struct buf *subject)
{
    struct regex_fault fault;
    struct regex_match m;
    struct regex *r = regex_new(pattern, true, &fault);
    assert_non_null(r);
    enum regex_result result = regex_exec(r, buf_span(subject), &m);
    regex_match_free(&m);
    regex_free(r);
    buf_free(subject);
    return result;
}

/* Items that read far and then fail call nobody: they are charged before. */
static void
reading_in_vain_is_counted(void **state)
{
    (void)state;
    struct buf subject = {0};
    for (int i = 0; i < 4; i++)
        add_many(&subject, '1', 59999, "-");
    assert_int_equal(answer("[0-9]{60000}", &subject), REGEX_LIMIT);
    add_many(&subject, '1', 100000, "2");
    add_many(&subject, '1', 99999, "3");
    assert_int_equal(answer("^(1+)2.*?\\1[a-z]?3", &subject), REGEX_LIMIT);
}

/* A group for each character is too much for the fast machine already on a short subject. */
static void
who_gave_up_early_is_tried_again_with_care(void **state)
{
    (void)state;
    struct buf subject = {0};
    add_many(&subject, 'a', 3000, "z");
    assert_int_equal(answer("^(?:a|b)*z", &subject), REGEX_YES);
    add_many(&subject, 'a', 200000, "z");
    assert_int_equal(answer("^(?:a|b)*z", &subject), REGEX_YES);
}

static void
a_pattern_is_told_as_it_was_given(void **state)
{
    (void)state;
    struct regex_fault fault;
    struct regex *r = regex_new("^(a)\\d+$", true, &fault);
    assert_string_equal(regex_pattern(r), "^(a)\\d+$");
    assert_true(regex_is_multiline(r));
    regex_free(r);
    r = compiled("b");
    assert_false(regex_is_multiline(r));
    regex_free(r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_anywhere_in_any_case),
        cmocka_unit_test(names_come_in_the_order_of_groups),
        cmocka_unit_test(lines_count_only_when_asked),
        cmocka_unit_test(bad_patterns_have_a_place_and_a_reason),
        cmocka_unit_test(catastrophes_end_at_a_limit),
        cmocka_unit_test(the_limit_is_for_the_whole_call),
        cmocka_unit_test(honest_patterns_reach_no_limit),
        cmocka_unit_test(long_subjects_match_as_short_ones),
        cmocka_unit_test(loops_over_one_character_end_too),
        cmocka_unit_test(reading_in_vain_is_counted),
        cmocka_unit_test(who_gave_up_early_is_tried_again_with_care),
        cmocka_unit_test(a_pattern_is_told_as_it_was_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
