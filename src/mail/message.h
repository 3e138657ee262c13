/*
 * message: from the bytes of a mail to its facts (RFC 5322, 2047, 2231); the only user of GMime.
 * Never knows IMAP, rules, or where the bytes came from.
 */
#ifndef MAILCALL_MAIL_MESSAGE_H
#define MAILCALL_MAIL_MESSAGE_H

#include "base/span.h"
#include "mail/facts.h"

/* Reads the header block at the front of `bytes` (LF or CRLF; it ends at the first empty line or at
 * the end). Total: any input gives facts, never an error; what cannot be decoded stays raw, made
 * valid. Each field is capped before a library sees it. The caller frees. */
struct facts *message_facts(struct span bytes);

#endif
