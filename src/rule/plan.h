/*
 * plan: which rules can concern a mailbox, so that the rest costs nothing.
 * Never knows IMAP, jobs or YAML.
 */
#ifndef MAILCALL_RULE_PLAN_H
#define MAILCALL_RULE_PLAN_H

#include "rule/rule.h"

/* Indexes into a ruleset, ascending. */
struct plan {
    size_t *v;
    size_t n;
};

/* The enabled rules whose `in` covers this mailbox. `in` entries: "work" is every mailbox of the
 * account, "work/INBOX" one (INBOX in any case), "work/Lists/…*" with '*' for any run of
 * characters. Names are UTF-8 with '/' between levels. */
void plan_make(
    struct plan *p, const struct ruleset *rules, const char *account, const char *mailbox);
void plan_free(struct plan *p);
/* Whether one `in` entry covers the mailbox: the piece of plan_make(), for tests and `check`. */
bool plan_covers(const char *in, const char *account, const char *mailbox);

#endif
