/* SPDX-License-Identifier: ISC */
/* The abstract line, in the spirit of procmail's: who, subject, where it went, size. */
#include "watch/outcome.h"

#include "base/utf8.h"

#include <stdlib.h>

enum { SUBJECT_MAX = 80, SENDER_MAX = 80 };

static const char *
field(const struct letter *letter, const char *name)
{
    const char *value = fields_get(&letter->fields, name);
    return value != NULL ? value : "";
}

static void
add_cut(struct buf *out, const char *text, size_t max)
{
    struct span whole = span_str(text);
    struct span cut = utf8_cut(whole, max);
    buf_addspan(out, cut);
    if (cut.n < whole.n)
        buf_adds(out, "\xE2\x80\xA6");
}

static void
add_size(struct buf *out, uint64_t bytes)
{
    if (bytes < 1024)
        buf_addf(out, "%u", (unsigned)bytes);
    else if (bytes < 1024 * 1024)
        buf_addf(out, "%uK", (unsigned)(bytes / 1024));
    else
        buf_addf(out, "%.1fM", (double)bytes / (1024 * 1024));
}

static void
add_message(struct buf *out, const struct letter *letter)
{
    const char *from = field(letter, "FROM");
    buf_addf(out, " %s/%s:%s ", field(letter, "ACCOUNT"), field(letter, "MAILBOX"),
        field(letter, "UID"));
    add_cut(out, from[0] != '\0' ? from : "-", SENDER_MAX);
    buf_adds(out, " \"");
    add_cut(out, field(letter, "SUBJECT"), SUBJECT_MAX);
    buf_adds(out, "\" ");
    add_size(out, strtoull(field(letter, "SIZE"), NULL, 10));
    buf_addf(out, " -> %s", letter->program);
}

static void
add_status(struct buf *out, const struct outcome *o)
{
    switch (o->result) {
    case RUN_FAIL:
    case RUN_AGAIN:
        buf_addf(out, " (exit %d)", o->status);
        break;
    case RUN_SIGNAL:
        buf_addf(out, " (signal %d)", o->status - 128);
        break;
    case RUN_SPAWN:
        buf_addf(out, " (%s)", o->reason);
        break;
    case RUN_OK:
    case RUN_TIMEOUT:
        break;
    }
}

void
outcome_line(struct buf *out, const struct letter *letter, const struct outcome *o)
{
    buf_addf(out, "%s %s %.2fs", field(letter, "RULE"), run_result_name(o->result),
        (double)o->elapsed_ms / 1000);
    add_message(out, letter);
    add_status(out, o);
}

void
outcome_plan_line(struct buf *out, const struct letter *letter)
{
    buf_addf(out, "%s would run", field(letter, "RULE"));
    add_message(out, letter);
}
