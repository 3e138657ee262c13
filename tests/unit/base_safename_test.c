/* base/safename: names that strangers give to files. */
#include "base/mem.h"
#include "base/safename.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void
check(const char *wanted, const struct strv *taken, const char *expected)
{
    struct buf b = {0};
    safename(&b, wanted, taken);
    assert_string_equal(buf_str(&b), expected);
    buf_free(&b);
}

static void
only_a_harmless_last_part_is_left(void **state)
{
    (void)state;
    static const struct {
        const char *wanted;
        const char *expected;
    } table[] = {
        {"invoice.pdf", "invoice.pdf"},
        {"Rechnung März 2026.pdf", "Rechnung März 2026.pdf"},
        {"report .pdf", "report .pdf"},
        {"/etc/passwd", "passwd"},
        {"../../.ssh/authorized_keys", "authorized_keys"},
        {"C:\\fakepath\\x.docx", "x.docx"},
        {"..\\..\\x", "x"},
        {"a/", "attachment-1"},
        {"", "attachment-1"},
        {".", "attachment-1"},
        {"..", "attachment-1"},
        {" .-. ", "attachment-1"},
        {"\xE2\x80\xAE", "attachment-1"},
        {".bashrc", "bashrc"},
        {"-rf", "rf"},
        {"--help", "help"},
        {"-.- x", "x"},
        {"\xE2\x80\x8B-x", "x"},
        {"\xE2\x80\x8B .x \xE2\x80\x8F", "x"},
        {"a\nb\tc\033[2J.txt", "a b c [2J.txt"},
        {"a\xC2\x9Fz", "a z"},
        {"\n-x\n", "x"},
        {"fdp.\xE2\x80\xAE"
         "exe",
            "fdp.exe"},
        {"bad \xFF\xC3.txt", "bad \xEF\xBF\xBD\xEF\xBF\xBD.txt"},
        {"$(id) `id` \"'*?;|&<>", "$(id) `id` \"'*?;|&<>"},
        {"\xF0\x9F\x93\xAC.eml", "\xF0\x9F\x93\xAC.eml"},
    };
    static const struct strv none = {0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        check(table[i].wanted, &none, table[i].expected);
}

static void
a_name_that_is_taken_is_numbered_before_its_extension(void **state)
{
    (void)state;
    static const struct {
        const char *wanted;
        const char *expected;
    } table[] = {
        {"a.pdf", "a.pdf"},
        {"a.pdf", "a-2.pdf"},
        {"b/A.PDF", "A-3.PDF"},
        {"a-5.pdf", "a-5.pdf"},
        {"a.pdf", "a-4.pdf"},
        {"a.pdf", "a-6.pdf"},
        {"a-2.pdf", "a-2-2.pdf"},
        {"a", "a"},
        {"a", "a-2"},
        {"", "attachment-1"},
        {"..", "attachment-2"},
        {"attachment-3", "attachment-3"},
        {"Attachment-4", "Attachment-4"},
        {"-", "attachment-5"},
        {"x.tar.gz", "x.tar.gz"},
        {"x.tar.gz", "x.tar-2.gz"},
        {"y.", "y."},
        {"y.", "y.-2"},
        {"z.an extension that is none", "z.an extension that is none"},
        {"z.an extension that is none", "z.an extension that is none-2"},
        {"n-99999999999999999999.x", "n-99999999999999999999.x"},
        {"n.x", "n.x"},
        {"n.x", "n-2.x"},
    };
    struct strv taken = {0};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        check(table[i].wanted, &taken, table[i].expected);
        strv_add(&taken, table[i].expected);
    }
    strv_free(&taken);
}

static char *
repeat(const char *s, size_t times, const char *end)
{
    struct buf b = {0};
    while (times-- > 0)
        buf_adds(&b, s);
    buf_adds(&b, end);
    return buf_take(&b);
}

static void
a_long_name_keeps_its_extension_and_whole_characters(void **state)
{
    (void)state;
    char *wanted = repeat("\xE2\x82\xAC", 1000, ".pdf");
    char *first = repeat("\xE2\x82\xAC", 38, ".pdf");
    char *second = repeat("\xE2\x82\xAC", 35, "-2.pdf");
    char *bare = repeat("x", SAFENAME_MAX + 1, "");
    char *cut = repeat("x", SAFENAME_MAX, "");
    struct strv taken = {0};
    check(wanted, &taken, first);
    strv_take(&taken, first);
    check(wanted, &taken, second);
    check(bare, &taken, cut);
    free(wanted);
    free(second);
    free(bare);
    free(cut);
    strv_free(&taken);
}

/* Whatever comes, and however often. */
static void
any_bytes_give_a_new_safe_name(void **state)
{
    (void)state;
    static const char alphabet[] = "ab.-/\\ \n\xC3\xA9\xFF\xE2\x80\xAE"
                                   "1";
    struct strv taken = {0};
    uint32_t seed = 7;
    for (int i = 0; i < 3000; i++) {
        char wanted[200];
        seed = seed * 1664525u + 1013904223u;
        size_t n = (seed >> 16) % (i % 2 == 0 ? 6 : sizeof wanted);
        for (size_t k = 0; k < n; k++) {
            seed = seed * 1664525u + 1013904223u;
            wanted[k] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        }
        wanted[n] = '\0';
        struct buf b = {0};
        safename(&b, wanted, &taken);
        assert_true(b.n > 0 && b.n <= SAFENAME_MAX && utf8_valid(buf_span(&b)));
        assert_true(b.p[0] != '.' && b.p[0] != '-' && b.p[0] != ' ');
        assert_null(strpbrk(b.p, "/\\\n"));
        for (size_t k = 0; k < taken.n; k++)
            assert_false(span_ieq(span_str(taken.v[k]), buf_span(&b)));
        strv_take(&taken, buf_take(&b));
    }
    strv_free(&taken);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_harmless_last_part_is_left),
        cmocka_unit_test(a_name_that_is_taken_is_numbered_before_its_extension),
        cmocka_unit_test(a_long_name_keeps_its_extension_and_whole_characters),
        cmocka_unit_test(any_bytes_give_a_new_safe_name),
    };
    return cmocka_run_group_tests_name("base_safename", tests, NULL, NULL);
}
