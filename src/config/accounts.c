/* SPDX-License-Identifier: ISC */
/* One account: where the server is, who we are, which mailboxes, and exactly one way to the secret.
 * The setters collect; finish() judges what needs more than one key. */
#include "config/accounts.h"

#include "base/mem.h"
#include "config/schema.h"
#include "config/url.h"

#include <stdlib.h>

enum { TRUSTED_MAX = 20 };

/* An account being read. */
struct login {
    struct account *account;
    const struct node *url;
    const struct node *host;
    const struct node *tls;
    const struct node *user;
    const struct key *secret; /* the key that gave it */
    const struct key *twice;  /* url and one of host, port, user, tls */
    struct place twice_at;
};

static void
note_part(struct scope *s)
{
    struct login *l = s->target;
    l->twice = s->key;
    l->twice_at = s->key_at;
}

/* Texts that go to the server. */
static bool
wire_text(struct scope *s, const struct node *value, const char *what, char **out)
{
    struct err e;
    if (wire_check(value->text, what, &e) == 0)
        return scope_text(s, value, out);
    scope_error(s, value, "%s", e.text);
    return false;
}

static void
set_url(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    struct err e;
    char *mailbox = NULL;
    l->url = value;
    if (config_url(value->text, l->account, &mailbox, &e) != 0)
        scope_error(s, value, "%s", e.text);
    else if (mailbox != NULL)
        scope_error(s, value, "a mailbox in the URL; list it under mailboxes:");
    free(mailbox);
}

static void
set_host(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    struct err e;
    note_part(s);
    l->host = value;
    if (host_check(value->text, &e) != 0)
        scope_error(s, value, "%s", e.text);
    else if (l->url == NULL)
        scope_text(s, value, &l->account->net.host);
}

static void
set_port(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    size_t n = strlen(value->text);
    unsigned long port = strtoul(value->text, NULL, 10);
    note_part(s);
    if (n > 5 || strspn(value->text, "0123456789") != n || port == 0 || port > 65535)
        scope_error(s, value, "'%.60s' is not a port from 1 to 65535", value->text);
    else
        l->account->net.port = (unsigned short)port;
}

static void
set_user(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    note_part(s);
    l->user = value;
    if (l->url == NULL)
        wire_text(s, value, "user", &l->account->user);
}

static void
set_tls(struct scope *s, const struct node *value)
{
    static const struct word words[] = {
        {"implicit", STREAM_IMPLICIT, false},
        {"starttls", STREAM_STARTTLS, false},
        {"none", STREAM_PLAIN, false},
    };
    struct login *l = s->target;
    int tls;
    note_part(s);
    l->tls = value;
    if (SCOPE_WORD(s, value, words, &tls))
        l->account->net.tls = (enum stream_tls)tls;
}

static void
set_ca_file(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    free(l->account->net.ca_file);
    l->account->net.ca_file = source_path(value->at.source, value->text);
    if (l->account->net.ca_file == NULL)
        scope_error(s, value, "nothing says where the home folder is");
}

/* 64 hex digits; colons between them are how openssl prints them. */
static char *
hex_digits(const char *text)
{
    struct buf hex = {0};
    for (const char *p = text; *p != '\0'; p++)
        if (*p != ':')
            buf_addc(&hex, *p >= 'A' && *p <= 'F' ? (char)(*p - 'A' + 'a') : *p);
    char *out = buf_take(&hex);
    if (strlen(out) == 64 && strspn(out, "0123456789abcdef") == 64)
        return out;
    free(out);
    return NULL;
}

int
config_fingerprint(const char *text, char **digits, struct err *e)
{
    bool sha256 = span_istarts(span_str(text), SPAN("sha256:"));
    free(*digits);
    *digits = sha256 ? hex_digits(text + 7) : NULL;
    return *digits != NULL ? 0 : err_set(e, ERR_USAGE, "expected sha256: and 64 hex digits");
}

static void
set_fingerprint(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    struct err e;
    if (config_fingerprint(value->text, &l->account->net.fingerprint, &e) != 0)
        scope_error(s, value, "%s", e.text);
}

static bool
is_mailbox(struct scope *s, const struct node *value, const struct strv *known)
{
    const char *text = value->text;
    struct err e;
    if (strpbrk(text, "*%") != NULL || text[0] == '!')
        scope_error(s, value, "'%.100s': patterns are not supported yet", text);
    else if (mailbox_check(text, &e) != 0)
        scope_error(s, value, "%s", e.text);
    else if (strv_has(known, text))
        scope_error(s, value, "'%.100s' is listed twice", text);
    else
        return true;
    return false;
}

static void
add_mailbox(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    if (scope_is(s, value, NODE_TEXT) && is_mailbox(s, value, &l->account->mailboxes))
        strv_add(&l->account->mailboxes, value->text);
}

static void
set_mailboxes(struct scope *s, const struct node *value)
{
    if (value->kind == NODE_TEXT)
        add_mailbox(s, value);
    else if (value->n == 0 || value->n > MAILBOXES_MAX)
        scope_error(
            s, value, value->n == 0 ? "an empty list" : "more than %d mailboxes", MAILBOXES_MAX);
    else
        for (size_t i = 0; i < value->n; i++)
            add_mailbox(s, value->item[i]);
}

/* Whether this is the first key that says where the secret is. */
static bool
begin_secret(struct scope *s)
{
    struct login *l = s->target;
    if (l->secret != NULL) {
        scope_error_at(s, s->key_at, "'%s' is there too; keep one of them", l->secret->name);
        return false;
    }
    l->secret = s->key;
    l->account->secret.kind = (enum secret_kind)s->key->tag;
    return true;
}

static void
set_secret_command(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    struct secret_opts *secret = &l->account->secret;
    if (!begin_secret(s) || !scope_texts(s, value, &secret->argv))
        return;
    secret->shell = value->kind == NODE_TEXT;
    if (secret->argv.n == 0 || secret->argv.v[0][0] == '\0')
        scope_error(s, value, "an empty command");
}

static void
set_secret_file(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    if (!begin_secret(s))
        return;
    l->account->secret.text = source_path(value->at.source, value->text);
    if (l->account->secret.text == NULL)
        scope_error(s, value, "nothing says where the home folder is");
}

static void
set_secret_env(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    if (!begin_secret(s))
        return;
    if (strchr(value->text, '=') != NULL || strchr(value->text, '$') != NULL)
        scope_error(s, value, "'%.60s' is not the name of a variable", value->text);
    else if (wire_text(s, value, "name", &l->account->secret.text))
        scope_warning_at(s, value->at,
            "the environment is no place for secrets; prefer password_command or password_file");
}

static void
set_secret_credential(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    if (!begin_secret(s))
        return;
    if (strchr(value->text, '/') != NULL || value->text[0] == '.')
        scope_error(s, value, "'%.60s' is a path; give the name of the credential", value->text);
    else
        wire_text(s, value, "name", &l->account->secret.text);
}

/* A password in clear asks for a file that nobody else can read. */
static void
set_secret_plain(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    const struct source *file = s->key_at.source;
    if (!begin_secret(s) || !wire_text(s, value, "password", &l->account->secret.text))
        return;
    if (file->exposed) {
        scope_error_at(s, s->key_at, "other users may read this file");
        report_hint(s->report, "chmod 600 %s", file->name);
    }
    if (file->foreign)
        scope_error_at(s, s->key_at, "this file belongs to another user");
}

static void
set_first_age(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    const struct period p = {
        1, 3650 * (uint64_t)86400 * 1000, "an age up to 3650d; write new for none, all for more"};
    l->account->first_run = FIRST_RUN_AGE;
    scope_period(s, value, &p, &l->account->first_age_ms);
}

static void
refuse_first_run(
    struct scope *s, const struct node *value, const char *const *words, size_t n_words)
{
    struct strv known = {0};
    for (size_t i = 0; i < n_words; i++)
        strv_add(&known, words[i]);
    char *mean = did_you_mean(value->text, &known);
    scope_error(
        s, value, "'%.60s' is neither new, unseen, all nor an age such as 7d%s", value->text, mean);
    free(mean);
}

static void
set_first_run(struct scope *s, const struct node *value)
{
    static const char *const words[] = {
        [FIRST_RUN_NEW] = "new", [FIRST_RUN_UNSEEN] = "unseen", [FIRST_RUN_ALL] = "all"};
    enum { N_WORDS = sizeof words / sizeof *words };
    struct login *l = s->target;
    for (int i = 0; i < N_WORDS; i++)
        if (strcmp(value->text, words[i]) == 0) {
            l->account->first_run = (enum first_run)i;
            return;
        }
    if (value->text[0] >= '0' && value->text[0] <= '9')
        set_first_age(s, value);
    else
        refuse_first_run(s, value, words, N_WORDS);
}

/* RFC 2177: a server may drop an IDLE after 30 minutes. */
static const struct period intervals = {1000, 29 * 60 * 1000, "between 1s and 29m"};

static void
set_keepalive(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    scope_period(s, value, &intervals, &l->account->keepalive_ms);
}

static void
set_poll(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    scope_period(s, value, &intervals, &l->account->poll_ms);
}

/* RFC 8601 section 2.2 allows quoted ones too; nobody uses them. */
static bool
is_server_name(const char *id)
{
    for (const char *p = id; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || strchr("\"();=\x7F", *p) != NULL)
            return false;
    return id[0] != '\0';
}

int
config_trust(struct account *a, const char *id, struct err *e)
{
    if (!is_server_name(id))
        return err_set(e, ERR_USAGE, "'%.100s' is not the name of a server", id);
    if (a->trusted.n == TRUSTED_MAX)
        return err_set(e, ERR_USAGE, "more than %d servers", TRUSTED_MAX);
    char *lower = xstrdup(id);
    for (char *p = lower; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    bool twice = strv_has(&a->trusted, lower);
    strv_take(&a->trusted, lower);
    return twice ? err_set(e, ERR_USAGE, "'%.100s' is listed twice", id) : 0;
}

static void
set_trusted(struct scope *s, const struct node *value)
{
    struct login *l = s->target;
    bool list = value->kind == NODE_LIST;
    if (list && value->n == 0)
        scope_error(s, value, "an empty list");
    for (size_t i = 0; i < (list ? value->n : 1); i++) {
        const struct node *id = list ? value->item[i] : value;
        struct err e;
        if (scope_is(s, id, NODE_TEXT) && config_trust(l->account, id->text, &e) != 0)
            scope_error(s, id, "%s", e.text);
    }
}

static const struct key account_keys[] = {
    {"url", NODE_TEXT, 0, set_url, 0},
    {"host", NODE_TEXT, 0, set_host, 0},
    {"port", NODE_TEXT, 0, set_port, 0},
    {"user", NODE_TEXT, 0, set_user, 0},
    {"tls", NODE_TEXT, 0, set_tls, 0},
    {"tls_ca_file", NODE_TEXT, 0, set_ca_file, 0},
    {"tls_fingerprint", NODE_TEXT, 0, set_fingerprint, 0},
    {"mailboxes", NODE_TEXT | NODE_LIST, 0, set_mailboxes, 0},
    {"password_command", NODE_TEXT | NODE_LIST, 0, set_secret_command, SECRET_COMMAND},
    {"token_command", NODE_TEXT | NODE_LIST, 0, set_secret_command, SECRET_TOKEN_COMMAND},
    {"password_file", NODE_TEXT, 0, set_secret_file, SECRET_FILE},
    {"password_env", NODE_TEXT, 0, set_secret_env, SECRET_ENV},
    {"password_credential", NODE_TEXT, 0, set_secret_credential, SECRET_CREDENTIAL},
    {"password", NODE_TEXT, KEY_SECRET, set_secret_plain, SECRET_PLAIN},
    {"password_keyring", 0, KEY_LATER, NULL, 0},
    {"first_run", NODE_TEXT, 0, set_first_run, 0},
    {"trust_auth_results", NODE_TEXT | NODE_LIST, 0, set_trusted, 0},
    {"keepalive", NODE_TEXT, 0, set_keepalive, 0},
    {"poll", NODE_TEXT, 0, set_poll, 0},
    {"max_connections", 0, KEY_LATER, NULL, 0},
};

static bool
has_key(const struct node *map, const char *name)
{
    for (size_t i = 0; map->kind == NODE_MAP && i < map->n; i++)
        if (strcmp(map->key[i]->text, name) == 0)
            return true;
    return false;
}

/* What only the keys together can get wrong. */
static void
check_server(struct scope *s, const struct login *l)
{
    const struct stream_opts *net = &l->account->net;
    if (l->url != NULL && l->twice != NULL)
        scope_label_error(
            s, l->twice_at, "'%s' stands beside 'url'; keep one of them", l->twice->name);
    if (net->tls != STREAM_PLAIN)
        return;
    if (net->host != NULL && !host_is_loopback(net->host))
        scope_label_error(
            s, l->tls->at, "tls: none sends the password in clear; only to localhost");
    if (net->ca_file != NULL || net->fingerprint != NULL)
        scope_label_error(s, l->tls->at, "tls: none checks no certificate");
}

static void
ask_for_parts(struct scope *s, const struct login *l, struct place at)
{
    if (l->url == NULL && l->host == NULL) {
        scope_label_error(s, at, "no server");
        report_hint(s->report, "write url: imaps://USER@HOST\nor host: and user:");
    } else if (l->url == NULL && l->user == NULL) {
        scope_label_error(s, at, "no user");
        report_hint(s->report, "write user: NAME");
    }
    if (l->secret == NULL) {
        scope_label_error(s, at, "no password");
        report_hint(s->report, "write one of password_command, password_file, password_env,\n"
                               "password_credential, token_command, password");
    }
}

static bool
is_account_name(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strlen(name);
    return n > 0 && n <= 64 && strspn(name, allowed) == n;
}

static void
read_account(
    struct report *report, const struct node *name, const struct node *map, struct account *a)
{
    char *label = xasprintf("accounts.%.64s", name->text);
    struct login l = {.account = a};
    struct scope s = {.report = report, .label = label, .target = &l};
    size_t errors = report->errors;
    a->name = xstrdup(name->text);
    if (!is_account_name(name->text))
        report_error(report, name->at,
            "accounts: '%.60s' is not a name; letters, digits and . _ - make one", name->text);
    SCHEMA_READ(&s, account_keys, map);
    check_server(&s, &l);
    if (report->errors == errors) /* else what is missing may only be misspelt */
        ask_for_parts(&s, &l, name->at);
    if (a->net.port == 0)
        a->net.port = port_of(a->net.tls);
    if (a->mailboxes.n == 0 && !has_key(map, "mailboxes"))
        strv_add(&a->mailboxes, "INBOX");
    free(label);
}

void
accounts_read(struct report *report, const struct node *map, struct account *a)
{
    for (size_t i = 0; i < map->n; i++)
        read_account(report, map->key[i], map->item[i], &a[i]);
}

static int
by_name(const void *key, const void *element)
{
    const struct account *a = *(const struct account *const *)element;
    return strcmp(key, a->name);
}

const struct account *
account_find(const struct account_index *x, const char *name)
{
    const struct account *const *found =
        x->n > 0 ? bsearch(name, x->v, x->n, sizeof *x->v, by_name) : NULL;
    return found != NULL ? *found : NULL;
}

bool
mailbox_is(const char *mailbox, const char *name)
{
    if (strcmp(mailbox, name) == 0)
        return true;
    return span_ieq(span_str(mailbox), SPAN("INBOX")) && span_ieq(span_str(name), SPAN("INBOX"));
}

bool
account_has_mailbox(const struct account *a, const char *mailbox)
{
    for (size_t i = 0; i < a->mailboxes.n; i++)
        if (mailbox_is(a->mailboxes.v[i], mailbox))
            return true;
    return false;
}
