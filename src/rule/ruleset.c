/* SPDX-License-Identifier: ISC */
/* Rules as bytes. A regex travels as its pattern and is compiled again on the other side, which is
 * the same program, so it compiles. Both sides belong to us, but a mistake of one must not become a
 * wild pointer in the other: every condition is checked to have what its kind needs.
 *
 * Refuses to know what a condition means; that is rule/trial. */
#include "rule/rule.h"

#include "base/mem.h"
#include "base/pack.h"

#include <stdlib.h>

enum {
    FORMAT = 1,
    DEPTH_MAX = 200, /* a configuration nests 64 deep, each level at most three conditions */
    NUMBER_SIZE = 8, /* of the least a packed thing takes */
};

/* --- out --- */

static void
pack_regex(struct buf *out, const struct regex *r)
{
    pack_str(out, r != NULL ? regex_pattern(r) : NULL);
    pack_number(out, r != NULL && regex_is_multiline(r));
}

/* Members that are texts, in the order of the bytes. */
static const size_t texts[] = {
    offsetof(struct cond, text),
    offsetof(struct cond, header),
    offsetof(struct cond, attachment.name),
    offsetof(struct cond, attachment.type),
    offsetof(struct cond, auth.dkim),
    offsetof(struct cond, auth.dkim_domain),
    offsetof(struct cond, auth.spf),
    offsetof(struct cond, auth.dmarc),
    offsetof(struct cond, key),
    offsetof(struct cond, where),
};
enum { TEXTS = sizeof texts / sizeof *texts };

static char **
text_of(struct cond *c, size_t i)
{
    return (char **)(void *)((char *)c + texts[i]);
}

static void
pack_cond(struct buf *out, struct cond *c)
{
    pack_number(out, c->kind);
    pack_number(out, c->field);
    pack_number(out, c->test);
    pack_number(out, c->negated);
    pack_number(out, c->number);
    pack_number(out, c->attachment.larger);
    pack_number(out, c->attachment.count);
    for (size_t i = 0; i < TEXTS; i++)
        pack_str(out, *text_of(c, i));
    pack_regex(out, c->regex);
    pack_number(out, c->n_sub);
    for (size_t i = 0; i < c->n_sub; i++)
        pack_cond(out, c->sub[i]);
}

void
ruleset_pack(const struct ruleset *rules, struct buf *out)
{
    pack_number(out, FORMAT);
    pack_number(out, rules->n);
    for (size_t i = 0; i < rules->n; i++) {
        struct cond *match = rules->v[i].match;
        pack_number(out, match != NULL);
        if (match != NULL)
            pack_cond(out, match);
    }
}

/* --- in --- */

static void
unpack_regex(struct unpack *u, struct regex **r)
{
    struct regex_fault fault;
    char *pattern = unpack_str(u);
    bool multiline = unpack_upto(u, 1);
    if (pattern != NULL && !u->broken)
        *r = regex_new(pattern, multiline, &fault);
    if (*r == NULL && (pattern != NULL || multiline))
        u->broken = true;
    free(pattern);
}

static bool
has_test(const struct cond *c, bool only_regex)
{
    switch (c->test) {
    case TEST_REGEX:
    case TEST_NAME:
        return c->regex != NULL && c->key != NULL && c->where != NULL;
    case TEST_IS:
    case TEST_DOMAIN:
        return !only_regex && c->text != NULL;
    case TEST_PRESENT:
    case TEST_ABSENT:
        return !only_regex;
    }
    return false;
}

/* Whether it has what its kind needs; what it has beyond that nobody looks at. */
static bool
is_sound(const struct cond *c)
{
    switch (c->kind) {
    case COND_ALL:
    case COND_ANY:
        return true;
    case COND_NOT:
        return c->n_sub == 1;
    case COND_ADDRESS:
    case COND_TEXT:
        return has_test(c, false);
    case COND_HEADER:
        return c->header != NULL && has_test(c, false);
    case COND_ANY_HEADER:
    case COND_BODY:
        return has_test(c, true) && c->regex != NULL;
    case COND_FLAG:
        return c->text != NULL;
    case COND_LARGER:
    case COND_SMALLER:
    case COND_NEWER:
    case COND_OLDER:
    case COND_ATTACHMENT:
    case COND_AUTH:
        return true;
    }
    return false;
}

static struct cond *unpack_cond(struct unpack *u, unsigned depth);

/* A part that is broken ends the group: what came before is kept, to be freed with it. */
static void
unpack_parts(struct unpack *u, struct cond *group, unsigned depth)
{
    uint64_t n = unpack_upto(u, u->rest.n / NUMBER_SIZE);
    if (n > 0 && (group->kind > COND_NOT || depth == DEPTH_MAX))
        u->broken = true;
    for (; n > 0 && !u->broken; n--)
        cond_add(group, unpack_cond(u, depth + 1));
}

static struct cond *
unpack_cond(struct unpack *u, unsigned depth)
{
    struct cond *c = cond_new((enum cond_kind)unpack_upto(u, COND_AUTH));
    c->field = (enum cond_field)unpack_upto(u, FIELD_MESSAGE_ID);
    c->test = (enum cond_test)unpack_upto(u, TEST_ABSENT);
    c->negated = unpack_upto(u, 1);
    c->number = unpack_number(u);
    c->attachment.larger = unpack_number(u);
    c->attachment.count = (unsigned)unpack_upto(u, UINT32_MAX);
    for (size_t i = 0; i < TEXTS; i++)
        *text_of(c, i) = unpack_str(u);
    unpack_regex(u, &c->regex);
    unpack_parts(u, c, depth);
    u->broken = u->broken || !is_sound(c);
    return c;
}

static void
unpack_rules(struct unpack *u, struct ruleset *rules)
{
    uint64_t n = unpack_upto(u, u->rest.n / NUMBER_SIZE);
    rules->v = xcalloc(n + 1, sizeof *rules->v);
    for (; rules->n < n && !u->broken; rules->n++)
        if (unpack_upto(u, 1) == 1)
            rules->v[rules->n].match = unpack_cond(u, 0);
}

int
ruleset_unpack(struct span bytes, struct ruleset *rules, struct err *e)
{
    struct unpack u = {bytes, false};
    *rules = (struct ruleset){0};
    if (unpack_number(&u) != FORMAT)
        u.broken = true;
    unpack_rules(&u, rules);
    if (!unpack_whole(&u)) {
        ruleset_free(rules);
        return err_set(e, ERR_INPUT, "rules: damaged");
    }
    for (size_t i = 0; i < rules->n; i++)
        cond_sort(rules->v[i].match);
    return 0;
}
