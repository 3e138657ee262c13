/*
 * meta: what the server says of one message, and where it lies; a plain value.
 * Never knows IMAP, jobs or YAML.
 *
 * Strings are borrowed from whoever filled the struct; all are valid UTF-8 without control
 * characters.
 */
#ifndef MAILCALL_RULE_META_H
#define MAILCALL_RULE_META_H

#include "base/strv.h"

#include <stdint.h>

struct meta {
    const char *account; /* name in the configuration; for a URL target the host */
    const char *mailbox; /* UTF-8, '/' separates */
    const char *role;    /* special use: inbox archive drafts junk sent trash all, or "" */
    const char *url;     /* the server part of the RFC 5092 URL: imaps://user@host[:port] */
    uint32_t uid;
    uint32_t uidvalidity;
    struct strv flags; /* as the server wrote them: \Seen $Label1; owned by the filler */
    int64_t received;  /* server date, seconds since 1970; 0 if unknown */
    uint64_t size;     /* bytes as the server counts them; a hint, servers lie */
};

#endif
