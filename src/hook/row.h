/*
 * row: one fixed field of the table: its name, where its value comes from, who chose how long that
 * is, and what it means. Never knows IMAP, YAML or the queue. Pure.
 */
#ifndef MAILCALL_HOOK_ROW_H
#define MAILCALL_HOOK_ROW_H

#include "hook/fields.h"

enum { ROW_COUNT = 44, ROW_PREVIEW = 256 /* characters */ };

/* STRANGER's values are cut when all together are too long. NUMBERS are ours too, and cut between
 * words: half a number is another number. LINES are strangers', several of them, and cut between
 * lines. */
enum row_writer { ROW_OURS, ROW_NUMBERS, ROW_STRANGER, ROW_LINES };

/* Appends the raw value; `at` is the place of a member inside the struct that the getter reads. */
typedef void row_getter(struct buf *out, const struct event *e, size_t at);

struct row {
    const char *name; /* lower case */
    row_getter *get;
    size_t at;
    enum row_writer writer;
    const char *doc;
};
extern const struct row rows[ROW_COUNT];

#endif
