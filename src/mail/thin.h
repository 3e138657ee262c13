/*
 * thin: HTML reduced to the few marks that its text depends on, flat.
 * Never knows IMAP, rules, entities, or how the text is laid out.
 */
#ifndef MAILCALL_MAIL_THIN_H
#define MAILCALL_MAIL_THIN_H

#include "base/buf.h"

/* Appends the text of any HTML as it stands, with its entities, and of its tags only these, each
 * empty: <block/> where a block element begins or ends, <line/>, <item/> and <done/> around an item
 * of a list, <cell/>, <link to="…"/> and <linked/> around a link, <verbatim/> and <folded/> around
 * <pre>. Comments go, and what stands in <script>, <style>, <title> and their like. One pass. */
void thin_html(struct buf *out, struct span html);

#endif
