/*
 * cell: one worker as the sorter sees it: its process, its socket, its deadline, its errand.
 * Never knows who else waits, or what a rule means.
 *
 * A worker that dies, lies, or is late is gone, and its cell empty: it can be started again.
 */
#ifndef MAILCALL_SORT_CELL_H
#define MAILCALL_SORT_CELL_H

#include "sort/errand.h"

enum cell_state {
    CELL_EMPTY,    /* no process */
    CELL_STARTING, /* has its orders, is not ready */
    CELL_IDLE,
    CELL_BUSY,
    CELL_DYING, /* killed; its end has not been seen */
};

struct cell_opts {
    struct loop *loop;
    const char *program;
    const char *name; /* argv[0] */
    const struct ruleset *rules;
    const struct buf *orders; /* packed; borrowed for life, as are the others */
    uint64_t deadline_ms;
    /* From inside the loop. Idle now, or again; *x, if there is one, is done and has its answer. */
    void (*on_idle)(void *arg, struct errand *x);
    /* The process is gone, and reaped. *x, if there is one, has no answer. */
    void (*on_gone)(void *arg, struct errand *x, enum cell_state died, const char *why);
    void *arg;
};

struct cell;
struct cell *cell_new(const struct cell_opts *opts);
void cell_free(struct cell *c); /* kills; frees its errand too; NULL is fine */
enum cell_state cell_state(const struct cell *c);
bool cell_is_fresh(const struct cell *c); /* has taken nothing since it started */
/* From empty to starting; on_gone() comes, later, when that fails. */
void cell_start(struct cell *c);
/* From idle to busy. x is the cell's until a callback gives it back. */
void cell_give(struct cell *c, struct errand *x);

#endif
