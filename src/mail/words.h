/*
 * words: a text with encoded words (RFC 2047) taken apart, as loosely as senders write it.
 * Never knows IMAP, rules, or any charset.
 *
 * Pull: `struct words w = {text}`, then words_next() until false. Only for text whose structure is
 * known already: an encoded word must never make an address.
 */
#ifndef MAILCALL_MAIL_WORDS_H
#define MAILCALL_MAIL_WORDS_H

#include "base/buf.h"

struct words {
    struct span rest;
    bool after_encoded; /* the last piece was encoded */
};

/* A piece of the text: plain bytes as they stand, or the bytes of adjacent encoded words of one
 * charset, joined, because senders split characters over two words. */
struct word {
    bool encoded;
    struct span charset; /* without language; may be empty; points into the text */
    struct buf bytes;    /* filled anew by each words_next(); the caller frees it at the end */
};

bool words_next(struct words *w, struct word *out);

#endif
