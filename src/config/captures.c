/* SPDX-License-Identifier: ISC */
/* Every name that every regex of a rule can set, sorted; equal neighbours clash unless they are
 * alternatives of one list. Names become MAILCALL_MATCH_NAME, so letter case does not tell them
 * apart. */
#include "config/captures.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NAMES_MAX = 100 };

/* One regex of the tree sets one name. */
struct use {
    const char *name;
    const struct cond *leaf;
    const struct cond *group; /* the list it stands in, else itself */
    size_t regex;
};

struct uses {
    struct use *v;
    size_t n;
    size_t regexes;             /* seen so far */
    bool negated;               /* below a NOT, where nothing is ever captured */
    const struct cond *unnamed; /* the first regex with unnamed groups */
    const struct cond *unnamed_again;
    size_t unnamed_regex;
};

static void
add_use(struct uses *u, struct use use)
{
    if ((u->n & (u->n + 1)) == 0)
        u->v = xreallocarray(u->v, (u->n + 1) * 2, sizeof *u->v);
    u->v[u->n++] = use;
}

static void
collect_leaf(struct uses *u, const struct cond *leaf, const struct cond *group)
{
    const struct strv *names = regex_names(leaf->regex);
    for (size_t i = 0; i < names->n; i++)
        if (names->v[i][0] < '0' || names->v[i][0] > '9')
            add_use(u, (struct use){names->v[i], leaf, group, u->regexes});
    if (!regex_has_unnamed(leaf->regex))
        return;
    if (u->unnamed == NULL) {
        u->unnamed = leaf;
    } else if (u->unnamed_again == NULL) {
        u->unnamed_again = leaf;
        u->unnamed_regex = u->regexes;
    }
}

/* A list of values under one key is an ANY with that key; `any:` is one whose key says so. */
static bool
is_list(const struct cond *c)
{
    return c->kind == COND_ANY && (c->key == NULL || strcmp(c->key, "any") != 0);
}

/* Depth is bounded where trees are made. */
static void
collect(struct uses *u, const struct cond *c, const struct cond *group)
{
    if (c == NULL)
        return;
    if (c->regex != NULL) {
        if (!u->negated)
            collect_leaf(u, c, group != NULL ? group : c);
        u->regexes++;
    }
    bool outer = u->negated;
    u->negated = outer || c->kind == COND_NOT;
    for (size_t i = 0; i < c->n_sub; i++)
        collect(u, c->sub[i], is_list(c) ? c : NULL);
    u->negated = outer;
}

static int
by_name(const void *a, const void *b)
{
    const struct use *x = a;
    const struct use *y = b;
    int order = strcasecmp(x->name, y->name);
    return order != 0 ? order : (x->regex > y->regex) - (x->regex < y->regex);
}

static const struct use *
find_clash(struct uses *u)
{
    const struct use *first = NULL;
    if (u->n > 0)
        qsort(u->v, u->n, sizeof *u->v, by_name);
    for (size_t i = 1; i < u->n; i++)
        if (strcasecmp(u->v[i].name, u->v[i - 1].name) == 0 && u->v[i].group != u->v[i - 1].group &&
            (first == NULL || u->v[i].regex < first->regex))
            first = &u->v[i];
    return first;
}

static const struct use *
find_strange(const struct uses *u)
{
    for (size_t i = 0; i < u->n; i++)
        for (const char *p = u->v[i].name; *p != '\0'; p++)
            if ((unsigned char)*p >= 0x80)
                return &u->v[i];
    return NULL;
}

static int
judge(struct uses *u, size_t *regex, struct err *e)
{
    if (u->n > NAMES_MAX) {
        *regex = u->v[NAMES_MAX].regex;
        return err_set(e, ERR_USAGE, "%s: regex: more than %d named groups in one rule",
            u->v[NAMES_MAX].leaf->key, NAMES_MAX);
    }
    const struct use *clash = find_clash(u);
    if (clash != NULL) {
        *regex = clash->regex;
        return err_set(e, ERR_USAGE, "%s: regex: another condition of this rule captures '%s' too",
            clash->leaf->key, clash->name);
    }
    const struct use *strange = find_strange(u);
    if (strange != NULL) {
        *regex = strange->regex;
        return err_set(e, ERR_USAGE,
            "%s: regex: the name '%s' cannot become a variable; use letters a-z",
            strange->leaf->key, strange->name);
    }
    if (u->unnamed_again != NULL) {
        *regex = u->unnamed_regex;
        return err_set(e, ERR_USAGE,
            "%s: regex: '%s' of this rule has unnamed groups too; write (?<name>…) or (?:…)",
            u->unnamed_again->key, u->unnamed->key);
    }
    return 0;
}

int
captures_check(const struct cond *tree, size_t *regex, struct err *e)
{
    struct uses u = {0};
    collect(&u, tree, NULL);
    int result = judge(&u, regex, e);
    free(u.v);
    return result;
}
