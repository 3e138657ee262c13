/* SPDX-License-Identifier: ISC */
/* Hits as bytes. They come from the process that read the mail, and whoever wrote the mail may have
 * taken that over: nothing is believed that this side can check, and what comes in keeps every
 * promise of match.h. Refuses to know what becomes of a hit. */
#include "rule/match.h"

#include "base/mem.h"
#include "base/pack.h"
#include "base/utf8.h"

#include <stdlib.h>

enum { NOTE_MAX = 8 * 1024 };

void
hits_pack(const struct hits *h, struct buf *out)
{
    pack_number(out, h->n);
    for (size_t i = 0; i < h->n; i++) {
        const struct hit *hit = &h->v[i];
        pack_number(out, hit->rule);
        pack_str(out, hit->match);
        pack_number(out, hit->n_captures);
        for (size_t k = 0; k < hit->n_captures; k++) {
            pack_str(out, hit->captures[k].name);
            pack_str(out, hit->captures[k].value);
        }
    }
    pack_number(out, h->n_open);
    for (size_t i = 0; i < h->n_open; i++)
        pack_number(out, h->open[i]);
    pack_strv(out, &h->notes);
}

/* What is known of a rule that an answer may name. */
struct door {
    const struct ruleset *rules;
    const struct plan *plan;
};

/* A rule of the plan that stands behind place *next in it; *next moves behind the rule. */
static size_t
unpack_rule(struct unpack *u, const struct door *door, size_t *next)
{
    uint64_t rule = unpack_number(u);
    while (*next < door->plan->n && door->plan->v[*next] < rule)
        (*next)++;
    if (*next == door->plan->n || door->plan->v[*next] != rule)
        u->broken = true;
    if (u->broken)
        return 0;
    (*next)++;
    return (size_t)rule;
}

static bool
is_unchanged(const char *s, void (*scrub)(struct buf *out, struct span s))
{
    struct buf clean = {0};
    scrub(&clean, span_str(s));
    bool same = span_eq(buf_span(&clean), span_str(s));
    buf_free(&clean);
    return same;
}

static char *
unpack_value(struct unpack *u)
{
    char *s = unpack_str(u);
    if (s == NULL || strlen(s) > HIT_VALUE_MAX || !is_unchanged(s, utf8_line))
        u->broken = true;
    return s;
}

/* The names are ours: those on the wire are only compared. */
static void
unpack_captures(struct unpack *u, const struct cond *match, struct hit *hit)
{
    struct strv names = {0};
    cond_captures(match, &names);
    if (unpack_number(u) != names.n)
        u->broken = true;
    hit->captures = xcalloc(names.n + 1, sizeof *hit->captures);
    for (; hit->n_captures < names.n && !u->broken; hit->n_captures++) {
        struct capture *c = &hit->captures[hit->n_captures];
        if (!span_eq(unpack_span(u), span_str(names.v[hit->n_captures])))
            u->broken = true;
        c->name = xstrdup(names.v[hit->n_captures]);
        c->value = unpack_value(u);
    }
    strv_free(&names);
}

static void
unpack_hits(struct unpack *u, const struct door *door, struct hits *h)
{
    uint64_t n = unpack_upto(u, door->plan->n);
    size_t next = 0;
    h->v = xcalloc(n + 1, sizeof *h->v);
    while (h->n < n && !u->broken) {
        struct hit *hit = &h->v[h->n++];
        hit->rule = unpack_rule(u, door, &next);
        if (u->broken)
            return;
        hit->match = unpack_value(u);
        unpack_captures(u, door->rules->v[hit->rule].match, hit);
    }
}

static bool
is_hit(const struct hits *h, size_t rule)
{
    for (size_t i = 0; i < h->n && h->v[i].rule <= rule; i++)
        if (h->v[i].rule == rule)
            return true;
    return false;
}

static void
unpack_open(struct unpack *u, const struct door *door, struct hits *h)
{
    uint64_t n = unpack_upto(u, door->plan->n);
    size_t next = 0;
    h->open = xcalloc(n + 1, sizeof *h->open);
    while (h->n_open < n && !u->broken) {
        size_t rule = unpack_rule(u, door, &next);
        if (u->broken || is_hit(h, rule) || !cond_needs_whole(door->rules->v[rule].match))
            u->broken = true;
        h->open[h->n_open++] = rule;
    }
}

static void
unpack_notes(struct unpack *u, const struct door *door, struct hits *h)
{
    unpack_strv(u, &h->notes);
    if (h->notes.n > door->plan->n)
        u->broken = true;
    for (size_t i = 0; i < h->notes.n && !u->broken; i++) {
        const char *note = h->notes.v[i];
        if (strlen(note) > NOTE_MAX || !is_unchanged(note, utf8_visible))
            u->broken = true;
    }
}

int
hits_unpack(struct unpack *u, const struct ruleset *rules, const struct plan *plan, struct hits *h)
{
    const struct door door = {rules, plan};
    *h = (struct hits){0};
    unpack_hits(u, &door, h);
    unpack_open(u, &door, h);
    unpack_notes(u, &door, h);
    if (!u->broken)
        return 0;
    hits_free(h);
    return -1;
}
