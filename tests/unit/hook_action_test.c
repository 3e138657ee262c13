/* hook/action: flags as servers take them, and lists of actions as bytes. */
#include "hook/action.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
flags_are_what_servers_take(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        const char *want;
    } table[] = {
        {"seen", "\\Seen"},
        {"\\Seen", "\\Seen"},
        {"SEEN", "\\Seen"},
        {"\\sEEN", "\\Seen"},
        {"answered", "\\Answered"},
        {"flagged", "\\Flagged"},
        {"\\DELETED", "\\Deleted"},
        {"draft", "\\Draft"},
        {"$Label1", "$Label1"},
        {"processed", "processed"},
        {"a-b_c.d/e:f!g~h", "a-b_c.d/e:f!g~h"},
        {"seen2", "seen2"},
        {"recent", "recent"},
        {"", NULL},
        {"\\", NULL},
        {"\\Recent", NULL},
        {"\\recent", NULL},
        {"\\Foo", NULL},
        {"\\*", NULL},
        {"\\\\Seen", NULL},
        {"a b", NULL},
        {" seen", NULL},
        {"a\r\nb", NULL},
        {"a\tb", NULL},
        {"a\x7F", NULL},
        {"Entwürfe", NULL},
        {"a(", NULL},
        {")", NULL},
        {"{3}", NULL},
        {"a]", NULL},
        {"a%", NULL},
        {"a*", NULL},
        {"a\"", NULL},
        {"a\\b", NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct err e = {0};
        char *flag = action_flag(table[i].word, &e);
        if (table[i].want != NULL) {
            assert_string_equal(flag, table[i].want);
        } else {
            assert_null(flag);
            assert_int_equal(e.kind, ERR_USAGE);
        }
        free(flag);
    }
}

static void
a_keyword_has_at_most_128_bytes(void **state)
{
    (void)state;
    char word[130];
    struct err e;
    memset(word, 'x', sizeof word);
    word[128] = '\0';
    char *flag = action_flag(word, &e);
    assert_string_equal(flag, word);
    free(flag);
    word[128] = 'x';
    word[129] = '\0';
    assert_null(action_flag(word, &e));
    assert_non_null(strstr(e.text, "128"));
    assert_null(action_flag(word, NULL));
}

static void
a_refusal_shows_no_control_characters(void **state)
{
    (void)state;
    struct err e;
    assert_null(action_flag("a\033[2Jb", &e));
    assert_string_equal(e.text, "'a\\e[2Jb': a keyword is ASCII without spaces, controls and "
                                "( ) { ] % * \" \\");
    assert_null(action_flag("\\Recent", &e));
    assert_string_equal(e.text, "'\\Recent': only the server sets it");
}

static void
fill(struct actions *a)
{
    struct strv run = {0};
    strv_add(&run, "notify");
    strv_add(&run, "{hook_status}");
    strv_add(&run, "");
    actions_add(a, (struct action){.kind = ACTION_FLAG, .text = xstrdup("\\Seen")});
    actions_add(a, (struct action){.kind = ACTION_UNFLAG, .text = xstrdup("$todo")});
    actions_add(a, (struct action){.kind = ACTION_COPY, .text = xstrdup("Rück/schau")});
    actions_add(a, (struct action){.kind = ACTION_MOVE, .text = xstrdup("Done")});
    actions_add(a, (struct action){.kind = ACTION_DELETE});
    actions_add(a, (struct action){.kind = ACTION_RUN, .run = run});
    actions_add(a, (struct action){.kind = ACTION_SH, .text = xstrdup("echo \"$x\"")});
}

static void
assert_same(const struct actions *a, const struct actions *b)
{
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        assert_int_equal(a->v[i].kind, b->v[i].kind);
        assert_int_equal(a->v[i].text == NULL, b->v[i].text == NULL);
        if (a->v[i].text != NULL)
            assert_string_equal(a->v[i].text, b->v[i].text);
        assert_int_equal(a->v[i].run.n, b->v[i].run.n);
        for (size_t k = 0; k < a->v[i].run.n; k++)
            assert_string_equal(a->v[i].run.v[k], b->v[i].run.v[k]);
    }
}

static void
a_list_is_copied_packed_and_comes_back(void **state)
{
    (void)state;
    struct actions a = {0};
    struct actions copy = {0};
    struct actions back = {0};
    struct buf b = {0};
    fill(&a);
    actions_copy(&copy, &a);
    assert_same(&a, &copy);
    actions_free(&a);
    assert_int_equal(a.n, 0);
    actions_pack(&b, &copy);
    struct unpack u = {buf_span(&b), false};
    actions_unpack(&u, &back);
    assert_true(unpack_whole(&u));
    assert_same(&back, &copy);
    actions_copy(&back, &copy);
    assert_int_equal(back.n, 14);
    actions_free(&copy);
    actions_free(&back);
    actions_free(&back);
    buf_free(&b);
}

static void
an_empty_list_comes_back_empty(void **state)
{
    (void)state;
    const struct actions none = {0};
    struct actions back = {0};
    struct buf b = {0};
    actions_pack(&b, &none);
    struct unpack u = {buf_span(&b), false};
    actions_unpack(&u, &back);
    assert_true(unpack_whole(&u));
    assert_int_equal(back.n, 0);
    buf_free(&b);
}

static void
what_no_action_can_be_is_broken(void **state)
{
    (void)state;
    static const struct {
        uint64_t kind;
        const char *text;
        const char *run;
    } table[] = {
        {7, "x", NULL},
        {UINT64_C(1) << 32, "\\Seen", NULL},
        {ACTION_FLAG, NULL, NULL},
        {ACTION_FLAG, "seen", NULL}, /* not as a server wants it */
        {ACTION_FLAG, "a) UID EXPUNGE (", NULL},
        {ACTION_UNFLAG, "\\Recent", NULL},
        {ACTION_UNFLAG, "ok", "run"},
        {ACTION_MOVE, NULL, NULL},
        {ACTION_MOVE, "", NULL},
        {ACTION_COPY, "\xFF", NULL},
        {ACTION_DELETE, "x", NULL},
        {ACTION_DELETE, NULL, "x"},
        {ACTION_RUN, NULL, NULL},
        {ACTION_RUN, "x", "x"},
        {ACTION_SH, NULL, NULL},
        {ACTION_SH, "x", "x"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf b = {0};
        struct strv run = {0};
        struct actions back = {0};
        if (table[i].run != NULL)
            strv_add(&run, table[i].run);
        pack_number(&b, 2);
        pack_number(&b, ACTION_SH);
        pack_str(&b, "sound");
        pack_strv(&b, &(struct strv){0});
        pack_number(&b, table[i].kind);
        pack_str(&b, table[i].text);
        pack_strv(&b, &run);
        struct unpack u = {buf_span(&b), false};
        actions_unpack(&u, &back);
        assert_true(u.broken);
        assert_int_equal(back.n, 0);
        strv_free(&run);
        buf_free(&b);
    }
}

static void
a_count_without_actions_is_broken(void **state)
{
    (void)state;
    struct buf b = {0};
    struct actions back = {0};
    pack_number(&b, UINT64_C(1) << 60);
    struct unpack u = {buf_span(&b), false};
    actions_unpack(&u, &back);
    assert_true(u.broken);
    assert_null(back.v);
    buf_free(&b);
}

static void
kinds_have_names_and_a_place(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool mailbox;
    } table[] = {
        [ACTION_FLAG] = {"flag", true},
        [ACTION_UNFLAG] = {"unflag", true},
        [ACTION_MOVE] = {"move", true},
        [ACTION_COPY] = {"copy", true},
        [ACTION_DELETE] = {"delete", true},
        [ACTION_RUN] = {"run", false},
        [ACTION_SH] = {"sh", false},
    };
    for (int kind = ACTION_FLAG; kind <= ACTION_SH; kind++) {
        const struct action a = {.kind = (enum action_kind)kind};
        assert_string_equal(action_name(a.kind), table[kind].name);
        assert_int_equal(action_is_for_mailbox(&a), table[kind].mailbox);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_are_what_servers_take),
        cmocka_unit_test(a_keyword_has_at_most_128_bytes),
        cmocka_unit_test(a_refusal_shows_no_control_characters),
        cmocka_unit_test(a_list_is_copied_packed_and_comes_back),
        cmocka_unit_test(an_empty_list_comes_back_empty),
        cmocka_unit_test(what_no_action_can_be_is_broken),
        cmocka_unit_test(a_count_without_actions_is_broken),
        cmocka_unit_test(kinds_have_names_and_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
