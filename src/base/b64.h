/*
 * b64: base64, RFC 4648 section 4.
 * Never knows mail, files or time.
 */
#ifndef MAILCALL_BASE_B64_H
#define MAILCALL_BASE_B64_H

#include "base/buf.h"

/* Appends the base64 of s, padded, on one line. */
void b64_encode(struct buf *out, struct span s);
/* Appends the decoded bytes. Returns 0, or -1 if s is not base64 (out is then as before). */
int b64_decode(struct buf *out, struct span s);

#endif
