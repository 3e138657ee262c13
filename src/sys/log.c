/* SPDX-License-Identifier: ISC */
/* Log lines on descriptor 2: one write(2) a line, so lines of two processes never mix. What goes
 * before the text depends on who reads: journald gets the priority, a person at a terminal the
 * program's name, a file or a container's log the time as well. Strangers' bytes are made visible
 * here, once, for every line. */
#include "sys/log.h"

#include "base/rfc3339.h"
#include "base/utf8.h"
#include "sys/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ELLIPSIS "\xE2\x80\xA6"

enum form { FORM_UNKNOWN, FORM_JOURNAL, FORM_TERMINAL, FORM_FILE };

static enum log_level log_level = LOG_INFO;
static enum form log_form = FORM_UNKNOWN;

static const int priority[] = {[LOG_ERROR] = 3, [LOG_WARN] = 4, [LOG_INFO] = 6, [LOG_DETAIL] = 7};

/* Whether stderr is the very socket that systemd connected to the journal. */
static bool
is_journal(void)
{
    const char *named = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat st;
    return named != NULL && sscanf(named, "%ju:%ju", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static enum form
form_of_stderr(void)
{
    if (is_journal())
        return FORM_JOURNAL;
    return isatty(STDERR_FILENO) ? FORM_TERMINAL : FORM_FILE;
}

void
log_open(enum log_level level)
{
    log_level = level;
    log_form = form_of_stderr();
}

static void
add_prefix(struct buf *line, enum log_level level)
{
    char now[RFC3339_MAX];
    switch (log_form) {
    case FORM_JOURNAL:
        buf_addf(line, "<%d>", priority[level]);
        break;
    case FORM_FILE:
        rfc3339_utc(now, clock_wall());
        buf_addf(line, "%s mailcall: ", now);
        break;
    default:
        buf_adds(line, "mailcall: ");
    }
}

/* The text, visible, and an ellipsis if not all of it fits into the line. */
static void
add_text(struct buf *line, struct span text)
{
    struct span head = utf8_cut(text, LOG_LINE_MAX);
    size_t max = LOG_LINE_MAX - 1; /* the newline */
    utf8_visible(line, head);
    if (line->n <= max && head.n == text.n)
        return;
    size_t room = max - strlen(ELLIPSIS);
    buf_cut(line, utf8_cut(buf_span(line), room).n);
    buf_adds(line, ELLIPSIS);
}

static void
write_line(enum log_level level, const char *fmt, va_list ap)
{
    if (level > log_level)
        return;
    int error = errno;
    if (log_form == FORM_UNKNOWN)
        log_form = form_of_stderr();
    char text[LOG_LINE_MAX + 8]; /* longer than a line, so that add_text() sees what is cut */
    vsnprintf(text, sizeof text, fmt, ap);
    struct buf line = {0};
    add_prefix(&line, level);
    add_text(&line, span_str(text));
    buf_addc(&line, '\n');
    /* where would one complain that the log cannot be written? */
    ssize_t written = write(STDERR_FILENO, line.p, line.n);
    (void)written;
    buf_free(&line);
    errno = error;
}

void
log_error(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_line(LOG_ERROR, fmt, ap);
    va_end(ap);
}

void
log_warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_line(LOG_WARN, fmt, ap);
    va_end(ap);
}

void
log_info(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_line(LOG_INFO, fmt, ap);
    va_end(ap);
}

void
log_detail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_line(LOG_DETAIL, fmt, ap);
    va_end(ap);
}
