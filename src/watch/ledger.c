/* SPDX-License-Identifier: ISC */
/*
 * The mailbox in memory runs ahead: its mark moves when a pass ends. The journal's mark follows
 * only to the message before the oldest open one; what is closed above it is noted one by one.
 */
#include "watch/ledger.h"

#include <assert.h>

void
ledger_init(struct ledger *l, struct journal *journal, const char *account, const char *mailbox)
{
    *l = (struct ledger){.journal = journal, .account = account, .mailbox = mailbox};
    l->ceiling = UINT32_MAX;
    list_init(&l->open);
}

int
ledger_restore(struct ledger *l, struct mailbox *m, struct err *e)
{
    struct cursor c = {0};
    if (l->journal == NULL)
        return 0;
    if (journal_load(l->journal, l->account, l->mailbox, &c, e) != 0)
        return -1;
    if (c.known) {
        mailbox_restore(m, c.uidvalidity, c.mark, c.taken, c.n_taken);
        l->uidvalidity = c.uidvalidity;
        l->checked = c.mark;
        l->settled = c.mark;
    }
    cursor_free(&c);
    return 0;
}

int
ledger_baseline(struct ledger *l, uint32_t uidvalidity, uint32_t mark, struct err *e)
{
    l->uidvalidity = uidvalidity;
    l->checked = mark;
    l->settled = mark;
    l->ceiling = UINT32_MAX;
    if (l->journal == NULL)
        return 0;
    return journal_baseline(l->journal, l->account, l->mailbox, uidvalidity, mark, e);
}

/* The mark may stand right below the oldest message of this epoch that is not dealt with. */
static uint32_t
limit(const struct ledger *l)
{
    uint32_t most = l->checked < l->ceiling ? l->checked : l->ceiling;
    for (const struct list *link = l->open.next; link != &l->open; link = link->next) {
        const struct ledger_entry *entry = LIST_OWNER(link, const struct ledger_entry, link);
        if (entry->uidvalidity == l->uidvalidity && entry->uid <= most)
            most = entry->uid - 1;
    }
    return most;
}

static void
advance(struct ledger *l)
{
    uint32_t mark = limit(l);
    if (mark <= l->settled)
        return;
    journal_settle(l->journal, l->account, l->mailbox, mark);
    l->settled = mark;
}

void
ledger_open(struct ledger *l, struct ledger_entry *entry, uint32_t uid)
{
    assert(uid > 0);
    entry->uid = uid;
    entry->uidvalidity = l->uidvalidity;
    list_init(&entry->link);
    list_append(&l->open, &entry->link);
}

void
ledger_close(struct ledger *l, struct ledger_entry *entry)
{
    bool oldest = entry->uid == l->settled + 1;
    list_remove(&entry->link);
    /* of an earlier epoch: its number means another message by now */
    if (l->journal == NULL || entry->uidvalidity != l->uidvalidity)
        return;
    journal_take(l->journal, l->account, l->mailbox, entry->uid);
    if (oldest || list_empty(&l->open))
        advance(l);
}

void
ledger_leave(struct ledger *l, struct ledger_entry *entry)
{
    list_remove(&entry->link);
    if (entry->uidvalidity == l->uidvalidity && entry->uid <= l->ceiling)
        l->ceiling = entry->uid - 1;
}

void
ledger_checked(struct ledger *l, uint32_t mark)
{
    l->checked = mark;
    if (l->journal != NULL)
        advance(l);
}
