/* SPDX-License-Identifier: ISC */
/* The idempotency key: the first 130 bits of a SHA-256 in base32 (RFC 4648 section 6, lower case).
 * Numbers enter as decimal text, so byte order and widths of a machine play no part. Changing
 * anything here makes every hook see old mail as new. */
#include "hook/event.h"

#include "base/digest.h"
#include "base/span.h"

#include <stdio.h>

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

/* The i-th group of five bits. */
static unsigned
quintet(const unsigned char *bytes, size_t i)
{
    size_t bit = i * 5;
    unsigned two = (unsigned)bytes[bit / 8] << 8 | bytes[bit / 8 + 1];
    return two >> (11 - bit % 8) & 31;
}

void
event_id_make(char id[static EVENT_ID_LENGTH + 1], const struct meta *meta, const char *rule)
{
    char uidvalidity[16];
    char uid[16];
    snprintf(uidvalidity, sizeof uidvalidity, "%lu", (unsigned long)meta->uidvalidity);
    snprintf(uid, sizeof uid, "%lu", (unsigned long)meta->uid);
    const struct span parts[] = {
        span_str(meta->account),
        span_str(meta->mailbox),
        span_str(uidvalidity),
        span_str(uid),
        span_str(rule),
    };
    unsigned char digest[DIGEST_SIZE];
    digest_parts(digest, parts, sizeof parts / sizeof *parts);
    for (size_t i = 0; i < EVENT_ID_LENGTH; i++)
        id[i] = alphabet[quintet(digest, i)];
    id[EVENT_ID_LENGTH] = '\0';
}
