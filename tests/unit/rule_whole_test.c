/* rule: the text, the attachments and the trusted server's word; and what can be known of them
 * before the whole message is there. */
#include "rule_make.h"

#include "base/buf.h"
#include "rule/match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char text[] = "Dear Ann,\n"
                           "your code is 123456.\n"
                           "Total:   23.50 EUR\n"
                           "-- \n"
                           "approved\n";

static const struct {
    const char *part, *name, *type;
    uint64_t size;
    bool is_inline;
} attachments[] = {
    {"2", "Invoice 17.PDF", "application/pdf", 30436, false},
    {"3", "logo.png", "image/png", 900, true},
    {"4", "", "message/rfc822", 5000, false},
    {"5", "scan.png", "image/png", 70000, false},
};

static const struct {
    const char *result, *domain;
} signatures[] = {{"fail", "evil.example"}, {"pass", "Mail.Example.COM"}};

static void
put(char **to, const char *value)
{
    free(*to);
    *to = xstrdup(value);
}

static struct facts *
header_facts(void)
{
    struct facts *f = facts_new();
    put(&f->subject, "Invoice 4711 of ACME");
    put(&f->auth.authserv, "mx.example.com");
    put(&f->auth.spf, "softfail");
    put(&f->auth.dmarc, "pass");
    f->auth.n_dkim = sizeof signatures / sizeof *signatures;
    f->auth.dkim = xcalloc(f->auth.n_dkim, sizeof *f->auth.dkim);
    for (size_t i = 0; i < f->auth.n_dkim; i++)
        f->auth.dkim[i] =
            (struct auth_dkim){xstrdup(signatures[i].result), xstrdup(signatures[i].domain)};
    return f;
}

static struct facts *
whole_facts(void)
{
    struct facts *f = header_facts();
    f->whole = true;
    put(&f->text, text);
    f->n_attachments = sizeof attachments / sizeof *attachments;
    f->attachments = xcalloc(f->n_attachments, sizeof *f->attachments);
    for (size_t i = 0; i < f->n_attachments; i++) {
        f->attachments[i].size = attachments[i].size;
        f->attachments[i].is_inline = attachments[i].is_inline;
        f->attachments[i].part = xstrdup(attachments[i].part);
        f->attachments[i].name = xstrdup(attachments[i].name);
        f->attachments[i].type = xstrdup(attachments[i].type);
    }
    return f;
}

/* Frees both. */
static void
try_on(struct facts *f, struct cond *match, struct hits *hits)
{
    struct rule rule = {.match = match, .enabled = true};
    const struct ruleset rules = {&rule, 1};
    size_t first = 0;
    const struct plan plan = {&first, 1};
    const struct meta meta = {.size = 5000};
    cond_sort(match);
    match_rules(&rules, &plan, f, &meta, 0, hits);
    assert_true(hits->n + hits->n_open <= 1);
    cond_free(match);
    facts_free(f);
}

/* "match name=value", "no" or "open". */
static const char *
outcome(struct facts *f, struct cond *match)
{
    static struct buf b;
    struct hits hits;
    buf_free(&b);
    try_on(f, match, &hits);
    buf_adds(&b, hits.n == 1 ? hits.v[0].match : hits.n_open == 1 ? "open" : "no");
    for (size_t i = 0; hits.n == 1 && i < hits.v[0].n_captures; i++)
        buf_addf(&b, " %s=%s", hits.v[0].captures[i].name, hits.v[0].captures[i].value);
    assert_int_equal(hits.notes.n, 0);
    hits_free(&hits);
    return buf_str(&b);
}

static bool
matches(struct cond *match)
{
    return strcmp(outcome(whole_facts(), match), "no") != 0;
}

static void
the_text_is_searched_line_by_line(void **state)
{
    (void)state;
    assert_string_equal(
        outcome(whole_facts(), make_body("\\b(?<code>\\d{6})\\b")), "123456 code=123456");
    assert_string_equal(
        outcome(whole_facts(), make_body("^\\s*(approved|no)$")), "approved 1=approved");
    assert_string_equal(outcome(whole_facts(), make_body("total:?\\s+(?<sum>[\\d.,]+)")),
        "Total:   23.50 sum=23.50");
    assert_false(matches(make_body("^code")));
    assert_false(matches(make_body("Ann,.*code")));
}

static void
what_is_found_over_lines_leaves_as_one(void **state)
{
    (void)state;
    assert_string_equal(outcome(whole_facts(), make_body("(?s)ann,(?<rest>.*?)123")),
        "Ann, your code is 123 rest=your code is");
    /* and is bounded */
    struct facts *f = whole_facts();
    struct buf b = {0};
    while (b.n < 100000)
        buf_adds(&b, "\xE2\x82\xAC");
    put(&f->text, buf_str(&b));
    buf_free(&b);
    struct hits hits;
    try_on(f, make_body("(.+)"), &hits);
    assert_int_equal(hits.n, 1);
    assert_true(strlen(hits.v[0].match) > HIT_VALUE_MAX - 3);
    assert_true(strlen(hits.v[0].captures[0].value) <= HIT_VALUE_MAX);
    assert_int_equal(strlen(hits.v[0].match) % 3, 0);
    hits_free(&hits);
}

static struct cond *
attachment(const char *name, const char *type, uint64_t larger, unsigned count)
{
    struct cond *c = make_attachment(name);
    c->attachment.type = type != NULL ? xstrdup(type) : NULL;
    c->attachment.larger = larger;
    c->attachment.count = count;
    return c;
}

static void
attachments_are_looked_for(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *type;
        uint64_t larger;
        unsigned count;
        bool want;
    } table[] = {
        {NULL, NULL, 0, 0, true},
        {"*.pdf", NULL, 0, 0, true},
        {"*.doc", NULL, 0, 0, false},
        {"invoice *", "application/*", 0, 0, true},
        {"*.pdf", "image/*", 0, 0, false}, /* of one attachment */
        {NULL, "IMAGE/PNG", 0, 0, true},
        {NULL, NULL, 69999, 0, true},
        {NULL, NULL, 70000, 0, false},
        {NULL, "image/*", 900, 0, true},
        {NULL, NULL, 0, 4, true},
        {NULL, NULL, 0, 5, false},
        {NULL, "image/*", 0, 2, true},
        {NULL, "image/*", 900, 2, false},
        {"", NULL, 0, 0, true},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (int negated = 0; negated < 2; negated++) {
            struct cond *c =
                attachment(table[i].name, table[i].type, table[i].larger, table[i].count);
            c->negated = negated;
            assert_int_equal(matches(c), table[i].want != (negated == 1));
        }
    struct facts *none = header_facts();
    none->whole = true;
    assert_string_equal(outcome(none, make_attachment(NULL)), "no");
}

static struct cond *
auth(const char *dkim, const char *domain, const char *spf, const char *dmarc)
{
    struct cond *c = cond_new(COND_AUTH);
    c->auth.dkim = dkim != NULL ? xstrdup(dkim) : NULL;
    c->auth.dkim_domain = domain != NULL ? xstrdup(domain) : NULL;
    c->auth.spf = spf != NULL ? xstrdup(spf) : NULL;
    c->auth.dmarc = dmarc != NULL ? xstrdup(dmarc) : NULL;
    return c;
}

static void
the_trusted_server_is_believed(void **state)
{
    (void)state;
    static const struct {
        const char *dkim, *domain, *spf, *dmarc;
        bool want;
    } table[] = {
        {"pass", NULL, NULL, NULL, true},
        {"PASS", NULL, NULL, NULL, true},
        {"fail", NULL, NULL, NULL, true},
        {"none", NULL, NULL, NULL, false},
        {"pass", "mail.example.com", NULL, NULL, true},
        {"pass", "example.com", NULL, NULL, false},
        {"pass", ".example.com", NULL, NULL, true},
        {"pass", "evil.example", NULL, NULL, false}, /* of one signature */
        {"fail", "evil.example", NULL, NULL, true},
        {NULL, "evil.example", NULL, NULL, true},
        {NULL, NULL, "softfail", NULL, true},
        {NULL, NULL, "pass", NULL, false},
        {NULL, NULL, NULL, "pass", true},
        {"pass", "mail.example.com", "softfail", "pass", true},
        {"pass", "mail.example.com", "pass", "pass", false},
        {"none", NULL, NULL, "pass", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(
            matches(auth(table[i].dkim, table[i].domain, table[i].spf, table[i].dmarc)),
            table[i].want);
    /* the header block says it */
    assert_string_equal(outcome(header_facts(), auth("pass", NULL, NULL, "pass")), "");
}

static void
nobody_trusted_is_nothing_said(void **state)
{
    (void)state;
    struct facts *f = facts_new();
    put(&f->auth.dmarc, "pass");
    assert_string_equal(outcome(f, auth(NULL, NULL, NULL, "pass")), "no");
    assert_string_equal(outcome(facts_new(), auth(NULL, NULL, NULL, NULL)), "no");
}

/* --- before the whole message is there --- */

static const char *
early(struct cond *match)
{
    return outcome(header_facts(), match);
}

static struct cond *
yes(void)
{
    return make_subject("(?<y>acme)");
}

static struct cond *
no(void)
{
    return make_subject("nothing");
}

static struct cond *
unknown(void)
{
    return make_body("(?<u>code)");
}

static void
headers_decide_what_they_can(void **state)
{
    (void)state;
    assert_string_equal(early(NULL), "");
    assert_string_equal(early(yes()), "ACME y=ACME");
    assert_string_equal(early(no()), "no");
    assert_string_equal(early(unknown()), "open");
    assert_string_equal(early(make_attachment(NULL)), "open");
    struct cond *none = make_attachment(NULL);
    none->negated = true;
    assert_string_equal(early(none), "open");
    assert_string_equal(early(make_not(unknown())), "open");
    assert_string_equal(early(make_group(COND_ALL, unknown(), no())), "no");
    assert_string_equal(early(make_group(COND_ALL, unknown(), yes())), "open");
    assert_string_equal(early(make_group(COND_ANY, unknown(), yes())), "ACME u= y=ACME");
    assert_string_equal(early(make_group(COND_ANY, unknown(), no())), "open");
    assert_string_equal(early(make_not(make_group(COND_ALL, unknown(), no()))), "");
    assert_string_equal(early(make_not(make_group(COND_ANY, unknown(), yes()))), "no");
    assert_string_equal(
        early(make_group(COND_ALL, no(), make_not(make_group(COND_ANY, unknown(), no())))), "no");
}

/* A part that is not certain leaves nothing behind in one that is. */
static void
captures_of_an_open_part_do_not_count(void **state)
{
    (void)state;
    struct cond *half = make_group(COND_ALL, make_subject("(?<a>invoice)"), unknown());
    assert_string_equal(early(make_group(COND_ANY, half, yes())), "ACME a= u= y=ACME");
    half = make_group(COND_ALL, make_subject("(?<a>invoice)"), unknown());
    assert_string_equal(
        outcome(whole_facts(), make_group(COND_ALL, half, yes())), "code a=Invoice u=code y=ACME");
}

/* Both cost the same, so the open one is tried first. */
static void
captures_of_an_open_alternative_do_not_count(void **state)
{
    (void)state;
    struct cond *half = make_group(COND_ALL, make_subject("(?<a>invoice)"), unknown());
    struct cond *sure = make_group(COND_ANY, yes(), make_body("(?<v>x)"));
    assert_string_equal(early(make_group(COND_ANY, half, sure)), "ACME a= u= y=ACME v=");
}

static struct facts *
facts_with_a_subject_of_many(char c)
{
    struct facts *f = header_facts();
    struct buf b = {0};
    for (int i = 0; i < 10000; i++)
        buf_addc(&b, c);
    put(&f->subject, buf_str(&b));
    buf_free(&b);
    return f;
}

static void
a_limit_closes_a_rule_that_was_open(void **state)
{
    (void)state;
    struct cond *half = make_group(COND_ALL, make_subject("a"), unknown());
    struct cond *slow = make_group(COND_ALL, make_subject("(?:a+)+[0-9]"), make_body("v"));
    struct hits hits;
    try_on(facts_with_a_subject_of_many('a'), make_group(COND_ANY, half, slow), &hits);
    assert_int_equal(hits.n + hits.n_open, 0);
    assert_int_equal(hits.notes.n, 1);
    hits_free(&hits);
}

/* What would hit a limit in the text is not tried when something cheaper decides. */
static void
the_text_is_tried_last(void **state)
{
    (void)state;
    static const char *const ends[] = {"nothing", "acme"};
    for (int any = 0; any < 2; any++) {
        struct facts *f = whole_facts();
        struct buf b = {0};
        for (int i = 0; i < 50000; i++)
            buf_addc(&b, 'a');
        put(&f->text, buf_str(&b));
        buf_free(&b);
        struct cond *slow = make_group(COND_ALL, make_body("(?:a+)+[0-9]"), make_attachment(NULL));
        struct cond *c = make_group(any ? COND_ANY : COND_ALL, slow, make_subject(ends[any]));
        assert_string_equal(outcome(f, c), any ? "ACME" : "no");
    }
}

static void
a_limit_in_the_text_is_noted(void **state)
{
    (void)state;
    struct facts *f = whole_facts();
    struct buf b = {0};
    for (int i = 0; i < FACTS_TEXT_MAX; i++)
        buf_addc(&b, '1');
    put(&f->text, buf_str(&b));
    buf_free(&b);
    struct hits hits;
    try_on(f, make_not(make_body("\\d+[.,]\\d\\d")), &hits);
    assert_int_equal(hits.n, 0);
    assert_int_equal(hits.n_open, 0);
    assert_int_equal(hits.notes.n, 1);
    assert_string_equal(
        hits.notes.v[0], "rules:7:1: key: match limit exceeded; the rule does not match");
    hits_free(&hits);
}

static void
who_needs_the_whole_message_says_so(void **state)
{
    (void)state;
    struct cond *trees[] = {unknown(), make_attachment("*"), make_not(unknown()),
        make_group(COND_ALL, yes(), make_group(COND_ANY, no(), make_attachment(NULL))), yes(),
        auth("pass", NULL, NULL, NULL), make_group(COND_ALL, NULL, NULL)};
    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
        assert_int_equal(cond_needs_whole(trees[i]), i < 4);
        cond_free(trees[i]);
    }
    assert_false(cond_needs_whole(NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_searched_line_by_line),
        cmocka_unit_test(what_is_found_over_lines_leaves_as_one),
        cmocka_unit_test(attachments_are_looked_for),
        cmocka_unit_test(the_trusted_server_is_believed),
        cmocka_unit_test(nobody_trusted_is_nothing_said),
        cmocka_unit_test(headers_decide_what_they_can),
        cmocka_unit_test(captures_of_an_open_part_do_not_count),
        cmocka_unit_test(captures_of_an_open_alternative_do_not_count),
        cmocka_unit_test(a_limit_closes_a_rule_that_was_open),
        cmocka_unit_test(the_text_is_tried_last),
        cmocka_unit_test(a_limit_in_the_text_is_noted),
        cmocka_unit_test(who_needs_the_whole_message_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
