/*
 * date: the forms of a Date field that a strict reader would refuse or misread, made plain.
 * Never knows IMAP, rules, or what day it is.
 */
#ifndef MAILCALL_MAIL_DATE_H
#define MAILCALL_MAIL_DATE_H

#include "base/buf.h"

/* What date_tidy() could not write into the date: correct the hour with it. */
enum date_half { DATE_24H, DATE_AM, DATE_PM };

/* Appends the date in the form "Tue, 1 Jul 2003 10:52:37 +0200" as far as its words allow: zone
 * names of Europe and Asia as numbers, "+02:00" and "GMT+0200", ISO 8601 with T and Z, leap
 * seconds, comments left out. Total: what is not understood stays. */
enum date_half date_tidy(struct buf *out, struct span raw);

#endif
