/*
 * control: the socket through which the other commands talk to a running daemon.
 * Never knows what a question means.
 *
 * A Unix socket FOLDER/ctl, 0600 in a 0700 folder; one line of JSON there, one back, "v":1. Only
 * our own user and root are listened to, few at once, and none for longer than 10 s. A question
 * names the state folder it is about: a daemon with another one says so, and the asker goes on as
 * if none ran.
 */
#ifndef MAILCALL_WATCH_CONTROL_H
#define MAILCALL_WATCH_CONTROL_H

#include "base/err.h"
#include "sys/loop.h"
#include "watch/desk.h"

struct control;

struct control_opts {
    struct loop *loop;
    const char *folder; /* of the socket */
    const char *state;  /* the daemon's, absolute, links resolved */
    /* Fills the answer, which is empty and told at once: what it promises should be committed; -1
     * with *e is told the asker. From inside loop_turn(), and must not close the control. */
    int (*on_question)(
        void *arg, const struct desk_question *q, struct desk_answer *a, struct err *e);
    void *arg;
};

/* Everything in opts is copied. NULL with *e (ERR_CREATE; ERR_AGAIN when another living daemon has
 * the socket). A socket that nobody listens on is replaced. */
struct control *control_open(const struct control_opts *opts, struct err *e);
/* Unlinks the socket, unless it is another one's by now. Who waits for an answer hears none. NULL
 * is fine. */
void control_close(struct control *c);

/* Asks, and waits for the answer up to 10 s. 1: *a is filled. 0: no daemon has this state. -1 with
 * *e: one has, and could not answer (ERR_IO: its own error; ERR_AGAIN: it was too slow or hung up;
 * ERR_PROTOCOL: another version's), or who has it cannot be known (ERR_AUTH). */
int control_ask(const char *folder, const char *state, const struct desk_question *q,
    struct desk_answer *a, struct err *e);

/* One job as a line of JSON, "v":1, without its end; `output` only where there is some. The caller
 * frees. */
char *control_job_line(const struct desk_job *job);

#endif
