/* A normal mail, its header block alone or whole, and the event around it, for the tests of room
 * hook; each test bends its own. */
#ifndef MAILCALL_TESTS_HOOK_SAMPLE_H
#define MAILCALL_TESTS_HOOK_SAMPLE_H

#include "hook/fields.h"

#include <stdlib.h>

#define TEXT(literal) ((char *)(literal))

struct sample {
    struct event event;
    struct meta meta;
    struct facts facts;
    struct hit hit;
    struct address from[2];
    struct address to[3];
    struct capture captures[2];
    char *flags[3];
    struct header fields[4];
    struct attachment attachments[3];
    struct auth_dkim dkim[3];
    char *references[3];
    char *exported[3];
    struct strv headers;
};

static inline void
sample_facts(struct sample *s)
{
    s->from[0] = (struct address){TEXT("Stripe"), TEXT("billing@stripe.com")};
    s->from[1] = (struct address){TEXT("Second"), TEXT("second@stripe.com")};
    s->to[0] = (struct address){TEXT("Ann"), TEXT("ann@example.com")};
    s->to[1] = (struct address){TEXT(""), TEXT("\"odd one\"@example.com")};
    s->to[2] = (struct address){TEXT(""), TEXT("bob@example.com")};
    s->facts = (struct facts){
        .subject = TEXT("Invoice 2026-17 für März"),
        .from = {s->from, 2},
        .to = {s->to, 3},
        .sender = TEXT("bounce@stripe.com"),
        .recipient = TEXT("ann+bills@example.com"),
        .extension = TEXT("bills"),
        .message_id = TEXT("x@stripe.com"),
        .in_reply_to = TEXT(""),
        .list_id = TEXT(""),
        .date = 1791036127,
        .has_date = true,
        .headers = s->fields,
        .n_headers = 4,
        .auth = {.authserv = TEXT(""), .spf = TEXT(""), .dmarc = TEXT("")},
        .text = TEXT(""),
    };
    s->fields[0] = (struct header){TEXT("X-Foo"), TEXT("one")};
    s->fields[1] = (struct header){TEXT("Subject"), TEXT("Invoice 2026-17 für März")};
    s->fields[2] = (struct header){TEXT("x-foo"), TEXT("two, three")};
    s->fields[3] = (struct header){TEXT("X-Food"), TEXT("none of it")};
}

/* As if all of it had been read, its server were trusted, and two headers configured. */
static inline void
sample_whole(struct sample *s)
{
    s->attachments[0] = (struct attachment){
        TEXT("2"), TEXT("../Rechnung März.pdf"), TEXT("application/pdf"), 30436, false};
    s->attachments[1] = (struct attachment){TEXT("1.3"), TEXT(""), TEXT("image/png"), 17, true};
    s->attachments[2] = (struct attachment){
        TEXT("3"), TEXT("rechnung März.PDF"), TEXT("application/pdf"), 0, false};
    s->dkim[0] = (struct auth_dkim){TEXT("fail"), TEXT("evil.example")};
    s->dkim[1] = (struct auth_dkim){TEXT("pass"), TEXT("stripe.com")};
    s->dkim[2] = (struct auth_dkim){TEXT("pass"), TEXT("stripe.com")};
    s->references[0] = TEXT("first@stripe.com");
    s->references[1] = TEXT("second@stripe.com");
    s->exported[0] = TEXT("X-Foo");
    s->exported[1] = TEXT("List-Unsubscribe");
    s->headers = (struct strv){s->exported, 2};
    s->facts.references = (struct strv){s->references, 2};
    s->facts.auth = (struct auth){TEXT("mx.example.com"), s->dkim, 3, TEXT("pass"), TEXT("pass")};
    s->facts.whole = true;
    s->facts.attachments = s->attachments;
    s->facts.n_attachments = 3;
    s->facts.text = TEXT("Guten Tag,\n\n\tim Anhang Ihre \"Rechnung\".\n");
    s->event.headers = &s->headers;
    s->event.folder = "/run/mailcall/7";
}

static inline void
sample_init(struct sample *s)
{
    *s = (struct sample){.flags = {TEXT("\\Seen"), TEXT("$Label1"), NULL}};
    s->meta = (struct meta){
        .account = "work",
        .mailbox = "Lists/Rück schau",
        .role = "inbox",
        .url = "imaps://ann%40example.com@imap.example.com",
        .uid = 4711,
        .uidvalidity = 1700000000,
        .flags = {s->flags, 2},
        .received = 1791036131,
        .size = 48213,
    };
    sample_facts(s);
    s->captures[0] = (struct capture){TEXT("number"), TEXT("2026-17")};
    s->captures[1] = (struct capture){TEXT("x-kind"), TEXT("")};
    s->hit =
        (struct hit){.match = TEXT("Invoice 2026-17"), .captures = s->captures, .n_captures = 2};
    s->event = (struct event){
        .version = "0.1.0",
        .kind = "new",
        .id = "abcdefghijklmnopqrstuvwxyz",
        .attempt = 1,
        .rule = "invoices",
        .meta = &s->meta,
        .facts = &s->facts,
        .hit = &s->hit,
        .file = "/spool/1.eml",
    };
}

#endif
