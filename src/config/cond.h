/*
 * cond: `match:` as a tree of conditions.
 * Never knows accounts, or what runs.
 */
#ifndef MAILCALL_CONFIG_COND_H
#define MAILCALL_CONFIG_COND_H

#include "config/tree.h"
#include "rule/rule.h"

/* Where errors point that need more than one condition. */
struct nodes {
    const struct node **v;
    size_t n;
};
struct cond_nodes {
    struct nodes regexes; /* the text of each, in tree order */
    struct nodes auths;   /* the value of each `auth` */
};
void cond_nodes_free(struct cond_nodes *nodes); /* empty afterwards */

/* Reads the mapping below `match`. NULL: it holds no condition, every message matches. The caller
 * frees both. */
struct cond *cond_read(struct report *report, const struct node *match, struct cond_nodes *nodes);
/* Whether `match` may have such a key. */
bool cond_is_key(const char *name);
bool cond_is_header_name(const char *name);

#endif
