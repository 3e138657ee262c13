/* SPDX-License-Identifier: ISC */
/* The life of a rule: a tree of conditions that owns what hangs below it. Refuses to know what a
 * condition means; that is rule/match. */
#include "rule/rule.h"

#include "base/mem.h"

#include <stdlib.h>

struct cond *
cond_new(enum cond_kind kind)
{
    struct cond *c = xcalloc(1, sizeof *c);
    c->kind = kind;
    return c;
}

void
cond_add(struct cond *parent, struct cond *child)
{
    parent->sub = xreallocarray(parent->sub, parent->n_sub + 1, sizeof *parent->sub);
    parent->sub[parent->n_sub++] = child;
}

void
cond_free(struct cond *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n_sub; i++)
        cond_free(c->sub[i]);
    free(c->sub);
    free(c->tried);
    regex_free(c->regex);
    free(c->text);
    free(c->header);
    free(c->attachment.name);
    free(c->attachment.type);
    free(c->auth.dkim);
    free(c->auth.dkim_domain);
    free(c->auth.spf);
    free(c->auth.dmarc);
    free(c->key);
    free(c->where);
    free(c);
}

void
cond_captures(const struct cond *c, struct strv *names)
{
    if (c == NULL || c->kind == COND_NOT)
        return;
    if (c->regex != NULL) {
        const struct strv *own = regex_names(c->regex);
        for (size_t i = 0; i < own->n; i++)
            if (!strv_has(names, own->v[i]))
                strv_add(names, own->v[i]);
    }
    for (size_t i = 0; i < c->n_sub; i++)
        cond_captures(c->sub[i], names);
}

/* What has to be looked at; a group costs what its dearest part does. */
enum cost { COST_META, COST_HEADERS, COST_STRUCTURE, COST_TEXT, COSTS };

static enum cost
own_cost(enum cond_kind kind)
{
    switch (kind) {
    case COND_ADDRESS:
    case COND_TEXT:
    case COND_HEADER:
    case COND_ANY_HEADER:
    case COND_AUTH:
        return COST_HEADERS;
    case COND_ATTACHMENT:
        return COST_STRUCTURE;
    case COND_BODY:
        return COST_TEXT;
    default:
        return COST_META;
    }
}

bool
cond_needs_whole(const struct cond *c)
{
    if (c == NULL)
        return false;
    if (own_cost(c->kind) >= COST_STRUCTURE)
        return true;
    for (size_t i = 0; i < c->n_sub; i++)
        if (cond_needs_whole(c->sub[i]))
            return true;
    return false;
}

static enum cost
sort_parts(struct cond *c)
{
    if (c->n_sub == 0)
        return own_cost(c->kind);
    enum cost *cost = xcalloc(c->n_sub, sizeof *cost);
    for (size_t i = 0; i < c->n_sub; i++)
        cost[i] = sort_parts(c->sub[i]);
    free(c->tried);
    c->tried = xcalloc(c->n_sub, sizeof *c->tried);
    enum cost dearest = COST_META;
    size_t n = 0;
    for (enum cost now = COST_META; now < COSTS; now++)
        for (size_t i = 0; i < c->n_sub; i++)
            if (cost[i] == now) {
                c->tried[n++] = c->sub[i];
                dearest = now;
            }
    free(cost);
    return dearest;
}

void
cond_sort(struct cond *c)
{
    if (c != NULL)
        sort_parts(c);
}

void
rule_free(struct rule *r)
{
    free(r->name);
    free(r->where);
    strv_free(&r->in);
    cond_free(r->match);
    *r = (struct rule){0};
}

void
ruleset_free(struct ruleset *rules)
{
    for (size_t i = 0; i < rules->n; i++)
        rule_free(&rules->v[i]);
    free(rules->v);
    *rules = (struct ruleset){0};
}

bool
cond_asks_header(const struct cond *c)
{
    if (c == NULL)
        return false;
    for (size_t i = 0; i < c->n_sub; i++)
        if (cond_asks_header(c->sub[i]))
            return true;
    switch (c->kind) {
    case COND_ALL:
    case COND_ANY:
    case COND_NOT:
    case COND_BODY:
    case COND_ATTACHMENT:
        return false;
    default:
        return true;
    }
}
