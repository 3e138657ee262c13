/* SPDX-License-Identifier: ISC */
/* Comparing and trimming borrowed bytes; ASCII only, never the locale. */
#include "base/span.h"

static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool
same_folded(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

bool
span_ieq(struct span a, struct span b)
{
    return a.n == b.n && same_folded(a.p, b.p, a.n);
}

bool
span_istarts(struct span s, struct span prefix)
{
    return s.n >= prefix.n && same_folded(s.p, prefix.p, prefix.n);
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span
span_trim(struct span s)
{
    while (s.n > 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}
