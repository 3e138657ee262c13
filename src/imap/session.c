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
#include "base/utf8.h"
#include "imap/caps.h"
#include "imap/fetch.h"
#include "imap/login.h"
#include "imap/pace.h"
#include "imap/pass.h"
#include "imap/refusal.h"
#include "imap/told.h"
#include "imap/wire.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECOND = 1000 };
enum {
    BUSY_MS = 300 * SECOND,      /* for all answers together, whatever drips in meanwhile */
    SHORT_IDLE_MS = 10 * SECOND, /* an IDLE the server ends sooner was hardly meant */
    SHORT_IDLES = 3,             /* so many of them, and we poll */
    NOTES_MAX = 32,
    WORDS_MAX = 200, /* of a server's text that we show */
};

enum step {
    GREETING,
    CAPABILITY,
    STARTTLS,
    LOGIN,
    ID,
    SEPARATOR, /* between the levels of a mailbox name */
    EXAMINE,
    HIGHEST, /* UID, where EXAMINE did not tell UIDNEXT */
    NOOP,    /* where we poll */
    FETCH,
    IDLE,
    DONE, /* what an IDLE turns into when we end it */
    LOGOUT,
};

typedef int step_write(struct session *s, struct command *c, struct err *e);
typedef void step_answer(struct session *s, const struct reply *r);

static step_write write_login, write_id, write_examine, write_fetch;
static step_answer greeted, capable, tls_agreed, logged_in, login_no, login_bad, examined,
    highest_found, fetched, fetch_no, fetch_bad, idle_ended, idle_refused, logged_out, refused,
    settled;

enum step_flags {
    ALONE = 1 << 0,   /* nothing else may be under way */
    PROGRESS = 1 << 1 /* the wait begins anew with every byte */
};

/* In the order of the protocol. CAPABILITY comes up to three times: where the greeting did not
 * tell, under TLS, and after the login. BAD also stands for answers nobody can read. */
/* clang-format off */
static const struct step_row {
    const char *verb;   /* what to send … */
    step_write *write;  /* … and its arguments */
    uint64_t wait_s;    /* for the answer */
    unsigned flags;
    step_answer *ok;    /* what OK means */
    step_answer *no;    /* what NO means */
    step_answer *bad;   /* what BAD means */
    enum err_kind kind; /* of the end, where that is `refused` */
} steps[] = {
    [GREETING]   = {"greeting",          NULL,          30, 0,        greeted,       refused,      refused,      ERR_PROTOCOL},
    [CAPABILITY] = {"CAPABILITY",        NULL,          60, 0,        capable,       refused,      refused,      ERR_PROTOCOL},
    [STARTTLS]   = {"STARTTLS",          NULL,          60, ALONE,    tls_agreed,    refused,      refused,      ERR_TLS},
    [LOGIN]      = {"login",             write_login,   60, ALONE,    logged_in,     login_no,     login_bad,    ERR_AUTH},
    [ID]         = {"ID",                write_id,      60, 0,        settled,       settled,      settled,      ERR_NONE},
    [SEPARATOR]  = {"LIST \"\" \"\"",    NULL,          60, 0,        settled,       settled,      settled,      ERR_NONE},
    [EXAMINE]    = {"EXAMINE",           write_examine, 60, PROGRESS, examined,      refused,      refused,      ERR_MAILBOX},
    [HIGHEST]    = {"UID FETCH * (UID)", NULL,          60, PROGRESS, highest_found, refused,      refused,      ERR_MAILBOX},
    [NOOP]       = {"NOOP",              NULL,          60, 0,        settled,       settled,      settled,      ERR_NONE},
    [FETCH]      = {"UID FETCH",         write_fetch,   60, PROGRESS, fetched,       fetch_no,     fetch_bad,    ERR_AGAIN},
    [IDLE]       = {"IDLE",              NULL,          60, 0,        idle_ended,    idle_refused, idle_refused, ERR_NONE},
    [DONE]       = {"DONE",              NULL,          15, 0,        settled,       settled,      settled,      ERR_NONE},
    [LOGOUT]     = {"LOGOUT",            NULL,          10, 0,        logged_out,    logged_out,   logged_out,   ERR_NONE},
};
/* clang-format on */

struct session {
    struct session_opts opts;
    struct session_quirks *quirks;
    struct mailbox *mailbox;
    uint64_t now;

    struct wire wire;
    enum step settling;  /* the one whose answer is being read */
    uint64_t busy_until; /* the end of all patience, or PACE_NEVER */
    bool pushed_literal; /* the login held a literal sent without asking */

    bool clear;     /* TLS is owed before anything that matters */
    bool handshake; /* STARTTLS was agreed upon */
    struct told told;
    struct login login;
    bool wants_secret;
    bool inside; /* logged in */
    uint32_t highest;
    enum mailbox_opening opening; /* what it will have been, when HIGHEST is known */

    bool open; /* the mailbox is */
    bool leaving;
    bool polling;
    enum { IDLE_OFF, IDLE_ASKED, IDLE_ON } idle;
    uint64_t idle_since;
    unsigned short_idles;
    struct pace pace;
    uint64_t random;
    struct pass pass;
    unsigned vanished; /* passes in a row that missed messages gone by then */
    bool wanted;       /* the message streaming in */
    bool chunks;       /* some of it was handed out */
    uint32_t offered;  /* UID of the MESSAGE just handed out */

    struct session_event *events;
    size_t n_events;
    size_t next_event;
    size_t cap_events;
    unsigned notes;
    char *note; /* of the event last handed out */
    struct buf shown;
    struct err error;
    bool lost;
};

static void
push(struct session *s, struct session_event event)
{
    if (s->lost || (s->leaving && event.type != SESSION_LOST))
        return;
    if (s->n_events == s->cap_events) {
        s->cap_events = s->cap_events > 0 ? s->cap_events * 2 : 4;
        s->events = xreallocarray(s->events, s->cap_events, sizeof *s->events);
    }
    s->events[s->n_events++] = event;
}

static bool
pop(struct session *s, struct session_event *event)
{
    if (s->next_event == s->n_events) {
        s->next_event = s->n_events = 0;
        return false;
    }
    *event = s->events[s->next_event++];
    if (event->type == SESSION_NOTE)
        s->note = (char *)event->note;
    if (event->type == SESSION_MESSAGE)
        s->offered = event->uid;
    return true;
}

/* Words of the server for people; never our secret, which some servers repeat. */
static const char *
shown(struct session *s, struct span words)
{
    buf_clear(&s->shown);
    if (login_repeated_in(&s->login, words))
        return "(not shown, it repeats the secret)";
    struct buf visible = {0};
    struct span head = {words.p, words.n < WORDS_MAX ? words.n : WORDS_MAX};
    utf8_visible(&visible, head);
    buf_addspan(&s->shown, utf8_cut(span_trim(buf_span(&visible)), WORDS_MAX));
    buf_free(&visible);
    return s->shown.n > 0 ? buf_str(&s->shown) : "(no reason given)";
}

static void
note(struct session *s, const char *text, const char *words)
{
    if (!s->leaving && !s->lost && s->notes++ < NOTES_MAX)
        push(s,
            (struct session_event){.type = SESSION_NOTE, .note = xasprintf("%s%s", text, words)});
}

static void
discard_chunks(struct session *s)
{
    if (s->chunks)
        push(s, (struct session_event){.type = SESSION_DISCARD});
    s->chunks = false;
}

static void
lose_by(struct session *s, const struct err *e, uint64_t retry_after_ms)
{
    if (s->lost)
        return;
    discard_chunks(s);
    s->error = *e;
    push(s, (struct session_event){
                .type = SESSION_LOST, .error = &s->error, .retry_after_ms = retry_after_ms});
    s->lost = true;
    s->idle = IDLE_OFF;
    s->busy_until = PACE_NEVER;
    wire_clear(&s->wire);
    login_wipe(&s->login);
}

static void __attribute__((format(printf, 3, 4)))
lose(struct session *s, enum err_kind kind, const char *fmt, ...)
{
    struct err e = {.kind = kind};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e.text, sizeof e.text, fmt, ap);
    va_end(ap);
    lose_by(s, &e, 0);
}

/* The server said no in so many words. */
static void
lose_refused(struct session *s, enum err_kind kind, const char *what, struct span words)
{
    struct err e;
    err_set(&e, refusal_kind(words, kind), "%s: %s", what, shown(s, words));
    lose_by(s, &e, refusal_backoff_ms(words));
}

/* Whether we wait for anything but the end of an IDLE. */
static bool
is_busy(const struct session *s)
{
    return s->handshake || s->wire.n_sent > (s->idle == IDLE_ON ? 1 : 0);
}

static void
plan(struct session *s, enum step step)
{
    if (!s->lost)
        wire_plan(&s->wire, step);
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
        lose_by(s, &e, 0);
        return;
    }
    wire_send(&s->wire, step, s->now);
    if (step == IDLE)
        s->idle = IDLE_ASKED;
}

static void
end_idle(struct session *s)
{
    wire_turn(&s->wire, IDLE, DONE, s->now);
    wire_line(&s->wire, "DONE");
    s->idle = IDLE_OFF;
    s->short_idles = 0;
}

/* Ends an IDLE if there is one. */
static bool
may_send(struct session *s, enum step step)
{
    if (s->idle == IDLE_ASKED || s->wire.waits_for_plus)
        return false;
    if (s->idle == IDLE_ON)
        end_idle(s);
    bool one_at_a_time = s->quirks->step_by_step || (steps[step].flags & ALONE) != 0;
    bool must_wait = one_at_a_time || (step == EXAMINE && wire_under_way(&s->wire, SEPARATOR));
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

/* A pass over everything above the mark, with IDLE behind it, in one write where possible. */
static void
plan_pass(struct session *s)
{
    pace_begin(&s->pace, s->now);
    if (s->polling)
        plan(s, NOOP);
    plan(s, FETCH);
    if (!s->polling)
        plan(s, IDLE);
}

static bool
is_free_to_look(const struct session *s)
{
    return s->open && !s->leaving && !s->lost && !is_busy(s) && wire_planned(&s->wire) == WIRE_NONE;
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
    if (is_free_to_look(s) && pace_due(&s->pace) <= s->now)
        plan_pass(s);
    send_planned(s);
    if (!is_busy(s)) {
        s->busy_until = PACE_NEVER;
        rest(s);
    } else if (s->busy_until == PACE_NEVER && !s->lost) {
        s->busy_until = s->now + BUSY_MS;
    }
}

static void
refused(struct session *s, const struct reply *r)
{
    char what[64];
    snprintf(what, sizeof what, "%s refused", steps[s->settling].verb);
    lose_refused(s, steps[s->settling].kind, what, r->words);
}

static void
settled(struct session *s, const struct reply *r)
{
    (void)s;
    (void)r;
}

static void
plan_login(struct session *s)
{
    struct err e;
    s->wants_secret = !s->login.ready;
    if (s->wants_secret)
        return;
    if (login_choose(&s->login, s->told.caps, &e) < 0)
        lose_by(s, &e, 0);
    plan(s, LOGIN);
}

static void
plan_after_greeting(struct session *s)
{
    if (!s->told.caps_known)
        plan(s, CAPABILITY);
    else if (!s->clear)
        plan_login(s);
    else if ((s->told.caps & CAPS_STARTTLS) != 0)
        plan(s, STARTTLS);
    else
        lose(s, ERR_TLS, "server does not offer STARTTLS; nothing was sent in the clear");
}

/* All that does not depend on answers, in one write. Servers that want an ID before anything else
 * offer it before the login already. */
static void
plan_after_login(struct session *s)
{
    if (!s->told.caps_known)
        plan(s, CAPABILITY);
    if ((s->told.caps & CAPS_ID) != 0)
        plan(s, ID);
    if (strchr(s->opts.mailbox, '/') != NULL)
        plan(s, SEPARATOR);
    plan(s, EXAMINE);
}

static void
greeted(struct session *s, const struct reply *r)
{
    told_name(&s->told, r->words);
    if (r->status != REPLY_PREAUTH)
        plan_after_greeting(s);
    else if (s->clear)
        lose(s, ERR_TLS, "server greets with PREAUTH, which leaves no room for STARTTLS");
    else
        logged_in(s, r);
}

static void
capable(struct session *s, const struct reply *r)
{
    (void)r;
    s->told.caps_known = true;
    if (!s->inside)
        plan_after_greeting(s);
}

static void
tls_agreed(struct session *s, const struct reply *r)
{
    (void)r;
    if (wire_has_input(&s->wire)) {
        lose(s, ERR_TLS, "bytes injected behind STARTTLS");
        return;
    }
    s->handshake = true;
    push(s, (struct session_event){.type = SESSION_STARTTLS});
}

static int
write_login(struct session *s, struct command *c, struct err *e)
{
    s->told.caps_known = false; /* what counts from here on is what is told after the login */
    int result = login_write(&s->login, c, s->told.caps, e);
    s->pushed_literal = c->used_plus;
    return result;
}

static void
logged_in(struct session *s, const struct reply *r)
{
    (void)r;
    s->inside = true;
    login_wipe(&s->login);
    plan_after_login(s);
}

static void
login_no(struct session *s, const struct reply *r)
{
    char what[64];
    snprintf(what, sizeof what, "login refused%s%s%s",
        s->login.status[0] != '\0' ? " (status " : "", s->login.status,
        s->login.status[0] != '\0' ? ")" : "");
    lose_refused(s, ERR_AUTH, what, r->words);
}

static void
login_bad(struct session *s, const struct reply *r)
{
    if (refusal_kind(r->words, ERR_AUTH) == ERR_AGAIN) {
        login_no(s, r);
    } else if (login_fall_back(&s->login, s->told.caps)) {
        plan(s, LOGIN);
    } else if (s->pushed_literal) {
        s->quirks->no_literal_plus = true;
        note(s, "server offers LITERAL+ and refuses it: not used from now on", "");
        lose_refused(s, ERR_NET, "login refused", r->words);
    } else {
        login_no(s, r);
    }
}

static int
write_id(struct session *s, struct command *c, struct err *e)
{
    command_raw(c, "(\"name\" \"mailcall\" \"version\"");
    int result = command_astring(c, span_str(s->opts.client_version), "version", e);
    buf_adds(&c->bytes, ")");
    return result;
}

static int
write_examine(struct session *s, struct command *c, struct err *e)
{
    told_new_mailbox(&s->told);
    return command_mailbox(c, s->opts.mailbox, s->told.separator, e);
}

/* The mailbox is open and its mark stands: from here on we look and idle. */
static void
enter(struct session *s, enum mailbox_opening opening)
{
    bool offered = (s->told.caps & CAPS_IDLE) != 0;
    push(s,
        (struct session_event){.type = SESSION_OPENED, .opening = opening, .facts = s->told.facts});
    if (!offered)
        note(s, "server does not offer IDLE: polling", "");
    s->polling = !offered || s->quirks->no_idle;
    s->open = true;
    s->pace.regular_at = s->now;
}

static void
examined(struct session *s, const struct reply *r)
{
    (void)r;
    s->pace.hint = false; /* the pass that follows covers what came meanwhile */
    s->opening = s->mailbox->known ? MAILBOX_NEW_EPOCH : MAILBOX_FIRST;
    enum mailbox_opening opening = mailbox_open(s->mailbox, &s->told.facts);
    if (opening != MAILBOX_ASK) {
        enter(s, opening);
    } else if (s->told.exists_told && s->told.facts.exists == 0) {
        mailbox_baseline(s->mailbox, s->told.facts.uidvalidity, 0);
        enter(s, s->opening);
    } else {
        s->highest = 0;
        plan(s, HIGHEST);
    }
}

/* A baseline of 0 for a mailbox that is not empty would call everything in it new. */
static void
highest_found(struct session *s, const struct reply *r)
{
    (void)r;
    if (s->highest == 0 && s->told.facts.exists > 0) {
        lose(s, ERR_PROTOCOL, "server tells neither UIDNEXT nor the UID of the last message");
        return;
    }
    mailbox_baseline(s->mailbox, s->told.facts.uidvalidity, s->highest);
    enter(s, s->opening);
}

static int
write_fetch(struct session *s, struct command *c, struct err *e)
{
    (void)e;
    bool headers = s->opts.fetch == SESSION_FETCH_HEADERS;
    /* "n:*" always brings the last message again, which nobody minds of a header; a whole message
     * of 50 MB at every look is another matter */
    const char *last = headers || s->quirks->wants_star ? "*" : "4294967295";
    pass_begin(&s->pass, wire_under_way(&s->wire, DONE));
    buf_adds(&c->bytes, " ");
    mailbox_missing(s->mailbox, last, &c->bytes);
    buf_addf(&c->bytes, " (UID FLAGS INTERNALDATE RFC822.SIZE %s)",
        headers ? "BODY.PEEK[HEADER]" : "BODY.PEEK[]");
    return 0;
}

static void
schedule_poll(struct session *s)
{
    s->pace.regular_at = s->now + s->opts.poll_ms;
    push(s, (struct session_event){.type = SESSION_IDLE});
}

static void
fetched(struct session *s, const struct reply *r)
{
    (void)r;
    unsigned count = s->pass.count;
    bool given_up = s->pass.blind && s->pass.incomplete == PASS_TRIES;
    if (given_up)
        note(s, "server sends a message nobody can read: passed over", "");
    if (pass_end(&s->pass)) {
        push(s, (struct session_event){.type = SESSION_CHECKED, .count = count});
        pace_found(&s->pace, count, s->told.syncs, s->now);
    } else if (s->pass.incomplete > 0) {
        pace_again(&s->pace, s->pass.incomplete, s->now);
    }
    s->vanished = 0;
    if (s->polling)
        schedule_poll(s);
}

static void
fetch_no(struct session *s, const struct reply *r)
{
    if (!refusal_vanished(r->words)) {
        refused(s, r);
        return;
    }
    unsigned before = s->vanished;
    fetched(s, r);
    s->vanished = before + 1;
    if (s->vanished <= PASS_TRIES) /* it may have stopped at the first one missing */
        pace_again(&s->pace, s->vanished, s->now);
}

/* It lost, or did not understand, what stood behind DONE: the next connection goes step by step. */
static void
blame_pipelining(struct session *s, const char *why)
{
    s->quirks->step_by_step = true;
    note(s, "one command at a time from now on: ", why);
    lose(s, ERR_NET, "%s", why);
}

static void
fetch_bad(struct session *s, const struct reply *r)
{
    if (s->opts.fetch == SESSION_FETCH_MESSAGES && !s->quirks->wants_star) {
        s->quirks->wants_star = true;
        lose_refused(s, ERR_NET, "UID FETCH refused, next time with '*'", r->words);
    } else if (s->quirks->step_by_step || refusal_kind(r->words, ERR_NONE) == ERR_AGAIN)
        lose_refused(s, ERR_PROTOCOL, "UID FETCH refused", r->words);
    else
        blame_pipelining(s, "server refused UID FETCH");
}

static void
idle_accepted(struct session *s)
{
    uint64_t spread = s->opts.renew_ms / 5;
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    s->pace.regular_at = s->now + s->opts.renew_ms - (spread > 0 ? (s->random >> 33) % spread : 0);
    s->idle = IDLE_ON;
    s->idle_since = s->now;
    push(s, (struct session_event){.type = SESSION_IDLE});
}

static void
start_polling(struct session *s, const char *why)
{
    note(s, why, ": polling");
    s->polling = true;
    if (!s->pass.running)
        schedule_poll(s);
}

/* By the server: without a "+" that may happen once, soon after it a few times. */
static void
idle_ended(struct session *s, const struct reply *r)
{
    (void)r;
    bool accepted = s->idle == IDLE_ON;
    bool in_time = accepted && s->now - s->idle_since >= SHORT_IDLE_MS;
    s->idle = IDLE_OFF;
    s->short_idles = in_time ? 0 : s->short_idles + 1;
    if (s->short_idles > (accepted ? SHORT_IDLES : 1))
        start_polling(s, "server ends IDLE at once");
    else
        s->pace.regular_at = s->now;
}

static void
idle_refused(struct session *s, const struct reply *r)
{
    if (s->idle == IDLE_ON) {
        idle_ended(s, r);
        return;
    }
    s->idle = IDLE_OFF;
    s->quirks->no_idle = true;
    start_polling(s, "server refuses IDLE");
}

static void
logged_out(struct session *s, const struct reply *r)
{
    (void)r;
    lose(s, ERR_NET, "logged out");
}

static void
settle(struct session *s, enum step step, const struct reply *r)
{
    const struct step_row *row = &steps[step];
    s->settling = step;
    if (r->status == REPLY_OK || r->status == REPLY_PREAUTH)
        row->ok(s, r);
    else if (r->status == REPLY_NO)
        row->no(s, r);
    else
        row->bad(s, r);
}

static void
offer_message(struct session *s, enum pass_verdict verdict)
{
    const struct fetch *f = &s->pass.fetch;
    if (verdict == PASS_TEXTLESS) {
        note(s, "server gives no text for a message: taken as empty", "");
        discard_chunks(s);
    } else if (f->body == FETCH_STRING && f->text.n > 0) {
        push(s, (struct session_event){.type = SESSION_CHUNK, .bytes = f->text});
    }
    push(s, (struct session_event){
                .type = SESSION_MESSAGE,
                .uid = f->uid,
                .internaldate = f->internaldate,
                .size = f->size,
                .flags = &f->flags,
            });
    s->chunks = false;
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
    if (verdict == PASS_HINT)
        s->pace.hint = true;
    else if (verdict != PASS_NOTHING)
        offer_message(s, verdict);
}

/* Before the mailbox is open EXISTS and RECENT are facts, later hints, whatever their number. */
static void
read_data(struct session *s, const struct reply *r)
{
    told_data(&s->told, r);
    if (span_ieq(r->name, SPAN("FETCH")))
        read_fetch(s, r);
    else if (span_ieq(r->name, SPAN("EXISTS")) || span_ieq(r->name, SPAN("RECENT")))
        s->pace.hint |= !wire_under_way(&s->wire, EXAMINE);
}

static void
read_cut(struct session *s, const struct reply *r)
{
    if (span_ieq(r->name, SPAN("FETCH")))
        pass_blind(&s->pass);
}

static bool
was_replaced(const struct session *s)
{
    uint32_t told = s->told.facts.uidvalidity;
    return s->open && told != 0 && told != s->mailbox->uidvalidity;
}

static void
read_bye(struct session *s, const struct reply *r)
{
    if (wire_under_way(&s->wire, LOGOUT))
        logged_out(s, r);
    else
        lose_refused(s, ERR_NET, "server says goodbye", r->words);
}

static void
read_status(struct session *s, const struct reply *r)
{
    told_code(&s->told, r->code);
    if (!s->clear && span_ieq(r->code, SPAN("ALERT")))
        note(s, "server says: ", shown(s, r->words));
    if (r->status == REPLY_BYE) {
        read_bye(s, r);
    } else if (was_replaced(s)) {
        lose(s, ERR_NET, "mailbox was replaced by another while open");
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
    else if (s->idle == IDLE_ASKED)
        idle_accepted(s);
}

/* Lines without a known tag mean nothing, except before the greeting, and where Exchange gives up.
 */
static void
read_noise(struct session *s, struct span line)
{
    if (wire_under_way(&s->wire, GREETING))
        lose(s, ERR_PROTOCOL, "server does not speak IMAP: \"%s\"", shown(s, line));
    else if (refusal_ends_session(line))
        lose_refused(s, ERR_NET, "server gives up", line);
}

static void
lose_to_size(struct session *s, uint32_t uid, uint64_t size)
{
    char which[32] = "a message";
    if (uid != 0)
        snprintf(which, sizeof which, "message %" PRIu32, uid);
    lose(s, ERR_PROTOCOL, "%s has %" PRIu64 " bytes, the limit is %" PRIu64, which, size,
        s->opts.literal_max);
}

/* A text we have already may be of any size: it only goes by. */
static void
read_head(struct session *s, const struct reply *r, uint64_t size)
{
    s->wanted = pass_head(&s->pass, r->words);
    if (s->wanted && size > s->opts.literal_max)
        lose_to_size(s, s->pass.fetch.uid, size);
}

static void
read_chunk(struct session *s, struct span bytes)
{
    s->busy_until = s->now + BUSY_MS;
    if (!s->wanted)
        return;
    s->chunks = true;
    push(s, (struct session_event){.type = SESSION_CHUNK, .bytes = bytes});
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
        lose(s, ERR_PROTOCOL, "server sends a literal of %" PRIu64 " bytes, the limit is %" PRIu64,
            heard.size, s->opts.literal_max);
        return true;
    case WIRE_ANSWER:
        told_code(&s->told, heard.reply.code);
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
    discard_chunks(s); /* the response is over, and no message came of them */
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
    s->now = now;
    s->random = opts->random;
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
    for (size_t i = s->next_event; i < s->n_events; i++)
        if (s->events[i].type == SESSION_NOTE)
            free((char *)s->events[i].note);
    free(s->note);
    wire_clear(&s->wire);
    buf_free(&s->shown);
    pass_rest(&s->pass);
    login_wipe(&s->login);
    free(s->events);
    free(s);
}

void
session_login(struct session *s, struct span secret, uint64_t now)
{
    s->now = now;
    if (s->lost || s->inside || wire_under_way(&s->wire, LOGIN))
        return;
    login_secret(&s->login, secret);
    if (s->wants_secret)
        plan_login(s);
    advance(s);
}

void
session_secured(struct session *s, uint64_t now)
{
    s->now = now;
    if (s->lost)
        return;
    assert(s->handshake);
    s->handshake = false;
    s->clear = false;
    told_init(&s->told);
    plan_after_greeting(s);
    advance(s);
}

void
session_feed(struct session *s, struct span bytes, uint64_t now)
{
    s->now = now;
    if (s->lost || bytes.n == 0)
        return;
    if (s->handshake) {
        lose(s, ERR_TLS, "bytes injected behind STARTTLS");
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
    if (oldest == WIRE_NONE || (oldest == IDLE && s->idle == IDLE_ON))
        return PACE_NEVER;
    return s->wire.waiting_since + steps[oldest].wait_s * SECOND;
}

static void
lose_patience(struct session *s)
{
    int step = wire_oldest(&s->wire);
    const struct step_row *row = &steps[step];
    if (step == FETCH && s->pass.behind_done && !s->pass.answered && !s->quirks->step_by_step)
        blame_pipelining(s, "server did not answer what stood behind DONE");
    else
        lose(s, ERR_NET, step == GREETING ? "no %s within %u s" : "no answer to %s within %u s",
            row->verb, (unsigned)row->wait_s);
}

void
session_tick(struct session *s, uint64_t now)
{
    s->now = now;
    if (s->lost)
        return;
    if (patience_end(s) <= now)
        lose_patience(s);
    else if (s->busy_until <= now)
        lose(s, ERR_NET, "server has kept us waiting for %u s", BUSY_MS / SECOND);
    advance(s);
}

void
session_check(struct session *s, uint64_t now)
{
    s->now = now;
    s->pace.hint = true;
    s->pace.hint_from = 0;
    advance(s);
}

void
session_logout(struct session *s, uint64_t now)
{
    s->now = now;
    if (s->lost || s->leaving)
        return;
    s->wire.n_plan = 0;
    s->chunks = false;
    s->leaving = true;
    if (!s->inside) {
        lose(s, ERR_NET, "logged out");
        return;
    }
    plan(s, LOGOUT);
    advance(s);
}

void
session_next(struct session *s, struct session_event *event)
{
    free(s->note);
    s->note = NULL;
    s->pass.untaken |= s->offered != 0 && mailbox_is_new(s->mailbox, s->offered);
    s->offered = 0;
    *event = (struct session_event){.type = SESSION_NONE};
    while (!pop(s, event)) {
        if (read_on(s))
            continue;
        advance(s);
        if (s->n_events == 0)
            return;
    }
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
    if (is_free_to_look(s) && pace_due(&s->pace) < deadline)
        deadline = pace_due(&s->pace);
    return deadline;
}

bool
session_reply_due(const struct session *s)
{
    return !s->handshake && is_busy(s);
}
