/*
 * accounts: `accounts:` as structs, and the names by which rules call them.
 * Never knows rules, or how a secret is asked for.
 */
#ifndef MAILCALL_CONFIG_ACCOUNTS_H
#define MAILCALL_CONFIG_ACCOUNTS_H

#include "config/config.h"
#include "config/tree.h"

enum { MAILBOXES_MAX = 1000 };

/* Reads each account of the mapping into a[0], a[1], …; there is room for map->n. */
void accounts_read(struct report *report, const struct node *map, struct account *a);

/* Accounts sorted by name, borrowed. */
struct account_index {
    const struct account **v;
    size_t n;
};
const struct account *account_find(const struct account_index *x, const char *name);
/* Whether two names are of one mailbox: INBOX may be written in any letter case. */
bool mailbox_is(const char *mailbox, const char *name);
bool account_has_mailbox(const struct account *a, const char *mailbox);

#endif
