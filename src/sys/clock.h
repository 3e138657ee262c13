/*
 * clock: time for deadlines, and time for people.
 * Never knows mail of any kind.
 */
#ifndef MAILCALL_SYS_CLOCK_H
#define MAILCALL_SYS_CLOCK_H

#include <stdint.h>

/* Milliseconds that also count while the machine is suspended (CLOCK_BOOTTIME, where there is
 * none CLOCK_MONOTONIC). Deadlines are made of this. */
uint64_t clock_ms(void);
/* Seconds, and milliseconds, since 1970. */
int64_t clock_wall(void);
int64_t clock_wall_ms(void);

#endif
