/* SPDX-License-Identifier: ISC */
/* Any bytes as a mail: facts keep their promises, and a fixed set of rules is tried on them. */
#include "base/mem.h"
#include "mail/message.h"
#include "rule/match.h"

#include "../facts_check.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cond *
leaf(enum cond_kind kind, enum cond_field field, enum cond_test test, const char *text)
{
    struct cond *c = cond_new(kind);
    c->field = field;
    c->test = test;
    c->key = xstrdup("key");
    c->where = xstrdup("rules:1:1");
    if (test == TEST_REGEX || test == TEST_NAME) {
        struct regex_fault fault;
        c->regex = regex_new(text, false, &fault);
        MUST(c->regex != NULL);
    } else {
        c->text = xstrdup(text);
    }
    return c;
}

static void
add_rule(struct ruleset *rules, struct cond *match)
{
    rules->v = xreallocarray(rules->v, rules->n + 1, sizeof *rules->v);
    rules->v[rules->n++] = (struct rule){.match = match, .enabled = true};
}

static struct cond *
both_of(enum cond_kind kind, struct cond *a, struct cond *b)
{
    struct cond *c = cond_new(kind);
    cond_add(c, a);
    if (b != NULL)
        cond_add(c, b);
    return c;
}

static void
rules_fill(struct ruleset *rules)
{
    add_rule(rules, NULL);
    add_rule(rules, leaf(COND_TEXT, FIELD_SUBJECT, TEST_REGEX, "(?<word>\\w+)\\W+(.*)$"));
    add_rule(rules, leaf(COND_TEXT, FIELD_SUBJECT, TEST_REGEX, "(a+)+$"));
    add_rule(rules, leaf(COND_ANY_HEADER, FIELD_SUBJECT, TEST_REGEX, "^(x-[^:]*): (.)"));
    add_rule(
        rules, both_of(COND_NOT, leaf(COND_TEXT, FIELD_LIST_ID, TEST_REGEX, "(.)\\1\\1"), NULL));
    add_rule(rules,
        both_of(COND_ALL, leaf(COND_ADDRESS, FIELD_FROM, TEST_REGEX, "(?<name>.*) <(?<addr>.+)>"),
            leaf(COND_ADDRESS, FIELD_ADDRESSED_TO, TEST_DOMAIN, ".example.com")));
    add_rule(rules, both_of(COND_ANY, leaf(COND_ADDRESS, FIELD_SENDER, TEST_REGEX, "^$"),
                        leaf(COND_ADDRESS, FIELD_TO, TEST_NAME, "(\\p{Lu})")));
}

static void
hits_check(const struct hits *hits, const struct ruleset *rules)
{
    MUST(hits->n >= 1 && hits->n <= rules->n);
    for (size_t i = 0; i < hits->n; i++) {
        MUST(utf8_valid(span_str(hits->v[i].match)));
        for (size_t k = 0; k < hits->v[i].n_captures; k++)
            MUST(utf8_valid(span_str(hits->v[i].captures[k].value)));
    }
    for (size_t i = 0; i < hits->notes.n; i++)
        MUST(strchr(hits->notes.v[i], '\n') == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ruleset rules;
    if (rules.n == 0)
        rules_fill(&rules);
    struct plan plan;
    struct hits hits;
    struct meta meta = {.account = "a", .mailbox = "INBOX", .role = "", .url = ""};
    struct facts *facts = message_facts((struct span){(const char *)data, size}, NULL);
    facts_check(facts);
    plan_make(&plan, &rules, meta.account, meta.mailbox);
    match_rules(&rules, &plan, facts, &meta, 0, &hits);
    hits_check(&hits, &rules);
    hits_free(&hits);
    plan_free(&plan);
    facts_free(facts);
    return 0;
}
