/* SPDX-License-Identifier: ISC */
/* Every job belongs to two rows, its rule's and its message's. While it waits for its turn it
 * stands in a ring of each, in the order of arrival; one sentence is the whole policy: a job may
 * start when it is the first that waits in its rule, the first in its message, and its rule is not
 * busy. A running job still stands in its message, and bars it; in its rule it is counted.
 *
 * Who gathers, follows or is delayed stands aside: its message knows it, but it bars nobody. When
 * it comes back it stands at the end, of both rings at once. So both rings ascend by `place`, and
 * the job with the least place of all can only be barred by running ones: the queue is never stuck.
 *
 * Nothing is searched for. Whatever changes about a rule, its busyness or its first job, ends in
 * review(), which keeps the rule in or out of `ready`, `to_form` and `to_judge`; time is two heaps.
 * All is O(log n) per job, whatever the number of rules and jobs. Knows nothing of clocks, retries
 * and what a job does. */
#include "job/queue.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

/* What has a number, in a table by it, as long as a job belongs to it. */
struct row {
    uint64_t key;
    size_t n_jobs;
    struct row *next; /* in its bucket */
};

struct table {
    struct row **bucket;
    size_t n_buckets; /* a power of two */
    size_t n_rows;
};

struct rule_row {
    struct row row; /* first: it is the row */
    const struct queue_rule *manners;
    struct list waiting; /* JOB_WAITING, by place */
    struct list running; /* JOB_RUNNING, in the order they were started */
    unsigned n_running;
    unsigned n_stopping;
    struct list burst; /* JOB_GATHERING, by their in_batch */
    unsigned n_burst;
    bool quiet;              /* the burst waits only for the rule */
    struct heap_node ripens; /* in queue.bursts: when it will be quiet */
    struct heap_node ready;  /* in queue.ready, by the message of its first job: it may start */
    struct list to_form;     /* on queue.to_form */
    struct list to_judge;    /* on queue.to_judge */
};

struct message_row {
    struct row row;    /* first */
    struct list turn;  /* JOB_WAITING and JOB_RUNNING, by place: one after the other */
    struct list aside; /* all others */
};

struct queue {
    struct list all;
    struct table rules;
    struct table messages;
    const struct queue_rule *manners;
    size_t n_manners;
    unsigned max_running;
    bool hurried;
    unsigned count[JOB_RUNNING + 1];
    unsigned n_quiet;     /* of the GATHERING, those in quiet bursts */
    uint64_t places;      /* given so far */
    struct heap delayed;  /* jobs */
    struct heap bursts;   /* rules */
    struct heap ready;    /* rules */
    struct list to_form;  /* rules whose burst can be formed */
    struct list to_judge; /* rules whose first job finds them busy and does not simply wait */
};

enum { FIRST_BUCKETS = 16 };

static const struct queue_rule plain_manners = {.concurrency = 1, .on_busy = BUSY_QUEUE};

/* --- rows by their key --- */

static struct row **
bucket_of(const struct table *t, uint64_t key)
{
    uint64_t hash = key * UINT64_C(0x9E3779B97F4A7C15);
    return &t->bucket[(hash >> 32) & (t->n_buckets - 1)];
}

/* The pointer to the row of this key, or to the NULL where it would be. */
static struct row **
slot_of(const struct table *t, uint64_t key)
{
    struct row **at = bucket_of(t, key);
    while (*at != NULL && (*at)->key != key)
        at = &(*at)->next;
    return at;
}

static void
table_init(struct table *t, size_t n_buckets)
{
    *t = (struct table){xcalloc(n_buckets, sizeof(struct row *)), n_buckets, 0};
}

static void
table_grow(struct table *t)
{
    struct table old = *t;
    table_init(t, old.n_buckets * 2);
    t->n_rows = old.n_rows;
    for (size_t i = 0; i < old.n_buckets; i++) {
        for (struct row *r = old.bucket[i], *next; r != NULL; r = next) {
            struct row **at = bucket_of(t, r->key);
            next = r->next;
            r->next = *at;
            *at = r;
        }
    }
    free(old.bucket);
}

static void
table_free(struct table *t)
{
    for (size_t i = 0; i < t->n_buckets; i++) {
        for (struct row *r = t->bucket[i], *next; r != NULL; r = next) {
            next = r->next;
            free(r);
        }
    }
    free(t->bucket);
}

/* The row of this key, with one more job; a new one, of `size` bytes, is zero behind its row. */
static struct row *
row_join(struct table *t, uint64_t key, size_t size)
{
    if (t->n_rows == t->n_buckets)
        table_grow(t);
    struct row **at = slot_of(t, key);
    if (*at == NULL) {
        *at = xcalloc(1, size);
        (*at)->key = key;
        t->n_rows++;
    }
    (*at)->n_jobs++;
    return *at;
}

static void
row_leave(struct table *t, struct row *r)
{
    if (--r->n_jobs > 0)
        return;
    *slot_of(t, r->key) = r->next;
    free(r);
    t->n_rows--;
}

static struct rule_row *
join_rule(struct queue *q, uint64_t rule)
{
    struct rule_row *r = (struct rule_row *)row_join(&q->rules, rule, sizeof *r);
    if (r->row.n_jobs > 1)
        return r;
    r->manners = rule < q->n_manners ? &q->manners[rule] : &plain_manners;
    list_init(&r->waiting);
    list_init(&r->running);
    list_init(&r->burst);
    list_init(&r->to_form);
    list_init(&r->to_judge);
    return r;
}

static struct message_row *
join_message(struct queue *q, uint64_t message)
{
    struct message_row *m = (struct message_row *)row_join(&q->messages, message, sizeof *m);
    if (m->row.n_jobs > 1)
        return m;
    list_init(&m->turn);
    list_init(&m->aside);
    return m;
}

/* --- where a rule stands --- */

static struct job *
first_waiting(const struct rule_row *r)
{
    return list_empty(&r->waiting) ? NULL : LIST_OWNER(r->waiting.next, struct job, in_rule);
}

static bool
is_its_turn(const struct job *job)
{
    return job->message_row->turn.next == &job->in_message;
}

static bool
is_busy(const struct rule_row *r)
{
    return r->n_running >= r->manners->concurrency;
}

/* A burst is held back while it could only wait behind others of its rule: so what comes meanwhile
 * joins it. Where a busy rule means more than waiting, it is formed to bring that about. */
static bool
can_be_formed(const struct rule_row *r)
{
    return r->quiet && list_empty(&r->waiting) &&
           (!is_busy(r) || r->manners->on_busy != BUSY_QUEUE);
}

/* Whether the first job, whose turn it is, is to be skipped, or to have a running one stopped. One
 * that has run before is owed another run, and is no reason to stop a newer one. */
static bool
minds_that_busy(const struct rule_row *r, const struct job *first)
{
    if (first->again || r->manners->on_busy == BUSY_QUEUE)
        return false;
    return r->manners->on_busy == BUSY_SKIP || r->n_stopping == 0;
}

/* Who stays keeps its place. */
static void
keep_on(struct list *list, struct list *link, bool on)
{
    if (!on)
        list_remove(link);
    else if (list_empty(link))
        list_append(list, link);
}

static void
review(struct queue *q, struct rule_row *r)
{
    const struct job *first = first_waiting(r);
    bool has_turn = first != NULL && is_its_turn(first);
    if (has_turn && !is_busy(r))
        heap_set(&q->ready, &r->ready, first->message);
    else
        heap_remove(&q->ready, &r->ready);
    keep_on(&q->to_judge, &r->to_judge, has_turn && is_busy(r) && minds_that_busy(r, first));
    keep_on(&q->to_form, &r->to_form, can_be_formed(r));
}

/* The job that is the first of its message now may be what its rule waits for. */
static void
review_first(struct queue *q, const struct message_row *m)
{
    if (!list_empty(&m->turn))
        review(q, LIST_OWNER(m->turn.next, struct job, in_message)->rule_row);
}

/* --- bursts --- */

static uint64_t
later(uint64_t at, uint64_t ms)
{
    return ms < UINT64_MAX - at ? at + ms : UINT64_MAX;
}

static uint64_t
quiet_from(const struct rule_row *r)
{
    const struct job *oldest = LIST_OWNER(r->burst.next, struct job, in_batch);
    const struct job *newest = LIST_OWNER(r->burst.prev, struct job, in_batch);
    uint64_t calm = later(newest->at, r->manners->debounce_ms);
    uint64_t late = later(oldest->at, r->manners->max_delay_ms);
    return calm < late ? calm : late;
}

static void
set_quiet(struct queue *q, struct rule_row *r, bool quiet)
{
    if (quiet != r->quiet)
        q->n_quiet = quiet ? q->n_quiet + r->n_burst : q->n_quiet - r->n_burst;
    r->quiet = quiet;
}

static void
change_burst(struct queue *q, struct rule_row *r, int by)
{
    set_quiet(q, r, false);
    r->n_burst += (unsigned)by;
    if (r->n_burst > 0)
        heap_set(&q->bursts, &r->ripens, quiet_from(r));
    else
        heap_remove(&q->bursts, &r->ripens);
    review(q, r);
}

/* --- a job's states --- */

static void
set_state(struct queue *q, struct job *job, enum job_state state)
{
    job->state = state;
    q->count[state]++;
}

/* At the end. */
static void
stand(struct queue *q, struct job *job)
{
    set_state(q, job, JOB_WAITING);
    job->place = ++q->places;
    list_append(&job->rule_row->waiting, &job->in_rule);
    list_append(&job->message_row->turn, &job->in_message);
    review(q, job->rule_row);
}

static void
gather(struct queue *q, struct job *job, uint64_t now)
{
    set_state(q, job, JOB_GATHERING);
    job->at = now;
    list_append(&job->rule_row->burst, &job->in_batch);
    list_append(&job->message_row->aside, &job->in_message);
    change_burst(q, job->rule_row, 1);
}

static void
delay(struct queue *q, struct job *job, uint64_t until)
{
    set_state(q, job, JOB_DELAYED);
    job->again = true;
    heap_set(&q->delayed, &job->due, until);
    list_append(&job->message_row->aside, &job->in_message);
}

/* The caller links its in_batch. */
static void
follow(struct queue *q, struct job *job, struct job *leader)
{
    set_state(q, job, JOB_FOLLOWING);
    job->leader = leader;
    list_append(&job->message_row->aside, &job->in_message);
}

static void
run(struct queue *q, struct job *job)
{
    struct rule_row *r = job->rule_row;
    q->count[job->state]--;
    set_state(q, job, JOB_RUNNING);
    job->stopping = false;
    list_remove(&job->in_rule);
    list_append(&r->running, &job->in_rule);
    r->n_running++;
    review(q, r);
}

/* A running job is not counted as such any more. */
static void
end_run(struct job *job)
{
    job->rule_row->n_running--;
    job->rule_row->n_stopping -= job->stopping;
    job->stopping = false;
}

/* Out of the rings of its state, whichever it is; what comes next is the caller's. */
static void
quit(struct queue *q, struct job *job)
{
    q->count[job->state]--;
    list_remove(&job->in_message);
    switch (job->state) {
    case JOB_RUNNING:
        end_run(job);
        /* fall through */
    case JOB_WAITING:
        list_remove(&job->in_rule);
        review_first(q, job->message_row);
        review(q, job->rule_row);
        break;
    case JOB_GATHERING:
        list_remove(&job->in_batch);
        change_burst(q, job->rule_row, -1);
        break;
    case JOB_FOLLOWING:
        list_remove(&job->in_batch);
        job->leader = NULL;
        break;
    case JOB_DELAYED:
        heap_remove(&q->delayed, &job->due);
        break;
    }
}

/* --- in and out --- */

static void
join(struct queue *q, struct job *job)
{
    job->leader = NULL;
    job->stopping = false;
    job->again = job->formed;
    job->due = (struct heap_node){0};
    job->rule_row = join_rule(q, job->rule);
    job->message_row = join_message(q, job->message);
    list_init(&job->in_rule);
    list_init(&job->in_message);
    list_append(&q->all, &job->in_queue);
    if (job->followers.next == NULL)
        list_init(&job->followers);
}

static void
leave(struct queue *q, struct job *job)
{
    list_remove(&job->in_queue);
    row_leave(&q->rules, &job->rule_row->row);
    row_leave(&q->messages, &job->message_row->row);
}

/* One that is not a follower, with those that are its. */
static void
join_leading(struct queue *q, struct job *job)
{
    join(q, job);
    list_init(&job->in_batch);
    LIST_EACH(&job->followers, link)
    {
        struct job *follower = LIST_OWNER(link, struct job, in_batch);
        join(q, follower);
        assert(list_empty(&follower->followers));
        follow(q, follower, job);
    }
}

/* Followers stay linked to it: the owner settles them together. */
static void
take_out(struct queue *q, struct job *job)
{
    LIST_EACH(&job->followers, link)
    {
        struct job *follower = LIST_OWNER(link, struct job, in_batch);
        q->count[JOB_FOLLOWING]--;
        list_remove(&follower->in_message);
        leave(q, follower);
    }
    quit(q, job);
    leave(q, job);
}

/* The burst becomes one job, at the end. */
static void
form(struct queue *q, struct rule_row *r)
{
    struct job *leader = LIST_OWNER(r->burst.prev, struct job, in_batch);
    quit(q, leader);
    LIST_EACH(&r->burst, link)
    {
        struct job *job = LIST_OWNER(link, struct job, in_batch);
        quit(q, job);
        follow(q, job, leader);
        list_append(&leader->followers, &job->in_batch);
    }
    stand(q, leader);
}

struct queue *
queue_new(unsigned max_running, const struct queue_rule *rules, size_t n_rules)
{
    assert(max_running > 0);
    struct queue *q = xcalloc(1, sizeof *q);
    list_init(&q->all);
    list_init(&q->to_form);
    list_init(&q->to_judge);
    table_init(&q->rules, FIRST_BUCKETS);
    table_init(&q->messages, FIRST_BUCKETS);
    q->manners = rules;
    q->n_manners = n_rules;
    q->max_running = max_running;
    return q;
}

void
queue_free(struct queue *q, void (*drop)(void *arg, struct job *job), void *arg)
{
    if (q == NULL)
        return;
    LIST_EACH(&q->all, link)
    {
        struct job *job = LIST_OWNER(link, struct job, in_queue);
        /* each by itself: the others may be freed already, or before */
        LIST_EACH(&job->followers, follower)
        list_remove(follower);
        list_remove(&job->in_batch);
        list_remove(&job->in_queue);
        drop(arg, job);
    }
    table_free(&q->rules);
    table_free(&q->messages);
    heap_free(&q->delayed);
    heap_free(&q->bursts);
    heap_free(&q->ready);
    free(q);
}

void
queue_push(struct queue *q, struct job *job, uint64_t now)
{
    join_leading(q, job);
    bool is_batch = job->formed || !list_empty(&job->followers);
    if (job->rule_row->manners->debounce_ms > 0 && !is_batch && !q->hurried)
        gather(q, job, now);
    else
        stand(q, job);
}

void
queue_push_waiting(struct queue *q, struct job *job, uint64_t until)
{
    join_leading(q, job);
    delay(q, job, until);
}

/* --- what is to be done --- */

static struct job *
first_delayed(const struct queue *q)
{
    struct heap_node *node = heap_least(&q->delayed);
    return node != NULL ? LIST_OWNER(node, struct job, due) : NULL;
}

static struct rule_row *
first_burst(const struct queue *q)
{
    struct heap_node *node = heap_least(&q->bursts);
    return node != NULL ? LIST_OWNER(node, struct rule_row, ripens) : NULL;
}

static void
stand_again(struct queue *q, struct job *job)
{
    quit(q, job);
    stand(q, job);
}

static void
let_time_pass(struct queue *q, uint64_t now)
{
    for (struct job *job; (job = first_delayed(q)) != NULL && job->due.number <= now;)
        stand_again(q, job);
    for (struct rule_row *r; (r = first_burst(q)) != NULL && r->ripens.number <= now;) {
        heap_remove(&q->bursts, &r->ripens);
        set_quiet(q, r, true);
        review(q, r);
    }
}

/* What becomes of the first job of a rule that is busy. */
static enum queue_verdict
judge(struct queue *q, struct rule_row *r, struct job **job)
{
    if (r->manners->on_busy == BUSY_SKIP) {
        *job = first_waiting(r);
        take_out(q, *job);
        return QUEUE_SKIP;
    }
    /* none of them is stopping, or the rule would not be here */
    *job = LIST_OWNER(r->running.next, struct job, in_rule);
    (*job)->stopping = true;
    r->n_stopping++;
    review(q, r);
    return QUEUE_STOP;
}

enum queue_verdict
queue_next(struct queue *q, uint64_t now, struct job **job)
{
    let_time_pass(q, now);
    while (!list_empty(&q->to_form))
        form(q, LIST_OWNER(q->to_form.next, struct rule_row, to_form));
    if (!list_empty(&q->to_judge))
        return judge(q, LIST_OWNER(q->to_judge.next, struct rule_row, to_judge), job);
    struct heap_node *ready = heap_least(&q->ready);
    if (ready == NULL || q->count[JOB_RUNNING] >= q->max_running)
        return QUEUE_NOTHING;
    *job = first_waiting(LIST_OWNER(ready, struct rule_row, ready));
    run(q, *job);
    return QUEUE_START;
}

uint64_t
queue_deadline(const struct queue *q)
{
    const struct heap_node *job = heap_least(&q->delayed);
    const struct heap_node *burst = heap_least(&q->bursts);
    uint64_t due = job != NULL ? job->number : UINT64_MAX;
    uint64_t quiet = burst != NULL ? burst->number : UINT64_MAX;
    return due < quiet ? due : quiet;
}

void
queue_hurry(struct queue *q)
{
    q->hurried = true;
    for (size_t i = 0; i < q->rules.n_buckets; i++) {
        for (struct row *row = q->rules.bucket[i]; row != NULL; row = row->next) {
            struct rule_row *r = (struct rule_row *)row;
            if (r->n_burst > 0)
                form(q, r);
        }
    }
}

/* --- what became of a job --- */

void
queue_put_back(struct queue *q, struct job *job)
{
    assert(job->state == JOB_RUNNING);
    struct rule_row *r = job->rule_row;
    end_run(job);
    q->count[JOB_RUNNING]--;
    set_state(q, job, JOB_WAITING);
    list_remove(&job->in_rule);
    struct list *at = r->waiting.next; /* only others that were put back stand before it */
    while (at != &r->waiting && LIST_OWNER(at, struct job, in_rule)->place < job->place)
        at = at->next;
    list_append(at, &job->in_rule);
    review(q, r);
}

void
queue_wait(struct queue *q, struct job *job, uint64_t until)
{
    assert(job->state == JOB_RUNNING);
    quit(q, job);
    delay(q, job, until);
}

void
queue_wake(struct queue *q, struct job *job, uint64_t now)
{
    if (job->state == JOB_FOLLOWING)
        job = job->leader;
    if (job->state == JOB_DELAYED && job->due.number > now)
        heap_set(&q->delayed, &job->due, now);
    else if (job->state == JOB_GATHERING)
        form(q, job->rule_row);
}

void
queue_settle(struct queue *q, struct job *job)
{
    assert(job->state == JOB_RUNNING);
    take_out(q, job);
}

void
queue_remove(struct queue *q, struct job *job)
{
    assert(job->state != JOB_RUNNING);
    take_out(q, job);
}

/* --- the end of a message --- */

static bool
has_begun(const struct job *job)
{
    const struct job *leader = job->state == JOB_FOLLOWING ? job->leader : job;
    return leader->state == JOB_RUNNING || leader->again;
}

/* Its followers are of other messages, which go on: their newest leads them, from the end. */
static void
hand_over(struct queue *q, struct job *old)
{
    if (list_empty(&old->followers))
        return;
    struct job *leader = LIST_OWNER(old->followers.prev, struct job, in_batch);
    quit(q, leader);
    LIST_EACH(&old->followers, link)
    {
        list_remove(link);
        list_append(&leader->followers, link);
        LIST_OWNER(link, struct job, in_batch)->leader = leader;
    }
    stand(q, leader);
}

static void
end_ring(struct queue *q, struct list *ring, void (*drop)(void *arg, struct job *job), void *arg)
{
    LIST_EACH(ring, link)
    {
        struct job *job = LIST_OWNER(link, struct job, in_message);
        if (has_begun(job))
            continue;
        hand_over(q, job);
        take_out(q, job);
        drop(arg, job);
    }
}

void
queue_end_message(
    struct queue *q, uint64_t message, void (*drop)(void *arg, struct job *job), void *arg)
{
    if (*slot_of(&q->messages, message) == NULL)
        return;
    struct message_row *m = join_message(q, message); /* it outlives its jobs for now */
    end_ring(q, &m->aside, drop, arg);
    end_ring(q, &m->turn, drop, arg);
    row_leave(&q->messages, &m->row);
}

unsigned
queue_delayed(const struct queue *q)
{
    return q->count[JOB_DELAYED];
}

unsigned
queue_running(const struct queue *q)
{
    return q->count[JOB_RUNNING];
}

unsigned
queue_waiting(const struct queue *q)
{
    return q->count[JOB_WAITING] + q->count[JOB_GATHERING] + q->count[JOB_DELAYED];
}

unsigned
queue_startable(const struct queue *q)
{
    return q->count[JOB_WAITING] + q->n_quiet;
}
