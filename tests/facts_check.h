/*
 * facts_check: what mail/facts.h promises of every facts value, whatever the mail was.
 */
#ifndef MAILCALL_TESTS_FACTS_CHECK_H
#define MAILCALL_TESTS_FACTS_CHECK_H

#include "base/utf8.h"
#include "mail/facts.h"

#include <stdio.h>
#include <stdlib.h>

#define MUST(what)                                                                     \
    do {                                                                               \
        if (!(what)) {                                                                 \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #what); \
            abort();                                                                   \
        }                                                                              \
    } while (0)

/* One line of valid UTF-8, trimmed, within the limit: exactly what utf8_line() leaves alone. */
static inline void
line_check(const char *s)
{
    struct buf again = {0};
    MUST(s != NULL);
    MUST(strlen(s) <= FACTS_VALUE_MAX);
    MUST(utf8_valid(span_str(s)));
    utf8_line(&again, span_str(s));
    MUST(strcmp(buf_str(&again), s) == 0);
    buf_free(&again);
}

static inline void
addresses_check(const struct addresses *a)
{
    MUST(a->n <= FACTS_ADDRESSES_MAX);
    for (size_t i = 0; i < a->n; i++) {
        line_check(a->v[i].name);
        line_check(a->v[i].addr);
    }
}

/* Valid UTF-8 in lines, no control characters but '\n' and '\t'. */
static inline void
text_check(const struct facts *f)
{
    struct span s = span_str(f->text);
    MUST(s.n <= FACTS_TEXT_MAX && utf8_valid(s));
    MUST(s.n == 0 || s.p[s.n - 1] == '\n' || f->text_truncated);
    while (s.n > 0) {
        uint32_t cp = utf8_take(&s);
        MUST(cp == '\n' || cp == '\t' || (cp >= 0x20 && cp < 0x7F) || cp > 0x9F);
    }
}

static inline void
body_check(const struct facts *f)
{
    MUST(f->whole || (f->n_attachments == 0 && f->text[0] == '\0' && !f->text_truncated));
    MUST(f->n_attachments <= FACTS_ATTACHMENTS_MAX);
    for (size_t i = 0; i < f->n_attachments; i++) {
        const struct attachment *a = &f->attachments[i];
        line_check(a->part);
        MUST(a->part[0] != '\0' && strspn(a->part, "0123456789.") == strlen(a->part));
        line_check(a->name);
        line_check(a->type);
        MUST(strchr(a->type, '/') != NULL);
        for (const char *c = a->type; *c != '\0'; c++)
            MUST(*c < 'A' || *c > 'Z');
    }
    text_check(f);
}

static inline void
auth_check(const struct auth *a)
{
    line_check(a->authserv);
    line_check(a->spf);
    line_check(a->dmarc);
    MUST(a->n_dkim <= FACTS_DKIM_MAX);
    MUST(a->authserv[0] != '\0' || (a->n_dkim == 0 && a->spf[0] == '\0' && a->dmarc[0] == '\0'));
    for (size_t i = 0; i < a->n_dkim; i++) {
        line_check(a->dkim[i].result);
        line_check(a->dkim[i].domain);
    }
}

static inline void
facts_check(const struct facts *f)
{
    const char *const lines[] = {f->subject, f->sender, f->recipient, f->extension, f->message_id,
        f->in_reply_to, f->list_id};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        line_check(lines[i]);
    const struct addresses *const lists[] = {
        &f->from, &f->to, &f->cc, &f->reply_to, &f->envelope_to};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        addresses_check(lists[i]);
    MUST(f->n_headers <= FACTS_HEADERS_MAX);
    for (size_t i = 0; i < f->n_headers; i++) {
        const char *name = f->headers[i].name;
        MUST(name[0] != '\0');
        for (; *name != '\0'; name++)
            MUST(*name > ' ' && *name <= '~' && *name != ':');
        line_check(f->headers[i].name);
        line_check(f->headers[i].value);
    }
    MUST(f->has_date || f->date == 0);
    MUST(f->references.n <= FACTS_REFERENCES_MAX);
    for (size_t i = 0; i < f->references.n; i++)
        line_check(f->references.v[i]);
    auth_check(&f->auth);
    body_check(f);
}

#endif
