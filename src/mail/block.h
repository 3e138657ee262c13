/*
 * block: the header block of a mail, taken apart into fields (RFC 5322 section 2.2).
 * Never knows IMAP, rules, or what a field means.
 *
 * Pull: block_init(), then block_next() until false. Everything handed out points into the bytes.
 */
#ifndef MAILCALL_MAIL_BLOCK_H
#define MAILCALL_MAIL_BLOCK_H

#include "base/buf.h"

struct field {
    struct span name;  /* printable ASCII without ':', not empty */
    struct span value; /* as written, still folded; at most FACTS_FIELD_MAX bytes with the name */
};

struct block {
    struct span rest;
    size_t fields;  /* handed out so far */
    bool cut_short; /* rest ends before the bytes did */
    bool truncated; /* a limit of facts.h cut something so far */
};

void block_init(struct block *b, struct span bytes);
/* The next field; false at the empty line, at the end, or when a limit is reached. Lines that are
 * no field (no colon, a name with blanks, an mbox "From " line) are passed over. */
bool block_next(struct block *b, struct field *f);
/* Whether the empty line that ends the block is in `bytes`; the first `seen` bytes were asked about
 * before, with the answer no. */
bool block_complete(struct span bytes, size_t seen);
/* Appends the value without its folds: a line end before a blank goes, the blank stays. */
void field_unfold(struct buf *out, struct span value);

#endif
