/*
 * cond: `match:` as a tree of conditions.
 * Never knows accounts, or what runs.
 */
#ifndef MAILCALL_CONFIG_COND_H
#define MAILCALL_CONFIG_COND_H

#include "config/tree.h"
#include "rule/rule.h"

/* The text of each regex of a tree, in tree order: where an error about its groups points. */
struct regex_nodes {
    const struct node **v;
    size_t n;
};

/* Reads the mapping below `match`. NULL: it holds no condition, every message matches. The caller
 * frees, and frees nodes->v. */
struct cond *cond_read(struct report *report, const struct node *match, struct regex_nodes *nodes);
/* Whether `match` may have such a key. */
bool cond_is_key(const char *name);

#endif
