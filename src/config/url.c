/* SPDX-License-Identifier: ISC */
/* imaps://user@host[:port][/mailbox], RFC 5092 as far as a person would type it.
 *
 * The last '@' of the authority splits, because most logins hold one. Nothing secret is taken from
 * a URL, and no error text repeats one: there might be a password in it. */
#include "config/url.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "config/config.h"

#include <stdlib.h>

enum { WIRE_MAX = 1000 };

static bool
has_control(struct span s)
{
    while (s.n > 0) {
        uint32_t cp = utf8_take(&s);
        if (cp < 0x20 || (cp >= 0x7F && cp <= 0x9F) || cp == 0x2028 || cp == 0x2029)
            return true;
    }
    return false;
}

int
wire_check(const char *text, const char *what, struct err *e)
{
    struct span s = span_str(text);
    if (s.n == 0)
        return err_set(e, ERR_USAGE, "the %s is empty", what);
    if (s.n > WIRE_MAX)
        return err_set(e, ERR_USAGE, "the %s is longer than %d bytes", what, WIRE_MAX);
    if (!utf8_valid(s))
        return err_set(e, ERR_USAGE, "the %s is not valid UTF-8", what);
    if (has_control(s))
        return err_set(e, ERR_USAGE, "the %s holds a control character", what);
    return 0;
}

int
mailbox_check(const char *mailbox, struct err *e)
{
    if (wire_check(mailbox, "name of a mailbox", e) != 0)
        return -1;
    if (mailbox[0] == '/' || mailbox[strlen(mailbox) - 1] == '/')
        return err_set(e, ERR_USAGE, "'%.100s' begins or ends with a '/'", mailbox);
    return 0;
}

int
host_check(const char *host, struct err *e)
{
    if (wire_check(host, "host", e) != 0)
        return -1;
    if (strpbrk(host, " /@'\"\\[]{}()<>,;?#%&=*") != NULL)
        return err_set(e, ERR_USAGE, "'%.60s' is not a host name", host);
    return 0;
}

bool
host_is_loopback(const char *host)
{
    if (span_ieq(span_str(host), SPAN("localhost")) || strcmp(host, "::1") == 0)
        return true;
    return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host);
}

unsigned short
port_of(enum stream_tls tls)
{
    return tls == STREAM_IMPLICIT ? 993 : 143;
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX decoded; NULL if that cannot be done, or gives what must not go to a server. */
static char *
decode(struct span s, const char *what, struct err *e)
{
    struct buf out = {0};
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            buf_addc(&out, s.p[i]);
            continue;
        }
        int high = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
        int low = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) {
            buf_free(&out);
            err_set(e, ERR_USAGE, "a '%%' in the %s is not followed by two hex digits; write %%25",
                what);
            return NULL;
        }
        buf_addc(&out, (char)(high << 4 | low));
        i += 2;
    }
    char *text = buf_take(&out);
    if (wire_check(text, what, e) == 0)
        return text;
    free(text);
    return NULL;
}

static bool
take_scheme(struct span *rest, enum stream_tls *tls)
{
    static const struct {
        struct span prefix;
        enum stream_tls tls;
    } schemes[] = {
        {{"imaps://", 8}, STREAM_IMPLICIT},
        {{"imap://", 7}, STREAM_STARTTLS},
    };
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (span_istarts(*rest, schemes[i].prefix)) {
            rest->p += schemes[i].prefix.n;
            rest->n -= schemes[i].prefix.n;
            *tls = schemes[i].tls;
            return true;
        }
    return false;
}

static struct span
take_until(struct span *rest, char end)
{
    const char *p = memchr(rest->p, end, rest->n);
    size_t n = p != NULL ? (size_t)(p - rest->p) : rest->n;
    struct span front = {rest->p, n};
    rest->p += n;
    rest->n -= n;
    return front;
}

static int
parse_user(struct span s, struct account *a, struct err *e)
{
    if (memchr(s.p, ':', s.n) != NULL)
        return err_set(e, ERR_USAGE,
            "a password in a URL can be seen by others; use password_command or password_file");
    if (memchr(s.p, ';', s.n) != NULL)
        return err_set(e, ERR_USAGE, "';AUTH=' in a URL is not supported yet");
    a->user = decode(s, "user", e);
    return a->user != NULL ? 0 : -1;
}

static int
parse_port(struct span s, unsigned short *port, struct err *e)
{
    unsigned long n = 0;
    bool good = s.n > 0;
    for (size_t i = 0; i < s.n && good; i++) {
        good = s.p[i] >= '0' && s.p[i] <= '9';
        n = n * 10 + (unsigned long)(s.p[i] - '0');
        good = good && n <= 65535;
    }
    if (!good || n == 0)
        return err_set(e, ERR_USAGE, "the port in the URL is not a number from 1 to 65535");
    *port = (unsigned short)n;
    return 0;
}

static int
parse_host(struct span s, struct account *a, struct err *e)
{
    bool bracket = s.n > 0 && s.p[0] == '[';
    if (bracket)
        s = (struct span){s.p + 1, s.n - 1};
    struct span host = take_until(&s, bracket ? ']' : ':');
    if (bracket && s.n == 0)
        return err_set(e, ERR_USAGE, "the '[' in the URL is never closed");
    if (bracket)
        s = (struct span){s.p + 1, s.n - 1};
    a->net.host = xstrndup(host.p, host.n);
    if (host_check(a->net.host, e) != 0)
        return -1;
    if (s.n == 0)
        return 0;
    if (s.p[0] != ':')
        return err_set(e, ERR_USAGE, "'%.*s' behind the host is not ':PORT'", (int)s.n, s.p);
    return parse_port((struct span){s.p + 1, s.n - 1}, &a->net.port, e);
}

static int
parse_authority(struct span s, struct account *a, struct err *e)
{
    const char *at = NULL;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '@')
            at = s.p + i;
    if (at == NULL)
        return err_set(e, ERR_USAGE, "the URL names no user; write imaps://USER@HOST");
    struct span user = {s.p, (size_t)(at - s.p)};
    struct span host = {at + 1, s.n - user.n - 1};
    return parse_user(user, a, e) == 0 ? parse_host(host, a, e) : -1;
}

/* `rest` is empty or begins with '/'. */
static int
parse_mailbox(struct span rest, char **mailbox, struct err *e)
{
    if (rest.n > 0)
        rest = (struct span){rest.p + 1, rest.n - 1};
    if (rest.n > 0 && rest.p[rest.n - 1] == '/')
        rest.n--;
    if (rest.n == 0)
        return 0;
    if (memchr(rest.p, ';', rest.n) != NULL || memchr(rest.p, '?', rest.n) != NULL)
        return err_set(e, ERR_USAGE,
            "';' and '?' in a URL are not supported yet; in a mailbox name write %%3B and %%3F");
    *mailbox = decode(rest, "mailbox", e);
    return *mailbox != NULL ? 0 : -1;
}

int
config_url(const char *url, struct account *a, char **mailbox, struct err *e)
{
    struct account parsed = {0};
    struct span rest = span_str(url);
    *mailbox = NULL;
    if (!take_scheme(&rest, &parsed.net.tls))
        return err_set(e, ERR_USAGE, "not an IMAP URL; write imaps://USER@HOST");
    parsed.net.port = port_of(parsed.net.tls);
    struct span authority = take_until(&rest, '/');
    if (parse_authority(authority, &parsed, e) != 0 || parse_mailbox(rest, mailbox, e) != 0) {
        account_free(&parsed);
        return -1;
    }
    if (a->name == NULL)
        a->name = xstrdup(parsed.net.host);
    free(a->user);
    free(a->net.host);
    a->user = parsed.user;
    a->net.host = parsed.net.host;
    a->net.port = parsed.net.port;
    a->net.tls = parsed.net.tls;
    return 0;
}
