/*
 * authres: the Authentication-Results field (RFC 8601).
 * Never knows IMAP, rules, or whom to trust.
 */
#ifndef MAILCALL_MAIL_AUTHRES_H
#define MAILCALL_MAIL_AUTHRES_H

#include "base/span.h"
#include "mail/facts.h"

/* Adds to *auth what an unfolded field says, if the server that wrote it is one of `trusted`; what
 * is known already stays, signatures are added. Returns false if it is another server's. */
bool authres_add(struct auth *auth, struct span field, const struct strv *trusted);

#endif
