/* SPDX-License-Identifier: ISC */
/* When to look for new mail again. A server that hints at every one of our looks would keep us
 * going round for ever; so after some hints in vain the next has to wait a little. */
#include "imap/pace.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* Before the first, second, third repetition; and so on as before the third. */
enum { REPEATS = 3 };
static const uint64_t repeat_ms[REPEATS + 1] = {0, 1000, 5000, 30000};

static const struct {
    unsigned in_vain;
    uint64_t wait_ms;
} brakes[] = {
    {10, 5000},
    {3, 1000},
};

void
pace_init(struct pace *p)
{
    *p = (struct pace){.look_at = PACE_NEVER, .regular_at = PACE_NEVER};
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t
pace_due(const struct pace *p)
{
    uint64_t due = earlier(p->look_at, p->regular_at);
    if (p->held)
        return p->regular_at;
    return p->hint ? earlier(due, p->hint_from) : due;
}

void
pace_begin(struct pace *p, uint64_t now)
{
    bool repeat = p->look_at <= now && p->look_repeats;
    p->looking_at_once = p->hint;
    p->looking_for_hint = p->hint || repeat;
    if (p->hint)
        p->repeats = 0;
    if (p->hint || p->look_at <= now)
        p->look_at = PACE_NEVER;
    p->hint = false;
    p->regular_at = PACE_NEVER;
}

static void
found_some(struct pace *p, bool syncs, uint64_t now)
{
    p->in_vain = 0;
    p->repeats = 0;
    p->hint_from = 0;
    p->look_repeats = false;
    p->look_at = syncs ? PACE_NEVER : now + PACE_CONFIRM_MS;
}

static void
found_none(struct pace *p, bool syncs, uint64_t now)
{
    if (p->looking_at_once)
        p->in_vain++;
    p->hint_from = 0;
    for (size_t i = 0; i < COUNT(brakes) && p->hint_from == 0; i++)
        if (p->in_vain >= brakes[i].in_vain)
            p->hint_from = now + brakes[i].wait_ms;
    if (p->repeats < (syncs ? 1 : REPEATS))
        pace_again(p, p->repeats + 1, now);
}

void
pace_found(struct pace *p, unsigned count, bool syncs, uint64_t now)
{
    if (!p->looking_for_hint)
        return;
    if (count > 0)
        found_some(p, syncs, now);
    else
        found_none(p, syncs, now);
}

void
pace_interrupted(struct pace *p, bool syncs, uint64_t now)
{
    if (!syncs)
        p->look_at = earlier(p->look_at, now + PACE_CONFIRM_MS);
}

void
pace_demand(struct pace *p)
{
    p->hint = true;
    p->hint_from = 0;
}

void
pace_hold(struct pace *p, bool held)
{
    if (p->held && !held)
        pace_demand(p);
    p->held = held;
}

void
pace_again(struct pace *p, unsigned nth, uint64_t now)
{
    p->repeats = nth;
    p->look_repeats = true;
    p->look_at = now + repeat_ms[nth < REPEATS ? nth : REPEATS];
}
