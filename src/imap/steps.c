/* SPDX-License-Identifier: ISC */
/* Each function is a cell of the table in session.c. What an answer means depends on nothing but
 * what was told up to it; it plans what follows, and never sends. RFC 3501 section 6. */
#include "imap/steps.h"

#include "imap/caps.h"
#include "imap/refusal.h"

#include <stdio.h>

static const char no_uidplus[] =
    "server offers no UIDPLUS: what is moved or deleted stays, marked \\Deleted";

void
steps_refused(struct session *s, const struct reply *r)
{
    char what[64];
    snprintf(what, sizeof what, "%s refused", s->row->verb);
    inside_lose_refused(s, s->row->kind, what, r->words);
}

void
steps_settled(struct session *s, const struct reply *r)
{
    (void)s;
    (void)r;
}

void
steps_plan_login(struct session *s)
{
    struct err e;
    s->wants_secret = !s->login.ready;
    if (s->wants_secret)
        return;
    if (login_choose(&s->login, s->told.caps, &e) < 0)
        inside_lose_by(s, &e, 0);
    inside_plan(s, LOGIN);
}

void
steps_plan_after_greeting(struct session *s)
{
    if (!s->told.caps_known)
        inside_plan(s, CAPABILITY);
    else if (!s->clear)
        steps_plan_login(s);
    else if ((s->told.caps & CAPS_STARTTLS) != 0)
        inside_plan(s, STARTTLS);
    else
        inside_lose(s, ERR_TLS, "server does not offer STARTTLS; nothing was sent in the clear");
}

/* All that does not depend on answers, in one write. Servers that want an ID before anything else
 * offer it before the login already. */
static void
plan_after_login(struct session *s)
{
    if (!s->told.caps_known)
        inside_plan(s, CAPABILITY);
    if ((s->told.caps & CAPS_ID) != 0)
        inside_plan(s, ID);
    if (inside_has_levels(s) || s->opts.writable)
        inside_plan(s, SEPARATOR);
    inside_plan(s, s->opts.writable ? SELECT : EXAMINE);
}

void
steps_greeted(struct session *s, const struct reply *r)
{
    told_name(&s->told, r->words);
    if (r->status != REPLY_PREAUTH)
        steps_plan_after_greeting(s);
    else if (s->clear)
        inside_lose(s, ERR_TLS, "server greets with PREAUTH, which leaves no room for STARTTLS");
    else
        steps_logged_in(s, r);
}

void
steps_capable(struct session *s, const struct reply *r)
{
    (void)r;
    s->told.caps_known = true;
    if (!s->inside)
        steps_plan_after_greeting(s);
}

void
steps_tls_agreed(struct session *s, const struct reply *r)
{
    (void)r;
    if (wire_has_input(&s->wire)) {
        inside_lose(s, ERR_TLS, "bytes injected behind STARTTLS");
        return;
    }
    s->handshake = true;
    events_push(&s->events, (struct session_event){.type = SESSION_STARTTLS});
}

int
steps_write_login(struct session *s, struct command *c, struct err *e)
{
    s->told.caps_known = false; /* what counts from here on is what is told after the login */
    int result = login_write(&s->login, c, s->told.caps, e);
    s->pushed_literal = c->used_plus;
    return result;
}

void
steps_logged_in(struct session *s, const struct reply *r)
{
    (void)r;
    s->inside = true;
    login_wipe(&s->login);
    plan_after_login(s);
}

void
steps_login_no(struct session *s, const struct reply *r)
{
    char what[64];
    snprintf(what, sizeof what, "login refused%s%s%s",
        s->login.status[0] != '\0' ? " (status " : "", s->login.status,
        s->login.status[0] != '\0' ? ")" : "");
    inside_lose_refused(s, ERR_AUTH, what, r->words);
}

void
steps_login_bad(struct session *s, const struct reply *r)
{
    if (refusal_kind(r->words, ERR_AUTH) == ERR_AGAIN) {
        steps_login_no(s, r);
    } else if (login_fall_back(&s->login, s->told.caps)) {
        inside_plan(s, LOGIN);
    } else if (s->pushed_literal) {
        s->quirks->no_literal_plus = true;
        events_note(&s->events, "server offers LITERAL+ and refuses it: not used from now on", "");
        inside_lose_refused(s, ERR_NET, "login refused", r->words);
    } else {
        steps_login_no(s, r);
    }
}

int
steps_write_id(struct session *s, struct command *c, struct err *e)
{
    command_raw(c, "(\"name\" \"mailcall\" \"version\"");
    int result = command_astring(c, span_str(s->opts.client_version), "version", e);
    buf_adds(&c->bytes, ")");
    return result;
}

int
steps_write_mailbox(struct session *s, struct command *c, struct err *e)
{
    told_new_mailbox(&s->told);
    return command_mailbox(c, s->opts.mailbox, s->told.separator, e);
}

/* The mailbox is open and its mark stands: from here on we look and idle. */
static void
enter(struct session *s)
{
    bool offered = (s->told.caps & CAPS_IDLE) != 0;
    opening_end(&s->opening, s->mailbox, s->told.facts.uidvalidity);
    events_push(
        &s->events, (struct session_event){
                        .type = SESSION_OPENED, .opening = s->opening.how, .facts = s->told.facts});
    if (!offered)
        events_note(&s->events, "server does not offer IDLE: polling", "");
    s->polling = !offered || s->quirks->no_idle;
    s->open = true;
    s->pace.regular_at = s->now;
}

static void
go_on_opening(struct session *s)
{
    switch (opening_question(&s->opening)) {
    case OPENING_HIGHEST:
        s->highest = 0;
        inside_plan(s, HIGHEST);
        break;
    case OPENING_SEARCH:
        inside_plan(s, SEARCH);
        break;
    case OPENING_KNOWN:
        enter(s);
        break;
    }
}

/* Some servers tell UIDVALIDITY, or a lasting one, only upon SELECT. */
void
steps_examined(struct session *s, const struct reply *r)
{
    (void)r;
    if (s->told.facts.uidvalidity == 0 && s->settling == EXAMINE) {
        inside_plan(s, SELECT);
        return;
    }
    s->pace.hint = false; /* the pass that follows covers what came meanwhile */
    opening_begin(&s->opening, s->mailbox, &s->told.facts, &s->opts);
    if (s->told.exists_told && s->told.facts.exists == 0 && s->told.facts.uidnext == 0)
        opening_mark(&s->opening, 0);
    go_on_opening(s);
}

/* A baseline of 0 for a mailbox that is not empty would call everything in it new. */
void
steps_highest_found(struct session *s, const struct reply *r)
{
    (void)r;
    if (s->highest == 0 && s->told.facts.exists > 0) {
        inside_lose(
            s, ERR_PROTOCOL, "server tells neither UIDNEXT nor the UID of the last message");
        return;
    }
    opening_mark(&s->opening, s->highest);
    go_on_opening(s);
}

int
steps_write_search(struct session *s, struct command *c, struct err *e)
{
    (void)e;
    opening_criterion(&s->opening, &c->bytes);
    return 0;
}

void
steps_searched(struct session *s, const struct reply *r)
{
    (void)r;
    if (!s->opening.answered)
        events_note(&s->events, "server answers a search with nothing: taken as none found", "");
    s->opening.searched = true;
    go_on_opening(s);
}

int
steps_write_act(struct session *s, struct command *c, struct err *e)
{
    return acting_write(&s->acting, c, s->wire.last_tag, wire_under_way(&s->wire, DONE), e);
}

static void
act_failed(struct session *s, const struct acting_outcome *outcome, const struct reply *r)
{
    struct err e;
    const char *words = events_show(&s->events, r->words);
    err_set(&e, outcome->failed, "%s refused: %s", s->row->verb, words);
    events_acted(&s->events, outcome->act, false, &e);
}

void
steps_acted(struct session *s, const struct reply *r)
{
    struct acting_outcome outcome;
    bool marked = s->acting.left_marked;
    acting_settle(&s->acting, s->settling_tag, r, &outcome);
    if (s->acting.left_marked && !marked)
        events_note(&s->events, no_uidplus, "");
    if (outcome.copied)
        events_push(&s->events, (struct session_event){.type = SESSION_COPIED, .act = outcome.act});
    else if (outcome.failed != ERR_NONE)
        act_failed(s, &outcome, r);
    else if (outcome.ended)
        events_acted(&s->events, outcome.act, outcome.gone, NULL);
}

void
steps_act_bad(struct session *s, const struct reply *r)
{
    if (s->acting.behind_done && !s->quirks->step_by_step)
        inside_blame_pipelining(s, "server did not understand what stood behind DONE");
    else
        steps_acted(s, r);
}

static void
write_fetch(struct session *s, struct command *c, enum pass_half half, const char *text)
{
    pass_begin(&s->pass, half, wire_under_way(&s->wire, DONE));
    buf_addf(&c->bytes, " (UID FLAGS INTERNALDATE RFC822.SIZE %s)", text);
}

int
steps_write_fetch(struct session *s, struct command *c, struct err *e)
{
    (void)e;
    bool headers = s->opts.fetch == SESSION_FETCH_HEADERS;
    /* "n:*" always brings the last message again, which nobody minds of a header; a whole message
     * of 50 MB at every look is another matter */
    const char *last = headers || s->quirks->wants_star ? "*" : "4294967295";
    buf_adds(&c->bytes, " ");
    mailbox_missing(s->mailbox, last, &c->bytes);
    write_fetch(s, c, PASS_NEW, headers ? "BODY.PEEK[HEADER]" : "BODY.PEEK[]");
    return 0;
}

int
steps_write_whole(struct session *s, struct command *c, struct err *e)
{
    (void)e;
    command_raw(c, buf_str(&s->whole));
    buf_free(&s->whole);
    write_fetch(s, c, PASS_WHOLE, "BODY.PEEK[]");
    return 0;
}

static void
schedule_poll(struct session *s)
{
    s->pace.regular_at = s->now + s->opts.poll_ms;
    events_push(&s->events, (struct session_event){.type = SESSION_IDLE});
}

/* A server that stopped at the first one missing may still have the others. */
static void
look_for_the_others(struct session *s)
{
    s->vanished++;
    s->whole_due = false;
    if (s->vanished > PASS_TRIES)
        return;
    s->all_well = false;
    pace_again(&s->pace, s->vanished, s->now);
}

static void
ended_well(struct session *s, bool looked)
{
    const struct pass *p = &s->pass;
    events_push(&s->events, (struct session_event){.type = SESSION_CHECKED, .count = p->count});
    if (looked)
        pace_found(&s->pace, p->count - p->again, s->told.syncs, s->now);
}

/* Where only whole messages were asked for, nothing was learnt about new ones. */
static void
end_pass(struct session *s)
{
    const struct pass *p = &s->pass;
    bool looked = (p->halves & PASS_NEW) != 0;
    if (p->blind && p->incomplete == PASS_TRIES)
        events_note(&s->events, "server sends a message nobody can read: passed over", "");
    bool well = pass_end(&s->pass);
    s->all_well = well && (looked || s->all_well);
    s->whole_due = well;
    if (well)
        ended_well(s, looked);
    else if (p->incomplete > 0)
        pace_again(&s->pace, p->incomplete, s->now);
    if (p->stopped)
        look_for_the_others(s);
    else if (looked)
        s->vanished = 0;
    if (looked && s->polling)
        schedule_poll(s);
}

/* It ends with its second half, if there is one, whichever is answered first. */
void
steps_fetched(struct session *s, const struct reply *r)
{
    (void)r;
    s->pass.answered = false;
    bool more = wire_under_way(&s->wire, FETCH) || wire_under_way(&s->wire, WHOLE) ||
                wire_planned(&s->wire) == WHOLE;
    if (!more)
        end_pass(s);
}

static void
unask(struct session *s)
{
    if (s->settling == WHOLE)
        mailbox_unask_whole(s->mailbox);
    else
        mailbox_unask(s->mailbox);
}

void
steps_fetch_no(struct session *s, const struct reply *r)
{
    if (!refusal_vanished(r->words)) {
        steps_refused(s, r);
        return;
    }
    if (s->vanished < PASS_TRIES)
        unask(s);
    s->pass.stopped = true;
    steps_fetched(s, r);
}

void
steps_fetch_bad(struct session *s, const struct reply *r)
{
    bool bad_range = s->opts.fetch == SESSION_FETCH_MESSAGES && s->settling == FETCH;
    if (bad_range && !s->quirks->wants_star) {
        s->quirks->wants_star = true;
        inside_lose_refused(s, ERR_NET, "UID FETCH refused, next time with '*'", r->words);
    } else if (s->quirks->step_by_step || refusal_kind(r->words, ERR_NONE) == ERR_AGAIN)
        inside_lose_refused(s, ERR_PROTOCOL, "UID FETCH refused", r->words);
    else
        inside_blame_pipelining(s, "server refused UID FETCH");
}

void
steps_idle_begun(struct session *s)
{
    uint64_t renewal = idle_accepted(&s->idle, s->opts.renew_ms, s->now);
    if (renewal < s->pace.regular_at) /* acts do not put off the next look */
        s->pace.regular_at = renewal;
    events_push(&s->events, (struct session_event){.type = SESSION_IDLE});
}

static void
start_polling(struct session *s, const char *why)
{
    events_note(&s->events, why, ": polling");
    s->polling = true;
    bool looking = s->pass.running && (s->pass.halves & PASS_NEW) != 0;
    if (!looking)
        schedule_poll(s);
}

void
steps_idle_over(struct session *s, const struct reply *r)
{
    (void)r;
    if (idle_ended(&s->idle, s->now))
        start_polling(s, "server ends IDLE at once");
    else
        s->pace.regular_at = s->now;
}

void
steps_idle_refused(struct session *s, const struct reply *r)
{
    if (s->idle.state == IDLE_ON) {
        steps_idle_over(s, r);
        return;
    }
    s->idle.state = IDLE_OFF;
    s->quirks->no_idle = true;
    start_polling(s, "server refuses IDLE");
}

void
steps_logged_out(struct session *s, const struct reply *r)
{
    (void)r;
    inside_lose(s, ERR_NET, "logged out");
}
