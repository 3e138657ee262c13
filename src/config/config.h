/*
 * config: the YAML file as options structs, each defined by the room that reads it.
 * Never knows how anything is done. Immutable once loaded.
 */
#ifndef MAILCALL_CONFIG_CONFIG_H
#define MAILCALL_CONFIG_CONFIG_H

#include "base/buf.h"
#include "base/err.h"
#include "hook/letter.h"
#include "job/queue.h"
#include "job/retry.h"
#include "net/stream.h"
#include "rule/rule.h"

enum secret_kind {
    SECRET_COMMAND,       /* password_command: first line of stdout */
    SECRET_TOKEN_COMMAND, /* token_command: likewise, an OAuth2 bearer token */
    SECRET_FILE,          /* password_file: first line */
    SECRET_ENV,           /* password_env: value */
    SECRET_CREDENTIAL,    /* password_credential: first line of $CREDENTIALS_DIRECTORY/NAME */
    SECRET_PLAIN,         /* password: the text itself */
};

struct secret_opts {
    enum secret_kind kind;
    struct strv argv; /* the command as a list; or one element run by sh -c when `shell` */
    bool shell;
    char *text; /* path, name, or the password itself */
};

struct account {
    char *name;
    char *user;
    struct stream_opts net;
    struct secret_opts secret;
    struct strv mailboxes; /* UTF-8, at least one */
    struct strv trusted;   /* trust_auth_results: authserv-ids, lower case; empty = nobody */
    uint64_t
        keepalive_ms; /* IDLE is renewed, and mail looked for, at least this often; 0 = default */
    uint64_t poll_ms; /* the same where the server has no IDLE; 0 = default */
    enum first_run { FIRST_RUN_NEW, FIRST_RUN_UNSEEN, FIRST_RUN_ALL, FIRST_RUN_AGE } first_run;
    uint64_t first_age_ms; /* FIRST_RUN_AGE */
};

/* daemon: */
struct daemon_config {
    bool allow_root;
    unsigned max_hooks;           /* running at once, all rules together; 8 */
    uint64_t shutdown_timeout_ms; /* 30 s; 0 = hooks are stopped at once */
    uint64_t keep_failed_ms;      /* 30 d */
};

struct config {
    struct account *accounts;
    size_t n_accounts;
    struct ruleset rules;
    struct hook_opts *hooks;    /* hooks[i] belongs to rules.v[i] */
    struct retry_opts *retries; /* retries[i] belongs to rules.v[i] */
    struct queue_rule *manners; /* manners[i] belongs to rules.v[i] */
    /* names scrubbed from the environment of hooks: each password_env, and the fixed ones */
    struct strv secrets;
    struct daemon_config daemon;
};

/* Loads the file ("-" = stdin) with its includes. Errors and warnings, in the form of
 * INTERFACE 2.8, all in one pass, at most 20, are appended to `report`. NULL: there was an error,
 * e->kind is ERR_CONFIG or ERR_INPUT and e->text one line for when `report` is empty. The caller
 * frees. */
struct config *config_load(const char *path, struct buf *report, struct err *e);
/* The same from memory; `include` is refused. `name` is what the report calls it. */
struct config *config_parse(const char *name, struct span text, struct buf *report, struct err *e);
void config_free(struct config *c); /* NULL is fine */

/* The first of $MAILCALL_CONFIG, $XDG_CONFIG_HOME/mailcall/mailcall.yaml (else ~/.config/…),
 * /etc/mailcall/mailcall.yaml that exists; the caller frees. NULL with *e (ERR_CONFIG). A
 * $MAILCALL_CONFIG that names no file is an error, the others are not tried then. */
char *config_find(struct err *e);

/* The pieces that the command line shares with the file, so that both speak one language. */

/* "imaps://user@host[:port][/mailbox]" (imap:// = STARTTLS) into user, net.host, net.port and
 * net.tls of *a and, when there is one, an owned mailbox name (else NULL). A nameless account gets
 * the host for a name. The last '@' splits; %XX is decoded; a password in it is refused. On error
 * *a is as before, and e->kind is ERR_USAGE. */
int config_url(const char *url, struct account *a, char **mailbox, struct err *e);
void account_free(struct account *a); /* the content; empty afterwards */
/* One more server whose word on authentication counts, by the name it gives itself. 0, or -1 with
 * *e (ERR_USAGE). */
int config_trust(struct account *a, const char *id, struct err *e);

/* One condition by its YAML key and a plain value: "subject", "from", "header" with "NAME: REGEX"
 * or "NAME", "auth" with "dkim", "dkim=DOMAIN", "spf" or "dmarc", all of which have to pass,
 * "larger", "flag", … and "from_is", "from_domain", "from_name" for addresses, "subject_is" for
 * texts. NULL with *e (ERR_USAGE) whose text carries a caret line for regexes. */
struct cond *config_cond(const char *key, const char *value, struct err *e);
/* Two captures of one name (alternatives below one COND_ANY may share theirs), unnamed groups in
 * two regexes, placeholders in run and sh that would not be filled: 0, or -1 with *e (ERR_USAGE).
 * `h` may be NULL. */
int config_check_rule(const struct rule *r, const struct hook_opts *h, struct err *e);

/* One of concurrency, debounce, max_delay and on_busy by its YAML key and its value. Returns 0, or
 * -1 with *e (ERR_USAGE) that begins with the value. */
int config_manner(struct queue_rule *m, const char *key, const char *value, struct err *e);
/* The last word on debounce and max_delay, which is 0 if nobody said it: it becomes a minute, or
 * the debounce where that is longer. 0, or -1 with *e (ERR_USAGE) that says what is wrong with
 * max_delay. */
int config_settle_manners(struct queue_rule *m, struct err *e);

/* "sha256:" and 64 hex digits, colons and capitals allowed, into *digits as stream_opts wants them
 * (what was there is freed). 0, or -1 with *e (ERR_USAGE) and *digits NULL. */
int config_fingerprint(const char *text, char **digits, struct err *e);
/* Appends what no hook may inherit whatever the configuration says: the service manager's doors and
 * credentials. A name ending in '*' stands for all that begin so. */
void config_fixed_secrets(struct strv *names);

#endif
