/*
 * utf8: from any bytes to valid text, and to the one-line text that leaves the program.
 * Never knows mail, files or time.
 */
#ifndef MAILCALL_BASE_UTF8_H
#define MAILCALL_BASE_UTF8_H

#include "base/buf.h"

#include <stdint.h>

/* Takes one code point off the front of *s (s->n > 0). An invalid sequence (also surrogates,
 * overlong forms, beyond U+10FFFF) gives U+FFFD and eats its maximal well-formed prefix. */
uint32_t utf8_take(struct span *s);
/* Appends the code point; cp is valid. */
void utf8_add(struct buf *out, uint32_t cp);
bool utf8_valid(struct span s);
/* Appends s as valid UTF-8, U+FFFD for each invalid sequence, everything else kept. */
void utf8_repair(struct buf *out, struct span s);
/* Appends s as one line of valid UTF-8: U+0000-001F, U+007F-009F, U+2028 and U+2029 become a
 * space each, then the whole is trimmed of spaces at both ends. */
void utf8_line(struct buf *out, struct span s);
/* The longest prefix of s (valid UTF-8) of at most max bytes that ends between characters. */
struct span utf8_cut(struct span s, size_t max);
/* Appends s for a person's terminal or a log: as utf8_line, but control characters are written as
 * \xNN or \n \r \t \e, and characters that reorder text (bidi controls, U+200B-200F, U+FEFF) are
 * left out. Not trimmed. */
void utf8_visible(struct buf *out, struct span s);

#endif
