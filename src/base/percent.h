/*
 * percent: text inside a URL (RFC 3986 section 2.1).
 * Never knows mail, files or time.
 */
#ifndef MAILCALL_BASE_PERCENT_H
#define MAILCALL_BASE_PERCENT_H

#include "base/buf.h"

/* Appends s; every byte is escaped but letters, digits, "-._~" and those in `also`. */
void percent_add(struct buf *out, const char *s, const char *also);

#endif
