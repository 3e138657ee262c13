/*
 * match: facts and rules in, hits out.
 * Never knows IMAP, jobs or YAML.
 */
#ifndef MAILCALL_RULE_MATCH_H
#define MAILCALL_RULE_MATCH_H

#include "mail/facts.h"
#include "rule/meta.h"
#include "rule/plan.h"

enum { HIT_VALUE_MAX = FACTS_VALUE_MAX };

struct capture {
    char *name;  /* as in the pattern; "1" for unnamed groups */
    char *value; /* as `match`; "" if the group took no part */
};

/* One rule that matched. Every name of cond_captures() is there, those that were not set as "". */
struct hit {
    size_t rule; /* index into the ruleset */
    char *match; /* text matched by the last regex that was true, else ""; one line of valid UTF-8,
                    at most HIT_VALUE_MAX bytes, cut between characters */
    struct capture *captures;
    size_t n_captures;
};

struct hits {
    struct hit *v; /* in file order of the rules */
    size_t n;
    size_t *open; /* rules that may match once the whole message is there, in file order; none if
                     the facts are whole. A rule is never in both. */
    size_t n_open;
    struct strv notes; /* one line each, for the log: a limit that was hit, with its place */
};

/* Tries the planned rules in order. Rules after one with `stop` that matched are still listed:
 * whether the message ends there is decided when the hook has run or was not needed, by the
 * caller. A condition that hits a PCRE2 limit makes its whole rule not match, also under `not`.
 * Cheapest first: metadata, then headers, then structure, then the text, within all/any; the order
 * of the file otherwise. Where facts are not whole, a condition on the text or the attachments is
 * neither true nor false, and so is a rule that hangs on it. */
void match_rules(const struct ruleset *rules, const struct plan *plan, const struct facts *facts,
    const struct meta *meta, int64_t now, struct hits *out);
void hits_free(struct hits *h); /* empty afterwards */

/* As bytes, across the door, and back. Whoever wrote them may lie: rules must be of the plan, in
 * order, no rule twice, open ones must need the whole message, capture names exactly those of
 * cond_captures() for that rule, values one line of valid UTF-8 within limits, notes too, of which
 * there is at most one for each planned rule. 0, or -1: broken, and *h is empty. */
void hits_pack(const struct hits *h, struct buf *out);
int hits_unpack(
    struct unpack *u, const struct ruleset *rules, const struct plan *plan, struct hits *h);

#endif
