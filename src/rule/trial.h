/*
 * trial: one rule against one message: what each single condition says of it, and what the regexes
 * that were true have found. Never knows IMAP, jobs or YAML, nor how conditions combine.
 */
#ifndef MAILCALL_RULE_TRIAL_H
#define MAILCALL_RULE_TRIAL_H

#include "mail/facts.h"
#include "rule/meta.h"
#include "rule/rule.h"

/* UNKNOWN: what would tell has not been fetched. */
enum truth { TRUTH_NO, TRUTH_UNKNOWN, TRUTH_YES };

/* What a regex that was true leaves behind. */
struct found {
    const char *name; /* of a group, the regex's own; NULL: the whole match */
    char *value;      /* one line of valid UTF-8, at most HIT_VALUE_MAX bytes */
};

/* Begins as {.facts, .meta, .now, .notes}, and serves one rule after the other. */
struct trial {
    const struct facts *facts;
    const struct meta *meta;
    int64_t now;
    struct strv *notes;
    struct found *found;
    size_t n_found;
    bool limited;      /* a limit was hit: nothing more can be known about this rule */
    struct strv lines; /* "Name: value", made when the first rule asks for them */
    enum { TEXT_UNSEEN, TEXT_VALID, TEXT_INVALID } text;
};

/* A condition that is no group. What it finds is kept only with TRUTH_YES. */
enum truth trial_leaf(struct trial *t, const struct cond *c);
/* Forgets what was found behind the first n. */
void trial_take_back(struct trial *t, size_t n);
/* The last value found under the name, else ""; NULL: the last whole match. */
const char *trial_value(const struct trial *t, const char *name);
void trial_end(struct trial *t); /* frees what is its own */

#endif
