/* SPDX-License-Identifier: ISC */
/* The event loop: libuv for descriptors, signals and the thread pool, our own heap for timers.
 *
 * libuv's timers stand still while the machine is suspended, so deadlines live in a min-heap on
 * clock_ms() and the loop sleeps by one kernel timer: on Linux a timerfd on CLOCK_BOOTTIME, which
 * fires at resume; elsewhere a uv_timer that never sleeps longer than RECHECK_MS.
 *
 * A turn runs descriptors, signals and finished work first and timers last: a byte that came just
 * in time clears its deadline before the deadline is looked at.
 *
 * What libuv allocates per descriptor is freed by libuv in its own time, never by the owner. */
#include "sys/loop.h"

#include "base/mem.h"
#include "sys/clock.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#ifdef __linux__
#include <sys/timerfd.h>
#endif

enum { FAREWELL_MS = 1000 };

/* A loop that could not be freed, because a pool thread still works for it. */
static struct loop *left_standing;

/* Lookups that hang on a dead name server must not keep hooks from starting. */
#define POOL_SIZE "16"

struct loop {
    uv_loop_t uv;
    bool woken;
    struct loop_timer **heap;
    size_t count;
    size_t cap;
    uint64_t order; /* numbers given to timers so far */
    uint64_t now;   /* when timers were last run */
    void **discarded;
    size_t discarded_count;
    size_t discarded_cap;
    struct list ends;
#ifdef __linux__
    int clock_fd;
    struct loop_fd *clock_watch;
    uint64_t armed; /* what the timerfd is set to, 0 = nothing */
#else
    uv_timer_t sleeper;
#endif
};

/* libuv refuses only when the system has run out of something: no better off than out of memory. */
static void
must(int result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "mailcall: %s: %s\n", what, uv_strerror(result));
    abort();
}

/* --- descriptors --- */

struct loop_fd {
    uv_poll_t poll;
    int wanted;
    void (*on_ready)(void *arg, int events);
    void *arg;
};

static_assert((int)LOOP_READ == (int)UV_READABLE && (int)LOOP_WRITE == (int)UV_WRITABLE,
    "masks are passed on as they are");

static void
free_handle(uv_handle_t *handle)
{
    free(handle->data);
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
    struct loop_fd *f = poll->data;
    /* after an error libuv has stopped watching; a wanted direction is watched until the owner
     * says otherwise */
    if (status < 0)
        must(uv_poll_start(poll, f->wanted, on_poll), "cannot watch a descriptor");
    events &= f->wanted;
    f->on_ready(f->arg, events != 0 ? events : f->wanted);
}

struct loop_fd *
loop_fd_new(struct loop *l, int fd, void (*on_ready)(void *arg, int events), void *arg)
{
    struct loop_fd *f = xcalloc(1, sizeof *f);
    f->on_ready = on_ready;
    f->arg = arg;
    f->poll.data = f;
    must(uv_poll_init(&l->uv, &f->poll, fd), "cannot watch a descriptor");
    return f;
}

void
loop_fd_want(struct loop_fd *f, int events)
{
    if (events == f->wanted)
        return;
    f->wanted = events;
    if (events == 0)
        uv_poll_stop(&f->poll);
    else
        must(uv_poll_start(&f->poll, events, on_poll), "cannot watch a descriptor");
}

void
loop_fd_close(struct loop_fd *f)
{
    if (f == NULL)
        return;
    /* at once, for the number may mean another file before libuv gets to closing */
    uv_poll_stop(&f->poll);
    uv_close((uv_handle_t *)&f->poll, free_handle);
}

/* --- timers --- */

static bool
is_before(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void
put(struct loop *l, size_t i, struct loop_timer *t)
{
    l->heap[i] = t;
    t->slot = i + 1;
}

static void
sift_up(struct loop *l, size_t i, struct loop_timer *t)
{
    while (i > 0 && is_before(t, l->heap[(i - 1) / 2])) {
        put(l, i, l->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(l, i, t);
}

static void
sift_down(struct loop *l, size_t i, struct loop_timer *t)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < l->count && is_before(l->heap[child + 1], l->heap[child]))
            child++;
        if (child >= l->count || !is_before(l->heap[child], t))
            break;
        put(l, i, l->heap[child]);
        i = child;
    }
    put(l, i, t);
}

/* t goes to place i, or to where the heap's order wants it from there. */
static void
settle(struct loop *l, size_t i, struct loop_timer *t)
{
    if (i > 0 && is_before(t, l->heap[(i - 1) / 2]))
        sift_up(l, i, t);
    else
        sift_down(l, i, t);
}

void
loop_timer_init(struct loop_timer *t, void (*on_due)(void *arg), void *arg)
{
    *t = (struct loop_timer){.on_due = on_due, .arg = arg};
}

void
loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t at)
{
    /* all of the past is the same moment: who is overdue longer gets no right over the others */
    t->at = at > l->now ? at : l->now;
    t->order = ++l->order;
    if (t->slot != 0) {
        settle(l, t->slot - 1, t);
        return;
    }
    if (l->count == l->cap) {
        l->cap = l->cap > 0 ? l->cap * 2 : 16;
        l->heap = xreallocarray(l->heap, l->cap, sizeof(struct loop_timer *));
    }
    sift_up(l, l->count++, t);
}

void
loop_timer_clear(struct loop *l, struct loop_timer *t)
{
    if (t->slot == 0)
        return;
    size_t i = t->slot - 1;
    t->slot = 0;
    struct loop_timer *last = l->heap[--l->count];
    if (last != t)
        settle(l, i, last);
}

static void
run_due(struct loop *l)
{
    uint64_t newest = l->order;
    l->now = clock_ms();
    while (l->count > 0 && l->heap[0]->at <= l->now && l->heap[0]->order <= newest) {
        struct loop_timer *t = l->heap[0];
        loop_timer_clear(l, t);
        t->on_due(t->arg);
    }
}

/* --- the one kernel timer --- */

#ifdef __linux__

static void
on_clock(void *arg, int events)
{
    (void)events;
    struct loop *l = arg;
    uint64_t expirations;
    if (read(l->clock_fd, &expirations, sizeof expirations) > 0)
        l->armed = 0;
}

static void
sleeper_open(struct loop *l)
{
    l->clock_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    must(l->clock_fd >= 0 ? 0 : uv_translate_sys_error(errno), "cannot create a timer");
    l->clock_watch = loop_fd_new(l, l->clock_fd, on_clock, l);
    loop_fd_want(l->clock_watch, LOOP_READ);
}

static void
sleeper_arm(struct loop *l)
{
    uint64_t at = l->count > 0 ? l->heap[0]->at : 0;
    if (at == l->armed)
        return;
    struct itimerspec when = {.it_value = {(time_t)(at / 1000), (long)(at % 1000) * 1000000}};
    timerfd_settime(l->clock_fd, TFD_TIMER_ABSTIME, &when, NULL);
    l->armed = at;
}

static void
sleeper_close(struct loop *l)
{
    loop_fd_close(l->clock_watch);
    close(l->clock_fd);
}

#else

enum { RECHECK_MS = 10 * 1000 };

static void
on_clock(uv_timer_t *timer)
{
    (void)timer; /* waking up was all it was for */
}

static void
sleeper_open(struct loop *l)
{
    must(uv_timer_init(&l->uv, &l->sleeper), "cannot create a timer");
}

static void
sleeper_arm(struct loop *l)
{
    uint64_t now = clock_ms();
    uint64_t rest = RECHECK_MS;
    if (l->count > 0 && l->heap[0]->at < now + rest)
        rest = l->heap[0]->at > now ? l->heap[0]->at - now : 0;
    uv_update_time(&l->uv);
    must(uv_timer_start(&l->sleeper, on_clock, rest, 0), "cannot set a timer");
}

static void
sleeper_close(struct loop *l)
{
    uv_close((uv_handle_t *)&l->sleeper, NULL);
}

#endif

/* --- signals --- */

struct loop_signal {
    uv_signal_t signal;
    void (*on_signal)(void *arg, int number);
    void *arg;
};

static void
on_uv_signal(uv_signal_t *signal, int number)
{
    struct loop_signal *s = signal->data;
    s->on_signal(s->arg, number);
}

struct loop_signal *
loop_signal_new(struct loop *l, int number, void (*on_signal)(void *arg, int number), void *arg)
{
    struct loop_signal *s = xcalloc(1, sizeof *s);
    s->on_signal = on_signal;
    s->arg = arg;
    s->signal.data = s;
    must(uv_signal_init(&l->uv, &s->signal), "cannot watch a signal");
    must(uv_signal_start(&s->signal, on_uv_signal, number), "cannot watch a signal");
    return s;
}

void
loop_signal_close(struct loop_signal *s)
{
    if (s == NULL)
        return;
    uv_signal_stop(&s->signal);
    uv_close((uv_handle_t *)&s->signal, free_handle);
}

/* --- work --- */

struct work {
    uv_work_t request;
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

static void
on_work(uv_work_t *request)
{
    struct work *w = request->data;
    w->work(w->arg);
}

static void
on_worked(uv_work_t *request, int status)
{
    (void)status; /* nothing is ever cancelled */
    struct work *w = request->data;
    w->done(w->arg);
    free(w);
}

void
loop_work(struct loop *l, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
    struct work *w = xcalloc(1, sizeof *w);
    *w = (struct work){.work = work, .done = done, .arg = arg};
    w->request.data = w;
    must(uv_queue_work(&l->uv, &w->request, on_work, on_worked), "cannot start work");
}

/* --- the loop --- */

void
loop_discard(struct loop *l, void *p)
{
    if (l->discarded_count == l->discarded_cap) {
        l->discarded_cap = l->discarded_cap > 0 ? l->discarded_cap * 2 : 16;
        l->discarded = xreallocarray(l->discarded, l->discarded_cap, sizeof(void *));
    }
    l->discarded[l->discarded_count++] = p;
}

static void
free_discarded(struct loop *l)
{
    while (l->discarded_count > 0)
        free(l->discarded[--l->discarded_count]);
}

void
loop_at_end(struct loop *l, struct loop_end *end)
{
    list_append(&l->ends, &end->link);
}

static void
run_ends(struct loop *l)
{
    while (!list_empty(&l->ends)) {
        struct loop_end *end = LIST_OWNER(l->ends.next, struct loop_end, link);
        list_remove(&end->link);
        end->on_end(end->arg);
    }
}

struct loop *
loop_new(void)
{
    setenv("UV_THREADPOOL_SIZE", POOL_SIZE, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    struct loop *l = xcalloc(1, sizeof *l);
    must(uv_loop_init(&l->uv), "cannot create the event loop");
    list_init(&l->ends);
    sleeper_open(l);
    return l;
}

static void
on_farewell_over(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* Closes what is closing; false if work in the pool has not ended in time. */
static bool
run_out(struct loop *l)
{
    uv_timer_t timer;
    bool over = false;
    must(uv_timer_init(&l->uv, &timer), "cannot create a timer");
    timer.data = &over;
    uv_update_time(&l->uv);
    must(uv_timer_start(&timer, on_farewell_over, FAREWELL_MS, 0), "cannot set a timer");
    uv_unref((uv_handle_t *)&timer);
    bool alive;
    do {
        run_ends(l);
        alive = uv_run(&l->uv, UV_RUN_ONCE) != 0 || !list_empty(&l->ends);
    } while (alive && !over);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&l->uv, UV_RUN_NOWAIT); /* the timer's closing; it lives on our stack */
    return !alive;
}

bool
loop_left_work(void)
{
    return left_standing != NULL;
}

void
loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    sleeper_close(l);
    if (!run_out(l)) {
        left_standing = l;
        return;
    }
    int left = uv_loop_close(&l->uv);
    assert(left == 0);
    (void)left;
    free_discarded(l);
    free(l->discarded);
    free(l->heap);
    free(l);
}

void
loop_turn(struct loop *l, bool sleep)
{
    bool due = l->count > 0 && l->heap[0]->at <= clock_ms();
    bool wait = sleep && !due && !l->woken;
    l->woken = false;
    if (wait)
        sleeper_arm(l);
    uv_run(&l->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    run_due(l);
    free_discarded(l);
}

void
loop_wake(struct loop *l)
{
    l->woken = true;
}

void *
loop_uv(struct loop *l)
{
    return &l->uv;
}
