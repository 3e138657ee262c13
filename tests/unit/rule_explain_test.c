/* rule: why a rule matched, condition by condition. */
#include "base/mem.h"
#include "rule/explain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NOW = 1000000, HOUR_MS = 3600 * 1000 };

static void
set(char **text, const char *value)
{
    free(*text);
    *text = xstrdup(value);
}

static void
add_address(struct addresses *list, const char *name, const char *addr)
{
    list->v = xreallocarray(list->v, list->n + 1, sizeof *list->v);
    list->v[list->n++] = (struct address){xstrdup(name), xstrdup(addr)};
}

static void
add_attachment(struct facts *f, const char *name, const char *type, uint64_t size)
{
    f->attachments = xreallocarray(f->attachments, f->n_attachments + 1, sizeof *f->attachments);
    f->attachments[f->n_attachments++] = (struct attachment){
        .part = xstrdup("2"), .name = xstrdup(name), .type = xstrdup(type), .size = size};
}

static struct facts *
an_invoice(void)
{
    struct facts *f = facts_new();
    set(&f->subject, "Invoice 2026-17");
    set(&f->sender, "bounce@stripe.com");
    add_address(&f->from, "", "billing@stripe.com");
    add_address(&f->to, "Ann", "ann@example.com");
    add_address(&f->cc, "", "bob@example.com");
    f->headers = xcalloc(2, sizeof *f->headers);
    f->headers[f->n_headers++] = (struct header){xstrdup("X-Tag"), xstrdup("one")};
    f->whole = true;
    set(&f->text, "Total: 12 EUR\n");
    add_attachment(f, "terms.txt", "text/plain", 100);
    add_attachment(f, "invoice.pdf", "application/pdf", 30000);
    return f;
}

/* --- conditions --- */

static struct cond *
leaf(enum cond_kind kind, const char *key, enum cond_test test, const char *text)
{
    struct regex_fault fault;
    struct cond *c = cond_new(kind);
    c->test = test;
    c->key = xstrdup(key);
    c->where = xstrdup("rules:7:1");
    c->text = xstrdup(text);
    if (test == TEST_REGEX || test == TEST_NAME)
        c->regex = regex_new(text, kind == COND_BODY, &fault);
    return c;
}

static struct cond *
on(enum cond_field field, const char *key, enum cond_test test, const char *text)
{
    bool is_text = field == FIELD_SUBJECT || field == FIELD_LIST_ID || field == FIELD_MESSAGE_ID;
    struct cond *c = leaf(is_text ? COND_TEXT : COND_ADDRESS, key, test, text);
    c->field = field;
    return c;
}

static struct cond *
number(enum cond_kind kind, const char *key, uint64_t n)
{
    struct cond *c = leaf(kind, key, TEST_IS, "");
    c->number = n;
    return c;
}

static struct cond *
attachment(const char *name)
{
    struct cond *c = leaf(COND_ATTACHMENT, "attachment", TEST_IS, "");
    c->attachment.name = name != NULL ? xstrdup(name) : NULL;
    return c;
}

static struct cond *
group(enum cond_kind kind, const char *key, struct cond *a, struct cond *b)
{
    struct cond *c = cond_new(kind);
    c->key = key != NULL ? xstrdup(key) : NULL;
    cond_add(c, a);
    if (b != NULL)
        cond_add(c, b);
    return c;
}

/* Each line as "depth verdict key|wanted|found|captures". */
static char *
told(struct cond *match)
{
    struct facts *f = an_invoice();
    struct meta meta = {.received = NOW - 7200, .size = 48 * 1024};
    struct rule rule = {.match = match, .enabled = true};
    struct explanation x;
    struct buf out = {0};
    cond_sort(match);
    explain(&x, &rule, f, &meta, NOW);
    for (size_t i = 0; i < x.n; i++)
        buf_addf(&out, "%s%u %s %s|%s|%s|%s", i > 0 ? "\n" : "", x.v[i].depth,
            x.v[i].holds ? "ok" : "FAIL", x.v[i].key, x.v[i].wanted, x.v[i].found, x.v[i].captures);
    explanation_free(&x);
    assert_int_equal(x.n, 0);
    facts_free(f);
    cond_free(match);
    return buf_take(&out);
}

static void
assert_told(struct cond *match, const char *expected)
{
    char *text = told(match);
    assert_string_equal(text, expected);
    free(text);
}

/* --- tests --- */

static void
each_condition_tells_what_it_wanted_and_found(void **state)
{
    (void)state;
    assert_told(on(FIELD_SUBJECT, "subject", TEST_REGEX, "invoice (?<number>[\\d-]+)"),
        "0 ok subject|/invoice (?<number>[\\d-]+)/|\"Invoice 2026-17\"|number=2026-17");
    assert_told(on(FIELD_SUBJECT, "subject", TEST_REGEX, "order"),
        "0 FAIL subject|/order/|\"Invoice 2026-17\"|");
    assert_told(on(FIELD_SUBJECT, "subject", TEST_IS, "invoice 2026-17"),
        "0 ok subject|is invoice 2026-17|\"Invoice 2026-17\"|");
    assert_told(on(FIELD_SENDER, "sender", TEST_DOMAIN, "stripe.com"),
        "0 ok sender|domain stripe.com|bounce@stripe.com|");
    assert_told(on(FIELD_REPLY_TO, "reply_to", TEST_REGEX, "x"), "0 FAIL reply_to|/x/|no address|");
    assert_told(number(COND_SMALLER, "smaller", 20 << 20), "0 ok smaller|20M|48K|");
    assert_told(number(COND_NEWER, "newer", HOUR_MS / 4), "0 FAIL newer|15m|2h old|");
    assert_told(leaf(COND_FLAG, "flag", TEST_IS, "seen"), "0 FAIL flag|seen|no flags|");
    assert_told(leaf(COND_BODY, "body", TEST_REGEX, "^total: (\\d+)"),
        "0 ok body|/^total: (\\d+)/|\"Total: 12\"|1=12");
    assert_told(
        leaf(COND_BODY, "body", TEST_REGEX, "verify"), "0 FAIL body|/verify/|not in 14B of text|");
    assert_told(attachment("*.pdf"), "0 ok attachment|*.pdf|invoice.pdf (29K)|");
    assert_told(
        attachment("*.exe"), "0 FAIL attachment|*.exe|terms.txt (100B), invoice.pdf (29K)|");
}

static void
a_header_is_named_in_what_is_wanted(void **state)
{
    (void)state;
    struct cond *there = leaf(COND_HEADER, "header", TEST_REGEX, "^o");
    there->header = xstrdup("x-tag");
    assert_told(there, "0 ok header|x-tag: /^o/|\"o\"|");
    struct cond *missing = leaf(COND_HEADER, "header", TEST_PRESENT, "");
    missing->header = xstrdup("X-Alert");
    assert_told(missing, "0 FAIL header|X-Alert: present|no such header|");
}

static void
of_several_addresses_the_one_that_counted_is_told(void **state)
{
    (void)state;
    assert_told(on(FIELD_ADDRESSED_TO, "addressed_to", TEST_IS, "bob@example.com"),
        "0 ok addressed_to|is bob@example.com|bob@example.com|");
    assert_told(on(FIELD_ADDRESSED_TO, "addressed_to", TEST_IS, "carl@example.com"),
        "0 FAIL addressed_to|is carl@example.com|Ann <ann@example.com>, bob@example.com|");
}

static void
a_list_of_values_is_one_line(void **state)
{
    (void)state;
    assert_told(group(COND_ANY, "from", on(FIELD_FROM, "from", TEST_DOMAIN, "hetzner.com"),
                    on(FIELD_FROM, "from", TEST_DOMAIN, "stripe.com")),
        "0 ok from|domain hetzner.com, stripe.com|billing@stripe.com|");
    assert_told(group(COND_ANY, "subject", on(FIELD_SUBJECT, "subject", TEST_REGEX, "a|b"),
                    on(FIELD_SUBJECT, "subject", TEST_IS, "x")),
        "0 FAIL subject|/a|b/, is x|\"Invoice 2026-17\"|");
}

static void
groups_are_told_with_what_is_below_them(void **state)
{
    (void)state;
    struct cond *both = group(
        COND_ALL, "all", on(FIELD_SUBJECT, "subject", TEST_REGEX, "invoice"), attachment("*.exe"));
    assert_told(group(COND_ANY, "any", both, attachment("*.pdf")),
        "0 ok any|||\n"
        "1 FAIL all|||\n"
        "2 ok subject|/invoice/|\"Invoice\"|\n"
        "2 FAIL attachment|*.exe|terms.txt (100B), invoice.pdf (29K)|\n"
        "1 ok attachment|*.pdf|invoice.pdf (29K)|");
}

static void
the_parts_of_a_rule_stand_side_by_side(void **state)
{
    (void)state;
    assert_told(
        group(COND_ALL, NULL, on(FIELD_FROM, "from", TEST_DOMAIN, "x.org"), attachment(NULL)),
        "0 FAIL from|domain x.org|billing@stripe.com|\n"
        "0 ok attachment|any|terms.txt (100B)|");
}

static void
a_condition_that_is_turned_round_is_one_line_and_captures_nothing(void **state)
{
    (void)state;
    assert_told(
        group(COND_NOT, "not", on(FIELD_SUBJECT, "subject", TEST_REGEX, "(?<n>\\d+)"), NULL),
        "0 FAIL not subject|/(?<n>\\d+)/|\"2026\"|");
    assert_told(group(COND_NOT, "not", on(FIELD_FROM, "from", TEST_DOMAIN, "example.com"), NULL),
        "0 ok not from|domain example.com|billing@stripe.com|");
}

static void
every_message_needs_no_line(void **state)
{
    (void)state;
    struct explanation x;
    struct facts *f = an_invoice();
    struct meta meta = {0};
    struct rule rule = {.enabled = true};
    explain(&x, &rule, f, &meta, NOW);
    assert_int_equal(x.n, 0);
    explanation_free(&x);
    facts_free(f);
}

static void
a_regex_that_took_too_long_says_so(void **state)
{
    (void)state;
    struct facts *f = an_invoice();
    struct buf long_text = {0};
    for (int i = 0; i < 20000; i++)
        buf_addc(&long_text, 'a');
    buf_addc(&long_text, '!');
    set(&f->subject, buf_str(&long_text));
    buf_free(&long_text);
    struct meta meta = {0};
    struct rule rule = {
        .match = on(FIELD_SUBJECT, "subject", TEST_REGEX, "^(a+)+$"), .enabled = true};
    struct explanation x;
    explain(&x, &rule, f, &meta, NOW);
    assert_int_equal(x.n, 1);
    assert_false(x.v[0].holds);
    assert_string_equal(x.v[0].found, "took too long, so the rule does not match");
    explanation_free(&x);
    cond_free(rule.match);
    facts_free(f);
}

static void
sizes_are_told_as_people_say_them(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0B"}, {1023, "1023B"}, {1024, "1K"}, {1536, "1.5K"}, {30436, "30K"},
        {3 << 20, "3M"}, {(uint64_t)1 << 30, "1G"}, {(uint64_t)5000 << 30, "5000G"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = {0};
        explain_size(&b, cases[i].bytes);
        assert_string_equal(buf_str(&b), cases[i].text);
        buf_free(&b);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_condition_tells_what_it_wanted_and_found),
        cmocka_unit_test(a_header_is_named_in_what_is_wanted),
        cmocka_unit_test(of_several_addresses_the_one_that_counted_is_told),
        cmocka_unit_test(a_list_of_values_is_one_line),
        cmocka_unit_test(groups_are_told_with_what_is_below_them),
        cmocka_unit_test(the_parts_of_a_rule_stand_side_by_side),
        cmocka_unit_test(a_condition_that_is_turned_round_is_one_line_and_captures_nothing),
        cmocka_unit_test(every_message_needs_no_line),
        cmocka_unit_test(a_regex_that_took_too_long_says_so),
        cmocka_unit_test(sizes_are_told_as_people_say_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
