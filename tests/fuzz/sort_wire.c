/* SPDX-License-Identifier: ISC */
/* Any bytes as what the sorter and a worker hear of each other: no frame, a frame that is refused,
 * or values that keep every promise of their headers. */
#include "base/mem.h"
#include "sort/wire.h"

#include "../facts_check.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RULES = 3 }; /* the middle one is not planned */

static struct ruleset *
rules_of_the_sorter(void)
{
    static struct ruleset rules;
    struct regex_fault fault;
    if (rules.v != NULL)
        return &rules;
    rules.v = xcalloc(RULES, sizeof *rules.v);
    rules.n = RULES;
    struct cond *c = cond_new(COND_TEXT);
    c->field = FIELD_SUBJECT;
    c->regex = regex_new("(?<no>\\d+)-(?<year>\\d+)", false, &fault);
    rules.v[0].match = c;
    c = cond_new(COND_BODY);
    c->regex = regex_new("code (\\d+)", true, &fault);
    rules.v[2].match = c;
    return &rules;
}

static void
hits_check(const struct hits *h, const struct ruleset *rules)
{
    for (size_t i = 0; i < h->n; i++) {
        struct strv names = {0};
        const struct hit *hit = &h->v[i];
        MUST(hit->rule == 0 || hit->rule == 2);
        MUST(i == 0 || hit->rule > h->v[i - 1].rule);
        line_check(hit->match);
        cond_captures(rules->v[hit->rule].match, &names);
        MUST(hit->n_captures == names.n);
        for (size_t k = 0; k < names.n; k++) {
            MUST(strcmp(hit->captures[k].name, names.v[k]) == 0);
            line_check(hit->captures[k].value);
        }
        strv_free(&names);
    }
    MUST(h->n_open <= 1 && (h->n_open == 0 || h->open[0] == 2));
}

static void
nodes_check(const struct message_nodes *nodes)
{
    MUST(nodes->n <= FACTS_ATTACHMENTS_MAX);
    for (size_t i = 0; i < nodes->n; i++) {
        line_check(nodes->v[i].part);
        line_check(nodes->v[i].type);
        line_check(nodes->v[i].name);
    }
}

/* What was taken for true is written as it was read. */
static void
answer_is_written_the_same(const struct wire_question *q, const struct wire_answer *a)
{
    struct buf first = {0};
    struct buf second = {0};
    struct wire_answer again;
    wire_pack_answer(q->serial, a, &first);
    MUST(wire_unpack_answer(buf_span(&first), q, &again) == 0);
    wire_pack_answer(q->serial, &again, &second);
    MUST(span_eq(buf_span(&first), buf_span(&second)));
    wire_answer_clear(&again);
    buf_free(&first);
    buf_free(&second);
}

static void
hear_answer_to(const struct wire_question *q, struct span body)
{
    struct wire_answer a;
    if (wire_unpack_answer(body, q, &a) != 0) {
        MUST(a.facts == NULL && a.hits.v == NULL && a.nodes.v == NULL);
        return;
    }
    facts_check(a.facts);
    MUST(a.facts->whole == q->whole);
    hits_check(&a.hits, q->rules);
    MUST(q->list || a.nodes.n == 0);
    nodes_check(&a.nodes);
    answer_is_written_the_same(q, &a);
    wire_answer_clear(&a);
}

static void
hear_answer(struct span body)
{
    static size_t planned[] = {0, 2};
    static const struct plan plan = {planned, 2};
    struct unpack u = {body, false};
    uint64_t serial = unpack_number(&u);
    for (int i = 0; i < 4; i++)
        hear_answer_to(
            &(struct wire_question){serial, i % 2 != 0, i / 2 != 0, rules_of_the_sorter(), &plan},
            body);
}

static void
hear_request(struct span body)
{
    struct wire_request r;
    struct buf again = {0};
    if (wire_unpack_request(body, rules_of_the_sorter(), &r) != 0)
        return;
    for (size_t i = 0; i < r.plan.n; i++)
        MUST(r.plan.v[i] < RULES && (i == 0 || r.plan.v[i] > r.plan.v[i - 1]));
    MUST(r.size <= WIRE_MESSAGE_MAX);
    wire_pack_request(&r, &again);
    MUST(span_eq(buf_span(&again), body));
    buf_free(&again);
    wire_request_clear(&r);
}

static void
hear_orders(struct span body)
{
    struct wire_orders orders;
    struct ruleset rules = {0};
    struct err e = {0};
    if (wire_unpack_orders(body, &orders) != 0)
        return;
    if (ruleset_unpack(orders.rules, &rules, &e) != 0)
        MUST(e.kind == ERR_INPUT && rules.v == NULL && rules.n == 0);
    ruleset_free(&rules);
}

static void
hear_ready(struct span body)
{
    char *reason = wire_unpack_ready(body);
    if (reason != NULL) {
        MUST(strlen(reason) <= 3 * WIRE_REASON_MAX);
        line_check(reason);
    }
    free(reason);
}

static void
hear_file(struct span body)
{
    struct wire_file f;
    struct buf again = {0};
    if (wire_unpack_file(body, &f) != 0)
        return;
    MUST(f.attachment < FACTS_ATTACHMENTS_MAX);
    wire_pack_file(&f, &again);
    MUST(span_eq(buf_span(&again), body));
    buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const hear[WIRE_KINDS])(struct span body) = {
        [WIRE_ORDERS] = hear_orders,
        [WIRE_READY] = hear_ready,
        [WIRE_REQUEST] = hear_request,
        [WIRE_ANSWER] = hear_answer,
        [WIRE_FILE] = hear_file,
        [WIRE_WRITTEN] = hear_file,
    };
    struct span in = {(const char *)data, size};
    struct frame f;
    while (wire_take_frame(in, &f) == 1) {
        hear[f.kind](f.body);
        in = (struct span){f.body.p + f.body.n, (size_t)(in.p + in.n - (f.body.p + f.body.n))};
    }
    return 0;
}
