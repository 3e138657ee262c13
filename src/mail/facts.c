/* SPDX-License-Identifier: ISC */
/* The life of a facts value. Every string is allocated from the start, so nobody who reads one asks
 * whether it is there. Refuses to know how a mail is read. */
#include "mail/facts.h"

#include "base/mem.h"

#include <stdlib.h>

static const size_t string_members[] = {
    offsetof(struct facts, subject),
    offsetof(struct facts, sender),
    offsetof(struct facts, recipient),
    offsetof(struct facts, extension),
    offsetof(struct facts, message_id),
    offsetof(struct facts, in_reply_to),
    offsetof(struct facts, list_id),
};

enum { STRING_MEMBERS = sizeof string_members / sizeof *string_members };

static char **
string_member(struct facts *f, size_t i)
{
    return (char **)(void *)((char *)f + string_members[i]);
}

struct facts *
facts_new(void)
{
    struct facts *f = xcalloc(1, sizeof *f);
    for (size_t i = 0; i < STRING_MEMBERS; i++)
        *string_member(f, i) = xstrdup("");
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

void
facts_free(struct facts *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < STRING_MEMBERS; i++)
        free(*string_member(f, i));
    addresses_free(&f->from);
    addresses_free(&f->to);
    addresses_free(&f->cc);
    addresses_free(&f->reply_to);
    addresses_free(&f->envelope_to);
    headers_free(f);
    free(f);
}
