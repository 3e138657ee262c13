/*
 * reply: one response of the server, sorted by kind (RFC 3501 section 7).
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_REPLY_H
#define MAILCALL_IMAP_REPLY_H

#include "base/span.h"

#include <stdint.h>

enum reply_kind {
    REPLY_DATA,     /* `* 23 EXISTS`, `* CAPABILITY …` */
    REPLY_STATUS,   /* `* OK …`, `* BYE …` */
    REPLY_TAGGED,   /* `t7 OK …`; also any line without a tag we know: its first word is `tag` */
    REPLY_CONTINUE, /* `+ …` */
};

enum reply_status { REPLY_NONE, REPLY_OK, REPLY_NO, REPLY_BAD, REPLY_BYE, REPLY_PREAUTH };

/* All spans point into the line. */
struct reply {
    enum reply_kind kind;
    enum reply_status status; /* STATUS, TAGGED; NONE if unreadable */
    struct span tag;          /* TAGGED */
    struct span name;         /* DATA: the keyword */
    uint64_t number;          /* DATA: what stood before it, or 0 */
    struct span code;         /* `UIDNEXT 5` of `[UIDNEXT 5]` */
    struct span words;        /* what follows: code and text, or the data's arguments */
};

void reply_read(struct reply *r, struct span line);

#endif
