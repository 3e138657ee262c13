/*
 * report: what is wrong in a configuration, in the form editors jump to:
 *
 *     mailcall.yaml:44:5: error: rules[0] invoices: unknown key 'on_sucess'; did you mean …
 *        44 |     on_sucess: { flag: seen }
 *           |     ^~~~~~~~~
 *
 * Never knows YAML. Nothing secret leaves through it: what stands behind `password:` and passwords
 * in URLs are masked in the lines it shows.
 */
#ifndef MAILCALL_CONFIG_REPORT_H
#define MAILCALL_CONFIG_REPORT_H

#include "base/buf.h"
#include "config/source.h"

enum { REPORT_MAX = 20 };

struct remark {
    struct place at;
    bool warning;
    char *text;
    char *hint; /* lines shown behind the caret, or NULL */
};

/* All zero is an empty report. */
struct report {
    struct remark v[2 * REPORT_MAX];
    size_t n;
    size_t errors;   /* all of them; only the first REPORT_MAX are kept */
    size_t warnings; /* likewise */
};

void report_error(struct report *r, struct place at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void report_warning(struct report *r, struct place at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Lines of advice for the error just reported; '\n' separates them. */
void report_hint(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Whether one more error would be counted only: nothing need be computed for its text. */
bool report_full(const struct report *r);
/* Appends everything in the order of the files. */
void report_write(struct report *r, struct buf *out);
void report_free(struct report *r); /* empty afterwards */

#endif
