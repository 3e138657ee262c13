/* SPDX-License-Identifier: ISC */
/* A pass may settle the mailbox only if it missed nothing: a new message without text (NIL, or an
 * empty string for a message that has a size) is a gap, and so is a response that could not be
 * read. After PASS_TRIES such passes the gap is delivered as it is, so that one broken message
 * cannot stop the mailbox. */
#include "imap/pass.h"

static void
begin(struct pass *p)
{
    p->running = true;
    p->halves = 0;
    p->answered = false;
    p->stopped = false;
    p->blind = false;
    p->untaken = false;
    p->count = 0;
    p->again = 0;
    p->n_gaps = 0;
}

void
pass_begin(struct pass *p, enum pass_half half, bool behind_done)
{
    if (!p->running)
        begin(p);
    p->halves |= half;
    p->behind_done = behind_done;
}

static int
parse(struct pass *p, struct span items)
{
    int result = value_parse(&p->tree, items);
    fetch_read(&p->fetch, &p->tree);
    p->answered = true;
    return result;
}

/* A header block of a message that is wanted whole is not what was asked for. */
static bool
is_too_little(const struct pass *p)
{
    const struct fetch *f = &p->fetch;
    return f->part == FETCH_HEADER && mailbox_is_wanted_whole(p->mailbox, f->uid);
}

bool
pass_head(struct pass *p, struct span items)
{
    parse(p, items);
    const struct fetch *f = &p->fetch;
    bool first_text = f->body != FETCH_STREAMED && f->body != FETCH_STRING;
    bool known = f->uid != 0 && !mailbox_is_new(p->mailbox, f->uid);
    p->worth = p->running && first_text && !known && !is_too_little(p);
    return p->worth;
}

void
pass_chunk(struct pass *p, struct span bytes)
{
    if (!p->worth)
        return;
    p->chunks = true;
    events_push(p->events, (struct session_event){.type = SESSION_CHUNK, .bytes = bytes});
}

void
pass_discard(struct pass *p)
{
    if (p->chunks)
        events_push(p->events, (struct session_event){.type = SESSION_DISCARD});
    p->chunks = false;
}

void
pass_offer(struct pass *p, uint32_t uid)
{
    p->offered = uid;
}

void
pass_look_if_taken(struct pass *p)
{
    p->untaken |= p->offered != 0 && mailbox_is_new(p->mailbox, p->offered);
    p->offered = 0;
}

static bool
has_text(const struct fetch *f)
{
    if (f->body == FETCH_STRING)
        return f->text.n > 0 || f->size == 0;
    return f->body == FETCH_STREAMED;
}

static void
note_gap(struct pass *p, uint32_t uid)
{
    if (p->n_gaps < PASS_GAPS)
        p->gaps[p->n_gaps++] = uid;
    else
        p->blind = true;
}

static void
hand_out(struct pass *p, bool text)
{
    const struct fetch *f = &p->fetch;
    bool again = mailbox_is_wanted_whole(p->mailbox, f->uid);
    if (!text) {
        events_note(p->events, "server gives no text for a message: taken as empty", "");
        pass_discard(p);
    } else if (f->body == FETCH_STRING && f->text.n > 0) {
        events_push(p->events, (struct session_event){.type = SESSION_CHUNK, .bytes = f->text});
    }
    events_push(p->events, (struct session_event){
                               .type = SESSION_MESSAGE,
                               .uid = f->uid,
                               .internaldate = f->internaldate,
                               .size = f->size,
                               .whole = p->messages || again,
                               .flags = &f->flags,
                           });
    p->chunks = false;
    p->count++;
    p->again += again;
}

static enum pass_verdict
judge(struct pass *p)
{
    const struct fetch *f = &p->fetch;
    if (f->uid == 0 || !mailbox_is_new(p->mailbox, f->uid))
        return PASS_NOTHING;
    if (!p->running || !f->solicited)
        return PASS_HINT;
    if (is_too_little(p))
        return PASS_NOTHING;
    bool text = has_text(f);
    if (!text && p->incomplete < PASS_TRIES) {
        note_gap(p, f->uid);
        return PASS_NOTHING;
    }
    hand_out(p, text);
    return PASS_MESSAGE;
}

enum pass_verdict
pass_read(struct pass *p, struct span items)
{
    bool broken = parse(p, items) < 0;
    if (!broken || p->fetch.body != FETCH_ABSENT)
        return judge(p);
    pass_blind(p);
    return PASS_NOTHING;
}

void
pass_blind(struct pass *p)
{
    p->answered = true;
    p->blind = true;
}

static bool
has_gap(const struct pass *p)
{
    for (size_t i = 0; i < p->n_gaps; i++)
        if (mailbox_is_new(p->mailbox, p->gaps[i]))
            return true;
    return p->blind && p->incomplete < PASS_TRIES;
}

bool
pass_end(struct pass *p)
{
    p->running = false;
    if (has_gap(p)) {
        p->incomplete++;
        return false;
    }
    if ((p->halves & PASS_NEW) != 0)
        p->incomplete = 0;
    if (p->untaken)
        return false;
    if ((p->halves & PASS_NEW) != 0)
        mailbox_settle(p->mailbox);
    if ((p->halves & PASS_WHOLE) != 0)
        mailbox_settle_whole(p->mailbox);
    return true;
}

void
pass_rest(struct pass *p)
{
    value_free(&p->tree);
    fetch_clear(&p->fetch);
}
