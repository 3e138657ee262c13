/*
 * safename: from whatever a stranger calls a file to a name a folder can hold.
 * Never knows mail, files or time.
 */
#ifndef MAILCALL_BASE_SAFENAME_H
#define MAILCALL_BASE_SAFENAME_H

#include "base/buf.h"
#include "base/strv.h"

enum { SAFENAME_MAX = 120 }; /* bytes */

/* Appends the last part of the path `wanted` ('/' or '\' between parts) as one line of valid UTF-8
 * without control or invisible characters, without '.', '-' or spaces in front, of 1 to
 * SAFENAME_MAX bytes: a longer one loses from the end of what stands before its extension. One that
 * is among `taken`, the case of ASCII letters ignored, is numbered: "name-2.pdf". Where nothing is
 * left it is "attachment-1", "attachment-2" and so on. The caller adds it to `taken`. */
void safename(struct buf *out, const char *wanted, const struct strv *taken);

#endif
