/* mail: values and parameters of MIME fields as senders write them. */
#include "mail/param.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
values_stand_before_the_parameters(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {" text/html; charset=x", "text/html"},
        {"text/html;charset=x", "text/html"},
        {"text/html charset=x", "text/html"},
        {"text/html(comment)", "text/html"},
        {"\r\n\tattachment", "attachment"},
        {"filename=x.pdf", ""},
        {"; x=y", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_true(span_eq(param_value(span_str(table[i][0])), span_str(table[i][1])));
}

static void
parameters_are_found_however_they_are_written(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        const char *want;
        const char *charset;
    } table[] = {
        {"a; name=x.pdf", "x.pdf", ""},
        {"a; NAME=x.pdf", "x.pdf", ""},
        {"a; other=y; name=\"x y.pdf\"; more=z", "x y.pdf", ""},
        {"a; name = \"x\"", "x", ""},
        {"a name=x", "x", ""},
        {"name=x", "x", ""},
        {"a; (comment) name=x", "x", ""},
        {"a; name=my file (1).pdf", "my file (1).pdf", ""},
        {"a; name=x other=y", "x", ""},
        {"a; name=\"x\" other=y", "x", ""},
        {"a; name=\"a \"b\" c\"; x=y", "a \"b\" c", ""},
        {"a; name=\"a\\\"b\\\\c\\d\"", "a\"b\\c\\d", ""},
        {"a; name=\"C:\\dir\\x.doc\"", "C:\\dir\\x.doc", ""},
        {"a; name=\"not closed; x=y", "not closed", ""},
        {"a; name=\"a;b\"", "a;b", ""},
        {"a; name=first; name=second", "first", ""},
        {"a; name==?utf-8?q?a=3Bb?=", "=?utf-8?q?a=3Bb?=", ""},
        /* RFC 2231 */
        {"a; name*=utf-8''a%20b", "a b", "utf-8"},
        {"a; name*=iso-8859-1'de'%E9", "\xE9", "iso-8859-1"},
        {"a; name*=\"utf-8''a%20b\"", "a b", "utf-8"},
        {"a; name*=a%20b", "a b", ""},
        {"a; name*=''a%20b", "a b", ""},
        {"a; name*=utf-8''a%2", "a%2", "utf-8"},
        {"a; name=plain; name*=utf-8''better", "better", "utf-8"},
        {"a; name*0=a; name*1=b", "ab", ""},
        {"a; name*1=b; name*0=a", "ab", ""},
        {"a; name*10=k; name*2=c; name*0=a", "ack", ""},
        {"a; name*1=a; name*2=b", "ab", ""},
        {"a; name*0*=utf-8''a%20; name*1=b%20; name*2*=%63", "a b%20c", "utf-8"},
        {"a; name*0*=utf-8''a; name*1*=utf-8''b", "ab", "utf-8"},
        {"a; name*0=a; name=plain", "a", ""},
        {"a; name=\"utf-8''a%20b\"", "a b", "utf-8"},
        {"a; name=\"it's 'quoted' 100%\"", "it's 'quoted' 100%", ""},
        /* none */
        {"a; names=x", "", ""},
        {"a; name", "", ""},
        {"a; name=", "", ""},
        {"a; name*x=y", "", ""},
        {"a; name*99999999999999=y", "", ""},
        {"", "", ""},
    };
    struct param p = {0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        bool found = param_find(span_str(table[i].field), "name", &p);
        assert_string_equal(buf_str(&p.bytes), table[i].want);
        assert_int_equal(found, table[i].want[0] != '\0');
        assert_true(span_eq(p.charset, span_str(table[i].charset)));
    }
    param_free(&p);
}

static void
a_word_ends_at_a_blank(void **state)
{
    (void)state;
    struct param p = {0};
    assert_true(param_find(SPAN("a; name=us-ascii (plain)"), "name", &p));
    assert_false(p.quoted);
    assert_true(span_eq(param_word(&p), SPAN("us-ascii")));
    assert_true(param_find(SPAN("a; name=\" b 1 \""), "name", &p));
    assert_true(p.quoted);
    param_free(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_stand_before_the_parameters),
        cmocka_unit_test(parameters_are_found_however_they_are_written),
        cmocka_unit_test(a_word_ends_at_a_blank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
