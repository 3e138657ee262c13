/*
 * wire: what the sorter and a worker say to each other, as bytes: frames, and what is inside.
 * Never knows descriptors or processes.
 *
 * The sorter begins with ORDERS, the worker answers READY. Then, one at a time: the sorter sends a
 * REQUEST with the message's descriptor, the worker sends its ANSWER; and for each attachment that
 * is wanted the sorter sends a FILE with a descriptor to write to, the worker WRITTEN. So a worker
 * only ever speaks when it was asked, and every name, of a file or a program, is the sorter's.
 */
#ifndef MAILCALL_SORT_WIRE_H
#define MAILCALL_SORT_WIRE_H

#include "base/pack.h"
#include "mail/message.h"
#include "rule/match.h"

enum wire_kind {
    WIRE_ORDERS,
    WIRE_READY,
    WIRE_REQUEST,
    WIRE_ANSWER,
    WIRE_FILE,
    WIRE_WRITTEN,
    WIRE_KINDS,
};

enum {
    WIRE_FRAME_MAX = 32 * 1024 * 1024,     /* bytes of one frame: much more than all facts can be */
    WIRE_MESSAGE_MAX = 1024 * 1024 * 1024, /* bytes of a message */
    WIRE_HEAD = 16,                        /* of them before the content */
    WIRE_REASON_MAX = 400,                 /* bytes of the text in READY */
};

struct frame {
    enum wire_kind kind;
    struct span body; /* points into the bytes */
};

/* Appends a frame. False: the content is too large for one, nothing was appended. */
bool wire_frame(struct buf *out, enum wire_kind kind, struct span body);
/* The frame at the front of `in`, which takes WIRE_HEAD + body.n bytes. 1; 0: more bytes are
 * needed; -1: these are none. */
int wire_take_frame(struct span in, struct frame *f);

/* For the whole life of a worker. */
struct wire_orders {
    struct span rules;    /* ruleset_pack(); unpacked: points into the bytes */
    unsigned cpu_seconds; /* for one message */
};
void wire_pack_orders(const struct wire_orders *orders, struct buf *out);
int wire_unpack_orders(struct span body, struct wire_orders *orders);

/* reason: why the worker cannot work; "" if it can. Unpacked: one line, the caller's; NULL is
 * broken. */
void wire_pack_ready(const char *reason, struct buf *out);
char *wire_unpack_ready(struct span body);

/* One message. Of its meta only what conditions ask for travels: flags, received, size; the other
 * strings are "" on the other side. */
struct wire_request {
    uint64_t serial; /* unlike that of any other request */
    uint64_t size;   /* of the file */
    bool whole;
    bool list;  /* the nodes are wanted */
    bool files; /* FILEs may follow */
    struct meta meta;
    struct plan plan;
    struct strv trusted;
    int64_t now;
};
void wire_pack_request(const struct wire_request *r, struct buf *out);
/* The plan is checked against the rules. 0, then wire_request_clear() is due; or -1, broken. */
int wire_unpack_request(struct span body, const struct ruleset *rules, struct wire_request *r);
void wire_request_clear(struct wire_request *r); /* empty afterwards */

/* What a request was about, to check an answer against. */
struct wire_question {
    uint64_t serial;
    bool whole;
    bool list;
    const struct ruleset *rules;
    const struct plan *plan;
};
struct wire_answer {
    struct facts *facts;
    struct hits hits;
    struct message_nodes nodes;
};
void wire_pack_answer(uint64_t serial, const struct wire_answer *a, struct buf *out);
/* Everything is checked: facts, hits and nodes keep what their headers promise, and are of the
 * message that was asked for. 0, then wire_answer_clear() is due; or -1, a lie, and it is empty. */
int wire_unpack_answer(struct span body, const struct wire_question *q, struct wire_answer *a);
void wire_answer_clear(struct wire_answer *a); /* empty afterwards */

/* One attachment: which, and how many bytes it may have; written: how many it has. */
struct wire_file {
    uint64_t serial;
    uint64_t attachment;
    uint64_t bytes;
    bool failed; /* written only: the disk refused */
};
void wire_pack_file(const struct wire_file *f, struct buf *out);
int wire_unpack_file(struct span body, struct wire_file *f);

#endif
