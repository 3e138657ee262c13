/*
 * config: the YAML file as options structs, each defined by the room that reads it.
 * Never knows how anything is done. Immutable once loaded.
 */
#ifndef MAILCALL_CONFIG_CONFIG_H
#define MAILCALL_CONFIG_CONFIG_H

#include "base/buf.h"
#include "base/err.h"
#include "hook/letter.h"
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
};

struct config {
    struct account *accounts;
    size_t n_accounts;
    struct ruleset rules;
    struct hook_opts *hooks; /* hooks[i] belongs to rules.v[i] */
    struct strv
        secrets;     /* names scrubbed from hooks' environment: password_env and the fixed list */
    bool allow_root; /* daemon: allow_root */
};

/* Loads the file ("-" = stdin) with its includes. Errors and warnings, in the form of
 * INTERFACE 2.8, all in one pass, at most 20, are appended to `report`. NULL: there was an error,
 * e->kind is ERR_CONFIG or ERR_INPUT and e->text one line for when `report` is empty. The caller
 * frees. */
struct config *config_load(const char *path, struct buf *report, struct err *e);
void config_free(struct config *c); /* NULL is fine */

/* The first of $MAILCALL_CONFIG, $XDG_CONFIG_HOME/mailcall/mailcall.yaml (else ~/.config/…),
 * /etc/mailcall/mailcall.yaml that exists; the caller frees. NULL with *e (ERR_CONFIG). */
char *config_find(struct err *e);

/* The pieces that the command line shares with the file, so that both speak one language. */

/* "imaps://user@host[:port][/mailbox]" (imap:// = STARTTLS) into *a and, when there is one, an
 * owned mailbox name (else NULL). The last '@' splits; %XX is decoded; a password in it is refused.
 */
int config_url(const char *url, struct account *a, char **mailbox, struct err *e);
void account_free(struct account *a); /* the content; empty afterwards */

/* One condition by its YAML key and a plain value: "subject", "from", "header" with "NAME: REGEX"
 * or "NAME", "larger", "flag", … and "from_is", "from_domain" for addresses. NULL with *e whose
 * text carries a caret line for regexes. */
struct cond *config_cond(const char *key, const char *value, struct err *e);
/* Two captures of one name, unnamed groups in two regexes, …: 0, or -1. */
int config_check_rule(const struct rule *r, const struct hook_opts *h, struct err *e);

#endif
