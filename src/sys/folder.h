/*
 * folder: a place for files that are nobody else's business.
 * Never knows mail of any kind.
 */
#ifndef MAILCALL_SYS_FOLDER_H
#define MAILCALL_SYS_FOLDER_H

#include "base/err.h"

/* Makes the folder, 0700, if it is missing, with what is missing above it, and opens it. Refused
 * if others can write to it, or if it belongs to neither us nor root. Returns a descriptor,
 * close-on-exec, for *at() calls; -1 with *e (ERR_CREATE). */
int folder_open(const char *path, struct err *e);

#endif
