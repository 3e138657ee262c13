/*
 * match: facts and rules in, hits out.
 * Never knows IMAP, jobs or YAML.
 */
#ifndef MAILCALL_RULE_MATCH_H
#define MAILCALL_RULE_MATCH_H

#include "mail/facts.h"
#include "rule/meta.h"
#include "rule/plan.h"

struct capture {
    char *name;  /* as in the pattern; "1" for unnamed groups */
    char *value; /* valid UTF-8, one line; "" if the group took no part */
};

/* One rule that matched. Every name of cond_captures() is there, those that were not set as "". */
struct hit {
    size_t rule; /* index into the ruleset */
    char *match; /* text matched by the last regex that was true, else "" */
    struct capture *captures;
    size_t n_captures;
};

struct hits {
    struct hit *v; /* in file order of the rules */
    size_t n;
    struct strv notes; /* one line each, for the log: a limit that was hit, with its place */
};

/* Tries the planned rules in order. Rules after one with `stop` that matched are still listed:
 * whether the message ends there is decided when the hook has run or was not needed, by the
 * caller. A condition that hits a PCRE2 limit makes its whole rule not match, also under `not`.
 * Cheapest first: metadata before header text within all/any, the order of the file otherwise. */
void match_rules(const struct ruleset *rules, const struct plan *plan, const struct facts *facts,
    const struct meta *meta, int64_t now, struct hits *out);
void hits_free(struct hits *h); /* empty afterwards */

#endif
