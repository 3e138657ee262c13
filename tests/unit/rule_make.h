/* Conditions made in one line each, for tests of rule/. */
#ifndef MAILCALL_TESTS_RULE_MAKE_H
#define MAILCALL_TESTS_RULE_MAKE_H

#include "base/mem.h"
#include "rule/rule.h"

#include <assert.h>
#include <stdlib.h>

static inline struct cond *
make_leaf(enum cond_kind kind, enum cond_test test, const char *text)
{
    struct regex_fault fault;
    struct cond *c = cond_new(kind);
    c->test = test;
    c->key = xstrdup("key");
    c->where = xstrdup("rules:7:1");
    c->text = xstrdup(text);
    if (test == TEST_REGEX || test == TEST_NAME) {
        c->regex = regex_new(text, kind == COND_BODY, &fault);
        assert(c->regex != NULL);
    }
    return c;
}

static inline struct cond *
make_subject(const char *pattern)
{
    struct cond *c = make_leaf(COND_TEXT, TEST_REGEX, pattern);
    c->field = FIELD_SUBJECT;
    return c;
}

static inline struct cond *
make_body(const char *pattern)
{
    return make_leaf(COND_BODY, TEST_REGEX, pattern);
}

/* Whether there is an attachment of this name; NULL: any. */
static inline struct cond *
make_attachment(const char *name)
{
    struct cond *c = cond_new(COND_ATTACHMENT);
    c->attachment.name = name != NULL ? xstrdup(name) : NULL;
    return c;
}

static inline struct cond *
make_group(enum cond_kind kind, struct cond *a, struct cond *b)
{
    struct cond *c = cond_new(kind);
    if (a != NULL)
        cond_add(c, a);
    if (b != NULL)
        cond_add(c, b);
    return c;
}

static inline struct cond *
make_not(struct cond *c)
{
    return make_group(COND_NOT, c, NULL);
}

#endif
