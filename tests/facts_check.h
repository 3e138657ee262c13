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
}

#endif
