/* SPDX-License-Identifier: ISC */
/* A walk over the conditions of one rule. Whether a condition holds is asked of match_rules(), with
 * a rule that consists of it alone. Which address or attachment made it hold is found out in the
 * same way: facts are narrowed to one of them at a time.
 *
 * What the configuration made of a list, an ANY of equals, is one line again. */
#include "rule/explain.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED_MAX = 3 }; /* of the addresses, attachments … that did not match */

struct walk {
    struct explanation *out;
    const struct facts *facts;
    const struct meta *meta;
    int64_t now;
};

/* --- asking --- */

/* The caller frees *hits. */
static bool
try_one(const struct walk *w, const struct cond *c, const struct facts *facts, struct hits *hits)
{
    size_t first = 0;
    struct rule rule = {.match = (struct cond *)c, .enabled = true};
    struct ruleset rules = {.v = &rule, .n = 1};
    struct plan plan = {.v = &first, .n = 1};
    match_rules(&rules, &plan, facts, w->meta, w->now, hits);
    return hits->n > 0;
}

static bool
holds(const struct walk *w, const struct cond *c, const struct facts *facts)
{
    struct hits hits;
    bool yes = try_one(w, c, facts, &hits);
    hits_free(&hits);
    return yes;
}

/* --- numbers --- */

void
explain_size(struct buf *out, uint64_t bytes)
{
    static const char units[] = "KMG";
    double n = (double)bytes;
    size_t unit = 0;
    if (bytes < 1024) {
        buf_addf(out, "%" PRIu64 "B", bytes);
        return;
    }
    for (n /= 1024; n >= 1024 && unit < 2; n /= 1024)
        unit++;
    bool whole = n >= 10 || (double)(uint64_t)n == n;
    buf_addf(out, whole ? "%.0f%c" : "%.1f%c", n, units[unit]);
}

struct unit {
    uint64_t size;
    const char *name;
};

static const struct unit ages[] = {
    {86400 * (uint64_t)1000, "d"}, {3600 * 1000, "h"}, {60 * 1000, "m"}, {1000, "s"}, {1, "ms"}};
static const struct unit sizes[] = {{1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "K"}, {1, ""}};

/* As it was configured, or could have been: the largest unit that leaves nothing. */
static void
add_exactly(struct buf *out, uint64_t n, const struct unit *units)
{
    while (n % units->size != 0)
        units++;
    buf_addf(out, "%" PRIu64 "%s", n / units->size, units->name);
}

static void
add_age(struct buf *out, uint64_t ms)
{
    const struct unit *u = ages;
    while (u->size > 1000 && ms < u->size)
        u++;
    buf_addf(out, "%" PRIu64 "%s old", ms / u->size, u->name);
}

/* --- what is wanted --- */

static void
add_test(struct buf *out, const struct cond *c)
{
    switch (c->test) {
    case TEST_REGEX:
        buf_addf(out, "/%s/", regex_pattern(c->regex));
        break;
    case TEST_NAME:
        buf_addf(out, "name /%s/", regex_pattern(c->regex));
        break;
    case TEST_IS:
        buf_addf(out, "is %s", c->text);
        break;
    case TEST_DOMAIN:
        buf_addf(out, "domain %s", c->text);
        break;
    case TEST_PRESENT:
        buf_adds(out, "present");
        break;
    case TEST_ABSENT:
        buf_adds(out, "absent");
        break;
    }
}

static void
add_word(struct buf *out, const char *format, const char *word)
{
    if (word == NULL)
        return;
    if (out->n > 0)
        buf_adds(out, ", ");
    buf_addf(out, format, word);
}

static void
add_attachment_wish(struct buf *out, const struct cond *c)
{
    const struct cond_attachment *a = &c->attachment;
    bool name_alone = a->name != NULL && a->type == NULL && a->larger == 0 && a->count == 0;
    add_word(out, name_alone ? "%s" : "name %s", a->name);
    add_word(out, "type %s", a->type);
    if (a->larger > 0) {
        add_word(out, "%s", "larger ");
        add_exactly(out, a->larger, sizes);
    }
    if (a->count > 0)
        buf_addf(out, "%sat least %u", out->n > 0 ? ", " : "", a->count);
    if (out->n == 0)
        buf_adds(out, c->negated ? "none" : "any");
}

static void
add_auth_wish(struct buf *out, const struct cond *c)
{
    add_word(out, "dkim %s", c->auth.dkim);
    add_word(out, "domain %s", c->auth.dkim_domain);
    add_word(out, "spf %s", c->auth.spf);
    add_word(out, "dmarc %s", c->auth.dmarc);
}

static void
add_wanted(struct buf *out, const struct cond *c)
{
    switch (c->kind) {
    case COND_ADDRESS:
    case COND_TEXT:
        add_test(out, c);
        break;
    case COND_HEADER:
        buf_addf(out, "%s: ", c->header);
        add_test(out, c);
        break;
    case COND_ANY_HEADER:
    case COND_BODY:
        buf_addf(out, "/%s/", regex_pattern(c->regex));
        break;
    case COND_LARGER:
    case COND_SMALLER:
        add_exactly(out, c->number, sizes);
        break;
    case COND_NEWER:
    case COND_OLDER:
        add_exactly(out, c->number, ages);
        break;
    case COND_FLAG:
        buf_addf(out, "%s%s", c->negated ? "!" : "", c->text);
        break;
    case COND_ATTACHMENT:
        add_attachment_wish(out, c);
        break;
    case COND_AUTH:
        add_auth_wish(out, c);
        break;
    case COND_ALL:
    case COND_ANY:
    case COND_NOT:
        break;
    }
}

/* The second of "domain a, domain b" without the word they share. */
static void
add_alternative(struct buf *out, const struct cond *c, const struct cond *first)
{
    bool shares = c != first && c->test == first->test;
    if (shares && c->kind != COND_HEADER && (c->test == TEST_IS || c->test == TEST_DOMAIN))
        buf_adds(out, c->text);
    else if (shares && c->test == TEST_NAME)
        buf_addf(out, "/%s/", regex_pattern(c->regex));
    else
        add_wanted(out, c);
}

static char *
wanted_of(const struct cond *c)
{
    struct buf out = {0};
    if (c->kind != COND_ANY)
        add_wanted(&out, c);
    for (size_t i = 0; c->kind == COND_ANY && i < c->n_sub; i++) {
        struct buf one = {0};
        add_alternative(&one, c->sub[i], c->sub[0]);
        add_word(&out, "%s", buf_str(&one));
        buf_free(&one);
    }
    return buf_take(&out);
}

/* --- what was found --- */

static void
add_quoted(struct buf *out, const char *text)
{
    buf_addf(out, "\"%s\"", text);
}

/* The n-th of things that were not what was wanted; false: enough of them. */
static bool
add_comma(struct buf *out, size_t n)
{
    if (n == NAMED_MAX)
        buf_adds(out, ", \xE2\x80\xA6");
    else if (n > 0)
        buf_adds(out, ", ");
    return n < NAMED_MAX;
}

static void
add_address(struct buf *out, const struct address *a)
{
    const char *format = a->name[0] == '\0' ? "%s%s" : a->addr[0] == '\0' ? "%s%s" : "%s <%s>";
    buf_addf(out, format, a->name, a->addr);
}

/* The lists of a field, each as a member of facts. */
static size_t
lists_of(enum cond_field field, struct facts *f, struct addresses *lists[3])
{
    size_t n = 0;
    if (field == FIELD_FROM)
        lists[n++] = &f->from;
    if (field == FIELD_REPLY_TO)
        lists[n++] = &f->reply_to;
    if (field == FIELD_TO || field == FIELD_ADDRESSED_TO)
        lists[n++] = &f->to;
    if (field == FIELD_CC || field == FIELD_ADDRESSED_TO)
        lists[n++] = &f->cc;
    if (field == FIELD_ADDRESSED_TO)
        lists[n++] = &f->envelope_to;
    return n;
}

/* The address of the list that alone is what is wanted. `list` is one of `one`, which is narrowed.
 */
static const struct address *
find_address(const struct walk *w, const struct cond *c, struct facts *one, struct addresses *list)
{
    struct addresses all = *list;
    const struct address *found = NULL;
    for (size_t i = 0; i < all.n && found == NULL; i++) {
        *list = (struct addresses){&all.v[i], 1};
        if (holds(w, c, one))
            found = &all.v[i];
    }
    *list = (struct addresses){0};
    return found;
}

static void
add_found_address(struct buf *out, const struct walk *w, const struct cond *c)
{
    struct facts one = *w->facts;
    struct addresses *lists[3];
    size_t n = lists_of(c->field, &one, lists);
    struct addresses all[3];
    const struct address *found = NULL;
    for (size_t i = 0; i < n; i++) {
        all[i] = *lists[i];
        *lists[i] = (struct addresses){0};
    }
    for (size_t i = 0; i < n && found == NULL; i++) {
        *lists[i] = all[i];
        found = find_address(w, c, &one, lists[i]);
    }
    if (found != NULL)
        add_address(out, found);
}

static void
add_addresses(struct buf *out, const struct walk *w, enum cond_field field)
{
    struct facts copy = *w->facts;
    struct addresses *lists[3];
    size_t n = lists_of(field, &copy, lists);
    size_t named = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < lists[i]->n && named <= NAMED_MAX; k++)
            if (add_comma(out, named++))
                add_address(out, &lists[i]->v[k]);
    if (named == 0)
        buf_adds(out, "no address");
}

static void
add_envelope(struct buf *out, const char *addr)
{
    buf_adds(out, addr[0] != '\0' ? addr : "no address");
}

static void
add_address_found(struct buf *out, const struct walk *w, const struct cond *c, bool yes)
{
    if (c->field == FIELD_SENDER)
        add_envelope(out, w->facts->sender);
    else if (c->field == FIELD_RECIPIENT)
        add_envelope(out, w->facts->recipient);
    else if (yes)
        add_found_address(out, w, c);
    else
        add_addresses(out, w, c->field);
}

static const char *
text_of(const struct facts *f, enum cond_field field)
{
    return field == FIELD_SUBJECT   ? f->subject
           : field == FIELD_LIST_ID ? f->list_id
                                    : f->message_id;
}

/* The first field of the name. */
static void
add_header(struct buf *out, const struct facts *f, const char *name)
{
    for (size_t i = 0; i < f->n_headers; i++) {
        if (!span_ieq(span_str(f->headers[i].name), span_str(name)))
            continue;
        add_quoted(out, f->headers[i].value);
        return;
    }
    buf_adds(out, "no such header");
}

static void
add_received(struct buf *out, const struct walk *w)
{
    int64_t age = w->now > w->meta->received ? w->now - w->meta->received : 0;
    if (w->meta->received == 0)
        buf_adds(out, "no date");
    else
        add_age(out, (uint64_t)age * 1000);
}

static void
add_flags(struct buf *out, const struct strv *flags)
{
    for (size_t i = 0; i < flags->n; i++)
        buf_addf(out, "%s%s", i > 0 ? " " : "", flags->v[i]);
    if (flags->n == 0)
        buf_adds(out, "no flags");
}

static void
add_attachment(struct buf *out, const struct attachment *a)
{
    buf_addf(out, "%s (", a->name[0] != '\0' ? a->name : a->type);
    explain_size(out, a->size);
    buf_addc(out, ')');
}

/* That which alone is what is wanted, or else some of what is there. */
static void
add_attachments(struct buf *out, const struct walk *w, const struct cond *c, bool yes)
{
    const struct facts *f = w->facts;
    struct facts one = *f;
    for (size_t i = 0; i < f->n_attachments && yes && !c->negated; i++) {
        one.attachments = &f->attachments[i];
        one.n_attachments = 1;
        if (!holds(w, c, &one))
            continue;
        add_attachment(out, one.attachments);
        return;
    }
    for (size_t i = 0; i < f->n_attachments && i <= NAMED_MAX; i++)
        if (add_comma(out, i))
            add_attachment(out, &f->attachments[i]);
    if (f->n_attachments == 0)
        buf_adds(out, "no attachment");
}

static void
add_auth(struct buf *out, const struct auth *a)
{
    if (a->authserv[0] == '\0') {
        buf_adds(out, "nothing from a trusted server");
        return;
    }
    for (size_t i = 0; i < a->n_dkim && i <= NAMED_MAX; i++)
        if (add_comma(out, i))
            buf_addf(out, "dkim %s %s", a->dkim[i].result, a->dkim[i].domain);
    if (a->spf[0] != '\0')
        add_word(out, "spf %s", a->spf);
    if (a->dmarc[0] != '\0')
        add_word(out, "dmarc %s", a->dmarc);
    if (out->n == 0)
        buf_addf(out, "no results from %s", a->authserv);
}

static void
add_body(struct buf *out, const struct facts *f)
{
    buf_adds(out, "not in ");
    explain_size(out, strlen(f->text));
    buf_adds(out, f->text_truncated ? " of text, the rest was cut off" : " of text");
}

/* What a condition saw that is not satisfied by a matched text. */
static void
add_seen(struct buf *out, const struct walk *w, const struct cond *c, bool yes)
{
    switch (c->kind) {
    case COND_ADDRESS:
        add_address_found(out, w, c, yes);
        break;
    case COND_TEXT:
        add_quoted(out, text_of(w->facts, c->field));
        break;
    case COND_HEADER:
        add_header(out, w->facts, c->header);
        break;
    case COND_LARGER:
    case COND_SMALLER:
        explain_size(out, w->meta->size);
        break;
    case COND_NEWER:
    case COND_OLDER:
        add_received(out, w);
        break;
    case COND_FLAG:
        add_flags(out, &w->meta->flags);
        break;
    case COND_BODY:
        add_body(out, w->facts);
        break;
    case COND_ATTACHMENT:
        add_attachments(out, w, c, yes);
        break;
    case COND_AUTH:
        add_auth(out, &w->facts->auth);
        break;
    case COND_ANY_HEADER:
    case COND_ALL:
    case COND_ANY:
    case COND_NOT:
        break;
    }
}

/* The one of a list that holds, or its first. */
static const struct cond *
decisive(const struct walk *w, const struct cond *c)
{
    if (c->kind != COND_ANY)
        return c;
    for (size_t i = 0; i < c->n_sub; i++)
        if (holds(w, c->sub[i], w->facts))
            return c->sub[i];
    return c->sub[0];
}

static char *
captures_of(const struct hit *hit)
{
    struct buf out = {0};
    for (size_t i = 0; i < hit->n_captures; i++) {
        const struct capture *k = &hit->captures[i];
        if (k->value[0] != '\0')
            buf_addf(&out, "%s%s=%s", out.n > 0 ? " " : "", k->name, k->value);
    }
    return buf_take(&out);
}

/* --- the walk --- */

static void
add_line(struct walk *w, struct explained line)
{
    struct explanation *x = w->out;
    x->v = xreallocarray(x->v, x->n + 1, sizeof *x->v);
    x->v[x->n++] = line;
}

static bool
is_group(const struct cond *c)
{
    return c->kind == COND_ALL || c->kind == COND_ANY || c->kind == COND_NOT;
}

static bool
same_key(const struct cond *a, const struct cond *b)
{
    return a->key != NULL && b->key != NULL && strcmp(a->key, b->key) == 0;
}

/* Whether it stands for one line of the configuration: a leaf, or a list of values. */
static bool
is_line(const struct cond *c)
{
    if (c->kind != COND_ANY || c->n_sub == 0)
        return !is_group(c);
    for (size_t i = 0; i < c->n_sub; i++)
        if (is_group(c->sub[i]) || !same_key(c, c->sub[i]))
            return false;
    return true;
}

/* A condition, or a `not` of one. */
static void
explain_line(struct walk *w, const struct cond *c, unsigned depth)
{
    const struct cond *asked = c->kind == COND_NOT ? c->sub[0] : c;
    const struct cond *leaf = decisive(w, asked);
    struct buf found = {0};
    struct hits hits;
    bool yes = try_one(w, asked, w->facts, &hits);
    bool by_text = yes && leaf->kind != COND_ADDRESS && hits.v[0].match[0] != '\0';
    if (hits.notes.n > 0)
        buf_adds(&found, "took too long, so the rule does not match");
    else if (by_text)
        add_quoted(&found, hits.v[0].match);
    else
        add_seen(&found, w, leaf, yes);
    const char *key = asked->key != NULL ? asked->key : "";
    add_line(w, (struct explained){
                    .depth = depth,
                    .key = c == asked ? xstrdup(key) : xasprintf("not %s", key),
                    .wanted = wanted_of(asked),
                    .found = buf_take(&found),
                    .captures = c == asked && yes ? captures_of(&hits.v[0]) : xstrdup(""),
                    .holds = holds(w, c, w->facts),
                });
    hits_free(&hits);
}

static void
explain_group(struct walk *w, const char *key, const struct cond *c, unsigned depth)
{
    add_line(w, (struct explained){
                    .depth = depth,
                    .key = xstrdup(key),
                    .wanted = xstrdup(""),
                    .found = xstrdup(""),
                    .captures = xstrdup(""),
                    .holds = holds(w, c, w->facts),
                });
}

/* `inside`: an ALL needs a line of its own where its parts would be taken for alternatives. */
static void
explain_cond(struct walk *w, const struct cond *c, unsigned depth, bool inside)
{
    if (is_line(c) || (c->kind == COND_NOT && is_line(c->sub[0]))) {
        explain_line(w, c, depth);
        return;
    }
    static const char *const keys[] = {[COND_ALL] = "all", [COND_ANY] = "any", [COND_NOT] = "not"};
    bool named = c->kind != COND_ALL || inside;
    if (named)
        explain_group(w, keys[c->kind], c, depth);
    for (size_t i = 0; i < c->n_sub; i++)
        explain_cond(w, c->sub[i], depth + named, c->kind == COND_ANY);
}

void
explain(struct explanation *x, const struct rule *rule, const struct facts *facts,
    const struct meta *meta, int64_t now)
{
    *x = (struct explanation){0};
    struct walk w = {.out = x, .facts = facts, .meta = meta, .now = now};
    if (rule->match != NULL)
        explain_cond(&w, rule->match, 0, false);
}

void
explanation_free(struct explanation *x)
{
    for (size_t i = 0; i < x->n; i++) {
        free(x->v[i].key);
        free(x->v[i].wanted);
        free(x->v[i].found);
        free(x->v[i].captures);
    }
    free(x->v);
    *x = (struct explanation){0};
}
