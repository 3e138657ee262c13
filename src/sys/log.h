/*
 * log: lines on stderr for people and for the service manager.
 * Never knows mail of any kind.
 *
 * Every line passes utf8_visible(): no control byte of a stranger reaches a terminal or forges a
 * line. At most LOG_LINE_MAX bytes; the rest is cut with an ellipsis.
 */
#ifndef MAILCALL_SYS_LOG_H
#define MAILCALL_SYS_LOG_H

enum { LOG_LINE_MAX = 2048 };

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DETAIL };

/* Which lines are written: errors always; -q drops all but errors; -v adds detail. On journald
 * (JOURNAL_STREAM names stderr) each line gets its <N> priority prefix. */
void log_open(enum log_level level);

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_detail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
