/* hook/letter: argv that mail cannot bend, and the environment of a run. */
#include "hook_sample.h"

#include "base/mem.h"
#include "hook/letter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
placeholders_fill_one_argument_and_never_split(void **state)
{
    (void)state;
    struct sample s;
    struct hook_opts opts = {0};
    sample_init(&s);
    s.facts.subject = TEXT("a b\n'c' \"d\" $(id) ; --x * {uid}");
    strv_add(&opts.run, "bin/{subject}");
    strv_add(&opts.run, "--");
    strv_add(&opts.run, "{subject}");
    strv_add(&opts.run, "{cc}");
    strv_add(&opts.run, "x={uid},{from_name}");
    struct letter *l = letter_write(&opts, &s.event);
    assert_int_equal(l->argv.n, 5);
    assert_string_equal(l->argv.v[0], "bin/{subject}"); /* the program is never mail's choice */
    assert_string_equal(l->argv.v[1], "--");
    assert_string_equal(l->argv.v[2], "a b 'c' \"d\" $(id) ; --x * {uid}");
    assert_string_equal(l->argv.v[3], "");
    assert_string_equal(l->argv.v[4], "x=4711,Stripe");
    assert_null(l->argv.v[5]);
    letter_free(l);
    hook_opts_free(&opts);
}

static void
a_shell_string_is_passed_as_it_is(void **state)
{
    (void)state;
    struct sample s;
    struct hook_opts opts = {.sh = xstrdup("echo \"$MAILCALL_SUBJECT\" {subject}")};
    sample_init(&s);
    struct letter *l = letter_write(&opts, &s.event);
    static const char *const want[] = {
        "/bin/sh", "-c", "echo \"$MAILCALL_SUBJECT\" {subject}", "sh"};
    assert_int_equal(l->argv.n, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(l->argv.v[i], want[i]);
    assert_string_equal(l->program, "sh");
    letter_free(l);
    hook_opts_free(&opts);
}

static void
a_letter_needs_nobody_any_more(void **state)
{
    (void)state;
    struct sample s;
    struct hook_opts opts = {
        .stdin_kind = STDIN_HEADERS,
        .output = OUTPUT_INHERIT,
        .cwd = xstrdup("/home/ann"),
        .umask = 027,
        .timeout_ms = 5,
        .kill_after_ms = 6,
    };
    sample_init(&s);
    char *subject = xstrdup("gone soon");
    s.facts.subject = subject;
    strv_add(&opts.run, "/opt/hooks/save.sh");
    strv_add(&opts.run, "{subject}");
    strv_add(&opts.path, "/x/hooks");
    strv_add(&opts.env, "DEST=/tmp");
    struct letter *l = letter_write(&opts, &s.event);
    hook_opts_free(&opts);
    free(subject);
    memset(&s, 0, sizeof s);
    assert_string_equal(l->program, "save.sh");
    assert_string_equal(l->argv.v[1], "gone soon");
    assert_string_equal(fields_get(&l->fields, "SUBJECT"), "gone soon");
    assert_string_equal(l->path.v[0], "/x/hooks");
    assert_string_equal(l->env.v[0], "DEST=/tmp");
    assert_string_equal(l->cwd, "/home/ann");
    assert_int_equal(l->stdin_kind, STDIN_HEADERS);
    assert_int_equal(l->output, OUTPUT_INHERIT);
    assert_int_equal(l->umask, 027);
    assert_int_equal(l->timeout_ms, 5);
    assert_int_equal(l->kill_after_ms, 6);
    letter_free(l);
    letter_free(NULL);
}

static void
without_a_command_there_is_nothing_to_run(void **state)
{
    (void)state;
    struct sample s;
    struct hook_opts opts = {0};
    sample_init(&s);
    struct letter *l = letter_write(&opts, &s.event);
    assert_int_equal(l->argv.n, 0);
    assert_string_equal(l->program, "");
    letter_free(l);
}

static size_t
count_name(const struct strv *env, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < env->n; i++)
        n += strncmp(env->v[i], name, strlen(name)) == 0 && env->v[i][strlen(name)] == '=';
    return n;
}

static void
the_environment_is_cleaned_and_completed(void **state)
{
    (void)state;
    static char *const inherited[] = {
        TEXT("PATH=/bin"),
        TEXT("MAILCALL_SUBJECT=stale"),
        TEXT("MAILCALL_MATCH_OLD=stale"),
        TEXT("MAILCALL_CONFIG=/x"),
        TEXT("BASH_FUNC_f%%=() { echo hi; }"),
        TEXT("IMAP_PASS=hunter2"),
        TEXT("IMAP_PASS2=kept"),
        TEXT("NOTIFY_SOCKET=/run/x"),
        TEXT("WATCHDOG_USEC=1"),
        TEXT("WATCHDOG_PID=2"),
        TEXT("WATCHDOG_=3"),
        TEXT("WATCHDOG=kept"),
        TEXT("DEST=old"),
        TEXT("DESTINY=kept"),
        TEXT("no equals sign"),
        NULL,
    };
    static const char *const want[] = {"PATH=/bin", "BASH_FUNC_f%%=() { echo hi; }",
        "IMAP_PASS2=kept", "WATCHDOG=kept", "DESTINY=kept", "no equals sign", "DEST=new",
        "NOTIFY_SOCKET=on purpose", "MAILCALL_SUBJECT=Invoice 2026-17 für März",
        "MAILCALL_MATCH_NUMBER=2026-17"};
    static const char *const gone[] = {"IMAP_PASS", "WATCHDOG_USEC", "WATCHDOG_PID", "WATCHDOG_",
        "MAILCALL_MATCH_OLD", "MAILCALL_CONFIG"};
    struct sample s;
    struct hook_opts opts = {.sh = xstrdup("true")};
    struct strv secrets = {0};
    struct strv env = {0};
    sample_init(&s);
    strv_add(&secrets, "IMAP_PASS");
    strv_add(&secrets, "NOTIFY_SOCKET");
    strv_add(&secrets, "WATCHDOG_*");
    strv_add(&opts.env, "DEST=new");
    strv_add(&opts.env, "NOTIFY_SOCKET=on purpose");
    strv_add(&opts.env, "MAILCALL_RULE=forged");
    struct letter *l = letter_write(&opts, &s.event);
    letter_environ(l, inherited, &secrets, &env);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_true(strv_has(&env, want[i]));
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        assert_int_equal(count_name(&env, gone[i]), 0);
    assert_int_equal(count_name(&env, "DEST"), 1);
    assert_int_equal(count_name(&env, "MAILCALL_SUBJECT"), 1);
    assert_int_equal(count_name(&env, "MAILCALL_RULE"), 1);
    assert_true(strv_has(&env, "MAILCALL_RULE=invoices"));
    assert_int_equal(env.n, 6 + l->fields.n + 2);
    letter_free(l);
    strv_free(&env);
    strv_free(&secrets);
    hook_opts_free(&opts);
}

static void
a_bare_environment_inherits_little(void **state)
{
    (void)state;
    static char *const inherited[] = {TEXT("HOME=/h"), TEXT("PATH=/bin"), TEXT("USER=u"),
        TEXT("LOGNAME=u"), TEXT("SHELL=/bin/sh"), TEXT("LANG=C"), TEXT("TZ=UTC"),
        TEXT("TMPDIR=/tmp"), TEXT("DISPLAY=:0"), TEXT("LANGUAGE=de"), TEXT("HOMER=x"), TEXT("PATH"),
        TEXT("LC_ALL=C"), TEXT("MAILCALL_X=y"), NULL};
    struct sample s;
    struct hook_opts opts = {.sh = xstrdup("true"), .bare_env = true};
    struct strv secrets = {0};
    struct strv env = {0};
    sample_init(&s);
    strv_add(&secrets, "TZ");
    strv_add(&opts.env, "LANG=de_DE.UTF-8");
    strv_add(&opts.env, "DISPLAY=:1");
    struct letter *l = letter_write(&opts, &s.event);
    letter_environ(l, inherited, &secrets, &env);
    static const char *const want[] = {
        "HOME=/h", "PATH=/bin", "USER=u", "LOGNAME=u", "SHELL=/bin/sh", "TMPDIR=/tmp", "PATH"};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_string_equal(env.v[i], want[i]);
    assert_int_equal(env.n, 7 + l->fields.n + 2);
    assert_true(strv_has(&env, "LANG=de_DE.UTF-8") && strv_has(&env, "DISPLAY=:1"));
    letter_free(l);
    strv_free(&env);
    strv_free(&secrets);
    hook_opts_free(&opts);
}

static void
a_retry_changes_the_attempt_only(void **state)
{
    (void)state;
    static char *const inherited[] = {NULL};
    struct sample s;
    struct hook_opts opts = {.sh = xstrdup("true")};
    const struct strv secrets = {0};
    struct strv first = {0};
    struct strv second = {0};
    sample_init(&s);
    struct letter *l = letter_write(&opts, &s.event);
    letter_environ(l, inherited, &secrets, &first);
    fields_set(&l->fields, "ATTEMPT", "2");
    letter_environ(l, inherited, &secrets, &second);
    assert_int_equal(first.n, second.n);
    size_t differ = 0;
    for (size_t i = 0; i < first.n; i++)
        differ += strcmp(first.v[i], second.v[i]) != 0;
    assert_int_equal(differ, 1);
    assert_true(strv_has(&second, "MAILCALL_ATTEMPT=2"));
    letter_free(l);
    strv_free(&first);
    strv_free(&second);
    hook_opts_free(&opts);
}

/* --- as bytes --- */

/* Everything that options can say. */
static void
opts_fill(struct hook_opts *opts)
{
    *opts = (struct hook_opts){
        .stdin_kind = STDIN_JSON,
        .output = OUTPUT_INHERIT,
        .cwd = xstrdup("/home/ann"),
        .umask = 027,
        .timeout_ms = UINT64_MAX,
        .kill_after_ms = 6,
    };
    struct strv run = {0};
    strv_add(&run, "bin/tell");
    strv_add(&run, "{hook_result} {hook_status} {attempt} {subject}");
    strv_add(&opts->run, "bin/save");
    strv_add(&opts->run, "");
    strv_add(&opts->run, "{event} {attempt} {count} {uids} {subject}");
    strv_add(&opts->path, "/x/hooks");
    strv_add(&opts->env, "DEST=/tmp\nand more");
    strv_add(&opts->env, "EMPTY=");
    actions_add(&opts->on_success, (struct action){.kind = ACTION_MOVE, .text = xstrdup("Done")});
    actions_add(&opts->on_failure, (struct action){.kind = ACTION_RUN, .run = run});
    actions_add(&opts->on_failure,
        (struct action){.kind = ACTION_SH, .text = xstrdup("echo {hook_status}")});
}

static struct letter *
full_letter(void)
{
    struct sample s;
    struct hook_opts opts;
    sample_init(&s);
    opts_fill(&opts);
    struct letter *l = letter_write(&opts, &s.event);
    hook_opts_free(&opts);
    assert_null(opts.on_success.v);
    assert_null(opts.on_failure.v);
    return l;
}

/* The letter read again from its own bytes; that it writes the same is asserted. */
static struct letter *
sent(const struct letter *l)
{
    struct buf first = {0};
    struct buf second = {0};
    struct err e;
    letter_pack(l, &first);
    struct letter *back = letter_unpack(buf_span(&first), &e);
    assert_non_null(back);
    letter_pack(back, &second);
    assert_int_equal(first.n, second.n);
    assert_memory_equal(first.p, second.p, first.n);
    buf_free(&first);
    buf_free(&second);
    return back;
}

static void
assert_same_strings(const struct strv *a, const struct strv *b)
{
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++)
        assert_string_equal(a->v[i], b->v[i]);
}

static void
a_letter_comes_back_from_its_bytes(void **state)
{
    (void)state;
    struct letter *l = full_letter();
    struct letter *back = sent(l);
    assert_same_strings(&back->argv, &l->argv);
    assert_same_strings(&back->run, &l->run);
    assert_same_strings(&back->env, &l->env);
    assert_same_strings(&back->path, &l->path);
    assert_int_equal(back->fields.n, l->fields.n);
    assert_string_equal(fields_get(&back->fields, "SUBJECT"), "Invoice 2026-17 für März");
    assert_int_equal(back->stdin_kind, STDIN_JSON);
    assert_int_equal(back->output, OUTPUT_INHERIT);
    assert_string_equal(back->cwd, "/home/ann");
    assert_int_equal(back->umask, 027);
    assert_true(back->timeout_ms == UINT64_MAX);
    assert_int_equal(back->kill_after_ms, 6);
    assert_string_equal(back->program, "save");
    assert_string_equal(back->json, l->json);
    assert_string_equal(back->on_success.v[0].text, "Done");
    assert_int_equal(back->on_failure.n, 2);
    assert_string_equal(back->on_failure.v[0].run.v[0], "bin/tell");
    letter_free(back);
    letter_free(l);
}

static void
the_barest_letters_come_back_too(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    struct hook_opts none = {.stdin_kind = STDIN_NONE};
    struct hook_opts shell = {.sh = xstrdup("true")};
    const struct hook_opts *const opts[] = {&none, &shell};
    for (size_t i = 0; i < 2; i++) {
        struct letter *l = letter_write(opts[i], &s.event);
        struct letter *back = sent(l);
        assert_null(back->cwd);
        assert_null(back->json);
        assert_int_equal(back->argv.n, i == 0 ? 0 : 4);
        assert_string_equal(back->program, i == 0 ? "" : "sh");
        assert_int_equal(back->on_success.n + back->on_failure.n, 0);
        letter_free(back);
        letter_free(l);
    }
    hook_opts_free(&shell);
}

static void
a_hundred_captures_come_back(void **state)
{
    (void)state;
    struct sample s;
    struct hook_opts opts = {.stdin_kind = STDIN_JSON};
    struct capture captures[FIELD_MATCH_MAX];
    sample_init(&s);
    char *big = xmalloc(20001);
    memset(big, 'z', 20000);
    big[20000] = '\0';
    for (int i = 0; i < FIELD_MATCH_MAX; i++)
        captures[i] = (struct capture){xasprintf("group%d", i), i % 2 ? big : TEXT("")};
    s.hit.captures = captures;
    s.hit.n_captures = FIELD_MATCH_MAX;
    struct letter *l = letter_write(&opts, &s.event);
    struct letter *back = sent(l);
    assert_int_equal(back->fields.n, l->fields.n);
    assert_string_equal(
        fields_get(&back->fields, "MATCH_GROUP99"), fields_get(&l->fields, "MATCH_GROUP99"));
    assert_non_null(strstr(back->json, "\"group98\":\"\",\"group99\":\"zzzz"));
    letter_free(back);
    letter_free(l);
    for (int i = 0; i < FIELD_MATCH_MAX; i++)
        free(captures[i].name);
    free(big);
}

static void
no_prefix_of_a_letter_is_a_letter(void **state)
{
    (void)state;
    struct buf b = {0};
    struct letter *l = full_letter();
    letter_pack(l, &b);
    for (size_t n = 0; n < b.n; n++) {
        struct err e = {0};
        char *exact = xmalloc(n > 0 ? n : 1);
        memcpy(exact, b.p, n);
        assert_null(letter_unpack((struct span){exact, n}, &e));
        assert_int_equal(e.kind, ERR_INPUT);
        free(exact);
    }
    buf_addc(&b, '\0');
    assert_null(letter_unpack(buf_span(&b), NULL));
    buf_free(&b);
    letter_free(l);
}

static void
a_letter_of_another_format_is_refused(void **state)
{
    (void)state;
    struct buf b = {0};
    struct err e;
    struct letter *l = full_letter();
    letter_pack(l, &b);
    b.p[0] = 3;
    assert_null(letter_unpack(buf_span(&b), &e));
    assert_int_equal(e.kind, ERR_INPUT);
    assert_string_equal(e.text, "letter: format 3 is of a later version of mailcall");
    b.p[0] = 0;
    assert_null(letter_unpack(buf_span(&b), &e));
    assert_string_equal(e.text, "letter: damaged");
    buf_free(&b);
    letter_free(l);
}

static void
lose_argv(struct letter *l)
{
    strv_free(&l->argv);
}

static void
lose_an_argument(struct letter *l)
{
    strv_add(&l->run, "{subject}");
}

static void
lose_program(struct letter *l)
{
    free(l->program);
    l->program = NULL;
}

static void
absurd_stdin(struct letter *l)
{
    l->stdin_kind = (enum hook_stdin)5;
}

static void
absurd_output(struct letter *l)
{
    l->output = (enum hook_output)3;
}

static void
absurd_umask(struct letter *l)
{
    l->umask = 01000;
}

static void
lose_json(struct letter *l)
{
    free(l->json);
    l->json = NULL;
}

static void
json_of_two_lines(struct letter *l)
{
    l->json[10] = '\n';
}

static void
json_without_stdin(struct letter *l)
{
    l->stdin_kind = STDIN_MESSAGE;
}

static void
text_without_stdin(struct letter *l)
{
    l->text = xstrdup("");
}

/* As a letter for the text of the message, with this for it. */
static void
set_text(struct letter *l, const char *text)
{
    free(l->json);
    l->json = NULL;
    l->stdin_kind = STDIN_BODY;
    l->text = text != NULL ? xstrdup(text) : NULL;
}

static void
lose_text(struct letter *l)
{
    set_text(l, NULL);
}

static void
text_of_bytes(struct letter *l)
{
    set_text(l, "a\xFF");
}

static void
absurd_eol(struct letter *l)
{
    l->eol = (enum hook_eol)2;
}

static void
cwd_somewhere(struct letter *l)
{
    l->cwd[0] = 'x';
}

static void
variable_without_a_name(struct letter *l)
{
    strv_add(&l->env, "=x");
}

static void
variable_without_a_value(struct letter *l)
{
    strv_add(&l->env, "PATH");
}

static void
variable_that_is_a_function(struct letter *l)
{
    strv_add(&l->env, "BASH_FUNC_ls%%=() { id; }");
}

static void
field_that_is_a_function(struct letter *l)
{
    free(l->fields.v[0].name);
    l->fields.v[0].name = xstrdup("BASH_FUNC_ls%%");
}

static void
flag_that_is_a_command(struct letter *l)
{
    l->on_success.v[0].kind = ACTION_FLAG;
    free(l->on_success.v[0].text);
    l->on_success.v[0].text = xstrdup("x)\r\nA1 LOGOUT");
}

static void
letters_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static void (*const damage[])(struct letter *) = {lose_argv, lose_an_argument, lose_program,
        absurd_stdin, absurd_output, absurd_umask, lose_json, json_of_two_lines, json_without_stdin,
        text_without_stdin, lose_text, text_of_bytes, absurd_eol, cwd_somewhere,
        variable_without_a_name, variable_without_a_value, variable_that_is_a_function,
        field_that_is_a_function, flag_that_is_a_command};
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        struct buf b = {0};
        struct err e = {0};
        struct letter *l = full_letter();
        damage[i](l);
        letter_pack(l, &b);
        if (letter_unpack(buf_span(&b), &e) != NULL)
            fail_msg("damage %zu was let in", i);
        assert_string_equal(e.text, "letter: damaged");
        buf_free(&b);
        letter_free(l);
    }
}

/* What an earlier version wrote into its journal: everything that its options could say. */
static void
a_letter_of_format_1_is_read_still(void **state)
{
    (void)state;
    struct buf b = {0};
    struct err e;
    FILE *file = fopen("tests/fuzz/corpus/letter/format-1", "rb");
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        buf_addc(&b, (char)c);
    fclose(file);
    assert_int_equal(b.p[0], 1);
    struct letter *l = letter_unpack(buf_span(&b), &e);
    assert_non_null(l);
    assert_string_equal(l->argv.v[2], "new 1 1 4711 Invoice 2026-17 für März");
    assert_string_equal(fields_get(&l->fields, "MATCH_NUMBER"), "2026-17");
    assert_string_equal(fields_get(&l->fields, "PREVIEW"), "");
    assert_int_equal(l->stdin_kind, STDIN_JSON);
    assert_non_null(strstr(l->json, "\"event_id\":\"abcdefghijklmnopqrstuvwxyz\""));
    assert_string_equal(l->on_failure.v[0].run.v[0], "bin/tell");
    assert_null(l->text);
    assert_true(l->eol == EOL_LF && !l->decode && !l->bare_env);
    letter_address(l, "retry", 2);
    assert_non_null(strstr(l->json, "\"attempt\":2"));
    letter_free(sent(l));
    letter_free(l);
    for (size_t n = 0; n < b.n; n++)
        assert_null(letter_unpack((struct span){b.p, n}, &e));
    buf_free(&b);
}

static void
the_text_of_a_message_goes_along(void **state)
{
    (void)state;
    struct sample s;
    struct hook_opts opts = {.sh = xstrdup("cat"),
        .stdin_kind = STDIN_BODY,
        .output = OUTPUT_DISCARD,
        .eol = EOL_CRLF,
        .decode = true,
        .bare_env = true};
    struct action next_action = {.kind = ACTION_SH, .text = TEXT("true")};
    sample_init(&s);
    struct letter *l = letter_write(&opts, &s.event);
    assert_string_equal(l->text, ""); /* it was not read */
    letter_free(l);
    sample_whole(&s);
    l = letter_write(&opts, &s.event);
    struct letter *back = sent(l);
    struct letter *action = letter_for_action(back, &next_action, "ok", 0);
    const struct letter *const all[] = {l, back, action};
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(all[i]->text, "Guten Tag,\n\n\tim Anhang Ihre \"Rechnung\".\n");
        assert_null(all[i]->json);
        assert_int_equal(all[i]->output, OUTPUT_DISCARD);
        assert_int_equal(all[i]->eol, EOL_CRLF);
        assert_true(all[i]->decode && all[i]->bare_env);
    }
    letter_free(action);
    letter_free(back);
    letter_free(l);
    hook_opts_free(&opts);
}

/* Packing, unpacking and telling anew are all linear: this takes no time, or for ever. */
static void
the_longest_text_is_no_trouble(void **state)
{
    (void)state;
    struct sample s;
    struct hook_opts opts = {.sh = xstrdup("cat"), .stdin_kind = STDIN_JSON};
    struct buf text = {0};
    sample_init(&s);
    sample_whole(&s);
    while (text.n + 7 <= FACTS_TEXT_MAX)
        buf_adds(&text, "\"\n\\\xE2\x82\xAC\t");
    s.facts.text = text.p;
    for (enum hook_stdin kind = STDIN_JSON; kind <= STDIN_BODY; kind++) {
        opts.stdin_kind = kind;
        struct letter *l = letter_write(&opts, &s.event);
        letter_address(l, "retry", 2);
        for (int i = 0; i < 20; i++)
            letter_free(sent(l));
        letter_free(l);
    }
    hook_opts_free(&opts);
    buf_free(&text);
}

static void
some_hooks_need_the_whole_message(void **state)
{
    (void)state;
    static const struct {
        struct hook_opts opts;
        bool whole;
    } table[] = {
        {{.stdin_kind = STDIN_MESSAGE}, true},
        {{.stdin_kind = STDIN_HEADERS}, false},
        {{.stdin_kind = STDIN_NONE}, false},
        {{.stdin_kind = STDIN_JSON}, true},
        {{.stdin_kind = STDIN_BODY}, true},
        {{.stdin_kind = STDIN_NONE, .decode = true}, true},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(hook_needs_whole(&table[i].opts), table[i].whole);
}

/* --- letters made of letters --- */

static void
decoded_attachments_are_told_everywhere(void **state)
{
    (void)state;
    static const struct event_file files[] = {{2, "/a/7/x.pdf"}, {9, "/none"}};
    struct sample s;
    struct hook_opts opts = {.stdin_kind = STDIN_JSON, .decode = true};
    sample_init(&s);
    sample_whole(&s);
    strv_add(&opts.run, "save");
    strv_add(&opts.run, "{attachments_dir}");
    struct letter *l = letter_write(&opts, &s.event);
    letter_attach(l, "/a/7", files, 2);
    assert_string_equal(l->argv.v[1], "/a/7");
    assert_string_equal(fields_get(&l->fields, "ATTACHMENTS_DIR"), "/a/7");
    assert_non_null(strstr(l->json, "\"size\":17,\"path\":null}"));
    assert_non_null(strstr(l->json, "\"size\":0,\"path\":\"/a/7/x.pdf\"}"));
    letter_address(l, "retry", 2);
    assert_non_null(strstr(l->json, "\"path\":\"/a/7/x.pdf\"}"));
    letter_attach(l, "", NULL, 0);
    assert_string_equal(l->argv.v[1], "");
    assert_null(strstr(l->json, "x.pdf"));
    letter_free(l);
    hook_opts_free(&opts);
}

static void
another_attempt_changes_fields_argv_and_json(void **state)
{
    (void)state;
    struct letter *l = full_letter();
    assert_string_equal(l->argv.v[2], "new 1 1 4711 Invoice 2026-17 für März");
    fields_set(&l->fields, "COUNT", "2");
    fields_set(&l->fields, "UIDS", "4711 4712");
    letter_address(l, "batch", 3);
    assert_string_equal(fields_get(&l->fields, "EVENT"), "batch");
    assert_string_equal(fields_get(&l->fields, "ATTEMPT"), "3");
    assert_int_equal(l->argv.n, 3);
    assert_string_equal(l->argv.v[0], "bin/save");
    assert_string_equal(l->argv.v[2], "batch 3 2 4711 4712 Invoice 2026-17 für März");
    assert_non_null(strstr(l->json, "\"event\":\"batch\",\"event_id\":"));
    assert_non_null(strstr(l->json, "\"attempt\":3,"));
    struct letter *back = sent(l);
    letter_address(back, "new", 1);
    assert_string_equal(back->argv.v[2], "new 1 2 4711 4712 Invoice 2026-17 für März");
    letter_free(back);
    letter_free(l);
}

static void
without_template_or_json_the_fields_alone_change(void **state)
{
    (void)state;
    struct sample s;
    struct hook_opts opts = {.sh = xstrdup("echo {attempt}")};
    sample_init(&s);
    struct letter *l = letter_write(&opts, &s.event);
    letter_address(l, "retry", 2);
    assert_string_equal(l->argv.v[2], "echo {attempt}");
    assert_string_equal(fields_get(&l->fields, "ATTEMPT"), "2");
    assert_null(l->json);
    letter_free(l);
    hook_opts_free(&opts);
}

static void
an_action_runs_like_its_hook(void **state)
{
    (void)state;
    struct letter *l = full_letter();
    struct letter *run = letter_for_action(l, &l->on_failure.v[0], "signal", 139);
    assert_int_equal(run->argv.n, 2);
    assert_string_equal(run->argv.v[0], "bin/tell");
    assert_string_equal(run->argv.v[1], "signal 139 1 Invoice 2026-17 für März");
    assert_string_equal(run->program, "tell");
    assert_string_equal(fields_get(&run->fields, "HOOK_RESULT"), "signal");
    assert_string_equal(fields_get(&run->fields, "HOOK_STATUS"), "139");
    assert_string_equal(fields_get(&l->fields, "HOOK_STATUS"), "");
    assert_same_strings(&run->env, &l->env);
    assert_same_strings(&run->path, &l->path);
    assert_string_equal(run->json, l->json);
    assert_string_equal(run->cwd, l->cwd);
    assert_int_equal(run->stdin_kind, l->stdin_kind);
    assert_int_equal(run->output, l->output);
    assert_int_equal(run->umask, l->umask);
    assert_true(run->timeout_ms == l->timeout_ms && run->kill_after_ms == l->kill_after_ms);
    assert_int_equal(run->on_success.n + run->on_failure.n, 0);
    struct letter *shell = letter_for_action(l, &l->on_failure.v[1], "ok", 0);
    letter_free(l);
    assert_string_equal(shell->argv.v[0], "/bin/sh");
    assert_string_equal(shell->argv.v[2], "echo {hook_status}");
    assert_string_equal(fields_get(&shell->fields, "HOOK_RESULT"), "ok");
    assert_string_equal(fields_get(&shell->fields, "HOOK_STATUS"), "0");
    letter_free(sent(run));
    letter_free(sent(shell));
    letter_free(run);
    letter_free(shell);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placeholders_fill_one_argument_and_never_split),
        cmocka_unit_test(a_shell_string_is_passed_as_it_is),
        cmocka_unit_test(a_letter_needs_nobody_any_more),
        cmocka_unit_test(without_a_command_there_is_nothing_to_run),
        cmocka_unit_test(the_environment_is_cleaned_and_completed),
        cmocka_unit_test(a_bare_environment_inherits_little),
        cmocka_unit_test(a_retry_changes_the_attempt_only),
        cmocka_unit_test(a_letter_comes_back_from_its_bytes),
        cmocka_unit_test(the_barest_letters_come_back_too),
        cmocka_unit_test(a_hundred_captures_come_back),
        cmocka_unit_test(no_prefix_of_a_letter_is_a_letter),
        cmocka_unit_test(a_letter_of_another_format_is_refused),
        cmocka_unit_test(letters_that_cannot_be_are_refused),
        cmocka_unit_test(a_letter_of_format_1_is_read_still),
        cmocka_unit_test(the_text_of_a_message_goes_along),
        cmocka_unit_test(the_longest_text_is_no_trouble),
        cmocka_unit_test(some_hooks_need_the_whole_message),
        cmocka_unit_test(decoded_attachments_are_told_everywhere),
        cmocka_unit_test(another_attempt_changes_fields_argv_and_json),
        cmocka_unit_test(without_template_or_json_the_fields_alone_change),
        cmocka_unit_test(an_action_runs_like_its_hook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
