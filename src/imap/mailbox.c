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
    uidset_free(&m->whole);
    uidset_free(&m->asked_whole);
    uidset_free(&m->absent);
    uidset_free(&m->absent_whole);
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

/* A header block on its way, or asked for in vain, is not what is wanted from here on. */
void
mailbox_want_whole(struct mailbox *m, uint32_t uid)
{
    mailbox_want(m, uid);
    if (!mailbox_is_wanted(m, uid) || !uidset_add(&m->whole, uid))
        return;
    uidset_remove(&m->asked, uid);
    uidset_remove(&m->absent, uid);
}

bool
mailbox_is_wanted(const struct mailbox *m, uint32_t uid)
{
    return uidset_has(&m->wanted, uid);
}

bool
mailbox_is_wanted_whole(const struct mailbox *m, uint32_t uid)
{
    return uidset_has(&m->whole, uid);
}

void
mailbox_forget(struct mailbox *m, uint32_t uid)
{
    uidset_remove(&m->wanted, uid);
    uidset_remove(&m->asked, uid);
    uidset_remove(&m->whole, uid);
    uidset_remove(&m->asked_whole, uid);
    uidset_remove(&m->absent, uid);
    uidset_remove(&m->absent_whole, uid);
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
    if (mailbox_wants_more(m))
        return;
    uidset_free(&m->absent);
    for (size_t i = 0; i < m->absent_whole.n; i++)
        uidset_add(&m->absent, m->absent_whole.v[i]);
}

static void
begin_round_whole(struct mailbox *m)
{
    mailbox_unask_whole(m);
    if (mailbox_wants_whole(m))
        return;
    for (size_t i = 0; i < m->absent_whole.n; i++)
        uidset_remove(&m->absent, m->absent_whole.v[i]);
    uidset_free(&m->absent_whole);
}

/* What one of the two requests asks for: all `of` that are neither in `but` nor absent. */
struct request {
    const struct uidset *of;
    const struct uidset *but;
    struct uidset *asked;
};

static bool
is_asked_for(const struct mailbox *m, const struct request *r, uint32_t uid)
{
    return !uidset_has(r->but, uid) && !uidset_has(&m->absent, uid);
}

/* The end of the run of consecutive UIDs that begins at index i; they are asked for. */
static size_t
ask_for_run(struct mailbox *m, const struct request *r, size_t i)
{
    const struct uidset *of = r->of;
    do
        uidset_add(r->asked, of->v[i++]);
    while (i < of->n && of->v[i] == of->v[i - 1] + 1 && is_asked_for(m, r, of->v[i]));
    return i;
}

/* Returns how many ranges it took, `most` at the most. */
static int
ask_for(struct mailbox *m, const struct request *r, int most, struct buf *out)
{
    const struct uidset *of = r->of;
    int ranges = 0;
    for (size_t i = 0; i < of->n && ranges < most;) {
        size_t first = i;
        if (!is_asked_for(m, r, of->v[first])) {
            i++;
            continue;
        }
        i = ask_for_run(m, r, first);
        add_range(out, of->v[first], of->v[i - 1]);
        ranges++;
    }
    return ranges;
}

void
mailbox_missing(struct mailbox *m, const char *last, struct buf *out)
{
    begin_round(m);
    const struct request headers = {&m->wanted, &m->whole, &m->asked};
    int ranges = ask_for(m, &headers, MAILBOX_RANGES - 1, out) + 1;
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
mailbox_missing_whole(struct mailbox *m, struct buf *out)
{
    static const struct uidset none;
    begin_round_whole(m);
    const struct request whole = {&m->whole, &none, &m->asked_whole};
    if (ask_for(m, &whole, MAILBOX_RANGES, out) > 0)
        buf_cut(out, out->n - 1);
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
mailbox_settle_whole(struct mailbox *m)
{
    for (size_t i = 0; i < m->asked_whole.n; i++) {
        uidset_add(&m->absent, m->asked_whole.v[i]);
        uidset_add(&m->absent_whole, m->asked_whole.v[i]);
    }
    mailbox_unask_whole(m);
}

void
mailbox_unask(struct mailbox *m)
{
    uidset_free(&m->asked);
}

void
mailbox_unask_whole(struct mailbox *m)
{
    uidset_free(&m->asked_whole);
}

bool
mailbox_wants_more(const struct mailbox *m)
{
    size_t absent = m->absent.n - m->absent_whole.n;
    return m->wanted.n - m->whole.n > m->asked.n + absent;
}

bool
mailbox_wants_whole(const struct mailbox *m)
{
    return m->whole.n > m->asked_whole.n + m->absent_whole.n;
}

void
mailbox_restore(
    struct mailbox *m, uint32_t uidvalidity, uint32_t mark, const uint32_t *taken, size_t n)
{
    mailbox_baseline(m, uidvalidity, mark);
    for (size_t i = 0; i < n; i++)
        mailbox_take(m, taken[i]);
}
