/*
 * wire: the lower half of a session: bytes to replies, requests to bytes, and which commands are
 * planned and under way. A command is a number that its owner gives a meaning.
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_WIRE_H
#define MAILCALL_IMAP_WIRE_H

#include "imap/command.h"
#include "imap/lex.h"
#include "imap/reply.h"

enum { WIRE_COMMANDS = 16, WIRE_NONE = -1 };

enum wire_type {
    WIRE_QUIET,    /* all input is read */
    WIRE_ANSWER,   /* `command`, sent as `tag`, is settled by `reply` */
    WIRE_STATUS,   /* an untagged status */
    WIRE_DATA,     /* untagged data */
    WIRE_CUT,      /* untagged data over the limits: only its beginning is there */
    WIRE_CONTINUE, /* a "+" that is not for a literal */
    WIRE_NOISE,    /* any other line */
    WIRE_HEAD,     /* a message's literal of `size` bytes begins, `reply` stands before it */
    WIRE_CHUNK,    /* `chunk` of it */
    WIRE_HUGE,     /* another literal, beyond lex.literal_max: nothing more can be read */
};

/* What was heard; the spans are valid until the next call on the wire. */
struct wire_event {
    enum wire_type type;
    int command;
    unsigned tag; /* of it */
    struct reply reply;
    struct span line; /* the whole of it */
    struct span chunk;
    uint64_t size;
};

/* All zero, but for lex.literal_max, is a wire on which nothing happened. */
struct wire {
    struct buf in;
    size_t in_read; /* bytes of it already read */
    struct lex lex;
    struct buf out;
    int plan[WIRE_COMMANDS];
    size_t n_plan;
    struct {
        unsigned tag;
        int command;
    } sent[WIRE_COMMANDS]; /* oldest first */
    size_t n_sent;
    unsigned last_tag;
    uint64_t waiting_since; /* for the oldest */
    struct command command; /* the one being written, or whose rest waits for "+" */
    bool waits_for_plus;
};

void wire_feed(struct wire *w, struct span bytes);
void wire_next(struct wire *w, struct wire_event *event, uint64_t now);
/* Whether bytes are there that were not read yet. */
bool wire_has_input(const struct wire *w);

void wire_plan(struct wire *w, int command);
/* The command planned for next, or WIRE_NONE; and taking it off the plan. */
int wire_planned(const struct wire *w);
void wire_unplan(struct wire *w);

/* Writing: begin, append to w->command, then send; it is under way from then on. */
void wire_begin(struct wire *w, const char *verb, enum command_literals literals);
void wire_send(struct wire *w, int command, uint64_t now);
/* A line of its own, as the answer to a challenge. */
void wire_line(struct wire *w, const char *line);

/* A command under way without having been sent: the greeting. */
void wire_expect(struct wire *w, int command, uint64_t now);
bool wire_under_way(const struct wire *w, int command);
int wire_oldest(const struct wire *w);             /* or WIRE_NONE */
void wire_wait_anew(struct wire *w, uint64_t now); /* for the oldest */
/* It is over, by other means than its tag. */
void wire_settle(struct wire *w, int command, uint64_t now);
/* From now on it counts as another one, and the wait for it begins anew. */
void wire_turn(struct wire *w, int command, int into, uint64_t now);

void wire_rest(struct wire *w);  /* gives memory back while nothing comes in */
void wire_clear(struct wire *w); /* frees and overwrites everything */

#endif
