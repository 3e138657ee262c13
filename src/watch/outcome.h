/*
 * outcome: what a finished run means for its message, and the one line people read about it.
 * Never knows how a process is run.
 */
#ifndef MAILCALL_WATCH_OUTCOME_H
#define MAILCALL_WATCH_OUTCOME_H

#include "base/buf.h"
#include "hook/run.h"

/* Appends: invoices ok 0.84s work/INBOX:4711 ann@stripe.com "Invoice 2026-17" 48K ->
 * save-invoice.sh The subject is cut at 80 bytes. */
void outcome_line(struct buf *out, const struct letter *letter, const struct outcome *outcome);
/* The same shape for a rule that would run: "would run" in the place of the result. */
void outcome_plan_line(struct buf *out, const struct letter *letter);

#endif
