/* SPDX-License-Identifier: ISC */
/* Every job stands in three rings: all jobs, those of its rule, those of its message, each in order
 * of arrival, and stays there while it runs. So one sentence is the whole policy: a job may start
 * when it is the first of its rule and the first of its message.
 *
 * The job that arrived first of all is first in both of its rings: the queue can never be stuck.
 * Rings with no job in them do not exist, so queue_next() costs the number of rules that have jobs.
 * Knows nothing of time, retries and what a job does. */
#include "job/queue.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

/* The jobs that share one rule, or one message. */
struct row {
    uint64_t key;
    struct list jobs;
    unsigned n;
    struct row *next; /* in its bucket */
};

struct table {
    struct row **bucket;
    size_t n_buckets; /* a power of two */
    size_t n_rows;
};

struct queue {
    struct list all;
    struct table rules;
    struct table messages;
    unsigned max_running;
    unsigned running;
    unsigned waiting;
};

enum { FIRST_BUCKETS = 16 };

/* --- rows by their key --- */

static struct row **
bucket_of(const struct table *t, uint64_t key)
{
    uint64_t hash = key * UINT64_C(0x9E3779B97F4A7C15);
    return &t->bucket[(hash >> 32) & (t->n_buckets - 1)];
}

/* The pointer to the row of this key, or to the NULL where it would be. */
static struct row **
place_of(const struct table *t, uint64_t key)
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
row_join(struct table *t, uint64_t key, struct list *link)
{
    if (t->n_rows == t->n_buckets)
        table_grow(t);
    struct row **at = place_of(t, key);
    if (*at == NULL) {
        *at = xcalloc(1, sizeof **at);
        (*at)->key = key;
        list_init(&(*at)->jobs);
        t->n_rows++;
    }
    list_append(&(*at)->jobs, link);
    (*at)->n++;
}

static void
row_leave(struct table *t, uint64_t key, struct list *link)
{
    struct row **at = place_of(t, key);
    struct row *r = *at;
    assert(r != NULL);
    list_remove(link);
    if (--r->n > 0)
        return;
    *at = r->next;
    free(r);
    t->n_rows--;
}

/* --- jobs --- */

static void
take_out(struct queue *q, struct job *job)
{
    row_leave(&q->rules, job->rule, &job->in_rule);
    row_leave(&q->messages, job->message, &job->in_message);
    list_remove(&job->in_queue);
}

static bool
is_first_of_message(const struct queue *q, const struct job *job)
{
    const struct row *r = *place_of(&q->messages, job->message);
    return r->jobs.next == &job->in_message;
}

/* The first job of a rule, if it may start; a running one still stands there and bars the rest. */
static struct job *
startable(const struct queue *q, const struct row *rule)
{
    struct job *job = LIST_OWNER(rule->jobs.next, struct job, in_rule);
    return job->state == JOB_WAITING && is_first_of_message(q, job) ? job : NULL;
}

struct queue *
queue_new(unsigned max_running)
{
    assert(max_running > 0);
    struct queue *q = xcalloc(1, sizeof *q);
    list_init(&q->all);
    table_init(&q->rules, FIRST_BUCKETS);
    table_init(&q->messages, FIRST_BUCKETS);
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
        take_out(q, job);
        drop(arg, job);
    }
    free(q->rules.bucket);
    free(q->messages.bucket);
    free(q);
}

void
queue_push(struct queue *q, struct job *job)
{
    job->state = JOB_WAITING;
    row_join(&q->rules, job->rule, &job->in_rule);
    row_join(&q->messages, job->message, &job->in_message);
    list_append(&q->all, &job->in_queue);
    q->waiting++;
}

struct job *
queue_next(struct queue *q)
{
    if (q->running >= q->max_running)
        return NULL;
    struct job *best = NULL;
    for (size_t i = 0; i < q->rules.n_buckets; i++) {
        for (const struct row *r = q->rules.bucket[i]; r != NULL; r = r->next) {
            struct job *job = startable(q, r);
            if (job != NULL && (best == NULL || job->message < best->message))
                best = job;
        }
    }
    if (best == NULL)
        return NULL;
    best->state = JOB_RUNNING;
    q->waiting--;
    q->running++;
    return best;
}

void
queue_put_back(struct queue *q, struct job *job)
{
    assert(job->state == JOB_RUNNING);
    job->state = JOB_WAITING;
    q->running--;
    q->waiting++;
}

void
queue_settle(struct queue *q, struct job *job)
{
    assert(job->state == JOB_RUNNING);
    take_out(q, job);
    q->running--;
}

void
queue_end_message(
    struct queue *q, uint64_t message, void (*drop)(void *arg, struct job *job), void *arg)
{
    struct row *r = *place_of(&q->messages, message);
    unsigned left = r != NULL ? r->n : 0;
    struct list *link = left > 0 ? r->jobs.next : NULL;
    for (; left > 0; left--) {
        struct job *job = LIST_OWNER(link, struct job, in_message);
        link = link->next; /* before the ring's head may go with its last job */
        if (job->state == JOB_RUNNING)
            continue;
        take_out(q, job);
        q->waiting--;
        drop(arg, job);
    }
}

unsigned
queue_message_left(const struct queue *q, uint64_t message)
{
    const struct row *r = *place_of(&q->messages, message);
    return r != NULL ? r->n : 0;
}

unsigned
queue_running(const struct queue *q)
{
    return q->running;
}

unsigned
queue_waiting(const struct queue *q)
{
    return q->waiting;
}
