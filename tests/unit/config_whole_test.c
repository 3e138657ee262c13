/* config: what a rule asks of the whole message and of the trusted server, and what its hook is
 * given; from the file and from the command line. */
#include "base/mem.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct config *
parse(const char *rules)
{
    struct buf text = {0};
    struct buf report = {0};
    struct err e = {0};
    buf_addf(&text,
        "accounts:\n"
        "  me: { url: imaps://me@h, password_file: p, trust_auth_results: [MX.example.org, b] }\n"
        "%s",
        rules);
    struct config *c = config_parse("x.yaml", buf_span(&text), &report, &e);
    if (c == NULL || report.n > 0)
        fail_msg("%s", buf_str(&report));
    buf_free(&report);
    buf_free(&text);
    return c;
}

static void
texts_are_searched_by_lines_and_nothing_else_is(void **state)
{
    (void)state;
    struct config *c = parse("rules:\n"
                             "- run: x\n"
                             "  match: { body: ['^a$', b], subject: c, any_header: d }\n");
    const struct cond *all = c->rules.v[0].match;
    assert_int_equal(all->n_sub, 3);
    assert_int_equal(all->sub[0]->kind, COND_ANY);
    assert_int_equal(all->sub[0]->sub[1]->kind, COND_BODY);
    assert_string_equal(all->sub[0]->sub[1]->key, "body");
    assert_true(regex_is_multiline(all->sub[0]->sub[0]->regex));
    assert_false(regex_is_multiline(all->sub[1]->regex));
    assert_false(regex_is_multiline(all->sub[2]->regex));
    config_free(c);
}

static void
attachments_are_described(void **state)
{
    (void)state;
    struct config *c =
        parse("rules:\n"
              "- { name: a, run: x, match: { attachment: true } }\n"
              "- { name: b, run: x, match: { attachment: false } }\n"
              "- { name: c, run: x, match: { attachment: '*.pdf' } }\n"
              "- { name: d, run: x, match: { attachment: 'false' } }\n"
              "- name: e\n"
              "  run: x\n"
              "  match: { attachment: { name: 'a*', type: 'image/*', larger: 2K, count: 3 } }\n");
    static const struct {
        const char *name, *type;
        uint64_t larger;
        unsigned count;
    } wanted[] = {
        {NULL, NULL, 0, 0},
        {NULL, NULL, 0, 0},
        {"*.pdf", NULL, 0, 0},
        {"false", NULL, 0, 0},
        {"a*", "image/*", 2048, 3},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const struct cond *m = c->rules.v[i].match;
        assert_int_equal(m->kind, COND_ATTACHMENT);
        assert_int_equal(m->negated, i == 1);
        assert_int_equal(m->attachment.name != NULL, wanted[i].name != NULL);
        if (wanted[i].name != NULL)
            assert_string_equal(m->attachment.name, wanted[i].name);
        if (wanted[i].type != NULL)
            assert_string_equal(m->attachment.type, wanted[i].type);
        assert_int_equal(m->attachment.larger, wanted[i].larger);
        assert_int_equal(m->attachment.count, wanted[i].count);
    }
    config_free(c);
}

static void
servers_are_trusted_in_lower_case(void **state)
{
    (void)state;
    struct config *c = parse("rules: [{ run: x }]\n");
    const struct strv *trusted = &c->accounts[0].trusted;
    assert_int_equal(trusted->n, 2);
    assert_string_equal(trusted->v[0], "mx.example.org");
    assert_string_equal(trusted->v[1], "b");
    config_free(c);
    struct account a = {0};
    struct err e = {0};
    assert_int_equal(config_trust(&a, "Mx.X", &e), 0);
    assert_string_equal(a.trusted.v[0], "mx.x");
    assert_int_equal(config_trust(&a, "mx.x", &e), -1);
    assert_string_equal(e.text, "'mx.x' is listed twice");
    assert_int_equal(config_trust(&a, "a b", &e), -1);
    assert_int_equal(e.kind, ERR_USAGE);
    account_free(&a);
}

static void
a_domain_alone_asks_for_a_good_signature(void **state)
{
    (void)state;
    struct config *c = parse("rules:\n"
                             "- { name: a, run: x, match: { auth: { dkim_domain: d.example } } }\n"
                             "- name: b\n"
                             "  run: x\n"
                             "  match: { auth: { dkim: none, spf: PASS, dmarc: pass } }\n");
    const struct cond_auth *a = &c->rules.v[0].match->auth;
    assert_string_equal(a->dkim, "pass");
    assert_string_equal(a->dkim_domain, "d.example");
    assert_null(a->spf);
    const struct cond_auth *b = &c->rules.v[1].match->auth;
    assert_string_equal(b->dkim, "none");
    assert_null(b->dkim_domain);
    assert_string_equal(b->spf, "PASS");
    assert_string_equal(b->dmarc, "pass");
    config_free(c);
}

static void
hooks_are_given_what_rules_and_defaults_say(void **state)
{
    (void)state;
    struct config *c = parse("defaults:\n"
                             "  stdin: body\n"
                             "  attachments: decode\n"
                             "  headers: [X-A, X-B]\n"
                             "  stdin_eol: crlf\n"
                             "  env_inherit: none\n"
                             "  output: discard\n"
                             "rules:\n"
                             "- { name: a, run: x }\n"
                             "- name: b\n"
                             "  run: x\n"
                             "  stdin: message\n"
                             "  attachments: none\n"
                             "  headers: [X-C]\n"
                             "  stdin_eol: lf\n"
                             "  env_inherit: all\n"
                             "  output: log\n");
    for (int own = 0; own < 2; own++) {
        const struct hook_opts *h = &c->hooks[own];
        assert_int_equal(h->stdin_kind, own ? STDIN_MESSAGE : STDIN_BODY);
        assert_int_equal(h->decode, !own);
        assert_int_equal(h->headers.n, own ? 1 : 2);
        assert_string_equal(h->headers.v[0], own ? "X-C" : "X-A");
        assert_int_equal(h->eol, own ? EOL_LF : EOL_CRLF);
        assert_int_equal(h->bare_env, !own);
        assert_int_equal(h->output, own ? OUTPUT_LOG : OUTPUT_DISCARD);
    }
    config_free(c);
    c = parse("rules: [{ run: x }]\n");
    assert_false(c->hooks[0].decode);
    assert_false(c->hooks[0].bare_env);
    assert_int_equal(c->hooks[0].eol, EOL_LF);
    assert_int_equal(c->hooks[0].headers.n, 0);
    config_free(c);
}

static struct cond *
filter(const char *key, const char *value)
{
    struct err e = {0};
    struct cond *c = config_cond(key, value, &e);
    if (c == NULL)
        fail_msg("%s", e.text);
    return c;
}

static void
the_command_line_speaks_the_same_language(void **state)
{
    (void)state;
    struct cond *c = filter("body", "^(\\d{6})$");
    assert_int_equal(c->kind, COND_BODY);
    assert_true(regex_is_multiline(c->regex));
    cond_free(c);
    c = filter("attachment", "true");
    assert_int_equal(c->kind, COND_ATTACHMENT);
    assert_null(c->attachment.name);
    cond_free(c);
    c = filter("attachment", "*.pdf");
    assert_string_equal(c->attachment.name, "*.pdf");
    cond_free(c);
}

static void
auth_on_the_command_line_has_to_pass(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *dkim, *domain, *spf, *dmarc;
    } table[] = {
        {"dkim=.example.com", "pass", ".example.com", NULL, NULL},
        {"dkim", "pass", NULL, NULL, NULL},
        {"spf", NULL, NULL, "pass", NULL},
        {"dmarc", NULL, NULL, NULL, "pass"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct cond *c = filter("auth", table[i].value);
        const char *got[] = {c->auth.dkim, c->auth.dkim_domain, c->auth.spf, c->auth.dmarc};
        const char *want[] = {table[i].dkim, table[i].domain, table[i].spf, table[i].dmarc};
        assert_int_equal(c->kind, COND_AUTH);
        for (size_t k = 0; k < 4; k++) {
            assert_int_equal(got[k] == NULL, want[k] == NULL);
            if (want[k] != NULL)
                assert_string_equal(got[k], want[k]);
        }
        cond_free(c);
    }
}

static void
bad_filters_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *text;
    } table[] = {
        {"auth", "dkin", "auth: unknown key 'dkin'; did you mean 'dkim'?"},
        {"auth", "", "auth: unknown key ''"},
        {"auth", "spf=pass", "auth: unknown key 'spf=pass'"},
        {"auth", "dkim=a@b.example", "dkim_domain: 'a@b.example' is an address, not a domain"},
        {"attachment", "", "attachment: no value"},
        {"body", "(x", "body: regex: missing closing parenthesis\n  (x\n    ^"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct err e = {0};
        assert_null(config_cond(table[i].key, table[i].value, &e));
        assert_int_equal(e.kind, ERR_USAGE);
        assert_string_equal(e.text, table[i].text);
    }
}

static void
a_rule_may_name_the_headers_it_asks_for(void **state)
{
    (void)state;
    struct rule r = {0};
    struct hook_opts h = {0};
    struct err e = {0};
    strv_add(&h.run, "x");
    strv_add(&h.run, "{header_list_id}");
    assert_int_equal(config_check_rule(&r, &h, &e), -1);
    assert_string_equal(e.text, "unknown field 'header_list_id'; list the header under headers:");
    strv_add(&h.headers, "List-Id");
    assert_int_equal(config_check_rule(&r, &h, &e), 0);
    strv_free(&h.run);
    strv_free(&h.headers);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_searched_by_lines_and_nothing_else_is),
        cmocka_unit_test(attachments_are_described),
        cmocka_unit_test(servers_are_trusted_in_lower_case),
        cmocka_unit_test(a_domain_alone_asks_for_a_good_signature),
        cmocka_unit_test(hooks_are_given_what_rules_and_defaults_say),
        cmocka_unit_test(the_command_line_speaks_the_same_language),
        cmocka_unit_test(auth_on_the_command_line_has_to_pass),
        cmocka_unit_test(bad_filters_are_refused),
        cmocka_unit_test(a_rule_may_name_the_headers_it_asks_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
