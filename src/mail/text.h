/*
 * text: what is done to a text before somebody reads it.
 * Never knows IMAP, rules, charsets or HTML.
 */
#ifndef MAILCALL_MAIL_TEXT_H
#define MAILCALL_MAIL_TEXT_H

#include "base/buf.h"

/* Appends s as valid UTF-8 in lines: every line end (also a lone CR and those of Unicode) is '\n',
 * other control characters but '\t' go, and so do empty lines at the end. Ends in '\n' if it is not
 * empty; blank text is empty. */
void text_clean(struct buf *out, struct span s);
/* Whether s is as text_clean() leaves it, but for its end. */
bool text_is_clean(struct span s);

/* Appends clean text of format=flowed with its paragraphs on one line each (RFC 3676); a quoted one
 * begins with "> ". `delsp`: the blank at a soft line end goes. */
enum text_delsp { TEXT_KEEP_SPACE, TEXT_DELETE_SPACE };
void text_unflow(struct buf *out, struct span s, enum text_delsp delsp);

#endif
