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

/* An attachment that is a file now. */
struct event_file {
    size_t attachment; /* index into facts.attachments */
    const char *path;
};

/* The event as one line of JSON without its end, "v":1, as man/mailcall-event.schema.json says.
 * Attachments and text are left out where only headers were read, and `auth` is null where nobody
 * is trusted. Strings are the facts' own, not cut; `match` holds every capture by its name,
 * `headers` every configured header by its lower-case name. The caller frees. */
char *event_json(const struct event *event);
/* A message that lies nowhere and that no rule has seen: what event_json() says of the message
 * alone, with every header there is. The caller frees. */
char *event_message_json(const struct facts *facts);
/* The same event told anew: "event" and "attempt" replaced. NULL if `line` is no such event. */
char *event_json_again(const char *line, const char *kind, unsigned attempt);
/* The same event with the paths of those attachments, and null for the others. NULL likewise. */
char *event_json_files(const char *line, const struct event_file *files, size_t n_files);

#endif
