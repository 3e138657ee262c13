/* rule: wildcards on file names and types. */
#include "base/buf.h"
#include "rule/glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    const char *pattern;
    const char *name;
    bool want;
} table[] = {
    {"*.pdf", "invoice.pdf", true},
    {"*.pdf", "INVOICE.PDF", true},
    {"*.PDF", "invoice.pdf", true},
    {"*.pdf", "invoice.pdf.exe", false},
    {"*.pdf", ".pdf", true},
    {"*.pdf", "a/b.pdf", true},
    {"invoice*", "Invoice 2026-17.pdf", true},
    {"*", "", true},
    {"", "", true},
    {"", "a", false},
    {"?", "", false},
    {"?", "\xC3\xA9", true},
    {"?", "ab", false},
    {"r?sum?.*", "r\xC3\xA9sum\xC3\xA9.doc", true},
    {"R\xC3\x89SUM\xC3\x89", "r\xC3\xA9sum\xC3\xA9", true},
    {"\xD1\x81\xD1\x87\xD1\x91\xD1\x82*", "\xD0\xA1\xD0\xA7\xD0\x81\xD0\xA2.pdf", true},
    {"\xC5\xBC*", "\xC5\xBB\xC3\xB3\xC5\x82w", true},
    {"*a*b*c", "xxaxxbxxc", true},
    {"*a*b*c", "xxaxxcxxb", false},
    {"a*a", "a", false},
    {"a*a", "aa", true},
    {"**a", "a", true},
    {"[abc].txt", "b.txt", true},
    {"[abc].txt", "B.txt", true},
    {"[abc].txt", "d.txt", false},
    {"[a-c]x", "bx", true},
    {"[A-C]x", "bx", true},
    {"[!a-c]x", "dx", true},
    {"[^a-c]x", "bx", false},
    {"[]]x", "]x", true},
    {"[]-]x", "-x", true},
    {"[a-]x", "-x", true},
    {"[\xC3\xA0-\xC3\xBF]x", "\xC3\x89x", true},
    {"[abc", "[abc", true},
    {"[abc", "a", false},
    {"*[12].csv", "part2.csv", true},
    {"*[12].csv", "part12.csv", true},
    {"\\*", "*", true},
    {"\\*", "a", false},
    {"[\\]]", "]", true},
    {"a\\", "a\\", true},
    {"image/*", "image/png", true},
    {"image/*", "application/image/png", false},
};

static void
names_match_as_in_a_shell_but_in_any_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (glob_matches(table[i].pattern, table[i].name) != table[i].want)
            fail_msg("'%s' on '%s' is not %d", table[i].pattern, table[i].name, table[i].want);
}

/* Gone back to for every star, this would not end before the universe does. */
static void
many_stars_on_a_long_name_end(void **state)
{
    (void)state;
    struct buf name = {0};
    for (int i = 0; i < 16 * 1024; i++)
        buf_addc(&name, 'a');
    assert_false(glob_matches("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", buf_str(&name)));
    assert_true(glob_matches("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a", buf_str(&name)));
    buf_free(&name);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_match_as_in_a_shell_but_in_any_case),
        cmocka_unit_test(many_stars_on_a_long_name_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
