/* SPDX-License-Identifier: ISC */
/* Any bytes as what crosses the sorter's door: as hits of a process that was taken over, refused or
 * with every promise of rule/match.h kept; and as rules, refused or good to be tried on a message.
 * The first byte says which. */
#include "rule/match.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool good)
{
    if (!good)
        abort();
}

static struct cond *
regex_leaf(enum cond_kind kind, const char *pattern)
{
    struct regex_fault fault;
    struct cond *c = cond_new(kind);
    c->field = FIELD_SUBJECT;
    c->key = xstrdup("key");
    c->where = xstrdup("where");
    c->regex = regex_new(pattern, kind == COND_BODY, &fault);
    must(c->regex != NULL);
    return c;
}

/* --- hits --- */

enum { RULES = 6 };
static struct rule known[RULES];
static const size_t known_planned[] = {0, 2, 3, 5};
static const struct plan known_plan = {(size_t *)known_planned, 4};

static void
make_rules(void)
{
    if (known[2].match != NULL)
        return;
    known[2].match = regex_leaf(COND_BODY, "(?<code>\\d+)(x)?");
    known[3].match = regex_leaf(COND_TEXT, "(?<tag>v\\d)");
    known[5].match = cond_new(COND_ATTACHMENT);
}

static void
free_rules(void)
{
    for (size_t i = 0; i < RULES; i++) {
        cond_free(known[i].match);
        known[i].match = NULL;
    }
}

static bool
is_planned(size_t rule)
{
    for (size_t i = 0; i < known_plan.n; i++)
        if (known_plan.v[i] == rule)
            return true;
    return false;
}

static void
value_check(const char *value)
{
    struct buf line = {0};
    must(value != NULL && strlen(value) <= HIT_VALUE_MAX && utf8_valid(span_str(value)));
    utf8_line(&line, span_str(value));
    must(span_eq(buf_span(&line), span_str(value)));
    buf_free(&line);
}

static void
hit_check(const struct hit *hit)
{
    struct strv names = {0};
    must(is_planned(hit->rule));
    value_check(hit->match);
    cond_captures(known[hit->rule].match, &names);
    must(hit->n_captures == names.n);
    for (size_t i = 0; i < names.n; i++) {
        must(strcmp(hit->captures[i].name, names.v[i]) == 0);
        value_check(hit->captures[i].value);
    }
    strv_free(&names);
}

static void
hits_check(const struct hits *h)
{
    for (size_t i = 0; i < h->n; i++) {
        hit_check(&h->v[i]);
        must(i == 0 || h->v[i - 1].rule < h->v[i].rule);
    }
    for (size_t i = 0; i < h->n_open; i++) {
        must(is_planned(h->open[i]) && cond_needs_whole(known[h->open[i]].match));
        must(i == 0 || h->open[i - 1] < h->open[i]);
        for (size_t k = 0; k < h->n; k++)
            must(h->v[k].rule != h->open[i]);
    }
    must(h->notes.n <= known_plan.n);
    for (size_t i = 0; i < h->notes.n; i++)
        must(utf8_valid(span_str(h->notes.v[i])) && strpbrk(h->notes.v[i], "\r\n\x1B") == NULL);
}

static void
try_as_hits(struct span bytes)
{
    const struct ruleset all = {known, RULES};
    struct unpack u = {bytes, false};
    struct hits h;
    make_rules();
    if (hits_unpack(&u, &all, &known_plan, &h) == 0) {
        struct buf again = {0};
        hits_check(&h);
        hits_pack(&h, &again);
        must(span_eq(buf_span(&again), (struct span){bytes.p, bytes.n - u.rest.n}));
        buf_free(&again);
    } else {
        must(h.v == NULL && h.open == NULL && h.notes.n == 0);
    }
    hits_free(&h);
    free_rules();
}

/* --- rules --- */

static void
put(char **to, const char *value)
{
    free(*to);
    *to = xstrdup(value);
}

static struct facts *
some_facts(bool whole)
{
    struct facts *f = facts_new();
    put(&f->subject, "Invoice 4711");
    f->headers = xcalloc(1, sizeof *f->headers);
    f->headers[0] = (struct header){xstrdup("X-Tag"), xstrdup("one 1")};
    f->n_headers = 1;
    f->whole = whole;
    if (!whole)
        return f;
    put(&f->text, "x\ncode 123\n");
    f->attachments = xcalloc(1, sizeof *f->attachments);
    f->attachments[0] =
        (struct attachment){xstrdup("2"), xstrdup("a.pdf"), xstrdup("image/png"), 100, false};
    f->n_attachments = 1;
    return f;
}

/* Whatever is open before the whole message is there is decided behind it. */
static void
rules_can_be_tried(const struct ruleset *all)
{
    struct plan every = {xcalloc(all->n + 1, sizeof *every.v), all->n};
    const struct meta meta = {.size = 5000, .received = 1};
    for (size_t i = 0; i < all->n; i++)
        every.v[i] = i;
    for (int whole = 0; whole < 2; whole++) {
        struct facts *f = some_facts(whole == 1);
        struct hits h;
        match_rules(all, &every, f, &meta, 100, &h);
        must(h.n + h.n_open <= all->n && (h.n_open == 0 || !whole));
        hits_free(&h);
        facts_free(f);
    }
    free(every.v);
}

static void
try_as_rules(struct span bytes)
{
    struct ruleset all;
    struct err e = {0};
    if (ruleset_unpack(bytes, &all, &e) != 0) {
        must(e.kind == ERR_INPUT && all.v == NULL && all.n == 0);
        return;
    }
    struct buf again = {0};
    ruleset_pack(&all, &again);
    must(span_eq(buf_span(&again), bytes));
    buf_free(&again);
    rules_can_be_tried(&all);
    ruleset_free(&all);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct span rest = {(const char *)data + 1, size - 1};
    if (data[0] == 'h')
        try_as_hits(rest);
    else
        try_as_rules(rest);
    return 0;
}
