/* SPDX-License-Identifier: ISC */
/* The two clocks of the program: one for deadlines, which a suspended laptop does not stop, and
 * one for people. CLOCK_MONOTONIC counts suspend on macOS; elsewhere CLOCK_BOOTTIME does. */
#include "sys/clock.h"

#include <time.h>

#ifdef CLOCK_BOOTTIME
#define DEADLINE_CLOCK CLOCK_BOOTTIME
#else
#define DEADLINE_CLOCK CLOCK_MONOTONIC
#endif

uint64_t
clock_ms(void)
{
    struct timespec now;
    clock_gettime(DEADLINE_CLOCK, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int64_t
clock_wall(void)
{
    return (int64_t)time(NULL);
}

int64_t
clock_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
