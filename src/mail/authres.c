/* SPDX-License-Identifier: ISC */
/* Authentication-Results, RFC 8601 section 2.2: the server's name, then results, each a method with
 * its properties, separated by semicolons; comments and quoted strings anywhere. Read strictly from
 * left to right, so that nothing inside a comment or a quoted string can pass for a result: part of
 * it was written by the sender. Microsoft's form, which names no server, is nobody's. */
#include "mail/authres.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

enum { WORD_MAX = 64, DOMAIN_MAX = 255 };

/* One `key=value`, or a key alone. */
struct pair {
    struct buf key;
    struct buf value;
    bool has_value;
};

static void
advance(struct span *s, size_t n)
{
    s->p += n;
    s->n -= n;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void
skip_comment(struct span *s)
{
    size_t depth = 0;
    do {
        if (s->p[0] == '\\' && s->n > 1)
            advance(s, 1);
        else if (s->p[0] == '(')
            depth++;
        else if (s->p[0] == ')')
            depth--;
        advance(s, 1);
    } while (s->n > 0 && depth > 0);
}

static void
skip_space(struct span *s)
{
    while (s->n > 0 && (is_blank(s->p[0]) || s->p[0] == '(')) {
        if (s->p[0] == '(')
            skip_comment(s);
        else
            advance(s, 1);
    }
}

static void
take_quoted(struct span *s, struct buf *out)
{
    advance(s, 1);
    while (s->n > 0 && s->p[0] != '"') {
        if (s->p[0] == '\\' && s->n > 1)
            advance(s, 1);
        buf_addc(out, s->p[0]);
        advance(s, 1);
    }
    if (s->n > 0)
        advance(s, 1);
}

/* A word, parts of which may be quoted; it ends at a blank, a comment, or one of `ends`. */
static void
take_word(struct span *s, struct buf *out, const char *ends)
{
    while (s->n > 0 && !is_blank(s->p[0]) && s->p[0] != '(') {
        if (s->p[0] == '"') {
            take_quoted(s, out);
            continue;
        }
        if (s->p[0] != '\0' && strchr(ends, s->p[0]) != NULL)
            return;
        buf_addc(out, s->p[0]);
        advance(s, 1);
    }
}

/* The next pair before the semicolon; false if there is none. */
static bool
take_pair(struct span *s, struct pair *p)
{
    buf_clear(&p->key);
    buf_clear(&p->value);
    skip_space(s);
    if (s->n == 0 || s->p[0] == ';')
        return false;
    take_word(s, &p->key, ";=");
    skip_space(s);
    p->has_value = s->n > 0 && s->p[0] == '=';
    if (p->has_value) {
        advance(s, 1);
        skip_space(s);
        take_word(s, &p->value, ";");
    }
    return true;
}

static void
pair_free(struct pair *p)
{
    buf_free(&p->key);
    buf_free(&p->value);
}

static void
skip_semicolon(struct span *s, struct pair *p)
{
    while (take_pair(s, p))
        ;
    if (s->n > 0)
        advance(s, 1);
}

static char *
lower_case(struct span s)
{
    char *text = xstrndup(s.n > 0 ? s.p : "", s.n);
    for (char *c = text; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + ('a' - 'A'));
    return text;
}

/* Results are words of letters, digits and '-'; anything else is none. */
static bool
is_word(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = (char)(s.p[i] | 0x20);
        if (!((c >= 'a' && c <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-'))
            return false;
    }
    return s.n > 0 && s.n <= WORD_MAX;
}

/* One line without blanks that can be a domain; else it is none. */
static bool
is_domain(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || strchr("\"'<>()\\,;", s.p[i]) != NULL)
            return false;
    struct buf line = {0};
    utf8_line(&line, s);
    bool same = utf8_valid(s) && span_eq(buf_span(&line), s);
    buf_free(&line);
    return same && s.n > 0 && s.n <= DOMAIN_MAX;
}

static void
set_domain(char **domain, struct span s)
{
    if (!is_domain(s))
        return;
    free(*domain);
    *domain = lower_case(s);
}

static struct span
behind_at(struct span s)
{
    for (size_t i = s.n; i > 0; i--)
        if (s.p[i - 1] == '@')
            return (struct span){s.p + i, s.n - i};
    return (struct span){NULL, 0};
}

/* The signing domain: header.d, else that of header.i. */
static char *
take_domain(struct span *s, struct pair *p)
{
    char *by_d = xstrdup("");
    char *by_i = xstrdup("");
    while (take_pair(s, p)) {
        if (span_ieq(buf_span(&p->key), SPAN("header.d")))
            set_domain(&by_d, buf_span(&p->value));
        else if (span_ieq(buf_span(&p->key), SPAN("header.i")))
            set_domain(&by_i, behind_at(buf_span(&p->value)));
    }
    bool has_d = by_d[0] != '\0';
    free(has_d ? by_i : by_d);
    return has_d ? by_d : by_i;
}

static void
add_dkim(struct auth *auth, char *result, char *domain)
{
    if (auth->n_dkim == FACTS_DKIM_MAX) {
        free(result);
        free(domain);
        return;
    }
    auth->dkim = xreallocarray(auth->dkim, auth->n_dkim + 1, sizeof *auth->dkim);
    auth->dkim[auth->n_dkim++] = (struct auth_dkim){result, domain};
}

static void
set_once(char **field, struct span result)
{
    if ((*field)[0] != '\0')
        return;
    free(*field);
    *field = lower_case(result);
}

/* "dkim/1" is dkim. */
static struct span
method_of(const struct pair *p)
{
    struct span s = buf_span(&p->key);
    const char *slash = s.n > 0 ? memchr(s.p, '/', s.n) : NULL;
    if (slash != NULL)
        s.n = (size_t)(slash - s.p);
    return s;
}

/* One result, up to its semicolon. */
static void
take_result(struct auth *auth, struct span *s, struct pair *p)
{
    if (take_pair(s, p) && p->has_value && is_word(buf_span(&p->value))) {
        struct span result = buf_span(&p->value);
        struct span method = method_of(p);
        if (span_ieq(method, SPAN("spf"))) {
            set_once(&auth->spf, result);
        } else if (span_ieq(method, SPAN("dmarc"))) {
            set_once(&auth->dmarc, result);
        } else if (span_ieq(method, SPAN("dkim"))) {
            char *word = lower_case(result);
            add_dkim(auth, word, take_domain(s, p));
        }
    }
    skip_semicolon(s, p);
}

static const char *
trusted_name(const struct pair *p, const struct strv *trusted)
{
    for (size_t i = 0; trusted != NULL && !p->has_value && i < trusted->n; i++)
        if (span_ieq(buf_span(&p->key), span_str(trusted->v[i])))
            return trusted->v[i];
    return NULL;
}

static bool
says_something(const struct auth *auth)
{
    return auth->n_dkim > 0 || auth->spf[0] != '\0' || auth->dmarc[0] != '\0';
}

bool
authres_add(struct auth *auth, struct span field, const struct strv *trusted)
{
    struct pair p = {0};
    const char *name = take_pair(&field, &p) ? trusted_name(&p, trusted) : NULL;
    bool trusted_by = name != NULL;
    if (trusted_by)
        skip_semicolon(&field, &p);
    while (trusted_by && field.n > 0)
        take_result(auth, &field, &p);
    if (trusted_by && says_something(auth) && auth->authserv[0] == '\0') {
        free(auth->authserv);
        auth->authserv = lower_case(span_str(name));
    }
    pair_free(&p);
    return trusted_by;
}
