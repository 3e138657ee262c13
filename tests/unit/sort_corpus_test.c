/* sort: the corpus of the fuzz target, replayed: whole, cut at every byte, and with every byte
 * damaged. */
#include "../fuzz/sort_wire.c"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct buf
file_content(const char *path)
{
    struct buf b = {0};
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        buf_addc(&b, (char)c);
    fclose(file);
    return b;
}

static void
damage_every_byte(struct buf *b)
{
    static const char damage[] = {0x01, (char)0xFF};
    for (size_t i = 0; i < b->n; i++)
        for (size_t k = 0; k < sizeof damage; k++) {
            b->p[i] ^= damage[k];
            LLVMFuzzerTestOneInput((const uint8_t *)b->p, b->n);
            b->p[i] ^= damage[k];
        }
}

static void
the_corpus_is_harmless_whole_cut_and_damaged(void **state)
{
    (void)state;
    glob_t seeds;
    size_t frames = 0;
    assert_int_equal(glob("tests/fuzz/corpus/sort_wire/*", 0, NULL, &seeds), 0);
    for (size_t i = 0; i < seeds.gl_pathc; i++) {
        struct buf b = file_content(seeds.gl_pathv[i]);
        struct frame f;
        frames += wire_take_frame(buf_span(&b), &f) == 1;
        for (size_t n = 0; n <= b.n; n++)
            LLVMFuzzerTestOneInput((const uint8_t *)buf_str(&b), n);
        damage_every_byte(&b);
        buf_free(&b);
    }
    globfree(&seeds);
    assert_true(frames >= WIRE_KINDS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_is_harmless_whole_cut_and_damaged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
