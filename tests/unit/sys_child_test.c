/* sys/child: processes from start to end. All of it runs twice on Linux: with pidfds, and with the
 * system call refused, by SIGCHLD as on other systems. */
#include "sys/child.h"

#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include <cmocka.h>

static struct loop *loop;
static char folder[] = "/tmp/mailcall-child-XXXXXX";

/* What was heard of one child. */
struct heard {
    struct child *child;
    struct buf out;
    int exits;
    int eofs;
    int status;
    int spawn_errno;
    size_t out_at_exit;
    bool close_at_output;
    bool close_at_exit;
};

static void
on_output(void *arg, struct span bytes)
{
    struct heard *h = arg;
    assert_int_equal(h->eofs, 0);
    buf_addspan(&h->out, bytes);
    if (h->close_at_output) {
        child_close(h->child);
        h->child = NULL;
    }
}

static void
on_exit_(void *arg, int status, int spawn_errno)
{
    struct heard *h = arg;
    h->exits++;
    h->status = status;
    h->spawn_errno = spawn_errno;
    h->out_at_exit = h->out.n;
    if (h->close_at_exit) {
        child_close(h->child);
        h->child = NULL;
    }
}

static void
on_eof(void *arg)
{
    struct heard *h = arg;
    assert_int_equal(h->exits, 1);
    h->eofs++;
}

static struct child_opts
shell(struct heard *h, const char *script)
{
    static const char *argv[] = {"sh", "-c", NULL, NULL};
    static const char *envp[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", NULL};
    argv[2] = script;
    *h = (struct heard){0};
    return (struct child_opts){.path = "/bin/sh",
        .argv = (char *const *)argv,
        .envp = (char *const *)envp,
        .umask = -1,
        .stdin_fd = -1,
        .capture_out = true,
        .capture_err = true,
        .on_output = on_output,
        .on_exit = on_exit_,
        .on_eof = on_eof,
        .arg = h};
}

static void
start(struct heard *h, const struct child_opts *opts)
{
    h->child = child_start(loop, opts);
}

static void
until_exit(struct heard *h)
{
    while (h->exits == 0)
        loop_turn(loop, true);
}

static void
until_eof(struct heard *h)
{
    while (h->eofs == 0)
        loop_turn(loop, true);
}

static void
until_output(struct heard *h, const char *text)
{
    while (strstr(buf_str(&h->out), text) == NULL)
        loop_turn(loop, true);
}

static void
forget(struct heard *h)
{
    child_close(h->child);
    buf_free(&h->out);
}

/* Runs it to its end; the output stays in h until forget(). */
static void
run(struct heard *h, const struct child_opts *opts)
{
    start(h, opts);
    until_eof(h);
    assert_int_equal(h->exits, 1);
    assert_int_equal(h->out_at_exit, h->out.n);
}

/* Every process we started has ended and been reaped. */
static void
until_no_process(void)
{
    siginfo_t info;
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        loop_turn(loop, true);
    assert_int_equal(errno, ECHILD);
}

/* --- ends --- */

static void
the_exit_status_is_waits(void **state)
{
    (void)state;
    static const int statuses[] = {0, 1, 75, 99, 255};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct heard h;
        char script[20];
        snprintf(script, sizeof script, "exit %d", statuses[i]);
        struct child_opts opts = shell(&h, script);
        run(&h, &opts);
        assert_int_equal(h.spawn_errno, 0);
        assert_true(WIFEXITED(h.status));
        assert_int_equal(WEXITSTATUS(h.status), statuses[i]);
        assert_null(child_failed(h.child));
        forget(&h);
    }
}

static void
a_signal_is_in_the_status(void **state)
{
    (void)state;
    struct heard h;
    struct child_opts opts = shell(&h, "kill -TERM $$");
    run(&h, &opts);
    assert_true(WIFSIGNALED(h.status));
    assert_int_equal(WTERMSIG(h.status), SIGTERM);
    forget(&h);
}

static void
many_at_once_all_end(void **state)
{
    (void)state;
    struct heard all[30];
    for (int i = 0; i < 30; i++) {
        struct child_opts opts = shell(&all[i], i % 2 ? "echo odd; exit 1" : "echo even");
        start(&all[i], &opts);
    }
    for (int i = 0; i < 30; i++) {
        until_eof(&all[i]);
        assert_string_equal(buf_str(&all[i].out), i % 2 ? "odd\n" : "even\n");
        assert_int_equal(WEXITSTATUS(all[i].status), i % 2);
    }
    for (int i = 0; i < 30; i++)
        forget(&all[i]);
    until_no_process();
}

/* --- output --- */

static void
both_streams_come_in_order(void **state)
{
    (void)state;
    struct heard h;
    struct child_opts opts = shell(&h, "echo a; echo b >&2; echo c");
    run(&h, &opts);
    assert_string_equal(buf_str(&h.out), "a\nb\nc\n");
    forget(&h);
}

static void
only_the_captured_stream_comes(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        struct heard h;
        struct child_opts opts = shell(&h, side == 0 ? "echo mine; exec 2>/dev/null; echo x >&2"
                                                     : "echo mine >&2; exec >/dev/null; echo x");
        opts.capture_out = side == 0;
        opts.capture_err = side == 1;
        run(&h, &opts);
        assert_string_equal(buf_str(&h.out), "mine\n");
        forget(&h);
    }
}

static void
nothing_captured_means_no_eof(void **state)
{
    (void)state;
    struct heard h;
    struct child_opts opts = shell(&h, "exit 3");
    opts.capture_out = opts.capture_err = false;
    start(&h, &opts);
    until_exit(&h);
    loop_turn(loop, false);
    assert_int_equal(h.eofs, 0);
    assert_int_equal(WEXITSTATUS(h.status), 3);
    forget(&h);
}

static void
five_megabytes_are_there_before_the_exit_is_told(void **state)
{
    (void)state;
    struct heard h;
    struct child_opts opts = shell(&h, "head -c 5242880 /dev/zero");
    run(&h, &opts);
    assert_int_equal(h.out.n, 5242880);
    assert_int_equal(h.out_at_exit, 5242880);
    forget(&h);
}

static void
output_may_end_before_the_process(void **state)
{
    (void)state;
    struct heard h;
    struct child_opts opts = shell(&h, "echo a; exec >&- 2>&-; exit 4");
    run(&h, &opts);
    assert_string_equal(buf_str(&h.out), "a\n");
    assert_int_equal(WEXITSTATUS(h.status), 4);
    forget(&h);
}

static void
the_exit_is_told_though_somebody_holds_the_pipe(void **state)
{
    (void)state;
    struct heard h;
    struct child_opts opts = shell(&h, "(echo early; read x </dev/tty; sleep 1000) & echo started");
    start(&h, &opts);
    until_exit(&h);
    assert_int_equal(h.eofs, 0);
    until_output(&h, "started\n");
    assert_int_equal(h.eofs, 0);
    child_signal(h.child, SIGKILL); /* the group of the dead is still there, and still his */
    until_eof(&h);
    forget(&h);
}

static void
the_exit_is_told_though_somebody_writes_for_ever(void **state)
{
    (void)state;
    struct heard h;
    struct child_opts opts = shell(&h, "yes & exit 5");
    start(&h, &opts);
    until_exit(&h);
    assert_int_equal(WEXITSTATUS(h.status), 5);
    size_t n = h.out.n;
    while (h.out.n < n + 1000000)
        loop_turn(loop, true);
    child_signal(h.child, SIGKILL);
    until_eof(&h);
    forget(&h);
}

/* --- what the process finds --- */

static void
argv_and_environment_are_exact(void **state)
{
    (void)state;
    struct heard h;
    struct child_opts opts = shell(&h, NULL);
    static const char *argv[] = {"ignored", "-0", NULL};
    static const char *envp[] = {"A=1", "B=two words\nand lines", "MAILCALL_X=", NULL};
    opts.path = "/usr/bin/env";
    opts.argv = (char *const *)argv;
    opts.envp = (char *const *)envp;
    run(&h, &opts);
    static const char want[] = "A=1\0B=two words\nand lines\0MAILCALL_X=";
    assert_int_equal(h.out.n, sizeof want);
    assert_memory_equal(h.out.p, want, sizeof want);
    forget(&h);
}

static void
stdin_is_the_file_from_its_start(void **state)
{
    (void)state;
    char *path = xasprintf("%s/message", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "Subject: x\n\nbody", 16), 16);
    lseek(fd, 0, SEEK_SET);
    struct heard h;
    struct child_opts opts = shell(&h, "cat; [ -f /dev/stdin ] && echo ' (a file)'");
    opts.stdin_fd = fd;
    start(&h, &opts);
    close(fd);
    until_eof(&h);
    assert_string_equal(buf_str(&h.out), "Subject: x\n\nbody (a file)\n");
    forget(&h);
    unlink(path);
    free(path);
}

static void
without_a_file_stdin_is_empty(void **state)
{
    (void)state;
    struct heard h;
    struct child_opts opts = shell(&h, "cat; readlink /dev/fd/0");
    run(&h, &opts);
    assert_string_equal(buf_str(&h.out), "/dev/null\n");
    forget(&h);
}

static void
the_working_directory_is_set(void **state)
{
    (void)state;
    struct heard h;
    struct child_opts opts = shell(&h, "pwd -P");
    opts.cwd = folder;
    run(&h, &opts);
    char *want = xasprintf("%s\n", folder);
    assert_string_equal(buf_str(&h.out), want);
    free(want);
    forget(&h);
}

static void
each_has_its_own_umask_and_ours_stays(void **state)
{
    (void)state;
    static const struct {
        int mask;
        const char *want;
    } table[] = {{027, "0027\n"}, {077, "0077\n"}, {-1, "0002\n"}};
    mode_t before = umask(002);
    struct heard all[30];
    for (int i = 0; i < 30; i++) {
        struct child_opts opts = shell(&all[i], "umask");
        opts.umask = table[i % 3].mask;
        start(&all[i], &opts);
    }
    for (int i = 0; i < 30; i++) {
        until_eof(&all[i]);
        assert_string_equal(buf_str(&all[i].out), table[i % 3].want);
        forget(&all[i]);
    }
    assert_int_equal(umask(before), 002);
}

static void
only_three_descriptors_are_open(void **state)
{
    (void)state;
#if defined(__GLIBC__) && !__GLIBC_PREREQ(2, 34)
    skip();
#endif
    int leaked = fcntl(STDERR_FILENO, F_DUPFD, 20); /* not close-on-exec */
    struct heard h;
    struct child_opts opts = shell(&h,
        "n=0; while [ $n -lt 64 ]; do [ -e /dev/fd/$n ] && echo $n; n=$((n + 1)); done; exit 0");
    run(&h, &opts);
    assert_string_equal(buf_str(&h.out), "0\n1\n2\n");
    forget(&h);
    close(leaked);
}

static void
signals_are_at_their_defaults(void **state)
{
    (void)state;
    static const int numbers[] = {SIGPIPE, SIGUSR1}; /* one we ignore, one main() has blocked */
    for (size_t i = 0; i < 2; i++) {
        struct heard h;
        char script[40];
        snprintf(script, sizeof script, "kill -%d $$; echo alive", numbers[i]);
        struct child_opts opts = shell(&h, script);
        run(&h, &opts);
        assert_true(WIFSIGNALED(h.status));
        assert_int_equal(WTERMSIG(h.status), numbers[i]);
        forget(&h);
    }
}

/* --- signals --- */

static void
a_signal_reaches_the_whole_group(void **state)
{
    (void)state;
    struct heard h;
    struct child_opts opts = shell(&h, "sleep 1000 & echo ready; wait");
    start(&h, &opts);
    until_output(&h, "ready\n");
    child_signal(h.child, SIGTERM);
    until_eof(&h); /* the sleeper held the pipe too */
    assert_true(WIFSIGNALED(h.status));
    forget(&h);
}

static void
a_signal_before_the_start_is_not_lost(void **state)
{
    (void)state;
    struct heard h;
    struct child_opts opts = shell(&h, "sleep 1000");
    start(&h, &opts);
    child_signal(h.child, SIGTERM);
    child_signal(h.child, SIGCONT);
    until_eof(&h);
    assert_true(WIFSIGNALED(h.status));
    assert_int_equal(WTERMSIG(h.status), SIGTERM);
    forget(&h);
}

/* --- what cannot be started --- */

static void
make_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    fchmod(fd, mode);
    close(fd);
}

static void
failures_say_what_is_missing(void **state)
{
    (void)state;
    char *plain = xasprintf("%s/plain", folder);
    char *orphan = xasprintf("%s/orphan", folder);
    make_file(plain, "not a program", 0600);
    make_file(orphan, "#!/no/such/interpreter\n", 0700);
    const struct {
        const char *path, *cwd;
        int stdin_fd, error;
        const char *failed;
    } table[] = {
        {"/no/such/program", NULL, -1, ENOENT, "program"},
        {plain, NULL, -1, EACCES, "program"},
        {orphan, NULL, -1, ENOENT, "interpreter"},
        {"/bin/sh", "/no/such/folder", -1, ENOENT, "working directory"},
        {"/bin/sh", plain, -1, ENOTDIR, "working directory"},
        {"/bin/sh", NULL, 1000, EBADF, "standard input"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct heard h;
        struct child_opts opts = shell(&h, "echo started");
        opts.path = table[i].path;
        opts.cwd = table[i].cwd;
        opts.stdin_fd = table[i].stdin_fd;
        run(&h, &opts);
        if (i != 4) /* access(2) may speak first about a file that is no folder */
            assert_int_equal(h.spawn_errno, table[i].error);
        assert_int_not_equal(h.spawn_errno, 0);
        assert_string_equal(child_failed(h.child), table[i].failed);
        assert_int_equal(h.out.n, 0);
        child_signal(h.child, SIGKILL);
        forget(&h);
    }
    unlink(plain);
    unlink(orphan);
    free(plain);
    free(orphan);
}

/* --- closing at any time --- */

static void
closed_while_it_starts_it_runs_and_is_reaped(void **state)
{
    (void)state;
    char *path = xasprintf("%s/trace", folder);
    char *script = xasprintf(": >%s; echo output", path);
    struct heard h;
    struct child_opts opts = shell(&h, script);
    start(&h, &opts);
    child_close(h.child);
    loop_turn(loop, true);
    until_no_process();
    assert_int_equal(h.exits, 0);
    assert_int_equal(h.out.n, 0);
    assert_int_equal(unlink(path), 0);
    free(script);
    free(path);
}

static void
closed_while_it_cannot_start_nothing_is_told(void **state)
{
    (void)state;
    struct heard h;
    struct child_opts opts = shell(&h, "");
    opts.path = "/no/such/program";
    start(&h, &opts);
    child_close(h.child);
    loop_turn(loop, true);
    assert_int_equal(h.exits, 0);
}

static void
closed_from_its_callbacks_it_is_silent(void **state)
{
    (void)state;
    for (int when = 0; when < 2; when++) {
        struct heard h;
        struct child_opts opts = shell(&h, "echo a; echo b");
        h.close_at_output = when == 0;
        h.close_at_exit = when == 1;
        start(&h, &opts);
        while (h.child != NULL)
            loop_turn(loop, true);
        until_no_process();
        assert_int_equal(h.exits, when);
        assert_int_equal(h.eofs, 0);
        buf_free(&h.out);
    }
}

static void
the_loop_may_end_before_the_process(void **state)
{
    (void)state;
    struct loop *outer = loop;
    loop = loop_new();
    struct heard running, starting;
    struct child_opts opts = shell(&running, "echo $$; exec sleep 1000 >/dev/null 2>&1");
    start(&running, &opts);
    until_output(&running, "\n");
    pid_t pid = (pid_t)atoi(buf_str(&running.out));
    forget(&running);
    opts = shell(&starting, "exit 0");
    start(&starting, &opts);
    child_close(starting.child);
    loop_free(loop);
    loop = outer;
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        continue;
}

/* --- twice --- */

#ifdef __linux__
static bool
refuse_pidfds(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    unsigned long flags = SECCOMP_FILTER_FLAG_TSYNC; /* the pool's threads too */
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0;
}
#else
static bool
refuse_pidfds(void)
{
    return false;
}
#endif

static int
open_loop(void **state)
{
    (void)state;
    loop = loop_new();
    return 0;
}

static int
free_loop(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

int
main(void)
{
    alarm(300); /* a child that is never told to have ended fails instead of hanging */
    if (mkdtemp(folder) == NULL)
        return 1;
    sigset_t blocked; /* in the pool's threads as well, which do not exist yet */
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exit_status_is_waits),
        cmocka_unit_test(a_signal_is_in_the_status),
        cmocka_unit_test(many_at_once_all_end),
        cmocka_unit_test(both_streams_come_in_order),
        cmocka_unit_test(only_the_captured_stream_comes),
        cmocka_unit_test(nothing_captured_means_no_eof),
        cmocka_unit_test(five_megabytes_are_there_before_the_exit_is_told),
        cmocka_unit_test(output_may_end_before_the_process),
        cmocka_unit_test(the_exit_is_told_though_somebody_holds_the_pipe),
        cmocka_unit_test(the_exit_is_told_though_somebody_writes_for_ever),
        cmocka_unit_test(argv_and_environment_are_exact),
        cmocka_unit_test(stdin_is_the_file_from_its_start),
        cmocka_unit_test(without_a_file_stdin_is_empty),
        cmocka_unit_test(the_working_directory_is_set),
        cmocka_unit_test(each_has_its_own_umask_and_ours_stays),
        cmocka_unit_test(only_three_descriptors_are_open),
        cmocka_unit_test(signals_are_at_their_defaults),
        cmocka_unit_test(a_signal_reaches_the_whole_group),
        cmocka_unit_test(a_signal_before_the_start_is_not_lost),
        cmocka_unit_test(failures_say_what_is_missing),
        cmocka_unit_test(closed_while_it_starts_it_runs_and_is_reaped),
        cmocka_unit_test(closed_while_it_cannot_start_nothing_is_told),
        cmocka_unit_test(closed_from_its_callbacks_it_is_silent),
        cmocka_unit_test(the_loop_may_end_before_the_process),
    };
    int failed = cmocka_run_group_tests_name("sys_child", tests, open_loop, free_loop);
    if (failed == 0 && refuse_pidfds())
        failed = cmocka_run_group_tests_name("sys_child by SIGCHLD", tests, open_loop, free_loop);
    rmdir(folder);
    return failed;
}
