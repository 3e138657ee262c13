/*
 * charset: what a charset label of a mail really means.
 * Never knows IMAP, rules, or how bytes are converted.
 */
#ifndef MAILCALL_MAIL_CHARSET_H
#define MAILCALL_MAIL_CHARSET_H

#include "base/buf.h"

/* The name for iconv, or NULL: the label says nothing that can be trusted (empty, unknown,
 * us-ascii), take the bytes with charset_guess(). Only names of a fixed list come out, so a mail
 * cannot choose which converter is loaded. */
const char *charset_of(struct span label);

/* The i-th name that charset_of() can give, NULL behind the last; some come twice. */
const char *charset_name(size_t i);

/* Appends ISO-2022-JP as EUC-JP, which has its characters and those that senders use with it (NEC
 * row 13) and converters refuse. */
void charset_unescape_jis(struct buf *out, struct span bytes);

/* Appends bytes of unknown charset: as they are if they are UTF-8, else as Windows-1252. */
void charset_guess(struct buf *out, struct span bytes);
/* Appends the bytes read as Windows-1252, which is what "iso-8859-1" means in mail. */
void charset_western(struct buf *out, struct span bytes);

#endif
