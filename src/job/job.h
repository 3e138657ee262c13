/*
 * job: one rule's work for one message, as the queue sees it.
 * Never knows what a message is.
 */
#ifndef MAILCALL_JOB_JOB_H
#define MAILCALL_JOB_JOB_H

#include "base/list.h"
#include "job/heap.h"

#include <stdbool.h>
#include <stdint.h>

enum job_state {
    JOB_WAITING,   /* for its turn */
    JOB_GATHERING, /* for its burst to be quiet */
    JOB_FOLLOWING, /* it goes where its leader goes */
    JOB_DELAYED,   /* for the moment of its next attempt */
    JOB_RUNNING
};

/* All zero but for message and rule is a fresh one. */
struct job {
    uint64_t message; /* jobs of one message carry one number, ascending in order of arrival */
    uint64_t rule;    /* jobs with one rule number share its manners and keep their order */
    bool formed;      /* in an earlier life it has run, with the followers it brings or alone */
    struct list followers; /* of a leader: those that run with it, by their `in_batch`, oldest
                              first; the queue adds to it, the owner may walk it, also when the
                              queue has let the leader go; all zero or empty in a fresh job */
    struct list in_batch;

    /* the queue's, valid while the job is in it; nobody else changes them */
    enum job_state state;
    bool stopping;      /* QUEUE_STOP was said */
    bool again;         /* it has run before */
    uint64_t at;        /* GATHERING: when it came */
    uint64_t place;     /* WAITING, RUNNING: where it stands, ascending */
    struct job *leader; /* FOLLOWING */
    struct rule_row *rule_row;
    struct message_row *message_row;
    struct list in_rule;
    struct list in_message;
    struct list in_queue;
    struct heap_node due; /* DELAYED: until when */
};

#endif
