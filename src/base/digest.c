/* SPDX-License-Identifier: ISC */
/* SHA-256 by OpenSSL: libraries over own code, even for sixty lines of rotations. */
#include "base/digest.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdint.h>

static void
add_length(EVP_MD_CTX *ctx, uint64_t n)
{
    unsigned char bytes[8];
    for (int i = 7; i >= 0; i--, n >>= 8)
        bytes[i] = (unsigned char)n;
    EVP_DigestUpdate(ctx, bytes, sizeof bytes);
}

void
digest_parts(unsigned char out[static DIGEST_SIZE], const struct span *parts, size_t n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int good = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    assert(good); /* SHA-256 is in every provider; failing means no memory */
    for (size_t i = 0; i < n; i++) {
        add_length(ctx, parts[i].n);
        EVP_DigestUpdate(ctx, parts[i].p, parts[i].n);
    }
    good = EVP_DigestFinal_ex(ctx, out, NULL);
    assert(good);
    EVP_MD_CTX_free(ctx);
}
