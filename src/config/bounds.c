/* SPDX-License-Identifier: ISC */
/* One text for every number that is out of its bounds, in the file and on the command line. A
 * number is digits alone: no sign, no space, nothing octal. */
#include "config/bounds.h"

#include "base/units.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool
is_number(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && n <= 9 && strspn(text, "0123456789") == n;
}

int
bounds_number(const char *text, unsigned least, unsigned most, unsigned *number, struct err *e)
{
    unsigned long n = is_number(text) ? strtoul(text, NULL, 10) : 0;
    if (!is_number(text) || n < least || n > most)
        return err_set(e, ERR_USAGE, "'%.60s' is not a number from %u to %u", text, least, most);
    *number = (unsigned)n;
    return 0;
}

int
bounds_period(const char *text, const struct period *p, uint64_t *ms, struct err *e)
{
    uint64_t n;
    if (duration_parse(text, &n, e) != 0)
        return -1;
    if (n < p->least_ms || n > p->most_ms)
        return err_set(e, ERR_USAGE, "'%.60s' is not %s", text, p->words);
    *ms = n;
    return 0;
}
