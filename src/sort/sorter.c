/* SPDX-License-Identifier: ISC */
/* Requests wait in line for an idle worker. Workers are started when there is work for them, and
 * stay. A message whose worker died goes to the front of the line and waits for a fresh one: the
 * one that died is started again for it, so a fresh one always comes. Workers that die before they
 * are ready are nobody's fault but ours: then there is a growing pause before the next, and after a
 * few in a row everything in line fails, for the caller to decide. Refuses to know what the rules
 * are for. */
#include "sort/sorter.h"

#include "base/mem.h"
#include "sort/cell.h"
#include "sort/sandbox.h"
#include "sort/wire.h"
#include "sys/clock.h"

#include <stdlib.h>

#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

enum {
    WORKERS = 2,
    DEATHS_MAX = 2,      /* workers a message may cost */
    STARTS_MAX = 3,      /* failed starts in a row before the line is failed */
    PAUSE_MS = 100,      /* after the first of them, doubled by each */
    PAUSE_MAX_MS = 60000 /* but no longer than this */
};

struct sorter {
    struct loop *loop;
    const struct ruleset *rules;
    char *program;
    struct buf orders;
    struct list line;  /* errands that wait */
    struct list ready; /* errands with their answer */
    struct cell **cells;
    unsigned n_cells;
    unsigned failed_starts; /* in a row */
    bool paused;
    struct loop_timer pause;
    uint64_t serial;
};

/* --- answers --- */

static void
finish(struct sorter *s, struct errand *x)
{
    list_append(&s->ready, &x->link);
    loop_wake(s->loop);
}

static void
finish_unparsable(struct sorter *s, struct errand *x, const char *why)
{
    struct err e;
    err_set(&e, ERR_INPUT, "message: not read: worker: %s", why);
    errand_fail(x, &e);
    x->answer.unparsable = true;
    finish(s, x);
}

static void
fail_line(struct sorter *s, const char *why)
{
    struct err e;
    err_set(&e, ERR_SYSTEM, "sorter: no worker starts: %s", why);
    LIST_EACH(&s->line, link)
    {
        struct errand *x = LIST_OWNER(link, struct errand, link);
        list_remove(link);
        errand_fail(x, &e);
        finish(s, x);
    }
}

/* --- who works on what --- */

static void
put_in_front(struct sorter *s, struct errand *x)
{
    list_append(s->line.next, &x->link);
}

/* The first in line that this worker may take. */
static struct errand *
errand_for(struct sorter *s, const struct cell *c)
{
    LIST_EACH(&s->line, link)
    {
        struct errand *x = LIST_OWNER(link, struct errand, link);
        if (x->deaths == 0 || cell_is_fresh(c))
            return x;
    }
    return NULL;
}

static void
give_work(struct sorter *s)
{
    for (unsigned i = 0; i < s->n_cells; i++) {
        if (cell_state(s->cells[i]) != CELL_IDLE)
            continue;
        struct errand *x = errand_for(s, s->cells[i]);
        if (x == NULL)
            continue;
        list_remove(&x->link);
        cell_give(s->cells[i], x);
    }
}

static size_t
waiting(const struct sorter *s)
{
    size_t n = 0;
    for (const struct list *link = s->line.next; link != &s->line && n < s->n_cells;
         link = link->next)
        n++;
    return n;
}

static struct cell *
find_cell(const struct sorter *s, enum cell_state state)
{
    for (unsigned i = 0; i < s->n_cells; i++)
        if (cell_state(s->cells[i]) == state)
            return s->cells[i];
    return NULL;
}

/* As many as have somebody to wait for them. */
static void
start_workers(struct sorter *s)
{
    size_t wanted = waiting(s);
    for (unsigned i = 0; i < s->n_cells; i++)
        if (wanted > 0 && cell_state(s->cells[i]) == CELL_STARTING)
            wanted--;
    struct cell *c;
    for (; !s->paused && wanted > 0 && (c = find_cell(s, CELL_EMPTY)) != NULL; wanted--)
        cell_start(c);
}

static void
go_on(struct sorter *s)
{
    give_work(s);
    start_workers(s);
}

/* --- what workers do --- */

static void
on_idle(void *arg, struct errand *x)
{
    struct sorter *s = arg;
    s->failed_starts = 0;
    if (x != NULL)
        finish(s, x);
    go_on(s);
}

static void
on_pause_over(void *arg)
{
    struct sorter *s = arg;
    s->paused = false;
    go_on(s);
}

static void
pause_starting(struct sorter *s, const char *why)
{
    uint64_t pause = PAUSE_MS;
    for (unsigned i = 0; i < s->failed_starts && pause < PAUSE_MAX_MS; i++)
        pause *= 2;
    s->failed_starts++;
    s->paused = true;
    loop_timer_set(s->loop, &s->pause, clock_ms() + (pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS));
    if (s->failed_starts >= STARTS_MAX)
        fail_line(s, why);
}

static void
on_gone(void *arg, struct errand *x, enum cell_state died, const char *why)
{
    struct sorter *s = arg;
    if (died == CELL_STARTING)
        pause_starting(s, why);
    if (x != NULL && ++x->deaths < DEATHS_MAX) {
        errand_forget(x);
        put_in_front(s, x);
    } else if (x != NULL) {
        finish_unparsable(s, x, why);
    }
    go_on(s);
}

/* --- requests in, answers out --- */

void
sorter_submit(struct sorter *s, const struct sort_request *request)
{
    struct errand *x = errand_new(request, ++s->serial);
    if (x->answer.failure.kind != ERR_NONE) {
        finish(s, x);
        return;
    }
    list_append(&s->line, &x->link);
    go_on(s);
}

bool
sorter_next(struct sorter *s, struct sort_answer *answer)
{
    if (list_empty(&s->ready))
        return false;
    struct errand *x = LIST_OWNER(s->ready.next, struct errand, link);
    *answer = x->answer;
    x->answer = (struct sort_answer){0};
    errand_free(x);
    return true;
}

void
sort_answer_free(struct sort_answer *a)
{
    facts_free(a->facts);
    hits_free(&a->hits);
    message_nodes_free(&a->nodes);
    for (size_t i = 0; i < a->n_files; i++)
        free(a->files[i].name);
    free(a->files);
    *a = (struct sort_answer){0};
}

const char *
sorter_walls(void)
{
    return sandbox_walls();
}

/* --- coming and going --- */

/* This program, as it was when it started, even if its file was replaced since. */
static char *
own_program(void)
{
#ifdef __APPLE__
    char path[4096];
    uint32_t size = sizeof path;
    return xstrdup(_NSGetExecutablePath(path, &size) == 0 ? path : "mailcall");
#elif defined(__linux__)
    return xstrdup("/proc/self/exe");
#else
    return xstrdup("/proc/curproc/file");
#endif
}

static void
pack_orders(struct sorter *s, uint64_t deadline_ms)
{
    struct buf rules = {0};
    ruleset_pack(s->rules, &rules);
    /* a second more than the clock allows: then the clock is the judge, unless we are dead */
    struct wire_orders orders = {
        .rules = buf_span(&rules), .cpu_seconds = (unsigned)(deadline_ms / 1000 + 1)};
    wire_pack_orders(&orders, &s->orders);
    buf_free(&rules);
}

static void
make_cells(struct sorter *s, const struct cell_opts *opts, unsigned n)
{
    s->n_cells = n;
    s->cells = xcalloc(n, sizeof(struct cell *));
    for (unsigned i = 0; i < n; i++)
        s->cells[i] = cell_new(opts);
}

struct sorter *
sorter_new(const struct sorter_opts *opts)
{
    struct sorter *s = xcalloc(1, sizeof *s);
    uint64_t deadline_ms = opts->deadline_ms != 0 ? opts->deadline_ms : SORT_DEADLINE_MS;
    s->loop = opts->loop;
    s->rules = opts->rules;
    s->program = opts->program != NULL ? xstrdup(opts->program) : own_program();
    list_init(&s->line);
    list_init(&s->ready);
    loop_timer_init(&s->pause, on_pause_over, s);
    pack_orders(s, deadline_ms);
    const struct cell_opts cell = {
        .loop = s->loop,
        .program = s->program,
        .name = opts->program != NULL ? s->program : "mailcall",
        .rules = s->rules,
        .orders = &s->orders,
        .deadline_ms = deadline_ms,
        .on_idle = on_idle,
        .on_gone = on_gone,
        .arg = s,
    };
    make_cells(s, &cell, opts->workers != 0 ? opts->workers : WORKERS);
    return s;
}

static void
free_errands(struct list *list)
{
    LIST_EACH(list, link)
    errand_free(LIST_OWNER(link, struct errand, link));
}

void
sorter_free(struct sorter *s)
{
    if (s == NULL)
        return;
    for (unsigned i = 0; i < s->n_cells; i++)
        cell_free(s->cells[i]);
    loop_timer_clear(s->loop, &s->pause);
    free_errands(&s->line);
    free_errands(&s->ready);
    buf_free(&s->orders);
    free(s->cells);
    free(s->program);
    free(s);
}
