/* SPDX-License-Identifier: ISC */
/* Walls out of what the system has: resource limits everywhere, Landlock and seccomp on Linux. They
 * overlap on purpose: each alone keeps the file system shut.
 *
 * System calls that libraries make on their own when they look something up (a locale, a time zone)
 * are refused, so that they go on without; what no library here needs is death. Executable memory
 * cannot be had: patterns are compiled before, and matching needs none. Refuses to know who is
 * inside and what is passed through the descriptors. */
#include "sort/sandbox.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#ifndef __has_feature /* clang's way to say what gcc says by a macro */
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum { DESCRIPTORS_MAX = 16 };

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* --- limits --- */

struct limit {
    int resource;
    const char *name;
    uint64_t value;
};

static int
set_limit(const struct limit *l, struct err *e)
{
    struct rlimit now;
    if (getrlimit(l->resource, &now) != 0)
        return err_sys(e, ERR_SYSTEM, errno, "sandbox: limit of %s", l->name);
    rlim_t value = (rlim_t)l->value;
    if (now.rlim_max != RLIM_INFINITY && now.rlim_max < value)
        value = now.rlim_max;
    if (setrlimit(l->resource, &(struct rlimit){value, value}) != 0)
        return err_sys(e, ERR_SYSTEM, errno, "sandbox: limit of %s", l->name);
    return 0;
}

static int
enter_limits(const struct sandbox_limits *limits, struct err *e)
{
    const struct limit table[] = {
        {RLIMIT_CORE, "core files", 0},
#ifdef __APPLE__ /* where it counts what every process shares */
        {RLIMIT_DATA, "memory", limits->memory},
#else
        {RLIMIT_AS, "memory", limits->memory},
#endif
        {RLIMIT_FSIZE, "file sizes", limits->file},
        {RLIMIT_NOFILE, "descriptors", DESCRIPTORS_MAX},
        {RLIMIT_NPROC, "processes", 0},
    };
#ifdef __linux__
    if (prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_sys(e, ERR_SYSTEM, errno, "sandbox: new privileges");
#endif
    for (size_t i = 0; i < COUNT(table); i++)
        if (set_limit(&table[i], e) != 0)
            return -1;
    return 0;
}

static uint64_t
cpu_seconds_used(void)
{
    struct timespec used;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0)
        return 0;
    return (uint64_t)used.tv_sec + 1;
}

void
sandbox_allow_cpu(unsigned seconds)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_CPU, &limit) != 0)
        return;
    rlim_t end = (rlim_t)(cpu_seconds_used() + seconds);
    if (limit.rlim_max == RLIM_INFINITY || end < limit.rlim_max)
        limit.rlim_cur = end;
    setrlimit(RLIMIT_CPU, &limit);
}

/* --- Landlock, by its system calls: no C library has them --- */

#if defined(__linux__) && defined(SYS_landlock_create_ruleset)

/* What a ruleset forbids, as the kernel's newest header has it; older kernels know less. */
struct landlock_attr {
    uint64_t files;
    uint64_t connections;
    uint64_t others;
};

static const struct {
    long version; /* from this one on */
    size_t size;
    struct landlock_attr attr;
} landlock_versions[] = {
    {6, 24, {0xFFFF, 3, 3}}, /* other processes' sockets and signals */
    {5, 16, {0xFFFF, 3, 0}}, /* devices */
    {4, 16, {0x7FFF, 3, 0}}, /* TCP */
    {3, 8, {0x7FFF, 0, 0}},  /* truncation */
    {2, 8, {0x3FFF, 0, 0}},  /* moving between folders */
    {1, 8, {0x1FFF, 0, 0}},
};

static long
landlock_version(void)
{
    enum { ASK_VERSION = 1 };
    return syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_VERSION);
}

static int
restrict_self(int ruleset)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
}

/* A ruleset without a rule: nothing is allowed. */
static int
enter_landlock(struct err *e)
{
    long version = landlock_version();
    size_t i = 0;
    while (i < COUNT(landlock_versions) - 1 && landlock_versions[i].version > version)
        i++;
    int ruleset = (int)syscall(
        SYS_landlock_create_ruleset, &landlock_versions[i].attr, landlock_versions[i].size, 0);
    if (ruleset < 0)
        return err_sys(e, ERR_SYSTEM, errno, "sandbox: landlock");
    int result = restrict_self(ruleset);
    if (result != 0)
        err_sys(e, ERR_SYSTEM, errno, "sandbox: landlock");
    close(ruleset);
    return result != 0 ? -1 : 0;
}

#else

static long
landlock_version(void)
{
    return -1;
}

static int
enter_landlock(struct err *e)
{
    return err_set(e, ERR_SYSTEM, "sandbox: no landlock");
}

#endif

/* --- seccomp --- */

#ifdef __linux__

/* Reading, answering, memory, time, and an end: abort() included, so that it looks like one. */
static const int allowed[] = {SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),
    SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(lseek), SCMP_SYS(munmap), SCMP_SYS(mremap),
    SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(futex), SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom), SCMP_SYS(sysinfo),
    SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(rt_sigprocmask), SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    /* the same on 32 bits */
    SCMP_SYS(fstat64), SCMP_SYS(_llseek), SCMP_SYS(futex_time64), SCMP_SYS(clock_gettime64)};

/* Asked by libraries, answered EACCES. */
static const int refused[] = {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(stat64),
    SCMP_SYS(fstatat64), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(access),
    SCMP_SYS(faccessat), SCMP_SYS(readlink), SCMP_SYS(ioctl)};

/* Allowed where an argument is what it has to be. */
static int
allow_some(scmp_filter_ctx c)
{
    const struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    const struct scmp_arg_cmp own_process = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0);
    const struct scmp_arg_cmp my_cpu[] = {
        SCMP_A0(SCMP_CMP_EQ, 0, 0), SCMP_A1(SCMP_CMP_EQ, RLIMIT_CPU, 0)};
    int error = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, no_exec);
    if (error == 0)
        error = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap2), 1, no_exec);
    if (error == 0)
        error = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, no_exec);
    if (error == 0)
        error = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, own_process);
    if (error == 0)
        error = seccomp_rule_add_array(c, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, my_cpu);
    return error;
}

static int
fill_filter(scmp_filter_ctx c)
{
    int error = seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (error == 0)
        error = seccomp_attr_set(c, SCMP_FLTATR_CTL_TSYNC, 1);
    for (size_t i = 0; error == 0 && i < COUNT(allowed); i++)
        error = seccomp_rule_add(c, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; error == 0 && i < COUNT(refused); i++)
        error = seccomp_rule_add(c, SCMP_ACT_ERRNO(EACCES), refused[i], 0);
    return error != 0 ? error : allow_some(c);
}

static int
enter_seccomp(struct err *e)
{
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (c == NULL)
        return err_set(e, ERR_SYSTEM, "sandbox: seccomp: no filter");
    int error = fill_filter(c);
    if (error == 0)
        error = seccomp_load(c);
    seccomp_release(c);
    return error == 0 ? 0 : err_sys(e, ERR_SYSTEM, -error, "sandbox: seccomp");
}

/* The kernel looks at the filter, and says so, only if it can have one. */
static bool
has_seccomp(void)
{
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0) != 0 && errno == EFAULT;
}

#else

static int
enter_seccomp(struct err *e)
{
    return err_set(e, ERR_SYSTEM, "sandbox: no seccomp");
}

static bool
has_seccomp(void)
{
    return false;
}

#endif

/* --- all of them --- */

unsigned
sandbox_available(void)
{
    if (SANITIZED)
        return 0;
    unsigned walls = WALL_LIMITS;
    if (landlock_version() >= 1)
        walls |= WALL_LANDLOCK;
    if (has_seccomp())
        walls |= WALL_SECCOMP;
    return walls;
}

const char *
sandbox_walls(void)
{
    static const char *const words[] = {
        [0] = "none (sanitizer build)",
        [WALL_LIMITS] = "limits",
        [WALL_LANDLOCK | WALL_LIMITS] = "landlock, limits",
        [WALL_SECCOMP | WALL_LIMITS] = "seccomp, limits",
        [WALL_SECCOMP | WALL_LANDLOCK | WALL_LIMITS] = "seccomp, landlock, limits",
    };
    return words[sandbox_available()];
}

int
sandbox_enter(unsigned walls, const struct sandbox_limits *limits, struct err *e)
{
    if ((walls & WALL_LIMITS) != 0 && enter_limits(limits, e) != 0)
        return -1;
    if ((walls & WALL_LANDLOCK) != 0 && enter_landlock(e) != 0)
        return -1;
    if ((walls & WALL_SECCOMP) != 0 && enter_seccomp(e) != 0)
        return -1;
    return 0;
}
