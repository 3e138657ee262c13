/*
 * rule: what a user wants to know about a message: where it may lie and what must hold.
 * Never knows IMAP, jobs, YAML, or what runs when it matches.
 */
#ifndef MAILCALL_RULE_RULE_H
#define MAILCALL_RULE_RULE_H

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

/* A node owns everything below it. A list of values under one YAML key is a COND_ANY of leaves. */
struct cond {
    enum cond_kind kind;
    enum cond_field field;
    enum cond_test test;
    bool negated;
    struct cond **sub;
    size_t n_sub;
    struct regex *regex;
    char *text;
    char *header;
    uint64_t number; /* bytes, or milliseconds */
    char *key;       /* the word in the configuration: "from", "subject", … */
    char *where;     /* "mailcall.yaml:44:16", for the log */
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
void rule_free(struct rule *r);           /* the content; empty afterwards */
void ruleset_free(struct ruleset *rules); /* empty afterwards */

#endif
