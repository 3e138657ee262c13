/*
 * caps: what a server says it can do (RFC 3501 section 7.2.1).
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_CAPS_H
#define MAILCALL_IMAP_CAPS_H

#include "base/span.h"

enum caps {
    CAPS_STARTTLS = 1 << 0,
    CAPS_LOGINDISABLED = 1 << 1,
    CAPS_SASL_IR = 1 << 2,
    CAPS_PLAIN = 1 << 3,
    CAPS_XOAUTH2 = 1 << 4,
    CAPS_OAUTHBEARER = 1 << 5,
    CAPS_LITERAL_PLUS = 1 << 6,
    CAPS_LITERAL_MINUS = 1 << 7,
    CAPS_ID = 1 << 8,
    CAPS_IDLE = 1 << 9,
    CAPS_UIDPLUS = 1 << 10,
    CAPS_MOVE = 1 << 11,
};

/* The set named by a list of words; unknown ones are passed over. */
unsigned caps_read(struct span words);

#endif
