/*
 * manners: how the runs of one rule share time: concurrency, debounce, max_delay, on_busy.
 * Never knows when anything runs. config_manner() and config_settle_manners() are in
 * config/config.h.
 */
#ifndef MAILCALL_CONFIG_MANNERS_H
#define MAILCALL_CONFIG_MANNERS_H

#include "config/draft.h"

/* One at a time, nothing gathers; max_delay_ms is 0 until somebody says it. */
void manners_default(struct queue_rule *m);

void manners_set(struct scope *s, const struct node *value); /* concurrency, on_busy */
void manners_set_debounce(struct scope *s, const struct node *value);
void manners_set_max_delay(struct scope *s, const struct node *value);

/* Whether the two waits agree, for defaults and for a rule; a rule then gets its max_delay. */
void manners_check(struct scope *s, const struct draft *d);

#endif
