/*
 * addrlist: an address field taken apart into mailboxes (RFC 5322 section 3.4), as loosely as
 * senders write it. Never knows IMAP, rules, encoded words or charsets.
 *
 * Pull: `struct addrlist l = {.rest = field}`, then addrlist_next() until false. Structure comes
 * first: an encoded word is one word here, whatever stands in it or it decodes to.
 */
#ifndef MAILCALL_MAIL_ADDRLIST_H
#define MAILCALL_MAIL_ADDRLIST_H

#include "base/buf.h"

struct addrlist {
    struct span rest; /* unfolded */
    const char *held; /* before this point a comma ends a mailbox for sure */
    bool glued;       /* no comma stood between the last mailbox and the rest */
    bool no_quote;    /* a quote was not closed: the rest are characters */
    bool no_comment;  /* a parenthesis, likewise */
};

/* The next mailbox into `name` and `addr`, both cleared first: the display name without quotes,
 * still with encoded words, and the address as written, without comments and route. At least one is
 * not empty. Groups give their members, their name is dropped. False at the end.
 *
 * `a@b (Name)` gives the comment as the name. `Doe, John <a@b>` is one mailbox, `Doe, a@b` are two.
 * One word without '@' is an address without a domain, several are a name without an address. */
bool addrlist_next(struct addrlist *l, struct buf *name, struct buf *addr);

#endif
