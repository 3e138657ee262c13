/* mail: Authentication-Results, RFC 8601, of servers that are trusted and of others. */
#include "mail/message.h"

#include "../facts_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define AR "Authentication-Results: "

static char *const names[] = {(char[]){"mx.example.org"}, (char[]){"in.example.org"}, NULL};
static const struct strv trusted = {(char **)(uintptr_t)names, 2};

/* "server dkim=result/domain … spf=result dmarc=result" */
static void
assert_says(const char *header, const char *want)
{
    struct buf got = {0};
    struct facts *f = message_facts(span_str(header), &trusted);
    facts_check(f);
    buf_adds(&got, f->auth.authserv);
    for (size_t i = 0; i < f->auth.n_dkim; i++)
        buf_addf(&got, " dkim=%s/%s", f->auth.dkim[i].result, f->auth.dkim[i].domain);
    if (f->auth.spf[0] != '\0')
        buf_addf(&got, " spf=%s", f->auth.spf);
    if (f->auth.dmarc[0] != '\0')
        buf_addf(&got, " dmarc=%s", f->auth.dmarc);
    assert_string_equal(buf_str(&got), want);
    buf_free(&got);
    facts_free(f);
}

static void
results_are_read(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {AR "mx.example.org; spf=pass", "mx.example.org spf=pass"},
        {AR "MX.Example.ORG; SPF=Pass", "mx.example.org spf=pass"},
        {AR "mx.example.org 1; spf=pass", "mx.example.org spf=pass"},
        {AR "\"mx.example.org\"; spf=pass", "mx.example.org spf=pass"},
        {AR "(a (nested) comment; x) mx.example.org (v) 1 (w) ; (x) spf (y) = (z) pass (t)",
            "mx.example.org spf=pass"},
        {AR "mx.example.org; dkim=pass header.d=Example.COM header.s=s header.b=\"a=;b\"",
            "mx.example.org dkim=pass/example.com"},
        {AR "mx.example.org; dkim=pass header.i=joe@example.com",
            "mx.example.org dkim=pass/example.com"},
        {AR "mx.example.org; dkim=pass header.i=@x.com header.d=y.com",
            "mx.example.org dkim=pass/y.com"},
        {AR "mx.example.org; dkim=fail (bad) header.d=a.com;\r\n dkim/1=pass header.d=b.com; "
            "dmarc=none",
            "mx.example.org dkim=fail/a.com dkim=pass/b.com dmarc=none"},
        {AR "mx.example.org; dkim=pass", "mx.example.org dkim=pass/"},
        {AR "mx.example.org; iprev=pass; spf=softfail smtp.mailfrom=a;",
            "mx.example.org spf=softfail"},
        {AR "mx.example.org; none", ""},
        {AR "mx.example.org", ""},
        {AR "", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_says(table[i][0], table[i][1]);
}

static void
nothing_inside_quotes_or_comments_is_a_result(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {AR "mx.example.org; spf=fail reason=\"x; spf=pass; dkim=pass header.d=a.com\"",
            "mx.example.org spf=fail"},
        {AR "mx.example.org; spf=fail (x; dkim=pass header.d=a.com)", "mx.example.org spf=fail"},
        {AR "mx.example.org; spf=fail (\\); dkim=pass)", "mx.example.org spf=fail"},
        {AR "mx.example.org; spf=fail (not closed; dkim=pass", "mx.example.org spf=fail"},
        {AR "mx.example.org; spf=fail smtp.mailfrom=\"a\\\"; dkim=pass\"@x.com",
            "mx.example.org spf=fail"},
        {AR "mx.example.org; dkim=pass header.d=\"a b\"", "mx.example.org dkim=pass/"},
        {AR "mx.example.org; spf=\"pass fail\"", ""},
        {AR "(mx.example.org; spf=pass)", ""},
        {AR "mx.example.org; spf=fail; spf=pass", "mx.example.org spf=fail"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_says(table[i][0], table[i][1]);
}

static void
only_the_trusted_on_top_count(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {AR "evil.example; spf=pass\n", ""},
        {AR "mx.example.org.evil.example; spf=pass\n", ""},
        {AR "spf=pass smtp.mailfrom=x\n", ""},
        {AR "evil.example; spf=fail\n" AR "mx.example.org; spf=pass\n", ""},
        {AR "mx.example.org; spf=pass\n" AR "evil.example; dkim=fail\n" AR
            "mx.example.org; dkim=pass header.d=a.com\n",
            "mx.example.org spf=pass"},
        {AR "mx.example.org; spf=pass\n" AR "in.example.org; dkim=pass header.d=a.com\n",
            "mx.example.org dkim=pass/a.com spf=pass"},
        {"Received: x\n" AR "mx.example.org; spf=pass\n", "mx.example.org spf=pass"},
        {AR "mx.example.org; spf=pass\nDKIM-Filter: x\n" AR "mx.example.org; dmarc=pass\n",
            "mx.example.org spf=pass dmarc=pass"},
        {AR "mx.example.org; spf=pass\nReceived: x\n" AR "mx.example.org; dmarc=pass\n",
            "mx.example.org spf=pass"},
        {AR "mx.example.org; none\nReceived: x\n" AR "mx.example.org; spf=pass\n", ""},
        {"ARC-" AR "i=1; mx.example.org; spf=pass\n", ""},
        {"X-" AR "mx.example.org; spf=pass\n", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_says(table[i][0], table[i][1]);
}

static void
nobody_is_trusted_by_default(void **state)
{
    (void)state;
    struct strv nobody = {0};
    struct facts *f = message_facts(SPAN(AR "mx.example.org; spf=pass"), NULL);
    assert_string_equal(f->auth.spf, "");
    facts_free(f);
    f = message_facts(SPAN(AR "mx.example.org; spf=pass"), &nobody);
    assert_string_equal(f->auth.spf, "");
    facts_free(f);
}

static void
signatures_are_capped(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_adds(&b, AR "mx.example.org");
    for (int i = 0; i < 1000; i++)
        buf_adds(&b, ";dkim=pass");
    struct facts *f = message_facts(buf_span(&b), &trusted);
    facts_check(f);
    assert_int_equal(f->auth.n_dkim, FACTS_DKIM_MAX);
    facts_free(f);
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_read),
        cmocka_unit_test(nothing_inside_quotes_or_comments_is_a_result),
        cmocka_unit_test(only_the_trusted_on_top_count),
        cmocka_unit_test(nobody_is_trusted_by_default),
        cmocka_unit_test(signatures_are_capped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
