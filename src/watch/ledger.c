/* SPDX-License-Identifier: ISC */
/*
 * The mailbox in memory runs ahead: its mark moves when a pass ends. The journal's mark follows
 * only to the message before the oldest open one; what is closed above it is noted one by one.
 */
#include "watch/ledger.h"

#include "sys/log.h"

#include <assert.h>

enum { DAY = 86400, LOOK_BACK = 7 * DAY, CLOCKS_DIFFER = 2 * DAY };

void
ledger_init(struct ledger *l, struct journal *journal, const char *account, const char *mailbox)
{
    *l = (struct ledger){.journal = journal, .account = account, .mailbox = mailbox};
    l->ceiling = UINT32_MAX;
    list_init(&l->open);
}

/* What arrived while we were away is younger than the latest we saw; the days before that are
 * looked at as well, for servers deliver late, and what was seen is known by its identity. Nothing
 * from before we began is ever new; but while what was wanted has not all come, that may be. */
static void
set_epoch_since(struct ledger *l)
{
    int64_t since = l->latest - LOOK_BACK;
    if (since < l->begun)
        since = l->begun;
    if (l->wanting && l->floor != 0 && l->floor < since)
        since = l->floor;
    l->epoch_since = since;
}

int
ledger_restore(struct ledger *l, struct mailbox *m, int64_t now, struct err *e)
{
    struct cursor c = {0};
    if (l->journal == NULL)
        return 0;
    if (journal_load(l->journal, l->account, l->mailbox, &c, e) != 0)
        return -1;
    if (c.known) {
        mailbox_restore(m, c.uidvalidity, c.mark, c.taken, c.n_taken);
        for (size_t i = 0; i < c.n_wanted; i++)
            mailbox_want(m, c.wanted[i]);
        l->uidvalidity = c.uidvalidity;
        l->checked = c.mark;
        l->settled = c.mark;
        l->begun = c.begun < now ? c.begun : now;
        l->floor = c.floor;
        l->latest = c.latest;
        l->wanting = c.n_wanted > 0 || c.mark == 0;
        set_epoch_since(l);
    }
    cursor_free(&c);
    return 0;
}

static void
begin(struct ledger *l, const struct ledger_first *first)
{
    if (first != NULL) {
        l->begun = first->begun;
        l->floor = first->floor;
    } else if (!l->wanting) {
        l->floor = l->epoch_since;
    }
    l->wanting = true;
    set_epoch_since(l);
}

int
ledger_baseline(
    struct ledger *l, const struct mailbox *m, const struct ledger_first *first, struct err *e)
{
    l->uidvalidity = m->uidvalidity;
    l->checked = m->mark;
    l->settled = m->mark;
    l->ceiling = UINT32_MAX;
    if (l->journal == NULL)
        return 0;
    begin(l, first);
    struct cursor c = {
        .uidvalidity = m->uidvalidity,
        .mark = m->mark,
        .wanted = m->wanted.v,
        .n_wanted = m->wanted.n,
        .begun = l->begun,
        .floor = l->floor,
        .latest = l->latest,
    };
    return journal_baseline(l->journal, l->account, l->mailbox, &c, e);
}

/* The mark may stand right below the oldest message of this epoch that is not dealt with. */
static uint32_t
limit(const struct ledger *l)
{
    uint32_t most = l->checked < l->ceiling ? l->checked : l->ceiling;
    for (const struct list *link = l->open.next; link != &l->open; link = link->next) {
        const struct ledger_entry *entry = LIST_OWNER(link, const struct ledger_entry, link);
        if (entry->uidvalidity == l->uidvalidity && !entry->wanted && entry->uid <= most)
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
ledger_open(struct ledger *l, struct ledger_entry *entry, uint32_t uid, bool wanted)
{
    assert(uid > 0);
    entry->uid = uid;
    entry->wanted = wanted;
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
    if (entry->uidvalidity == l->uidvalidity && !entry->wanted && entry->uid <= l->ceiling)
        l->ceiling = entry->uid - 1;
}

void
ledger_gone(struct ledger *l, uint32_t uid)
{
    if (l->journal != NULL)
        journal_take(l->journal, l->account, l->mailbox, uid);
}

void
ledger_checked(struct ledger *l, const struct mailbox *m)
{
    l->checked = m->mark;
    l->wanting = l->wanting && m->wanted.n > 0;
    if (l->journal == NULL)
        return;
    advance(l);
    set_epoch_since(l);
}

bool
ledger_is_old(struct ledger *l, const struct sighting *s)
{
    struct err e;
    if (s->received != 0 && s->received < l->floor)
        return true;
    if (l->journal == NULL)
        return false;
    int seen = journal_has_seen(l->journal, l->account, l->mailbox, s, &e);
    if (seen < 0)
        log_error("%s; %s/%s: a message may be looked at twice", e.text, l->account, l->mailbox);
    return seen > 0;
}

/* One that is much older was moved here from somewhere else, unless we began in the future. */
static void
begin_earlier(struct ledger *l, int64_t received, int64_t now)
{
    bool skewed = received >= l->begun - CLOCKS_DIFFER || l->begun > now;
    if (received == 0 || received >= l->begun || !skewed)
        return;
    l->begun = received;
    journal_began(l->journal, l->account, l->mailbox, received);
}

/* A date from the future would make all that comes before it look old. */
void
ledger_see(struct ledger *l, const struct sighting *s, bool wanted, int64_t now)
{
    struct sighting seen = *s;
    if (l->journal == NULL)
        return;
    if (seen.received > now)
        seen.received = now;
    journal_see(l->journal, l->account, l->mailbox, &seen);
    if (seen.received > l->latest)
        l->latest = seen.received;
    if (!wanted)
        begin_earlier(l, seen.received, now);
    set_epoch_since(l);
}
