/* SPDX-License-Identifier: ISC */
/* What strangers wrote, made fit for where it goes: a terminal, a pipe, a shell, a JSON reader. */
#include "cmd.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void
print(const struct buf *b)
{
    fwrite(buf_str(b), 1, b->n, stdout);
}

void
out_value(const char *text)
{
    struct buf out = {0};
    if (isatty(STDOUT_FILENO))
        utf8_visible(&out, span_str(text));
    else
        utf8_line(&out, span_str(text));
    print(&out);
    buf_free(&out);
}

void
out_lines(const char *text)
{
    struct buf out = {0};
    if (!isatty(STDOUT_FILENO)) {
        fputs(text, stdout);
        return;
    }
    while (*text != '\0') {
        size_t n = strcspn(text, "\t\n");
        utf8_visible(&out, (struct span){text, n});
        if (text[n] != '\0')
            buf_addc(&out, text[n++]);
        text += n;
    }
    print(&out);
    buf_free(&out);
}

static bool
is_plain(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./:=@%+,";
    return *text != '\0' && text[strspn(text, plain)] == '\0';
}

void
out_shell(struct buf *out, const char *text)
{
    if (is_plain(text)) {
        buf_adds(out, text);
        return;
    }
    buf_addc(out, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            buf_adds(out, "'\\'");
        buf_addc(out, *text);
    }
    buf_addc(out, '\'');
}

void
out_json(struct buf *out, const char *text)
{
    struct buf valid = {0};
    utf8_repair(&valid, span_str(text));
    buf_addc(out, '"');
    for (const char *p = buf_str(&valid); *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            buf_addc(out, '\\');
        if ((unsigned char)*p < ' ')
            buf_addf(out, "\\u%04x", (unsigned)*p);
        else
            buf_addc(out, *p);
    }
    buf_addc(out, '"');
    buf_free(&valid);
}
