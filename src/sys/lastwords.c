/* SPDX-License-Identifier: ISC */
/* The handler writes, puts the earlier disposition back and lets the signal come once more: a fault
 * by going back to the instruction that caused it, with all that a debugger or a sanitizer wants to
 * know of it; what was sent by raising it again. So we die as if we had never been here.
 *
 * Two sets of words take turns: one is filled while the other stands, then one store of a pointer
 * makes it stand. Wherever a signal comes between, in this thread or another, what it finds is
 * whole.
 *
 * Everything the handler needs is static and was opened before. An overflowed stack needs another
 * to run the handler on; where somebody has provided one, it is left in place. */
#include "sys/lastwords.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGSYS};

enum {
    N_DEADLY = sizeof deadly / sizeof *deadly,
    STACK_SIZE = 64 * 1024 /* more than any MINSIGSTKSZ, wide registers included */
};

struct words {
    size_t n;
    char text[LASTWORDS_MAX];
};

static struct {
    int fd; /* -1: not open */
    _Atomic(const struct words *) standing;
    struct words sets[2];
    unsigned turn;
    struct sigaction before[N_DEADLY];
    bool own_stack;
    _Alignas(16) char stack[STACK_SIZE];
} last = {.fd = -1};

/* --- dying: async-signal-safe --- */

static void
write_words(void)
{
    const struct words *words = atomic_load_explicit(&last.standing, memory_order_acquire);
    if (words == NULL)
        return;
    ssize_t n = pwrite(last.fd, words->text, words->n, 0);
    (void)n; /* whom should it be told? */
}

/* Whether the instruction that is gone back to causes the signal again. What was sent does not, and
 * has a code that no fault has: below 1 on Linux, far above on the BSDs. SIGSYS does not: the call
 * is over. SIGABRT was raised, whatever its code. */
static bool
comes_again_by_itself(int sig, const siginfo_t *info)
{
    bool sent = info->si_code <= 0 || info->si_code > 0xffff;
    return !sent && sig != SIGSYS && sig != SIGABRT;
}

static void
on_deadly(int sig, siginfo_t *info, void *context)
{
    (void)context;
    write_words();
    for (int i = 0; i < N_DEADLY; i++)
        if (deadly[i] == sig)
            sigaction(sig, &last.before[i], NULL);
    if (!comes_again_by_itself(sig, info))
        raise(sig); /* it is blocked here, and comes when we return */
}

/* --- opening --- */

static int
empty_file(int fd, const char *path, struct buf *found, struct err *e)
{
    ssize_t n = pread(fd, buf_room(found, LASTWORDS_MAX), LASTWORDS_MAX, 0);
    found->n += n > 0 ? (size_t)n : 0;
    buf_end(found);
    return n >= 0 && ftruncate(fd, 0) == 0 ? 0 : err_sys(e, ERR_IO, errno, "%s", path);
}

static int
check_file(int fd, const char *path, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(e, ERR_CREATE, errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_CREATE, "%s: is not a file", path);
    if (st.st_uid != geteuid())
        return err_set(e, ERR_CREATE, "%s: belongs to somebody else", path);
    if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600) < 0)
        return err_sys(e, ERR_CREATE, errno, "%s", path);
    return 0;
}

static int
open_file(const char *path, struct buf *found, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(e, ERR_CREATE, errno, "%s", path);
    if (check_file(fd, path, e) == 0 && empty_file(fd, path, found, e) == 0)
        return fd;
    close(fd);
    return -1;
}

static void
provide_stack(void)
{
    stack_t now;
    stack_t ours = {.ss_sp = last.stack, .ss_size = sizeof last.stack};
    last.own_stack = sigaltstack(NULL, &now) == 0 && (now.ss_flags & SS_DISABLE) != 0 &&
                     sigaltstack(&ours, NULL) == 0;
}

static void
take_signals(void)
{
    struct sigaction act = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    act.sa_sigaction = on_deadly;
    sigfillset(&act.sa_mask);
    for (int i = 0; i < N_DEADLY; i++)
        sigaction(deadly[i], &act, &last.before[i]);
}

int
lastwords_open(const char *path, struct buf *found, struct err *e)
{
    assert(last.fd < 0);
    if ((last.fd = open_file(path, found, e)) < 0)
        return -1;
    lastwords_nothing();
    provide_stack();
    take_signals();
    return 0;
}

void
lastwords_say(struct span words)
{
    struct words *next = &last.sets[++last.turn % 2];
    next->n = words.n < LASTWORDS_MAX ? words.n : LASTWORDS_MAX;
    if (next->n > 0)
        memcpy(next->text, words.p, next->n);
    atomic_store_explicit(&last.standing, next, memory_order_release);
}

void
lastwords_nothing(void)
{
    atomic_store_explicit(&last.standing, NULL, memory_order_release);
}

void
lastwords_close(void)
{
    if (last.fd < 0)
        return;
    lastwords_nothing();
    for (int i = 0; i < N_DEADLY; i++)
        sigaction(deadly[i], &last.before[i], NULL);
    if (last.own_stack)
        sigaltstack(&(stack_t){.ss_flags = SS_DISABLE, .ss_size = sizeof last.stack}, NULL);
    close(last.fd);
    last.fd = -1;
}
