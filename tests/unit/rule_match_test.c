/* rule: conditions against the facts of one mail. */
#include "base/buf.h"
#include "base/mem.h"
#include "mail/message.h"
#include "rule/match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const char mail[] = "Return-Path: <bounce@mailer.example.net>\n"
                           "Delivered-To: me+todo@example.org\n"
                           "X-Original-To: alias@example.org\n"
                           "From: \"Ann Boss\" <Ann@Sub.Example.COM>, Bob <bob@other.org>\n"
                           "To: team@example.org\n"
                           "Cc: carl@third.org\n"
                           "Subject: Invoice 4711 of ACME\n"
                           "List-Id: Dev <dev.example.org>\n"
                           "Message-ID: <m1@x>\n"
                           "X-Tag: one\n"
                           "X-Tag: two\n"
                           "X-Empty:\n\n";

enum { NOW = 1000000, HOUR_MS = 3600 * 1000 };

static struct cond *
leaf(enum cond_kind kind, enum cond_test test, const char *text)
{
    struct regex_fault fault;
    struct cond *c = cond_new(kind);
    c->test = test;
    c->key = xstrdup("key");
    c->where = xstrdup("rules:7:1");
    c->text = xstrdup(text);
    if (test == TEST_REGEX || test == TEST_NAME) {
        c->regex = regex_new(text, false, &fault);
        assert_non_null(c->regex);
    }
    return c;
}

static struct cond *
on(enum cond_field field, enum cond_test test, const char *text)
{
    bool is_text = field == FIELD_SUBJECT || field == FIELD_LIST_ID || field == FIELD_MESSAGE_ID;
    struct cond *c = leaf(is_text ? COND_TEXT : COND_ADDRESS, test, text);
    c->field = field;
    return c;
}

static struct cond *
subject(const char *pattern)
{
    return on(FIELD_SUBJECT, TEST_REGEX, pattern);
}

static struct cond *
on_header(const char *name, enum cond_test test, const char *text)
{
    struct cond *c = leaf(COND_HEADER, test, text);
    c->header = xstrdup(name);
    return c;
}

static struct cond *
number(enum cond_kind kind, uint64_t n)
{
    struct cond *c = leaf(kind, TEST_IS, "");
    c->number = n;
    return c;
}

static struct cond *
flag(const char *name, bool negated)
{
    struct cond *c = leaf(COND_FLAG, TEST_IS, name);
    c->negated = negated;
    return c;
}

static struct cond *
of(enum cond_kind kind, struct cond *a, struct cond *b)
{
    struct cond *c = cond_new(kind);
    if (a != NULL)
        cond_add(c, a);
    if (b != NULL)
        cond_add(c, b);
    return c;
}

static struct cond *
not_(struct cond *c)
{
    return of(COND_NOT, c, NULL);
}

/* One rule with this condition against a mail, an hour old, 5000 bytes, \Seen and $Label1. */
static void
try_on(struct span bytes, struct cond *match, struct hits *hits)
{
    struct rule rule = {.match = match, .enabled = true};
    struct ruleset rules = {&rule, 1};
    size_t first = 0;
    struct plan plan = {&first, 1};
    struct meta meta = {.received = NOW - 3600, .size = 5000};
    strv_add(&meta.flags, "\\SEEN");
    strv_add(&meta.flags, "$Label1");
    cond_sort(match);
    struct facts *facts = message_facts(bytes, NULL);
    match_rules(&rules, &plan, facts, &meta, NOW, hits);
    facts_free(facts);
    strv_free(&meta.flags);
}

static bool
matches(struct cond *c)
{
    struct hits hits;
    try_on(SPAN(mail), c, &hits);
    bool yes = hits.n == 1;
    assert_int_equal(hits.notes.n, 0);
    hits_free(&hits);
    cond_free(c);
    return yes;
}

/* "match name=value name=value", or "no". */
static const char *
captured(struct cond *c)
{
    static struct buf b;
    struct hits hits;
    buf_free(&b);
    try_on(SPAN(mail), c, &hits);
    buf_adds(&b, hits.n == 1 ? hits.v[0].match : "no");
    for (size_t i = 0; hits.n == 1 && i < hits.v[0].n_captures; i++)
        buf_addf(&b, " %s=%s", hits.v[0].captures[i].name, hits.v[0].captures[i].value);
    hits_free(&hits);
    cond_free(c);
    return buf_str(&b);
}

static void
addresses_are_seen_as_name_and_address(void **state)
{
    (void)state;
    assert_true(matches(on(FIELD_FROM, TEST_REGEX, "^Ann Boss <ann@sub\\.example\\.com>$")));
    assert_true(matches(on(FIELD_FROM, TEST_REGEX, "^bob <")));
    assert_false(matches(on(FIELD_FROM, TEST_REGEX, "Ann.*Bob")));
    assert_true(matches(on(FIELD_TO, TEST_REGEX, "^team@example\\.org$")));
    assert_true(matches(on(FIELD_FROM, TEST_IS, "ann@sub.example.com")));
    assert_false(matches(on(FIELD_FROM, TEST_IS, "sub.example.com")));
    assert_true(matches(on(FIELD_FROM, TEST_NAME, "^bob$")));
    assert_false(matches(on(FIELD_FROM, TEST_NAME, "other")));
    assert_true(matches(on(FIELD_CC, TEST_REGEX, "carl")));
    assert_false(matches(on(FIELD_REPLY_TO, TEST_REGEX, "")));
    assert_true(matches(on(FIELD_CC, TEST_PRESENT, "")));
}

static void
domains_are_exact_unless_they_begin_with_a_dot(void **state)
{
    (void)state;
    static const struct {
        const char *domain;
        bool want;
    } table[] = {
        {"sub.example.com", true},
        {"SUB.example.COM", true},
        {"example.com", false},
        {".example.com", true},
        {".sub.example.com", true},
        {".b.example.com", false},
        {".ample.com", false},
        {".com", true},
        {"other.org", true},
        {".other.org", true},
        {"org", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(matches(on(FIELD_FROM, TEST_DOMAIN, table[i].domain)), table[i].want);
}

static void
addressed_to_joins_all_recipients(void **state)
{
    (void)state;
    static const char *const all[] = {
        "team@example.org", "carl@third.org", "me+todo@example.org", "alias@example.org"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_true(matches(on(FIELD_ADDRESSED_TO, TEST_IS, all[i])));
    assert_false(matches(on(FIELD_ADDRESSED_TO, TEST_IS, "bob@other.org")));
}

static void
envelopes_are_bare_addresses(void **state)
{
    (void)state;
    assert_true(matches(on(FIELD_SENDER, TEST_REGEX, "^bounce@mailer\\.example\\.net$")));
    assert_true(matches(on(FIELD_SENDER, TEST_DOMAIN, ".example.net")));
    assert_false(matches(on(FIELD_SENDER, TEST_REGEX, "^$")));
    assert_true(matches(on(FIELD_RECIPIENT, TEST_IS, "me+todo@example.org")));
    struct hits hits;
    struct cond *bounce = on(FIELD_SENDER, TEST_REGEX, "^$");
    try_on(SPAN("Return-Path: <>\n\n"), bounce, &hits);
    assert_int_equal(hits.n, 1);
    hits_free(&hits);
    cond_free(bounce);
}

static void
texts_and_headers_are_tested(void **state)
{
    (void)state;
    assert_true(matches(subject("invoice \\d+")));
    assert_true(matches(on(FIELD_SUBJECT, TEST_IS, "invoice 4711 OF acme")));
    assert_false(matches(on(FIELD_SUBJECT, TEST_IS, "invoice 4711")));
    assert_true(matches(on(FIELD_LIST_ID, TEST_IS, "dev.example.org")));
    assert_true(matches(on(FIELD_MESSAGE_ID, TEST_REGEX, "^m1@")));
    assert_true(matches(on_header("x-tag", TEST_REGEX, "^two$")));
    assert_true(matches(on_header("X-TAG", TEST_IS, "ONE")));
    assert_false(matches(on_header("x-ta", TEST_REGEX, "")));
    assert_true(matches(on_header("x-tag", TEST_PRESENT, "")));
    assert_true(matches(on_header("x-empty", TEST_PRESENT, "")));
    assert_false(matches(on_header("x-none", TEST_PRESENT, "")));
    assert_false(matches(on_header("x-empty", TEST_ABSENT, "")));
    assert_true(matches(on_header("x-none", TEST_ABSENT, "")));
    assert_true(matches(leaf(COND_ANY_HEADER, TEST_REGEX, "^x-tag: two$")));
    assert_false(matches(leaf(COND_ANY_HEADER, TEST_REGEX, "^x-tag: three$")));
}

static void
metadata_is_compared(void **state)
{
    (void)state;
    assert_true(matches(number(COND_LARGER, 4999)));
    assert_false(matches(number(COND_LARGER, 5000)));
    assert_true(matches(number(COND_SMALLER, 5001)));
    assert_false(matches(number(COND_SMALLER, 5000)));
    assert_true(matches(number(COND_NEWER, HOUR_MS + 1)));
    assert_false(matches(number(COND_NEWER, HOUR_MS)));
    assert_true(matches(number(COND_OLDER, HOUR_MS - 1)));
    assert_false(matches(number(COND_OLDER, HOUR_MS)));
    static const struct {
        const char *name;
        bool set;
    } flags[] = {{"seen", true}, {"\\Seen", true}, {"SEEN", true}, {"flagged", false},
        {"$label1", true}, {"label1", false}, {"\\$Label1", false}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        assert_int_equal(matches(flag(flags[i].name, false)), flags[i].set);
        assert_int_equal(matches(flag(flags[i].name, true)), !flags[i].set);
    }
}

static void
an_unknown_date_is_neither_new_nor_old(void **state)
{
    (void)state;
    static const struct {
        int64_t received;
        bool newer, older;
    } table[] = {{0, false, false}, {NOW - 3600, true, true}, {NOW + 3600, true, false}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct rule v[] = {
            {.match = number(COND_NEWER, 2 * HOUR_MS)}, {.match = number(COND_OLDER, HOUR_MS / 2)}};
        struct ruleset rules = {v, 2};
        size_t both[] = {0, 1};
        struct plan plan = {both, 2};
        struct meta meta = {.received = table[i].received};
        struct facts *facts = facts_new();
        struct hits hits;
        match_rules(&rules, &plan, facts, &meta, NOW, &hits);
        bool newer = false;
        bool older = false;
        for (size_t k = 0; k < hits.n; k++)
            *(hits.v[k].rule == 0 ? &newer : &older) = true;
        assert_int_equal(newer, table[i].newer);
        assert_int_equal(older, table[i].older);
        hits_free(&hits);
        facts_free(facts);
        cond_free(v[0].match);
        cond_free(v[1].match);
    }
}

static void
conditions_combine(void **state)
{
    (void)state;
    assert_true(matches(NULL));
    assert_true(matches(of(COND_ALL, NULL, NULL)));
    assert_false(matches(of(COND_ANY, NULL, NULL)));
    assert_true(matches(of(COND_ALL, subject("invoice"), subject("acme"))));
    assert_false(matches(of(COND_ALL, subject("invoice"), subject("nothing"))));
    assert_true(matches(of(COND_ANY, subject("nothing"), subject("acme"))));
    assert_false(matches(of(COND_ANY, subject("nothing"), subject("nobody"))));
    assert_true(matches(not_(subject("nothing"))));
    assert_false(matches(not_(subject("acme"))));
    assert_true(matches(not_(not_(subject("acme")))));
    assert_true(
        matches(of(COND_ALL, flag("seen", false), not_(of(COND_ANY, subject("x"), subject("y"))))));
}

static void
captures_come_from_what_was_true(void **state)
{
    (void)state;
    assert_string_equal(captured(subject("invoice (?<no>\\d+)")), "Invoice 4711 no=4711");
    assert_string_equal(captured(subject("invoice (\\d+)")), "Invoice 4711 1=4711");
    /* merged; the text is that of the last one */
    assert_string_equal(captured(of(COND_ALL, subject("invoice (?<no>\\d+)"),
                            on(FIELD_FROM, TEST_NAME, "^(?<first>\\w+)"))),
        "Ann no=4711 first=Ann");
    /* alternatives: the first true one alone */
    assert_string_equal(
        captured(of(COND_ANY, subject("order (?<no>\\d+)"), subject("invoice (?<no>\\d+)"))),
        "Invoice 4711 no=4711");
    assert_string_equal(captured(of(COND_ANY, subject("(?<a>invoice)"), subject("(?<b>acme)"))),
        "Invoice a=Invoice b=");
    /* a group that took no part */
    assert_string_equal(captured(subject("(?<x>order)|(?<y>invoice)")), "Invoice x= y=Invoice");
    /* nothing from below a not, nor from a part of what was false */
    assert_string_equal(
        captured(of(COND_ALL, subject("(?<a>acme)"), not_(not_(subject("(?<b>invoice)"))))),
        "ACME a=ACME");
    assert_string_equal(
        captured(of(COND_ANY, of(COND_ALL, subject("(?<a>acme)"), subject("nothing")),
            subject("(?<b>invoice)"))),
        "Invoice a= b=Invoice");
    assert_string_equal(captured(of(COND_ALL, subject("(?<a>acme)"), subject("nothing"))), "no");
    /* no regex, no text */
    assert_string_equal(captured(flag("seen", false)), "");
}

static void
metadata_goes_first(void **state)
{
    (void)state;
    /* the flag decides: the regex, which would hit its limit, is never tried */
    struct buf b = {0};
    buf_adds(&b, "Subject: ");
    for (int i = 0; i < 4000; i++)
        buf_addc(&b, 'a');
    buf_adds(&b, "!\n\n");
    struct cond *any = of(COND_ANY, subject("(a+)+$"), not_(flag("flagged", false)));
    struct cond *all = of(COND_ALL, subject("(a+)+$"), flag("flagged", false));
    struct hits hits;
    try_on(buf_span(&b), any, &hits);
    assert_int_equal(hits.n, 1);
    assert_int_equal(hits.notes.n, 0);
    hits_free(&hits);
    try_on(buf_span(&b), all, &hits);
    assert_int_equal(hits.n, 0);
    assert_int_equal(hits.notes.n, 0);
    hits_free(&hits);
    cond_free(any);
    cond_free(all);
    buf_free(&b);
}

static void
a_limit_ends_the_rule_also_under_not(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_adds(&b, "From: a@b, c@d\nSubject: ");
    for (int i = 0; i < 4000; i++)
        buf_addc(&b, 'a');
    buf_adds(&b, "!\nX: y\n\n");
    struct cond *trees[] = {
        subject("(a+)+$"),
        not_(subject("(a+)+$")),
        not_(not_(subject("(a+)+$"))),
        of(COND_ANY, subject("(a+)+$"), subject("a")),
        of(COND_ALL, subject("a"), not_(subject("(a+)+$"))),
        not_(of(COND_ALL, subject("(a+)+$"), subject("nothing"))),
        leaf(COND_ANY_HEADER, TEST_REGEX, "(a+)+$"),
        not_(on_header("subject", TEST_REGEX, "(a+)+$")),
    };
    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
        struct hits hits;
        try_on(buf_span(&b), trees[i], &hits);
        assert_int_equal(hits.n, 0);
        assert_int_equal(hits.notes.n, 1);
        assert_string_equal(
            hits.notes.v[0], "rules:7:1: key: match limit exceeded; the rule does not match");
        hits_free(&hits);
        cond_free(trees[i]);
    }
    buf_free(&b);
}

static void
hits_keep_the_order_of_the_plan(void **state)
{
    (void)state;
    struct rule v[] = {{.match = subject("acme"), .stop = true}, {.match = subject("nothing")},
        {.match = NULL}, {.match = subject("invoice")}};
    struct ruleset rules = {v, 4};
    size_t planned[] = {0, 1, 3};
    struct plan plan = {planned, 3};
    struct meta meta = {0};
    struct facts *facts = message_facts(SPAN(mail), NULL);
    struct hits hits;
    match_rules(&rules, &plan, facts, &meta, NOW, &hits);
    assert_int_equal(hits.n, 2);
    assert_int_equal(hits.v[0].rule, 0);
    assert_int_equal(hits.v[1].rule, 3);
    assert_string_equal(hits.v[1].match, "Invoice");
    hits_free(&hits);
    assert_int_equal(hits.n, 0);
    facts_free(facts);
    for (size_t i = 0; i < 4; i++)
        cond_free(v[i].match);
}

static void
declared_captures_are_listed_once_in_order(void **state)
{
    (void)state;
    struct cond *c = of(COND_ALL, of(COND_ANY, subject("(?<b>x)(?<a>y)"), subject("(?<a>z)(w)")),
        not_(subject("(?<hidden>x)")));
    struct strv names = {0};
    cond_captures(c, &names);
    assert_int_equal(names.n, 3);
    assert_string_equal(names.v[0], "b");
    assert_string_equal(names.v[1], "a");
    assert_string_equal(names.v[2], "2");
    strv_free(&names);
    cond_captures(NULL, &names);
    assert_int_equal(names.n, 0);
    cond_free(c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_seen_as_name_and_address),
        cmocka_unit_test(domains_are_exact_unless_they_begin_with_a_dot),
        cmocka_unit_test(addressed_to_joins_all_recipients),
        cmocka_unit_test(envelopes_are_bare_addresses),
        cmocka_unit_test(texts_and_headers_are_tested),
        cmocka_unit_test(metadata_is_compared),
        cmocka_unit_test(an_unknown_date_is_neither_new_nor_old),
        cmocka_unit_test(conditions_combine),
        cmocka_unit_test(captures_come_from_what_was_true),
        cmocka_unit_test(metadata_goes_first),
        cmocka_unit_test(a_limit_ends_the_rule_also_under_not),
        cmocka_unit_test(hits_keep_the_order_of_the_plan),
        cmocka_unit_test(declared_captures_are_listed_once_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
