/* SPDX-License-Identifier: ISC */
/*
 * preload: a library that stands between mailcall and the system's calls, for tests. It writes the
 * calls down, kills the process at one of them, or lets a folder's disk be full.
 * Never knows what mailcall does with them.
 *
 * Its orders come in the environment, which is cleared of them and of LD_PRELOAD before main():
 * neither the sorter nor a hook inherits them.
 *
 *   PRELOAD_LOG   FILE: each call becomes a line "CALL PLACE", in the order in which they begin;
 *                 "exists socket" when the server has said so
 *   PRELOAD_KILL  "CALL PLACE N WHEN": SIGKILL before or after the N-th such call
 *   PRELOAD_FULL  "FOLDER FLAG ERRNO": while the file FLAG exists, nothing can be written or made
 *                 below FOLDER; it fails with ERRNO
 *
 * A place is what a descriptor or a path is about: wal, journal, spool, socket, lock, file; process
 * for children. Other descriptors (terminals, pipes, event counters) are let pass unseen. */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define REAL(name)                 \
    static __typeof__(&name) real; \
    if (real == NULL)              \
    real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int log_fd = -1;

static struct {
    char call[32];
    char place[32];
    int number;
    bool after;
    atomic_int seen;
} target;

static struct {
    char folder[PATH_MAX];
    char flag[PATH_MAX];
    int error;
} full;

/* --- orders --- */

__attribute__((constructor)) static void
take_orders(void)
{
    char when[8] = "";
    const char *order = getenv("PRELOAD_LOG");
    if (order != NULL)
        log_fd = (int)syscall(
            SYS_openat, AT_FDCWD, order, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    order = getenv("PRELOAD_KILL");
    if (order != NULL)
        sscanf(order, "%31s %31s %d %7s", target.call, target.place, &target.number, when);
    target.after = strcmp(when, "after") == 0;
    order = getenv("PRELOAD_FULL");
    if (order != NULL)
        sscanf(order, "%4095s %4095s %d", full.folder, full.flag, &full.error);
    unsetenv("PRELOAD_LOG");
    unsetenv("PRELOAD_KILL");
    unsetenv("PRELOAD_FULL");
    unsetenv("LD_PRELOAD");
}

static void
die(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

/* A call begins; whether we are to die after it. */
static bool
begin(const char *call, const char *place)
{
    if (place == NULL)
        return false;
    if (log_fd >= 0) {
        char line[80];
        int n = snprintf(line, sizeof line, "%s %s\n", call, place);
        syscall(SYS_write, log_fd, line, (size_t)n);
    }
    bool is_it = target.number > 0 && strcmp(call, target.call) == 0 &&
                 strcmp(place, target.place) == 0 &&
                 atomic_fetch_add(&target.seen, 1) + 1 == target.number;
    if (is_it && !target.after)
        die();
    return is_it;
}

static void
end(bool deadly)
{
    if (deadly)
        die();
}

/* --- places --- */

static const char *
name_place(const char *path)
{
    static const struct {
        const char *part;
        const char *place;
    } places[] = {
        {"socket:", "socket"},
        {"anon_inode:", NULL},
        {"pipe:", NULL},
        {"/dev/", NULL},
        {"stderr", NULL},
        {"stdout", NULL},
        {"journal.sqlite-wal", "wal"},
        {"journal.sqlite", "journal"},
        {".eml", "spool"},
        {"/spool/", "spool"},
        {"lock", "lock"},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strstr(path, places[i].part) != NULL)
            return places[i].place;
    return "file";
}

static bool
find_path(int fd, char path[static PATH_MAX])
{
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static const char *
place_of(int fd)
{
    char path[PATH_MAX];
    return find_path(fd, path) ? name_place(path) : NULL;
}

static bool
is_below(const char *path)
{
    size_t n = strlen(full.folder);
    return n > 0 && strncmp(path, full.folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool
is_full(const char *path)
{
    if (!is_below(path) || syscall(SYS_faccessat, AT_FDCWD, full.flag, F_OK) != 0)
        return false;
    errno = full.error;
    return true;
}

static bool
is_fd_full(int fd)
{
    char path[PATH_MAX];
    int kept = errno;
    bool yes = full.error != 0 && find_path(fd, path) && is_full(path);
    if (!yes)
        errno = kept;
    return yes;
}

/* Whether `name` cannot be made: it is not there yet, and the disk is full. */
static bool
cannot_make(int folder, const char *name)
{
    char path[2 * PATH_MAX] = "";
    int kept = errno;
    if (full.error == 0 || syscall(SYS_faccessat, folder, name, F_OK) == 0)
        return false;
    if (name[0] != '/' && folder != AT_FDCWD) {
        find_path(folder, path);
        strcat(path, "/");
    }
    strncat(path, name, PATH_MAX - 1);
    bool yes = is_full(path);
    if (!yes)
        errno = kept;
    return yes;
}

/* --- writing --- */

ssize_t
write(int fd, const void *p, size_t n)
{
    REAL(write);
    if (is_fd_full(fd))
        return -1;
    bool deadly = begin("write", place_of(fd));
    ssize_t result = real(fd, p, n);
    end(deadly);
    return result;
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
    REAL(writev);
    if (is_fd_full(fd))
        return -1;
    bool deadly = begin("write", place_of(fd));
    ssize_t result = real(fd, v, n);
    end(deadly);
    return result;
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
    REAL(pwrite);
    if (is_fd_full(fd))
        return -1;
    bool deadly = begin("pwrite", place_of(fd));
    ssize_t result = real(fd, p, n, at);
    end(deadly);
    return result;
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    REAL(pwrite64);
    if (is_fd_full(fd))
        return -1;
    bool deadly = begin("pwrite", place_of(fd));
    ssize_t result = real(fd, p, n, at);
    end(deadly);
    return result;
}

int
ftruncate(int fd, off_t size)
{
    REAL(ftruncate);
    if (is_fd_full(fd))
        return -1;
    bool deadly = begin("ftruncate", place_of(fd));
    int result = real(fd, size);
    end(deadly);
    return result;
}

int
ftruncate64(int fd, off64_t size)
{
    REAL(ftruncate64);
    if (is_fd_full(fd))
        return -1;
    bool deadly = begin("ftruncate", place_of(fd));
    int result = real(fd, size);
    end(deadly);
    return result;
}

ssize_t
send(int fd, const void *p, size_t n, int flags)
{
    REAL(send);
    bool deadly = begin("write", place_of(fd));
    ssize_t result = real(fd, p, n, flags);
    end(deadly);
    return result;
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
    REAL(sendmsg);
    bool deadly = begin("write", place_of(fd));
    ssize_t result = real(fd, message, flags);
    end(deadly);
    return result;
}

/* --- names --- */

static bool
begin_open(const char *name, int flags)
{
    return begin("make", flags & O_CREAT ? name_place(name) : NULL);
}

/* The last argument of a function that is called like open(). */
#define MODE_BEHIND(flags, mode)                              \
    va_list more;                                             \
    va_start(more, flags);                                    \
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0; \
    va_end(more)

int
open(const char *name, int flags, ...)
{
    REAL(open);
    MODE_BEHIND(flags, mode);
    if (flags & O_CREAT && cannot_make(AT_FDCWD, name))
        return -1;
    bool deadly = begin_open(name, flags);
    int result = real(name, flags, mode);
    end(deadly);
    return result;
}

int
open64(const char *name, int flags, ...)
{
    REAL(open64);
    MODE_BEHIND(flags, mode);
    if (flags & O_CREAT && cannot_make(AT_FDCWD, name))
        return -1;
    bool deadly = begin_open(name, flags);
    int result = real(name, flags, mode);
    end(deadly);
    return result;
}

int
openat(int folder, const char *name, int flags, ...)
{
    REAL(openat);
    MODE_BEHIND(flags, mode);
    if (flags & O_CREAT && cannot_make(folder, name))
        return -1;
    bool deadly = begin_open(name, flags);
    int result = real(folder, name, flags, mode);
    end(deadly);
    return result;
}

int
openat64(int folder, const char *name, int flags, ...)
{
    REAL(openat64);
    MODE_BEHIND(flags, mode);
    if (flags & O_CREAT && cannot_make(folder, name))
        return -1;
    bool deadly = begin_open(name, flags);
    int result = real(folder, name, flags, mode);
    end(deadly);
    return result;
}

int
mkdir(const char *name, mode_t mode)
{
    REAL(mkdir);
    if (cannot_make(AT_FDCWD, name))
        return -1;
    bool is_new = syscall(SYS_faccessat, AT_FDCWD, name, F_OK) != 0;
    bool deadly = begin("mkdir", is_new ? name_place(name) : NULL);
    int result = real(name, mode);
    end(deadly);
    return result;
}

int
unlink(const char *name)
{
    REAL(unlink);
    bool deadly = begin("unlink", name_place(name));
    int result = real(name);
    end(deadly);
    return result;
}

int
unlinkat(int folder, const char *name, int flags)
{
    REAL(unlinkat);
    bool deadly = begin("unlink", name_place(name));
    int result = real(folder, name, flags);
    end(deadly);
    return result;
}

int
rename(const char *from, const char *to)
{
    REAL(rename);
    if (cannot_make(AT_FDCWD, to))
        return -1;
    bool deadly = begin("rename", name_place(to));
    int result = real(from, to);
    end(deadly);
    return result;
}

/* --- flushes --- */

int
fsync(int fd)
{
    REAL(fsync);
    bool deadly = begin("fsync", place_of(fd));
    int result = real(fd);
    end(deadly);
    return result;
}

int
fdatasync(int fd)
{
    REAL(fdatasync);
    bool deadly = begin("fdatasync", place_of(fd));
    int result = real(fd);
    end(deadly);
    return result;
}

int
sync_file_range(int fd, off64_t at, off64_t n, unsigned flags)
{
    REAL(sync_file_range);
    bool deadly = begin("sync_file_range", place_of(fd));
    int result = real(fd, at, n, flags);
    end(deadly);
    return result;
}

int
syncfs(int fd)
{
    REAL(syncfs);
    bool deadly = begin("syncfs", place_of(fd));
    int result = real(fd);
    end(deadly);
    return result;
}

int
msync(void *p, size_t n, int flags)
{
    REAL(msync);
    bool deadly = begin("msync", "file");
    int result = real(p, n, flags);
    end(deadly);
    return result;
}

void
sync(void)
{
    REAL(sync);
    bool deadly = begin("sync", "file");
    real();
    end(deadly);
}

/* --- children --- */

int
posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
    const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    REAL(posix_spawn);
    bool reader = argv[0] != NULL && argv[1] != NULL && strcmp(argv[1], "__sort") == 0;
    bool deadly = begin("spawn", reader ? "reader" : "process");
    int result = real(pid, path, actions, attributes, argv, envp);
    end(deadly);
    return result;
}

/* Counted when there was a dead child to be seen, so there is no "before". */
int
waitid(idtype_t type, id_t id, siginfo_t *info, int flags)
{
    REAL(waitid);
    int result = real(type, id, info, flags);
    if (result == 0 && info != NULL && info->si_pid != 0)
        end(begin("reap", "process"));
    return result;
}

pid_t
waitpid(pid_t pid, int *status, int flags)
{
    REAL(waitpid);
    pid_t result = real(pid, status, flags);
    if (result > 0)
        end(begin("reap", "process"));
    return result;
}

/* --- the server's words --- */

int SSL_read_ex(void *ssl, void *p, size_t n, size_t *got);

int
SSL_read_ex(void *ssl, void *p, size_t n, size_t *got)
{
    REAL(SSL_read_ex);
    int result = real(ssl, p, n, got);
    if (result == 1 && memmem(p, *got, " EXISTS", 7) != NULL)
        end(begin("exists", "socket"));
    return result;
}
