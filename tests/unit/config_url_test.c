/* config: URLs of accounts, and filters of the command line. */
#include "base/mem.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void
urls_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *url, *user, *host, *mailbox;
        unsigned short port;
        enum stream_tls tls;
    } table[] = {
        {"imaps://me@host", "me", "host", NULL, 993, STREAM_IMPLICIT},
        {"IMAPS://me@host/", "me", "host", NULL, 993, STREAM_IMPLICIT},
        {"imap://me@host", "me", "host", NULL, 143, STREAM_STARTTLS},
        {"imap://me@host:1143/INBOX", "me", "host", "INBOX", 1143, STREAM_STARTTLS},
        {"imaps://ann@example.com@imap.example.com", "ann@example.com", "imap.example.com", NULL,
            993, STREAM_IMPLICIT},
        {"imaps://ann%40example.com@imap.example.com/a/b/", "ann@example.com", "imap.example.com",
            "a/b", 993, STREAM_IMPLICIT},
        {"imaps://me@host/who@what", "me", "host", "who@what", 993, STREAM_IMPLICIT},
        {"imaps://me%3Ayou@host", "me:you", "host", NULL, 993, STREAM_IMPLICIT},
        {"imaps://me@[::1]:1993/x", "me", "::1", "x", 1993, STREAM_IMPLICIT},
        {"imaps://me@[2001:db8::1]", "me", "2001:db8::1", NULL, 993, STREAM_IMPLICIT},
        {"imaps://me@host/%C3%BCber%3B%3F%25", "me", "host",
            "\xC3\xBC"
            "ber;?%",
            993, STREAM_IMPLICIT},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct account a = {0};
        struct err e = {0};
        char *mailbox = NULL;
        assert_int_equal(config_url(table[i].url, &a, &mailbox, &e), 0);
        assert_string_equal(a.user, table[i].user);
        assert_string_equal(a.net.host, table[i].host);
        assert_string_equal(a.name, table[i].host);
        assert_int_equal(a.net.port, table[i].port);
        assert_int_equal(a.net.tls, table[i].tls);
        if (table[i].mailbox == NULL)
            assert_null(mailbox);
        else
            assert_string_equal(mailbox, table[i].mailbox);
        account_free(&a);
        free(mailbox);
    }
}

static void
bad_urls_are_refused_and_never_repeated(void **state)
{
    (void)state;
    static const struct {
        const char *url, *why;
    } table[] = {
        {"", "not an IMAP URL"},
        {"me@host", "not an IMAP URL"},
        {"https://me@host", "not an IMAP URL"},
        {"imaps://host", "names no user"},
        {"imaps://@host", "the user is empty"},
        {"imaps://me@", "the host is empty"},
        {"imaps://me:hunter2@host", "a password in a URL"},
        {"imaps://me:hunter2@x@host/y", "a password in a URL"},
        {"imaps://me;AUTH=PLAIN@host", "AUTH"},
        {"imaps://me%0D%0AA1%20NOOP@host", "control character"},
        {"imaps://me%00@host", "'%' in the user"},
        {"imaps://me%4@host", "'%' in the user"},
        {"imaps://me%FF@host", "not valid UTF-8"},
        {"imaps://me\r\n@host", "control character"},
        {"imaps://me@ho\rst", "control character"},
        {"imaps://me@ho st", "is not a host name"},
        {"imaps://me@host:", "the port"},
        {"imaps://me@host:0", "the port"},
        {"imaps://me@host:65536", "the port"},
        {"imaps://me@host:99999999999999999999", "the port"},
        {"imaps://me@host:-1", "the port"},
        {"imaps://me@[::1", "never closed"},
        {"imaps://me@[::1]993", "is not ':PORT'"},
        {"imaps://me@host/INBOX;UIDVALIDITY=1/;UID=2", "not supported yet"},
        {"imaps://me@host/INBOX?SUBJECT", "not supported yet"},
        {"imaps://me@host/a%0Ab", "control character"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct account a = {0};
        struct err e = {0};
        char *mailbox = NULL;
        assert_int_equal(config_url(table[i].url, &a, &mailbox, &e), -1);
        assert_int_equal(e.kind, ERR_USAGE);
        if (strstr(e.text, table[i].why) == NULL)
            fail_msg("'%s': '%s' does not say '%s'", table[i].url, e.text, table[i].why);
        assert_null(strstr(e.text, "hunter2"));
        assert_null(a.user);
        assert_null(a.net.host);
        free(mailbox);
    }
}

static void
a_url_leaves_the_rest_of_the_account_alone(void **state)
{
    (void)state;
    struct account a = {.name = xstrdup("work")};
    a.net.ca_file = xstrdup("/ca.pem");
    char *mailbox;
    struct err e;
    assert_int_equal(config_url("imaps://me@host", &a, &mailbox, &e), 0);
    assert_int_equal(config_url("imap://you@other", &a, &mailbox, &e), 0);
    assert_string_equal(a.name, "work");
    assert_string_equal(a.user, "you");
    assert_string_equal(a.net.ca_file, "/ca.pem");
    account_free(&a);
    assert_null(a.user);
}

static void
filters_become_conditions(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
        enum cond_kind kind;
        enum cond_field field;
        enum cond_test test;
        const char *text, *header;
        bool regex;
    } table[] = {
        {"subject", "a|b", COND_TEXT, FIELD_SUBJECT, TEST_REGEX, NULL, NULL, true},
        {"subject_is", "a|b", COND_TEXT, FIELD_SUBJECT, TEST_IS, "a|b", NULL, false},
        {"from", "x@y", COND_ADDRESS, FIELD_FROM, TEST_REGEX, NULL, NULL, true},
        {"from_is", "x@y", COND_ADDRESS, FIELD_FROM, TEST_IS, "x@y", NULL, false},
        {"from_domain", ".y.example", COND_ADDRESS, FIELD_FROM, TEST_DOMAIN, ".y.example", NULL,
            false},
        {"reply_to_name", "Ann", COND_ADDRESS, FIELD_REPLY_TO, TEST_NAME, NULL, NULL, true},
        {"addressed_to", "x", COND_ADDRESS, FIELD_ADDRESSED_TO, TEST_REGEX, NULL, NULL, true},
        {"list_id", "x", COND_TEXT, FIELD_LIST_ID, TEST_REGEX, NULL, NULL, true},
        {"header", "X-Spam: ^yes", COND_HEADER, 0, TEST_REGEX, NULL, "X-Spam", true},
        {"header", "X-Spam:true", COND_HEADER, 0, TEST_REGEX, NULL, "X-Spam", true},
        {"header", "X-Spam", COND_HEADER, 0, TEST_PRESENT, NULL, "X-Spam", false},
        {"any_header", "^x-", COND_ANY_HEADER, 0, TEST_REGEX, NULL, NULL, true},
        {"flag", "seen", COND_FLAG, 0, 0, "seen", NULL, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct err e = {0};
        struct cond *c = config_cond(table[i].key, table[i].value, &e);
        if (c == NULL)
            fail_msg("%s %s: %s", table[i].key, table[i].value, e.text);
        assert_int_equal(c->kind, table[i].kind);
        assert_int_equal(c->field, table[i].field);
        assert_int_equal(c->test, table[i].test);
        assert_int_equal(c->regex != NULL, table[i].regex);
        if (table[i].text != NULL)
            assert_string_equal(c->text, table[i].text);
        if (table[i].header != NULL)
            assert_string_equal(c->header, table[i].header);
        cond_free(c);
    }
}

static void
a_filter_knows_its_key_and_its_option(void **state)
{
    (void)state;
    struct err e;
    struct cond *c = config_cond("addressed_to_is", "x@y", &e);
    assert_non_null(c);
    assert_string_equal(c->key, "addressed_to");
    assert_string_equal(c->where, "--addressed-to-is");
    cond_free(c);
    c = config_cond("larger", "20K", &e);
    assert_int_equal(c->number, 20 * 1024);
    cond_free(c);
    c = config_cond("newer", "1h", &e);
    assert_int_equal(c->number, 3600 * 1000);
    cond_free(c);
    c = config_cond("flag", "!\\Seen", &e);
    assert_true(c->negated);
    assert_string_equal(c->text, "\\Seen");
    cond_free(c);
}

static void
bad_filters_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *text;
    } table[] = {
        {"subject", "a(b", "subject: regex: missing closing parenthesis\n  a(b\n     ^"},
        {"subject", "\xC3\xBC[z-a]",
            "subject: regex: range out of order in character class\n  \xC3\xBC[z-a]\n      ^"},
        {"header", "X-A: (", "header: regex: missing closing parenthesis\n  X-A: (\n        ^"},
        {"from_name", "(", "name: regex: missing closing parenthesis\n  (\n   ^"},
        {"subject", "", "subject: no value"},
        {"header", "", "header: '' is not the name of a header"},
        {"header", "X Y: z", "header: 'X Y' is not the name of a header"},
        {"larger", "big", "larger: 'big' is not a size; write bytes or K M G: 20M"},
        {"newer", "5", "newer: '5' is not a duration; write a unit: 30s 5m 2h 7d"},
        {"flag", "a b", "flag: 'a b' is not a flag; write seen, '!seen', or a keyword"},
        {"from_domain", "a@b", "domain: 'a@b' is an address; use is:"},
        {"search", "x", "match: 'search' is not supported yet"},
        {"subjct", "x", "match: unknown key 'subjct'; did you mean 'subject'?"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct err e = {0};
        assert_null(config_cond(table[i].key, table[i].value, &e));
        assert_string_equal(e.text, table[i].text);
        assert_int_equal(e.kind, ERR_USAGE);
    }
}

/* A rule with two conditions; a list when `list`. */
static int
check_two(const char *first, const char *second, bool list, const char *argument, struct err *e)
{
    struct rule r = {.match = cond_new(COND_ALL)};
    struct cond *to = r.match;
    if (list) {
        to = cond_new(COND_ANY);
        cond_add(r.match, to);
    }
    cond_add(to, config_cond("subject", first, e));
    cond_add(to, config_cond("subject", second, e));
    struct hook_opts h = {0};
    strv_add(&h.run, "prog");
    strv_add(&h.run, argument);
    int result = config_check_rule(&r, &h, e);
    assert_int_equal(config_check_rule(&r, NULL, e) == 0 || result != 0, 1);
    hook_opts_free(&h);
    cond_free(r.match);
    return result;
}

static void
rules_of_the_command_line_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second, *argument;
        bool list;
        const char *error; /* NULL: fine */
    } table[] = {
        {"(?<a>x)", "(?<b>y)", "{match_a} {match_b} {subject}", false, NULL},
        {"(?<a>x)", "(?<a>y)", "{match_a}", true, NULL},
        {"(?<a>x)", "(?<A>y)", "x", false,
            "subject: regex: another condition of this rule captures 'A' too"},
        {"(x)", "(y)", "x", true,
            "subject: regex: 'subject' of this rule has unnamed groups too; write (?<name>…) or "
            "(?:…)"},
        {"(x)", "(?:y)", "{match_1}", false, NULL},
        {"x", "y", "{sbject}", false, "unknown field 'sbject'; did you mean 'subject'?"},
        {"x", "y", "{match_1}", false, "unknown field 'match_1'; did you mean 'match'?"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct err e = {0};
        int result =
            check_two(table[i].first, table[i].second, table[i].list, table[i].argument, &e);
        assert_int_equal(result, table[i].error != NULL ? -1 : 0);
        if (table[i].error != NULL)
            assert_string_equal(e.text, table[i].error);
    }
}

static void
shells_and_programs_take_no_placeholders(void **state)
{
    (void)state;
    struct rule r = {0};
    struct err e;
    struct hook_opts h = {.sh = xstrdup("echo {subject}")};
    assert_int_equal(config_check_rule(&r, &h, &e), -1);
    assert_string_equal(
        e.text, "{subject} is never filled in a shell string; use \"$MAILCALL_SUBJECT\"");
    hook_opts_free(&h);
    h = (struct hook_opts){.sh = xstrdup("echo ${subject} {a,b} { print }")};
    assert_int_equal(config_check_rule(&r, &h, &e), 0);
    hook_opts_free(&h);
    h = (struct hook_opts){0};
    strv_add(&h.run, "{subject}");
    assert_int_equal(config_check_rule(&r, &h, &e), -1);
    hook_opts_free(&h);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(bad_urls_are_refused_and_never_repeated),
        cmocka_unit_test(a_url_leaves_the_rest_of_the_account_alone),
        cmocka_unit_test(filters_become_conditions),
        cmocka_unit_test(a_filter_knows_its_key_and_its_option),
        cmocka_unit_test(bad_filters_say_why),
        cmocka_unit_test(rules_of_the_command_line_are_checked),
        cmocka_unit_test(shells_and_programs_take_no_placeholders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
