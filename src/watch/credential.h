/*
 * credential: an account's secret at run time: asked for, kept or not, refused or not.
 * Never knows sockets, or the words of a protocol.
 *
 * A password is kept in memory and read again after a refusal; a token is asked for at every
 * connect. What was refused is never sent twice: that is how accounts get locked.
 */
#ifndef MAILCALL_WATCH_CREDENTIAL_H
#define MAILCALL_WATCH_CREDENTIAL_H

#include "base/list.h"
#include "config/config.h"
#include "sys/loop.h"

struct credential;

/* One connection waiting for the secret; embedded in its owner. */
struct credential_waiter {
    struct list link;
    void (*on_secret)(void *arg, struct span secret, const struct err *why);
    void *arg;
};

/* The account is borrowed. */
struct credential *credential_new(struct loop *l, const struct account *account);
void credential_free(struct credential *c); /* wipes; NULL is fine */

void credential_waiter_init(struct credential_waiter *w,
    void (*on_secret)(void *arg, struct span secret, const struct err *why), void *arg);
/* on_secret comes once, never from inside; why as in secret.h. Asking twice waits once. */
void credential_ask(struct credential *c, struct credential_waiter *w);
void credential_cancel(struct credential_waiter *w); /* harmless when not waiting */

/* The server took it. */
void credential_accepted(struct credential *c);
/* Which asking the secret came from, for credential_refused(); read inside on_secret. */
unsigned credential_round(const struct credential *c);
/* The server refused the secret of that round; a second connection's word on the same one changes
 * nothing. True: another try makes sense, with a secret asked for anew. */
bool credential_refused(struct credential *c, unsigned round);
/* Nothing more will be tried for this account. */
bool credential_dead(const struct credential *c);

#endif
