/*
 * digest: SHA-256 over several parts; base's only use of a crypto library.
 * Never knows mail, files or time.
 */
#ifndef MAILCALL_BASE_DIGEST_H
#define MAILCALL_BASE_DIGEST_H

#include "base/span.h"

enum { DIGEST_SIZE = 32 };

/* Each part is preceded by its length (8 bytes, big endian), so ("ab","c") and ("a","bc") differ.
 */
void digest_parts(unsigned char out[static DIGEST_SIZE], const struct span *parts, size_t n);

/* The plain SHA-256 of bytes that come piece by piece. digest_end() frees d (NULL is fine: then
 * `out` is not touched); with `out` NULL that is all it does. */
struct digest;
struct digest *digest_begin(void);
void digest_add(struct digest *d, struct span bytes);
void digest_end(struct digest *d, unsigned char *out);

#endif
