/* sys/log: what a line on stderr looks like, for each kind of reader. */
#include "sys/log.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Descriptor 2 is one end of a pair of datagram sockets: each write(2) is one datagram. */
static int saved_stderr;
static int reader;

static int
redirect(void **state)
{
    (void)state;
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) != 0)
        return -1;
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    saved_stderr = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    reader = fds[0];
    return 0;
}

static int
restore(void **state)
{
    (void)state;
    unsetenv("JOURNAL_STREAM");
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(reader);
    return 0;
}

/* The next write, NULL when there was none; valid until the next call. */
static const char *
next_line(void)
{
    static char line[2 * LOG_LINE_MAX];
    ssize_t n = read(reader, line, sizeof line - 1);
    if (n < 0)
        return NULL;
    line[n] = '\0';
    assert_true(n <= LOG_LINE_MAX);
    assert_int_equal(line[n - 1], '\n');
    line[n - 1] = '\0';
    assert_null(strchr(line, '\n'));
    return line;
}

static void
pretend_journal(void)
{
    struct stat st;
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    char *name = xasprintf("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", name, 1);
    free(name);
}

/* First of all tests: nobody has called log_open() yet. */
static void
before_it_is_opened_everything_but_detail_is_written(void **state)
{
    (void)state;
    log_detail("unseen");
    assert_null(next_line());
    log_info("seen");
    assert_non_null(strstr(next_line(), " mailcall: seen"));
}

static void
a_file_gets_the_time_in_utc(void **state)
{
    (void)state;
    log_open(LOG_INFO);
    log_warn("%s: %d", "lost", 3);
    int year, month, day, hour, minute, second, end = 0;
    const char *line = next_line();
    assert_int_equal(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2dZ mailcall: lost: 3%n", &year, &month,
                         &day, &hour, &minute, &second, &end),
        6);
    assert_int_equal(end, (int)strlen(line));
}

static void
the_journal_gets_the_priority(void **state)
{
    (void)state;
    pretend_journal();
    log_open(LOG_DETAIL);
    log_error("a");
    log_warn("b");
    log_info("c");
    log_detail("d");
    static const char *const want[] = {"<3>a", "<4>b", "<6>c", "<7>d"};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(next_line(), want[i]);
    setenv("JOURNAL_STREAM", "1:1", 1);
    log_open(LOG_INFO);
    log_info("not the journal");
    assert_non_null(strstr(next_line(), "mailcall: not the journal"));
}

static void
a_terminal_gets_only_the_name(void **state)
{
    (void)state;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        skip();
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    dup2(slave, STDERR_FILENO);
    close(slave);
    log_open(LOG_INFO);
    log_error("no such mailbox");
    char line[80] = "";
    assert_true(read(master, line, sizeof line - 1) > 0);
    assert_string_equal(line, "mailcall: no such mailbox\r\n");
    close(master);
}

static void
levels_decide_what_is_written(void **state)
{
    (void)state;
    log_open(LOG_ERROR);
    log_warn("w");
    log_info("i");
    log_detail("d");
    assert_null(next_line());
    log_error("e");
    assert_non_null(next_line());
    log_open(LOG_INFO);
    log_detail("d");
    assert_null(next_line());
}

static void
strangers_bytes_are_escaped(void **state)
{
    (void)state;
    pretend_journal();
    log_open(LOG_INFO);
    log_info("from \"%s\"", "x\n<0>forged\r\033[2J\xE2\x80\xAE\x9B\xFF\tend");
    assert_string_equal(
        next_line(), "<6>from \"x\\n<0>forged\\r\\e[2J\xEF\xBF\xBD\xEF\xBF\xBD\\tend\"");
    assert_null(next_line());
}

static void
long_lines_are_cut_between_characters(void **state)
{
    (void)state;
    pretend_journal();
    log_open(LOG_INFO);
    static const char *const units[] = {"x", "\xC3\xA9", "\xE2\x82\xAC", "\n"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        char text[3 * LOG_LINE_MAX] = "";
        size_t length = strlen(units[i]);
        for (size_t n = 0; n + length < sizeof text; n += length)
            memcpy(text + n, units[i], length);
        log_info("%s", text);
        const char *line = next_line();
        size_t n = strlen(line);
        assert_true(n > LOG_LINE_MAX - 8);
        assert_string_equal(line + n - 3, "\xE2\x80\xA6");
        if (length > 1)
            assert_memory_equal(line + n - 3 - length, units[i], length);
        assert_null(next_line());
    }
}

static void
a_line_that_just_fits_is_not_cut(void **state)
{
    (void)state;
    pretend_journal();
    log_open(LOG_INFO);
    char text[LOG_LINE_MAX + 1];
    for (size_t n = LOG_LINE_MAX - 6; n <= LOG_LINE_MAX; n++) {
        memset(text, 'x', n);
        text[n] = '\0';
        log_info("%s", text);
        const char *line = next_line();
        bool fits = n + strlen("<6>\n") <= LOG_LINE_MAX;
        assert_true((strstr(line, "\xE2\x80\xA6") == NULL) == fits);
    }
}

static void
errno_survives(void **state)
{
    (void)state;
    close(reader);
    log_open(LOG_INFO);
    errno = ENOTDIR;
    log_info("nobody listens");
    assert_int_equal(errno, ENOTDIR);
}

int
main(void)
{
#define REDIRECTED(test) cmocka_unit_test_setup_teardown(test, redirect, restore)
    const struct CMUnitTest tests[] = {
        REDIRECTED(before_it_is_opened_everything_but_detail_is_written),
        REDIRECTED(a_file_gets_the_time_in_utc),
        REDIRECTED(the_journal_gets_the_priority),
        REDIRECTED(a_terminal_gets_only_the_name),
        REDIRECTED(levels_decide_what_is_written),
        REDIRECTED(strangers_bytes_are_escaped),
        REDIRECTED(long_lines_are_cut_between_characters),
        REDIRECTED(a_line_that_just_fits_is_not_cut),
        REDIRECTED(errno_survives),
    };
    return cmocka_run_group_tests_name("sys_log", tests, NULL, NULL);
}
