/*
 * tree: the content of a file as texts, lists and mappings, each with its place.
 * Never knows how it is written in YAML, nor what a key means.
 *
 * Texts are untyped: `no`, `22:30`, `0644` and `~` are what stands there. Aliases are the node they
 * name, `<<` is merged already, keys are texts and unique, and no text holds a NUL.
 */
#ifndef MAILCALL_CONFIG_TREE_H
#define MAILCALL_CONFIG_TREE_H

#include "config/report.h"

enum {
    TREE_DEPTH_MAX = 64,
    TREE_WEIGHT_MAX = 100000, /* nodes with every alias written out; long texts weigh more */
};

enum node_kind {
    NODE_TEXT = 1,
    NODE_LIST = 2,
    NODE_MAP = 4,
    NODE_BROKEN = 8, /* reported already: readers pass over it in silence */
};

enum node_style {
    NODE_PLAIN,
    NODE_SINGLE, /* 'single quotes' */
    NODE_DOUBLE, /* "double quotes" */
    NODE_BLOCK,  /* | and >, and lists and mappings by indentation */
    NODE_FLOW,   /* [lists] and {mappings} */
};

struct node {
    enum node_kind kind;
    enum node_style style;
    struct place at;
    bool one_line;
    char *text;
    struct node **key;  /* of a mapping: key[i] belongs to item[i] */
    struct node **item; /* of a list or mapping */
    size_t n;
    size_t weight;
    unsigned height; /* levels below it */
    bool open;       /* still being read */
};

struct tree {
    struct node **all; /* every node, for freeing */
    size_t n;
    struct node *root; /* NULL: the file says nothing */
};

void tree_free(struct tree *t); /* NULL is fine */

/* A new node; the tree owns it. */
struct node *tree_add(struct tree *t, enum node_kind kind, struct place at);
/* `key` is NULL for a list. */
void node_append(struct node *to, struct node *key, struct node *item);
/* For a mapping whose pairs are all there: carries out `<<`, reports and drops doubles and keys
 * that are no text. */
void node_settle(struct node *map, struct report *report);

/* `key:` with nothing behind it. */
bool node_is_empty(const struct node *n);
/* How many columns a piece of the node's text takes in the file, quotes around it not counted. */
unsigned node_width(const struct node *n, const char *text, size_t length);
/* Where byte `offset` of a text stands in the file, `length` bytes wide; the whole text when its
 * way of writing does not say. */
struct place node_place(const struct node *n, size_t offset, size_t length);
/* Appends the content, the same for every way of writing it. */
void node_canonical(const struct node *n, struct buf *out);

#endif
