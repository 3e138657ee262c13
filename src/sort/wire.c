/* SPDX-License-Identifier: ISC */
/* Frames: kind and length, 8 bytes each, then the content as base/pack has it. Both readers are
 * equally strict, though only one side has an enemy on the other. Refuses to know when which frame
 * may come: that is for who reads them. */
#include "sort/wire.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

/* --- frames --- */

bool
wire_frame(struct buf *out, enum wire_kind kind, struct span body)
{
    if (body.n > WIRE_FRAME_MAX)
        return false;
    pack_number(out, kind);
    pack_span(out, body);
    return true;
}

int
wire_take_frame(struct span in, struct frame *f)
{
    if (in.n < WIRE_HEAD)
        return 0;
    struct unpack u = {{in.p, WIRE_HEAD}, false};
    uint64_t kind = unpack_upto(&u, WIRE_KINDS - 1);
    uint64_t length = unpack_upto(&u, WIRE_FRAME_MAX);
    if (u.broken)
        return -1;
    if (in.n - WIRE_HEAD < length)
        return 0;
    *f = (struct frame){(enum wire_kind)kind, {in.p + WIRE_HEAD, (size_t)length}};
    return 1;
}

/* --- the beginning --- */

void
wire_pack_orders(const struct wire_orders *orders, struct buf *out)
{
    pack_number(out, orders->cpu_seconds);
    pack_span(out, orders->rules);
}

int
wire_unpack_orders(struct span body, struct wire_orders *orders)
{
    struct unpack u = {body, false};
    orders->cpu_seconds = (unsigned)unpack_upto(&u, UINT32_MAX);
    orders->rules = unpack_span(&u);
    return unpack_whole(&u) ? 0 : -1;
}

void
wire_pack_ready(const char *reason, struct buf *out)
{
    struct buf line = {0};
    utf8_line(&line, span_str(reason));
    pack_span(out, utf8_cut(buf_span(&line), WIRE_REASON_MAX));
    buf_free(&line);
}

char *
wire_unpack_ready(struct span body)
{
    struct unpack u = {body, false};
    struct span reason = unpack_span(&u);
    if (!unpack_whole(&u) || reason.n > WIRE_REASON_MAX)
        return NULL;
    struct buf line = {0};
    utf8_line(&line, reason);
    return buf_take(&line);
}

/* --- requests --- */

static void
pack_plan(const struct plan *p, struct buf *out)
{
    pack_number(out, p->n);
    for (size_t i = 0; i < p->n; i++)
        pack_number(out, p->v[i]);
}

/* Ascending, and each a rule there is. */
static void
unpack_plan(struct unpack *u, const struct ruleset *rules, struct plan *p)
{
    size_t n = (size_t)unpack_upto(u, rules->n);
    p->v = xcalloc(n + 1, sizeof *p->v);
    for (; p->n < n && !u->broken; p->n++) {
        p->v[p->n] = (size_t)unpack_upto(u, rules->n - 1);
        if (p->n > 0 && p->v[p->n] <= p->v[p->n - 1])
            u->broken = true;
    }
}

void
wire_pack_request(const struct wire_request *r, struct buf *out)
{
    pack_number(out, r->serial);
    pack_number(out, r->size);
    pack_number(out, r->whole);
    pack_number(out, r->list);
    pack_number(out, r->files);
    pack_strv(out, &r->meta.flags);
    pack_number(out, (uint64_t)r->meta.received);
    pack_number(out, r->meta.size);
    pack_plan(&r->plan, out);
    pack_strv(out, &r->trusted);
    pack_number(out, (uint64_t)r->now);
}

int
wire_unpack_request(struct span body, const struct ruleset *rules, struct wire_request *r)
{
    struct unpack u = {body, false};
    *r = (struct wire_request){
        .serial = unpack_number(&u), .meta = {.account = "", .mailbox = "", .role = "", .url = ""}};
    r->size = unpack_upto(&u, WIRE_MESSAGE_MAX);
    r->whole = unpack_upto(&u, 1) == 1;
    r->list = unpack_upto(&u, 1) == 1;
    r->files = unpack_upto(&u, 1) == 1;
    unpack_strv(&u, &r->meta.flags);
    r->meta.received = (int64_t)unpack_number(&u);
    r->meta.size = unpack_number(&u);
    unpack_plan(&u, rules, &r->plan);
    unpack_strv(&u, &r->trusted);
    r->now = (int64_t)unpack_number(&u);
    if (unpack_whole(&u))
        return 0;
    wire_request_clear(r);
    return -1;
}

void
wire_request_clear(struct wire_request *r)
{
    strv_free(&r->meta.flags);
    plan_free(&r->plan);
    strv_free(&r->trusted);
    *r = (struct wire_request){0};
}

/* --- answers --- */

static void
pack_nodes(const struct message_nodes *nodes, struct buf *out)
{
    pack_number(out, nodes->n);
    for (size_t i = 0; i < nodes->n; i++) {
        const struct message_node *n = &nodes->v[i];
        pack_str(out, n->part);
        pack_str(out, n->type);
        pack_str(out, n->name);
        pack_number(out, n->size);
        pack_number(out, n->depth);
    }
}

/* As facts have them: one line, within the limit. */
static char *
unpack_line(struct unpack *u)
{
    struct buf line = {0};
    char *s = unpack_str(u);
    if (s != NULL)
        utf8_line(&line, span_str(s));
    if (s == NULL || strlen(s) > FACTS_VALUE_MAX || strcmp(s, buf_str(&line)) != 0)
        u->broken = true;
    buf_free(&line);
    return s;
}

static void
unpack_nodes(struct unpack *u, size_t most, struct message_nodes *nodes)
{
    size_t n = (size_t)unpack_upto(u, most);
    nodes->v = n > 0 ? xcalloc(n, sizeof *nodes->v) : NULL;
    for (; nodes->n < n && !u->broken; nodes->n++) {
        struct message_node *to = &nodes->v[nodes->n];
        to->part = unpack_line(u);
        to->type = unpack_line(u);
        to->name = unpack_line(u);
        to->size = unpack_number(u);
        to->depth = (unsigned)unpack_upto(u, FACTS_ATTACHMENTS_MAX);
    }
}

void
wire_pack_answer(uint64_t serial, const struct wire_answer *a, struct buf *out)
{
    pack_number(out, serial);
    facts_pack(a->facts, out);
    hits_pack(&a->hits, out);
    pack_nodes(&a->nodes, out);
}

static bool
take_answer(struct unpack *u, const struct wire_question *q, struct wire_answer *a)
{
    if (unpack_number(u) != q->serial)
        return false;
    a->facts = facts_unpack(u);
    if (a->facts == NULL || a->facts->whole != q->whole ||
        hits_unpack(u, q->rules, q->plan, &a->hits) != 0)
        return false;
    unpack_nodes(u, q->list ? FACTS_ATTACHMENTS_MAX : 0, &a->nodes);
    /* of a whole message nothing is open, or it would be asked for again and again */
    return unpack_whole(u) && (!q->whole || a->hits.n_open == 0);
}

int
wire_unpack_answer(struct span body, const struct wire_question *q, struct wire_answer *a)
{
    struct unpack u = {body, false};
    *a = (struct wire_answer){0};
    if (take_answer(&u, q, a))
        return 0;
    wire_answer_clear(a);
    return -1;
}

void
wire_answer_clear(struct wire_answer *a)
{
    facts_free(a->facts);
    hits_free(&a->hits);
    message_nodes_free(&a->nodes);
    *a = (struct wire_answer){0};
}

/* --- attachments --- */

void
wire_pack_file(const struct wire_file *f, struct buf *out)
{
    pack_number(out, f->serial);
    pack_number(out, f->attachment);
    pack_number(out, f->bytes);
    pack_number(out, f->failed);
}

int
wire_unpack_file(struct span body, struct wire_file *f)
{
    struct unpack u = {body, false};
    f->serial = unpack_number(&u);
    f->attachment = unpack_upto(&u, FACTS_ATTACHMENTS_MAX - 1);
    f->bytes = unpack_number(&u);
    f->failed = unpack_upto(&u, 1) == 1;
    return unpack_whole(&u) ? 0 : -1;
}
