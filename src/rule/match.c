/* SPDX-License-Identifier: ISC */
/* Conditions against facts.
 *
 * A trial is one rule against one message. Captures are gathered while conditions hold and taken
 * back where they turn out not to count: below a condition that was false, and below every `not`.
 * An `any` stops at its first true part, which alone contributes. A regex that runs into a limit
 * ends the trial: nothing is known, so the rule does not match, whatever stands above.
 *
 * What a regex sees: an address as `Name <addr>`, or the one of them that is there; sender and
 * recipient as the bare address, even an empty one, so '^$' finds bounces.
 *
 * Refuses to know how a message was read and what happens to a hit. */
#include "rule/match.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

/* What a regex that was true leaves behind. */
struct found {
    const char *name; /* of a group, the regex's own; NULL: the whole match */
    char *value;
};

struct trial {
    const struct facts *facts;
    const struct meta *meta;
    int64_t now;
    struct strv *notes;
    struct found *found;
    size_t n_found;
    bool limited;
};

static void
keep(struct trial *t, const char *name, struct span value)
{
    t->found = xreallocarray(t->found, t->n_found + 1, sizeof *t->found);
    t->found[t->n_found++] = (struct found){name, xstrndup(value.p, value.n)};
}

static void
take_back(struct trial *t, size_t n_found)
{
    while (t->n_found > n_found)
        free(t->found[--t->n_found].value);
}

/* The last value kept under the name, else "". */
static const char *
found_value(const struct trial *t, const char *name)
{
    for (size_t i = t->n_found; i > 0; i--) {
        const struct found *f = &t->found[i - 1];
        bool same = name == NULL ? f->name == NULL : f->name != NULL && strcmp(f->name, name) == 0;
        if (same)
            return f->value;
    }
    return "";
}

static void
note_limit(struct trial *t, const struct cond *c, const char *reason)
{
    struct buf line = {0};
    buf_addf(&line, "%s: %s: %s; the rule does not match", c->where, c->key, reason);
    struct buf visible = {0};
    utf8_visible(&visible, buf_span(&line));
    strv_take(t->notes, buf_take(&visible));
    buf_free(&line);
    t->limited = true;
}

static bool
holds_regex(struct trial *t, const struct cond *c, struct span subject)
{
    struct regex_match m;
    enum regex_result result = regex_exec(c->regex, subject, &m);
    if (result == REGEX_LIMIT)
        note_limit(t, c, m.reason);
    if (result != REGEX_YES)
        return false;
    const struct strv *names = regex_names(c->regex);
    for (size_t i = 0; i < m.n; i++)
        if (m.group[i].p != NULL)
            keep(t, names->v[i], m.group[i]);
    keep(t, NULL, m.whole);
    regex_match_free(&m);
    return true;
}

static bool
equal_ignoring_case(const char *a, const char *b)
{
    return span_ieq(span_str(a), span_str(b));
}

static bool
holds_text(struct trial *t, const struct cond *c, const char *text)
{
    switch (c->test) {
    case TEST_REGEX:
        return holds_regex(t, c, span_str(text));
    case TEST_IS:
        return equal_ignoring_case(text, c->text);
    case TEST_PRESENT:
        return text[0] != '\0';
    case TEST_ABSENT:
        return text[0] == '\0';
    default:
        return false;
    }
}

/* `d` is that domain, `.d` is d and what lies below. */
static bool
in_domain(const char *addr, const char *wanted)
{
    const char *at = strrchr(addr, '@');
    if (at == NULL)
        return false;
    struct span domain = span_str(at + 1);
    if (wanted[0] != '.')
        return span_ieq(domain, span_str(wanted));
    struct span below = span_str(wanted);
    if (domain.n >= below.n)
        return span_ieq((struct span){domain.p + domain.n - below.n, below.n}, below);
    return span_ieq(domain, span_str(wanted + 1));
}

static bool
holds_whole_address(struct trial *t, const struct cond *c, const char *name, const char *addr)
{
    struct buf b = {0};
    buf_adds(&b, name);
    if (addr[0] != '\0')
        buf_addf(&b, name[0] != '\0' ? " <%s>" : "%s", addr);
    bool yes = holds_regex(t, c, buf_span(&b));
    buf_free(&b);
    return yes;
}

static bool
holds_address(struct trial *t, const struct cond *c, const char *name, const char *addr)
{
    switch (c->test) {
    case TEST_REGEX:
        return holds_whole_address(t, c, name, addr);
    case TEST_NAME:
        return holds_regex(t, c, span_str(name));
    case TEST_DOMAIN:
        return in_domain(addr, c->text);
    default:
        return holds_text(t, c, addr);
    }
}

static bool
holds_in_list(struct trial *t, const struct cond *c, const struct addresses *list)
{
    for (size_t i = 0; i < list->n && !t->limited; i++)
        if (holds_address(t, c, list->v[i].name, list->v[i].addr))
            return true;
    return false;
}

static bool
holds_in_field(struct trial *t, const struct cond *c)
{
    const struct facts *f = t->facts;
    switch (c->field) {
    case FIELD_FROM:
        return holds_in_list(t, c, &f->from);
    case FIELD_TO:
        return holds_in_list(t, c, &f->to);
    case FIELD_CC:
        return holds_in_list(t, c, &f->cc);
    case FIELD_REPLY_TO:
        return holds_in_list(t, c, &f->reply_to);
    case FIELD_ADDRESSED_TO:
        return holds_in_list(t, c, &f->to) || holds_in_list(t, c, &f->cc) ||
               holds_in_list(t, c, &f->envelope_to);
    case FIELD_SENDER:
        return holds_address(t, c, "", f->sender);
    case FIELD_RECIPIENT:
        return holds_address(t, c, "", f->recipient);
    default:
        return false;
    }
}

static bool
holds_field_text(struct trial *t, const struct cond *c)
{
    switch (c->field) {
    case FIELD_SUBJECT:
        return holds_text(t, c, t->facts->subject);
    case FIELD_LIST_ID:
        return holds_text(t, c, t->facts->list_id);
    case FIELD_MESSAGE_ID:
        return holds_text(t, c, t->facts->message_id);
    default:
        return false;
    }
}

static bool
holds_header(struct trial *t, const struct cond *c)
{
    for (size_t i = 0; i < t->facts->n_headers && !t->limited; i++) {
        const struct header *h = &t->facts->headers[i];
        if (!equal_ignoring_case(h->name, c->header))
            continue;
        if (c->test == TEST_ABSENT)
            return false;
        if (c->test == TEST_PRESENT || holds_text(t, c, h->value))
            return true;
    }
    return c->test == TEST_ABSENT;
}

static bool
holds_any_header(struct trial *t, const struct cond *c)
{
    struct buf line = {0};
    bool yes = false;
    for (size_t i = 0; i < t->facts->n_headers && !yes && !t->limited; i++) {
        buf_clear(&line);
        buf_addf(&line, "%s: %s", t->facts->headers[i].name, t->facts->headers[i].value);
        yes = holds_regex(t, c, buf_span(&line));
    }
    buf_free(&line);
    return yes;
}

/* A message from the future is of age 0; one whose date is unknown has no age: neither newer nor
 * older than anything. */
static bool
holds_age(const struct trial *t, const struct cond *c)
{
    if (t->meta->received == 0)
        return false;
    int64_t seconds = t->now > t->meta->received ? t->now - t->meta->received : 0;
    uint64_t age = (uint64_t)seconds * 1000;
    return c->kind == COND_NEWER ? age < c->number : age > c->number;
}

static bool
is_system_flag(const char *name)
{
    static const char *const names[] = {
        "Seen", "Answered", "Flagged", "Deleted", "Draft", "Recent"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (equal_ignoring_case(name, names[i]))
            return true;
    return false;
}

/* "seen" and "\Seen" are the flag \Seen; what is no system flag is a keyword as it stands. */
static bool
holds_flag(const struct trial *t, const struct cond *c)
{
    const char *bare = c->text[0] == '\\' ? c->text + 1 : c->text;
    bool system = is_system_flag(bare);
    for (size_t i = 0; i < t->meta->flags.n; i++) {
        const char *flag = t->meta->flags.v[i];
        bool same = system ? flag[0] == '\\' && equal_ignoring_case(flag + 1, bare)
                           : equal_ignoring_case(flag, c->text);
        if (same)
            return !c->negated;
    }
    return c->negated;
}

/* Whether nothing but metadata is asked for. */
static bool
is_cheap(const struct cond *c)
{
    for (size_t i = 0; i < c->n_sub; i++)
        if (!is_cheap(c->sub[i]))
            return false;
    switch (c->kind) {
    case COND_ADDRESS:
    case COND_TEXT:
    case COND_HEADER:
    case COND_ANY_HEADER:
        return false;
    default:
        return true;
    }
}

static bool holds(struct trial *t, const struct cond *c);

/* Whether one part gives `wanted`: asked with true it is `any`, with false it is the end of `all`.
 */
static bool
one_gives(struct trial *t, const struct cond *c, bool wanted)
{
    for (int cheap = 1; cheap >= 0; cheap--)
        for (size_t i = 0; i < c->n_sub && !t->limited; i++)
            if (is_cheap(c->sub[i]) == (cheap == 1) && holds(t, c->sub[i]) == wanted)
                return true;
    return false;
}

static bool
holds_kind(struct trial *t, const struct cond *c)
{
    switch (c->kind) {
    case COND_ALL:
        return !one_gives(t, c, false);
    case COND_ANY:
        return one_gives(t, c, true);
    case COND_NOT:
        return !holds(t, c->sub[0]);
    case COND_ADDRESS:
        return holds_in_field(t, c);
    case COND_TEXT:
        return holds_field_text(t, c);
    case COND_HEADER:
        return holds_header(t, c);
    case COND_ANY_HEADER:
        return holds_any_header(t, c);
    case COND_LARGER:
        return t->meta->size > c->number;
    case COND_SMALLER:
        return t->meta->size < c->number;
    case COND_NEWER:
    case COND_OLDER:
        return holds_age(t, c);
    case COND_FLAG:
        return holds_flag(t, c);
    }
    return false;
}

/* What was false leaves no captures, so neither does a `not`, true or false. While t->limited is
 * set the answer means nothing. */
static bool
holds(struct trial *t, const struct cond *c)
{
    size_t before = t->n_found;
    bool yes = holds_kind(t, c);
    if (!yes)
        take_back(t, before);
    return yes;
}

static void
add_hit(struct hits *out, size_t rule, const struct cond *match, const struct trial *t)
{
    struct strv names = {0};
    cond_captures(match, &names);
    struct hit hit = {.rule = rule, .match = xstrdup(found_value(t, NULL)), .n_captures = names.n};
    hit.captures = xcalloc(names.n + 1, sizeof *hit.captures);
    for (size_t i = 0; i < names.n; i++)
        hit.captures[i] =
            (struct capture){xstrdup(names.v[i]), xstrdup(found_value(t, names.v[i]))};
    strv_free(&names);
    out->v = xreallocarray(out->v, out->n + 1, sizeof *out->v);
    out->v[out->n++] = hit;
}

void
match_rules(const struct ruleset *rules, const struct plan *plan, const struct facts *facts,
    const struct meta *meta, int64_t now, struct hits *out)
{
    *out = (struct hits){0};
    struct trial t = {.facts = facts, .meta = meta, .now = now, .notes = &out->notes};
    for (size_t i = 0; i < plan->n; i++) {
        const struct cond *match = rules->v[plan->v[i]].match;
        t.limited = false;
        bool yes = match == NULL || holds(&t, match);
        if (yes && !t.limited)
            add_hit(out, plan->v[i], match, &t);
        take_back(&t, 0);
    }
    free(t.found);
}

void
hits_free(struct hits *h)
{
    for (size_t i = 0; i < h->n; i++) {
        struct hit *hit = &h->v[i];
        for (size_t k = 0; k < hit->n_captures; k++) {
            free(hit->captures[k].name);
            free(hit->captures[k].value);
        }
        free(hit->captures);
        free(hit->match);
    }
    free(h->v);
    strv_free(&h->notes);
    *h = (struct hits){0};
}
