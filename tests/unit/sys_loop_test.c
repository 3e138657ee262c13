/* sys/loop: timers, descriptors, signals, work. */
#include "sys/clock.h"
#include "sys/loop.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int
open_loop(void **state)
{
    *state = loop_new();
    return 0;
}

static int
free_loop(void **state)
{
    loop_free(*state);
    return 0;
}

/* --- timers --- */

enum { MARKS_MAX = 512 };

static struct {
    int of[MARKS_MAX];
    int n;
} marks;

static void
leave_mark(void *arg)
{
    marks.of[marks.n++] = *(int *)arg;
}

static void
timers_run_in_order_of_their_deadlines(void **state)
{
    struct loop *l = *state;
    enum { COUNT = 400 };
    static int names[COUNT];
    static struct loop_timer timers[COUNT];
    uint64_t start = clock_ms() - 10000;
    uint32_t seed = 7;
    for (int i = 0; i < COUNT; i++) {
        names[i] = i;
        loop_timer_init(&timers[i], leave_mark, &names[i]);
    }
    /* set, move and clear at random; who is set last stands in the heap */
    for (int round = 0; round < 8 * COUNT; round++) {
        seed = seed * 1664525u + 1013904223u;
        struct loop_timer *t = &timers[(seed >> 8) % COUNT];
        if (seed >> 30 == 0)
            loop_timer_clear(l, t);
        else
            loop_timer_set(l, t, start + (seed >> 4) % 1000);
    }
    int expected = 0;
    for (int i = 0; i < COUNT; i++)
        expected += timers[i].slot != 0;
    marks.n = 0;
    loop_turn(l, false);
    assert_int_equal(marks.n, expected);
    for (int i = 1; i < marks.n; i++) {
        const struct loop_timer *a = &timers[marks.of[i - 1]], *b = &timers[marks.of[i]];
        assert_true(a->at < b->at || (a->at == b->at && a->order < b->order));
    }
    loop_turn(l, false);
    assert_int_equal(marks.n, expected);
}

static void
equal_deadlines_run_in_the_order_they_were_set(void **state)
{
    struct loop *l = *state;
    int names[5];
    struct loop_timer timers[5];
    for (int i = 0; i < 5; i++) {
        names[i] = i;
        loop_timer_init(&timers[i], leave_mark, &names[i]);
        loop_timer_set(l, &timers[i], 1000);
    }
    loop_timer_set(l, &timers[1], 1000);
    marks.n = 0;
    loop_turn(l, true);
    assert_int_equal(marks.n, 5);
    static const int want[] = {0, 2, 3, 4, 1};
    assert_memory_equal(marks.of, want, sizeof want);
}

static void
a_deadline_ahead_wakes_the_loop(void **state)
{
    struct loop *l = *state;
    int name = 1;
    struct loop_timer t;
    loop_timer_init(&t, leave_mark, &name);
    uint64_t at = clock_ms() + 3;
    loop_timer_set(l, &t, clock_ms() + 1000 * 1000);
    loop_turn(l, false);
    loop_timer_set(l, &t, at);
    marks.n = 0;
    while (marks.n == 0)
        loop_turn(l, true);
    assert_true(clock_ms() >= at);
    assert_int_equal(t.slot, 0);
}

struct meddler {
    struct loop *loop;
    struct loop_timer self, cleared, moved;
    int ran;
};

static void
clear_and_move_others(void *arg)
{
    struct meddler *m = arg;
    m->ran++;
    loop_timer_clear(m->loop, &m->self);
    loop_timer_clear(m->loop, &m->cleared);
    loop_timer_clear(m->loop, &m->cleared);
    loop_timer_set(m->loop, &m->moved, clock_ms() + 1000 * 1000);
}

static void
a_timer_may_clear_and_move_others_that_are_due(void **state)
{
    struct meddler m = {.loop = *state};
    int name = 1;
    loop_timer_init(&m.self, clear_and_move_others, &m);
    loop_timer_init(&m.cleared, leave_mark, &name);
    loop_timer_init(&m.moved, leave_mark, &name);
    loop_timer_set(m.loop, &m.cleared, 2);
    loop_timer_set(m.loop, &m.moved, 2);
    loop_timer_set(m.loop, &m.self, 1);
    marks.n = 0;
    loop_turn(m.loop, false);
    assert_int_equal(m.ran, 1);
    assert_int_equal(marks.n, 0);
    assert_int_not_equal(m.moved.slot, 0);
    loop_timer_clear(m.loop, &m.moved);
}

static void
set_again(void *arg)
{
    struct meddler *m = arg;
    m->ran++;
    loop_timer_set(m->loop, &m->self, 0);
}

static void
a_timer_that_sets_itself_cannot_hold_the_loop(void **state)
{
    struct meddler m = {.loop = *state};
    int name = 1;
    struct loop_timer other;
    loop_timer_init(&m.self, set_again, &m);
    loop_timer_init(&other, leave_mark, &name);
    marks.n = 0;
    loop_timer_set(m.loop, &m.self, 0);
    for (int turn = 1; turn <= 5; turn++) {
        loop_timer_set(m.loop, &other, 5);
        loop_turn(m.loop, true);
        assert_int_equal(m.ran, turn);
        assert_int_equal(marks.n, turn);
    }
    loop_timer_clear(m.loop, &m.self);
}

static void
free_myself(void *arg)
{
    marks.n++;
    free(arg);
}

static void
a_timer_may_free_itself(void **state)
{
    struct loop_timer *t = malloc(sizeof *t);
    loop_timer_init(t, free_myself, t);
    loop_timer_set(*state, t, 0);
    marks.n = 0;
    loop_turn(*state, true);
    assert_int_equal(marks.n, 1);
}

/* --- sleeping --- */

static void
polling_and_woken_turns_do_not_sleep(void **state)
{
    struct loop *l = *state;
    loop_turn(l, false); /* nothing at all is registered: sleeping would be for ever */
    loop_wake(l);
    loop_turn(l, true);
}

/* --- descriptors --- */

struct end {
    struct loop *loop;
    struct loop_fd *watch;
    int fd;
    int calls;
    int events;
};

static void
note_events(void *arg, int events)
{
    struct end *e = arg;
    e->calls++;
    e->events = events;
}

static void
only_wanted_directions_are_told(void **state)
{
    struct loop *l = *state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct end e = {.loop = l};
    e.watch = loop_fd_new(l, fds[0], note_events, &e);
    loop_turn(l, false);
    assert_int_equal(e.calls, 0);
    loop_fd_want(e.watch, LOOP_READ | LOOP_WRITE);
    loop_turn(l, true);
    assert_int_equal(e.events, LOOP_WRITE);
    assert_int_equal(write(fds[1], "x", 1), 1);
    loop_turn(l, true);
    assert_int_equal(e.events, LOOP_READ | LOOP_WRITE);
    loop_fd_want(e.watch, LOOP_READ);
    loop_turn(l, true);
    assert_int_equal(e.events, LOOP_READ);
    loop_fd_want(e.watch, 0);
    e.calls = 0;
    close(fds[1]);
    loop_turn(l, false);
    assert_int_equal(e.calls, 0);
    loop_fd_close(e.watch);
    close(fds[0]);
}

static void
hang_ups_come_as_the_wanted_direction_again_and_again(void **state)
{
    struct loop *l = *state;
    for (int side = 0; side < 2; side++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        int mine = fds[side], other = fds[1 - side];
        int wanted = side == 0 ? LOOP_READ : LOOP_WRITE;
        struct end e = {.loop = l};
        e.watch = loop_fd_new(l, mine, note_events, &e);
        loop_fd_want(e.watch, wanted);
        close(other);
        for (int turn = 1; turn <= 3; turn++) {
            loop_turn(l, true);
            assert_int_equal(e.calls, turn);
            assert_int_equal(e.events, wanted);
        }
        loop_fd_close(e.watch);
        close(mine);
    }
}

static void
close_both(void *arg, int events)
{
    (void)events;
    struct end *pair = arg;
    pair[0].calls++;
    for (int i = 0; i < 2; i++) {
        loop_fd_close(pair[i].watch);
        close(pair[i].fd);
    }
}

static void
who_is_closed_in_a_callback_is_silent_and_its_number_free(void **state)
{
    struct loop *l = *state;
    struct end *pair = calloc(2, sizeof *pair);
    int other[2];
    for (int i = 0; i < 2; i++) {
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        pair[i].fd = fds[0];
        other[i] = fds[1];
        pair[i].watch = loop_fd_new(l, fds[0], close_both, pair);
        loop_fd_want(pair[i].watch, LOOP_WRITE);
    }
    loop_turn(l, true); /* both are ready; the first to hear closes both */
    assert_int_equal(pair[0].calls, 1);

    struct end e = {.loop = l};
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_true(fds[0] == pair[0].fd || fds[0] == pair[1].fd);
    free(pair);
    e.watch = loop_fd_new(l, fds[0], note_events, &e);
    loop_fd_want(e.watch, LOOP_WRITE);
    while (e.calls == 0)
        loop_turn(l, true);
    loop_fd_close(e.watch);
    for (int i = 0; i < 2; i++) {
        close(fds[i]);
        close(other[i]);
    }
}

static void
a_reader_that_left_does_not_kill_us(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    assert_int_equal(write(fds[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    close(fds[1]);
}

/* --- signals and work --- */

struct heard {
    struct loop_signal *signal;
    int number;
};

static void
note_signal(void *arg, int number)
{
    struct heard *h = arg;
    h->number = number;
    loop_signal_close(h->signal);
    h->signal = NULL;
}

static void
a_signal_is_told_in_the_loop(void **state)
{
    struct loop *l = *state;
    struct heard h = {0};
    h.signal = loop_signal_new(l, SIGUSR1, note_signal, &h);
    raise(SIGUSR1);
    assert_int_equal(h.number, 0);
    while (h.number == 0)
        loop_turn(l, true);
    assert_int_equal(h.number, SIGUSR1);
}

struct job {
    pthread_t worked_in;
    bool done;
};

static void
note_thread(void *arg)
{
    struct job *j = arg;
    j->worked_in = pthread_self();
}

static void
note_done(void *arg)
{
    struct job *j = arg;
    j->done = true;
}

static void
work_is_done_in_another_thread_and_told_in_ours(void **state)
{
    struct loop *l = *state;
    struct job jobs[40] = {0};
    for (int i = 0; i < 40; i++)
        loop_work(l, note_thread, note_done, &jobs[i]);
    for (int i = 0; i < 40; i++) {
        assert_false(jobs[i].done && i == 0);
        while (!jobs[i].done)
            loop_turn(l, true);
        assert_false(pthread_equal(jobs[i].worked_in, pthread_self()));
    }
    assert_string_equal(getenv("UV_THREADPOOL_SIZE"), "16");
}

static void
a_file_over_the_limit_is_an_error_and_no_death(void **state)
{
    (void)state;
    struct rlimit was, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small = (struct rlimit){.rlim_cur = 1, .rlim_max = was.rlim_max};
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(write(fileno(f), "ab", 2), 1);
    assert_int_equal(write(fileno(f), "b", 1), -1);
    int error = errno;
    setrlimit(RLIMIT_FSIZE, &was);
    assert_int_equal(error, EFBIG);
    fclose(f);
}

/* --- the end --- */

static void
note_end(void *arg)
{
    struct heard *h = arg;
    h->number++;
    loop_signal_close(h->signal);
}

static void
what_outlives_its_owner_is_told_the_end(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    struct heard here = {0}, gone = {0};
    here.signal = loop_signal_new(l, SIGUSR2, note_signal, &here);
    struct loop_end end = {.on_end = note_end, .arg = &here};
    struct loop_end withdrawn = {.on_end = note_end, .arg = &gone};
    loop_at_end(l, &end);
    loop_at_end(l, &withdrawn);
    list_remove(&withdrawn.link);
    struct job unfinished = {0};
    loop_work(l, note_thread, note_done, &unfinished);
    loop_discard(l, malloc(1));
    loop_free(l);
    assert_int_equal(here.number, 1);
    assert_int_equal(gone.number, 0);
    assert_true(unfinished.done);
}

static void
wait_for_a_byte(void *arg)
{
    char byte;
    assert_int_equal(read(*(int *)arg, &byte, 1), 1);
}

static void
never_told(void *arg)
{
    (void)arg;
    fail();
}

static void
work_that_does_not_end_is_left_behind(void **state)
{
    (void)state;
    assert_false(loop_left_work());
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct loop *l = loop_new();
    loop_work(l, wait_for_a_byte, never_told, &fds[0]);
    loop_free(l);
    assert_true(loop_left_work());
    /* exit() waits for it */
    assert_int_equal(write(fds[1], "", 1), 1);
}

int
main(void)
{
    alarm(120); /* a loop that never wakes fails instead of hanging */
#define IN_A_LOOP(test) cmocka_unit_test_setup_teardown(test, open_loop, free_loop)
    const struct CMUnitTest tests[] = {
        IN_A_LOOP(timers_run_in_order_of_their_deadlines),
        IN_A_LOOP(equal_deadlines_run_in_the_order_they_were_set),
        IN_A_LOOP(a_deadline_ahead_wakes_the_loop),
        IN_A_LOOP(a_timer_may_clear_and_move_others_that_are_due),
        IN_A_LOOP(a_timer_that_sets_itself_cannot_hold_the_loop),
        IN_A_LOOP(a_timer_may_free_itself),
        IN_A_LOOP(polling_and_woken_turns_do_not_sleep),
        IN_A_LOOP(only_wanted_directions_are_told),
        IN_A_LOOP(hang_ups_come_as_the_wanted_direction_again_and_again),
        IN_A_LOOP(who_is_closed_in_a_callback_is_silent_and_its_number_free),
        IN_A_LOOP(a_reader_that_left_does_not_kill_us),
        IN_A_LOOP(a_signal_is_told_in_the_loop),
        IN_A_LOOP(a_file_over_the_limit_is_an_error_and_no_death),
        IN_A_LOOP(work_is_done_in_another_thread_and_told_in_ours),
        cmocka_unit_test(what_outlives_its_owner_is_told_the_end),
        cmocka_unit_test(work_that_does_not_end_is_left_behind),
    };
    return cmocka_run_group_tests_name("sys_loop", tests, NULL, NULL);
}
