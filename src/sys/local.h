/*
 * local: a Unix socket in a folder of our own, for other programs of the same user.
 * Never knows mail of any kind.
 *
 * The socket is 0600 from before anybody can connect, whatever the umask. One that nobody listens
 * on is replaced; a living one, and a file that is no socket, is left alone. A path too long for a
 * socket is reached through the folder's descriptor where the system has a way to do so (Linux).
 */
#ifndef MAILCALL_SYS_LOCAL_H
#define MAILCALL_SYS_LOCAL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* A socket that is listened on. */
struct local {
    int fd;           /* non-blocking once it is watched by the loop; the rest is private */
    int folder;       /* a descriptor */
    const char *name; /* borrowed */
    struct stat made;
};

/* The folder is made, 0700, if it is missing. 0, or -1 with *e: ERR_CREATE, or ERR_AGAIN when
 * somebody listens there. `backlog` is listen()'s. */
int local_listen(struct local *l, const char *folder, const char *name, int backlog, struct err *e);
/* Unlinks the socket, unless it is another one's by now. */
void local_close(struct local *l);

enum local_guest {
    LOCAL_GUEST,    /* *fd is one of our own user or root; close-on-exec, the caller closes */
    LOCAL_NOBODY,   /* nobody waits (any more), or it was somebody else, who was hung up on */
    LOCAL_EXHAUSTED /* no descriptor left: whoever waits goes on waiting */
};
enum local_guest local_accept(const struct local *l, int *fd);

/* 1: *fd is connected, the caller closes; 0: nobody listens there; -1 with *e: ERR_AUTH, or
 * ERR_AGAIN when the queue did not move for `patience_s`. Makes nothing. */
int local_connect(
    const char *folder, const char *name, unsigned patience_s, int *fd, struct err *e);

/* As send(), without a signal when the peer is gone. */
ssize_t local_send(int fd, const char *bytes, size_t n);
/* Whether this errno means "not now" rather than "never". */
bool local_is_passing(int number);

#endif
