/* SPDX-License-Identifier: ISC */
/* The way in. AUTHENTICATE PLAIN before LOGIN, which has quoting bugs; but LOGIN for DOMAIN\user on
 * Exchange, which does not know such names under PLAIN. RFC 3501 sections 6.2.2 and 6.2.3, 4959. */
#include "imap/login.h"

#include "imap/caps.h"
#include "imap/value.h"

void
login_secret(struct login *l, struct span secret)
{
    login_wipe(l);
    buf_add(&l->secret, secret.p, secret.n);
    l->who.secret = buf_span(&l->secret);
    l->ready = true;
}

static int
choose(struct login *l, bool by_command, enum sasl_mechanism m)
{
    l->by_command = by_command;
    l->mechanism = m;
    return 0;
}

static int
choose_for_token(struct login *l, unsigned caps, struct err *e)
{
    if ((caps & CAPS_XOAUTH2) != 0)
        return choose(l, false, SASL_XOAUTH2);
    if ((caps & CAPS_OAUTHBEARER) != 0)
        return choose(l, false, SASL_OAUTHBEARER);
    return err_set(e, ERR_AUTH, "server offers neither XOAUTH2 nor OAUTHBEARER for a token");
}

int
login_choose(struct login *l, unsigned caps, struct err *e)
{
    if (l->token)
        return choose_for_token(l, caps, e);
    bool plain = (caps & CAPS_PLAIN) != 0;
    bool command = (caps & CAPS_LOGINDISABLED) == 0;
    bool windows_name = strchr(l->who.user, '\\') != NULL;
    if (!plain && !command)
        return err_set(e, ERR_AUTH, "server takes no password here (LOGINDISABLED, no AUTH=PLAIN)");
    return choose(l, !plain || (windows_name && command), SASL_PLAIN);
}

bool
login_fall_back(struct login *l, unsigned caps)
{
    if (l->token || l->by_command || (caps & CAPS_LOGINDISABLED) != 0)
        return false;
    l->by_command = true;
    return true;
}

const char *
login_verb(const struct login *l)
{
    return l->by_command ? "LOGIN" : "AUTHENTICATE";
}

static int
write_authenticate(struct login *l, struct command *c, unsigned caps, struct err *e)
{
    buf_wipe(&l->payload);
    if (sasl_initial(&l->payload, l->mechanism, &l->who, e) < 0)
        return -1;
    command_raw(c, sasl_name(l->mechanism));
    l->payload_sent = (caps & CAPS_SASL_IR) != 0;
    if (l->payload_sent)
        command_secret(c, buf_span(&l->payload));
    return 0;
}

int
login_write(struct login *l, struct command *c, unsigned caps, struct err *e)
{
    if (!l->by_command)
        return write_authenticate(l, c, caps, e);
    if (command_astring(c, span_str(l->who.user), "user name", e) < 0)
        return -1;
    return command_astring(c, l->who.secret, "password", e);
}

const char *
login_answer(struct login *l, struct span challenge)
{
    if (!l->payload_sent) {
        l->payload_sent = true;
        return buf_str(&l->payload);
    }
    sasl_status(l->status, challenge);
    return sasl_answer_to_refusal(l->mechanism);
}

bool
login_repeated_in(const struct login *l, struct span words)
{
    return value_behind(words, buf_span(&l->secret)).p != NULL ||
           value_behind(words, buf_span(&l->payload)).p != NULL;
}

void
login_wipe(struct login *l)
{
    buf_wipe(&l->secret);
    buf_wipe(&l->payload);
    l->who.secret = (struct span){0};
    l->ready = false;
}
