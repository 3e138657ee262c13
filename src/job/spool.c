/* SPDX-License-Identifier: ISC */
/* One folder per process, PARENT/spool.XXXXXX, its descriptor locked with flock() as long as the
 * process lives: a folder whose lock can be had belongs to nobody and is swept away by the next one
 * who opens a spool. Everything is done relative to descriptors and follows no link.
 *
 * A file is open for writing from spool_begin() to spool_finish() only, and without a descriptor
 * from then on; a thousand messages waiting for their hooks cost no descriptors.
 * Knows of lines only what CRLF needs, and of headers only the empty line behind them. */
#include "job/spool.h"

#include "base/mem.h"
#include "sys/folder.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_PREFIX "spool."

enum {
    BUFFER_SIZE = 16 * 1024,
    FOLDER_TRIES = 8,
    FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
};

struct spool {
    int parent; /* descriptors */
    int folder;
    char *path;       /* of the folder, absolute */
    const char *name; /* its last part */
    uint64_t next;
};

struct spool_file {
    struct spool *spool;
    char *path;
    const char *name; /* the last part */
    int fd;           /* -1 when finished */
    bool held_cr;     /* a CR came last and is not written yet */
    bool broken;      /* a write failed */
    uint64_t size;
    char *buffer; /* NULL when finished */
    size_t buffered;
};

/* --- the folder --- */

/* Removes the plain files directly inside. */
static void
empty_folder(int folder)
{
    int fd = openat(folder, ".", FOLDER_FLAGS);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        struct stat st;
        if (fstatat(folder, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            unlinkat(folder, d->d_name, 0);
    }
    closedir(dir);
}

static void
sweep_one(int parent, const char *name)
{
    struct stat st;
    int fd = openat(parent, name, FOLDER_FLAGS);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        empty_folder(fd);
        unlinkat(parent, name, AT_REMOVEDIR);
    }
    close(fd);
}

/* Removes what dead processes left. Its failures concern nobody: the next one tries again. */
static void
sweep(const struct spool *s)
{
    int fd = openat(s->parent, ".", FOLDER_FLAGS);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        if (strncmp(d->d_name, FOLDER_PREFIX, strlen(FOLDER_PREFIX)) == 0 &&
            strcmp(d->d_name, s->name) != 0)
            sweep_one(s->parent, d->d_name);
    closedir(dir);
}

/* Whether the folder is locked and still in its place: between mkdtemp() and flock() another
 * process may have taken it for a dead one's and swept it away. */
static bool
is_held(const struct spool *s)
{
    struct stat here, there;
    return flock(s->folder, LOCK_EX | LOCK_NB) == 0 && fstat(s->folder, &here) == 0 &&
           fstatat(s->parent, s->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

static int
make_folder(struct spool *s, const char *parent, struct err *e)
{
    for (int i = 0; i < FOLDER_TRIES; i++) {
        s->path = xasprintf("%s/" FOLDER_PREFIX "XXXXXX", parent);
        s->name = strrchr(s->path, '/') + 1;
        if (mkdtemp(s->path) == NULL)
            return err_sys(e, ERR_CREATE, errno, "%s", s->path);
        s->folder = openat(s->parent, s->name, FOLDER_FLAGS);
        if (s->folder >= 0 && is_held(s))
            return 0;
        if (s->folder >= 0)
            close(s->folder);
        s->folder = -1;
        free(s->path);
        s->path = NULL;
    }
    return err_set(e, ERR_CREATE, "%s: a folder made in it cannot be locked", parent);
}

struct spool *
spool_open(const char *parent, struct err *e)
{
    struct spool *s = xcalloc(1, sizeof *s);
    s->folder = -1;
    s->parent = folder_open(parent, e);
    char *absolute = s->parent >= 0 ? realpath(parent, NULL) : NULL;
    if (s->parent >= 0 && absolute == NULL)
        err_sys(e, ERR_CREATE, errno, "%s", parent);
    int rc = absolute != NULL ? make_folder(s, absolute, e) : -1;
    free(absolute);
    if (rc < 0) {
        spool_close(s);
        return NULL;
    }
    sweep(s);
    return s;
}

void
spool_close(struct spool *s)
{
    if (s == NULL)
        return;
    if (s->folder >= 0) {
        empty_folder(s->folder);
        unlinkat(s->parent, s->name, AT_REMOVEDIR);
        close(s->folder);
    }
    if (s->parent >= 0)
        close(s->parent);
    free(s->path);
    free(s);
}

/* --- writing --- */

struct spool_file *
spool_begin(struct spool *s, struct err *e)
{
    struct spool_file *f = xcalloc(1, sizeof *f);
    f->spool = s;
    f->path = xasprintf("%s/%" PRIu64 ".eml", s->path, ++s->next);
    f->name = f->path + strlen(s->path) + 1;
    f->fd = openat(s->folder, f->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (f->fd < 0) {
        err_sys(e, ERR_CREATE, errno, "%s", f->path);
        free(f->path);
        free(f);
        return NULL;
    }
    f->buffer = xmalloc(BUFFER_SIZE);
    return f;
}

static int
flush(struct spool_file *f, struct err *e)
{
    struct span rest = {f->buffer, f->buffered};
    while (rest.n > 0) {
        ssize_t n = write(f->fd, rest.p, rest.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            f->broken = true;
            return err_sys(e, ERR_IO, errno, "%s", f->path);
        }
        rest = (struct span){rest.p + n, rest.n - (size_t)n};
    }
    f->buffered = 0;
    return 0;
}

/* Appends the bytes as they are. */
static int
put(struct spool_file *f, struct span bytes, struct err *e)
{
    f->size += bytes.n;
    while (bytes.n > 0) {
        if (f->buffered == BUFFER_SIZE && flush(f, e) < 0)
            return -1;
        size_t n = BUFFER_SIZE - f->buffered;
        n = n < bytes.n ? n : bytes.n;
        memcpy(f->buffer + f->buffered, bytes.p, n);
        f->buffered += n;
        bytes = (struct span){bytes.p + n, bytes.n - n};
    }
    return 0;
}

/* Decides about the CR that came last, now that the byte behind it is known. */
static int
settle_cr(struct spool_file *f, char next, struct err *e)
{
    bool bare = f->held_cr && next != '\n';
    f->held_cr = false;
    return bare ? put(f, SPAN("\r"), e) : 0;
}

/* Takes what stands before the next CR off *bytes, and holds that CR back. */
static struct span
take_to_cr(struct spool_file *f, struct span *bytes)
{
    const char *cr = memchr(bytes->p, '\r', bytes->n);
    size_t n = cr != NULL ? (size_t)(cr - bytes->p) : bytes->n;
    struct span text = {bytes->p, n};
    f->held_cr = cr != NULL;
    n += f->held_cr;
    *bytes = (struct span){bytes->p + n, bytes->n - n};
    return text;
}

static int
refuse_broken(const struct spool_file *f, struct err *e)
{
    return err_set(e, ERR_IO, "%s: an earlier write failed", f->path);
}

int
spool_write(struct spool_file *f, struct span bytes, struct err *e)
{
    assert(f->fd >= 0);
    if (f->broken)
        return refuse_broken(f, e);
    while (bytes.n > 0)
        if (settle_cr(f, bytes.p[0], e) < 0 || put(f, take_to_cr(f, &bytes), e) < 0)
            return -1;
    return 0;
}

int
spool_finish(struct spool_file *f, struct err *e)
{
    assert(f->fd >= 0);
    if (f->broken)
        return refuse_broken(f, e);
    if (settle_cr(f, '\0', e) < 0 || flush(f, e) < 0)
        return -1;
    int fd = f->fd;
    f->fd = -1;
    free(f->buffer);
    f->buffer = NULL;
    /* on network file systems close() is where a full disk shows */
    if (close(fd) < 0 && errno != EINTR) {
        f->broken = true;
        return err_sys(e, ERR_IO, errno, "%s", f->path);
    }
    return 0;
}

void
spool_remove(struct spool_file *f)
{
    if (f == NULL)
        return;
    if (f->fd >= 0)
        close(f->fd);
    unlinkat(f->spool->folder, f->name, 0);
    free(f->buffer);
    free(f->path);
    free(f);
}

/* --- reading --- */

const char *
spool_path(const struct spool_file *f)
{
    return f->path;
}

uint64_t
spool_size(const struct spool_file *f)
{
    return f->size;
}

int
spool_reopen(const struct spool_file *f, struct err *e)
{
    assert(f->fd < 0);
    int fd = openat(f->spool->folder, f->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 ? fd : err_sys(e, ERR_IO, errno, "%s", f->path);
}

/* The front of s up to and with the first empty line; *line_start is carried from piece to piece,
 * *ended says whether it was in this one. */
static struct span
header_part(struct span s, bool *line_start, bool *ended)
{
    for (size_t i = 0; i < s.n; i++) {
        bool newline = s.p[i] == '\n';
        if (newline && *line_start) {
            *ended = true;
            return (struct span){s.p, i + 1};
        }
        *line_start = newline;
    }
    return s;
}

static int
copy_headers(struct spool_file *to, const struct spool_file *from, int fd, struct err *e)
{
    char piece[4096];
    bool line_start = true;
    bool ended = false;
    while (!ended) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, ERR_IO, errno, "%s", from->path);
        if (n == 0)
            break;
        /* as it is: a CR still standing before an LF was somebody's own */
        struct span part = header_part((struct span){piece, (size_t)n}, &line_start, &ended);
        if (put(to, part, e) < 0)
            return -1;
    }
    return spool_finish(to, e);
}

struct spool_file *
spool_headers(struct spool *s, const struct spool_file *f, struct err *e)
{
    int fd = spool_reopen(f, e);
    if (fd < 0)
        return NULL;
    struct spool_file *headers = spool_begin(s, e);
    if (headers != NULL && copy_headers(headers, f, fd, e) < 0) {
        spool_remove(headers);
        headers = NULL;
    }
    close(fd);
    return headers;
}
