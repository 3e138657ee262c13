/*
 * schema: mappings read by tables; which keys there are, what their values look like, who takes
 * them. Never knows what a value is for.
 */
#ifndef MAILCALL_CONFIG_SCHEMA_H
#define MAILCALL_CONFIG_SCHEMA_H

#include "base/strv.h"
#include "base/units.h"
#include "config/bounds.h"
#include "config/tree.h"

#include <stdint.h>

enum {
    KEY_LATER = 1,  /* described, but not in this version: refused, never ignored */
    KEY_SECRET = 2, /* errors point at the key, so that no excerpt shows the value */
};

struct scope;

struct key {
    const char *name;
    unsigned kinds; /* enum node_kind, or-ed */
    unsigned flags;
    void (*set)(struct scope *s, const struct node *value);
    int tag; /* for a setter that serves several keys */
};

/* One mapping being read, or one key of it. */
struct scope {
    struct report *report;
    const char *label;     /* what the mapping is: "rules[0] invoices"; "" at the top */
    void *target;          /* what the setters fill */
    const struct key *key; /* the key at hand, in a setter */
    struct place key_at;
};

/* Gives each value of the mapping to its key's setter. A value that is not what the table wants,
 * an unknown key: reported. */
void schema_read(struct scope *s, const struct key *table, size_t n, const struct node *map);
#define SCHEMA_READ(s, table, map) schema_read((s), (table), sizeof(table) / sizeof *(table), (map))

/* "KEY: text" at the node. */
void scope_error(struct scope *s, const struct node *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void scope_error_at(struct scope *s, struct place at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void scope_warning_at(struct scope *s, struct place at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "LABEL: text" at the node. */
void scope_label_error(struct scope *s, struct place at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Readers of values. Each returns whether the value was good, and has reported it if not. */
bool scope_is(struct scope *s, const struct node *n, unsigned kinds);
bool scope_text(struct scope *s, const struct node *n, char **out); /* frees what was there */
bool scope_bool(struct scope *s, const struct node *n, bool *out);
bool scope_duration(struct scope *s, const struct node *n, uint64_t *ms);
bool scope_size(struct scope *s, const struct node *n, uint64_t *bytes);
bool scope_number(
    struct scope *s, const struct node *n, unsigned least, unsigned most, unsigned *number);
bool scope_period(struct scope *s, const struct node *n, const struct period *p, uint64_t *ms);
/* A list of texts, or one text; appended. */
bool scope_texts(struct scope *s, const struct node *n, struct strv *out);

struct word {
    const char *name;
    int value;
    bool later;
};
bool scope_word(
    struct scope *s, const struct node *n, const struct word *words, size_t count, int *value);
#define SCOPE_WORD(s, n, words, value) \
    scope_word((s), (n), (words), sizeof(words) / sizeof *(words), (value))

/* "; did you mean 'nearest'?" or "". `known` is empty afterwards; the caller frees the text. */
char *did_you_mean(const char *word, struct strv *known);

#endif
