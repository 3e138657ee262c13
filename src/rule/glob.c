/* SPDX-License-Identifier: ISC */
/* Wildcards. A stranger writes the name, so the time is bounded: only the last star is ever gone
 * back to, which costs length times length at worst, where fnmatch(3) may take for ever. It also
 * reads UTF-8 whatever the locale is. Letter case is folded for ASCII, Latin, Greek and Cyrillic,
 * one character to one. */
#include "rule/glob.h"

#include "base/utf8.h"

#include <stddef.h>

/* Capitals whose small letter stands `distance` behind them: each of the range, or every second. */
static const struct capitals {
    uint32_t first, last, distance, step;
} capitals[] = {
    {'A', 'Z', 32, 1},
    {0x00C0, 0x00D6, 32, 1},
    {0x00D8, 0x00DE, 32, 1},
    {0x0100, 0x012E, 1, 2},
    {0x0132, 0x0136, 1, 2},
    {0x0139, 0x0147, 1, 2},
    {0x014A, 0x0176, 1, 2},
    {0x0179, 0x017D, 1, 2},
    {0x0391, 0x03A1, 32, 1},
    {0x03A3, 0x03AB, 32, 1},
    {0x0400, 0x040F, 80, 1},
    {0x0410, 0x042F, 32, 1},
    {0x1EA0, 0x1EFE, 1, 2},
};

static uint32_t
fold(uint32_t c)
{
    for (size_t i = 0; i < sizeof capitals / sizeof *capitals && c >= capitals[i].first; i++)
        if (c <= capitals[i].last && (c - capitals[i].first) % capitals[i].step == 0)
            return c + capitals[i].distance;
    return c;
}

/* Whether `c`, folded, lies between two others in either case. */
static bool
is_between(uint32_t c, uint32_t first, uint32_t last)
{
    return (c >= first && c <= last) || (c >= fold(first) && c <= fold(last));
}

static uint32_t
take_plain(struct span *pattern)
{
    if (pattern->p[0] == '\\' && pattern->n > 1)
        *pattern = (struct span){pattern->p + 1, pattern->n - 1};
    return utf8_take(pattern);
}

/* The set that begins behind '[', with *pattern moved behind its ']'. False: there is none. */
static bool
take_set(struct span *pattern, uint32_t c, bool *holds)
{
    struct span s = *pattern;
    bool negated = s.n > 0 && (s.p[0] == '!' || s.p[0] == '^');
    bool found = false;
    if (negated)
        s = (struct span){s.p + 1, s.n - 1};
    for (bool first = true; s.n > 0 && (first || s.p[0] != ']'); first = false) {
        uint32_t from = take_plain(&s);
        uint32_t to = from;
        if (s.n > 1 && s.p[0] == '-' && s.p[1] != ']') {
            s = (struct span){s.p + 1, s.n - 1};
            to = take_plain(&s);
        }
        found = found || is_between(c, from, to);
    }
    if (s.n == 0)
        return false;
    *pattern = (struct span){s.p + 1, s.n - 1};
    *holds = found != negated;
    return true;
}

/* Takes one item off the pattern, which does not begin with a star; whether it stands for c. */
static bool
takes(struct span *pattern, uint32_t c)
{
    struct span behind = {pattern->p + 1, pattern->n - 1};
    bool holds;
    c = fold(c);
    if (pattern->p[0] == '[' && take_set(&behind, c, &holds)) {
        *pattern = behind;
        return holds;
    }
    if (pattern->p[0] == '?') {
        *pattern = behind;
        return true;
    }
    return fold(take_plain(pattern)) == c;
}

bool
glob_matches(const char *pattern, const char *name)
{
    struct span p = span_str(pattern);
    struct span s = span_str(name);
    struct span star = {0}; /* the pattern behind the last star, and what may follow its run */
    struct span retry = {0};
    while (s.n > 0) {
        if (p.n > 0 && p.p[0] == '*') {
            p = star = (struct span){p.p + 1, p.n - 1};
            retry = s;
            continue;
        }
        uint32_t c = utf8_take(&s);
        if (p.n > 0 && takes(&p, c))
            continue;
        if (star.p == NULL)
            return false;
        utf8_take(&retry);
        s = retry;
        p = star;
    }
    while (p.n > 0 && p.p[0] == '*')
        p = (struct span){p.p + 1, p.n - 1};
    return p.n == 0;
}
