/*
 * lastwords: what we were doing when a bug killed us.
 * Never knows mail of any kind.
 *
 * One file, made and opened ahead. While words stand, a deadly signal of our own making (SEGV, BUS,
 * ABRT, FPE, ILL, SYS; a stack that overflowed too) writes them to the file before we die of it as
 * we would have. SIGKILL leaves none, and neither does the machine's own death: those are nobody's
 * fault. One set per process; said by one thread, left behind by whichever dies (of an overflowed
 * stack, only by the one that opened). A child that was forked and does not exec closes them.
 */
#ifndef MAILCALL_SYS_LASTWORDS_H
#define MAILCALL_SYS_LASTWORDS_H

#include "base/buf.h"
#include "base/err.h"

enum { LASTWORDS_MAX = 4096 };

/* Appends what an earlier life left in the file ("" mostly, and never more than LASTWORDS_MAX),
 * empties it and stands ready: file 0600, no links followed. 0, or -1 with *e (ERR_CREATE, ERR_IO).
 * Not to be called again before lastwords_close(). */
int lastwords_open(const char *path, struct buf *found, struct err *e);
/* From now on these, cut at LASTWORDS_MAX; costs no system call. */
void lastwords_say(struct span words);
void lastwords_nothing(void);
/* The signals as they were; the file stays. Harmless when not open. */
void lastwords_close(void);

#endif
