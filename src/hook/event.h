/*
 * event: the stable name of one (message, rule): the idempotency key of a hook.
 * Never knows IMAP, YAML or the queue. Pure.
 */
#ifndef MAILCALL_HOOK_EVENT_H
#define MAILCALL_HOOK_EVENT_H

#include "rule/meta.h"

enum { EVENT_ID_LENGTH = 26 };

/* 26 characters a-z2-7 and a NUL: 130 bits of a hash over account, mailbox, UIDVALIDITY, UID and
 * rule name, each with its length. Equal input gives the equal id, on any machine, for ever. */
void event_id_make(char id[static EVENT_ID_LENGTH + 1], const struct meta *meta, const char *rule);

#endif
