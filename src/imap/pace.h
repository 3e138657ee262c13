/*
 * pace: when to look for new mail again. Never knows sockets, TLS, timers, rules, hooks or logging.
 *
 * A hint (EXISTS, RECENT, …) means now. After it: where a look found something, one more look soon,
 * since many servers tell nothing of what arrives just before IDLE begins; where it found nothing,
 * a few more looks, since some tell of a message before they deliver it. Besides, IDLE is renewed,
 * or the mailbox polled, and that is a look too.
 */
#ifndef MAILCALL_IMAP_PACE_H
#define MAILCALL_IMAP_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PACE_CONFIRM_MS = 2500 };
#define PACE_NEVER UINT64_MAX

struct pace {
    bool hint;             /* not answered by a look yet */
    uint64_t hint_from;    /* and not to be before this */
    uint64_t look_at;      /* one more look */
    bool look_repeats;     /* it repeats one that found nothing */
    uint64_t regular_at;   /* IDLE's renewal, or the next poll */
    bool looking_for_hint; /* the look under way goes back to a hint */
    bool looking_at_once;  /* … that came since the look before */
    unsigned repeats;      /* of the present hint */
    unsigned in_vain;      /* hints in a row behind which nothing was */
    bool held;             /* nothing is due but what keeps the connection alive */
};

void pace_init(struct pace *p);
/* When the next look is due. */
uint64_t pace_due(const struct pace *p);
/* A look begins: what is due by now is answered by it. */
void pace_begin(struct pace *p, uint64_t now);
/* It ended well and found so many messages. A server that syncs reports at the start of IDLE what
 * came before it, and needs fewer looks. */
void pace_found(struct pace *p, unsigned count, bool syncs, uint64_t now);
/* Something other than a look took the place of IDLE for a moment. */
void pace_interrupted(struct pace *p, bool syncs, uint64_t now);
/* Hold on; or go on, with a look, since some were left out. */
void pace_hold(struct pace *p, bool held);
/* Look at once, whatever was found before. */
void pace_demand(struct pace *p);
/* It ended with something missing, the nth time in a row: look again for that. */
void pace_again(struct pace *p, unsigned nth, uint64_t now);

#endif
