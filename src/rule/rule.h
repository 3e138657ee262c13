/*
 * rule: what a user wants to know about a message: where it may lie and what must hold.
 * Never knows IMAP, jobs, YAML, or what runs when it matches.
 */
#ifndef MAILCALL_RULE_RULE_H
#define MAILCALL_RULE_RULE_H

#include "base/buf.h"
#include "base/strv.h"
#include "rule/regex.h"

#include <stdint.h>

enum cond_kind {
    COND_ALL,        /* every one of sub (none: true) */
    COND_ANY,        /* one of sub at least; the first true one alone gives captures */
    COND_NOT,        /* sub[0] does not hold; gives no captures */
    COND_ADDRESS,    /* one address of `field` passes `test` */
    COND_TEXT,       /* the text of `field` passes `test`: subject, list_id, message_id */
    COND_HEADER,     /* one field named `header` passes `test` (REGEX, PRESENT, ABSENT, IS) */
    COND_ANY_HEADER, /* one "Name: value" line passes the regex */
    COND_LARGER,     /* size > number */
    COND_SMALLER,    /* size < number */
    COND_NEWER,      /* now - received < number milliseconds; not if received is unknown */
    COND_OLDER,      /* now - received > number milliseconds; not if received is unknown */
    COND_FLAG,       /* the flag `text` is set; with `negated`, is not */
    COND_BODY,       /* regex on the text; ^ and $ match at lines */
    COND_ATTACHMENT, /* an attachment is as `attachment` says; with `negated`, none is */
    COND_AUTH,       /* the trusted server says what `auth` says */
};

enum cond_field {
    FIELD_FROM,
    FIELD_TO,
    FIELD_CC,
    FIELD_ADDRESSED_TO, /* To, Cc, Delivered-To, X-Original-To, Envelope-To together */
    FIELD_REPLY_TO,
    FIELD_SENDER,    /* envelope sender, see facts; tested even if empty: '^$' finds bounces */
    FIELD_RECIPIENT, /* see facts; likewise */
    FIELD_SUBJECT,
    FIELD_LIST_ID,
    FIELD_MESSAGE_ID,
};

enum cond_test {
    TEST_REGEX,  /* addresses: on "Name <addr>", or the one of the two that is there */
    TEST_IS,     /* equal to text, ASCII case ignored; addresses: the addr */
    TEST_DOMAIN, /* addr's domain is text; ".d" is d and its subdomains */
    TEST_NAME,   /* regex on the display name */
    TEST_PRESENT,
    TEST_ABSENT,
};

/* What an attachment has to be; each is looked at only when it is set. All of one attachment. */
struct cond_attachment {
    char *name;      /* glob on the file name, its case ignored: * ? [...] */
    char *type;      /* glob on the type: "image/..." with a star, its case ignored */
    uint64_t larger; /* bytes; 0 = any */
    unsigned count;  /* so many of them at least; 0 = one */
};

/* Each NULL is not looked at. A word is equal, its case ignored. */
struct cond_auth {
    char *dkim;        /* of any signature; with dkim_domain, of one by that domain */
    char *dkim_domain; /* ".d" is d and its subdomains */
    char *spf;
    char *dmarc;
};

/* A node owns everything below it. A list of values under one YAML key is a COND_ANY of leaves. */
struct cond {
    enum cond_kind kind;
    enum cond_field field;
    enum cond_test test;
    bool negated;
    struct cond **sub;
    size_t n_sub;
    struct cond **tried; /* the same, cheapest first; NULL before cond_sort() */
    struct regex *regex;
    char *text;
    char *header;
    uint64_t number; /* bytes, or milliseconds */
    struct cond_attachment attachment;
    struct cond_auth auth;
    char *key;   /* the word in the configuration: "from", "subject", … */
    char *where; /* "mailcall.yaml:44:16", for the log */
};

struct rule {
    char *name;
    char *where;
    struct strv in;     /* ACCOUNT, ACCOUNT/MAILBOX, ACCOUNT/PATTERN with * ; empty = everywhere */
    struct cond *match; /* NULL = every message */
    bool stop;
    bool enabled;
};

struct ruleset {
    struct rule *v;
    size_t n;
};

struct cond *cond_new(enum cond_kind kind);
void cond_add(struct cond *parent, struct cond *child); /* child becomes the parent's */
void cond_free(struct cond *c);                         /* NULL is fine */
/* Appends the capture names that any condition of the tree can set, each once, in tree order. What
 * stands below a COND_NOT can set none. c may be NULL. */
void cond_captures(const struct cond *c, struct strv *names);
/* Whether something in it is about the header block, or what the server says of the message: then
 * that alone may decide. c may be NULL. */
bool cond_asks_header(const struct cond *c);
/* Whether more than the header block is needed to tell whether it holds. c may be NULL. */
bool cond_needs_whole(const struct cond *c);
/* Settles in which order the parts of every group are tried: metadata, headers, structure, text;
 * the order of the file otherwise. To be called when the tree is whole; c may be NULL. */
void cond_sort(struct cond *c);
/* The rules as bytes, for the process that sorts, and back, sorted as cond_sort() does: their
 * conditions only. -1 with *e (ERR_INPUT), and nothing in *rules, for bytes that are none. */
void ruleset_pack(const struct ruleset *rules, struct buf *out);
int ruleset_unpack(struct span bytes, struct ruleset *rules, struct err *e);
void rule_free(struct rule *r);           /* the content; empty afterwards */
void ruleset_free(struct ruleset *rules); /* empty afterwards */

#endif
