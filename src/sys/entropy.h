/*
 * entropy: unpredictable numbers, for jitter and seeds.
 * Never knows mail of any kind.
 */
#ifndef MAILCALL_SYS_ENTROPY_H
#define MAILCALL_SYS_ENTROPY_H

#include <stdint.h>

uint64_t entropy_u64(void);

#endif
