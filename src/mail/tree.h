/*
 * tree: the parts of a message: where each begins and ends, and what it is (RFC 2045, 2046).
 * Never knows IMAP, rules, or what is written in a part.
 */
#ifndef MAILCALL_MAIL_TREE_H
#define MAILCALL_MAIL_TREE_H

#include "base/buf.h"

#include <stdint.h>

enum {
    TREE_DEPTH_MAX = 100,       /* containers in each other that are opened */
    TREE_NODES_MAX = 10 * 1000, /* parts; the rest belongs to the last */
    TREE_BOUNDARY_MAX = 1000,   /* bytes of a boundary; a longer one is none */
};

enum tree_kind {
    TREE_LEAF,
    TREE_MULTIPART,
    TREE_MESSAGE, /* message/rfc822 that was opened: the next node is what is inside */
};

/* What a part is to a reader, see mail/message.h. */
enum tree_role { TREE_CONTAINER, TREE_TEXT, TREE_ATTACHMENT, TREE_SKIPPED };

/* The spans point into the message; fields are still folded, empty if absent. */
struct tree_node {
    enum tree_kind kind;
    size_t parent; /* index; the root's is its own */
    size_t next;   /* index behind its last descendant */
    size_t place;  /* among its siblings, from 1 */
    size_t children;
    unsigned depth;
    struct span head;
    struct span body; /* as it is transferred */
    char *type;       /* lower case, "text/plain" */
    bool raw;         /* a multipart that has no part, or names no boundary: a leaf of plain text */
    struct span content_type;
    struct span disposition;
    struct span encoding;
    struct span content_id;
};

/* In the order of the message; never empty. */
struct tree {
    struct tree_node *v;
    size_t n;
    size_t cap;
    bool truncated; /* TREE_NODES_MAX was reached */
};

/* Fills *t from a message whose bytes outlive it. Cost: a few passes over the bytes. */
void tree_read(struct tree *t, struct span bytes);
void tree_clear(struct tree *t); /* empty afterwards */

enum tree_role tree_role(const struct tree *t, size_t i);
/* Whether it is a whole message, opened or not. */
bool tree_is_message(const struct tree_node *node);
bool tree_is_inline(const struct tree *t, size_t i);
/* Appends its number as IMAP gives them (RFC 3501 section 6.4.5): "2.1"; "" for a root that is a
 * multipart, "3.TEXT" for one that is a message's content. */
void tree_number(const struct tree *t, size_t i, struct buf *out);

#endif
