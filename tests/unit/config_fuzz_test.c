/* config: the corpus of the fuzz target, replayed: whole, and cut at every byte. */
#include "../fuzz/config_yaml.c"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define CORPUS "tests/fuzz/corpus/config_yaml"

static struct buf
file_content(const char *name)
{
    struct buf b = {0};
    char *path = xasprintf("%s/%s", CORPUS, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        buf_addc(&b, (char)c);
    fclose(file);
    free(path);
    return b;
}

static void
the_corpus_is_harmless(void **state)
{
    (void)state;
    size_t files = 0;
    DIR *folder = opendir(CORPUS);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        struct buf b = file_content(entry->d_name);
        for (size_t n = 0; n <= b.n; n++)
            LLVMFuzzerTestOneInput((const uint8_t *)buf_str(&b), n);
        buf_free(&b);
        files++;
    }
    closedir(folder);
    assert_true(files >= 15);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_corpus_is_harmless)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
