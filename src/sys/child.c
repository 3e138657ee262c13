/* SPDX-License-Identifier: ISC */
/* One process from posix_spawn to its reaping.
 *
 * Starting happens in a pool thread: posix_spawn waits for the exec, and with a busy machine that
 * takes milliseconds the loop does not have. The end is told by a pidfd, where there is none by
 * SIGCHLD. The dead process is looked at with WNOWAIT and reaped only when its owner lets go, so
 * its number, which is also the number of its group, cannot be given to somebody else while
 * child_signal() may be called.
 *
 * Output and end are two things: at the end of the process the pipe is emptied, but it is watched
 * until nobody holds it any more. Refuses to know deadlines: who waits too long calls
 * child_signal(). */
#include "sys/child.h"

#include "base/mem.h"
#include "base/strv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

enum {
    TURN_MAX = 64 * 1024,  /* output taken in one turn: a chatty process must not hold the loop */
    EXIT_MAX = 1024 * 1024 /* and after the end, where somebody left behind may write for ever */
};

enum phase { STARTING, RUNNING, ENDED };

struct child {
    struct loop *loop;
    struct child_opts opts; /* path and cwd are our copies until the process has been started */
    struct strv argv;
    struct strv envp;
    enum phase phase;
    bool abandoned; /* closed by its owner, and waiting only to be reaped */
    int stdin_fd;
    int out_read;
    int out_write;
    struct loop_fd *out_watch; /* NULL: not yet, or the pipe has ended */
    bool out_open;
    pid_t pid; /* 0: no process */
    int pid_fd;
    struct loop_fd *pid_watch;
    struct loop_signal *sigchld;
    struct loop_end loop_end;
    uint64_t owed_signals; /* asked for before there was a process, bit by number */
    int spawn_errno;
    const char *failed;
};

static int
fail(struct child *c, const char *what, int error)
{
    c->failed = what;
    c->spawn_errno = error;
    return -1;
}

static void
close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* --- starting: in the pool thread --- */

/* chdir's failure looks just like exec's, so the folder is looked at before. */
static int
check_cwd(struct child *c)
{
    struct stat st;
    const char *cwd = c->opts.cwd;
    if (cwd == NULL)
        return 0;
    if (stat(cwd, &st) != 0 || access(cwd, X_OK) != 0)
        return fail(c, "working directory", errno);
    if (!S_ISDIR(st.st_mode))
        return fail(c, "working directory", ENOTDIR);
    return 0;
}

static int
add_stdin(struct child *c, posix_spawn_file_actions_t *actions)
{
    if (c->stdin_fd < 0)
        return posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    return posix_spawn_file_actions_adddup2(actions, c->stdin_fd, 0);
}

static int
add_output(struct child *c, posix_spawn_file_actions_t *actions, int fd, bool capture)
{
    if (capture)
        return posix_spawn_file_actions_adddup2(actions, c->out_write, fd);
#ifdef __APPLE__
    return posix_spawn_file_actions_addinherit_np(actions, fd);
#else
    return 0;
#endif
}

/* Everything of ours is close-on-exec; this is for what a library or our parent left open. */
static int
add_close_rest(posix_spawn_file_actions_t *actions)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    return posix_spawn_file_actions_addclosefrom_np(actions, 3);
#else
    (void)actions;
    return 0;
#endif
}

static int
add_actions(struct child *c, posix_spawn_file_actions_t *actions)
{
    int error = add_stdin(c, actions);
    if (error == 0)
        error = add_output(c, actions, 1, c->opts.capture_out);
    if (error == 0)
        error = add_output(c, actions, 2, c->opts.capture_err);
    if (error == 0 && c->opts.cwd != NULL)
        error = posix_spawn_file_actions_addchdir_np(actions, c->opts.cwd);
    if (error == 0)
        error = add_close_rest(actions);
    return error;
}

static int
set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    sigfillset(&all);
    sigdelset(&all, SIGKILL); /* some systems refuse these two */
    sigdelset(&all, SIGSTOP);
    sigemptyset(&none);
    short flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
#ifdef POSIX_SPAWN_CLOEXEC_DEFAULT
    flags |= POSIX_SPAWN_CLOEXEC_DEFAULT;
#endif
    int error = posix_spawnattr_setflags(attributes, flags);
    if (error == 0)
        error = posix_spawnattr_setpgroup(attributes, 0);
    if (error == 0)
        error = posix_spawnattr_setsigdefault(attributes, &all);
    if (error == 0)
        error = posix_spawnattr_setsigmask(attributes, &none);
    return error;
}

/* The umask belongs to the process and posix_spawn cannot set it, so it is ours for the moment of
 * the exec. The lock keeps two children from taking each other's, those that want ours included.
 * Other threads may create files meanwhile: harmless, since every file of this program is created
 * with a mode that gives nothing to group and others. */
static int
spawn_with_umask(
    struct child *c, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static char *nothing[] = {NULL};
    pthread_mutex_lock(&lock);
    mode_t ours = c->opts.umask >= 0 ? umask((mode_t)c->opts.umask) : 0;
    int error = posix_spawn(&c->pid, c->opts.path, actions, attributes,
        c->argv.v != NULL ? c->argv.v : nothing, c->envp.v != NULL ? c->envp.v : nothing);
    if (c->opts.umask >= 0)
        umask(ours);
    pthread_mutex_unlock(&lock);
    return error;
}

static int
spawn(struct child *c)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error != 0)
        goto no_attributes;
    error = add_actions(c, &actions);
    if (error == 0)
        error = set_attributes(&attributes);
    if (error == 0)
        error = spawn_with_umask(c, &actions, &attributes);
    posix_spawnattr_destroy(&attributes);
no_attributes:
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Whose fault an errno of posix_spawn is. */
static const char *
name_failure(const struct child *c, int error)
{
    if (error == ENOENT)
        return access(c->opts.path, F_OK) == 0 ? "interpreter" : "program";
    if (error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE)
        return "process";
    return "program";
}

static int
open_pidfd(pid_t pid)
{
#if defined(__linux__) && defined(SYS_pidfd_open)
    return (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */
#else
    (void)pid;
    return -1;
#endif
}

static void
start_in_pool(void *arg)
{
    struct child *c = arg;
    if (c->failed != NULL || check_cwd(c) != 0)
        return;
    int error = spawn(c);
    if (error != 0) {
        fail(c, name_failure(c, error), error);
        c->pid = 0;
        return;
    }
    c->pid_fd = open_pidfd(c->pid);
}

/* --- letting go --- */

static void
free_orders(struct child *c)
{
    free((char *)c->opts.path);
    free((char *)c->opts.cwd);
    c->opts.path = c->opts.cwd = NULL;
    strv_free(&c->argv);
    strv_free(&c->envp);
    close_fd(&c->stdin_fd);
    close_fd(&c->out_write);
}

static void
stop_output(struct child *c)
{
    loop_fd_close(c->out_watch);
    c->out_watch = NULL;
    close_fd(&c->out_read);
    c->out_open = false;
}

static void
stop_watching(struct child *c)
{
    loop_fd_close(c->pid_watch);
    c->pid_watch = NULL;
    close_fd(&c->pid_fd);
    loop_signal_close(c->sigchld);
    c->sigchld = NULL;
}

static void
dispose(struct child *c)
{
    stop_output(c);
    stop_watching(c);
    list_remove(&c->loop_end.link);
    if (c->phase == ENDED && c->pid > 0)
        waitpid(c->pid, NULL, 0); /* dead already: does not wait */
    loop_discard(c->loop, c);
}

static void
on_loop_end(void *arg)
{
    dispose(arg);
}

/* --- output --- */

/* One read; false when there is no more for now. */
static bool
read_once(struct child *c, size_t *total)
{
    char bytes[TURN_MAX];
    ssize_t n = read(c->out_read, bytes, sizeof bytes);
    if (n > 0) {
        *total += (size_t)n;
        c->opts.on_output(c->opts.arg, (struct span){bytes, (size_t)n});
        return true;
    }
    if (n < 0 && errno == EINTR)
        return true;
    if (n == 0 || errno != EAGAIN)
        stop_output(c);
    return false;
}

static void
read_output(struct child *c, size_t max)
{
    size_t total = 0;
    while (c->out_open && !c->abandoned && total < max && read_once(c, &total))
        continue;
}

static void
tell_eof(struct child *c)
{
    bool captured = c->opts.capture_out || c->opts.capture_err;
    if (captured && !c->out_open && !c->abandoned && c->opts.on_eof != NULL)
        c->opts.on_eof(c->opts.arg);
}

static void
on_out_ready(void *arg, int events)
{
    (void)events;
    struct child *c = arg;
    read_output(c, 1);
    if (c->phase == ENDED)
        tell_eof(c);
}

/* --- the end --- */

static void
end(struct child *c, int status)
{
    c->phase = ENDED;
    stop_watching(c);
    if (c->abandoned) {
        dispose(c);
        return;
    }
    read_output(c, EXIT_MAX);
    if (!c->abandoned)
        c->opts.on_exit(c->opts.arg, status, c->spawn_errno);
    tell_eof(c);
}

/* Whether the process is dead, and its wait status; it stays a zombie. */
static bool
has_ended(const struct child *c, int *status)
{
    siginfo_t info = {0};
    int result = waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    assert(result == 0); /* nobody but us reaps our children */
    (void)result;
    if (info.si_pid == 0)
        return false;
    /* waitid speaks of codes, our contract of wait's status; its shape is the same everywhere */
    *status = info.si_code == CLD_EXITED ? (info.si_status & 0xFF) << 8 : info.si_status & 0x7F;
    if (info.si_code == CLD_DUMPED)
        *status |= 0x80;
    return true;
}

static void
look_for_end(struct child *c)
{
    int status;
    if (has_ended(c, &status))
        end(c, status);
}

static void
on_pid_ready(void *arg, int events)
{
    (void)events;
    look_for_end(arg);
}

static void
on_sigchld(void *arg, int number)
{
    (void)number;
    look_for_end(arg);
}

static void
watch_process(struct child *c)
{
    c->phase = RUNNING;
    if (c->pid_fd >= 0) {
        c->pid_watch = loop_fd_new(c->loop, c->pid_fd, on_pid_ready, c);
        loop_fd_want(c->pid_watch, LOOP_READ);
        return;
    }
    c->sigchld = loop_signal_new(c->loop, SIGCHLD, on_sigchld, c);
    look_for_end(c); /* it may have died before the signal was ours */
}

static void
send_owed_signals(struct child *c)
{
    for (int number = 1; number < 64; number++)
        if (c->owed_signals >> number & 1)
            killpg(c->pid, number);
}

/* Back in the loop's thread. */
static void
on_started(void *arg)
{
    struct child *c = arg;
    free_orders(c);
    if (c->failed != NULL) {
        stop_output(c);
        end(c, 0);
        return;
    }
    send_owed_signals(c);
    if (c->abandoned) {
        stop_output(c);
        loop_at_end(c->loop, &c->loop_end);
    } else if (c->out_open) {
        c->out_watch = loop_fd_new(c->loop, c->out_read, on_out_ready, c);
        loop_fd_want(c->out_watch, LOOP_READ);
    }
    watch_process(c);
}

/* --- the orders --- */

/* A pipe whose reading end does not block; the process at the other end may expect that its does.
 */
static int
open_pipe(struct child *c)
{
    int fds[2];
#ifdef __APPLE__
    if (pipe(fds) != 0)
        return fail(c, "output pipe", errno);
    fcntl(fds[0], F_SETFD, FD_CLOEXEC);
    fcntl(fds[1], F_SETFD, FD_CLOEXEC);
#else
    if (pipe2(fds, O_CLOEXEC) != 0)
        return fail(c, "output pipe", errno);
#endif
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    c->out_read = fds[0];
    c->out_write = fds[1];
    c->out_open = true;
    return 0;
}

static int
copy_stdin(struct child *c, int fd)
{
    /* above 2, or the dup2 of another stream would run it over */
    c->stdin_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return c->stdin_fd >= 0 ? 0 : fail(c, "standard input", errno);
}

static void
copy_strings(struct strv *to, char *const *from)
{
    for (; from != NULL && *from != NULL; from++)
        strv_add(to, *from);
}

struct child *
child_start(struct loop *l, const struct child_opts *opts)
{
    struct child *c = xcalloc(1, sizeof *c);
    c->loop = l;
    c->opts = *opts;
    c->opts.path = xstrdup(opts->path);
    c->opts.cwd = opts->cwd != NULL ? xstrdup(opts->cwd) : NULL;
    copy_strings(&c->argv, opts->argv);
    copy_strings(&c->envp, opts->envp);
    c->stdin_fd = c->out_read = c->out_write = c->pid_fd = -1;
    c->loop_end = (struct loop_end){.on_end = on_loop_end, .arg = c};
    list_init(&c->loop_end.link);
    if (opts->stdin_fd >= 0)
        copy_stdin(c, opts->stdin_fd);
    if (c->failed == NULL && (opts->capture_out || opts->capture_err))
        open_pipe(c);
    loop_work(l, start_in_pool, on_started, c);
    return c;
}

void
child_signal(struct child *c, int signal)
{
    assert(signal > 0 && signal < 64);
    if (c->phase == STARTING)
        c->owed_signals |= (uint64_t)1 << signal;
    else if (c->pid > 0)
        killpg(c->pid, signal);
}

const char *
child_failed(const struct child *c)
{
    return c->failed;
}

void
child_close(struct child *c)
{
    if (c == NULL)
        return;
    c->abandoned = true;
    if (c->phase == ENDED) {
        dispose(c);
    } else if (c->phase == RUNNING) {
        stop_output(c);
        loop_at_end(c->loop, &c->loop_end);
    }
}
