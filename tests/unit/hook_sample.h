/* A normal mail and the event around it, for the tests of room hook; each test bends its own. */
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
    };
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
