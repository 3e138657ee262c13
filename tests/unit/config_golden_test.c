/* config: every tests/config/NAME.yaml is loaded, and NAME.want is what must be reported, byte for
 * byte. An empty NAME.want: the file loads and nothing is said. A report that holds only warnings
 * belongs to a file that loads. The texts of errors are an interface. */
#include "base/mem.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <glob.h>
#include <unistd.h>

#define FOLDER "tests/config"

static char *
file_content(const char *path)
{
    struct buf b = {0};
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("%s/%s is missing", FOLDER, path);
    for (int c; (c = fgetc(file)) != EOF;)
        buf_addc(&b, (char)c);
    fclose(file);
    return buf_take(&b);
}

/* The first line that differs, in both. */
static void
print_difference(const char *want, const char *got)
{
    unsigned line = 1;
    for (;;) {
        size_t w = strcspn(want, "\n");
        size_t g = strcspn(got, "\n");
        if (w != g || memcmp(want, got, w) != 0 || want[w] != got[g]) {
            print_error("line %u\n- %.*s\n+ %.*s\n", line, (int)w, want, (int)g, got);
            return;
        }
        if (want[w] == '\0')
            return;
        want += w + 1;
        got += g + 1;
        line++;
    }
}

static void
reports_what_is_wanted(void **state)
{
    const char *path = *state;
    char *wanted_path = xasprintf("%.*s.want", (int)(strlen(path) - strlen(".yaml")), path);
    char *want = file_content(wanted_path);
    struct buf got = {0};
    struct err e = {0};
    struct config *c = config_load(path, &got, &e);
    if (strcmp(want, buf_str(&got)) != 0) {
        print_difference(want, buf_str(&got));
        fail_msg(
            "%s/%s: the report is not what %s says:\n%s", FOLDER, path, wanted_path, buf_str(&got));
    }
    assert_int_equal(c == NULL, strstr(want, ": error: ") != NULL);
    assert_int_equal(e.kind, c == NULL ? ERR_CONFIG : ERR_NONE);
    config_free(c);
    buf_free(&got);
    free(want);
    free(wanted_path);
}

int
main(void)
{
    glob_t files;
    setenv("HOME", "/home/ann", 1);
    if (chdir(FOLDER) != 0 || glob("*.yaml", 0, NULL, &files) != 0 || files.gl_pathc < 60) {
        fprintf(stderr, "%s: too few files; run this in the root of the repository\n", FOLDER);
        return 1;
    }
    struct CMUnitTest *tests = xcalloc(files.gl_pathc, sizeof *tests);
    for (size_t i = 0; i < files.gl_pathc; i++)
        tests[i] = (struct CMUnitTest){.name = files.gl_pathv[i],
            .test_func = reports_what_is_wanted,
            .initial_state = files.gl_pathv[i]};
    int failed = _cmocka_run_group_tests(FOLDER, tests, files.gl_pathc, NULL, NULL);
    free(tests);
    globfree(&files);
    return failed;
}
