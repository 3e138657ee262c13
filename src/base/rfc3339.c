/* SPDX-License-Identifier: ISC */
/* Civil time in UTC both ways, independent of time_t, of the locale and of TZ. */
#include "base/rfc3339.h"

#include <stdio.h>

/* Days since 1970-01-01; years begin in March so that the leap day is the last one. */
static int64_t
days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void
date_of(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era_day = days - era * 146097;
    int64_t of_era =
        (of_era_day - of_era_day / 1460 + of_era_day / 36524 - of_era_day / 146096) / 365;
    int64_t of_year = of_era_day - (365 * of_era + of_era / 4 - of_era / 100);
    int64_t shifted = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = of_era + era * 400 + (*month <= 2);
}

int64_t
rfc3339_seconds(int year, int month, int day, int hour, int minute, int second)
{
    return days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
}

void
rfc3339_utc(char out[static RFC3339_MAX], int64_t seconds)
{
    int64_t days = seconds / 86400;
    int64_t rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    out[0] = '\0';
    if (days < days_of(0, 1, 1) || days > days_of(9999, 12, 31))
        return;
    int64_t year;
    int month, day;
    date_of(days, &year, &month, &day);
    snprintf(out, RFC3339_MAX, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)year, month, day,
        (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60));
}
