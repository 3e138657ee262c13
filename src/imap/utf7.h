/*
 * utf7: mailbox names between UTF-8 and IMAP's modified UTF-7 (RFC 3501 section 5.1.3).
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_UTF7_H
#define MAILCALL_IMAP_UTF7_H

#include "base/buf.h"

/* Appends the name as it goes over the wire. -1, and out as before, if it is not UTF-8. */
int utf7_encode(struct buf *out, struct span name);
/* Appends the UTF-8 of a name from the wire. -1, and out as before, if it is not that encoding. */
int utf7_decode(struct buf *out, struct span name);

#endif
