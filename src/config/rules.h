/*
 * rules: `rules:` and `defaults:` as structs.
 * Never knows how a rule is matched or run.
 */
#ifndef MAILCALL_CONFIG_RULES_H
#define MAILCALL_CONFIG_RULES_H

#include "config/accounts.h"

/* `defaults:` over what is already in *hook. */
void defaults_read(struct report *report, const struct node *map, struct hook_opts *hook);
/* Reads each rule of the list into rules[i] and hooks[i], which start as copies of `defaults`. */
struct rules_room {
    const struct account_index *accounts;
    const struct hook_opts *defaults;
    struct rule *rules;
    struct hook_opts *hooks;
};
void rules_read(struct report *report, const struct node *list, const struct rules_room *room);

#endif
