/* SPDX-License-Identifier: ISC */
/* The only arithmetic about UIDs. The mark never moves over a message that was not taken, except
 * when a new epoch makes all old UIDs meaningless. Without a UIDVALIDITY nothing says that UIDs
 * mean what they did: that is a new epoch each time. What is wanted leaves its set only by being
 * taken or forgotten. RFC 3501 section 2.3.1.1. */
#include "imap/mailbox.h"

#include <inttypes.h>

void
mailbox_init(struct mailbox *m)
{
    *m = (struct mailbox){0};
}

void
mailbox_clear(struct mailbox *m)
{
    uidset_free(&m->taken);
    uidset_free(&m->wanted);
    uidset_free(&m->asked);
    uidset_free(&m->absent);
    mailbox_init(m);
}

static bool
is_same_epoch(const struct mailbox *m, const struct mailbox_facts *facts)
{
    bool same_validity = facts->uidvalidity != 0 && facts->uidvalidity == m->uidvalidity;
    bool went_back = facts->uidnext != 0 && facts->uidnext <= m->mark;
    return same_validity && !went_back;
}

enum mailbox_opening
mailbox_open(const struct mailbox *m, const struct mailbox_facts *facts)
{
    if (!m->known)
        return MAILBOX_FIRST;
    return is_same_epoch(m, facts) ? MAILBOX_SAME : MAILBOX_NEW_EPOCH;
}

void
mailbox_baseline(struct mailbox *m, uint32_t uidvalidity, uint32_t mark)
{
    mailbox_clear(m);
    m->known = true;
    m->uidvalidity = uidvalidity;
    m->mark = mark;
}

static bool
was_passed(const struct mailbox *m, uint32_t uid)
{
    return uid <= m->mark || uidset_has(&m->taken, uid);
}

void
mailbox_want(struct mailbox *m, uint32_t uid)
{
    if (uid != 0 && was_passed(m, uid))
        uidset_add(&m->wanted, uid);
}

bool
mailbox_is_wanted(const struct mailbox *m, uint32_t uid)
{
    return uidset_has(&m->wanted, uid);
}

void
mailbox_forget(struct mailbox *m, uint32_t uid)
{
    uidset_remove(&m->wanted, uid);
    uidset_remove(&m->asked, uid);
    uidset_remove(&m->absent, uid);
}

bool
mailbox_is_new(const struct mailbox *m, uint32_t uid)
{
    return !was_passed(m, uid) || mailbox_is_wanted(m, uid);
}

void
mailbox_take(struct mailbox *m, uint32_t uid)
{
    if (uid > m->mark)
        uidset_add(&m->taken, uid);
    mailbox_forget(m, uid);
}

static void
add_range(struct buf *out, uint32_t first, uint32_t last)
{
    buf_addf(out, last > first ? "%" PRIu32 ":%" PRIu32 "," : "%" PRIu32 ",", first, last);
}

/* Those asked for in vain come last: when nothing else is left, all are asked for once more. */
static void
begin_round(struct mailbox *m)
{
    mailbox_unask(m);
    if (!mailbox_wants_more(m))
        uidset_free(&m->absent);
}

/* The end of the run of consecutive wanted UIDs that begins at index i; they are asked for. */
static size_t
ask_for_run(struct mailbox *m, size_t i)
{
    const struct uidset *w = &m->wanted;
    do
        uidset_add(&m->asked, w->v[i++]);
    while (i < w->n && w->v[i] == w->v[i - 1] + 1 && !uidset_has(&m->absent, w->v[i]));
    return i;
}

/* Returns how many ranges it took. */
static int
ask_for_wanted(struct mailbox *m, struct buf *out)
{
    const struct uidset *w = &m->wanted;
    int ranges = 0;
    for (size_t i = 0; i < w->n && ranges < MAILBOX_RANGES - 1;) {
        size_t first = i;
        if (uidset_has(&m->absent, w->v[first])) {
            i++;
            continue;
        }
        i = ask_for_run(m, first);
        add_range(out, w->v[first], w->v[i - 1]);
        ranges++;
    }
    return ranges;
}

void
mailbox_missing(struct mailbox *m, const char *last, struct buf *out)
{
    begin_round(m);
    int ranges = ask_for_wanted(m, out) + 1;
    uint32_t from = m->mark < UINT32_MAX ? m->mark + 1 : m->mark;
    for (size_t i = 0; i < m->taken.n && ranges < MAILBOX_RANGES; i++) {
        uint32_t taken = m->taken.v[i];
        if (taken > from) {
            add_range(out, from, taken - 1);
            ranges++;
        }
        from = taken < UINT32_MAX ? taken + 1 : taken;
    }
    buf_addf(out, "%" PRIu32 ":%s", from, last);
}

void
mailbox_settle(struct mailbox *m)
{
    if (m->taken.n > 0)
        m->mark = m->taken.v[m->taken.n - 1];
    uidset_free(&m->taken);
    for (size_t i = 0; i < m->asked.n; i++)
        uidset_add(&m->absent, m->asked.v[i]);
    mailbox_unask(m);
}

void
mailbox_unask(struct mailbox *m)
{
    uidset_free(&m->asked);
}

bool
mailbox_wants_more(const struct mailbox *m)
{
    return m->wanted.n > m->asked.n + m->absent.n;
}

void
mailbox_restore(
    struct mailbox *m, uint32_t uidvalidity, uint32_t mark, const uint32_t *taken, size_t n)
{
    mailbox_baseline(m, uidvalidity, mark);
    for (size_t i = 0; i < n; i++)
        mailbox_take(m, taken[i]);
}
