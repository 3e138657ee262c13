/*
 * sandbox: the walls a process puts around itself, for good.
 * Never knows mail of any kind.
 *
 * Behind all of them a process can use the descriptors it has, take memory within a limit, and end.
 * It opens nothing (a library that tries is told EACCES), and dies of asking for a socket, a
 * process, a program or another process's memory.
 */
#ifndef MAILCALL_SORT_SANDBOX_H
#define MAILCALL_SORT_SANDBOX_H

#include "base/err.h"

#include <stdint.h>

enum {
    WALL_LIMITS = 1,   /* memory, files, descriptors, no core, no debugger, no new privileges */
    WALL_LANDLOCK = 2, /* no path leads anywhere; no signals, no connections (as the kernel can) */
    WALL_SECCOMP = 4,  /* a short list of system calls */
};

/* Those this build on this kernel has. Under AddressSanitizer none: it needs what they forbid. */
unsigned sandbox_available(void);
/* The same for people: "seccomp, landlock, limits". */
const char *sandbox_walls(void);

struct sandbox_limits {
    uint64_t memory; /* bytes of address space */
    uint64_t file;   /* bytes of one file it writes */
};

/* Builds the walls, out of those available. Whatever is to be opened or loaded later has to be by
 * now. 0, or -1 with *e (ERR_SYSTEM): one cannot be built, and some may stand. */
int sandbox_enter(unsigned walls, const struct sandbox_limits *limits, struct err *e);

/* From now on so many seconds of processor time; using more is death. Works behind the walls. */
void sandbox_allow_cpu(unsigned seconds);

#endif
