/* imap/sasl, command, refusal: what goes over the wire at the login, and what a no means. */
#include "base/b64.h"
#include "imap/command.h"
#include "imap/refusal.h"
#include "imap/sasl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void
initial_responses_are_as_the_rfcs_say(void **state)
{
    (void)state;
    static const struct {
        enum sasl_mechanism mechanism;
        const char *user;
        struct span want;
    } table[] = {
        {SASL_PLAIN, "joe", SPAN("\0joe\0s3cret")},
        {SASL_XOAUTH2, "joe@example.org",
            SPAN("user=joe@example.org\001auth=Bearer s3cret\001\001")},
        {SASL_OAUTHBEARER, "a=b,c@example.org",
            SPAN("n,a=a=3Db=2Cc@example.org,\001host=imap.example.org\001port=993\001auth=Bearer "
                 "s3cret\001\001")},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct sasl_identity id = {table[i].user, "imap.example.org", 993, SPAN("s3cret")};
        struct buf out = {0};
        struct buf decoded = {0};
        assert_int_equal(sasl_initial(&out, table[i].mechanism, &id, NULL), 0);
        assert_int_equal(b64_decode(&decoded, buf_span(&out)), 0);
        assert_true(span_eq(buf_span(&decoded), table[i].want));
        buf_free(&out);
        buf_free(&decoded);
    }
}

static void
control_characters_are_refused(void **state)
{
    (void)state;
    struct err e;
    struct buf out = {0};
    struct sasl_identity user = {"joe\001auth=x", "h", 993, SPAN("s")};
    struct sasl_identity secret = {"joe", "h", 993, SPAN("s\0t")};
    assert_int_equal(sasl_initial(&out, SASL_XOAUTH2, &user, &e), -1);
    assert_int_equal(e.kind, ERR_AUTH);
    assert_string_equal(e.text, "user name contains a control character");
    assert_int_equal(sasl_initial(&out, SASL_PLAIN, &secret, &e), -1);
    assert_string_equal(e.text, "password or token contains a control character");
    assert_int_equal(out.n, 0);
}

static void
the_status_is_found_in_broken_json_too(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *want;
    } table[] = {
        {"{\"status\":\"401\",\"schemes\":\"bearer\"}", "401"},
        {"{\"schemes\":\"x\", \"status\" : 400 }", "400"},
        {"{\"status\":\"invalid_token\"", "invalid_token"},
        {"{\"status\":\"\x1b[31m\"}", ""},
        {"{\"status\":\"0123456789012345678901234567890123456789\"}",
            "0123456789012345678901234567890"},
        {"{}", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char status[SASL_STATUS_MAX];
        struct buf challenge = {0};
        b64_encode(&challenge, span_str(table[i].json));
        sasl_status(status, buf_span(&challenge));
        assert_string_equal(status, table[i].want);
        buf_free(&challenge);
    }
    char status[SASL_STATUS_MAX];
    sasl_status(status, SPAN("not base64"));
    assert_string_equal(status, "");
}

static void
arguments_cannot_break_out(void **state)
{
    (void)state;
    static const struct {
        struct span argument;
        enum command_literals literals;
        const char *want;
    } table[] = {
        {SPAN("joe"), COMMAND_SYNC, "t3 X \"joe\"\r\n"},
        {SPAN(""), COMMAND_SYNC, "t3 X \"\"\r\n"},
        {SPAN("a\"b\\c {3}"), COMMAND_SYNC, "t3 X \"a\\\"b\\\\c {3}\"\r\n"},
        {SPAN("\xC3\xA4"), COMMAND_SYNC, "t3 X {2}\r\n|\xC3\xA4\r\n"},
        {SPAN("\xC3\xA4"), COMMAND_MINUS, "t3 X {2+}\r\n\xC3\xA4\r\n"},
        {SPAN("\xC3\xA4"), COMMAND_PLUS, "t3 X {2+}\r\n\xC3\xA4\r\n"},
        {SPAN("a\rb"), COMMAND_PLUS, NULL},
        {SPAN("a\nb"), COMMAND_PLUS, NULL},
        {SPAN("a\0b"), COMMAND_PLUS, NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct command c = {0};
        struct buf out = {0};
        command_begin(&c, 3, "X", table[i].literals);
        int result = command_astring(&c, table[i].argument, "name", NULL);
        assert_int_equal(result, table[i].want != NULL ? 0 : -1);
        command_end(&c);
        while (result == 0 && command_send(&c, &out))
            buf_addc(&out, '|');
        if (result == 0)
            assert_string_equal(buf_str(&out), table[i].want);
        buf_free(&out);
        command_wipe(&c);
    }
}

static void
long_literals_wait_under_literal_minus(void **state)
{
    (void)state;
    struct buf argument = {0};
    for (int i = 0; i < 4097; i++)
        buf_addc(&argument, '\xE4');
    for (size_t n = 4096; n <= 4097; n++) {
        struct command c = {0};
        struct buf out = {0};
        command_begin(&c, 1, "X", COMMAND_MINUS);
        assert_int_equal(command_astring(&c, (struct span){argument.p, n}, "name", NULL), 0);
        command_end(&c);
        assert_int_equal(command_send(&c, &out), n == 4097);
        assert_string_equal(
            out.n < 30 ? buf_str(&out) : "all", n == 4097 ? "t1 X {4097}\r\n" : "all");
        buf_free(&out);
        command_wipe(&c);
    }
    buf_free(&argument);
}

static void
mailbox_names_are_translated(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        char separator;
        const char *want;
    } table[] = {
        {"inbox", '/', "t1 X \"INBOX\""},
        {"Inbox/a", '.', "t1 X \"Inbox.a\""},
        {"a/b&c", '/', "t1 X \"a/b&-c\""},
        {"\xC3\xA4/b", '\\', "t1 X \"&AOQ-\\\\b\""},
        {"a\r\nt2 DELETE b", '/', NULL},
        {"\xFF", '/', NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct command c = {0};
        struct err e;
        command_begin(&c, 1, "X", COMMAND_SYNC);
        int result = command_mailbox(&c, table[i].name, table[i].separator, &e);
        assert_int_equal(result, table[i].want != NULL ? 0 : -1);
        if (result == 0)
            assert_string_equal(buf_str(&c.bytes), table[i].want);
        else
            assert_int_equal(e.kind, ERR_MAILBOX);
        command_wipe(&c);
    }
}

static void
refusals_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        enum err_kind want;
    } table[] = {
        {"[AUTHENTICATIONFAILED] Authentication failed.", ERR_AUTH},
        {"[AUTHENTICATIONFAILED] Too many bad auth attempts", ERR_AUTH},
        {"Too many bad auth attempts", ERR_AUTH},
        {"Invalid credentials, please try again", ERR_AUTH},
        {"[ALERT] Too many simultaneous connections. (Failure)", ERR_AGAIN},
        {"[unavailable] x", ERR_AGAIN},
        {"[INUSE] x", ERR_AGAIN},
        {"[LIMIT] CAPABILITY Rate limit hit.", ERR_AGAIN},
        {"[OVERQUOTA] Account exceeded command or bandwidth limits.", ERR_AGAIN},
        {"User is authenticated but not connected.", ERR_AGAIN},
        {"Account is temporarily unavailable", ERR_AGAIN},
        {"Authentication Limit Exceeded", ERR_AGAIN},
        {"Server Unavailable. 15", ERR_AGAIN},
        {"", ERR_AUTH},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(refusal_kind(span_str(table[i].words), ERR_AUTH), table[i].want);
    assert_true(refusal_vanished(SPAN("Some of the requested messages no longer exist.")));
    assert_true(refusal_vanished(SPAN("[EXPUNGEISSUED] gone")));
    assert_false(refusal_vanished(SPAN("[LIMIT] no")));
    assert_int_equal(
        refusal_backoff_ms(SPAN("x Suggested Backoff Time: 92415 milliseconds")), 92415);
    assert_int_equal(refusal_backoff_ms(SPAN("suggested backoff time:")), 0);
    assert_int_equal(refusal_backoff_ms(SPAN("Suggested Backoff Time: 7200000 ms")), 3600000);
    assert_int_equal(refusal_backoff_ms(SPAN("no")), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(initial_responses_are_as_the_rfcs_say),
        cmocka_unit_test(control_characters_are_refused),
        cmocka_unit_test(the_status_is_found_in_broken_json_too),
        cmocka_unit_test(arguments_cannot_break_out),
        cmocka_unit_test(long_literals_wait_under_literal_minus),
        cmocka_unit_test(mailbox_names_are_translated),
        cmocka_unit_test(refusals_are_told_apart),
    };
    return cmocka_run_group_tests_name("imap_sasl", tests, NULL, NULL);
}
