/* sys/lastwords: children that die of this and that, and what is found afterwards. */
#include "base/mem.h"
#include "sys/lastwords.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char folder[40];
    char path[48];
};

static void
place_open(struct place *p)
{
    strcpy(p->folder, "/tmp/mailcall-words.XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    strcpy(p->path, p->folder);
    strcat(p->path, "/words");
}

static void
place_close(struct place *p)
{
    assert_int_equal(unlink(p->path), 0);
    assert_int_equal(rmdir(p->folder), 0);
}

/* What the next life finds. */
static void
assert_found(const struct place *p, const char *want)
{
    struct buf found = {0};
    struct err e = {0};
    assert_int_equal(lastwords_open(p->path, &found, &e), 0);
    assert_string_equal(buf_str(&found), want);
    lastwords_close();
    buf_free(&found);
}

/* --- deaths --- */

static volatile unsigned depth;

/* The frames are looked at after the call, so each is needed. */
static unsigned
dig(unsigned level)
{
    volatile unsigned char frame[2000];
    frame[level % sizeof frame] = (unsigned char)level;
    if (level == depth)
        return 0;
    return dig(level + 1) + frame[level % sizeof frame];
}

static void
overflow_the_stack(void)
{
    depth = 1u << 30;
    _exit((int)dig(1) & 1);
}

static volatile int *volatile forbidden = (volatile int *)16;

static void
touch_what_is_not_there(void)
{
    *forbidden = 1;
}

static void
send_segv(void)
{
    kill(getpid(), SIGSEGV);
}

static void
raise_fpe(void)
{
    raise(SIGFPE);
}

static void
raise_ill(void)
{
    raise(SIGILL);
}

static void
raise_bus(void)
{
    raise(SIGBUS);
}

static void
raise_sys(void)
{
    raise(SIGSYS);
}

static void
be_killed(void)
{
    raise(SIGKILL);
}

static void
be_asked_to_end(void)
{
    raise(SIGTERM);
}

static void
end_well(void)
{
    _exit(0);
}

static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGSYS};
enum { N_DEADLY = sizeof deadly / sizeof *deadly };
static struct sigaction at_first[N_DEADLY]; /* cmocka has handlers of its own during a test */

/* In a child: quiet, without a core, and with a stack that ends soon. */
static void
settle_down(void)
{
    for (int i = 0; i < N_DEADLY; i++)
        sigaction(deadly[i], &at_first[i], NULL);
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(nowhere, 2);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    setrlimit(RLIMIT_STACK, &(struct rlimit){1024 * 1024, 1024 * 1024});
}

enum { NOT_OPEN = 41, SURVIVED = 42 }; /* no status that a sanitizer dies with */

static int
wait_for(pid_t pid)
{
    int status = 0;
    assert_true(pid > 0);
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return status;
}

/* How a child dies of the deed. With a path it says these words before; "" is nothing. */
static int
death_of(void (*deed)(void), const char *path, const char *words)
{
    pid_t pid = fork();
    if (pid != 0)
        return wait_for(pid);
    struct buf found = {0};
    settle_down();
    if (path != NULL && lastwords_open(path, &found, NULL) != 0)
        _exit(NOT_OPEN);
    lastwords_say(SPAN("before"));
    if (words[0] != '\0')
        lastwords_say(span_str(words));
    else
        lastwords_nothing();
    deed();
    _exit(SURVIVED);
}

static void
words_are_left_and_the_death_is_the_same(void **state)
{
    (void)state;
    static void (*const deeds[])(void) = {overflow_the_stack, touch_what_is_not_there, abort,
        send_segv, raise_fpe, raise_ill, raise_bus, raise_sys};
    struct place p;
    place_open(&p);
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        int without = death_of(deeds[i], NULL, "x");
        int with = death_of(deeds[i], p.path, "work/INBOX 17");
        assert_int_equal(with, without);
        assert_false(
            WIFEXITED(with) && (WEXITSTATUS(with) == SURVIVED || WEXITSTATUS(with) == NOT_OPEN));
        assert_found(&p, "work/INBOX 17");
        assert_found(&p, ""); /* it was emptied */
    }
    place_close(&p);
}

static void
nobodys_fault_leaves_no_words(void **state)
{
    (void)state;
    static void (*const deeds[])(void) = {be_killed, be_asked_to_end, end_well};
    struct place p;
    place_open(&p);
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        death_of(deeds[i], p.path, "innocent");
        assert_found(&p, "");
    }
    place_close(&p);
}

static void
words_taken_back_are_not_left(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    death_of(touch_what_is_not_there, p.path, "");
    assert_found(&p, "");
    place_close(&p);
}

static void
long_words_are_cut(void **state)
{
    (void)state;
    struct place p;
    struct stat st;
    char words[LASTWORDS_MAX + 100];
    memset(words, 'w', sizeof words);
    words[sizeof words - 1] = '\0';
    place_open(&p);
    death_of(abort, p.path, words);
    assert_int_equal(stat(p.path, &st), 0);
    assert_int_equal(st.st_size, LASTWORDS_MAX);
    words[LASTWORDS_MAX] = '\0';
    assert_found(&p, words);
    place_close(&p);
}

/* --- who was there before --- */

static void
tell_address(int sig, siginfo_t *info, void *context)
{
    (void)context;
    _exit(sig == SIGSEGV && info->si_addr == forbidden ? 42 : 43);
}

static void
an_earlier_handler_is_told_the_same(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    pid_t pid = fork();
    if (pid == 0) {
        struct sigaction act = {.sa_flags = SA_SIGINFO};
        struct buf found = {0};
        settle_down();
        act.sa_sigaction = tell_address;
        sigaction(SIGSEGV, &act, NULL);
        lastwords_open(p.path, &found, NULL);
        lastwords_say(SPAN("words"));
        touch_what_is_not_there();
        _exit(97);
    }
    int status = wait_for(pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
    assert_found(&p, "words");
    place_close(&p);
}

static void
closing_leaves_everything_as_it_was(void **state)
{
    (void)state;
    struct place p;
    struct sigaction before[N_DEADLY], after;
    stack_t stack_before, stack_after;
    struct buf found = {0};
    place_open(&p);
    lastwords_close(); /* not open */
    for (int i = 0; i < N_DEADLY; i++)
        sigaction(deadly[i], NULL, &before[i]);
    sigaltstack(NULL, &stack_before);
    assert_int_equal(lastwords_open(p.path, &found, NULL), 0);
    lastwords_close();
    lastwords_close();
    sigaltstack(NULL, &stack_after);
    for (int i = 0; i < N_DEADLY; i++) {
        sigaction(deadly[i], NULL, &after);
        assert_ptr_equal(before[i].sa_handler, after.sa_handler);
    }
    assert_int_equal(stack_before.ss_flags, stack_after.ss_flags);
    lastwords_say(SPAN("to nobody"));
    buf_free(&found);
    place_close(&p);
}

/* --- the file --- */

static void
write_file(const char *path, size_t n, mode_t mode)
{
    char piece[1000];
    memset(piece, 'o', sizeof piece);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (; n > 0; n -= n < sizeof piece ? n : sizeof piece)
        assert_true(write(fd, piece, n < sizeof piece ? n : sizeof piece) > 0);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void
the_file_is_ours_alone_and_what_is_found_is_bounded(void **state)
{
    (void)state;
    struct place p;
    struct stat st;
    struct buf found = {0};
    place_open(&p);
    write_file(p.path, 100 * 1000, 0644);
    buf_adds(&found, "before:");
    assert_int_equal(lastwords_open(p.path, &found, NULL), 0);
    assert_int_equal(found.n, 7 + LASTWORDS_MAX);
    assert_memory_equal(found.p, "before:ooo", 10);
    assert_int_equal(stat(p.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 0);
    lastwords_close();
    buf_free(&found);
    place_close(&p);
}

static void
assert_refused(const struct place *p)
{
    struct err e = {0};
    struct buf found = {0};
    assert_int_equal(lastwords_open(p->path, &found, &e), -1);
    assert_int_equal(e.kind, ERR_CREATE);
    assert_int_equal(strncmp(e.text, p->path, strlen(p->path)), 0);
    assert_int_equal(found.n, 0);
    lastwords_close(); /* harmless */
    buf_free(&found);
}

static void
what_is_no_file_of_ours_is_refused(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    char *elsewhere = xasprintf("%s/elsewhere", p.folder);
    write_file(elsewhere, 10, 0600);
    assert_int_equal(symlink(elsewhere, p.path), 0);
    assert_refused(&p);
    assert_int_equal(unlink(p.path), 0);
    assert_int_equal(mkfifo(p.path, 0600), 0);
    assert_refused(&p);
    assert_int_equal(unlink(p.path), 0);
    assert_int_equal(mkdir(p.path, 0700), 0);
    assert_refused(&p);
    assert_int_equal(rmdir(p.path), 0);
    if (geteuid() == 0) {
        write_file(p.path, 10, 0600);
        assert_int_equal(chown(p.path, 12345, (gid_t)-1), 0);
        assert_refused(&p);
        assert_int_equal(unlink(p.path), 0);
    }
    struct stat st;
    assert_int_equal(stat(elsewhere, &st), 0);
    assert_int_equal(st.st_size, 10);
    assert_int_equal(rename(elsewhere, p.path), 0);
    free(elsewhere);
    place_close(&p);
}

int
main(void)
{
    for (int i = 0; i < N_DEADLY; i++)
        sigaction(deadly[i], NULL, &at_first[i]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_left_and_the_death_is_the_same),
        cmocka_unit_test(nobodys_fault_leaves_no_words),
        cmocka_unit_test(words_taken_back_are_not_left),
        cmocka_unit_test(long_words_are_cut),
        cmocka_unit_test(an_earlier_handler_is_told_the_same),
        cmocka_unit_test(closing_leaves_everything_as_it_was),
        cmocka_unit_test(the_file_is_ours_alone_and_what_is_found_is_bounded),
        cmocka_unit_test(what_is_no_file_of_ours_is_refused),
    };
    return cmocka_run_group_tests_name("sys_lastwords", tests, NULL, NULL);
}
