/*
 * rules: `rules:` and `defaults:` as structs.
 * Never knows how a rule is matched or run.
 */
#ifndef MAILCALL_CONFIG_RULES_H
#define MAILCALL_CONFIG_RULES_H

#include "config/accounts.h"
#include "config/draft.h"

/* What holds where neither rules nor defaults say anything, and then `defaults:` over it. */
void defaults_init(struct draft *defaults);
void defaults_read(struct report *report, const struct node *map, struct draft *defaults);
/* Reads each rule of the list into rules[i], hooks[i], retries[i] and manners[i]; all but the first
 * start as copies of the defaults. */
struct rules_room {
    const struct account_index *accounts;
    const struct draft *defaults;
    struct rule *rules;
    struct hook_opts *hooks;
    struct retry_opts *retries;
    struct queue_rule *manners;
};
void rules_read(struct report *report, const struct node *list, const struct rules_room *room);

#endif
