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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placeholders_fill_one_argument_and_never_split),
        cmocka_unit_test(a_shell_string_is_passed_as_it_is),
        cmocka_unit_test(a_letter_needs_nobody_any_more),
        cmocka_unit_test(without_a_command_there_is_nothing_to_run),
        cmocka_unit_test(the_environment_is_cleaned_and_completed),
        cmocka_unit_test(a_retry_changes_the_attempt_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
