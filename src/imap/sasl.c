/* SPDX-License-Identifier: ISC */
/* Initial responses, and the little JSON in which OAuth servers say why not. That JSON is not
 * parsed but searched for one short word, since servers send it broken too. */
#include "imap/sasl.h"

#include "base/b64.h"
#include "imap/value.h"

#include <stdio.h>
#include <stdlib.h>

const char *
sasl_name(enum sasl_mechanism m)
{
    static const char *const names[] = {
        [SASL_PLAIN] = "PLAIN",
        [SASL_XOAUTH2] = "XOAUTH2",
        [SASL_OAUTHBEARER] = "OAUTHBEARER",
    };
    return names[m];
}

static bool
has_control(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7F)
            return true;
    return false;
}

/* RFC 5801 saslname: `,` and `=` are spelled out. */
static void
add_saslname(struct buf *b, const char *user)
{
    for (; *user != '\0'; user++) {
        if (*user == ',')
            buf_adds(b, "=2C");
        else if (*user == '=')
            buf_adds(b, "=3D");
        else
            buf_addc(b, *user);
    }
}

static void
add_message(struct buf *b, enum sasl_mechanism m, const struct sasl_identity *id)
{
    switch (m) {
    case SASL_PLAIN:
        buf_addc(b, '\0');
        buf_adds(b, id->user);
        buf_addc(b, '\0');
        buf_addspan(b, id->secret);
        return;
    case SASL_XOAUTH2:
        buf_addf(b, "user=%s\001auth=Bearer ", id->user);
        break;
    case SASL_OAUTHBEARER:
        buf_adds(b, "n,a=");
        add_saslname(b, id->user);
        buf_addf(b, ",\001host=%s\001port=%u\001auth=Bearer ", id->host, (unsigned)id->port);
        break;
    }
    buf_addspan(b, id->secret);
    buf_adds(b, "\001\001");
}

int
sasl_initial(struct buf *out, enum sasl_mechanism m, const struct sasl_identity *id, struct err *e)
{
    if (has_control(span_str(id->user)))
        return err_set(e, ERR_AUTH, "user name contains a control character");
    if (has_control(id->secret))
        return err_set(e, ERR_AUTH, "password or token contains a control character");
    struct buf message = {0};
    size_t most = 3 * strlen(id->user) + strlen(id->host) + id->secret.n + 64;
    buf_room(&message, most);
    buf_room(out, 2 * most);
    add_message(&message, m, id);
    b64_encode(out, buf_span(&message));
    buf_wipe(&message);
    return 0;
}

const char *
sasl_answer_to_refusal(enum sasl_mechanism m)
{
    static const char *const answers[] = {
        [SASL_PLAIN] = "*", /* has no challenges: cancel */
        [SASL_XOAUTH2] = "",
        [SASL_OAUTHBEARER] = "AQ==", /* a single ^A */
    };
    return answers[m];
}

static bool
is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

/* What follows `"status"`, with the colon, spaces and the quote passed over. */
static struct span
status_in(struct span json)
{
    json = value_behind(json, SPAN("\"status\""));
    while (json.n > 0 && (json.p[0] == ' ' || json.p[0] == ':' || json.p[0] == '"'))
        json = (struct span){json.p + 1, json.n - 1};
    return json;
}

void
sasl_status(char out[static SASL_STATUS_MAX], struct span challenge)
{
    struct buf json = {0};
    size_t n = 0;
    if (b64_decode(&json, challenge) == 0) {
        struct span s = status_in(buf_span(&json));
        while (n < s.n && n + 1 < SASL_STATUS_MAX && is_alnum(s.p[n])) {
            out[n] = s.p[n];
            n++;
        }
    }
    out[n] = '\0';
    buf_free(&json);
}
