/*
 * job: one rule's work for one message, as the queue sees it.
 * Never knows what a message is.
 */
#ifndef MAILCALL_JOB_JOB_H
#define MAILCALL_JOB_JOB_H

#include "base/list.h"

#include <stdint.h>

enum job_state { JOB_WAITING, JOB_RUNNING };

struct job {
    uint64_t message; /* jobs of one message carry one number, ascending in order of arrival */
    uint64_t rule;    /* jobs with one rule number share its concurrency and keep their order */
    enum job_state state;
    struct list in_rule;    /* the queue's */
    struct list in_message; /* the queue's */
    struct list in_queue;   /* the queue's */
};

#endif
