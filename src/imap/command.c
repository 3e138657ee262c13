/* SPDX-License-Identifier: ISC */
/* Requests are written whole and sent up to the next synchronizing literal. Nothing from a
 * configuration can break out of its argument: CR, LF and NUL are refused, quotes escaped, 8-bit
 * text travels as a literal. RFC 3501 section 4.3, RFC 7888. */
#include "imap/command.h"

#include "base/utf8.h"
#include "imap/utf7.h"

#include <assert.h>

enum { LITERAL_MINUS_MAX = 4096, FIRST_ROOM = 256 };

void
command_begin(struct command *c, unsigned tag, const char *verb, enum command_literals l)
{
    command_wipe(c);
    c->literals = l;
    buf_room(&c->bytes, FIRST_ROOM);
    buf_addf(&c->bytes, "t%u %s", tag, verb);
}

/* As buf_room(), but memory given back is overwritten: the buffer may hold a secret. */
static void
make_room(struct buf *b, size_t n)
{
    if (b->cap > b->n + n)
        return;
    struct buf larger = {0};
    buf_room(&larger, b->n + n);
    buf_addspan(&larger, buf_span(b));
    buf_wipe(b);
    *b = larger;
}

void
command_raw(struct command *c, const char *argument)
{
    buf_addc(&c->bytes, ' ');
    buf_adds(&c->bytes, argument);
}

void
command_secret(struct command *c, struct span argument)
{
    make_room(&c->bytes, argument.n + FIRST_ROOM);
    buf_addc(&c->bytes, ' ');
    buf_addspan(&c->bytes, argument);
}

static bool
breaks_the_line(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            return true;
    return false;
}

static bool
is_ascii(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] > 0x7E)
            return false;
    return true;
}

static void
add_quoted(struct buf *out, struct span s)
{
    buf_adds(out, " \"");
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_addc(out, '\\');
        buf_addc(out, s.p[i]);
    }
    buf_addc(out, '"');
}

static void
add_literal(struct command *c, struct span s)
{
    bool plus =
        c->literals == COMMAND_PLUS || (c->literals == COMMAND_MINUS && s.n <= LITERAL_MINUS_MAX);
    buf_addf(&c->bytes, plus ? " {%zu+}\r\n" : " {%zu}\r\n", s.n);
    c->used_plus |= plus;
    if (!plus) {
        assert(c->n_stops < COMMAND_STOPS);
        c->stops[c->n_stops++] = c->bytes.n;
    }
    buf_addspan(&c->bytes, s);
}

int
command_astring(struct command *c, struct span argument, const char *what, struct err *e)
{
    if (breaks_the_line(argument))
        return err_set(e, ERR_AUTH, "%s contains a line break or a NUL", what);
    make_room(&c->bytes, 2 * argument.n + FIRST_ROOM);
    if (is_ascii(argument))
        add_quoted(&c->bytes, argument);
    else
        add_literal(c, argument);
    return 0;
}

int
command_mailbox(struct command *c, const char *name, char separator, struct err *e)
{
    struct buf translated = {0};
    struct buf wire = {0};
    buf_adds(&translated, span_ieq(span_str(name), SPAN("INBOX")) ? "INBOX" : name);
    for (size_t i = 0; i < translated.n; i++)
        if (translated.p[i] == '/')
            translated.p[i] = separator;
    int result = -1;
    if (breaks_the_line(buf_span(&translated)) || utf7_encode(&wire, buf_span(&translated)) < 0)
        err_set(e, ERR_MAILBOX, "mailbox name is not a line of UTF-8");
    else
        result = command_astring(c, buf_span(&wire), "mailbox name", e);
    buf_free(&wire);
    buf_free(&translated);
    return result;
}

int
command_flag(struct command *c, const char *flag, struct err *e)
{
    struct span name = span_str(flag);
    struct span word = flag[0] == '\\' ? span_str(flag + 1) : name;
    bool valid = word.n > 0 && is_ascii(word);
    for (size_t i = 0; i < word.n; i++)
        valid = valid && strchr(" (){%*\"\\]", word.p[i]) == NULL;
    if (!valid)
        return err_set(e, ERR_INPUT, "a flag is not one word of ASCII");
    buf_addf(&c->bytes, " (%s)", flag);
    return 0;
}

void
command_end(struct command *c)
{
    buf_adds(&c->bytes, "\r\n");
}

bool
command_send(struct command *c, struct buf *out)
{
    bool waits = c->stops_passed < c->n_stops;
    size_t end = waits ? c->stops[c->stops_passed++] : c->bytes.n;
    make_room(out, end - c->sent);
    buf_add(out, c->bytes.p + c->sent, end - c->sent);
    c->sent = end;
    return waits;
}

void
command_wipe(struct command *c)
{
    buf_wipe(&c->bytes);
    *c = (struct command){0};
}
