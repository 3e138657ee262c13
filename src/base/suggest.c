/* SPDX-License-Identifier: ISC */
/* Damerau-Levenshtein distance (optimal string alignment) over short words. */
#include "base/suggest.h"

#include <string.h>

enum { WORD_MAX_BYTES = 64 };

static size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t
distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t rows[3][WORD_MAX_BYTES + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t k = 0; k <= nb; k++)
        last[k] = k;
    for (size_t i = 1; i <= na; i++) {
        now[0] = i;
        for (size_t k = 1; k <= nb; k++) {
            now[k] = least(least(last[k], now[k - 1]) + 1, last[k - 1] + (a[i - 1] != b[k - 1]));
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                now[k] = least(now[k], before[k - 2] + 1);
        }
        size_t *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[nb];
}

const char *
suggest(const char *word, const struct strv *known)
{
    size_t n = strlen(word);
    const char *best = NULL;
    size_t best_distance = n < 4 ? 1 : n < 8 ? 2 : 3;
    if (n == 0 || n > WORD_MAX_BYTES)
        return NULL;
    for (size_t i = 0; i < known->n; i++) {
        size_t length = strlen(known->v[i]);
        if (length > WORD_MAX_BYTES)
            continue;
        size_t d = distance(word, n, known->v[i], length);
        /* nearer than anything before, or the first one just near enough */
        if (d < best_distance || (d == best_distance && best == NULL && d < length)) {
            best = known->v[i];
            best_distance = d;
        }
    }
    return best;
}
