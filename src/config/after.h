/*
 * after: what is done once a run has ended: `on_success` and `on_failure`.
 * Never knows how a server does it.
 */
#ifndef MAILCALL_CONFIG_AFTER_H
#define MAILCALL_CONFIG_AFTER_H

#include "config/accounts.h"
#include "config/draft.h"
#include "config/template.h"

/* The key's tag is an enum draft_end. What was there is replaced. */
void after_set(struct scope *s, const struct node *value);

/* The commands among the actions, where `defaults` have not been judged already; NULL: these are
 * they. */
void after_check(struct scope *s, const struct draft *d, const struct draft *defaults,
    const struct names *names);
/* A word on deleting what is only believed to come from somebody. */
void after_warn_trust(struct scope *s, const struct draft *d);
/* Mail that is put where the rule looks is new mail, and the rule runs on it again. */
void after_check_targets(
    struct scope *s, const struct draft *d, const struct account_index *accounts);

#endif
