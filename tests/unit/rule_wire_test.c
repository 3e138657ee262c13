/* rule: rules and hits as bytes, and back; the corpus of the fuzz target, replayed whole, cut and
 * damaged. */
#include "../fuzz/rule_wire.c"

#include "rule_make.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* One of everything. */
static struct cond *
everything(void)
{
    struct cond *all = cond_new(COND_ALL);
    struct cond *c = make_leaf(COND_ADDRESS, TEST_DOMAIN, ".example.com");
    c->field = FIELD_TO;
    cond_add(all, c);
    c = make_leaf(COND_HEADER, TEST_REGEX, "^one (?<n>\\d+)$");
    c->header = xstrdup("X-Tag");
    cond_add(all, c);
    c = make_leaf(COND_FLAG, TEST_IS, "seen");
    c->negated = true;
    cond_add(all, c);
    c = cond_new(COND_LARGER);
    c->number = 5000000000;
    cond_add(all, c);
    c = make_attachment("*.pdf");
    c->attachment.type = xstrdup("image/*");
    c->attachment.larger = 7;
    c->attachment.count = 2;
    cond_add(all, c);
    c = cond_new(COND_AUTH);
    c->auth.dkim = xstrdup("pass");
    c->auth.dkim_domain = xstrdup("example.com");
    c->auth.spf = xstrdup("none");
    c->auth.dmarc = xstrdup("fail");
    cond_add(all, c);
    cond_add(all, make_not(make_group(COND_ANY, make_body("^x$"), make_subject("(y)"))));
    return all;
}

static struct ruleset
some_rules(void)
{
    struct ruleset rules = {.v = xcalloc(4, sizeof *rules.v), .n = 4};
    rules.v[0].match = everything();
    rules.v[2].match = make_body("(?<code>\\d+)(x)?");
    rules.v[3].match = make_subject("plain");
    return rules;
}

static void
rules_come_back_as_they_were(void **state)
{
    (void)state;
    struct ruleset rules = some_rules();
    struct ruleset back;
    struct buf first = {0};
    struct buf second = {0};
    ruleset_pack(&rules, &first);
    assert_int_equal(ruleset_unpack(buf_span(&first), &back, NULL), 0);
    assert_int_equal(back.n, 4);
    assert_null(back.v[1].match);
    const struct cond *all = back.v[0].match;
    assert_int_equal(all->n_sub, 7);
    assert_int_equal(all->sub[0]->field, FIELD_TO);
    assert_string_equal(all->sub[0]->text, ".example.com");
    assert_string_equal(all->sub[1]->header, "X-Tag");
    assert_string_equal(regex_pattern(all->sub[1]->regex), "^one (?<n>\\d+)$");
    assert_string_equal(all->sub[1]->where, "rules:7:1");
    assert_true(all->sub[2]->negated);
    assert_int_equal(all->sub[3]->number, 5000000000);
    assert_int_equal(all->sub[4]->attachment.count, 2);
    assert_string_equal(all->sub[5]->auth.dkim_domain, "example.com");
    assert_true(regex_is_multiline(all->sub[6]->sub[0]->sub[0]->regex));
    assert_false(regex_is_multiline(all->sub[6]->sub[0]->sub[1]->regex));
    /* and in the order in which they are tried */
    static const size_t tried[] = {2, 3, 0, 1, 5, 4, 6};
    for (size_t i = 0; i < 7; i++)
        assert_ptr_equal(all->tried[i], all->sub[tried[i]]);
    ruleset_pack(&back, &second);
    assert_true(span_eq(buf_span(&first), buf_span(&second)));
    ruleset_free(&rules);
    ruleset_free(&back);
    buf_free(&first);
    buf_free(&second);
}

static void
refuses(struct buf *b)
{
    struct ruleset rules = {(struct rule *)b, 7};
    struct err e = {0};
    assert_int_equal(ruleset_unpack(buf_span(b), &rules, &e), -1);
    assert_int_equal(e.kind, ERR_INPUT);
    assert_null(rules.v);
    buf_free(b);
}

static void
refuses_rule(struct cond *match)
{
    struct rule rule = {.match = match};
    struct buf b = {0};
    ruleset_pack(&(struct ruleset){&rule, 1}, &b);
    refuses(&b);
    cond_free(match);
}

static void
conditions_without_what_they_need_are_refused(void **state)
{
    (void)state;
    static const enum cond_kind wanting[] = {
        COND_NOT, COND_ADDRESS, COND_TEXT, COND_ANY_HEADER, COND_BODY, COND_FLAG, COND_HEADER};
    for (size_t i = 0; i < sizeof wanting / sizeof *wanting; i++)
        refuses_rule(cond_new(wanting[i]));
    struct cond *c = make_subject("x");
    free(c->where);
    c->where = NULL;
    refuses_rule(c);
    c = make_leaf(COND_HEADER, TEST_REGEX, "x");
    refuses_rule(c);
    c = make_leaf(COND_TEXT, TEST_IS, "x");
    cond_add(c, cond_new(COND_ALL));
    refuses_rule(c);
    refuses_rule(make_group(COND_NOT, make_subject("x"), make_subject("y")));
    refuses_rule(make_group(COND_ALL, cond_new((enum cond_kind)(COND_AUTH + 1)), NULL));
}

static void
rules_that_nest_without_end_are_refused(void **state)
{
    (void)state;
    for (int depth = 200; depth <= 201; depth++) {
        struct rule rule = {.match = make_subject("x")};
        struct ruleset rules = {&rule, 1};
        struct ruleset back;
        struct buf b = {0};
        for (int i = 0; i < depth; i++)
            rule.match = make_not(rule.match);
        ruleset_pack(&rules, &b);
        assert_int_equal(ruleset_unpack(buf_span(&b), &back, NULL), depth == 200 ? 0 : -1);
        ruleset_free(&back);
        buf_free(&b);
        cond_free(rule.match);
    }
}

static void
rules_of_another_version_or_cut_are_refused(void **state)
{
    (void)state;
    struct ruleset rules = some_rules();
    struct buf b = {0};
    struct buf part = {0};
    ruleset_pack(&rules, &b);
    for (size_t n = 0; n < b.n; n++) {
        buf_add(&part, b.p, n);
        refuses(&part);
    }
    buf_add(&part, b.p, b.n);
    buf_addc(&part, 'x');
    refuses(&part);
    b.p[0]++;
    refuses(&b);
    ruleset_free(&rules);
}

/* --- hits --- */

/* What a wire tells: hits of two rules, of which the second captures, and one that is open. */
struct lie {
    size_t first, second, open;
    const char *match, *name, *value, *note;
    size_t n_captures;
};
static const struct lie truth = {0, 2, 4, "whole", "code", "123", "a note", 2};

static void
tell(struct buf *out, const struct lie *l)
{
    pack_number(out, 2);
    pack_number(out, l->first);
    pack_str(out, "");
    pack_number(out, 0);
    pack_number(out, l->second);
    pack_str(out, l->match);
    pack_number(out, l->n_captures);
    pack_str(out, l->name);
    pack_str(out, l->value);
    for (size_t i = 1; i < l->n_captures; i++) {
        pack_str(out, "2");
        pack_str(out, "");
    }
    pack_number(out, 1);
    pack_number(out, l->open);
    pack_number(out, 1);
    pack_str(out, l->note);
}

/* Rules 0, 2, 3 and 4 are planned; 1 is not. 2 captures code and 2; 2 and 4 need the text. */
static int
believe_bytes(struct span bytes, struct hits *h)
{
    struct rule v[] = {{.match = NULL}, {.match = NULL}, {.match = make_body("(?<code>\\d+)(x)?")},
        {.match = make_subject("plain")}, {.match = make_attachment(NULL)}};
    struct ruleset rules = {v, 5};
    size_t planned[] = {0, 2, 3, 4};
    struct plan plan = {planned, 4};
    struct unpack u = {bytes, false};
    int result = hits_unpack(&u, &rules, &plan, h);
    assert_int_equal(result == 0, unpack_whole(&u));
    for (size_t i = 0; i < rules.n; i++)
        cond_free(v[i].match);
    return result;
}

static int
believe(const struct lie *l, struct hits *h)
{
    struct buf b = {0};
    tell(&b, l);
    int result = believe_bytes(buf_span(&b), h);
    buf_free(&b);
    return result;
}

static void
hits_come_back_as_they_were(void **state)
{
    (void)state;
    struct hits h;
    struct buf told = {0};
    struct buf again = {0};
    assert_int_equal(believe(&truth, &h), 0);
    assert_int_equal(h.n, 2);
    assert_int_equal(h.v[1].rule, 2);
    assert_string_equal(h.v[1].match, "whole");
    assert_int_equal(h.v[1].n_captures, 2);
    assert_string_equal(h.v[1].captures[0].name, "code");
    assert_string_equal(h.v[1].captures[0].value, "123");
    assert_int_equal(h.n_open, 1);
    assert_int_equal(h.open[0], 4);
    assert_string_equal(h.notes.v[0], "a note");
    tell(&told, &truth);
    hits_pack(&h, &again);
    assert_true(span_eq(buf_span(&told), buf_span(&again)));
    hits_free(&h);
    buf_free(&told);
    buf_free(&again);
}

static char *
long_text(size_t n)
{
    char *s = xmalloc(n + 1);
    memset(s, 'a', n);
    s[n] = '\0';
    return s;
}

static void
lies_are_refused(void **state)
{
    (void)state;
    char *most = long_text(HIT_VALUE_MAX);
    char *more = long_text(HIT_VALUE_MAX + 1);
    struct lie lies[32];
    size_t n = 0;
#define LIE(member, value)          \
    do {                            \
        lies[n] = truth;            \
        lies[n++].member = (value); \
    } while (0)
    LIE(first, 1);              /* not planned */
    LIE(first, 2);              /* twice */
    LIE(first, 3);              /* out of order */
    LIE(second, 0);             /* twice */
    LIE(second, 1);             /* not planned */
    LIE(second, 3);             /* which captures nothing */
    LIE(second, 5);             /* there is none */
    LIE(second, SIZE_MAX);      /* far beyond */
    LIE(open, 0);               /* a hit already */
    LIE(open, 2);               /* likewise */
    LIE(open, 3);               /* the headers say all */
    LIE(open, 1);               /* not planned */
    LIE(open, 9);               /* there is none */
    LIE(match, NULL);           /* no text */
    LIE(match, "a\nb");         /* two lines */
    LIE(match, "\x1B[31m");     /* for a terminal */
    LIE(match, " a");           /* not trimmed */
    LIE(match, "\xC3");         /* no UTF-8 */
    LIE(match, more);           /* too long */
    LIE(value, more);           /* likewise */
    LIE(value, "\xE2\x80\xA8"); /* U+2028 */
    LIE(value, NULL);           /* no text */
    LIE(name, "PATH");          /* not ours */
    LIE(name, "cod");           /* likewise */
    LIE(name, NULL);            /* none */
    LIE(n_captures, 1);         /* too few */
    LIE(n_captures, 3);         /* too many */
    LIE(note, "a\nb");          /* two lines */
    LIE(note, "\x1B]0;x");      /* for a terminal */
    LIE(note, more);            /* too long */
    LIE(note, NULL);            /* no text */
    for (size_t i = 0; i < n; i++) {
        struct hits h;
        if (believe(&lies[i], &h) == 0)
            fail_msg("lie %zu is believed", i);
        assert_null(h.v);
        assert_null(h.open);
        assert_int_equal(h.n + h.n_open + h.notes.n, 0);
    }
    n = 0;
    LIE(match, most);
    LIE(value, most);
    LIE(value, "\xE2\x82\xAC uro");
    LIE(first, 0);
    for (size_t i = 0; i < n; i++) {
        struct hits h;
        assert_int_equal(believe(&lies[i], &h), 0);
        hits_free(&h);
    }
    free(most);
    free(more);
}

/* Rules 3 and 4 have no captures, so that nothing else is wrong. */
static void
nothing_comes_twice_or_out_of_order(void **state)
{
    (void)state;
    static const struct {
        size_t hits[2], open[2];
        size_t n_hits, n_open, notes;
        bool good;
    } table[] = {
        {{0, 3}, {4}, 2, 1, 4, true},
        {{0, 3}, {4}, 2, 1, 5, false},
        {{3, 3}, {4}, 2, 1, 0, false},
        {{3, 0}, {4}, 2, 1, 0, false},
        {{0}, {2, 4}, 1, 2, 0, true},
        {{0}, {4, 4}, 1, 2, 0, false},
        {{0}, {4, 2}, 1, 2, 0, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct hit v[] = {{.rule = table[i].hits[0], .match = (char *)""},
            {.rule = table[i].hits[1], .match = (char *)""}};
        size_t open[] = {table[i].open[0], table[i].open[1]};
        struct hits h = {.v = v, .n = table[i].n_hits, .open = open, .n_open = table[i].n_open};
        struct buf b = {0};
        for (size_t k = 0; k < table[i].notes; k++)
            strv_add(&h.notes, "a note");
        hits_pack(&h, &b);
        strv_free(&h.notes);
        if ((believe_bytes(buf_span(&b), &h) == 0) != table[i].good)
            fail_msg("row %zu", i);
        hits_free(&h);
        buf_free(&b);
    }
}

static struct buf
file_content(const char *path)
{
    struct buf b = {0};
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        buf_addc(&b, (char)c);
    fclose(file);
    return b;
}

static void
damage_every_byte(struct buf *b)
{
    static const char damage[] = {0x01, (char)0xFF};
    for (size_t i = 0; i < b->n; i++)
        for (size_t k = 0; k < sizeof damage; k++) {
            b->p[i] ^= damage[k];
            LLVMFuzzerTestOneInput((const uint8_t *)b->p, b->n);
            b->p[i] ^= damage[k];
        }
}

static void
the_corpus_is_harmless_whole_cut_and_damaged(void **state)
{
    (void)state;
    glob_t seeds;
    assert_int_equal(glob("tests/fuzz/corpus/rule_wire/*", 0, NULL, &seeds), 0);
    for (size_t i = 0; i < seeds.gl_pathc; i++) {
        struct buf b = file_content(seeds.gl_pathv[i]);
        for (size_t n = 0; n <= b.n; n++)
            LLVMFuzzerTestOneInput((const uint8_t *)buf_str(&b), n);
        damage_every_byte(&b);
        buf_free(&b);
    }
    assert_true(seeds.gl_pathc >= 4);
    globfree(&seeds);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_come_back_as_they_were),
        cmocka_unit_test(conditions_without_what_they_need_are_refused),
        cmocka_unit_test(rules_that_nest_without_end_are_refused),
        cmocka_unit_test(rules_of_another_version_or_cut_are_refused),
        cmocka_unit_test(hits_come_back_as_they_were),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(nothing_comes_twice_or_out_of_order),
        cmocka_unit_test(the_corpus_is_harmless_whole_cut_and_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
