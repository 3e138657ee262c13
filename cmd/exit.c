/* SPDX-License-Identifier: ISC */
/* From an error to the exit code and the line a shell user sees. */
#include "cmd.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const int codes[] = {
    [ERR_NONE] = EXIT_OK,
    [ERR_USAGE] = 64,
    [ERR_INPUT] = 66,
    [ERR_HOST] = 68,
    [ERR_NET] = 69,
    [ERR_TLS] = 69,
    [ERR_MAILBOX] = 69,
    [ERR_SYSTEM] = EXIT_BUG,
    [ERR_CREATE] = 73,
    [ERR_IO] = 74,
    [ERR_AGAIN] = 75,
    [ERR_PROTOCOL] = 76,
    [ERR_AUTH] = 77,
    [ERR_CONFIG] = EXIT_BAD_CONFIG,
};

int
exit_code(enum err_kind kind)
{
    return codes[kind];
}

static void
print_line(const char *text)
{
    struct buf line = {0};
    utf8_visible(&line, span_str(text));
    fprintf(stderr, "mailcall: %s\n", buf_str(&line));
    buf_free(&line);
}

int
fail(const struct err *e)
{
    print_line(e->text);
    return exit_code(e->kind);
}

int
flush_stdout(struct err *e)
{
    if (fflush(stdout) == 0)
        return 0;
    return err_sys(e, errno == EPIPE ? ERR_NONE : ERR_IO, errno, "standard output");
}

int
usage_verror(const char *command, const char *fmt, va_list ap)
{
    char text[1024];
    int n = command != NULL ? snprintf(text, sizeof text, "%s: ", command) : 0;
    vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
    print_line(text);
    fprintf(stderr, "see: mailcall help%s%s\n", command != NULL ? " " : "",
        command != NULL ? command : "");
    return EXIT_USAGE_ERROR;
}

int
usage_error(const char *command, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int status = usage_verror(command, fmt, ap);
    va_end(ap);
    return status;
}
