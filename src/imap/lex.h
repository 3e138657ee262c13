/*
 * lex: cuts the server's bytes into responses, resumable at every byte (RFC 3501 section 2.2.2).
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 *
 * A response is a line and the literals inside it. It is collected as text, ready for
 * value_parse(), without its line end. The literal of a message (BODY[] or BODY[HEADER] of a FETCH)
 * is never collected but handed out in chunks; `{}` then stands in the text where it was.
 * Everything else is bounded: what passes a limit is read over to the end of its response. Only a
 * SEARCH may be of any length, and comes as several of them.
 */
#ifndef MAILCALL_IMAP_LEX_H
#define MAILCALL_IMAP_LEX_H

#include "base/buf.h"

#include <stdint.h>

enum {
    LEX_LINE_MAX = 64 * 1024,      /* bytes of a response outside literals */
    LEX_LITERAL_MAX = 64 * 1024,   /* one collected literal */
    LEX_RESPONSE_MAX = 256 * 1024, /* one response */
    LEX_WORD_MAX = 32,             /* a number at the end of a part of a list */
};

enum lex_event {
    LEX_MORE,     /* all input eaten */
    LEX_RESPONSE, /* lex_text() is a response */
    LEX_CUT,      /* a response passed a limit; lex_text() begins as it did */
    LEX_BODY,  /* a message of `literal` bytes begins, however many; lex_text() stands before it */
    LEX_CHUNK, /* `chunk` of it */
    LEX_HUGE,  /* another literal, of more than literal_max bytes: the stream is lost */
};

struct lex {
    uint64_t literal_max; /* the largest other literal to sit through */
    uint64_t literal;     /* bytes of the literal at hand still to come */
    enum lex_place { LEX_LINE, LEX_STORED, LEX_STREAMED, LEX_DROPPED } place;
    bool ended; /* text is a response already reported */
    bool cut;
    size_t outside; /* bytes of text outside literals */
    size_t from;    /* where in text the line begins that follows the last literal */
    bool goes_on;   /* it is a SEARCH reported in part, the next part begins with: */
    char carried[LEX_WORD_MAX];
    size_t n_carried;
    struct buf text;
};

/* Eats from the front of *in until there is something to tell. The chunk points into *in. */
enum lex_event lex_next(struct lex *l, struct span *in, struct span *chunk);
/* Valid until the next call of lex_next(). */
struct span lex_text(const struct lex *l);
/* Whether a response has begun and not ended. */
bool lex_inside(const struct lex *l);
void lex_rest(struct lex *l);  /* gives memory back while nothing is being read */
void lex_reset(struct lex *l); /* forgets everything but the limit */

#endif
