/* SPDX-License-Identifier: ISC */
/* The policy around one account's secret. Its waiters are served together: connections that start
 * at the same moment share one run of the command. */
#include "watch/credential.h"

#include "base/digest.h"
#include "base/mem.h"
#include "sys/clock.h"
#include "watch/secret.h"

#include <stdlib.h>

struct credential {
    struct loop *loop;
    const struct account *account;
    struct list waiting;
    struct secret *asking;
    struct loop_timer serve; /* answers from memory come in the next turn */
    struct buf kept;         /* the password, once known */
    unsigned round;          /* counts the askings */
    unsigned refused_round;  /* the last one that was refused */
    unsigned refusals;       /* since the last acceptance */
    bool dead;
    unsigned char last[DIGEST_SIZE]; /* of the secret given out last, to know it again */
    unsigned char refused[DIGEST_SIZE];
};

static void
serve(struct credential *c, struct span secret, const struct err *why)
{
    /* a callback may ask again at once: it then joins the next round; and it may learn that the
     * secret is refused, which wipes ours while the others still wait for it */
    struct list round;
    struct buf copy = {0};
    list_init(&round);
    buf_addspan(&copy, secret);
    while (!list_empty(&c->waiting)) {
        struct list *link = c->waiting.next;
        list_remove(link);
        list_append(&round, link);
    }
    while (!list_empty(&round)) {
        struct credential_waiter *w = LIST_OWNER(round.next, struct credential_waiter, link);
        list_remove(&w->link);
        w->on_secret(w->arg, buf_span(&copy), why);
    }
    buf_wipe(&copy);
}

static bool
is_token(const struct credential *c)
{
    return c->account->secret.kind == SECRET_TOKEN_COMMAND;
}

static void
on_secret(void *arg, struct span secret, const struct err *why)
{
    struct credential *c = arg;
    c->asking = NULL;
    if (why != NULL) {
        serve(c, secret, why);
        return;
    }
    c->round++;
    digest_parts(c->last, &secret, 1);
    if (!is_token(c) && c->refusals > 0 && memcmp(c->last, c->refused, DIGEST_SIZE) == 0) {
        struct err same;
        err_set(&same, ERR_AUTH, "the server refused this secret, and it has not changed since");
        c->dead = true;
        serve(c, (struct span){0}, &same);
        return;
    }
    if (!is_token(c)) {
        buf_wipe(&c->kept);
        buf_addspan(&c->kept, secret);
    }
    serve(c, secret, NULL);
}

static void
on_serve(void *arg)
{
    struct credential *c = arg;
    if (c->dead) {
        struct err why;
        err_set(&why, ERR_AUTH, "the server refused the login");
        serve(c, (struct span){0}, &why);
    } else if (c->kept.n > 0) {
        serve(c, buf_span(&c->kept), NULL);
    } else if (c->asking == NULL) {
        c->asking = secret_ask(c->loop, &c->account->secret, on_secret, c);
    }
}

struct credential *
credential_new(struct loop *loop, const struct account *account)
{
    struct credential *c = xcalloc(1, sizeof *c);
    c->loop = loop;
    c->account = account;
    list_init(&c->waiting);
    loop_timer_init(&c->serve, on_serve, c);
    return c;
}

void
credential_free(struct credential *c)
{
    if (c == NULL)
        return;
    secret_close(c->asking);
    loop_timer_clear(c->loop, &c->serve);
    buf_wipe(&c->kept);
    free(c);
}

void
credential_waiter_init(struct credential_waiter *w,
    void (*on_secret_given)(void *arg, struct span secret, const struct err *why), void *arg)
{
    list_init(&w->link);
    w->on_secret = on_secret_given;
    w->arg = arg;
}

void
credential_ask(struct credential *c, struct credential_waiter *w)
{
    list_remove(&w->link);
    list_append(&c->waiting, &w->link);
    if (c->asking == NULL)
        loop_timer_set(c->loop, &c->serve, clock_ms());
}

void
credential_cancel(struct credential_waiter *w)
{
    list_remove(&w->link);
}

void
credential_accepted(struct credential *c)
{
    c->refusals = 0;
}

unsigned
credential_round(const struct credential *c)
{
    return c->round;
}

bool
credential_refused(struct credential *c, unsigned round)
{
    if (round != c->round || round == c->refused_round)
        return !c->dead;
    c->refused_round = round;
    c->refusals++;
    memcpy(c->refused, c->last, DIGEST_SIZE);
    buf_wipe(&c->kept);
    if (c->account->secret.kind == SECRET_PLAIN || (is_token(c) && c->refusals > 1))
        c->dead = true;
    return !c->dead;
}

bool
credential_dead(const struct credential *c)
{
    return c->dead;
}
