/*
 * event: one (message, rule) under its stable name, the idempotency key of a hook, and told as
 * JSON. Never knows IMAP, YAML or the queue. Pure.
 */
#ifndef MAILCALL_HOOK_EVENT_H
#define MAILCALL_HOOK_EVENT_H

#include "hook/fields.h"
#include "rule/meta.h"

enum { EVENT_ID_LENGTH = 26 };

/* 26 characters a-z2-7 and a NUL: 130 bits of a hash over account, mailbox, UIDVALIDITY, UID and
 * rule name, each with its length. Equal input gives the equal id, on any machine, for ever. */
void event_id_make(char id[static EVENT_ID_LENGTH + 1], const struct meta *meta, const char *rule);

/* The event as one line of JSON without its end, "v":1, in the shape of INTERFACE 3.6 with what is
 * known so far: what needs the text or the parts of a message (auth, attachments, headers, text) is
 * left out. Strings are the facts' own, not cut; `match` holds every capture by its name. The
 * caller frees. */
char *event_json(const struct event *event);
/* The same event told anew: "event" and "attempt" replaced. NULL if `line` is no such event. */
char *event_json_again(const char *line, const char *kind, unsigned attempt);

#endif
