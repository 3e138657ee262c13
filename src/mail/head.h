/*
 * head: from the header block of a mail to its facts.
 * Never knows IMAP, rules, or where the bytes came from.
 */
#ifndef MAILCALL_MAIL_HEAD_H
#define MAILCALL_MAIL_HEAD_H

#include "base/span.h"
#include "mail/facts.h"

/* Fills an empty *f from the header block at the front of `bytes`; see message_facts(). */
void head_read(struct facts *f, struct span bytes, const struct strv *trusted);

#endif
