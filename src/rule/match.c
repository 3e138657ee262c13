/* SPDX-License-Identifier: ISC */
/* Rules against facts.
 *
 * Three values: where the message is not whole, a condition may be unknown. `any` is true with one
 * true part and `all` is false with one false part, whatever else is unknown; so what the headers
 * decide never waits for a body.
 *
 * Captures are gathered while conditions hold and taken back where they turn out not to count:
 * below a condition that was not true, and below every `not`. An `any` stops at its first true
 * part, which alone contributes. A regex that runs into a limit ends the trial of its rule: nothing
 * is known, so the rule does not match, whatever stands above.
 *
 * Refuses to know how a message was read and what happens to a hit. */
#include "rule/match.h"

#include "base/mem.h"
#include "rule/trial.h"

#include <stdlib.h>

static enum truth holds(struct trial *t, const struct cond *c);

/* The parts one after the other until one gives `decisive`; else `otherwise`, unless a part was
 * unknown. While t->limited is set the answer means nothing. */
static enum truth
settle(struct trial *t, const struct cond *c, enum truth decisive, enum truth otherwise)
{
    struct cond *const *part = c->tried != NULL ? c->tried : c->sub;
    bool unknown = false;
    for (size_t i = 0; i < c->n_sub && !t->limited; i++) {
        enum truth one = holds(t, part[i]);
        if (one == decisive)
            return decisive;
        unknown = unknown || one == TRUTH_UNKNOWN;
    }
    return unknown ? TRUTH_UNKNOWN : otherwise;
}

static enum truth
opposite(enum truth truth)
{
    return (enum truth)(TRUTH_YES - truth);
}

static enum truth
holds_kind(struct trial *t, const struct cond *c)
{
    switch (c->kind) {
    case COND_ALL:
        return settle(t, c, TRUTH_NO, TRUTH_YES);
    case COND_ANY:
        return settle(t, c, TRUTH_YES, TRUTH_NO);
    case COND_NOT:
        return opposite(holds(t, c->sub[0]));
    default:
        return trial_leaf(t, c);
    }
}

/* What was not true leaves no captures, so neither does a `not`, true or false. */
static enum truth
holds(struct trial *t, const struct cond *c)
{
    size_t before = t->n_found;
    enum truth truth = holds_kind(t, c);
    if (truth != TRUTH_YES)
        trial_take_back(t, before);
    return truth;
}

static void
add_hit(struct hits *out, size_t rule, const struct cond *match, const struct trial *t)
{
    struct strv names = {0};
    cond_captures(match, &names);
    struct hit hit = {.rule = rule, .match = xstrdup(trial_value(t, NULL)), .n_captures = names.n};
    hit.captures = xcalloc(names.n + 1, sizeof *hit.captures);
    for (size_t i = 0; i < names.n; i++)
        hit.captures[i] =
            (struct capture){xstrdup(names.v[i]), xstrdup(trial_value(t, names.v[i]))};
    strv_free(&names);
    out->v = xreallocarray(out->v, out->n + 1, sizeof *out->v);
    out->v[out->n++] = hit;
}

static void
add_open(struct hits *out, size_t rule)
{
    out->open = xreallocarray(out->open, out->n_open + 1, sizeof *out->open);
    out->open[out->n_open++] = rule;
}

void
match_rules(const struct ruleset *rules, const struct plan *plan, const struct facts *facts,
    const struct meta *meta, int64_t now, struct hits *out)
{
    *out = (struct hits){0};
    struct trial t = {.facts = facts, .meta = meta, .now = now, .notes = &out->notes};
    for (size_t i = 0; i < plan->n; i++) {
        const struct cond *match = rules->v[plan->v[i]].match;
        t.limited = false;
        enum truth truth = match != NULL ? holds(&t, match) : TRUTH_YES;
        if (truth == TRUTH_YES && !t.limited)
            add_hit(out, plan->v[i], match, &t);
        else if (truth == TRUTH_UNKNOWN && !t.limited)
            add_open(out, plan->v[i]);
        trial_take_back(&t, 0);
    }
    trial_end(&t);
}

void
hits_free(struct hits *h)
{
    for (size_t i = 0; i < h->n; i++) {
        struct hit *hit = &h->v[i];
        for (size_t k = 0; k < hit->n_captures; k++) {
            free(hit->captures[k].name);
            free(hit->captures[k].value);
        }
        free(hit->captures);
        free(hit->match);
    }
    free(h->v);
    free(h->open);
    strv_free(&h->notes);
    *h = (struct hits){0};
}
