/*
 * rules: `rules:` and `defaults:` as structs.
 * Never knows how a rule is matched or run.
 */
#ifndef MAILCALL_CONFIG_RULES_H
#define MAILCALL_CONFIG_RULES_H

#include "config/accounts.h"

/* `defaults:` over what is already in *hook and *retry. */
void defaults_read(struct report *report, const struct node *map, struct hook_opts *hook,
    struct retry_opts *retry);
/* Reads each rule of the list into rules[i], hooks[i] and retries[i]; the last two start as copies
 * of the defaults. */
struct rules_room {
    const struct account_index *accounts;
    const struct hook_opts *hook_defaults;
    const struct retry_opts *retry_defaults;
    struct rule *rules;
    struct hook_opts *hooks;
    struct retry_opts *retries;
};
void rules_read(struct report *report, const struct node *list, const struct rules_room *room);

#endif
