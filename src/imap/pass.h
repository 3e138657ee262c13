/*
 * pass: one UID FETCH over everything above the mark, or over what is wanted whole, or both at
 * once, and what their answers amount to: the messages it hands out. Never knows sockets, TLS,
 * timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_PASS_H
#define MAILCALL_IMAP_PASS_H

#include "imap/events.h"
#include "imap/fetch.h"
#include "imap/mailbox.h"

/* Passes in a row that may miss something before it is delivered without its text, or given up. */
enum { PASS_TRIES = 3, PASS_GAPS = 32 };

enum pass_verdict {
    PASS_NOTHING, /* known already, or nonsense */
    PASS_HINT,    /* not asked for, but it names a message we do not have */
    PASS_MESSAGE, /* was handed out */
};

/* What a request asks for. */
enum pass_half { PASS_NEW = 1, PASS_WHOLE = 2 };

struct pass {
    bool running;
    unsigned halves;  /* those that were sent */
    bool behind_done; /* the last of them was sent in one write with DONE */
    bool answered;    /* at least one FETCH response came, since one half ended */
    bool stopped;     /* the server stopped one at a message it has no longer */
    bool blind;       /* one could not be read */
    bool untaken;     /* a message was delivered and not taken */
    unsigned count;   /* messages delivered … */
    unsigned again;   /* … those among them that were wanted whole */
    uint32_t gaps[PASS_GAPS];
    size_t n_gaps;           /* new messages that came without text */
    unsigned incomplete;     /* passes before this one, in a row, that missed something */
    bool worth;              /* the text streaming in is */
    bool chunks;             /* some of it was handed out */
    uint32_t offered;        /* UID of the MESSAGE the owner has just been told of */
    bool messages;           /* new ones come whole, too */
    struct mailbox *mailbox; /* borrowed, as is: */
    struct events *events;   /* where messages go */
    struct fetch fetch;      /* the response last read */
    struct value_tree tree;  /* that it points into */
};

/* One half of it is being sent: the first begins the pass. */
void pass_begin(struct pass *p, enum pass_half half, bool behind_done);
/* Reads the first part of a response, up to a message's text: whether that is worth having. */
bool pass_head(struct pass *p, struct span items);
/* Some of that text; it is handed out if it is. */
void pass_chunk(struct pass *p, struct span bytes);
/* No message came of the chunks since the last: says so. */
void pass_discard(struct pass *p);
/* The owner was told of the message, and comes back: has he taken it? */
void pass_offer(struct pass *p, uint32_t uid);
void pass_look_if_taken(struct pass *p);
/* Reads a complete response and judges it; p->fetch is what it says. */
enum pass_verdict pass_read(struct pass *p, struct span items);
/* A response went by that could not be read. */
void pass_blind(struct pass *p);
/* The last command ended. Whether all that was asked for was seen; then the mailbox is settled. */
bool pass_end(struct pass *p);
/* Gives back the memory of the response last read. */
void pass_rest(struct pass *p);

#endif
