/*
 * sasl: the messages of the login mechanisms we speak (RFC 4616 PLAIN, RFC 7628 OAUTHBEARER, and
 * Google's XOAUTH2). Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_SASL_H
#define MAILCALL_IMAP_SASL_H

#include "base/buf.h"
#include "base/err.h"

enum sasl_mechanism { SASL_PLAIN, SASL_XOAUTH2, SASL_OAUTHBEARER };

struct sasl_identity {
    const char *user;
    const char *host;
    unsigned short port;
    struct span secret; /* password or token */
};

const char *sasl_name(enum sasl_mechanism m);
/* Appends the base64 of the initial response, in one piece of memory: buf_wipe(out) leaves no trace
 * of the secret. -1 if user or secret hold bytes the mechanism cannot carry. */
int sasl_initial(
    struct buf *out, enum sasl_mechanism m, const struct sasl_identity *id, struct err *e);
/* What to answer when the server tells in a challenge that it refuses. */
const char *sasl_answer_to_refusal(enum sasl_mechanism m);
/* The "status" in the base64 JSON of such a challenge, letters and digits only; "" if unreadable.
 */
enum { SASL_STATUS_MAX = 32 };
void sasl_status(char out[static SASL_STATUS_MAX], struct span challenge);

#endif
