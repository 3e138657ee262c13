/* SPDX-License-Identifier: ISC */
/* The folder is opened once, and what can goes through its descriptor. A socket file may be a dead
 * program's; nothing tells but a connect() that is refused, so looking, replacing and listening
 * happen under a lock on the folder. Before listen() nobody can connect, and by then the mode is
 * right. */
#include "sys/local.h"

#include "base/mem.h"
#include "sys/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* --- addresses and descriptors --- */

union address {
    struct sockaddr any;
    struct sockaddr_un un;
};

static char *
path_through(const char *folder, int dir, const char *name, size_t room)
{
    char *path = xasprintf("%s/%s", folder, name);
#ifdef __linux__
    if (strlen(path) >= room) {
        free(path);
        path = xasprintf("/proc/self/fd/%d/%s", dir, name);
    }
#else
    (void)dir;
    (void)room;
#endif
    return path;
}

static int
find_address(union address *to, const char *folder, int dir, const char *name, struct err *e)
{
    size_t room = sizeof to->un.sun_path;
    char *path = path_through(folder, dir, name, room);
    size_t n = strlen(path);
    *to = (union address){.un = {.sun_family = AF_UNIX}};
    if (n < room)
        memcpy(to->un.sun_path, path, n + 1);
    free(path);
    return n < room ? 0
                    : err_set(e, ERR_CREATE, "longer than the %zu bytes that a socket's name has",
                          room - 1);
}

static int
new_socket(struct err *e)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return err_sys(e, ERR_SYSTEM, errno, "no socket");
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

bool
local_is_passing(int number)
{
    return number == EAGAIN || number == EWOULDBLOCK || number == EINTR;
}

ssize_t
local_send(int fd, const char *bytes, size_t n)
{
#ifdef MSG_NOSIGNAL
    return send(fd, bytes, n, MSG_NOSIGNAL);
#else
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
    return send(fd, bytes, n, 0);
#endif
}

/* --- listening --- */

static void
lock(int folder)
{
    while (flock(folder, LOCK_EX) != 0 && errno == EINTR)
        continue;
}

/* 0: nobody listens at the address. */
static int
probe(const union address *at, struct err *e)
{
    int fd = new_socket(e);
    if (fd < 0)
        return -1;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    int number = connect(fd, &at->any, sizeof at->un) == 0 ? 0 : errno;
    close(fd);
    if (number == ECONNREFUSED || number == ENOENT)
        return 0;
    if (number == 0 || local_is_passing(number)) /* so many wait there that we cannot */
        return err_set(e, ERR_AGAIN, "somebody listens there already");
    return err_sys(e, ERR_CREATE, number, "who listens there cannot be known");
}

/* Takes a dead program's socket away. */
static int
make_way(const struct local *l, const union address *at, struct err *e)
{
    struct stat st;
    if (fstatat(l->folder, l->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : err_sys(e, ERR_CREATE, errno, "cannot be looked at");
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, ERR_CREATE, "in the way, and no socket");
    if (probe(at, e) != 0)
        return -1;
    if (unlinkat(l->folder, l->name, 0) != 0)
        return err_sys(e, ERR_CREATE, errno, "cannot be replaced");
    return 0;
}

static int
listen_at(struct local *l, const union address *at, int backlog, struct err *e)
{
    l->fd = new_socket(e);
    if (l->fd < 0)
        return -1;
    if (bind(l->fd, &at->any, sizeof at->un) == 0 && fchmodat(l->folder, l->name, 0600, 0) == 0 &&
        fstatat(l->folder, l->name, &l->made, AT_SYMLINK_NOFOLLOW) == 0 &&
        listen(l->fd, backlog) == 0)
        return 0;
    err_sys(e, ERR_CREATE, errno, "cannot be made");
    close(l->fd);
    return -1;
}

int
local_listen(struct local *l, const char *folder, const char *name, int backlog, struct err *e)
{
    union address at;
    *l = (struct local){.fd = -1, .folder = folder_open(folder, e), .name = name};
    if (l->folder < 0)
        return -1;
    lock(l->folder);
    int rc = find_address(&at, folder, l->folder, name, e);
    if (rc == 0)
        rc = make_way(l, &at, e);
    if (rc == 0)
        rc = listen_at(l, &at, backlog, e);
    flock(l->folder, LOCK_UN);
    if (rc == 0)
        return 0;
    close(l->folder);
    return err_wrap(e, "%s/%s", folder, name);
}

void
local_close(struct local *l)
{
    struct stat there;
    lock(l->folder);
    if (fstatat(l->folder, l->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
        there.st_dev == l->made.st_dev && there.st_ino == l->made.st_ino)
        unlinkat(l->folder, l->name, 0);
    close(l->fd); /* until now nothing else could have its inode's number */
    close(l->folder);
}

/* --- guests --- */

static bool
is_one_of_us(int fd)
{
#ifdef __linux__
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    uid_t uid = peer.uid;
#else
    uid_t uid;
    gid_t gid;
    if (getpeereid(fd, &uid, &gid) != 0)
        return false;
#endif
    return uid == geteuid() || uid == 0;
}

enum local_guest
local_accept(const struct local *l, int *fd)
{
    *fd = accept(l->fd, NULL, NULL);
    if (*fd < 0)
        return local_is_passing(errno) || errno == ECONNABORTED ? LOCAL_NOBODY : LOCAL_EXHAUSTED;
    fcntl(*fd, F_SETFD, FD_CLOEXEC);
    if (is_one_of_us(*fd))
        return LOCAL_GUEST;
    close(*fd);
    return LOCAL_NOBODY;
}

/* --- calling --- */

/* What connect() said, as local_connect() says it. */
static int
judge(int number, struct err *e)
{
    if (number == 0)
        return 1;
    if (number == ECONNREFUSED || number == ENOENT)
        return 0;
    return err_sys(e, local_is_passing(number) ? ERR_AGAIN : ERR_AUTH, number, "cannot be asked");
}

static int
call(const union address *to, unsigned patience_s, int *fd, struct err *e)
{
    struct timeval patience = {.tv_sec = (time_t)patience_s};
    *fd = new_socket(e);
    if (*fd < 0)
        return -1;
    setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    int rc = judge(connect(*fd, &to->any, sizeof to->un) == 0 ? 0 : errno, e);
    if (rc != 1)
        close(*fd);
    return rc;
}

int
local_connect(const char *folder, const char *name, unsigned patience_s, int *fd, struct err *e)
{
    union address to;
    int rc = -1;
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (dir < 0)
        err_sys(e, ERR_AUTH, errno, "cannot be asked");
    else if (find_address(&to, folder, dir, name, e) == 0)
        rc = call(&to, patience_s, fd, e);
    if (dir >= 0)
        close(dir);
    return rc >= 0 ? rc : err_wrap(e, "%s/%s", folder, name);
}
