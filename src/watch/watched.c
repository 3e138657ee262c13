/* SPDX-License-Identifier: ISC */
/* What belongs to one mailbox and outlives its connections. */
#include "watch/watched.h"

#include "base/mem.h"
#include "sys/clock.h"
#include "sys/log.h"

#include <stdlib.h>

struct revived {
    struct list link;
    struct record record; /* its numbers only */
};

int
watched_init(struct watched *b, struct journal *j, const char *account, const char *name,
    const struct ruleset *rules, struct err *e)
{
    b->account = account;
    b->name = name;
    list_init(&b->revived);
    mailbox_init(&b->progress);
    plan_make(&b->plan, rules, account, name);
    ledger_init(&b->ledger, j, account, name);
    return ledger_restore(&b->ledger, &b->progress, clock_wall(), e);
}

void
watched_clear(struct watched *b)
{
    watch_free(b->watch);
    mailbox_clear(&b->progress);
    plan_free(&b->plan);
    LIST_EACH(&b->revived, link)
    free(LIST_OWNER(link, struct revived, link));
}

void
watched_revive(struct watched *b, const struct record *r)
{
    struct revived *v = xcalloc(1, sizeof *v);
    v->record = (struct record){.id = r->id, .uid = r->uid, .attempt = r->attempt};
    list_append(&b->revived, &v->link);
    mailbox_want(&b->progress, r->uid);
}

static struct revived *
find_revived(const struct watched *b, uint32_t uid)
{
    for (struct list *link = b->revived.next; link != &b->revived; link = link->next) {
        struct revived *v = LIST_OWNER(link, struct revived, link);
        if (v->record.uid == uid)
            return v;
    }
    return NULL;
}

bool
watched_is_revived(const struct watched *b, uint32_t uid)
{
    return find_revived(b, uid) != NULL;
}

void
watched_read(struct watched *b, uint32_t uid)
{
    struct revived *v = find_revived(b, uid);
    if (v == NULL)
        return;
    journal_drop(b->ledger.journal, v->record.id);
    list_remove(&v->link);
    free(v);
}

void
watched_bury(struct journal *j, const struct record *r)
{
    struct record dead = {
        .id = r->id,
        .attempt = r->attempt,
        .stage = STAGE_DEAD,
        .since = clock_wall_ms(),
        .result = "unparsable",
        .tail = SPAN("the message is no longer on the server"),
    };
    journal_move(j, &dead);
}

static void
bury(struct watched *b, struct revived *v)
{
    watched_bury(b->ledger.journal, &v->record);
    log_error("%s/%s:%u: cannot be read once more: no longer on the server", b->account, b->name,
        (unsigned)v->record.uid);
    list_remove(&v->link);
    free(v);
}

void
watched_gone(struct watched *b, uint32_t uid)
{
    struct revived *v = find_revived(b, uid);
    if (v != NULL)
        bury(b, v);
}

void
watched_renumbered(struct watched *b)
{
    LIST_EACH(&b->revived, link)
    bury(b, LIST_OWNER(link, struct revived, link));
}
