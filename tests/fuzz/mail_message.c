/* SPDX-License-Identifier: ISC */
/* Any bytes as a whole message: facts keep their promises, its header is read as alone, the parts
 * are as large as they say, and the wire gives back what it got. What comes over the wire from a
 * liar is the same bytes once more. */
#include "base/mem.h"
#include "mail/message.h"

#include "../facts_check.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t
part_length(struct message *m, size_t i)
{
    char bytes[777];
    uint64_t length = 0;
    struct part *p = message_part(m, i);
    MUST(p != NULL);
    for (size_t n; (n = part_read(p, bytes, sizeof bytes)) > 0;)
        length += n;
    part_free(p);
    return length;
}

static void
parts_check(struct message *m, const struct facts *f)
{
    struct message_nodes nodes;
    for (size_t i = 0; i < f->n_attachments; i++)
        MUST(part_length(m, i) == f->attachments[i].size);
    MUST(message_part(m, f->n_attachments) == NULL);
    message_list(m, &nodes);
    MUST(nodes.n >= 1 && nodes.n <= FACTS_ATTACHMENTS_MAX && nodes.v[0].depth == 0);
    for (size_t i = 0; i < nodes.n; i++)
        line_check(nodes.v[i].name);
    message_nodes_free(&nodes);
}

static void
wire_check(const struct facts *f)
{
    struct buf wire = {0};
    struct buf again = {0};
    facts_pack(f, &wire);
    struct unpack u = {buf_span(&wire), false};
    struct facts *back = facts_unpack(&u);
    MUST(back != NULL && unpack_whole(&u));
    facts_check(back);
    facts_pack(back, &again);
    MUST(span_eq(buf_span(&wire), buf_span(&again)));
    facts_free(back);
    buf_free(&wire);
    buf_free(&again);
}

static void
liar_check(struct span bytes)
{
    struct unpack u = {bytes, false};
    struct facts *f = facts_unpack(&u);
    if (f != NULL)
        facts_check(f);
    facts_free(f);
}

/* Everything that message_facts() says, message_whole_facts() says too. */
static void
head_check(const struct facts *head, const struct facts *whole)
{
    struct buf a = {0};
    struct buf b = {0};
    struct facts copy = *whole;
    copy.whole = false;
    copy.truncated = head->truncated;
    copy.n_attachments = 0;
    copy.text = (char[]){""};
    copy.text_truncated = false;
    facts_pack(head, &a);
    facts_pack(&copy, &b);
    MUST(span_eq(buf_span(&a), buf_span(&b)));
    buf_free(&a);
    buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *names[] = {(char[]){"mx.example.org"}, NULL};
    struct strv trusted = {names, 1};
    struct span bytes = {(const char *)data, size};
    struct message *m = message_open(bytes);
    struct facts *whole = message_whole_facts(m, &trusted);
    struct facts *head = message_facts(bytes, &trusted);
    facts_check(whole);
    head_check(head, whole);
    parts_check(m, whole);
    wire_check(whole);
    wire_check(head);
    liar_check(bytes);
    facts_free(head);
    facts_free(whole);
    message_free(m);
    return 0;
}
