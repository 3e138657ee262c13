/* SPDX-License-Identifier: ISC */
/* One IMAP connection to one mailbox, as a table of steps. A step is planned, sent when the steps
 * before it allow, and settled by the reply that carries its tag, in whatever order replies come.
 * Untagged data is read in any state. Input is read lazily, one event at a time: what the owner
 * does upon an event is done before the next reply counts.
 *
 * Invariants: nothing secret is sent while TLS is owed; DONE follows only a "+" and only once; a
 * hint of new mail is remembered until a UID FETCH sent after it has been answered. RFC 3501, 2177.
 */
#include "imap/session.h"

#include "base/mem.h"
#include "imap/caps.h"
#include "imap/refusal.h"
#include "imap/steps.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECOND = 1000 };
enum { BUSY_MS = 300 * SECOND }; /* for all answers together, whatever drips in meanwhile */

/* In the order of the protocol: what to send and its arguments, how many seconds to wait for the
 * answer, what OK, NO and BAD mean, and the kind of the end where that is `refused`. CAPABILITY
 * comes up to three times: where the greeting did not tell, under TLS, and after the login. BAD
 * also stands for answers nobody can read. */
/* clang-format off */
static const struct step_row steps[] = {
    [GREETING]   = {"greeting",          NULL,                 30, 0,        steps_greeted,       steps_refused,      steps_refused,      ERR_PROTOCOL},
    [CAPABILITY] = {"CAPABILITY",        NULL,                 60, 0,        steps_capable,       steps_refused,      steps_refused,      ERR_PROTOCOL},
    [STARTTLS]   = {"STARTTLS",          NULL,                 60, ALONE,    steps_tls_agreed,    steps_refused,      steps_refused,      ERR_TLS},
    [LOGIN]      = {"login",             steps_write_login,    60, ALONE,    steps_logged_in,     steps_login_no,     steps_login_bad,    ERR_AUTH},
    [ID]         = {"ID",                steps_write_id,       60, 0,        steps_settled,       steps_settled,      steps_settled,      ERR_NONE},
    [SEPARATOR]  = {"LIST \"\" \"\"",    NULL,                 60, 0,        steps_settled,       steps_settled,      steps_settled,      ERR_NONE},
    [EXAMINE]    = {"EXAMINE",           steps_write_mailbox,  60, PROGRESS, steps_examined,      steps_refused,      steps_refused,      ERR_MAILBOX},
    [SELECT]     = {"SELECT",            steps_write_mailbox,  60, PROGRESS, steps_examined,      steps_refused,      steps_refused,      ERR_MAILBOX},
    [HIGHEST]    = {"UID FETCH * (UID)", NULL,                 60, PROGRESS, steps_highest_found, steps_refused,      steps_refused,      ERR_MAILBOX},
    [SEARCH]     = {"UID SEARCH",        steps_write_search,  180, PROGRESS, steps_searched,      steps_refused,      steps_refused,      ERR_MAILBOX},
    [STORE]      = {"UID STORE",         steps_write_act,      60, PROGRESS, steps_acted,         steps_acted,        steps_act_bad,      ERR_NONE},
    [COPY]       = {"UID COPY",          steps_write_act,     120, PROGRESS, steps_acted,         steps_acted,        steps_act_bad,      ERR_NONE},
    [MOVE]       = {"UID MOVE",          steps_write_act,     120, PROGRESS, steps_acted,         steps_acted,        steps_act_bad,      ERR_NONE},
    [EXPUNGE]    = {"UID EXPUNGE",       steps_write_act,      60, PROGRESS, steps_acted,         steps_acted,        steps_act_bad,      ERR_NONE},
    [NOOP]       = {"NOOP",              NULL,                 60, 0,        steps_settled,       steps_settled,      steps_settled,      ERR_NONE},
    [FETCH]      = {"UID FETCH",         steps_write_fetch,    60, PROGRESS, steps_fetched,       steps_fetch_no,     steps_fetch_bad,    ERR_AGAIN},
    [WHOLE]      = {"UID FETCH",         steps_write_whole,    60, PROGRESS, steps_fetched,       steps_fetch_no,     steps_fetch_bad,    ERR_AGAIN},
    [IDLE]       = {"IDLE",              NULL,                 60, 0,        steps_idle_over,     steps_idle_refused, steps_idle_refused, ERR_NONE},
    [DONE]       = {"DONE",              NULL,                 15, 0,        steps_settled,       steps_settled,      steps_settled,      ERR_NONE},
    [LOGOUT]     = {"LOGOUT",            NULL,                 10, 0,        steps_logged_out,    steps_logged_out,   steps_logged_out,   ERR_NONE},
};
/* clang-format on */

/* Whether we wait for anything but the end of an IDLE. */
static bool
is_busy(const struct session *s)
{
    return s->handshake || s->wire.n_sent > (s->idle.state == IDLE_ON ? 1 : 0);
}

static enum command_literals
literals(const struct session *s)
{
    if (s->quirks->no_literal_plus)
        return COMMAND_SYNC;
    return (s->told.caps & CAPS_LITERAL_PLUS) != 0    ? COMMAND_PLUS
           : (s->told.caps & CAPS_LITERAL_MINUS) != 0 ? COMMAND_MINUS
                                                      : COMMAND_SYNC;
}

static void
send_step(struct session *s, enum step step)
{
    const struct step_row *row = &steps[step];
    struct err e;
    wire_begin(&s->wire, step == LOGIN ? login_verb(&s->login) : row->verb, literals(s));
    if (row->write != NULL && row->write(s, &s->wire.command, &e) < 0) {
        inside_lose_by(s, &e, 0);
        return;
    }
    wire_send(&s->wire, step, s->now);
    if (step == IDLE)
        s->idle.state = IDLE_ASKED;
}

static void
end_idle(struct session *s)
{
    wire_turn(&s->wire, IDLE, DONE, s->now);
    wire_line(&s->wire, "DONE");
    idle_done(&s->idle);
}

static bool
opens_mailbox(enum step step)
{
    return step == EXAMINE || step == SELECT;
}

/* Ends an IDLE if there is one. */
static bool
may_send(struct session *s, enum step step)
{
    if (s->idle.state == IDLE_ASKED || s->wire.waits_for_plus)
        return false;
    if (s->idle.state == IDLE_ON)
        end_idle(s);
    bool one_at_a_time = s->quirks->step_by_step || (steps[step].flags & ALONE) != 0;
    bool must_wait = one_at_a_time || (opens_mailbox(step) && inside_has_levels(s) &&
                                          wire_under_way(&s->wire, SEPARATOR));
    return !must_wait || s->wire.n_sent == 0;
}

static void
send_planned(struct session *s)
{
    int step;
    while ((step = wire_planned(&s->wire)) != WIRE_NONE && may_send(s, (enum step)step)) {
        wire_unplan(&s->wire);
        send_step(s, (enum step)step);
    }
}

static bool
is_free(const struct session *s)
{
    return s->open && !s->events.leaving && !s->events.lost && !is_busy(s) &&
           wire_planned(&s->wire) == WIRE_NONE;
}

/* Plans as many commands of acts as may be under way together. */
static bool
plan_acts(struct session *s)
{
    struct err e;
    const struct act *act;
    while ((act = acting_refused(&s->acting, &e)) != NULL)
        events_acted(&s->events, act, false, &e);
    bool any = false;
    enum acting_command command;
    while ((command = acting_plan(&s->acting)) != ACTING_NOTHING) {
        inside_plan(s, (enum step)(STORE + command));
        any = true;
    }
    return any;
}

static bool
is_look_due(const struct session *s)
{
    bool more = s->all_well && !s->pace.held && mailbox_wants_more(s->mailbox);
    return more || pace_due(&s->pace) <= s->now;
}

static bool
is_whole_due(const struct session *s)
{
    return s->whole_due && !s->pace.held && mailbox_wants_whole(s->mailbox);
}

/* The set is made here: by the time there is room for the command, it may be empty. */
static void
plan_whole(struct session *s)
{
    s->whole_due = false;
    buf_clear(&s->whole);
    mailbox_missing_whole(s->mailbox, &s->whole);
    inside_plan(s, WHOLE);
}

/* A pass over everything above the mark, and what is wanted whole; while we are held, a sign of
 * life instead. */
static void
plan_look(struct session *s)
{
    if (s->pace.held)
        s->pace.regular_at = s->polling ? s->now + s->opts.poll_ms : PACE_NEVER;
    else
        pace_begin(&s->pace, s->now);
    if (s->polling || s->pace.held)
        inside_plan(s, NOOP);
    if (s->pace.held)
        return;
    inside_plan(s, FETCH);
    if (s->mailbox->whole.n > 0)
        plan_whole(s);
}

/* What there is to do, with IDLE behind it, in one write where possible. */
static void
plan_round(struct session *s)
{
    bool acts = plan_acts(s);
    bool look = is_look_due(s);
    bool whole = !look && is_whole_due(s);
    if (look)
        plan_look(s);
    else if (acts || whole)
        pace_interrupted(&s->pace, s->told.syncs, s->now);
    if (whole)
        plan_whole(s);
    if ((acts || look || whole) && !s->polling)
        inside_plan(s, IDLE);
}

/* Gives back what a connection that only waits does not need. */
static void
rest(struct session *s)
{
    wire_rest(&s->wire);
    pass_rest(&s->pass);
}

/* All input is read: what is to be done now? */
static void
advance(struct session *s)
{
    if (events_wait(&s->events))
        return; /* the owner hears of it first */
    if (is_free(s)) {
        s->busy_until = PACE_NEVER;
        plan_round(s);
    }
    send_planned(s);
    if (!is_busy(s)) {
        s->busy_until = PACE_NEVER;
        rest(s);
    } else if (s->busy_until == PACE_NEVER && !s->events.lost) {
        s->busy_until = s->now + BUSY_MS;
    }
}

static bool
is_act(int step)
{
    return step >= STORE && step <= EXPUNGE;
}

static void
settle(struct session *s, enum step step, const struct reply *r)
{
    const struct step_row *row = &steps[step];
    s->settling = step;
    s->row = row;
    if (r->status == REPLY_OK || r->status == REPLY_PREAUTH)
        row->ok(s, r);
    else if (r->status == REPLY_NO)
        row->no(s, r);
    else
        row->bad(s, r);
}

static void
read_fetch(struct session *s, const struct reply *r)
{
    enum pass_verdict verdict = pass_read(&s->pass, r->words);
    uint32_t uid = s->pass.fetch.uid;
    if (wire_under_way(&s->wire, HIGHEST)) {
        s->highest = uid > s->highest ? uid : s->highest;
        return;
    }
    s->pace.hint |= verdict == PASS_HINT;
}

static void
read_search(struct session *s, const struct reply *r)
{
    struct err e;
    if (wire_under_way(&s->wire, SEARCH) && opening_found(&s->opening, r->words, &e) < 0)
        inside_lose_by(s, &e, 0);
}

static bool
is_opening(const struct session *s)
{
    return wire_under_way(&s->wire, EXAMINE) || wire_under_way(&s->wire, SELECT);
}

/* Before the mailbox is open EXISTS and RECENT are facts, later hints, whatever their number. */
static void
read_data(struct session *s, const struct reply *r)
{
    told_data(&s->told, r);
    if (span_ieq(r->name, SPAN("FETCH")))
        read_fetch(s, r);
    else if (span_ieq(r->name, SPAN("EXISTS")) || span_ieq(r->name, SPAN("RECENT")))
        s->pace.hint |= !is_opening(s);
    else if (span_ieq(r->name, SPAN("SEARCH")))
        read_search(s, r);
}

static void
read_cut(struct session *s, const struct reply *r)
{
    if (span_ieq(r->name, SPAN("FETCH")))
        pass_blind(&s->pass);
    else if (wire_under_way(&s->wire, SEARCH) && span_ieq(r->name, SPAN("SEARCH")))
        inside_lose(s, ERR_PROTOCOL, "server answers a search with something unreadable");
}

static bool
was_replaced(const struct session *s)
{
    uint32_t told = s->told.facts.uidvalidity;
    uint32_t known = s->mailbox->uidvalidity;
    return s->open && told != 0 && known != 0 && told != known;
}

static void
read_bye(struct session *s, const struct reply *r)
{
    if (wire_under_way(&s->wire, LOGOUT))
        steps_logged_out(s, r);
    else
        inside_lose_refused(s, ERR_NET, "server says goodbye", r->words);
}

static void
read_status(struct session *s, const struct reply *r)
{
    told_code(&s->told, r->code);
    if (!s->clear && span_ieq(r->code, SPAN("ALERT")))
        events_note(&s->events, "server says: ", events_show(&s->events, r->words));
    if (r->status == REPLY_BYE) {
        read_bye(s, r);
    } else if (was_replaced(s)) {
        inside_lose(s, ERR_NET, "mailbox was replaced by another while open");
    } else if (wire_under_way(&s->wire, GREETING)) {
        wire_settle(&s->wire, GREETING, s->now);
        settle(s, GREETING, r);
    }
}

static void
read_continue(struct session *s, const struct reply *r)
{
    if (wire_under_way(&s->wire, LOGIN) && !s->login.by_command)
        wire_line(&s->wire, login_answer(&s->login, r->words));
    else if (s->idle.state == IDLE_ASKED)
        steps_idle_begun(s);
}

/* Lines without a known tag mean nothing, except before the greeting, and where Exchange gives up.
 */
static void
read_noise(struct session *s, struct span line)
{
    if (wire_under_way(&s->wire, GREETING))
        inside_lose(
            s, ERR_PROTOCOL, "server does not speak IMAP: \"%s\"", events_show(&s->events, line));
    else if (refusal_ends_session(line))
        inside_lose_refused(s, ERR_NET, "server gives up", line);
}

static void
lose_to_size(struct session *s, uint32_t uid, uint64_t size)
{
    char which[32] = "a message";
    if (uid != 0)
        snprintf(which, sizeof which, "message %" PRIu32, uid);
    inside_lose(s, ERR_PROTOCOL, "%s has %" PRIu64 " bytes, the limit is %" PRIu64, which, size,
        s->opts.literal_max);
}

/* A text we have already may be of any size: it only goes by. */
static void
read_head(struct session *s, const struct reply *r, uint64_t size)
{
    if (pass_head(&s->pass, r->words) && size > s->opts.literal_max)
        lose_to_size(s, s->pass.fetch.uid, size);
}

static void
read_chunk(struct session *s, struct span bytes)
{
    s->busy_until = s->now + BUSY_MS;
    pass_chunk(&s->pass, bytes);
}

/* Reads on to the next thing heard; false if there is no input left. */
static bool
read_on(struct session *s)
{
    struct wire_event heard;
    wire_next(&s->wire, &heard, s->now);
    switch (heard.type) {
    case WIRE_QUIET:
        return false;
    case WIRE_HEAD:
        read_head(s, &heard.reply, heard.size);
        return true;
    case WIRE_CHUNK:
        read_chunk(s, heard.chunk);
        return true;
    case WIRE_HUGE:
        inside_lose(s, ERR_PROTOCOL,
            "server sends a literal of %" PRIu64 " bytes, the limit is %" PRIu64, heard.size,
            s->opts.literal_max);
        return true;
    case WIRE_ANSWER:
        told_code(&s->told, heard.reply.code);
        s->settling_tag = heard.tag;
        settle(s, (enum step)heard.command, &heard.reply);
        break;
    case WIRE_STATUS:
        read_status(s, &heard.reply);
        break;
    case WIRE_DATA:
        read_data(s, &heard.reply);
        break;
    case WIRE_CUT:
        read_cut(s, &heard.reply);
        break;
    case WIRE_CONTINUE:
        read_continue(s, &heard.reply);
        break;
    case WIRE_NOISE:
        read_noise(s, heard.line);
        break;
    }
    pass_discard(&s->pass); /* the response is over, and no message came of them */
    return true;
}

struct session *
session_new(const struct session_opts *opts, struct session_quirks *quirks, struct mailbox *mailbox,
    uint64_t now)
{
    struct session *s = xcalloc(1, sizeof *s);
    s->opts = *opts;
    s->quirks = quirks;
    s->mailbox = mailbox;
    s->pass.mailbox = mailbox;
    s->pass.messages = opts->fetch == SESSION_FETCH_MESSAGES;
    s->pass.events = &s->events;
    s->acting.mailbox = mailbox;
    s->acting.told = &s->told;
    s->events.login = &s->login;
    s->now = now;
    s->idle.random = opts->random;
    s->clear = opts->starttls;
    told_init(&s->told);
    s->wire.lex.literal_max = opts->literal_max;
    s->login.who =
        (struct sasl_identity){.user = opts->user, .host = opts->host, .port = opts->port};
    s->login.token = opts->auth == SESSION_TOKEN;
    pace_init(&s->pace);
    wire_expect(&s->wire, GREETING, now);
    s->busy_until = now + BUSY_MS;
    return s;
}

void
session_free(struct session *s)
{
    if (s == NULL)
        return;
    wire_clear(&s->wire);
    told_free(&s->told);
    opening_free(&s->opening);
    acting_free(&s->acting);
    pass_rest(&s->pass);
    buf_free(&s->whole);
    events_free(&s->events);
    login_wipe(&s->login);
    free(s);
}

void
session_login(struct session *s, struct span secret, uint64_t now)
{
    s->now = now;
    if (s->events.lost || s->inside || wire_under_way(&s->wire, LOGIN))
        return;
    login_secret(&s->login, secret);
    if (s->wants_secret)
        steps_plan_login(s);
    advance(s);
}

void
session_secured(struct session *s, uint64_t now)
{
    s->now = now;
    if (s->events.lost)
        return;
    assert(s->handshake);
    s->handshake = false;
    s->clear = false;
    told_free(&s->told);
    steps_plan_after_greeting(s);
    advance(s);
}

void
session_feed(struct session *s, struct span bytes, uint64_t now)
{
    s->now = now;
    if (s->events.lost || bytes.n == 0)
        return;
    if (s->handshake) {
        inside_lose(s, ERR_TLS, "bytes injected behind STARTTLS");
        return;
    }
    int oldest = wire_oldest(&s->wire);
    if (oldest != WIRE_NONE && (steps[oldest].flags & PROGRESS) != 0)
        wire_wait_anew(&s->wire, now);
    wire_feed(&s->wire, bytes);
}

/* When the oldest command has waited too long. */
static uint64_t
patience_end(const struct session *s)
{
    int oldest = wire_oldest(&s->wire);
    if (oldest == WIRE_NONE || (oldest == IDLE && s->idle.state == IDLE_ON))
        return PACE_NEVER;
    return s->wire.waiting_since + steps[oldest].wait_s * SECOND;
}

/* Whether it may be the pipelining that an answer to this is missing for. */
static bool
may_blame_pipelining(const struct session *s, int step)
{
    if (s->quirks->step_by_step)
        return false;
    if (is_act(step))
        return s->acting.behind_done && !s->acting.answered;
    return (step == FETCH || step == WHOLE) && s->pass.behind_done && !s->pass.answered;
}

static void
lose_patience(struct session *s)
{
    int step = wire_oldest(&s->wire);
    const struct step_row *row = &steps[step];
    if (may_blame_pipelining(s, step))
        inside_blame_pipelining(s, "server did not answer what stood behind DONE");
    else
        inside_lose(s, ERR_NET,
            step == GREETING ? "no %s within %u s" : "no answer to %s within %u s", row->verb,
            (unsigned)row->wait_s);
}

void
session_tick(struct session *s, uint64_t now)
{
    s->now = now;
    if (s->events.lost)
        return;
    if (patience_end(s) <= now)
        lose_patience(s);
    else if (s->busy_until <= now)
        inside_lose(s, ERR_NET, "server has kept us waiting for %u s", BUSY_MS / SECOND);
    advance(s);
}

void
session_check(struct session *s, uint64_t now)
{
    s->now = now;
    pace_demand(&s->pace);
    advance(s);
}

void
session_want(struct session *s, uint64_t now)
{
    s->now = now;
    s->whole_due = true;
    advance(s);
}

void
session_hold(struct session *s, bool held, uint64_t now)
{
    s->now = now;
    pace_hold(&s->pace, held);
    advance(s);
}

void
session_act(struct session *s, const struct act *a, uint64_t now)
{
    s->now = now;
    if (s->events.lost || s->events.leaving)
        return;
    assert(s->open && s->opts.writable);
    acting_add(&s->acting, a);
}

void
session_logout(struct session *s, uint64_t now)
{
    s->now = now;
    if (s->events.lost || s->events.leaving)
        return;
    s->wire.n_plan = 0;
    s->pass.chunks = false;
    s->events.leaving = true;
    if (!s->inside) {
        inside_lose(s, ERR_NET, "logged out");
        return;
    }
    inside_plan(s, LOGOUT);
    advance(s);
}

void
session_next(struct session *s, struct session_event *event)
{
    pass_look_if_taken(&s->pass);
    *event = (struct session_event){.type = SESSION_NONE};
    while (!events_pop(&s->events, event)) {
        if (read_on(s))
            continue;
        advance(s);
        if (!events_wait(&s->events))
            return;
    }
    pass_offer(&s->pass, event->type == SESSION_MESSAGE ? event->uid : 0);
}

struct buf *
session_output(struct session *s)
{
    return &s->wire.out;
}

uint64_t
session_deadline(const struct session *s)
{
    uint64_t deadline = patience_end(s);
    if (s->busy_until < deadline)
        deadline = s->busy_until;
    if (is_free(s) && (s->acting.n > 0 || is_look_due(s) || is_whole_due(s)))
        return s->now;
    if (is_free(s) && pace_due(&s->pace) < deadline)
        deadline = pace_due(&s->pace);
    return deadline;
}

bool
session_reply_due(const struct session *s)
{
    return !s->handshake && is_busy(s);
}
