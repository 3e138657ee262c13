/* SPDX-License-Identifier: ISC */
/* Durations and sizes: a number, then a unit that must be there. */
#include "base/units.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"ms", 1},
    {"s", 1000},
    {"m", 60 * 1000},
    {"h", 3600 * 1000},
    {"d", 86400 * 1000},
    {"w", 7 * 86400 * (uint64_t)1000},
};

static const struct unit size_units[] = {
    {"K", 1024},
    {"M", 1024 * 1024},
    {"G", 1024 * 1024 * (uint64_t)1024},
};

static bool
take_number(const char **s, uint64_t *value)
{
    const char *p = *s;
    uint64_t n = 0;
    while (*p >= '0' && *p <= '9') {
        if (n > (UINT64_MAX - 9) / 10)
            return false;
        n = n * 10 + (uint64_t)(*p++ - '0');
    }
    bool any = p != *s;
    *s = p;
    *value = n;
    return any;
}

/* The longest unit name at the front of *s, taken off; NULL if none is there. */
static const struct unit *
take_unit(const char **s, const struct unit *units, size_t count)
{
    const struct unit *best = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(units[i].name);
        if (strncmp(*s, units[i].name, n) == 0 && (best == NULL || n > strlen(best->name)))
            best = &units[i];
    }
    if (best != NULL)
        *s += strlen(best->name);
    return best;
}

static bool
scale(uint64_t n, uint64_t factor, uint64_t *sum)
{
    if (n > (UINT64_MAX - *sum) / factor)
        return false;
    *sum += n * factor;
    return true;
}

int
duration_parse(const char *s, uint64_t *ms, struct err *e)
{
    const char *p = s;
    uint64_t sum = 0;
    if (strcmp(s, "0") == 0) {
        *ms = 0;
        return 0;
    }
    do {
        uint64_t n;
        const struct unit *unit;
        if (!take_number(&p, &n) ||
            (unit = take_unit(
                 &p, duration_units, sizeof duration_units / sizeof *duration_units)) == NULL ||
            !scale(n, unit->factor, &sum))
            return err_set(
                e, ERR_CONFIG, "'%.60s' is not a duration; write a unit: 30s 5m 2h 7d", s);
    } while (*p != '\0');
    *ms = sum;
    return 0;
}

int
size_parse(const char *s, uint64_t *bytes, struct err *e)
{
    const char *p = s;
    uint64_t n;
    uint64_t sum = 0;
    uint64_t factor = 1;
    bool good = take_number(&p, &n);
    if (good && *p != '\0') {
        const struct unit *unit = take_unit(&p, size_units, sizeof size_units / sizeof *size_units);
        good = unit != NULL && *p == '\0';
        factor = good ? unit->factor : 1;
    }
    if (!good || !scale(n, factor, &sum))
        return err_set(e, ERR_CONFIG, "'%.60s' is not a size; write bytes or K M G: 20M", s);
    *bytes = sum;
    return 0;
}
