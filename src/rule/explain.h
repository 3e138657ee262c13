/*
 * explain: why a rule matched a message or did not, condition by condition, for people.
 * Never knows IMAP, jobs or YAML.
 *
 * Each condition is tried by match.h itself, so what is told here is what is decided there. It asks
 * regexes about strangers' text in whatever process calls it; regex.h bounds what that can cost,
 * and the facts were checked when they came through the door. For commands that hold no secrets.
 */
#ifndef MAILCALL_RULE_EXPLAIN_H
#define MAILCALL_RULE_EXPLAIN_H

#include "base/buf.h"
#include "rule/match.h"

struct explained {
    unsigned depth; /* below so many of any, all and not */
    char *key;      /* the word in the configuration; "not from" for one that is turned round */
    char *wanted;   /* "domain stripe.com, hetzner.com"; "" for any, all and not */
    char *found;    /* what it was about: an address, the matched text in quotes; "" = nothing */
    char *captures; /* "number=2026-17 year=2026", those that were set; may be "" */
    bool holds;
};

/* In the order of the configuration; texts are valid UTF-8, what comes from the mail is neither cut
 * nor scrubbed. */
struct explanation {
    struct explained *v;
    size_t n;
};

void explain(struct explanation *x, const struct rule *rule, const struct facts *facts,
    const struct meta *meta, int64_t now);
void explanation_free(struct explanation *x); /* empty afterwards */

/* Appends "812B", "48K", "1.5M": as people say it. */
void explain_size(struct buf *out, uint64_t bytes);

#endif
