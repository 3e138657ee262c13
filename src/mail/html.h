/*
 * html: the text a person would read in an HTML document; the only user of libxml2.
 * Never knows IMAP, rules, or what a message is.
 *
 * The form: white space, also the kind that does not break, is folded into one space and goes at
 * both ends of a line, but not in <pre>. A block element begins and ends a line, <br> ends one;
 * there is never more than one empty line in a row (only <br> and <pre> make any) and none at
 * either end. An item of a list begins with "- "; a cell of a table that goes on in a line that has
 * text is told apart by a tab. A link is `text [target]`, only `text` where that holds the target
 * (without its scheme will do), only `[target]` where there is no text; targets inside the document
 * and scripts are left out.
 */
#ifndef MAILCALL_MAIL_HTML_H
#define MAILCALL_MAIL_HTML_H

#include "base/buf.h"

enum { HTML_MAX = 1024 * 1024 }; /* bytes that are looked at */

/* Appends the text of UTF-8 HTML, at most `most` bytes of it: block elements begin lines, <br> ends
 * one, list items and table cells are told apart, white space is folded, entities are resolved;
 * script, style, head and comments are left out; a link's target follows its text in brackets where
 * that does not hold it already (codes and sign-up links are looked for there). Total, and its cost
 * is bounded by HTML_MAX whatever the nesting or the attributes. */
void html_text(struct buf *out, struct span html, size_t most);

/* Makes the library ready, see message_prepare(). */
void html_prepare(void);

#endif
