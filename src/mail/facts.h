/*
 * facts: what a message says about itself, decoded and bounded; a plain value.
 * Never knows IMAP or rules.
 *
 * Every string is valid UTF-8 and one line (utf8_line()), never NULL, at most FACTS_VALUE_MAX bytes
 * unless said otherwise. All of it was written by a stranger.
 */
#ifndef MAILCALL_MAIL_FACTS_H
#define MAILCALL_MAIL_FACTS_H

#include "base/pack.h"
#include "base/strv.h"

#include <stdint.h>

enum {
    FACTS_FIELD_MAX = 16 * 1024, /* raw bytes of one header field that are read; the rest is cut */
    FACTS_HEADERS_MAX = 1000,    /* header fields that are read; the rest is left out */
    FACTS_BLOCK_MAX = 1024 * 1024, /* raw bytes of the header block that are read */
    FACTS_ADDRESSES_MAX = 1000,    /* addresses kept per list */
    FACTS_VALUE_MAX = 16 * 1024,   /* bytes of one decoded string; cut between characters */
    FACTS_TEXT_MAX = 256 * 1024,   /* bytes of the text; cut between characters */
    FACTS_ATTACHMENTS_MAX = 1000,  /* attachments that are listed */
    FACTS_REFERENCES_MAX = 100,
    FACTS_DKIM_MAX = 100,
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

/* A part that is not the text. */
struct attachment {
    char *part;     /* its place: "2", "1.3" (RFC 3501 section 6.4.5) */
    char *name;     /* decoded, as the sender wrote it: may hold '/' and dots; "" if none */
    char *type;     /* lower case, "application/pdf" */
    uint64_t size;  /* bytes, decoded */
    bool is_inline; /* shown inside the text, says the sender */
};

/* What the trusted server said about where the message comes from (RFC 8601); all "" or empty where
 * nobody is trusted, or the trusted one said nothing. Results are lower case words. */
struct auth {
    char *authserv;
    struct auth_dkim {
        char *result;
        char *domain;
    } * dkim;
    size_t n_dkim;
    char *spf;
    char *dmarc;
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
    bool truncated;         /* a limit above cut something */
    struct strv references; /* ids of References, without <>, oldest first */
    struct auth auth;

    bool whole; /* the message was read, not its header block only; else the rest is empty */
    struct attachment *attachments; /* in the order of the message */
    size_t n_attachments;
    char *text; /* what a person would read, up to FACTS_TEXT_MAX: lines ended by '\n' (the last may
                   be cut), valid UTF-8, no control characters but '\n' and '\t' */
    bool text_truncated;
};

struct facts *facts_new(void);    /* every string "" */
void facts_free(struct facts *f); /* NULL is fine */

/* Any bytes as a string that keeps the promise; f->truncated if it had to be cut. */
char *facts_line(struct facts *f, struct span s);

/* As bytes, across the door, and back. Whoever wrote them may lie: every limit and promise above is
 * checked, and NULL is what a broken one gives. */
void facts_pack(const struct facts *f, struct buf *out);
struct facts *facts_unpack(struct unpack *u);

#endif
