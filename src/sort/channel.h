/*
 * channel: one end of the socket between the sorter and a worker: frames, and descriptors with
 * them. Never knows what is in a frame, or mail of any kind.
 */
#ifndef MAILCALL_SORT_CHANNEL_H
#define MAILCALL_SORT_CHANNEL_H

#include "sort/wire.h"

struct channel {
    int fd;          /* owned */
    struct buf out;  /* not yet sent */
    int out_fd;      /* borrowed: goes with the next byte; -1 = none */
    struct buf in;   /* received */
    bool handed_out; /* `in` is a frame that somebody has seen */
    int in_fd;       /* came with what was received last; -1 = none */
};

/* Two ends that know each other, close-on-exec. 0, or -1 with errno. */
int channel_pair(int fds[static 2]);

void channel_init(struct channel *c, int fd);
void channel_clear(struct channel *c); /* closes both descriptors; harmless twice */

/* Queues a frame; fd, if not -1, goes with it, must stay open until it is sent, and only when
 * nothing is queued. False: too large. */
bool channel_put(struct channel *c, enum wire_kind kind, struct span body, int fd);

enum channel_result {
    CHANNEL_DONE,  /* everything is sent; a frame is there */
    CHANNEL_AGAIN, /* the socket would block */
    CHANNEL_END,   /* the other side is gone */
    CHANNEL_LIE,   /* it sends what it must not: no frame, or more than one */
};

/* Sends what is queued. */
enum channel_result channel_send(struct channel *c);
/* Reads once or more, until a frame is complete. The frame is valid until the next call.
 * Descriptors that come with the bytes are a lie; */
enum channel_result channel_receive(struct channel *c, struct frame *f);
/* unless they are awaited: then *fd is what came with the frame, the caller's, or -1. */
enum channel_result channel_receive_fd(struct channel *c, struct frame *f, int *fd);

#endif
