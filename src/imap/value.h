/*
 * value: the data of a response as a tree (RFC 3501 section 4).
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 *
 * The tree lies flat, in the order of the text: the members of a list follow it, and `width` says
 * how many nodes a value takes, itself included.
 */
#ifndef MAILCALL_IMAP_VALUE_H
#define MAILCALL_IMAP_VALUE_H

#include "base/buf.h"

#include <stdint.h>

enum { VALUE_DEPTH = 25, VALUE_COUNT = 4096 };

enum value_type {
    VALUE_ATOM, /* also numbers and flags, as they stand in the text */
    VALUE_STRING,
    VALUE_NIL,
    VALUE_LIST,
    VALUE_STREAMED, /* a literal that lex handed out in chunks */
};

struct value {
    enum value_type type;
    unsigned width;
    struct span text; /* ATOM, STRING */
};

/* All zero is an empty tree. */
struct value_tree {
    struct value *v;
    size_t n;
    size_t cap;
    struct buf unquoted; /* strings that held backslashes */
};

/* Reads text as lex collects it into t, which points into text and lives as long. Lists left open
 * are closed, parentheses too many ignored. Returns -1 at an open quote or beyond the limits above;
 * t then holds what came before. */
int value_parse(struct value_tree *t, struct span text);
void value_free(struct value_tree *t); /* empty afterwards */

static inline const struct value *
value_next(const struct value *v)
{
    return v + v->width;
}

/* Whether v is this atom, case ignored. */
bool value_is(const struct value *v, struct span atom);
/* A decimal number of at most max, else -1. */
int value_number(struct span text, uint64_t max, uint64_t *number);
/* Eats the next word of s and the spaces around it; empty at the end. */
struct span value_word(struct span *s);
/* What follows the first `phrase` in s, case ignored; p is NULL if it is not there, as an empty
 * phrase never is. */
struct span value_behind(struct span s, struct span phrase);

#endif
