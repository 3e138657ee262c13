/* SPDX-License-Identifier: ISC */
/* Percent-encoding. URLs allow some more characters bare; to escape them too is legal, and safe in
 * a shell. */
#include "base/percent.h"

static bool
is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr("-._~", c) != NULL;
}

void
percent_add(struct buf *out, const char *s, const char *also)
{
    for (; *s != '\0'; s++) {
        if (is_unreserved(*s) || strchr(also, *s) != NULL)
            buf_addc(out, *s);
        else
            buf_addf(out, "%%%02X", (unsigned char)*s);
    }
}
