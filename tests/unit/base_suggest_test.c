/* base/suggest: the nearest known word, or none. */
#include "base/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
typos_find_their_word(void **state)
{
    (void)state;
    struct strv known = {0};
    static const char *const words[] = {
        "on_success", "on_failure", "match", "run", "sh", "stdin", "timeout", "subject", "in"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        strv_add(&known, words[i]);
    static const char *const table[][2] = {{"on_sucess", "on_success"}, {"mtach", "match"},
        {"rnu", "run"}, {"sdtin", "stdin"}, {"suject", "subject"}, {"time_out", "timeout"},
        {"timeouts", "timeout"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *near = suggest(table[i][0], &known);
        assert_non_null(near);
        assert_string_equal(near, table[i][1]);
    }
    static const char *const none[] = {"", "x", "zzzz", "completely_different", "qq"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_null(suggest(none[i], &known));
    char huge[500];
    memset(huge, 'a', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    assert_null(suggest(huge, &known));
    strv_free(&known);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(typos_find_their_word)};
    return cmocka_run_group_tests_name("base_suggest", tests, NULL, NULL);
}
