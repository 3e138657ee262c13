/* config: what a file becomes, and the files themselves: modes, includes, where they are found. */
#include "base/mem.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCOUNT "accounts:\n  me: { url: imaps://me@imap.example.org, password_file: p }\n"

static char folder[] = "/tmp/config_load_XXXXXX";

static char *
in_folder(const char *name)
{
    return xasprintf("%s/%s", folder, name);
}

static void
write_file(const char *name, mode_t mode, const char *text)
{
    char *path = in_folder(name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
    free(path);
}

static void
make_folder(const char *name)
{
    char *path = in_folder(name);
    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
}

static struct config *
parse(const char *text)
{
    struct buf report = {0};
    struct err e = {0};
    struct config *c = config_parse("x.yaml", span_str(text), &report, &e);
    if (c == NULL || report.n > 0)
        fail_msg("%s", buf_str(&report));
    buf_free(&report);
    return c;
}

/* The report on a file of the folder; the caller frees. */
static char *
report_on(const char *name)
{
    struct buf report = {0};
    struct err e = {0};
    char *path = in_folder(name);
    struct config *c = config_load(path, &report, &e);
    if (c == NULL)
        assert_int_equal(e.kind, ERR_CONFIG);
    config_free(c);
    free(path);
    return buf_take(&report);
}

static void
an_account_is_as_it_was_written(void **state)
{
    (void)state;
    struct config *c =
        parse("accounts:\n"
              "  a:\n"
              "    host: mail.internal\n"
              "    tls: starttls\n"
              "    user: bot\n"
              "    tls_fingerprint: "
              "SHA256:9F:86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n"
              "    tls_ca_file: /etc/ca.pem\n"
              "    mailboxes: [INBOX, \xC3\x9C/b]\n"
              "    password_command: [pass, show, x]\n"
              "  b: { host: '::1', tls: none, user: u, token_command: oama access u }\n"
              "  c: { host: h, port: 1993, user: u, password_file: /run/p, mailboxes: Only }\n"
              "  d: { url: imap://u@h, password_credential: cred }\n"
              "rules: [{ run: x }]\n");
    assert_int_equal(c->n_accounts, 4);
    const struct account *a = c->accounts;
    assert_string_equal(a[0].name, "a");
    assert_string_equal(a[0].user, "bot");
    assert_string_equal(a[0].net.host, "mail.internal");
    assert_int_equal(a[0].net.port, 143);
    assert_int_equal(a[0].net.tls, STREAM_STARTTLS);
    assert_string_equal(a[0].net.ca_file, "/etc/ca.pem");
    assert_string_equal(
        a[0].net.fingerprint, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
    assert_int_equal(a[0].mailboxes.n, 2);
    assert_int_equal(a[0].secret.kind, SECRET_COMMAND);
    assert_int_equal(a[0].secret.argv.n, 3);
    assert_false(a[0].secret.shell);
    assert_int_equal(a[1].net.tls, STREAM_PLAIN);
    assert_int_equal(a[1].secret.kind, SECRET_TOKEN_COMMAND);
    assert_true(a[1].secret.shell);
    assert_string_equal(a[1].secret.argv.v[0], "oama access u");
    assert_string_equal(a[1].mailboxes.v[0], "INBOX");
    assert_int_equal(a[2].net.port, 1993);
    assert_int_equal(a[2].net.tls, STREAM_IMPLICIT);
    assert_string_equal(a[2].secret.text, "/run/p");
    assert_string_equal(a[2].mailboxes.v[0], "Only");
    assert_int_equal(a[3].net.tls, STREAM_STARTTLS);
    assert_int_equal(a[3].secret.kind, SECRET_CREDENTIAL);
    config_free(c);
}

static void
rules_inherit_defaults_and_merge_env(void **state)
{
    (void)state;
    struct config *c = parse("rules:\n"
                             "  - { name: plain, run: [x, y] }\n"
                             "  - { name: own, sh: 'echo', stdin: none, env: { A: 3, C: ~ },\n"
                             "      timeout: 2m, kill_after: 0, cwd: /tmp, umask: 22, stop: true,\n"
                             "      enabled: false }\n"
                             "defaults: { stdin: headers, env: { A: 1, B: 2 }, timeout: 1m,\n"
                             "            kill_after: 1s, cwd: /, umask: '0027' }\n" ACCOUNT);
    const struct hook_opts *h = c->hooks;
    assert_int_equal(c->rules.n, 2);
    assert_int_equal(h[0].stdin_kind, STDIN_HEADERS);
    assert_int_equal(h[0].timeout_ms, 60000);
    assert_int_equal(h[0].kill_after_ms, 1000);
    assert_int_equal(h[0].umask, 027);
    assert_string_equal(h[0].cwd, "/");
    assert_int_equal(h[0].run.n, 2);
    assert_null(h[0].sh);
    assert_int_equal(h[0].env.n, 2);
    assert_string_equal(h[0].env.v[0], "A=1");
    assert_false(c->rules.v[0].stop);
    assert_true(c->rules.v[0].enabled);
    assert_string_equal(c->rules.v[0].where, "x.yaml:2");
    assert_int_equal(h[1].stdin_kind, STDIN_NONE);
    assert_int_equal(h[1].timeout_ms, 120000);
    assert_int_equal(h[1].kill_after_ms, 0);
    assert_int_equal(h[1].umask, 022);
    assert_string_equal(h[1].cwd, "/tmp");
    assert_string_equal(h[1].sh, "echo");
    assert_int_equal(h[1].env.n, 3);
    assert_string_equal(h[1].env.v[0], "A=3");
    assert_string_equal(h[1].env.v[1], "B=2");
    assert_string_equal(h[1].env.v[2], "C=~");
    assert_true(c->rules.v[1].stop);
    assert_false(c->rules.v[1].enabled);
    config_free(c);
}

static void
assert_retry(const struct retry_opts *o, unsigned attempts, uint64_t backoff_s, uint64_t most_s)
{
    assert_int_equal(o->attempts, attempts);
    assert_int_equal(o->backoff_ms, backoff_s * 1000);
    assert_int_equal(o->max_backoff_ms, most_s * 1000);
}

static void
assert_manners(const struct queue_rule *m, struct queue_rule want)
{
    assert_int_equal(m->concurrency, want.concurrency);
    assert_int_equal(m->debounce_ms, want.debounce_ms);
    assert_int_equal(m->max_delay_ms, want.max_delay_ms);
    assert_int_equal(m->on_busy, want.on_busy);
}

static void
without_defaults_the_manual_holds(void **state)
{
    (void)state;
    setenv("HOME", "/home/ann", 1);
    struct config *c =
        parse(ACCOUNT "rules: [{ run: x }, { run: x, cwd: '~' }, { run: x, cwd: ~/sub }]\n");
    const struct hook_opts *h = &c->hooks[0];
    assert_int_equal(h->stdin_kind, STDIN_MESSAGE);
    assert_int_equal(h->output, OUTPUT_LOG);
    assert_int_equal(h->timeout_ms, 300000);
    assert_int_equal(h->kill_after_ms, 10000);
    assert_int_equal(h->umask, 077);
    assert_string_equal(h->cwd, "/home/ann");
    assert_string_equal(c->hooks[1].cwd, "/home/ann");
    assert_string_equal(c->hooks[2].cwd, "/home/ann/sub");
    assert_false(c->daemon.allow_root);
    assert_int_equal(c->daemon.max_hooks, 8);
    assert_int_equal(c->daemon.shutdown_timeout_ms, 30000);
    assert_int_equal(c->daemon.keep_failed_ms, (uint64_t)30 * 86400 * 1000);
    assert_int_equal(c->accounts[0].first_run, FIRST_RUN_NEW);
    assert_manners(&c->manners[0], (struct queue_rule){1, 0, 60000, BUSY_QUEUE});
    assert_int_equal(h->on_success.n, 0);
    assert_int_equal(h->on_failure.n, 0);
    assert_null(c->rules.v[0].match);
    assert_int_equal(c->rules.v[0].in.n, 0);
    assert_retry(&c->retries[0], 6, 30, 3600);
    assert_false(c->retries[0].any);
    assert_int_equal(c->retries[0].n_codes, 2);
    assert_int_equal(c->retries[0].codes[0], 75);
    assert_int_equal(c->retries[0].codes[1], 111);
    config_free(c);
}

static void
retry_of_a_rule_replaces_all_that_the_defaults_say(void **state)
{
    (void)state;
    struct config *c = parse("rules:\n"
                             "  - run: a\n"
                             "  - { run: b, retry: none }\n"
                             "  - { run: c, retry: { attempts: 2, codes: [1, 255] } }\n"
                             "  - { run: d, retry: { codes: any, max_backoff: 1m } }\n"
                             "  - { run: e, retry: { backoff: 1m30s, codes: [] } }\n"
                             "  - { run: f, retry: { codes: 3 } }\n"
                             "defaults: { retry: { attempts: 9, backoff: 2s, max_backoff: 3s,\n"
                             "                     codes: [7] } }\n" ACCOUNT);
    const struct retry_opts *o = c->retries;
    assert_retry(&o[0], 9, 2, 3);
    assert_int_equal(o[0].n_codes, 1);
    assert_int_equal(o[0].codes[0], 7);
    assert_int_equal(o[1].attempts, 1);
    assert_retry(&o[2], 2, 30, 3600);
    assert_false(o[2].any);
    assert_int_equal(o[2].n_codes, 2);
    assert_int_equal(o[2].codes[0], 1);
    assert_int_equal(o[2].codes[1], 255);
    assert_retry(&o[3], 6, 30, 60);
    assert_true(o[3].any);
    assert_int_equal(o[3].n_codes, 0);
    assert_retry(&o[4], 6, 90, 3600);
    assert_false(o[4].any);
    assert_int_equal(o[4].n_codes, 0);
    assert_int_equal(o[5].n_codes, 1);
    assert_int_equal(o[5].codes[0], 3);
    config_free(c);
}

static void
the_process_and_the_first_run_are_as_they_were_written(void **state)
{
    (void)state;
    struct config *c = parse("daemon: { max_hooks: 3, shutdown_timeout: 0s, keep_failed: 1w,\n"
                             "          allow_root: true }\n"
                             "accounts:\n"
                             "  a: { url: imaps://u@h, password_file: p, first_run: unseen }\n"
                             "  b: { url: imaps://u@h, password_file: p, first_run: all }\n"
                             "  c: { url: imaps://u@h, password_file: p, first_run: 7d }\n"
                             "  d: { url: imaps://u@h, password_file: p, first_run: new }\n"
                             "rules: [{ run: x }]\n");
    assert_true(c->daemon.allow_root);
    assert_int_equal(c->daemon.max_hooks, 3);
    assert_int_equal(c->daemon.shutdown_timeout_ms, 0);
    assert_int_equal(c->daemon.keep_failed_ms, 7 * 86400 * 1000);
    assert_int_equal(c->accounts[0].first_run, FIRST_RUN_UNSEEN);
    assert_int_equal(c->accounts[1].first_run, FIRST_RUN_ALL);
    assert_int_equal(c->accounts[2].first_run, FIRST_RUN_AGE);
    assert_int_equal(c->accounts[2].first_age_ms, 7 * 86400 * 1000);
    assert_int_equal(c->accounts[3].first_run, FIRST_RUN_NEW);
    config_free(c);
}

static void
manners_are_inherited_one_by_one(void **state)
{
    (void)state;
    struct config *c = parse("rules:\n"
                             "  - run: a\n"
                             "  - { run: b, debounce: off, on_busy: queue }\n"
                             "  - { run: c, debounce: 2s, max_delay: 3s, concurrency: 1000 }\n"
                             "  - { run: d, max_delay: 20s }\n"
                             "defaults: { debounce: 5s, max_delay: 10s, concurrency: 2,\n"
                             "            on_busy: restart }\n" ACCOUNT);
    assert_manners(&c->manners[0], (struct queue_rule){2, 5000, 10000, BUSY_RESTART});
    assert_manners(&c->manners[1], (struct queue_rule){2, 0, 10000, BUSY_QUEUE});
    assert_manners(&c->manners[2], (struct queue_rule){1000, 2000, 3000, BUSY_RESTART});
    assert_manners(&c->manners[3], (struct queue_rule){2, 5000, 20000, BUSY_RESTART});
    config_free(c);
}

static void
max_delay_is_a_minute_or_as_long_as_a_longer_debounce(void **state)
{
    (void)state;
    struct config *c = parse("rules:\n"
                             "  - { run: a, debounce: 59s, on_busy: skip }\n"
                             "  - { run: b, debounce: 2m }\n"
                             "  - run: c\n" ACCOUNT);
    assert_manners(&c->manners[0], (struct queue_rule){1, 59000, 60000, BUSY_SKIP});
    assert_manners(&c->manners[1], (struct queue_rule){1, 120000, 120000, BUSY_QUEUE});
    assert_manners(&c->manners[2], (struct queue_rule){1, 0, 60000, BUSY_QUEUE});
    config_free(c);
}

static void
the_command_line_reads_manners_as_the_file_does(void **state)
{
    (void)state;
    struct err e = {0};
    struct queue_rule m = {.concurrency = 1};
    assert_int_equal(config_manner(&m, "debounce", "2s", &e), 0);
    assert_int_equal(config_manner(&m, "on_busy", "restart", &e), 0);
    assert_int_equal(config_manner(&m, "concurrency", "4", &e), 0);
    assert_int_equal(config_settle_manners(&m, &e), 0);
    assert_manners(&m, (struct queue_rule){4, 2000, 60000, BUSY_RESTART});

    assert_int_equal(config_manner(&m, "max_delay", "1s", &e), 0);
    assert_int_equal(config_settle_manners(&m, &e), -1);
    assert_int_equal(e.kind, ERR_USAGE);
    assert_string_equal(e.text, "shorter than debounce");
    assert_int_equal(config_manner(&m, "debounce", "off", &e), 0);
    assert_int_equal(config_settle_manners(&m, &e), -1);
    assert_string_equal(e.text, "says nothing without debounce");

    assert_int_equal(config_manner(&m, "on_busy", "skipp", &e), -1);
    assert_int_equal(e.kind, ERR_USAGE);
    assert_string_equal(e.text, "'skipp' is not one of queue, skip, restart; did you mean 'skip'?");
}

/* One line for each action, its texts in angles. */
static void
assert_actions(const struct actions *a, const char *want)
{
    struct buf got = {0};
    for (size_t i = 0; i < a->n; i++) {
        buf_addf(&got, "%s", action_name(a->v[i].kind));
        if (a->v[i].text != NULL)
            buf_addf(&got, " <%s>", a->v[i].text);
        for (size_t k = 0; k < a->v[i].run.n; k++)
            buf_addf(&got, " <%s>", a->v[i].run.v[k]);
        buf_addc(&got, '\n');
    }
    assert_string_equal(buf_str(&got), want);
    buf_free(&got);
}

static void
actions_keep_the_order_of_the_file(void **state)
{
    (void)state;
    struct config *c =
        parse("rules:\n"
              "  - run: a\n"
              "    on_success:\n"
              "      - flag: SEEN\n"
              "      - unflag: '\\flagged'\n"
              "      - run: notify\n"
              "      - run: [echo, '{hook_status}', '']\n"
              "      - copy: A/b\n"
              "      - { flag: Done, move: INBOX/\xC3\x9C }\n"
              "      - sh: 'echo moved'\n"
              "    on_failure: { sh: x, flag: b, delete: true, run: [y] }\n" ACCOUNT);
    assert_actions(&c->hooks[0].on_success, "flag <\\Seen>\n"
                                            "unflag <\\Flagged>\n"
                                            "run <notify>\n"
                                            "run <echo> <{hook_status}> <>\n"
                                            "copy <A/b>\n"
                                            "flag <Done>\n"
                                            "move <INBOX/\xC3\x9C>\n"
                                            "sh <echo moved>\n");
    assert_actions(&c->hooks[0].on_failure, "sh <x>\n"
                                            "flag <b>\n"
                                            "delete\n"
                                            "run <y>\n");
    config_free(c);
}

static void
actions_of_a_rule_replace_those_of_the_defaults(void **state)
{
    (void)state;
    struct config *c = parse("rules:\n"
                             "  - run: a\n"
                             "  - { run: b, on_success: { flag: own } }\n"
                             "  - { run: c, on_success: none, on_failure: none }\n"
                             "defaults:\n"
                             "  on_success: [{ flag: seen }, { flag: x }]\n"
                             "  on_failure: { run: [report, '{rule}'] }\n" ACCOUNT);
    const struct hook_opts *h = c->hooks;
    assert_actions(&h[0].on_success, "flag <\\Seen>\nflag <x>\n");
    assert_actions(&h[0].on_failure, "run <report> <{rule}>\n");
    assert_actions(&h[1].on_success, "flag <own>\n");
    assert_actions(&h[1].on_failure, "run <report> <{rule}>\n");
    assert_actions(&h[2].on_success, "");
    assert_actions(&h[2].on_failure, "");
    config_free(c);
}

static void
the_hook_itself_cannot_be_told_how_it_ended(void **state)
{
    (void)state;
    struct err e = {0};
    struct rule rule = {0};
    struct hook_opts hook = {0};
    strv_add(&hook.run, "echo");
    strv_add(&hook.run, "{subject}");
    assert_int_equal(config_check_rule(&rule, &hook, &e), 0);
    strv_add(&hook.run, "{hook_status}");
    assert_int_equal(config_check_rule(&rule, &hook, &e), -1);
    assert_int_equal(e.kind, ERR_USAGE);
    assert_int_equal(strncmp(e.text, "'hook_status' is known once", 27), 0);
    hook_opts_free(&hook);
}

static void
conditions_become_a_tree(void **state)
{
    (void)state;
    struct config *c = parse(ACCOUNT "rules:\n"
                                     "  - run: x\n"
                                     "    match:\n"
                                     "      from: [{ domain: a.example }, { is: b@c.example }]\n"
                                     "      header: { X-A: true, X-B: false }\n"
                                     "      flag: '!seen'\n"
                                     "      not: { subject: y }\n"
                                     "      any: [{ larger: 1K }, { subject: a, to: b }]\n"
                                     "  - { run: y, match: { subject: 'only' } }\n");
    const struct cond *m = c->rules.v[0].match;
    assert_int_equal(m->kind, COND_ALL);
    assert_int_equal(m->n_sub, 5);
    assert_int_equal(m->sub[0]->kind, COND_ANY);
    assert_int_equal(m->sub[0]->sub[0]->test, TEST_DOMAIN);
    assert_string_equal(m->sub[0]->sub[0]->key, "from");
    assert_string_equal(m->sub[0]->sub[0]->where, "x.yaml:6:24");
    assert_int_equal(m->sub[0]->sub[1]->test, TEST_IS);
    assert_int_equal(m->sub[1]->kind, COND_ALL);
    assert_int_equal(m->sub[1]->sub[0]->test, TEST_PRESENT);
    assert_int_equal(m->sub[1]->sub[1]->test, TEST_ABSENT);
    assert_string_equal(m->sub[1]->sub[1]->header, "X-B");
    assert_true(m->sub[2]->negated);
    assert_int_equal(m->sub[3]->kind, COND_NOT);
    assert_int_equal(m->sub[3]->n_sub, 1);
    assert_int_equal(m->sub[3]->sub[0]->kind, COND_TEXT);
    assert_int_equal(m->sub[4]->kind, COND_ANY);
    assert_int_equal(m->sub[4]->sub[0]->kind, COND_LARGER);
    assert_int_equal(m->sub[4]->sub[0]->number, 1024);
    assert_int_equal(m->sub[4]->sub[1]->kind, COND_ALL);
    assert_int_equal(c->rules.v[1].match->kind, COND_TEXT);
    config_free(c);
}

static void
nameless_rules_are_called_by_their_content(void **state)
{
    (void)state;
    struct config *a = parse(ACCOUNT "rules: [{ run: [x, y] }, { run: [x] }]\n");
    struct config *b = parse(ACCOUNT "rules:\n\n  - run:   # comment\n      - x\n      - 'y'\n");
    const char *name = a->rules.v[0].name;
    assert_int_equal(strlen(name), strlen("rule-01234567"));
    assert_int_equal(strncmp(name, "rule-", 5), 0);
    assert_string_equal(name, b->rules.v[0].name);
    assert_string_not_equal(name, a->rules.v[1].name);
    config_free(a);
    config_free(b);
}

static void
secrets_are_named_for_scrubbing(void **state)
{
    (void)state;
    struct buf report = {0};
    struct err e;
    struct config *c = config_parse("x.yaml",
        SPAN("accounts: { a: { url: imaps://u@h, password_env: MY_PASS } }\nrules: [{ run: x }]\n"),
        &report, &e);
    assert_non_null(c);
    assert_true(strv_has(&c->secrets, "MY_PASS"));
    assert_true(strv_has(&c->secrets, "CREDENTIALS_DIRECTORY"));
    assert_true(strv_has(&c->secrets, "NOTIFY_SOCKET"));
    assert_true(strv_has(&c->secrets, "WATCHDOG_*"));
    assert_true(strv_has(&c->secrets, "LISTEN_*"));
    config_free(c);
    buf_free(&report);
}

static void
a_password_in_clear_wants_a_private_file(void **state)
{
    (void)state;
    static const char text[] =
        "accounts:\n  me: { url: imaps://me@h, password: hunter2 }\nrules: [{ run: x }]\n";
    write_file("mode.yaml", 0600, text);
    char *report = report_on("mode.yaml");
    assert_string_equal(report, "");
    free(report);

    static const mode_t open_modes[] = {0640, 0604, 0620, 0644, 0666};
    char *want = xasprintf("%s/mode.yaml:2:28: error: password: other users may read this file\n"
                           "    2 |   me: { url: imaps://me@h, password: ***\n"
                           "      |                            ^ chmod 600 %s/mode.yaml\n",
        folder, folder);
    for (size_t i = 0; i < sizeof open_modes / sizeof *open_modes; i++) {
        write_file("mode.yaml", open_modes[i], text);
        report = report_on("mode.yaml");
        assert_string_equal(report, want);
        free(report);
    }
    free(want);
}

static void
a_password_in_clear_wants_a_file_of_ours_or_roots(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip(); /* only root can give a file away */
    write_file("owner.yaml", 0600,
        "accounts:\n  me: { url: imaps://me@h, password: hunter2 }\nrules: [{ run: x }]\n");
    char *path = in_folder("owner.yaml");
    assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
    char *report = report_on("owner.yaml");
    assert_non_null(strstr(report, "error: password: this file belongs to another user"));
    assert_null(strstr(report, "hunter2"));
    free(report);
    free(path);
}

static void
the_mode_of_the_file_that_holds_the_password_counts(void **state)
{
    (void)state;
    make_folder("secret.d");
    write_file("outer.yaml", 0644, "include: secret.d/*\nrules: [{ run: x }]\n");
    write_file("secret.d/a", 0600, "accounts: { a: { url: imaps://u@h, password: p } }\n");
    char *report = report_on("outer.yaml");
    assert_string_equal(report, "");
    free(report);
    write_file("secret.d/a", 0644, "accounts: { a: { url: imaps://u@h, password: p } }\n");
    report = report_on("outer.yaml");
    assert_non_null(strstr(report, "secret.d/a:1:36: error: password: "));
    free(report);
}

static void
includes_are_appended_in_order(void **state)
{
    (void)state;
    make_folder("[glob]");
    make_folder("[glob]/d");
    write_file("[glob]/main.yaml", 0644,
        ACCOUNT "include: ['d/*.yaml', last.yaml]\nrules: [{ name: main, run: x }]\n"
                "defaults: { umask: '0' }\n");
    write_file("[glob]/d/2.yaml", 0644, "rules: [{ name: two, run: x, in: one }]\n");
    write_file("[glob]/d/1.yaml", 0644,
        "accounts: { one: { url: imaps://u@h, password_file: secret } }\n"
        "rules: [{ name: one, run: x, in: me }]\n");
    write_file("[glob]/d/ignored", 0644, "nonsense\n");
    write_file("[glob]/last.yaml", 0644, "rules: [{ name: three, run: x }]\n");
    struct buf report = {0};
    struct err e;
    char *path = in_folder("[glob]/main.yaml");
    struct config *c = config_load(path, &report, &e);
    assert_string_equal(buf_str(&report), "");
    assert_non_null(c);
    static const char *const names[] = {"main", "one", "two", "three"};
    assert_int_equal(c->rules.n, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(c->rules.v[i].name, names[i]);
        assert_int_equal(c->hooks[i].umask, 0);
    }
    assert_int_equal(c->n_accounts, 2);
    char *secret = in_folder("[glob]/d/secret");
    assert_string_equal(c->accounts[1].secret.text, secret);
    char *hooks = in_folder("[glob]/hooks");
    assert_int_equal(c->hooks[0].path.n, 1);
    assert_string_equal(c->hooks[0].path.v[0], hooks);
    free(secret);
    free(hooks);
    free(path);
    config_free(c);
    buf_free(&report);
}

static void
paths_in_the_file_begin_at_its_folder(void **state)
{
    (void)state;
    write_file("paths.yaml", 0644,
        "accounts: { a: { url: imaps://u@h, password_file: ~/p, tls_ca_file: ca.pem } }\n"
        "rules: [{ run: x }]\n");
    setenv("HOME", "/home/ann", 1);
    struct buf report = {0};
    struct err e;
    assert_int_equal(chdir(folder), 0);
    struct config *c = config_load("paths.yaml", &report, &e);
    assert_non_null(c);
    char *ca = in_folder("ca.pem");
    char *hooks = in_folder("hooks");
    assert_string_equal(c->accounts[0].net.ca_file, ca);
    assert_string_equal(c->accounts[0].secret.text, "/home/ann/p");
    assert_string_equal(c->hooks[0].path.v[0], hooks);
    free(ca);
    free(hooks);
    config_free(c);
    buf_free(&report);
}

static void
standard_input_is_a_file_without_a_folder_of_hooks(void **state)
{
    (void)state;
    write_file("stdin.yaml", 0600, ACCOUNT "rules: [{ run: x }]\n");
    char *path = in_folder("stdin.yaml");
    int saved = dup(STDIN_FILENO);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && saved >= 0);
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    struct buf report = {0};
    struct err e;
    struct config *c = config_load("-", &report, &e);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(fd);
    assert_non_null(c);
    assert_int_equal(c->hooks[0].path.n, 0);
    assert_string_equal(c->rules.v[0].where, "-:3");
    config_free(c);
    buf_free(&report);
    free(path);
}

static void
what_cannot_be_read_is_no_configuration_error(void **state)
{
    (void)state;
    struct buf report = {0};
    struct err e = {0};
    char *path = in_folder("nowhere.yaml");
    assert_null(config_load(path, &report, &e));
    assert_int_equal(e.kind, ERR_INPUT);
    assert_non_null(strstr(e.text, "No such file or directory"));
    assert_null(config_load(folder, &report, &e));
    assert_int_equal(e.kind, ERR_INPUT);
    free(path);

    struct buf big = {0};
    for (int i = 0; i < 1024 * 1024 / 16 + 1; i++)
        buf_adds(&big, "# 16 bytes here\n");
    write_file("big.yaml", 0644, buf_str(&big));
    path = in_folder("big.yaml");
    assert_null(config_load(path, &report, &e));
    assert_int_equal(e.kind, ERR_INPUT);
    assert_non_null(strstr(e.text, "big.yaml: larger than 1024 KiB"));
    assert_int_equal(report.n, 0);
    buf_free(&big);
    free(path);
}

static void
the_error_counts_what_the_report_shows(void **state)
{
    (void)state;
    struct buf report = {0};
    struct err e = {0};
    assert_null(config_parse("x.yaml", SPAN("accounts: []\nrulez: x\n"), &report, &e));
    assert_string_equal(e.text, "x.yaml: 2 errors");
    buf_clear(&report);
    assert_null(config_parse("x.yaml", SPAN(ACCOUNT "include: /dev/zero\n"), &report, &e));
    assert_string_equal(e.text, "x.yaml: 1 error");
    assert_non_null(strstr(buf_str(&report), "include: nothing can be included here"));
    buf_free(&report);
}

static void
the_configuration_is_found_where_the_manual_says(void **state)
{
    (void)state;
    struct err e = {0};
    make_folder("xdg");
    make_folder("xdg/mailcall");
    make_folder("home");
    make_folder("home/.config");
    make_folder("home/.config/mailcall");
    char *xdg = in_folder("xdg");
    char *home = in_folder("home");
    char *named = in_folder("named.yaml");
    setenv("XDG_CONFIG_HOME", xdg, 1);
    setenv("HOME", home, 1);
    setenv("MAILCALL_CONFIG", named, 1);

    assert_null(config_find(&e));
    assert_int_equal(e.kind, ERR_CONFIG);
    write_file("named.yaml", 0644, "");
    char *found = config_find(&e);
    assert_string_equal(found, named);
    free(found);

    unsetenv("MAILCALL_CONFIG");
    write_file("xdg/mailcall/mailcall.yaml", 0644, "");
    found = config_find(&e);
    assert_non_null(strstr(found, "/xdg/mailcall/mailcall.yaml"));
    free(found);

    unsetenv("XDG_CONFIG_HOME");
    write_file("home/.config/mailcall/mailcall.yaml", 0644, "");
    found = config_find(&e);
    assert_non_null(strstr(found, "/home/.config/mailcall/mailcall.yaml"));
    free(found);
    free(xdg);
    free(home);
    free(named);
}

static void
no_configuration_names_the_places(void **state)
{
    (void)state;
    struct err e = {0};
    if (access("/etc/mailcall/mailcall.yaml", F_OK) == 0)
        skip();
    unsetenv("MAILCALL_CONFIG");
    setenv("XDG_CONFIG_HOME", "/nowhere", 1);
    assert_null(config_find(&e));
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_string_equal(e.text, "no configuration: neither /nowhere/mailcall/mailcall.yaml nor "
                                "/etc/mailcall/mailcall.yaml exists");
}

static int
make_room(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int
clear_room(void **state)
{
    (void)state;
    char *command = xasprintf("rm -rf '%s'", folder);
    int result = system(command);
    free(command);
    return result;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_account_is_as_it_was_written),
        cmocka_unit_test(rules_inherit_defaults_and_merge_env),
        cmocka_unit_test(without_defaults_the_manual_holds),
        cmocka_unit_test(retry_of_a_rule_replaces_all_that_the_defaults_say),
        cmocka_unit_test(the_process_and_the_first_run_are_as_they_were_written),
        cmocka_unit_test(manners_are_inherited_one_by_one),
        cmocka_unit_test(max_delay_is_a_minute_or_as_long_as_a_longer_debounce),
        cmocka_unit_test(the_command_line_reads_manners_as_the_file_does),
        cmocka_unit_test(actions_keep_the_order_of_the_file),
        cmocka_unit_test(actions_of_a_rule_replace_those_of_the_defaults),
        cmocka_unit_test(the_hook_itself_cannot_be_told_how_it_ended),
        cmocka_unit_test(conditions_become_a_tree),
        cmocka_unit_test(nameless_rules_are_called_by_their_content),
        cmocka_unit_test(secrets_are_named_for_scrubbing),
        cmocka_unit_test(a_password_in_clear_wants_a_private_file),
        cmocka_unit_test(a_password_in_clear_wants_a_file_of_ours_or_roots),
        cmocka_unit_test(the_mode_of_the_file_that_holds_the_password_counts),
        cmocka_unit_test(includes_are_appended_in_order),
        cmocka_unit_test(paths_in_the_file_begin_at_its_folder),
        cmocka_unit_test(standard_input_is_a_file_without_a_folder_of_hooks),
        cmocka_unit_test(what_cannot_be_read_is_no_configuration_error),
        cmocka_unit_test(the_error_counts_what_the_report_shows),
        cmocka_unit_test(the_configuration_is_found_where_the_manual_says),
        cmocka_unit_test(no_configuration_names_the_places),
    };
    return cmocka_run_group_tests(tests, make_room, clear_room);
}
