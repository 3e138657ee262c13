/* SPDX-License-Identifier: ISC */
/* Single conditions against facts.
 *
 * What a regex sees: an address as `Name <addr>`, or the one of them that is there; sender and
 * recipient as the bare address, even an empty one, so '^$' finds bounces; the text with its lines.
 * What it found leaves as one line, however many it was.
 *
 * Refuses to know how a message was read, and what `all`, `any` and `not` make of the answers. */
#include "rule/trial.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "rule/glob.h"
#include "rule/match.h"

#include <stdlib.h>

static void
keep(struct trial *t, const char *name, struct span value)
{
    struct buf line = {0};
    utf8_line(&line, utf8_cut(value, HIT_VALUE_MAX));
    t->found = xreallocarray(t->found, t->n_found + 1, sizeof *t->found);
    t->found[t->n_found++] = (struct found){name, buf_take(&line)};
}

void
trial_take_back(struct trial *t, size_t n)
{
    while (t->n_found > n)
        free(t->found[--t->n_found].value);
}

const char *
trial_value(const struct trial *t, const char *name)
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

/* What a regex answered, and what it found if it is true. */
static bool
has_found(struct trial *t, const struct cond *c, enum regex_result result, struct regex_match *m)
{
    if (result == REGEX_LIMIT)
        note_limit(t, c, m->reason);
    if (result != REGEX_YES)
        return false;
    const struct strv *names = regex_names(c->regex);
    for (size_t i = 0; i < m->n; i++)
        if (m->group[i].p != NULL)
            keep(t, names->v[i], m->group[i]);
    keep(t, NULL, m->whole);
    regex_match_free(m);
    return true;
}

static bool
holds_regex(struct trial *t, const struct cond *c, struct span subject)
{
    struct regex_match m;
    return has_found(t, c, regex_exec(c->regex, subject, &m), &m);
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
is_domain(struct span domain, const char *wanted)
{
    if (wanted[0] != '.')
        return span_ieq(domain, span_str(wanted));
    struct span below = span_str(wanted);
    if (domain.n >= below.n)
        return span_ieq((struct span){domain.p + domain.n - below.n, below.n}, below);
    return span_ieq(domain, span_str(wanted + 1));
}

static bool
in_domain(const char *addr, const char *wanted)
{
    const char *at = strrchr(addr, '@');
    return at != NULL && is_domain(span_str(at + 1), wanted);
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

static void
make_lines(struct trial *t)
{
    for (size_t i = t->lines.n; i < t->facts->n_headers; i++)
        strv_addf(&t->lines, "%s: %s", t->facts->headers[i].name, t->facts->headers[i].value);
}

static bool
holds_any_header(struct trial *t, const struct cond *c)
{
    make_lines(t);
    for (size_t i = 0; i < t->lines.n && !t->limited; i++)
        if (holds_regex(t, c, span_str(t->lines.v[i])))
            return true;
    return false;
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

/* --- authentication --- */

static bool
is_word(const char *said, const char *wanted)
{
    return wanted == NULL || equal_ignoring_case(said, wanted);
}

static bool
holds_dkim(const struct auth *said, const struct cond_auth *wanted)
{
    if (wanted->dkim == NULL && wanted->dkim_domain == NULL)
        return true;
    for (size_t i = 0; i < said->n_dkim; i++) {
        const struct auth_dkim *signature = &said->dkim[i];
        if (is_word(signature->result, wanted->dkim) &&
            (wanted->dkim_domain == NULL ||
                is_domain(span_str(signature->domain), wanted->dkim_domain)))
            return true;
    }
    return false;
}

/* Nobody who is trusted having said anything, nothing holds. */
static bool
holds_auth(const struct trial *t, const struct cond *c)
{
    const struct auth *said = &t->facts->auth;
    return said->authserv[0] != '\0' && is_word(said->spf, c->auth.spf) &&
           is_word(said->dmarc, c->auth.dmarc) && holds_dkim(said, &c->auth);
}

/* --- what needs the whole message --- */

static bool
is_attachment(const struct attachment *a, const struct cond_attachment *wanted)
{
    return (wanted->name == NULL || glob_matches(wanted->name, a->name)) &&
           (wanted->type == NULL || glob_matches(wanted->type, a->type)) &&
           (wanted->larger == 0 || a->size > wanted->larger);
}

static bool
holds_attachment(const struct trial *t, const struct cond *c)
{
    size_t wanted = c->attachment.count > 0 ? c->attachment.count : 1;
    size_t n = 0;
    for (size_t i = 0; i < t->facts->n_attachments && n < wanted; i++)
        n += is_attachment(&t->facts->attachments[i], &c->attachment);
    return (n == wanted) != c->negated;
}

/* The text is long and many rules may ask about it: PCRE2 need not look through it each time. */
static bool
holds_body(struct trial *t, const struct cond *c)
{
    struct span text = span_str(t->facts->text);
    struct regex_match m;
    if (t->text == TEXT_UNSEEN)
        t->text = utf8_valid(text) ? TEXT_VALID : TEXT_INVALID;
    enum regex_result result = t->text == TEXT_VALID ? regex_exec_valid(c->regex, text, &m)
                                                     : regex_exec(c->regex, text, &m);
    return has_found(t, c, result, &m);
}

static bool
holds(struct trial *t, const struct cond *c)
{
    switch (c->kind) {
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
    case COND_BODY:
        return holds_body(t, c);
    case COND_ATTACHMENT:
        return holds_attachment(t, c);
    case COND_AUTH:
        return holds_auth(t, c);
    case COND_ALL:
    case COND_ANY:
    case COND_NOT:
        break;
    }
    return false;
}

enum truth
trial_leaf(struct trial *t, const struct cond *c)
{
    if (!t->facts->whole && cond_needs_whole(c))
        return TRUTH_UNKNOWN;
    return holds(t, c) ? TRUTH_YES : TRUTH_NO;
}

void
trial_end(struct trial *t)
{
    trial_take_back(t, 0);
    free(t->found);
    t->found = NULL;
    strv_free(&t->lines);
}
