/* SPDX-License-Identifier: ISC */
/* SHA-256 by OpenSSL: libraries over own code, even for sixty lines of rotations. A struct digest
 * is OpenSSL's context under our name, so no header of ours shows the library. */
#include "base/digest.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdint.h>

static EVP_MD_CTX *
context(struct digest *d)
{
    return (EVP_MD_CTX *)d;
}

struct digest *
digest_begin(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int good = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    assert(good); /* SHA-256 is in every provider; failing means no memory */
    return (struct digest *)ctx;
}

void
digest_add(struct digest *d, struct span bytes)
{
    int good = EVP_DigestUpdate(context(d), bytes.p, bytes.n);
    assert(good);
}

void
digest_end(struct digest *d, unsigned char *out)
{
    int good = d == NULL || out == NULL || EVP_DigestFinal_ex(context(d), out, NULL);
    assert(good);
    EVP_MD_CTX_free(context(d));
}

static void
add_length(struct digest *d, uint64_t n)
{
    char bytes[8];
    for (int i = 7; i >= 0; i--, n >>= 8)
        bytes[i] = (char)(unsigned char)n;
    digest_add(d, (struct span){bytes, sizeof bytes});
}

void
digest_parts(unsigned char out[static DIGEST_SIZE], const struct span *parts, size_t n)
{
    struct digest *d = digest_begin();
    for (size_t i = 0; i < n; i++) {
        add_length(d, parts[i].n);
        digest_add(d, parts[i]);
    }
    digest_end(d, out);
}
