/* SPDX-License-Identifier: ISC */
/* The only arithmetic about UIDs. The mark never moves over a message that was not taken, except
 * when a new epoch makes all old UIDs meaningless. An UIDVALIDITY the server does not tell is taken
 * as unchanged: only a told one can differ. RFC 3501 section 2.3.1.1. */
#include "imap/mailbox.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void
mailbox_init(struct mailbox *m)
{
    *m = (struct mailbox){0};
}

void
mailbox_clear(struct mailbox *m)
{
    free(m->taken);
    mailbox_init(m);
}

static bool
is_same_epoch(const struct mailbox *m, const struct mailbox_facts *facts)
{
    bool same_validity = facts->uidvalidity == 0 || facts->uidvalidity == m->uidvalidity;
    bool went_back = facts->uidnext != 0 && facts->uidnext <= m->mark;
    return same_validity && !went_back;
}

enum mailbox_opening
mailbox_open(struct mailbox *m, const struct mailbox_facts *facts)
{
    if (m->known && is_same_epoch(m, facts))
        return MAILBOX_SAME;
    if (facts->uidnext == 0)
        return MAILBOX_ASK;
    enum mailbox_opening opening = m->known ? MAILBOX_NEW_EPOCH : MAILBOX_FIRST;
    uint32_t uidvalidity = facts->uidvalidity != 0 ? facts->uidvalidity : m->uidvalidity;
    mailbox_baseline(m, uidvalidity, facts->uidnext - 1);
    return opening;
}

void
mailbox_baseline(struct mailbox *m, uint32_t uidvalidity, uint32_t mark)
{
    mailbox_clear(m);
    m->known = true;
    m->uidvalidity = uidvalidity;
    m->mark = mark;
}

/* The index of the first taken UID >= uid. */
static size_t
place_of(const struct mailbox *m, uint32_t uid)
{
    size_t low = 0;
    size_t high = m->n_taken;
    if (high > 0 && m->taken[high - 1] < uid)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->taken[middle] < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool
mailbox_is_new(const struct mailbox *m, uint32_t uid)
{
    size_t place = place_of(m, uid);
    return uid > m->mark && (place == m->n_taken || m->taken[place] != uid);
}

void
mailbox_take(struct mailbox *m, uint32_t uid)
{
    if (!mailbox_is_new(m, uid))
        return;
    if (m->n_taken == m->cap_taken) {
        m->cap_taken = m->cap_taken > 0 ? m->cap_taken * 2 : 8;
        m->taken = xreallocarray(m->taken, m->cap_taken, sizeof *m->taken);
    }
    size_t place = place_of(m, uid);
    memmove(m->taken + place + 1, m->taken + place, (m->n_taken - place) * sizeof *m->taken);
    m->taken[place] = uid;
    m->n_taken++;
}

void
mailbox_missing(const struct mailbox *m, const char *last, struct buf *out)
{
    uint32_t from = m->mark < UINT32_MAX ? m->mark + 1 : m->mark;
    int ranges = 1;
    for (size_t i = 0; i < m->n_taken && ranges < MAILBOX_RANGES; i++) {
        uint32_t taken = m->taken[i];
        if (taken > from) {
            buf_addf(out, taken - 1 > from ? "%" PRIu32 ":%" PRIu32 "," : "%" PRIu32 ",", from,
                taken - 1);
            ranges++;
        }
        from = taken < UINT32_MAX ? taken + 1 : taken;
    }
    buf_addf(out, "%" PRIu32 ":%s", from, last);
}

void
mailbox_settle(struct mailbox *m)
{
    if (m->n_taken > 0)
        m->mark = m->taken[m->n_taken - 1];
    free(m->taken);
    m->taken = NULL;
    m->n_taken = 0;
    m->cap_taken = 0;
}

void
mailbox_restore(
    struct mailbox *m, uint32_t uidvalidity, uint32_t mark, const uint32_t *taken, size_t n)
{
    mailbox_baseline(m, uidvalidity, mark);
    for (size_t i = 0; i < n; i++)
        if (mailbox_is_new(m, taken[i]))
            mailbox_take(m, taken[i]);
}
