/* SPDX-License-Identifier: ISC */
/* What belongs to one mailbox and outlives its connections. */
#include "watch/watched.h"

#include "base/mem.h"

#include <stdlib.h>

struct revived {
    struct list link;
    uint32_t uid;
    uint64_t id;
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
    return ledger_restore(&b->ledger, &b->progress, e);
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
watched_revive(struct watched *b, uint32_t uid, uint64_t id)
{
    struct revived *r = xcalloc(1, sizeof *r);
    r->uid = uid;
    r->id = id;
    list_append(&b->revived, &r->link);
    mailbox_want(&b->progress, uid);
}

bool
watched_is_revived(const struct watched *b, uint32_t uid)
{
    for (const struct list *link = b->revived.next; link != &b->revived; link = link->next)
        if (LIST_OWNER(link, const struct revived, link)->uid == uid)
            return true;
    return false;
}

void
watched_read(struct watched *b, uint32_t uid)
{
    LIST_EACH(&b->revived, link)
    {
        struct revived *r = LIST_OWNER(link, struct revived, link);
        if (r->uid != uid)
            continue;
        journal_drop(b->ledger.journal, r->id);
        list_remove(link);
        free(r);
    }
}
