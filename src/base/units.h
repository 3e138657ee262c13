/*
 * units: durations and sizes as people write them in a configuration.
 * Never knows mail, files or the time of day.
 */
#ifndef MAILCALL_BASE_UNITS_H
#define MAILCALL_BASE_UNITS_H

#include "base/err.h"

#include <stdint.h>

/* "30s" "5m" "2h" "7d" "1w", also "500ms"; a sum such as "1h30m" too. A number alone is an error,
 * except 0. Result in milliseconds. Returns 0, or -1 with a text that says what a duration is. */
int duration_parse(const char *s, uint64_t *ms, struct err *e);
/* "1500" "20K" "5M" "1G" (powers of 1024), result in bytes. Returns 0 or -1. */
int size_parse(const char *s, uint64_t *bytes, struct err *e);

#endif
