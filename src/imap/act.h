/*
 * act: one change to a message in the open mailbox, as the owner wants it done (RFC 3501 section
 * 6.4.6 to 6.4.8, RFC 4315 UIDPLUS, RFC 6851 MOVE).
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_ACT_H
#define MAILCALL_IMAP_ACT_H

#include <stdbool.h>
#include <stdint.h>

enum act_kind { ACT_FLAG, ACT_UNFLAG, ACT_COPY, ACT_MOVE, ACT_DELETE };

struct act {
    enum act_kind kind;
    uint32_t uidvalidity; /* of the mailbox the message was in */
    uint32_t uid;
    const char
        *text;   /* FLAG, UNFLAG: the flag; COPY, MOVE: the mailbox, UTF-8, '/' between levels */
    bool copied; /* MOVE: the copy was made on an earlier connection; only remove it here */
};

#endif
