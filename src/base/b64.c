/* SPDX-License-Identifier: ISC */
/* Base64 both ways, for SASL; strict when reading. */
#include "base/b64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
b64_encode(struct buf *out, struct span s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0; i < s.n; i += 3) {
        size_t left = s.n - i;
        unsigned v = (unsigned)p[i] << 16 | (left > 1 ? (unsigned)p[i + 1] << 8 : 0) |
                     (left > 2 ? (unsigned)p[i + 2] : 0);
        buf_addc(out, alphabet[v >> 18]);
        buf_addc(out, alphabet[v >> 12 & 63]);
        buf_addc(out, left > 1 ? alphabet[v >> 6 & 63] : '=');
        buf_addc(out, left > 2 ? alphabet[v & 63] : '=');
    }
}

static int
value_of(char c)
{
    const char *at = c != '\0' ? strchr(alphabet, c) : NULL;
    return at != NULL ? (int)(at - alphabet) : -1;
}

/* How many of the last group's characters are padding; -1 if the shape is wrong. */
static int
padding(struct span s)
{
    if (s.n % 4 != 0)
        return -1;
    int pad = 0;
    while (pad < 2 && s.n > (size_t)pad && s.p[s.n - 1 - (size_t)pad] == '=')
        pad++;
    return pad;
}

int
b64_decode(struct buf *out, struct span s)
{
    size_t before = out->n;
    int pad = padding(s);
    if (pad < 0)
        return -1;
    for (size_t i = 0; i < s.n; i += 4) {
        size_t keep = i + 4 == s.n ? 4 - (size_t)pad : 4;
        unsigned v = 0;
        for (size_t k = 0; k < 4; k++) {
            int digit = k < keep ? value_of(s.p[i + k]) : 0;
            if (digit < 0) {
                buf_cut(out, before);
                return -1;
            }
            v = v << 6 | (unsigned)digit;
        }
        char bytes[3] = {(char)(v >> 16), (char)(v >> 8), (char)v};
        buf_add(out, bytes, keep - 1);
    }
    return 0;
}
