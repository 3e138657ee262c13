/*
 * queue: which job may start now.
 * Never knows what a message is, nor what time it is. Pure.
 *
 * Per rule in the order of arrival, one at a time; the jobs of one message one after the other;
 * all together at most `max_running`.
 */
#ifndef MAILCALL_JOB_QUEUE_H
#define MAILCALL_JOB_QUEUE_H

#include "job/job.h"

struct queue;

/* max_running > 0. */
struct queue *queue_new(unsigned max_running);
/* Jobs still inside are handed to `drop`, in order of arrival. NULL is fine. In any `drop` the job
 * may be freed; the queue must be left alone. */
void queue_free(struct queue *q, void (*drop)(void *arg, struct job *job), void *arg);

/* Puts the job at the end; it stays the caller's memory and must live until it is settled. */
void queue_push(struct queue *q, struct job *job);
/* A job that may start now, marked running; of several that of the oldest message. NULL if none
 * may. */
struct job *queue_next(struct queue *q);
/* A running job waits again, in the place where it stood. */
void queue_put_back(struct queue *q, struct job *job);
/* Takes a running job out. */
void queue_settle(struct queue *q, struct job *job);
/* Takes the waiting jobs of this message out, each handed to `drop`: the message ended. */
void queue_end_message(
    struct queue *q, uint64_t message, void (*drop)(void *arg, struct job *job), void *arg);
/* How many jobs of this message are inside, waiting or running. */
unsigned queue_message_left(const struct queue *q, uint64_t message);

unsigned queue_running(const struct queue *q);
unsigned queue_waiting(const struct queue *q);

#endif
