/* sort: what a process can still do behind the walls. Each attempt is a child of its own. */
#include "sort/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MEMORY = 256 * 1024 * 1024, FILE_SIZE = 64 * 1024 };
enum { SUCCEEDED = 10, REFUSED = 11, NOT_ENTERED = 12 };

static int folder = -1; /* handed over from before, as a descriptor may be */
static const struct sandbox_limits limits = {.memory = MEMORY, .file = FILE_SIZE};

/* How the attempt ended: SUCCEEDED, REFUSED, or the signal that ended it, negative. */
static int
attempt(unsigned walls, bool (*try)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (sandbox_enter(walls, &limits, NULL) != 0)
            _exit(NOT_ENTERED);
        errno = 0;
        _exit(try() ? SUCCEEDED : REFUSED);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void
need(unsigned walls)
{
    if ((sandbox_available() & walls) != walls)
        skip();
}

static bool
open_a_file(void)
{
    return open("/etc/passwd", O_RDONLY) >= 0;
}

static bool
open_a_file_by_a_folder(void)
{
    return openat(folder, "there", O_RDONLY) >= 0;
}

static bool
create_a_file(void)
{
    return open("/tmp/mailcall-sandbox-escaped", O_WRONLY | O_CREAT, 0600) >= 0;
}

static bool
create_a_file_in_a_folder(void)
{
    return openat(folder, "escaped", O_WRONLY | O_CREAT, 0600) >= 0;
}

static bool
remove_a_file(void)
{
    return unlinkat(folder, "there", 0) == 0;
}

static bool
make_a_folder(void)
{
    return mkdirat(folder, "escaped", 0700) == 0;
}

static bool
look_at_a_file(void)
{
    struct stat st;
    return stat("/etc/passwd", &st) == 0;
}

static bool
execute(void)
{
    execl("/bin/true", "true", (char *)NULL);
    return false;
}

static bool
make_a_process(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid > 0;
}

static bool
make_a_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static bool
signal_the_parent(void)
{
    return kill(getppid(), 0) == 0;
}

static bool
trace_the_parent(void)
{
    return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0;
}

static bool
give_up(void)
{
    abort();
}

static bool
make_memory_executable(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
           MAP_FAILED;
}

static bool
raise_a_limit(void)
{
    return setrlimit(RLIMIT_AS, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}) == 0;
}

/* Behind every wall nothing works: each is refused, or death by seccomp. */
static void
nothing_can_be_reached(void **state)
{
    (void)state;
    static const struct {
        bool (*try)(void);
        bool deadly;
    } table[] = {
        {open_a_file, false},
        {open_a_file_by_a_folder, false},
        {create_a_file, false},
        {create_a_file_in_a_folder, false},
        {look_at_a_file, false},
        {remove_a_file, true},
        {make_a_folder, true},
        {execute, true},
        {make_a_process, true},
        {make_a_socket, true},
        {signal_the_parent, true},
        {trace_the_parent, true},
        {make_memory_executable, true},
        {raise_a_limit, true},
    };
    need(WALL_LIMITS | WALL_SECCOMP);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int result = attempt(sandbox_available(), table[i].try);
        assert_int_equal(result, table[i].deadly ? -SIGSYS : REFUSED);
        /* and it is the walls that do it: all of these work outside, or could for root */
        if (table[i].try != trace_the_parent && table[i].try != raise_a_limit)
            assert_int_equal(attempt(0, table[i].try), table[i].try == execute ? 0 : SUCCEEDED);
        unlinkat(folder, "escaped", 0);
        unlinkat(folder, "escaped", AT_REMOVEDIR);
        unlink("/tmp/mailcall-sandbox-escaped");
        close(openat(folder, "there", O_WRONLY | O_CREAT, 0600));
    }
    assert_int_equal(attempt(sandbox_available(), give_up), -SIGABRT);
}

/* Landlock is the second wall around files, for the day when the first has a hole. */
static void
landlock_alone_keeps_the_files_shut(void **state)
{
    (void)state;
    static bool (*const tries[])(void) = {open_a_file, open_a_file_by_a_folder, create_a_file,
        create_a_file_in_a_folder, remove_a_file, make_a_folder, execute};
    need(WALL_LANDLOCK);
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        assert_int_equal(attempt(WALL_LANDLOCK, tries[i]), REFUSED);
}

/* --- what must still work --- */

static bool
work_as_ever(void)
{
    struct timespec t;
    char *large = malloc(32 * 1024 * 1024);
    char *larger = realloc(large, 64 * 1024 * 1024);
    if (larger == NULL || clock_gettime(CLOCK_MONOTONIC, &t) != 0)
        return false;
    memset(larger, 1, 64 * 1024 * 1024);
    free(larger);
    sandbox_allow_cpu(10);
    sandbox_allow_cpu(20);
    return fprintf(stderr, "%s", "") >= 0;
}

static void
honest_work_goes_on(void **state)
{
    (void)state;
    assert_int_equal(attempt(sandbox_available(), work_as_ever), SUCCEEDED);
}

static bool
take_too_much_memory(void)
{
    return mmap(NULL, (size_t)MEMORY + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
               0) != MAP_FAILED;
}

static bool
write_too_large_a_file(void)
{
    static char bytes[2 * FILE_SIZE];
    int fd = openat(folder, "large", O_WRONLY | O_CREAT, 0600);
    return fd >= 0 && write(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes;
}

static bool
take_too_many_descriptors(void)
{
    int fd = 0;
    for (int i = 0; i < 32 && fd >= 0; i++)
        fd = dup(folder);
    return fd >= 0;
}

static bool
think_for_ever(void)
{
    sandbox_allow_cpu(0);
    for (volatile bool thinking = true; thinking;)
        continue;
    return true;
}

static void
limits_hold(void **state)
{
    (void)state;
    need(WALL_LIMITS);
    assert_int_equal(attempt(WALL_LIMITS, take_too_much_memory), REFUSED);
    assert_int_equal(attempt(WALL_LIMITS, take_too_many_descriptors), REFUSED);
    assert_int_equal(attempt(WALL_LIMITS, write_too_large_a_file), REFUSED);
    assert_int_equal(attempt(WALL_LIMITS, think_for_ever), -SIGXCPU);
    assert_int_equal(attempt(sandbox_available(), think_for_ever), -SIGXCPU);
    unlinkat(folder, "large", 0);
}

static void
the_walls_that_stand_have_names(void **state)
{
    (void)state;
    const char *walls = sandbox_walls();
    unsigned available = sandbox_available();
    assert_int_equal(strstr(walls, "limits") != NULL, (available & WALL_LIMITS) != 0);
    assert_int_equal(strstr(walls, "landlock") != NULL, (available & WALL_LANDLOCK) != 0);
    assert_int_equal(strstr(walls, "seccomp") != NULL, (available & WALL_SECCOMP) != 0);
}

int
main(void)
{
    char path[] = "/tmp/mailcall-sandbox-XXXXXX";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_can_be_reached),
        cmocka_unit_test(landlock_alone_keeps_the_files_shut),
        cmocka_unit_test(honest_work_goes_on),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(the_walls_that_stand_have_names),
    };
    if (mkdtemp(path) == NULL || (folder = open(path, O_RDONLY | O_DIRECTORY)) < 0)
        return 1;
    close(openat(folder, "there", O_WRONLY | O_CREAT, 0600));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlinkat(folder, "there", 0);
    close(folder);
    rmdir(path);
    return failed;
}
