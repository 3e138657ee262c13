/* SPDX-License-Identifier: ISC */
/* The walker of all tables. The text of every error about the shape of a configuration is here;
 * errors about a value begin with its key, errors about a mapping with the mapping's label. */
#include "config/schema.h"

#include "base/mem.h"
#include "base/suggest.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* A value may stand in another line than its key, where nothing would mask it. */
static struct place
shown_place(const struct scope *s, struct place at)
{
    return s->key != NULL && (s->key->flags & KEY_SECRET) ? s->key_at : at;
}

static void
say(struct scope *s, struct place at, const char *context, const char *text, bool warning)
{
    const char *colon = context[0] != '\0' ? ": " : "";
    if (warning)
        report_warning(s->report, at, "%s%s%s", context, colon, text);
    else
        report_error(s->report, at, "%s%s%s", context, colon, text);
}

static char *
format(const char *fmt, va_list ap)
{
    char *text;
    if (vasprintf(&text, fmt, ap) < 0)
        abort(); /* out of memory */
    return text;
}

void
scope_error_at(struct scope *s, struct place at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = format(fmt, ap);
    va_end(ap);
    say(s, shown_place(s, at), s->key != NULL ? s->key->name : s->label, text, false);
    free(text);
}

void
scope_warning_at(struct scope *s, struct place at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = format(fmt, ap);
    va_end(ap);
    say(s, shown_place(s, at), s->key != NULL ? s->key->name : s->label, text, true);
    free(text);
}

void
scope_error(struct scope *s, const struct node *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = format(fmt, ap);
    va_end(ap);
    scope_error_at(s, at->at, "%s", text);
    free(text);
}

void
scope_label_error(struct scope *s, struct place at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = format(fmt, ap);
    va_end(ap);
    say(s, at, s->label, text, false);
    free(text);
}

char *
did_you_mean(const char *word, struct strv *known)
{
    const char *best = suggest(word, known);
    char *text = best != NULL ? xasprintf("; did you mean '%s'?", best) : xstrdup("");
    strv_free(known);
    return text;
}

static const char *
kind_name(enum node_kind kind)
{
    switch (kind) {
    case NODE_LIST:
        return "a list";
    case NODE_MAP:
        return "a mapping";
    default:
        return "text";
    }
}

static void
name_kinds(struct buf *out, unsigned kinds)
{
    static const enum node_kind all[] = {NODE_TEXT, NODE_LIST, NODE_MAP};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (kinds & all[i]) {
            buf_adds(out, out->n > 0 ? " or " : "");
            buf_adds(out, kind_name(all[i]));
        }
}

/* [deploy] and {from} are a list and a mapping to YAML. */
static bool
wants_quotes(const struct node *n, unsigned kinds)
{
    return (kinds & NODE_TEXT) && n->style == NODE_FLOW && n->kind != NODE_TEXT;
}

bool
scope_is(struct scope *s, const struct node *n, unsigned kinds)
{
    if (n->kind == NODE_BROKEN)
        return false;
    if (node_is_empty(n)) {
        scope_error(s, n, "no value");
        return false;
    }
    if (n->kind & kinds)
        return true;
    struct buf wanted = {0};
    name_kinds(&wanted, kinds);
    scope_error(s, n, "expected %s, found %s%s", buf_str(&wanted), kind_name(n->kind),
        wants_quotes(n, kinds) ? ": quote this" : "");
    buf_free(&wanted);
    return false;
}

bool
scope_text(struct scope *s, const struct node *n, char **out)
{
    if (!scope_is(s, n, NODE_TEXT))
        return false;
    free(*out);
    *out = xstrdup(n->text);
    return true;
}

bool
scope_bool(struct scope *s, const struct node *n, bool *out)
{
    if (!scope_is(s, n, NODE_TEXT))
        return false;
    *out = strcmp(n->text, "true") == 0;
    if (*out || strcmp(n->text, "false") == 0)
        return true;
    scope_error(s, n, "'%.60s' is neither true nor false", n->text);
    return false;
}

bool
scope_duration(struct scope *s, const struct node *n, uint64_t *ms)
{
    struct err e;
    if (!scope_is(s, n, NODE_TEXT))
        return false;
    if (duration_parse(n->text, ms, &e) == 0)
        return true;
    scope_error(s, n, "%s", e.text);
    return false;
}

bool
scope_size(struct scope *s, const struct node *n, uint64_t *bytes)
{
    struct err e;
    if (!scope_is(s, n, NODE_TEXT))
        return false;
    if (size_parse(n->text, bytes, &e) == 0)
        return true;
    scope_error(s, n, "%s", e.text);
    return false;
}

bool
scope_number(struct scope *s, const struct node *n, unsigned least, unsigned most, unsigned *number)
{
    struct err e;
    if (!scope_is(s, n, NODE_TEXT))
        return false;
    if (bounds_number(n->text, least, most, number, &e) == 0)
        return true;
    scope_error(s, n, "%s", e.text);
    return false;
}

bool
scope_period(struct scope *s, const struct node *n, const struct period *p, uint64_t *ms)
{
    struct err e;
    if (!scope_is(s, n, NODE_TEXT))
        return false;
    if (bounds_period(n->text, p, ms, &e) == 0)
        return true;
    scope_error(s, n, "%s", e.text);
    return false;
}

bool
scope_texts(struct scope *s, const struct node *n, struct strv *out)
{
    if (n->kind != NODE_LIST) {
        if (!scope_is(s, n, NODE_TEXT | NODE_LIST))
            return false;
        strv_add(out, n->text);
        return true;
    }
    bool good = true;
    for (size_t i = 0; i < n->n; i++) {
        if (scope_is(s, n->item[i], NODE_TEXT))
            strv_add(out, n->item[i]->text);
        else
            good = false;
    }
    return good;
}

static void
refuse_word(struct scope *s, const struct node *n, const struct word *words, size_t count)
{
    struct buf all = {0};
    struct strv known = {0};
    for (size_t i = 0; i < count; i++) {
        strv_add(&known, words[i].name);
        if (!words[i].later)
            buf_addf(&all, "%s%s", all.n > 0 ? ", " : "", words[i].name);
    }
    char *mean = did_you_mean(n->text, &known);
    scope_error(s, n, "'%.60s' is not one of %s%s", n->text, buf_str(&all), mean);
    free(mean);
    buf_free(&all);
}

bool
scope_word(
    struct scope *s, const struct node *n, const struct word *words, size_t count, int *value)
{
    if (!scope_is(s, n, NODE_TEXT))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i].name, n->text) != 0)
            continue;
        if (words[i].later)
            scope_error(s, n, "'%s' is not supported yet", n->text);
        *value = words[i].value;
        return !words[i].later;
    }
    refuse_word(s, n, words, count);
    return false;
}

static const struct key *
find_key(const struct key *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

static void
refuse_unknown(struct scope *s, const struct key *table, size_t n, const struct node *key)
{
    struct strv known = {0};
    for (size_t i = 0; i < n && !report_full(s->report); i++)
        strv_add(&known, table[i].name);
    char *mean = did_you_mean(key->text, &known);
    scope_label_error(s, key->at, "unknown key '%.60s'%s", key->text, mean);
    free(mean);
}

static void
read_pair(struct scope *s, const struct key *k, const struct node *key, const struct node *value)
{
    struct scope inner = *s;
    inner.key = k;
    inner.key_at = key->at;
    if (k->flags & KEY_LATER)
        scope_label_error(s, key->at, "'%s' is not supported yet", k->name);
    else if (node_is_empty(value) && !(k->kinds & NODE_TEXT))
        return; /* `rules:` with everything below it commented out */
    else if (scope_is(&inner, value, k->kinds))
        k->set(&inner, value);
}

void
schema_read(struct scope *s, const struct key *table, size_t n, const struct node *map)
{
    if (map->kind == NODE_BROKEN)
        return;
    if (map->kind != NODE_MAP) {
        scope_label_error(s, map->at, "expected a mapping, found %s", kind_name(map->kind));
        return;
    }
    for (size_t i = 0; i < map->n; i++) {
        const struct key *k = find_key(table, n, map->key[i]->text);
        if (k != NULL)
            read_pair(s, k, map->key[i], map->item[i]);
        else
            refuse_unknown(s, table, n, map->key[i]);
    }
}
