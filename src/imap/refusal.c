/* SPDX-License-Identifier: ISC */
/* Phrases that servers were seen to use, with and without the response codes of RFC 5530. Bad
 * credentials win over everything: a lockout text may well contain "too many". */
#include "imap/refusal.h"

#include "imap/value.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

enum { BACKOFF_MAX_MS = 60 * 60 * 1000 };

static const struct span lasting[] = {
    SPAN("[AUTHENTICATIONFAILED]"),
    SPAN("[AUTHORIZATIONFAILED]"),
    SPAN("[EXPIRED]"),
    SPAN("[PRIVACYREQUIRED]"),
    SPAN("[CONTACTADMIN]"),
    SPAN("too many bad auth"),
    SPAN("too many invalid"),
    SPAN("too many failed"),
    SPAN("too many login failures"),
};

static const struct span passing[] = {
    SPAN("[UNAVAILABLE]"),
    SPAN("[LIMIT]"),
    SPAN("[INUSE]"),
    SPAN("[SERVERBUG]"),
    SPAN("[TEMPFAIL]"),
    SPAN("[OVERQUOTA]"),
    SPAN("[THROTTLED]"),
    SPAN("too many"),
    SPAN("maximum number of connections"),
    SPAN("connection limit"),
    SPAN("limit exceeded"),
    SPAN("rate limit"),
    SPAN("throttled"),
    SPAN("bandwidth limits"),
    SPAN("authenticated but not connected"),
    SPAN("temporarily"),
    SPAN("try again later"),
    SPAN("server unavailable"),
    SPAN("server busy"),
    SPAN("internal error"),
    SPAN("internal server error"),
    SPAN("no servers available"),
};

static const struct span vanished[] = {
    SPAN("[EXPUNGEISSUED]"),
    SPAN("[NONEXISTENT]"),
    SPAN("no longer exist"),
    SPAN("have been expunged"),
    SPAN("no matching messages"),
    SPAN("no messages found"),
};

/* What may be about the mailbox to copy to. */
static const struct span target[] = {
    SPAN("[TRYCREATE]"),
    SPAN("[NONEXISTENT]"),
    SPAN("[CANNOT]"),
    SPAN("mailbox"),
    SPAN("folder"),
};

static bool
says_one_of(struct span words, const struct span *phrases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (value_behind(words, phrases[i]).p != NULL)
            return true;
    return false;
}

enum err_kind
refusal_kind(struct span words, enum err_kind otherwise)
{
    if (says_one_of(words, lasting, COUNT(lasting)))
        return otherwise;
    return says_one_of(words, passing, COUNT(passing)) ? ERR_AGAIN : otherwise;
}

bool
refusal_vanished(struct span words)
{
    return says_one_of(words, vanished, COUNT(vanished));
}

bool
refusal_nothing_copied(struct span words)
{
    if (value_behind(words, SPAN("[EXPUNGEISSUED]")).p != NULL)
        return true;
    return refusal_vanished(words) && !says_one_of(words, target, COUNT(target));
}

bool
refusal_ends_session(struct span line)
{
    return span_istarts(line, SPAN("Server Unavailable"));
}

uint64_t
refusal_backoff_ms(struct span words)
{
    struct span rest = value_behind(words, SPAN("Suggested Backoff Time:"));
    uint64_t ms;
    if (value_number(value_word(&rest), UINT64_MAX, &ms) < 0)
        return 0;
    return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}
