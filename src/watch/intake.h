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
    unsigned limit;  /* so many hits, and no more; 0 = all */
    bool last_words; /* what is being sorted is told to lastwords.h */
};

struct intake *intake_new(const struct intake_opts *opts);
/* What is inside is left open in its ledger. NULL is fine. */
void intake_free(struct intake *in);

/* The mail is the intake's from here on; it is open in its box's ledger. */
void intake_take(struct intake *in, struct mail *m);
/* Hands some of what arrived to the sorter, and works up what it has answered: then a message is
 * closed in its ledger, and its letters are with the work. */
void intake_sort(struct intake *in);
bool intake_is_empty(const struct intake *in);
/* Whether intake_sort() has something to do. */
bool intake_is_due(const struct intake *in);
bool intake_limit_reached(const struct intake *in);

/* The name of the message that killed us, out of its last words; the strings are owned. 0, or -1
 * for words that are none. */
struct intake_victim {
    char *account, *mailbox, *file;
    uint32_t uidvalidity, uid;
    uint64_t size;
    unsigned char digest[DIGEST_SIZE];
    bool whole;
};
int intake_victim(struct span words, struct intake_victim *v);
void intake_victim_free(struct intake_victim *v);

#endif
