/* watch/secret and watch/credential: where secrets come from, and what a refusal means. */
#include "base/mem.h"
#include "sys/loop.h"
#include "watch/credential.h"
#include "watch/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct got {
    int calls;
    char secret[128];
    char why[512];
    unsigned round;
    struct credential *credential;
};

static void
on_secret(void *arg, struct span secret, const struct err *why)
{
    struct got *g = arg;
    g->calls++;
    snprintf(g->secret, sizeof g->secret, "%.*s", (int)secret.n, secret.n > 0 ? secret.p : "");
    snprintf(g->why, sizeof g->why, "%s", why != NULL ? why->text : "");
    g->round = g->credential != NULL ? credential_round(g->credential) : 0;
}

static struct secret_opts
command(const char *sh)
{
    struct secret_opts o = {.kind = SECRET_COMMAND, .shell = true};
    strv_add(&o.argv, sh);
    return o;
}

static void
opts_free(struct secret_opts *o)
{
    strv_free(&o->argv);
    free(o->text);
}

static void
ask(struct secret_opts o, struct got *g)
{
    struct loop *l = loop_new();
    *g = (struct got){0};
    secret_ask(l, &o, on_secret, g);
    assert_int_equal(g->calls, 0); /* never from inside */
    while (g->calls == 0)
        loop_turn(l, true);
    loop_free(l);
    opts_free(&o);
}

static void
a_command_gives_its_first_line(void **state)
{
    (void)state;
    struct got g;
    ask(command("echo hunter2; echo more"), &g);
    assert_string_equal(g.secret, "hunter2");
    ask(command("printf 'no newline'"), &g);
    assert_string_equal(g.secret, "no newline");
    ask(command("printf 'crlf\\r\\n'"), &g);
    assert_string_equal(g.secret, "crlf");
}

static void
a_list_is_run_without_a_shell(void **state)
{
    (void)state;
    struct got g;
    struct secret_opts list = {.kind = SECRET_COMMAND};
    strv_add(&list.argv, "echo");
    strv_add(&list.argv, "$(id) a  b");
    ask(list, &g);
    assert_string_equal(g.secret, "$(id) a  b");
}

static void
what_goes_wrong_is_said_without_the_secret(void **state)
{
    (void)state;
    struct got g;
    ask(command("echo hunter2; exit 3"), &g);
    assert_string_equal(g.why, "password_command: exit status 3");
    assert_string_equal(g.secret, "");
    ask(command("kill -9 $$"), &g);
    assert_string_equal(g.why, "password_command: killed by signal 9");
    ask(command("true"), &g);
    assert_string_equal(g.why, "password_command: empty");
    ask(command("printf 'a\\0b\\n'"), &g);
    assert_string_equal(g.why, "password_command: contains a NUL byte");
    ask(command("head -c 100000 /dev/zero | tr '\\0' x"), &g);
    assert_string_equal(g.why, "password_command: longer than 65536 bytes");
    ask((struct secret_opts){.kind = SECRET_FILE, .text = xstrdup("/nonexistent/file")}, &g);
    assert_string_equal(g.why, "password_file: /nonexistent/file: No such file or directory");
    unsetenv("NO_SUCH_VARIABLE");
    ask((struct secret_opts){.kind = SECRET_ENV, .text = xstrdup("NO_SUCH_VARIABLE")}, &g);
    assert_string_equal(g.why, "password_env: $NO_SUCH_VARIABLE is not set");
}

static void
files_variables_and_credentials_are_read(void **state)
{
    (void)state;
    struct got g;
    char folder[] = "/tmp/mailcall-test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = xasprintf("%s/bot", folder);
    FILE *f = fopen(path, "w");
    fputs("from file\nsecond\n", f);
    fclose(f);
    ask((struct secret_opts){.kind = SECRET_FILE, .text = xstrdup(path)}, &g);
    assert_string_equal(g.secret, "from file");
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    ask((struct secret_opts){.kind = SECRET_CREDENTIAL, .text = xstrdup("bot")}, &g);
    assert_string_equal(g.secret, "from file");
    unsetenv("CREDENTIALS_DIRECTORY");
    setenv("MAILCALL_TEST_SECRET", "from env", 1);
    ask((struct secret_opts){.kind = SECRET_ENV, .text = xstrdup("MAILCALL_TEST_SECRET")}, &g);
    assert_string_equal(g.secret, "from env");
    unlink(path);
    rmdir(folder);
    free(path);
}

/* --- credential --- */

struct account_under_test {
    char *folder;
    char *file;
    struct account account;
    struct loop *loop;
    struct credential *credential;
};

/* An account whose command counts how often it ran and prints what `file` holds. */
static int
set_up(void **state)
{
    struct account_under_test *t = xcalloc(1, sizeof *t);
    char folder[] = "/tmp/mailcall-test.XXXXXX";
    t->folder = xstrdup(mkdtemp(folder));
    t->file = xasprintf("%s/secret", t->folder);
    t->account.name = (char *)"work";
    t->account.secret = (struct secret_opts){.kind = SECRET_COMMAND, .shell = true};
    strv_addf(&t->account.secret.argv, "echo x >> %s/ran; cat %s", t->folder, t->file);
    t->loop = loop_new();
    t->credential = credential_new(t->loop, &t->account);
    *state = t;
    return 0;
}

static int
tear_down(void **state)
{
    struct account_under_test *t = *state;
    credential_free(t->credential);
    loop_free(t->loop);
    char *rm = xasprintf("rm -rf %s", t->folder);
    int status = system(rm);
    free(rm);
    opts_free(&t->account.secret);
    free(t->folder);
    free(t->file);
    free(t);
    return status;
}

static void
write_secret(struct account_under_test *t, const char *secret)
{
    FILE *f = fopen(t->file, "w");
    fputs(secret, f);
    fclose(f);
}

static int
times_run(const struct account_under_test *t)
{
    char *path = xasprintf("%s/ran", t->folder);
    FILE *f = fopen(path, "r");
    free(path);
    int lines = 0;
    for (int c; f != NULL && (c = getc(f)) != EOF;)
        lines += c == '\n';
    if (f != NULL)
        fclose(f);
    return lines;
}

static struct got
ask_credential(struct account_under_test *t)
{
    struct got g = {.credential = t->credential};
    struct credential_waiter w;
    credential_waiter_init(&w, on_secret, &g);
    credential_ask(t->credential, &w);
    while (g.calls == 0)
        loop_turn(t->loop, true);
    return g;
}

static void
a_password_is_asked_once_and_kept(void **state)
{
    struct account_under_test *t = *state;
    write_secret(t, "one");
    assert_string_equal(ask_credential(t).secret, "one");
    assert_string_equal(ask_credential(t).secret, "one");
    assert_int_equal(times_run(t), 1);
}

static void
a_token_is_asked_at_every_connect(void **state)
{
    struct account_under_test *t = *state;
    t->account.secret.kind = SECRET_TOKEN_COMMAND;
    write_secret(t, "one");
    assert_string_equal(ask_credential(t).secret, "one");
    write_secret(t, "two");
    assert_string_equal(ask_credential(t).secret, "two");
}

static void
connections_that_ask_together_share_one_run(void **state)
{
    struct account_under_test *t = *state;
    struct got g[3] = {{0}};
    struct credential_waiter w[3];
    write_secret(t, "one");
    for (int i = 0; i < 3; i++) {
        credential_waiter_init(&w[i], on_secret, &g[i]);
        credential_ask(t->credential, &w[i]);
    }
    credential_cancel(&w[1]);
    while (g[0].calls == 0 || g[2].calls == 0)
        loop_turn(t->loop, true);
    assert_int_equal(g[1].calls, 0);
    assert_int_equal(times_run(t), 1);
}

static void
refuse_at_once(void *arg, struct span secret, const struct err *why)
{
    on_secret(arg, secret, why);
    struct got *g = arg;
    credential_refused(g->credential, g->round);
}

static void
a_refusal_by_the_first_connection_leaves_the_second_its_secret(void **state)
{
    struct account_under_test *t = *state;
    write_secret(t, "one");
    ask_credential(t); /* from now on it comes from memory */
    struct got g[2] = {{.credential = t->credential}, {.credential = t->credential}};
    struct credential_waiter w[2];
    for (int i = 0; i < 2; i++) {
        credential_waiter_init(&w[i], refuse_at_once, &g[i]);
        credential_ask(t->credential, &w[i]);
    }
    while (g[1].calls == 0)
        loop_turn(t->loop, true);
    assert_string_equal(g[0].secret, "one");
    assert_string_equal(g[1].secret, "one");
}

static void
the_same_password_is_not_sent_twice_after_a_refusal(void **state)
{
    struct account_under_test *t = *state;
    write_secret(t, "wrong");
    struct got first = ask_credential(t);
    assert_true(credential_refused(t->credential, first.round));
    struct got second = ask_credential(t);
    assert_string_equal(second.secret, "");
    assert_string_equal(second.why, "the server refused this secret, and it has not changed since");
    assert_true(credential_dead(t->credential));
    assert_int_equal(times_run(t), 2);
}

static void
a_changed_password_is_tried(void **state)
{
    struct account_under_test *t = *state;
    write_secret(t, "old");
    assert_true(credential_refused(t->credential, ask_credential(t).round));
    write_secret(t, "new");
    assert_string_equal(ask_credential(t).secret, "new");
    credential_accepted(t->credential);
    assert_false(credential_dead(t->credential));
}

static void
a_token_gets_one_more_try(void **state)
{
    struct account_under_test *t = *state;
    t->account.secret.kind = SECRET_TOKEN_COMMAND;
    write_secret(t, "same");
    assert_true(credential_refused(t->credential, ask_credential(t).round));
    struct got second = ask_credential(t);
    assert_string_equal(second.secret, "same");
    assert_false(credential_refused(t->credential, second.round));
    assert_true(credential_dead(t->credential));
}

static void
two_connections_refused_with_one_token_count_once(void **state)
{
    struct account_under_test *t = *state;
    t->account.secret.kind = SECRET_TOKEN_COMMAND;
    write_secret(t, "same");
    unsigned round = ask_credential(t).round;
    assert_true(credential_refused(t->credential, round));
    assert_true(credential_refused(t->credential, round));
    assert_false(credential_dead(t->credential));
}

static void
a_password_in_the_configuration_cannot_get_better(void **state)
{
    struct account_under_test *t = *state;
    t->account.secret.kind = SECRET_PLAIN;
    t->account.secret.text = xstrdup("wrong");
    assert_false(credential_refused(t->credential, ask_credential(t).round));
    assert_true(credential_dead(t->credential));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_gives_its_first_line),
        cmocka_unit_test(a_list_is_run_without_a_shell),
        cmocka_unit_test(what_goes_wrong_is_said_without_the_secret),
        cmocka_unit_test(files_variables_and_credentials_are_read),
        cmocka_unit_test_setup_teardown(a_password_is_asked_once_and_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_token_is_asked_at_every_connect, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            connections_that_ask_together_share_one_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_refusal_by_the_first_connection_leaves_the_second_its_secret, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            the_same_password_is_not_sent_twice_after_a_refusal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_changed_password_is_tried, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_token_gets_one_more_try, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            two_connections_refused_with_one_token_count_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_password_in_the_configuration_cannot_get_better, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("watch_credential", tests, NULL, NULL);
}
