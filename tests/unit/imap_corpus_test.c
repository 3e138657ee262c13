/* imap: the corpus of the fuzz target plays as an ordinary test, under every choice of options. */
#include "../fuzz/imap_session.c"

#include "base/buf.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void
read_file(struct buf *b, const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n;
    do {
        n = fread(buf_room(b, 4096), 1, 4096, file);
        b->n += n;
        buf_end(b);
    } while (n > 0);
    fclose(file);
}

static void
every_seed_plays_under_every_option(void **state)
{
    (void)state;
    glob_t seeds;
    assert_int_equal(glob("tests/fuzz/corpus/imap_session/*", 0, NULL, &seeds), 0);
    for (size_t i = 0; i < seeds.gl_pathc; i++) {
        struct buf b = {0};
        read_file(&b, seeds.gl_pathv[i]);
        assert_true(b.n > 0);
        for (unsigned bits = 0; bits < 256; bits++) {
            b.p[0] = (char)bits;
            LLVMFuzzerTestOneInput((const uint8_t *)b.p, b.n);
        }
        buf_free(&b);
    }
    globfree(&seeds);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_seed_plays_under_every_option)};
    return cmocka_run_group_tests_name("imap_corpus", tests, NULL, NULL);
}
