/* SPDX-License-Identifier: ISC */
/* The life of a facts value, and its form on the wire. Every string is allocated from the start, so
 * nobody who reads one asks whether it is there.
 *
 * Reading trusts nothing: each value is taken only if it keeps what the header promises of it, and
 * what is read stands in the facts at once, so that freeing them is all that a lie costs. Refuses
 * to know how a mail is read. */
#include "mail/facts.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "mail/text.h"

#include <stdlib.h>

static const size_t string_members[] = {
    offsetof(struct facts, subject),
    offsetof(struct facts, sender),
    offsetof(struct facts, recipient),
    offsetof(struct facts, extension),
    offsetof(struct facts, message_id),
    offsetof(struct facts, in_reply_to),
    offsetof(struct facts, list_id),
    offsetof(struct facts, auth.authserv),
    offsetof(struct facts, auth.spf),
    offsetof(struct facts, auth.dmarc),
};

static const size_t list_members[] = {
    offsetof(struct facts, from),
    offsetof(struct facts, to),
    offsetof(struct facts, cc),
    offsetof(struct facts, reply_to),
    offsetof(struct facts, envelope_to),
};

static const size_t flag_members[] = {
    offsetof(struct facts, has_date),
    offsetof(struct facts, truncated),
    offsetof(struct facts, whole),
    offsetof(struct facts, text_truncated),
};

enum {
    STRING_MEMBERS = sizeof string_members / sizeof *string_members,
    LIST_MEMBERS = sizeof list_members / sizeof *list_members,
    FLAG_MEMBERS = sizeof flag_members / sizeof *flag_members,
};

static void *
member(const struct facts *f, size_t offset)
{
    return (char *)(uintptr_t)f + offset;
}

struct facts *
facts_new(void)
{
    struct facts *f = xcalloc(1, sizeof *f);
    for (size_t i = 0; i < STRING_MEMBERS; i++)
        *(char **)member(f, string_members[i]) = xstrdup("");
    f->text = xstrdup("");
    return f;
}

static void
addresses_free(struct addresses *a)
{
    for (size_t i = 0; i < a->n; i++) {
        free(a->v[i].name);
        free(a->v[i].addr);
    }
    free(a->v);
}

static void
headers_free(struct facts *f)
{
    for (size_t i = 0; i < f->n_headers; i++) {
        free(f->headers[i].name);
        free(f->headers[i].value);
    }
    free(f->headers);
}

static void
attachments_free(struct facts *f)
{
    for (size_t i = 0; i < f->n_attachments; i++) {
        free(f->attachments[i].part);
        free(f->attachments[i].name);
        free(f->attachments[i].type);
    }
    free(f->attachments);
}

static void
dkim_free(struct auth *auth)
{
    for (size_t i = 0; i < auth->n_dkim; i++) {
        free(auth->dkim[i].result);
        free(auth->dkim[i].domain);
    }
    free(auth->dkim);
}

void
facts_free(struct facts *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < STRING_MEMBERS; i++)
        free(*(char **)member(f, string_members[i]));
    for (size_t i = 0; i < LIST_MEMBERS; i++)
        addresses_free(member(f, list_members[i]));
    headers_free(f);
    attachments_free(f);
    dkim_free(&f->auth);
    strv_free(&f->references);
    free(f->text);
    free(f);
}

char *
facts_line(struct facts *f, struct span s)
{
    struct buf b = {0};
    utf8_line(&b, s);
    struct span fits = utf8_cut(buf_span(&b), FACTS_VALUE_MAX);
    f->truncated |= fits.n < b.n;
    while (fits.n > 0 && fits.p[fits.n - 1] == ' ')
        fits.n--;
    char *line = xstrndup(fits.n > 0 ? fits.p : "", fits.n);
    buf_free(&b);
    return line;
}

static void
pack_addresses(struct buf *out, const struct addresses *a)
{
    pack_number(out, a->n);
    for (size_t i = 0; i < a->n; i++) {
        pack_str(out, a->v[i].name);
        pack_str(out, a->v[i].addr);
    }
}

static void
pack_headers(struct buf *out, const struct facts *f)
{
    pack_number(out, f->n_headers);
    for (size_t i = 0; i < f->n_headers; i++) {
        pack_str(out, f->headers[i].name);
        pack_str(out, f->headers[i].value);
    }
}

static void
pack_dkim(struct buf *out, const struct auth *auth)
{
    pack_number(out, auth->n_dkim);
    for (size_t i = 0; i < auth->n_dkim; i++) {
        pack_str(out, auth->dkim[i].result);
        pack_str(out, auth->dkim[i].domain);
    }
}

static void
pack_attachments(struct buf *out, const struct facts *f)
{
    pack_number(out, f->n_attachments);
    for (size_t i = 0; i < f->n_attachments; i++) {
        const struct attachment *a = &f->attachments[i];
        pack_str(out, a->part);
        pack_str(out, a->name);
        pack_str(out, a->type);
        pack_number(out, a->size);
        pack_number(out, a->is_inline);
    }
}

void
facts_pack(const struct facts *f, struct buf *out)
{
    for (size_t i = 0; i < STRING_MEMBERS; i++)
        pack_str(out, *(char **)member(f, string_members[i]));
    for (size_t i = 0; i < LIST_MEMBERS; i++)
        pack_addresses(out, member(f, list_members[i]));
    for (size_t i = 0; i < FLAG_MEMBERS; i++)
        pack_number(out, *(bool *)member(f, flag_members[i]));
    pack_number(out, (uint64_t)f->date);
    pack_headers(out, f);
    pack_strv(out, &f->references);
    pack_dkim(out, &f->auth);
    pack_attachments(out, f);
    pack_str(out, f->text);
}

/* Whether s is exactly what utf8_line() makes of it. */
static bool
is_line(const char *s)
{
    struct buf again = {0};
    utf8_line(&again, span_str(s));
    bool same = utf8_valid(span_str(s)) && strcmp(buf_str(&again), s) == 0;
    buf_free(&again);
    return same;
}

/* Takes a string and looks at it; "" if it is broken. */
static char *
take_checked(struct unpack *u, size_t most, bool (*is_good)(const char *s))
{
    char *s = unpack_str(u);
    if (s != NULL && strlen(s) <= most && is_good(s))
        return s;
    free(s);
    u->broken = true;
    return xstrdup("");
}

static char *
take_line(struct unpack *u)
{
    return take_checked(u, FACTS_VALUE_MAX, is_line);
}

static bool
take_flag(struct unpack *u)
{
    return unpack_upto(u, 1) == 1;
}

/* How many elements follow, none of which is smaller than `least` bytes. */
static size_t
take_count(struct unpack *u, size_t most, size_t least)
{
    size_t n = (size_t)unpack_upto(u, most);
    if (n <= u->rest.n / least)
        return n;
    u->broken = true;
    return 0;
}

enum { NUMBER_SIZE = 8 };

static void
take_addresses(struct unpack *u, struct addresses *a)
{
    size_t n = take_count(u, FACTS_ADDRESSES_MAX, 2 * NUMBER_SIZE);
    a->v = n > 0 ? xcalloc(n, sizeof *a->v) : NULL;
    for (; a->n < n; a->n++) {
        a->v[a->n].name = take_line(u);
        a->v[a->n].addr = take_line(u);
    }
}

static bool
is_field_name(const char *s)
{
    for (const char *c = s; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~' || *c == ':')
            return false;
    return s[0] != '\0';
}

static void
take_headers(struct unpack *u, struct facts *f)
{
    size_t n = take_count(u, FACTS_HEADERS_MAX, 2 * NUMBER_SIZE);
    f->headers = n > 0 ? xcalloc(n, sizeof *f->headers) : NULL;
    for (; f->n_headers < n; f->n_headers++) {
        f->headers[f->n_headers].name = take_checked(u, FACTS_VALUE_MAX, is_field_name);
        f->headers[f->n_headers].value = take_line(u);
    }
}

static void
take_references(struct unpack *u, struct facts *f)
{
    unpack_strv(u, &f->references);
    u->broken |= f->references.n > FACTS_REFERENCES_MAX;
    for (size_t i = 0; i < f->references.n; i++)
        u->broken |= strlen(f->references.v[i]) > FACTS_VALUE_MAX || !is_line(f->references.v[i]);
}

static bool
is_lower_line(const char *s)
{
    for (const char *c = s; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            return false;
    return is_line(s);
}

/* A result: a lower case word. */
static bool
is_result(const char *s)
{
    return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s);
}

static void
take_dkim(struct unpack *u, struct auth *auth)
{
    size_t n = take_count(u, FACTS_DKIM_MAX, 2 * NUMBER_SIZE);
    auth->dkim = n > 0 ? xcalloc(n, sizeof *auth->dkim) : NULL;
    for (; auth->n_dkim < n; auth->n_dkim++) {
        auth->dkim[auth->n_dkim].result = take_checked(u, FACTS_VALUE_MAX, is_result);
        auth->dkim[auth->n_dkim].domain = take_checked(u, FACTS_VALUE_MAX, is_lower_line);
    }
}

/* Numbers and dots, one by one. */
static bool
is_part(const char *s)
{
    bool digit = false;
    for (; *s != '\0'; s++) {
        if (*s == '.' ? !digit : (*s < '0' || *s > '9'))
            return false;
        digit = *s != '.';
    }
    return digit;
}

static bool
is_type(const char *s)
{
    const char *slash = strchr(s, '/');
    for (const char *c = s; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~' || (*c >= 'A' && *c <= 'Z'))
            return false;
    return slash != NULL && slash > s && slash[1] != '\0';
}

static void
take_attachments(struct unpack *u, struct facts *f)
{
    size_t n = take_count(u, FACTS_ATTACHMENTS_MAX, 5 * NUMBER_SIZE);
    f->attachments = n > 0 ? xcalloc(n, sizeof *f->attachments) : NULL;
    for (; f->n_attachments < n; f->n_attachments++) {
        struct attachment *a = &f->attachments[f->n_attachments];
        a->part = take_checked(u, FACTS_VALUE_MAX, is_part);
        a->name = take_line(u);
        a->type = take_checked(u, FACTS_VALUE_MAX, is_type);
        a->size = unpack_number(u);
        a->is_inline = take_flag(u);
    }
}

static bool
is_text(const char *s)
{
    return text_is_clean(span_str(s));
}

static bool
ends_well(const struct facts *f)
{
    size_t n = strlen(f->text);
    return n == 0 || f->text[n - 1] == '\n' || f->text_truncated;
}

/* What one value says about another. */
static bool
agrees(const struct facts *f)
{
    const struct auth *a = &f->auth;
    bool auth = a->n_dkim > 0 || a->spf[0] != '\0' || a->dmarc[0] != '\0';
    bool body = f->n_attachments > 0 || f->text[0] != '\0' || f->text_truncated;
    return (f->has_date || f->date == 0) && (f->whole || !body) && ends_well(f) &&
           (!auth || a->authserv[0] != '\0') && is_result(a->spf) && is_result(a->dmarc);
}

struct facts *
facts_unpack(struct unpack *u)
{
    struct facts *f = facts_new();
    for (size_t i = 0; i < STRING_MEMBERS; i++) {
        char **string = member(f, string_members[i]);
        free(*string);
        *string = take_line(u);
    }
    for (size_t i = 0; i < LIST_MEMBERS; i++)
        take_addresses(u, member(f, list_members[i]));
    for (size_t i = 0; i < FLAG_MEMBERS; i++)
        *(bool *)member(f, flag_members[i]) = take_flag(u);
    f->date = (int64_t)unpack_number(u);
    take_headers(u, f);
    take_references(u, f);
    take_dkim(u, &f->auth);
    take_attachments(u, f);
    free(f->text);
    f->text = take_checked(u, FACTS_TEXT_MAX, is_text);
    u->broken |= !agrees(f);
    if (!u->broken)
        return f;
    facts_free(f);
    return NULL;
}
