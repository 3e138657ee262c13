/*
 * param: the value and the parameters of a Content-Type or Content-Disposition field (RFC 2045
 * section 5.1, RFC 2231), as loosely as senders write them.
 * Never knows IMAP, rules, or how a charset is converted.
 */
#ifndef MAILCALL_MAIL_PARAM_H
#define MAILCALL_MAIL_PARAM_H

#include "base/buf.h"

/* What stands before the first parameter: "text/html", "attachment"; may be empty. */
struct span param_value(struct span field);

struct param {
    struct buf bytes;    /* without quotes and percents; filled anew by each param_find() */
    struct span charset; /* of the bytes, by RFC 2231, pointing into the field; empty: none was
                            named, and they may hold encoded words */
    bool quoted;
};

/* The parameter `name` of an unfolded field, its pieces joined, what RFC 2231 adds before the plain
 * form. False, and empty, if there is none. The caller frees with param_free(). */
bool param_find(struct span field, const char *name, struct param *out);
void param_free(struct param *p); /* harmless twice */
/* The first word of the value, for parameters that are one. */
struct span param_word(const struct param *p);

#endif
