/* mail: the corpus of the fuzzer tests/fuzz/mail_message.c, run as an ordinary test. */
#include "../fuzz/mail_message.c"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define CORPUS "tests/fuzz/corpus/mail_message"

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

/* Whole, and cut at every byte: a message may be cut anywhere. */
static void
the_corpus_keeps_the_promises(void **state)
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
            LLVMFuzzerTestOneInput((const uint8_t *)b.p, n);
        buf_free(&b);
        files++;
    }
    closedir(folder);
    assert_true(files >= 10);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_corpus_keeps_the_promises)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
