/*
 * facts: what a message says about itself, decoded and bounded; a plain value.
 * Never knows IMAP or rules.
 *
 * Every string is valid UTF-8 and one line (utf8_line()), never NULL, at most FACTS_VALUE_MAX bytes
 * unless said otherwise. All of it was written by a stranger.
 */
#ifndef MAILCALL_MAIL_FACTS_H
#define MAILCALL_MAIL_FACTS_H

#include "base/strv.h"

#include <stdint.h>

enum {
    FACTS_FIELD_MAX = 16 * 1024, /* raw bytes of one header field that are read; the rest is cut */
    FACTS_HEADERS_MAX = 1000,    /* header fields that are read; the rest is left out */
    FACTS_BLOCK_MAX = 1024 * 1024, /* raw bytes of the header block that are read */
    FACTS_ADDRESSES_MAX = 1000,    /* addresses kept per list */
    FACTS_VALUE_MAX = 16 * 1024,   /* bytes of one decoded string; cut between characters */
};

struct address {
    char *name; /* display name, decoded; may be "" */
    char *addr; /* addr-spec as written, never decoded from an encoded word; "" if the entry is a
                   name alone */
};

struct addresses {
    struct address *v;
    size_t n;
};

struct header {
    char *name;  /* as written, printable ASCII */
    char *value; /* unfolded, decoded */
};

struct facts {
    char *subject;
    struct addresses from, to, cc, reply_to;
    struct addresses envelope_to; /* of every Delivered-To, X-Original-To and Envelope-To */
    char *sender;           /* topmost Return-Path without <>; "" for bounces and when absent */
    char *recipient;        /* topmost Delivered-To, else X-Original-To, else Envelope-To */
    char *extension;        /* of recipient's local part, behind the first '+' */
    char *message_id;       /* without <> */
    char *in_reply_to;      /* first id, without <> */
    char *list_id;          /* inside <>, else the whole field */
    int64_t date;           /* Date: in seconds since 1970 */
    bool has_date;          /* false: absent or unreadable */
    struct header *headers; /* every field in file order, up to the limits above */
    size_t n_headers;
    bool truncated; /* a limit above cut something */
};

struct facts *facts_new(void);    /* every string "" */
void facts_free(struct facts *f); /* NULL is fine */

#endif
