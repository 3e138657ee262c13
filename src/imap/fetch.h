/*
 * fetch: one FETCH response, read (RFC 3501 section 7.4.2).
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_FETCH_H
#define MAILCALL_IMAP_FETCH_H

#include "base/strv.h"
#include "imap/value.h"

enum { FETCH_FLAGS = 64, FETCH_FLAG_LENGTH = 128 };

enum fetch_body {
    FETCH_ABSENT,
    FETCH_NIL,
    FETCH_STRING,   /* `text`: it came as a quoted string */
    FETCH_STREAMED, /* lex handed it out */
};

/* Which text it is. */
enum fetch_part { FETCH_NO_PART, FETCH_HEADER, FETCH_WHOLE };

/* All zero is an empty one. */
struct fetch {
    uint32_t uid; /* 0: none, or nonsense */
    int64_t internaldate;
    uint64_t size;
    struct strv flags;
    bool solicited; /* holds an item only we ask for: the answer to our question */
    enum fetch_body body;
    enum fetch_part part; /* of `body`; or what the literal is that comes next */
    struct span text;
};

/* Reads what follows FETCH, whole or broken off, in whatever order. Replaces the content of f; its
 * text points where the tree's does. */
void fetch_read(struct fetch *f, const struct value_tree *items);
void fetch_clear(struct fetch *f);
/* Seconds since 1970 of an INTERNALDATE such as "17-Jul-1996 02:44:25 -0700"; 0 if unreadable. */
int64_t fetch_date(struct span date);

#endif
