/*
 * refusal: what a server means when it says no (RFC 5530, and what servers say instead).
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_REFUSAL_H
#define MAILCALL_IMAP_REFUSAL_H

#include "base/err.h"
#include "base/span.h"

#include <stdint.h>

/* The words of a NO, BAD or BYE, response code included. ERR_AGAIN if they tell of a trouble that
 * passes by itself, else `otherwise`. */
enum err_kind refusal_kind(struct span words, enum err_kind otherwise);
/* Whether they only say that messages asked for are gone by now. */
bool refusal_vanished(struct span words);
/* Whether they say so of the message that a COPY or MOVE named, and not of the mailbox it was to
 * go to. Those of an OK too: some servers take a message that is gone for a success. */
bool refusal_nothing_copied(struct span words);
/* Whether an untagged line without a status says that the session is over. */
bool refusal_ends_session(struct span line);
/* "Suggested Backoff Time: 92415 milliseconds", one hour at most; 0 if they do not say. */
uint64_t refusal_backoff_ms(struct span words);

#endif
