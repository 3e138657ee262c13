/* SPDX-License-Identifier: ISC */
/* Bytes to replies and requests to bytes. Replies find their command by tag, never by order. While
 * the rest of a command waits for "+", the next "+" is its. RFC 3501 sections 2.2 and 7.5. */
#include "imap/wire.h"

#include <assert.h>
#include <stdio.h>

void
wire_feed(struct wire *w, struct span bytes)
{
    if (!wire_has_input(w)) {
        buf_clear(&w->in);
        w->in_read = 0;
    }
    buf_addspan(&w->in, bytes);
}

bool
wire_has_input(const struct wire *w)
{
    return w->in_read < w->in.n;
}

static void
transmit(struct wire *w)
{
    w->waits_for_plus = command_send(&w->command, &w->out);
    if (!w->waits_for_plus)
        command_wipe(&w->command);
}

static int
take_sent(struct wire *w, size_t i, uint64_t now)
{
    int command = w->sent[i].command;
    w->n_sent--;
    memmove(w->sent + i, w->sent + i + 1, (w->n_sent - i) * sizeof *w->sent);
    if (i == 0)
        w->waiting_since = now;
    return command;
}

static enum wire_type
sort_tagged(struct wire *w, struct wire_event *event, uint64_t now)
{
    for (size_t i = 0; i < w->n_sent; i++) {
        char tag[16];
        snprintf(tag, sizeof tag, "t%u", w->sent[i].tag);
        if (w->sent[i].tag != 0 && span_ieq(event->reply.tag, span_str(tag))) {
            event->tag = w->sent[i].tag;
            event->command = take_sent(w, i, now);
            return WIRE_ANSWER;
        }
    }
    return WIRE_NOISE;
}

static enum wire_type
sort_continue(struct wire *w)
{
    if (!w->waits_for_plus)
        return WIRE_CONTINUE;
    transmit(w);
    return WIRE_QUIET;
}

static enum wire_type
sort(struct wire *w, struct wire_event *event, bool cut, uint64_t now)
{
    switch (event->reply.kind) {
    case REPLY_DATA:
        return cut ? WIRE_CUT : WIRE_DATA;
    case REPLY_STATUS:
        return WIRE_STATUS;
    case REPLY_CONTINUE:
        return sort_continue(w);
    case REPLY_TAGGED:
        return sort_tagged(w, event, now);
    }
    return WIRE_NOISE;
}

static void
read_one(struct wire *w, struct wire_event *event, uint64_t now)
{
    struct span in = {w->in.p + w->in_read, w->in.n - w->in_read};
    enum lex_event heard = lex_next(&w->lex, &in, &event->chunk);
    w->in_read = w->in.n - in.n;
    event->line = lex_text(&w->lex);
    event->size = w->lex.literal;
    if (heard == LEX_CHUNK)
        event->type = WIRE_CHUNK;
    if (heard == LEX_MORE || heard == LEX_CHUNK)
        return;
    reply_read(&event->reply, event->line);
    if (heard == LEX_BODY)
        event->type = WIRE_HEAD;
    else if (heard == LEX_HUGE)
        event->type = WIRE_HUGE;
    else
        event->type = sort(w, event, heard == LEX_CUT, now);
}

void
wire_next(struct wire *w, struct wire_event *event, uint64_t now)
{
    *event = (struct wire_event){.type = WIRE_QUIET, .command = WIRE_NONE};
    while (event->type == WIRE_QUIET && wire_has_input(w))
        read_one(w, event, now);
}

void
wire_plan(struct wire *w, int command)
{
    assert(w->n_plan < WIRE_COMMANDS);
    w->plan[w->n_plan++] = command;
}

int
wire_planned(const struct wire *w)
{
    return w->n_plan > 0 ? w->plan[0] : WIRE_NONE;
}

void
wire_unplan(struct wire *w)
{
    assert(w->n_plan > 0);
    w->n_plan--;
    memmove(w->plan, w->plan + 1, w->n_plan * sizeof *w->plan);
}

static void
add_sent(struct wire *w, unsigned tag, int command, uint64_t now)
{
    assert(w->n_sent < WIRE_COMMANDS);
    if (w->n_sent == 0)
        w->waiting_since = now;
    w->sent[w->n_sent].tag = tag;
    w->sent[w->n_sent].command = command;
    w->n_sent++;
}

void
wire_begin(struct wire *w, const char *verb, enum command_literals literals)
{
    command_begin(&w->command, ++w->last_tag, verb, literals);
}

void
wire_send(struct wire *w, int command, uint64_t now)
{
    command_end(&w->command);
    add_sent(w, w->last_tag, command, now);
    transmit(w);
}

void
wire_line(struct wire *w, const char *line)
{
    buf_room(&w->out, strlen(line) + 2);
    buf_adds(&w->out, line);
    buf_adds(&w->out, "\r\n");
}

void
wire_expect(struct wire *w, int command, uint64_t now)
{
    add_sent(w, 0, command, now);
}

static size_t
place_of(const struct wire *w, int command)
{
    size_t i = 0;
    while (i < w->n_sent && w->sent[i].command != command)
        i++;
    return i;
}

bool
wire_under_way(const struct wire *w, int command)
{
    return place_of(w, command) < w->n_sent;
}

int
wire_oldest(const struct wire *w)
{
    return w->n_sent > 0 ? w->sent[0].command : WIRE_NONE;
}

void
wire_wait_anew(struct wire *w, uint64_t now)
{
    w->waiting_since = now;
}

void
wire_settle(struct wire *w, int command, uint64_t now)
{
    size_t i = place_of(w, command);
    assert(i < w->n_sent);
    take_sent(w, i, now);
}

void
wire_turn(struct wire *w, int command, int into, uint64_t now)
{
    size_t i = place_of(w, command);
    assert(i < w->n_sent);
    w->sent[i].command = into;
    if (i == 0)
        w->waiting_since = now;
}

void
wire_rest(struct wire *w)
{
    if (!wire_has_input(w)) {
        buf_free(&w->in);
        w->in_read = 0;
    }
    lex_rest(&w->lex);
    if (w->out.n == 0)
        buf_wipe(&w->out);
}

void
wire_clear(struct wire *w)
{
    buf_wipe(&w->in);
    buf_wipe(&w->out);
    lex_reset(&w->lex);
    command_wipe(&w->command);
    *w = (struct wire){.lex = w->lex, .last_tag = w->last_tag};
}
