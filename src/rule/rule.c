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
    regex_free(c->regex);
    free(c->text);
    free(c->header);
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
