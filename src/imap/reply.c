/* SPDX-License-Identifier: ISC */
/* Sorts a response by its first words. Never fails: a line that is nothing we know is a tagged
 * reply with a tag nobody waits for. RFC 3501 section 7. */
#include "imap/reply.h"

#include "imap/value.h"

static enum reply_status
status_of(struct span word)
{
    static const struct {
        struct span word;
        enum reply_status status;
    } table[] = {
        {SPAN("OK"), REPLY_OK},
        {SPAN("NO"), REPLY_NO},
        {SPAN("BAD"), REPLY_BAD},
        {SPAN("BYE"), REPLY_BYE},
        {SPAN("PREAUTH"), REPLY_PREAUTH},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (span_ieq(word, table[i].word))
            return table[i].status;
    return REPLY_NONE;
}

static struct span
code_of(struct span words)
{
    const char *end = words.n > 0 ? memchr(words.p, ']', words.n) : NULL;
    if (end == NULL || words.p[0] != '[')
        return (struct span){0};
    return span_trim((struct span){words.p + 1, (size_t)(end - words.p) - 1});
}

static void
read_untagged(struct reply *r, struct span rest)
{
    struct span word = value_word(&rest);
    r->status = status_of(word);
    r->kind = r->status != REPLY_NONE ? REPLY_STATUS : REPLY_DATA;
    if (value_number(word, UINT64_MAX, &r->number) == 0)
        word = value_word(&rest);
    r->name = word;
    r->words = rest;
}

static void
read_tagged(struct reply *r, struct span tag, struct span rest)
{
    struct span after = rest;
    r->kind = REPLY_TAGGED;
    r->tag = tag;
    r->status = status_of(value_word(&after));
    r->words = r->status != REPLY_NONE ? after : rest;
}

void
reply_read(struct reply *r, struct span line)
{
    *r = (struct reply){0};
    struct span rest = line;
    struct span first = value_word(&rest);
    if (span_eq(first, SPAN("*"))) {
        read_untagged(r, rest);
    } else if (span_eq(first, SPAN("+"))) {
        r->kind = REPLY_CONTINUE;
        r->words = rest;
    } else {
        read_tagged(r, first, rest);
    }
    if (r->status != REPLY_NONE)
        r->code = code_of(r->words);
}
