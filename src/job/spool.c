/* SPDX-License-Identifier: ISC */
/* Two kinds of folder. One per process, PARENT/spool.XXXXXX, its descriptor locked with flock() as
 * long as the process lives: a folder whose lock can be had belongs to nobody and is swept away by
 * the next one who opens a spool. And the kept one, which outlives us: there each life draws a
 * random number and puts it before the names it gives, so no name is ever given twice, and a sweep
 * can tell the files of this life from those that an earlier one left.
 * Everything is done relative to descriptors and follows no link.
 *
 * A file is open for writing from spool_begin() to spool_finish() only, and without a descriptor
 * from then on; a thousand messages waiting for their hooks cost no descriptors. Its bytes are
 * digested on their way to the disk, so to note a file is not to read it again. Nothing is flushed:
 * a file that did not survive a power cut does not verify when it is adopted.
 * Knows of lines only what CRLF needs, and of headers only the empty line behind them. */
#include "job/spool.h"

#include "base/mem.h"
#include "sys/entropy.h"
#include "sys/folder.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_PREFIX "spool."
#define FILE_SUFFIX   ".eml"
#define BESIDE        ".d" /* behind the name of a message: its folder */

enum {
    BUFFER_SIZE = 16 * 1024,
    FOLDER_TRIES = 8,
    LIFE_DIGITS = 16,
    FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
};

struct spool {
    int folder;                 /* a descriptor */
    char *path;                 /* of the folder, absolute */
    char life[LIFE_DIGITS + 2]; /* what the names of new files begin with; kept: a number and '-' */
    uint64_t last;              /* of the new files, counted */
    int parent;                 /* of one that goes with us: a descriptor; kept: -1 */
    const char *name;           /* likewise: the last part of path */
};

struct spool_file {
    struct spool *spool;
    char *path;
    const char *name; /* the last part */
    int fd;           /* -1 when finished */
    bool held_cr;     /* a CR came last and is not written yet */
    bool broken;      /* a write failed */
    bool has_folder;  /* one may be beside it */
    uint64_t size;
    char *buffer; /* NULL when finished */
    size_t buffered;
    struct digest *sum; /* of what was written so far; NULL when finished */
    unsigned char digest[DIGEST_SIZE];
};

/* --- the folder --- */

static DIR *
open_listing(int folder)
{
    int fd = openat(folder, ".", FOLDER_FLAGS);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL && fd >= 0)
        close(fd);
    return dir;
}

static bool
is_plain_file(int folder, const char *name)
{
    struct stat st;
    return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static void remove_folder_of(int folder, const char *name);

/* Removes the plain files directly inside, and the folders beside them. */
static void
empty_folder(int folder)
{
    DIR *dir = open_listing(folder);
    if (dir == NULL)
        return;
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        if (is_plain_file(folder, d->d_name)) {
            remove_folder_of(folder, d->d_name);
            unlinkat(folder, d->d_name, 0);
        }
    closedir(dir);
}

/* A message's folder, with the plain files inside. */
static void
remove_folder_of(int folder, const char *name)
{
    char *path = xasprintf("%s" BESIDE, name);
    int fd = openat(folder, path, FOLDER_FLAGS);
    if (fd >= 0) {
        empty_folder(fd);
        close(fd);
        unlinkat(folder, path, AT_REMOVEDIR);
    }
    free(path);
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
sweep_dead(const struct spool *s)
{
    DIR *dir = open_listing(s->parent);
    if (dir == NULL)
        return;
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

static struct spool *
spool_new(void)
{
    struct spool *s = xcalloc(1, sizeof *s);
    s->folder = -1;
    s->parent = -1;
    return s;
}

/* Opens the folder; its absolute path, owned by the caller, or NULL. */
static char *
open_absolute(const char *path, int *fd, struct err *e)
{
    if ((*fd = folder_open(path, e)) < 0)
        return NULL;
    char *absolute = realpath(path, NULL);
    if (absolute == NULL)
        err_sys(e, ERR_CREATE, errno, "%s", path);
    return absolute;
}

struct spool *
spool_open(const char *parent, struct err *e)
{
    struct spool *s = spool_new();
    char *absolute = open_absolute(parent, &s->parent, e);
    int rc = absolute != NULL ? make_folder(s, absolute, e) : -1;
    free(absolute);
    if (rc < 0) {
        spool_close(s);
        return NULL;
    }
    sweep_dead(s);
    return s;
}

struct spool *
spool_open_kept(const char *folder, struct err *e)
{
    struct spool *s = spool_new();
    if ((s->path = open_absolute(folder, &s->folder, e)) == NULL) {
        spool_close(s);
        return NULL;
    }
    snprintf(s->life, sizeof s->life, "%016" PRIx64 "-", entropy_u64());
    return s;
}

void
spool_close(struct spool *s)
{
    if (s == NULL)
        return;
    if (s->folder >= 0 && s->parent >= 0) {
        empty_folder(s->folder);
        unlinkat(s->parent, s->name, AT_REMOVEDIR);
    }
    if (s->folder >= 0)
        close(s->folder);
    if (s->parent >= 0)
        close(s->parent);
    free(s->path);
    free(s);
}

/* --- what an earlier life left --- */

/* Whether a life of ours can have given this name in a kept folder: its number, '-', a count. */
static bool
is_ours(const char *name)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = strspn(name, digits);
    if (n != LIFE_DIGITS || name[n] != '-')
        return false;
    name += n + 1;
    n = strspn(name, digits);
    return n > 0 && n <= LIFE_DIGITS && strcmp(name + n, FILE_SUFFIX) == 0;
}

/* The message whose folder this is, or NULL; the caller frees. */
static char *
message_of(const char *name)
{
    size_t n = strlen(name);
    size_t suffix = strlen(BESIDE);
    bool beside = n > suffix && strcmp(name + n - suffix, BESIDE) == 0;
    return beside ? xstrndup(name, n - suffix) : NULL;
}

/* A folder whose message is not there, or is about to go. */
static void
sweep_folder(struct spool *s, const char *name)
{
    char *message = message_of(name);
    struct stat st;
    if (message != NULL && is_ours(message) && strncmp(message, s->life, strlen(s->life)) != 0 &&
        fstatat(s->folder, message, &st, AT_SYMLINK_NOFOLLOW) != 0)
        remove_folder_of(s->folder, message);
    free(message);
}

static bool
is_left_over(const struct spool *s, const char *name)
{
    return is_ours(name) && strncmp(name, s->life, strlen(s->life)) != 0 &&
           is_plain_file(s->folder, name);
}

int
spool_sweep(
    struct spool *s, bool (*is_claimed)(void *arg, const char *name), void *arg, struct err *e)
{
    int removed = 0;
    DIR *dir = open_listing(s->folder);
    if (dir == NULL)
        return err_sys(e, ERR_IO, errno, "%s", s->path);
    struct dirent *d;
    while (errno = 0, (d = readdir(dir)) != NULL)
        if (is_left_over(s, d->d_name) && !is_claimed(arg, d->d_name)) {
            remove_folder_of(s->folder, d->d_name);
            removed += unlinkat(s->folder, d->d_name, 0) == 0;
        } else {
            sweep_folder(s, d->d_name);
        }
    int error = errno;
    closedir(dir);
    return error == 0 ? removed : err_sys(e, ERR_IO, error, "%s", s->path);
}

void
spool_unlink(struct spool *s, const char *name)
{
    if (!is_ours(name))
        return;
    remove_folder_of(s->folder, name);
    unlinkat(s->folder, name, 0);
}

/* --- writing --- */

static struct spool_file *
file_new(struct spool *s, char *path)
{
    struct spool_file *f = xcalloc(1, sizeof *f);
    f->spool = s;
    f->path = path;
    f->name = strrchr(path, '/') + 1;
    f->fd = -1;
    return f;
}

struct spool_file *
spool_begin(struct spool *s, struct err *e)
{
    struct spool_file *f =
        file_new(s, xasprintf("%s/%s%" PRIx64 FILE_SUFFIX, s->path, s->life, ++s->last));
    f->fd = openat(s->folder, f->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (f->fd < 0) {
        err_sys(e, ERR_CREATE, errno, "%s", f->path);
        spool_let_go(f);
        return NULL;
    }
    f->buffer = xmalloc(BUFFER_SIZE);
    f->sum = digest_begin();
    return f;
}

static int
flush(struct spool_file *f, struct err *e)
{
    struct span rest = {f->buffer, f->buffered};
    digest_add(f->sum, rest);
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
    digest_end(f->sum, f->digest);
    f->sum = NULL;
    /* on network file systems close() is where a full disk shows */
    if (close(fd) < 0 && errno != EINTR) {
        f->broken = true;
        return err_sys(e, ERR_IO, errno, "%s", f->path);
    }
    return 0;
}

void
spool_let_go(struct spool_file *f)
{
    if (f == NULL)
        return;
    if (f->fd >= 0)
        close(f->fd);
    digest_end(f->sum, NULL);
    free(f->buffer);
    free(f->path);
    free(f);
}

void
spool_remove(struct spool_file *f)
{
    if (f != NULL) {
        if (f->has_folder)
            spool_remove_folder(f);
        unlinkat(f->spool->folder, f->name, 0);
    }
    spool_let_go(f);
}

/* --- noting, and adopting by the note --- */

struct spool_note
spool_note(const struct spool_file *f)
{
    assert(f->fd < 0 && !f->broken);
    struct spool_note note = {.name = f->name, .size = f->size};
    memcpy(note.digest, f->digest, DIGEST_SIZE);
    return note;
}

static int
refuse(const struct spool_file *f, const char *why, struct err *e)
{
    return err_set(e, ERR_INPUT, "%s: %s", f->path, why);
}

/* What the file system refuses because of what stands there, and what it refuses otherwise. */
static int
refuse_by_errno(const struct spool_file *f, int error, struct err *e)
{
    bool absent = error == ENOENT || error == ENOTDIR || error == ELOOP;
    return absent ? refuse(f, "is not there", e) : err_sys(e, ERR_IO, error, "%s", f->path);
}

static int
check_kind(const struct spool_file *f, const struct stat *st, struct err *e)
{
    if (!S_ISREG(st->st_mode))
        return refuse(f, "is not a file", e);
    if (st->st_uid != geteuid())
        return refuse(f, "belongs to somebody else", e);
    if ((uint64_t)st->st_size != f->size)
        return refuse(f, "has another size than it was given", e);
    return 0;
}

/* Looked at before it is opened: opening what is no file may have effects, or wait. And again
 * after: only what is open is sure to stay what it is. */
static int
open_checked(const struct spool_file *f, struct err *e)
{
    struct stat st;
    if (fstatat(f->spool->folder, f->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return refuse_by_errno(f, errno, e);
    if (check_kind(f, &st, e) < 0)
        return -1;
    int fd = openat(
        f->spool->folder, f->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return refuse_by_errno(f, errno, e);
    int rc = fstat(fd, &st) == 0 ? check_kind(f, &st, e) : refuse_by_errno(f, errno, e);
    if (rc == 0)
        return fd;
    close(fd);
    return -1;
}

static ssize_t
read_piece(int fd, char *piece, size_t size)
{
    ssize_t n;
    do
        n = read(fd, piece, size);
    while (n < 0 && errno == EINTR);
    return n;
}

/* Not further than the size it should have: it may be growing. */
static int
check_digest(const struct spool_file *f, int fd, struct err *e)
{
    char piece[BUFFER_SIZE];
    unsigned char found[DIGEST_SIZE];
    struct digest *sum = digest_begin();
    uint64_t left = f->size;
    ssize_t n = 0;
    while (left > 0) {
        n = read_piece(fd, piece, left < sizeof piece ? (size_t)left : sizeof piece);
        if (n <= 0)
            break;
        digest_add(sum, (struct span){piece, (size_t)n});
        left -= (uint64_t)n;
    }
    int error = errno;
    digest_end(sum, found);
    if (n < 0)
        return err_sys(e, ERR_IO, error, "%s", f->path);
    if (left > 0 || memcmp(found, f->digest, DIGEST_SIZE) != 0)
        return refuse(f, "is not what was written", e);
    return 0;
}

static int
verify(const struct spool_file *f, struct err *e)
{
    int fd = open_checked(f, e);
    if (fd < 0)
        return -1;
    int rc = check_digest(f, fd, e);
    close(fd);
    return rc;
}

struct spool_file *
spool_adopt(struct spool *s, const struct spool_note *note, struct err *e)
{
    if (!is_ours(note->name)) {
        err_set(e, ERR_INPUT, "%s: \"%s\" is no name of a message", s->path, note->name);
        return NULL;
    }
    struct spool_file *f = file_new(s, xasprintf("%s/%s", s->path, note->name));
    f->size = note->size;
    f->has_folder = true;
    memcpy(f->digest, note->digest, DIGEST_SIZE);
    if (verify(f, e) < 0) {
        spool_let_go(f);
        return NULL;
    }
    return f;
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

/* --- beside it --- */

char *
spool_folder_path(const struct spool_file *f)
{
    return xasprintf("%s" BESIDE, f->path);
}

int
spool_folder(struct spool_file *f, struct err *e)
{
    char *name = xasprintf("%s" BESIDE, f->name);
    int fd = -1;
    f->has_folder = true;
    if (mkdirat(f->spool->folder, name, 0700) == 0 || errno == EEXIST)
        fd = openat(f->spool->folder, name, FOLDER_FLAGS);
    if (fd < 0)
        err_sys(e, ERR_CREATE, errno, "%s" BESIDE, f->path);
    free(name);
    return fd;
}

void
spool_remove_folder(struct spool_file *f)
{
    remove_folder_of(f->spool->folder, f->name);
    f->has_folder = false;
}

/* --- other forms of it --- */

static int
put_crlf(struct spool_file *to, struct span s, char *last, struct err *e)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n' && *last != '\r' && put(to, SPAN("\r"), e) < 0)
            return -1;
        if (put(to, (struct span){s.p + i, 1}, e) < 0)
            return -1;
        *last = s.p[i];
    }
    return 0;
}

static int
copy_crlf(struct spool_file *to, const struct spool_file *from, int fd, struct err *e)
{
    char piece[4096];
    char last = '\0';
    ssize_t n;
    while ((n = read_piece(fd, piece, sizeof piece)) > 0)
        if (put_crlf(to, (struct span){piece, (size_t)n}, &last, e) < 0)
            return -1;
    return n == 0 ? spool_finish(to, e) : err_sys(e, ERR_IO, errno, "%s", from->path);
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
        ssize_t n = read_piece(fd, piece, sizeof piece);
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

static struct spool_file *
make_other(struct spool *s, const struct spool_file *f,
    int (*copy)(struct spool_file *to, const struct spool_file *from, int fd, struct err *e),
    struct err *e)
{
    int fd = spool_reopen(f, e);
    if (fd < 0)
        return NULL;
    struct spool_file *other = spool_begin(s, e);
    if (other != NULL && copy(other, f, fd, e) < 0) {
        spool_remove(other);
        other = NULL;
    }
    close(fd);
    return other;
}

struct spool_file *
spool_headers(struct spool *s, const struct spool_file *f, struct err *e)
{
    return make_other(s, f, copy_headers, e);
}

struct spool_file *
spool_crlf(struct spool *s, const struct spool_file *f, struct err *e)
{
    return make_other(s, f, copy_crlf, e);
}
