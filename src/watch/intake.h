/*
 * intake: messages from their arrival to their letters: sorted, known ones put aside.
 * Never knows servers, or when a hook runs.
 */
#ifndef MAILCALL_WATCH_INTAKE_H
#define MAILCALL_WATCH_INTAKE_H

#include "config/config.h"
#include "watch/mail.h"
#include "watch/watched.h"
#include "watch/work.h"

struct intake;

struct intake_opts {
    const struct config *config;
    struct work *work;
    /* Instead of becoming work, each letter is shown here. May be NULL. */
    void (*on_letter)(void *arg, const struct letter *letter);
    void *arg;
    unsigned limit; /* so many hits, and no more; 0 = all */
    struct loop *loop;
    struct journal
        *journal; /* where messages that nobody can read are set aside; NULL: they are said */
};

struct intake *intake_new(const struct intake_opts *opts);
/* What is inside is left open in its ledger. NULL is fine. */
void intake_free(struct intake *in);

/* The mail is the intake's from here on; it is open in its box's ledger. */
void intake_take(struct intake *in, struct mail *m);
/* Hands some of what arrived to the sorter, and works up what it has answered: then a message is
 * closed in its ledger, and its letters are with the work; or it stays open, and its whole is
 * wanted of its watch. */
void intake_sort(struct intake *in);
bool intake_is_empty(const struct intake *in);
/* Whether intake_sort() has something to do. */
bool intake_is_due(const struct intake *in);
bool intake_limit_reached(const struct intake *in);

/* The whole of a message whose header block was not enough: the file becomes the intake's. False,
 * and nothing happens: nobody waits for it. / The server has it no longer. / No UID of the mailbox
 * means what it meant. */
bool intake_supply(struct intake *in, const struct watched *box, struct mail *whole);
void intake_gone(struct intake *in, const struct watched *box, uint32_t uid);
void intake_renumbered(struct intake *in, const struct watched *box);
/* What is waited for will not come in this life; whether there was any. */
bool intake_give_up(struct intake *in, const struct watched *box);
/* How many messages could not be read so far. */
unsigned intake_set_aside(const struct intake *in);

#endif
