/*
 * transfer: a body without its transfer encoding (RFC 2045 section 6).
 * Never knows IMAP, rules, charsets, or what the bytes are for.
 *
 * Pull: transfer_init(), then transfer_next() until false. Total: what is no encoding stays as it
 * is.
 */
#ifndef MAILCALL_MAIL_TRANSFER_H
#define MAILCALL_MAIL_TRANSFER_H

#include "base/buf.h"

#include <stdint.h>

enum transfer_kind { TRANSFER_PLAIN, TRANSFER_BASE64, TRANSFER_QUOTED, TRANSFER_UU };

/* By the Content-Transfer-Encoding field; TRANSFER_PLAIN if it says nothing that is known. */
enum transfer_kind transfer_of(struct span field);

struct transfer {
    enum transfer_kind kind;
    struct span rest; /* not decoded yet; points into the body */
    uint32_t bits;    /* base64 digits that do not make a byte yet */
    int digits;
    const char *clean; /* base64: before this point no line was found that is none */
};

/* The body is borrowed. One that is called base64 or uuencoded and clearly is not is taken as it
 * is. */
void transfer_init(struct transfer *t, enum transfer_kind kind, struct span body);
/* Appends the next piece, some TRANSFER_PIECE bytes; false at the end. */
enum { TRANSFER_PIECE = 64 * 1024 };
bool transfer_next(struct transfer *t, struct buf *out);
/* How many bytes there will be in all. */
uint64_t transfer_size(enum transfer_kind kind, struct span body);

#endif
