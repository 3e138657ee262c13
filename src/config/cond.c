/* SPDX-License-Identifier: ISC */
/* The table of all conditions. A setter adds one condition to the tree; a list of values becomes an
 * ANY of what each value would be alone, so nothing below a setter needs to know of lists. */
#include "config/cond.h"

#include "base/mem.h"
#include "config/schema.h"

#include <stdlib.h>

enum { ATTACHMENTS_MOST = 1000 };

/* What the setters fill. */
struct match {
    struct cond *parent; /* every new condition is added to it */
    struct cond_nodes *nodes;
    const struct key *word; /* inside `from: {…}` the outer key, else NULL */
};

typedef struct cond *maker(struct scope *s, const struct node *value);

static void set_address(struct scope *s, const struct node *value);
static void set_text(struct scope *s, const struct node *value);

static const struct key *
word_of(const struct scope *s)
{
    const struct match *m = s->target;
    return m->word != NULL ? m->word : s->key;
}

static struct cond *
new_cond(const struct scope *s, enum cond_kind kind, const struct node *at)
{
    struct cond *c = cond_new(kind);
    c->key = xstrdup(word_of(s)->name);
    c->where = place_text(at->at);
    return c;
}

/* An ALL of one is that one. */
static struct cond *
unwrap(struct cond *all)
{
    if (all->n_sub != 1)
        return all;
    struct cond *only = all->sub[0];
    all->n_sub = 0;
    cond_free(all);
    return only;
}

static void
add_alternatives(struct scope *s, const struct node *list, maker *make)
{
    struct match *m = s->target;
    if (list->n == 0) {
        scope_error(s, list, "an empty list");
        return;
    }
    struct cond *any = new_cond(s, COND_ANY, list);
    cond_add(m->parent, any);
    for (size_t i = 0; i < list->n; i++) {
        struct cond *c = make(s, list->item[i]);
        if (c != NULL)
            cond_add(any, c);
    }
}

static void
add_values(struct scope *s, const struct node *value, maker *make)
{
    struct match *m = s->target;
    if (value->kind == NODE_LIST) {
        add_alternatives(s, value, make);
        return;
    }
    struct cond *c = make(s, value);
    if (c != NULL)
        cond_add(m->parent, c);
}

static void
remember(struct nodes *all, const struct node *n)
{
    if ((all->n & (all->n + 1)) == 0)
        all->v = xreallocarray(all->v, (all->n + 1) * 2, sizeof *all->v);
    all->v[all->n++] = n;
}

/* Whether the word of the configuration takes { is: … } too. */
static bool
has_is(const struct key *word)
{
    return word->set == set_address || word->set == set_text;
}

static bool
is_pattern(struct scope *s, const struct node *value)
{
    if (!scope_is(s, value, NODE_TEXT))
        return false;
    if (strchr(value->text, '\b') != NULL)
        scope_error(s, value, "regex contains a backspace: use single quotes");
    else if (value->text[0] == '\0')
        scope_error(s, value, "an empty regex matches everything%s",
            has_is(word_of(s)) ? "; { is: '' } is the empty text" : "");
    else
        return true;
    return false;
}

/* The condition, made a test by the regex in `value`; NULL, and the condition freed, if it is bad.
 */
static struct cond *
with_regex(struct scope *s, struct cond *c, const struct node *value)
{
    const struct match *m = s->target;
    struct regex_fault fault;
    if (is_pattern(s, value)) {
        c->regex = regex_new(value->text, c->kind == COND_BODY, &fault);
        if (c->regex != NULL) {
            remember(&m->nodes->regexes, value);
            return c;
        }
        size_t width = fault.offset < strlen(value->text);
        scope_error_at(s, node_place(value, fault.offset, width), "regex: %s", fault.text);
    }
    cond_free(c);
    return NULL;
}

/* boss@example.com and boss@example\.com, but nothing with an anchor or another operator. The
 * address without backslashes; the caller frees. */
static char *
plain_address(const char *pattern)
{
    struct buf out = {0};
    size_t ats = 0;
    const char *dot = NULL;
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p == '\\' && p[1] == '.')
            continue;
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                      (*p >= '0' && *p <= '9') || strchr("._-@", *p) != NULL;
        ats += *p == '@';
        if (*p == '.' && ats == 1)
            dot = p;
        if (!letter)
            ats = 2;
        buf_addc(&out, *p);
    }
    char *address = buf_take(&out);
    if (ats == 1 && address[0] != '@' && dot != NULL && dot[1] != '\0')
        return address;
    free(address);
    return NULL;
}

static void
warn_plain_address(struct scope *s, const struct node *value)
{
    char *address = plain_address(value->text);
    if (address != NULL)
        scope_warning_at(s, value->at,
            "'%.100s' also matches '%.100s.evil.net'; use { is: %.100s }", value->text, address,
            address);
    free(address);
}

static bool
is_domain(struct scope *s, const struct node *value)
{
    const char *text = value->text;
    if (strchr(text, '@') != NULL)
        scope_error(s, value, "'%.100s' is an address%s", text,
            word_of(s) != s->key ? "; use is:" : ", not a domain");
    else if (text[text[0] == '.'] == '\0' || strpbrk(text, " \t\n*\\()[]<>") != NULL)
        scope_error(
            s, value, "'%.100s' is not a domain; write d, or .d for its subdomains too", text);
    else
        return true;
    return false;
}

/* One of is, domain and name, below an address or a text. */
static struct cond *
make_test(struct scope *s, const struct node *value)
{
    const struct key *word = word_of(s);
    enum cond_test test = (enum cond_test)s->key->tag;
    if (!scope_is(s, value, NODE_TEXT) || (test == TEST_DOMAIN && !is_domain(s, value)))
        return NULL;
    struct cond *c = new_cond(s, word->tag < (int)FIELD_SUBJECT ? COND_ADDRESS : COND_TEXT, value);
    c->field = (enum cond_field)word->tag;
    c->test = test;
    if (test == TEST_NAME)
        return with_regex(s, c, value);
    c->text = xstrdup(value->text);
    return c;
}

static void
set_test(struct scope *s, const struct node *value)
{
    add_values(s, value, make_test);
}

static const struct key address_keys[] = {
    {"is", NODE_TEXT | NODE_LIST, 0, set_test, TEST_IS},
    {"domain", NODE_TEXT | NODE_LIST, 0, set_test, TEST_DOMAIN},
    {"name", NODE_TEXT | NODE_LIST, 0, set_test, TEST_NAME},
};

/* `from: { is: a, domain: b }`: each of its tests. */
static struct cond *
make_tests(struct scope *s, const struct node *map, const struct key *table, size_t n)
{
    const struct match *outer = s->target;
    struct match m = {new_cond(s, COND_ALL, map), outer->nodes, word_of(s)};
    struct scope inner = {s->report, m.word->name, &m, NULL, s->key_at};
    if (map->n == 0)
        scope_error(s, map, "an empty mapping; write { is: … }");
    schema_read(&inner, table, n, map);
    return unwrap(m.parent);
}

static struct cond *
make_address(struct scope *s, const struct node *value)
{
    if (value->kind == NODE_MAP)
        return make_tests(s, value, address_keys, 3);
    if (!scope_is(s, value, NODE_TEXT | NODE_MAP))
        return NULL;
    struct cond *c = new_cond(s, COND_ADDRESS, value);
    c->field = (enum cond_field)word_of(s)->tag;
    c->test = TEST_REGEX;
    c = with_regex(s, c, value);
    if (c != NULL)
        warn_plain_address(s, value);
    return c;
}

static void
set_address(struct scope *s, const struct node *value)
{
    add_values(s, value, make_address);
}

static struct cond *
make_text(struct scope *s, const struct node *value)
{
    if (value->kind == NODE_MAP)
        return make_tests(s, value, address_keys, 1); /* only `is` */
    if (!scope_is(s, value, NODE_TEXT | NODE_MAP))
        return NULL;
    struct cond *c = new_cond(s, COND_TEXT, value);
    c->field = (enum cond_field)word_of(s)->tag;
    c->test = TEST_REGEX;
    return with_regex(s, c, value);
}

static void
set_text(struct scope *s, const struct node *value)
{
    add_values(s, value, make_text);
}

static bool
is_plain(const struct node *value, const char *text)
{
    return value->kind == NODE_TEXT && value->style == NODE_PLAIN && strcmp(value->text, text) == 0;
}

/* Which test `header: { NAME: value }` asks for; plain true and false are no regexes. */
static struct cond *
make_header_test(struct scope *s, const char *name, const struct node *value)
{
    if (!scope_is(s, value, NODE_TEXT))
        return NULL;
    struct cond *c = new_cond(s, COND_HEADER, value);
    c->header = xstrdup(name);
    c->test = TEST_PRESENT;
    if (is_plain(value, "true"))
        return c;
    c->test = TEST_ABSENT;
    if (is_plain(value, "false"))
        return c;
    c->test = TEST_REGEX;
    return with_regex(s, c, value);
}

bool
cond_is_header_name(const char *name)
{
    for (const char *p = name; *p != '\0'; p++)
        if (*p <= ' ' || *p >= 127 || *p == ':')
            return false;
    return name[0] != '\0';
}

/* { NAME: [a, b] } is an ANY of both. */
static struct cond *
make_header(struct scope *s, const struct node *name, const struct node *value)
{
    if (!cond_is_header_name(name->text)) {
        scope_error(s, name, "'%.60s' is not the name of a header", name->text);
        return NULL;
    }
    if (value->kind != NODE_LIST)
        return make_header_test(s, name->text, value);
    if (value->n == 0) {
        scope_error(s, value, "an empty list");
        return NULL;
    }
    struct cond *any = new_cond(s, COND_ANY, value);
    for (size_t i = 0; i < value->n; i++) {
        struct cond *c = make_header_test(s, name->text, value->item[i]);
        if (c != NULL)
            cond_add(any, c);
    }
    return any;
}

static struct cond *
make_headers(struct scope *s, const struct node *map)
{
    if (!scope_is(s, map, NODE_MAP))
        return NULL;
    if (map->n == 0)
        scope_error(s, map, "an empty mapping; write { NAME: … }");
    struct cond *all = new_cond(s, COND_ALL, map);
    for (size_t i = 0; i < map->n; i++) {
        struct cond *c = make_header(s, map->key[i], map->item[i]);
        if (c != NULL)
            cond_add(all, c);
    }
    return unwrap(all);
}

static void
set_header(struct scope *s, const struct node *value)
{
    add_values(s, value, make_headers);
}

static struct cond *
make_search(struct scope *s, const struct node *value)
{
    if (!scope_is(s, value, NODE_TEXT))
        return NULL;
    struct cond *c = new_cond(s, (enum cond_kind)s->key->tag, value);
    c->test = TEST_REGEX;
    return with_regex(s, c, value);
}

static void
set_search(struct scope *s, const struct node *value)
{
    add_values(s, value, make_search);
}

/* --- attachments --- */

static struct cond *
leaf_of(const struct scope *s)
{
    const struct match *m = s->target;
    return m->parent;
}

/* \.pdf$ and .*\.pdf are what a regex looks like. */
static bool
is_glob(struct scope *s, const struct node *value)
{
    const char *text = value->text;
    size_t n = strlen(text);
    if (n == 0) {
        scope_error(s, value, "an empty pattern; true is any attachment");
        return false;
    }
    if (text[0] == '^' || text[n - 1] == '$' || strstr(text, "\\.") != NULL ||
        strstr(text, ".*") == text)
        scope_warning_at(s, value->at,
            "'%.100s' is no regex here but a pattern such as '*.pdf' for the whole name", text);
    return true;
}

static void
set_attachment_name(struct scope *s, const struct node *value)
{
    if (is_glob(s, value))
        scope_text(s, value, &leaf_of(s)->attachment.name);
}

static void
set_attachment_type(struct scope *s, const struct node *value)
{
    if (strpbrk(value->text, "/*") != NULL)
        scope_text(s, value, &leaf_of(s)->attachment.type);
    else
        scope_error(
            s, value, "'%.60s' is not a type such as application/pdf or 'image/*'", value->text);
}

static void
set_attachment_larger(struct scope *s, const struct node *value)
{
    scope_size(s, value, &leaf_of(s)->attachment.larger);
}

static void
set_attachment_count(struct scope *s, const struct node *value)
{
    scope_number(s, value, 1, ATTACHMENTS_MOST, &leaf_of(s)->attachment.count);
}

static const struct key attachment_keys[] = {
    {"name", NODE_TEXT, 0, set_attachment_name, 0},
    {"type", NODE_TEXT, 0, set_attachment_type, 0},
    {"larger", NODE_TEXT, 0, set_attachment_larger, 0},
    {"count", NODE_TEXT, 0, set_attachment_count, 0},
};

/* The parts of one condition, each set into it. */
static struct cond *
with_parts(
    struct scope *s, struct cond *c, const struct key *table, size_t n, const struct node *map)
{
    const struct match *outer = s->target;
    struct match m = {c, outer->nodes, NULL};
    struct scope inner = {s->report, c->key, &m, NULL, s->key_at};
    schema_read(&inner, table, n, map);
    return c;
}
#define WITH_PARTS(s, c, table, map) \
    with_parts((s), (c), (table), sizeof(table) / sizeof *(table), (map))

/* true, false, a pattern for the name, or a mapping. */
static struct cond *
make_attachment(struct scope *s, const struct node *value)
{
    if (!scope_is(s, value, NODE_TEXT | NODE_MAP))
        return NULL;
    struct cond *c = new_cond(s, COND_ATTACHMENT, value);
    c->negated = is_plain(value, "false");
    if (value->kind == NODE_MAP && value->n == 0)
        scope_error(s, value, "an empty mapping; true is any attachment");
    if (value->kind == NODE_MAP)
        return WITH_PARTS(s, c, attachment_keys, value);
    if (!c->negated && !is_plain(value, "true") && is_glob(s, value))
        c->attachment.name = xstrdup(value->text);
    return c;
}

static void
set_attachment(struct scope *s, const struct node *value)
{
    add_values(s, value, make_attachment);
}

/* --- what the trusted server says --- */

/* RFC 8601 section 2.7: what a server may say; another word may be its own. */
static void
warn_unknown_result(struct scope *s, const struct node *value)
{
    static const char *const results[] = {"pass", "fail", "softfail", "neutral", "none", "policy",
        "temperror", "permerror", "hardfail", "bestguesspass"};
    struct strv known = {0};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        if (span_ieq(span_str(results[i]), span_str(value->text))) {
            strv_free(&known);
            return;
        }
        strv_add(&known, results[i]);
    }
    char *mean = did_you_mean(value->text, &known);
    scope_warning_at(
        s, value->at, "'%.60s' is nothing that servers usually say%s", value->text, mean);
    free(mean);
}

static char **
auth_member(struct cond_auth *auth, const char *key)
{
    if (strcmp(key, "dkim") == 0)
        return &auth->dkim;
    return strcmp(key, "spf") == 0 ? &auth->spf : &auth->dmarc;
}

static void
set_auth_result(struct scope *s, const struct node *value)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    if (value->text[strspn(value->text, letters)] != '\0') {
        scope_error(s, value, "'%.60s' is not one word such as pass", value->text);
        return;
    }
    warn_unknown_result(s, value);
    scope_text(s, value, auth_member(&leaf_of(s)->auth, s->key->name));
}

static void
set_auth_domain(struct scope *s, const struct node *value)
{
    if (is_domain(s, value))
        scope_text(s, value, &leaf_of(s)->auth.dkim_domain);
}

static const struct key auth_keys[] = {
    {"dkim", NODE_TEXT, 0, set_auth_result, 0},
    {"dkim_domain", NODE_TEXT, 0, set_auth_domain, 0},
    {"spf", NODE_TEXT, 0, set_auth_result, 0},
    {"dmarc", NODE_TEXT, 0, set_auth_result, 0},
};

/* A domain alone asks for a signature that is good: nobody means any other. */
static struct cond *
make_auth(struct scope *s, const struct node *map)
{
    const struct match *m = s->target;
    if (!scope_is(s, map, NODE_MAP))
        return NULL;
    if (map->n == 0)
        scope_error(s, map, "an empty mapping; write { dkim: pass }");
    struct cond *c = WITH_PARTS(s, new_cond(s, COND_AUTH, map), auth_keys, map);
    if (c->auth.dkim_domain != NULL && c->auth.dkim == NULL)
        c->auth.dkim = xstrdup("pass");
    remember(&m->nodes->auths, map);
    return c;
}

static void
set_auth(struct scope *s, const struct node *value)
{
    add_values(s, value, make_auth);
}

/* --- metadata --- */

static struct cond *
make_number(struct scope *s, const struct node *value)
{
    enum cond_kind kind = (enum cond_kind)s->key->tag;
    bool size = kind == COND_LARGER || kind == COND_SMALLER;
    uint64_t number;
    if (!(size ? scope_size(s, value, &number) : scope_duration(s, value, &number)))
        return NULL;
    struct cond *c = new_cond(s, kind, value);
    c->number = number;
    return c;
}

static void
set_number(struct scope *s, const struct node *value)
{
    add_values(s, value, make_number);
}

/* An IMAP flag is an atom; the backslash of a system flag may be left out. */
static bool
is_flag(const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if (*p <= ' ' || *p >= 127 || strchr("(){%*\"\\]", *p) != NULL)
            return false;
    return text[0] != '\0';
}

static struct cond *
make_flag(struct scope *s, const struct node *value)
{
    if (!scope_is(s, value, NODE_TEXT))
        return NULL;
    const char *text = value->text;
    bool negated = text[0] == '!';
    text += negated;
    if (!is_flag(text[0] == '\\' ? text + 1 : text)) {
        scope_error(
            s, value, "'%.60s' is not a flag; write seen, '!seen', or a keyword", value->text);
        return NULL;
    }
    struct cond *c = new_cond(s, COND_FLAG, value);
    c->negated = negated;
    c->text = xstrdup(text);
    return c;
}

static void
set_flag(struct scope *s, const struct node *value)
{
    add_values(s, value, make_flag);
}

static struct cond *read_conditions(struct scope *outer, const struct node *map);

static void
set_group(struct scope *s, const struct node *list)
{
    struct match *m = s->target;
    if (list->n == 0) {
        scope_error(s, list, "an empty list");
        return;
    }
    struct cond *group = new_cond(s, (enum cond_kind)s->key->tag, list);
    cond_add(m->parent, group);
    for (size_t i = 0; i < list->n; i++)
        if (scope_is(s, list->item[i], NODE_MAP))
            cond_add(group, read_conditions(s, list->item[i]));
}

static void
set_not(struct scope *s, const struct node *map)
{
    struct match *m = s->target;
    if (map->n == 0)
        scope_error(s, map, "nothing to negate: no message would match");
    struct cond *not = new_cond(s, COND_NOT, map);
    cond_add(m->parent, not );
    cond_add(not, read_conditions(s, map));
}

enum { VALUES = NODE_TEXT | NODE_LIST, TESTS = NODE_TEXT | NODE_LIST | NODE_MAP };

static const struct key match_keys[] = {
    {"from", TESTS, 0, set_address, FIELD_FROM},
    {"to", TESTS, 0, set_address, FIELD_TO},
    {"cc", TESTS, 0, set_address, FIELD_CC},
    {"addressed_to", TESTS, 0, set_address, FIELD_ADDRESSED_TO},
    {"reply_to", TESTS, 0, set_address, FIELD_REPLY_TO},
    {"sender", TESTS, 0, set_address, FIELD_SENDER},
    {"recipient", TESTS, 0, set_address, FIELD_RECIPIENT},
    {"subject", TESTS, 0, set_text, FIELD_SUBJECT},
    {"list_id", TESTS, 0, set_text, FIELD_LIST_ID},
    {"message_id", TESTS, 0, set_text, FIELD_MESSAGE_ID},
    {"header", NODE_MAP | NODE_LIST, 0, set_header, 0},
    {"any_header", VALUES, 0, set_search, COND_ANY_HEADER},
    {"body", VALUES, 0, set_search, COND_BODY},
    {"attachment", TESTS, 0, set_attachment, 0},
    {"auth", NODE_MAP | NODE_LIST, 0, set_auth, 0},
    {"larger", VALUES, 0, set_number, COND_LARGER},
    {"smaller", VALUES, 0, set_number, COND_SMALLER},
    {"newer", VALUES, 0, set_number, COND_NEWER},
    {"older", VALUES, 0, set_number, COND_OLDER},
    {"flag", VALUES, 0, set_flag, 0},
    {"all", NODE_LIST, 0, set_group, COND_ALL},
    {"any", NODE_LIST, 0, set_group, COND_ANY},
    {"not", NODE_MAP, 0, set_not, 0},
    {"search", 0, KEY_LATER, NULL, 0},
};

/* What stands in one mapping of conditions, as one condition. */
static struct cond *
read_map(struct report *report, const struct node *map, struct match *m)
{
    struct scope s = {.report = report, .label = "match", .target = m};
    m->parent->where = place_text(map->at);
    SCHEMA_READ(&s, match_keys, map);
    return m->parent;
}

/* Recursion is as deep as the file is nested: TREE_DEPTH_MAX. */
static struct cond *
read_conditions(struct scope *outer, const struct node *map)
{
    const struct match *above = outer->target;
    struct match m = {cond_new(COND_ALL), above->nodes, NULL};
    m.parent->key = xstrdup("all");
    return unwrap(read_map(outer->report, map, &m));
}

struct cond *
cond_read(struct report *report, const struct node *match, struct cond_nodes *nodes)
{
    struct match m = {cond_new(COND_ALL), nodes, NULL};
    m.parent->key = xstrdup("match");
    struct cond *c = unwrap(read_map(report, match, &m));
    if (c->kind != COND_ALL || c->n_sub > 0)
        return c;
    cond_free(c);
    return NULL;
}

void
cond_nodes_free(struct cond_nodes *nodes)
{
    free(nodes->regexes.v);
    free(nodes->auths.v);
    *nodes = (struct cond_nodes){0};
}

bool
cond_is_key(const char *name)
{
    for (size_t i = 0; i < sizeof match_keys / sizeof *match_keys; i++)
        if (strcmp(match_keys[i].name, name) == 0)
            return true;
    return false;
}
