/*
 * draft: a rule while it is read, or what `defaults:` say of all rules.
 * Never knows accounts or conditions.
 */
#ifndef MAILCALL_CONFIG_DRAFT_H
#define MAILCALL_CONFIG_DRAFT_H

#include "config/schema.h"
#include "hook/letter.h"
#include "job/queue.h"
#include "job/retry.h"
#include "rule/rule.h"

enum draft_end { AFTER_SUCCESS, AFTER_FAILURE, DRAFT_ENDS };

/* What is filled, and the nodes that are judged once the whole rule is known: NULL if not there. */
struct draft {
    struct hook_opts *hook;
    struct retry_opts *retry;
    struct queue_rule *manners;
    struct rule *rule; /* NULL for `defaults:` */
    const struct node *run;
    const struct node *sh;
    const struct node *in;
    const struct node *match;
    const struct node *debounce;
    const struct node *max_delay;
    const struct node *headers;           /* of its own */
    const struct node *after[DRAFT_ENDS]; /* free of errors; inherited from the defaults too */
};

#endif
