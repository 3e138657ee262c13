/*
 * login: who we are, by which way we prove it, and how far that got.
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_LOGIN_H
#define MAILCALL_IMAP_LOGIN_H

#include "imap/command.h"
#include "imap/sasl.h"

struct login {
    struct sasl_identity who; /* borrowed strings; the secret is ours */
    bool token;               /* the secret is an OAuth token, not a password */
    bool ready;               /* the secret is here */
    struct buf secret;
    bool by_command; /* LOGIN, not AUTHENTICATE */
    enum sasl_mechanism mechanism;
    struct buf payload; /* its initial response in base64 */
    bool payload_sent;
    char status[SASL_STATUS_MAX]; /* what an OAuth server gave as reason, or "" */
};

void login_secret(struct login *l, struct span secret); /* copied */
/* Chooses among what the server offers. -1 if it offers nothing that fits. */
int login_choose(struct login *l, unsigned caps, struct err *e);
/* After a BAD (not a NO): whether the LOGIN command is left to try; then it is chosen. */
bool login_fall_back(struct login *l, unsigned caps);
/* Writes the command chosen, already begun with its tag, up to its end. */
int login_write(struct login *l, struct command *c, unsigned caps, struct err *e);
/* The verb of the command chosen. */
const char *login_verb(const struct login *l);
/* The line that answers a challenge, without line end; valid until login_wipe(). */
const char *login_answer(struct login *l, struct span challenge);
/* Whether words of the server repeat the secret: they must not be shown. */
bool login_repeated_in(const struct login *l, struct span words);
void login_wipe(struct login *l); /* secrets overwritten and freed */

#endif
