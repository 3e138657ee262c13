/*
 * rfc3339: a moment as text. Never knows mail, files or what time it is now.
 */
#ifndef MAILCALL_BASE_RFC3339_H
#define MAILCALL_BASE_RFC3339_H

#include <stdint.h>

enum { RFC3339_MAX = 40 };
/* "2026-10-03T14:02:11Z", UTC; "" for a time outside the years 0 to 9999. */
void rfc3339_utc(char out[static RFC3339_MAX], int64_t seconds);

/* Seconds since 1970 of a civil UTC time in the proleptic Gregorian calendar; month 1-12. */
int64_t rfc3339_seconds(int year, int month, int day, int hour, int minute, int second);

#endif
