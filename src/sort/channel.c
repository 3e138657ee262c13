/* SPDX-License-Identifier: ISC */
/* A stream socket between two processes. A descriptor travels with the first byte of its frame
 * (SCM_RIGHTS), at most one at a time, and the side that expects none has no place for it: then the
 * kernel drops it and says that it did. Blocking or not is the descriptor's business. Refuses to
 * know what is said. */
#include "sort/channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_SIZE = 16 * 1024,
    KEPT_SIZE = 256 * 1024, /* a buffer that grew larger is given back when it is empty */
};

#ifndef MSG_CMSG_CLOEXEC /* macOS: its receiver does not exec */
#define MSG_CMSG_CLOEXEC 0
#endif
#ifndef MSG_NOSIGNAL /* macOS: who uses sockets here ignores the signal */
#define MSG_NOSIGNAL 0
#endif

/* Room for one descriptor beside a message. */
union beside {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr aligned;
};

int
channel_pair(int fds[static 2])
{
#ifdef SOCK_CLOEXEC
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
#else
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return -1;
    fcntl(fds[0], F_SETFD, FD_CLOEXEC);
    fcntl(fds[1], F_SETFD, FD_CLOEXEC);
    return 0;
#endif
}

void
channel_init(struct channel *c, int fd)
{
    *c = (struct channel){.fd = fd, .out_fd = -1, .in_fd = -1};
}

static void
close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void
channel_clear(struct channel *c)
{
    close_fd(&c->fd);
    close_fd(&c->in_fd);
    buf_free(&c->out);
    buf_free(&c->in);
    c->out_fd = -1;
    c->handed_out = false;
}

/* --- out --- */

bool
channel_put(struct channel *c, enum wire_kind kind, struct span body, int fd)
{
    assert(fd < 0 || c->out.n == 0);
    if (!wire_frame(&c->out, kind, body))
        return false;
    c->out_fd = fd;
    return true;
}

static ssize_t
send_some(struct channel *c)
{
    union beside beside = {.bytes = {0}};
    struct iovec bytes = {c->out.p, c->out.n};
    struct msghdr m = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (c->out_fd >= 0) {
        m.msg_control = beside.bytes;
        m.msg_controllen = sizeof beside.bytes;
        struct cmsghdr *head = CMSG_FIRSTHDR(&m);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &c->out_fd, sizeof(int));
    }
    return sendmsg(c->fd, &m, MSG_NOSIGNAL);
}

static void
tidy(struct buf *b)
{
    if (b->n == 0 && b->cap > KEPT_SIZE)
        buf_free(b);
}

enum channel_result
channel_send(struct channel *c)
{
    while (c->out.n > 0) {
        ssize_t n = send_some(c);
        if (n > 0) {
            c->out_fd = -1;
            buf_eat(&c->out, (size_t)n);
        } else if (errno == EAGAIN) {
            return CHANNEL_AGAIN;
        } else if (errno != EINTR) {
            return CHANNEL_END;
        }
    }
    tidy(&c->out);
    return CHANNEL_DONE;
}

/* --- in --- */

static bool
take_descriptor(struct channel *c, struct msghdr *m)
{
    const struct cmsghdr *head = m->msg_controllen > 0 ? CMSG_FIRSTHDR(m) : NULL;
    if (head == NULL)
        return true;
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS ||
        head->cmsg_len != CMSG_LEN(sizeof(int)))
        return false;
    close_fd(&c->in_fd);
    memcpy(&c->in_fd, CMSG_DATA(head), sizeof(int));
    return true;
}

/* One read; `beside` NULL: descriptors are a lie. */
static enum channel_result
read_some(struct channel *c, union beside *beside)
{
    struct iovec room = {buf_room(&c->in, READ_SIZE), READ_SIZE};
    struct msghdr m = {.msg_iov = &room, .msg_iovlen = 1};
    if (beside != NULL) {
        m.msg_control = beside->bytes;
        m.msg_controllen = sizeof beside->bytes;
    }
    ssize_t n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);
    if (n > 0)
        c->in.n += (size_t)n;
    int error = errno;
    buf_end(&c->in);
    if (n < 0 && error == EINTR)
        return CHANNEL_DONE;
    if (n < 0 && error == EAGAIN)
        return CHANNEL_AGAIN;
    if (n <= 0)
        return CHANNEL_END;
    if ((m.msg_flags & MSG_CTRUNC) != 0 || !take_descriptor(c, &m))
        return CHANNEL_LIE;
    return CHANNEL_DONE;
}

static void
forget_frame(struct channel *c)
{
    if (c->handed_out)
        buf_clear(&c->in);
    c->handed_out = false;
    tidy(&c->in);
}

static enum channel_result
receive(struct channel *c, struct frame *f, union beside *beside)
{
    forget_frame(c);
    for (;;) {
        int found = wire_take_frame(buf_span(&c->in), f);
        c->handed_out = found > 0;
        /* both sides wait for an answer before they go on, so nothing can stand behind a frame */
        if (found < 0 || (found > 0 && c->in.n > WIRE_HEAD + f->body.n))
            return CHANNEL_LIE;
        if (found > 0)
            return CHANNEL_DONE;
        enum channel_result result = read_some(c, beside);
        if (result != CHANNEL_DONE)
            return result;
    }
}

enum channel_result
channel_receive(struct channel *c, struct frame *f)
{
    return receive(c, f, NULL);
}

enum channel_result
channel_receive_fd(struct channel *c, struct frame *f, int *fd)
{
    union beside beside;
    enum channel_result result = receive(c, f, &beside);
    *fd = -1;
    if (result == CHANNEL_DONE) {
        *fd = c->in_fd;
        c->in_fd = -1;
    }
    return result;
}
