/* imap/session: plays the transcripts in tests/imap against the session.
 *
 *   # comment                 I: file         another file is played here
 *   O: option value           before the first other line; see option()
 *   S: text                   the server sends this line; \r \n \0 \\ \xNN are understood
 *   S= text                   the same, but neighbours arrive together in one piece
 *   S- text                   the same without a line end
 *   L: secret                 the owner calls session_login()
 *   X: secured|check|logout   the owner calls that; also want, hold, release;
 *                             again: this connection is lost, and another one made
 *   A: act UID text           … session_act(); see act(). Neighbours at one go
 *   N: UID or UID:UID/step    … mailbox_want()
 *   F: UID or UID:UID/step    … mailbox_want_whole()
 *   G: UID                    … mailbox_forget()
 *   T: +ms                    so much time passes, then session_tick()
 *   C: text                   the client must have sent this line
 *   W                         the C lines since the last input came in one write
 *   E: text                   the session must have told this event
 *   D: ms|renew|never         the deadline is so far away; renew: 80 to 100 % of renew_ms
 *   B: yes|no                 session_reply_due()
 *   M: mark                   the mailbox's mark
 *   V: number                 how many are wanted
 *   Q: names                  the quirks learnt
 *
 * Each is played several times: with the server's bytes in one piece, byte by byte, and cut at
 * random places. At an input, and at the end, nothing may be left that was not expected. */
#include "base/mem.h"
#include "base/utf8.h"
#include "imap/session.h"

#include <glob.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WHOLE, BYTES, RANDOM, MODES = RANDOM + 12, ACTS = 64 };

struct player {
    unsigned mode;
    uint32_t random;
    const char *file;
    unsigned line;
    struct session_opts opts;
    struct strv strings; /* that opts borrows */
    bool no_secret;
    struct session_quirks quirks;
    struct mailbox mailbox;
    struct session *session; /* made at the first line that is no option */
    uint32_t refused;        /* a UID the owner does not take */
    uint64_t now;
    struct buf pending; /* server bytes not fed yet */
    bool together;      /* … of S= lines */
    struct buf body;    /* chunks of the message now arriving */
    struct buf sent;    /* what the client sent, lines taken off the front */
    unsigned writes;    /* since the last input */
    struct strv events;
    size_t next_event;
    struct act acts[ACTS]; /* in the order they were given */
    size_t n_acts;
    bool acting;  /* they were not looked at since */
    bool forgets; /* what is absent */
    int64_t epoch_since;
};

static void __attribute__((format(printf, 2, 3), noreturn))
fail_at(struct player *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char text[4096];
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fail_msg("%s:%u (mode %u): %s", p->file, p->line, p->mode, text);
    abort();
}

static const char *
kind_name(enum err_kind kind)
{
    switch (kind) {
    case ERR_NET:
        return "NET";
    case ERR_TLS:
        return "TLS";
    case ERR_PROTOCOL:
        return "PROTOCOL";
    case ERR_AUTH:
        return "AUTH";
    case ERR_AGAIN:
        return "AGAIN";
    case ERR_MAILBOX:
        return "MAILBOX";
    case ERR_INPUT:
        return "INPUT";
    default:
        return "?";
    }
}

static void
describe_message(struct player *p, const struct session_event *e, struct buf *b)
{
    buf_addf(b, "message %" PRIu32, e->uid);
    if (e->internaldate != 0)
        buf_addf(b, " date=%" PRId64, e->internaldate);
    if (e->size != 0)
        buf_addf(b, " size=%" PRIu64, e->size);
    for (size_t i = 0; i < e->flags->n; i++)
        buf_addf(b, "%s%s", i == 0 ? " flags=" : ",", e->flags->v[i]);
    if (e->whole)
        buf_adds(b, " whole");
    if (p->body.n > 0) {
        buf_adds(b, " \"");
        utf8_visible(b, buf_span(&p->body));
        buf_adds(b, "\"");
    }
    buf_clear(&p->body);
}

static void
describe_opened(const struct session_event *e, struct buf *b)
{
    static const char *const names[] = {
        [MAILBOX_SAME] = "same", [MAILBOX_FIRST] = "first", [MAILBOX_NEW_EPOCH] = "new-epoch"};
    buf_addf(b, "opened %s", names[e->opening]);
    if (e->facts.uidvalidity != 0)
        buf_addf(b, " validity=%" PRIu32, e->facts.uidvalidity);
    if (e->facts.uidnext != 0)
        buf_addf(b, " next=%" PRIu32, e->facts.uidnext);
    if (e->facts.exists != 0)
        buf_addf(b, " exists=%" PRIu32, e->facts.exists);
}

static void
describe_act(struct player *p, const char *word, const struct session_event *e, struct buf *b)
{
    ptrdiff_t number = (const struct act *)e->act - p->acts + 1;
    assert_true(number >= 1 && (size_t)number <= p->n_acts);
    buf_addf(b, "%s %d", word, (int)number);
    if (e->gone)
        buf_adds(b, " gone");
    if (e->error != NULL)
        buf_addf(b, " %s %s", kind_name(e->error->kind), e->error->text);
}

/* What the server has no longer; the owner may forget it. */
static void
describe_absent(struct player *p, struct buf *b)
{
    const struct uidset *absent = &p->mailbox.absent;
    for (size_t i = 0; i < absent->n; i++)
        buf_addf(b, "%s%" PRIu32, i == 0 ? " absent=" : ",", absent->v[i]);
    while (p->forgets && absent->n > 0)
        mailbox_forget(&p->mailbox, absent->v[0]);
}

/* What a real owner does with an event, and a line about it. */
static void
take_event(struct player *p, const struct session_event *e)
{
    struct buf b = {0};
    switch (e->type) {
    case SESSION_NONE:
        break;
    case SESSION_STARTTLS:
        buf_adds(&b, "starttls");
        break;
    case SESSION_OPENED:
        describe_opened(e, &b);
        break;
    case SESSION_CHUNK:
        assert_true(e->bytes.n > 0);
        buf_addspan(&p->body, e->bytes);
        return;
    case SESSION_MESSAGE:
        describe_message(p, e, &b);
        if (e->uid != p->refused)
            mailbox_take(&p->mailbox, e->uid);
        break;
    case SESSION_DISCARD:
        assert_true(p->body.n > 0);
        buf_clear(&p->body);
        buf_adds(&b, "discard");
        break;
    case SESSION_CHECKED:
        buf_addf(&b, "checked %u", e->count);
        describe_absent(p, &b);
        break;
    case SESSION_IDLE:
        buf_adds(&b, "idle");
        break;
    case SESSION_COPIED:
        describe_act(p, "copied", e, &b);
        break;
    case SESSION_ACTED:
        describe_act(p, "acted", e, &b);
        break;
    case SESSION_NOTE:
        buf_addf(&b, "note %s", e->note);
        break;
    case SESSION_LOST:
        buf_addf(&b, "lost %s %s", kind_name(e->error->kind), e->error->text);
        if (e->retry_after_ms != 0)
            buf_addf(&b, " retry=%" PRIu64, e->retry_after_ms);
        break;
    }
    strv_take(&p->events, buf_take(&b));
}

/* Pulls until there is nothing, then writes, as the header of session.h says. */
static void
pump(struct player *p)
{
    struct session_event e;
    for (session_next(p->session, &e); e.type != SESSION_NONE; session_next(p->session, &e))
        take_event(p, &e);
    struct buf *out = session_output(p->session);
    if (out->n == 0)
        return;
    p->writes++;
    buf_addspan(&p->sent, buf_span(out));
    buf_clear(out);
}

static size_t
piece(struct player *p, size_t left)
{
    if (p->mode == WHOLE || p->together)
        return left;
    if (p->mode == BYTES)
        return 1;
    p->random = p->random * 1664525u + 1013904223u;
    size_t n = 1 + (p->random >> 24) % (p->random >> 16 & 1 ? 64 : 7);
    return n < left ? n : left;
}

/* The server's bytes collected so far arrive. */
static void
feed(struct player *p)
{
    for (size_t at = 0; at < p->pending.n;) {
        size_t n = piece(p, p->pending.n - at);
        /* an exact copy, so that reading past it is noticed */
        char *copy = xmalloc(n);
        memcpy(copy, p->pending.p + at, n);
        session_feed(p->session, (struct span){copy, n}, p->now);
        free(copy);
        pump(p);
        at += n;
    }
    buf_clear(&p->pending);
}

static void
expect_nothing_more(struct player *p)
{
    feed(p);
    if (p->next_event < p->events.n)
        fail_at(p, "unexpected event before this line: %s", p->events.v[p->next_event]);
    if (p->sent.n > 0)
        fail_at(p, "the client also sent: %s", buf_str(&p->sent));
    p->writes = 0;
}

static void
unescape(struct buf *b, const char *s)
{
    for (; *s != '\0'; s++) {
        unsigned byte;
        if (*s != '\\') {
            buf_addc(b, *s);
        } else if (s[1] == 'x' && sscanf(s + 2, "%2x", &byte) == 1) {
            buf_addc(b, (char)byte);
            s += 3;
        } else {
            const char *at = strchr("r\rn\n\\\\0", s[1]);
            if (at == NULL || s[1] == '\0')
                buf_addc(b, '\\');
            else {
                buf_addc(b, at[1]);
                s++;
            }
        }
    }
}

static void
server(struct player *p, const char *text, char how)
{
    bool together = how == '=';
    if (p->pending.n == 0)
        expect_nothing_more(p);
    else if (together != p->together)
        feed(p);
    p->together = together;
    unescape(&p->pending, text);
    if (how != '-')
        buf_adds(&p->pending, "\r\n");
}

static void
client(struct player *p, const char *text)
{
    feed(p);
    struct buf want = {0};
    unescape(&want, text);
    buf_adds(&want, "\r\n");
    size_t n = want.n < p->sent.n ? want.n : p->sent.n;
    if (!span_eq(buf_span(&want), (struct span){p->sent.p, n}))
        fail_at(p, "the client sent: %s", p->sent.n > 0 ? buf_str(&p->sent) : "(nothing)");
    buf_eat(&p->sent, n);
    buf_free(&want);
}

static void
event(struct player *p, const char *text)
{
    feed(p);
    if (p->next_event == p->events.n)
        fail_at(p, "no event");
    if (strcmp(text, p->events.v[p->next_event]) != 0)
        fail_at(p, "event: %s", p->events.v[p->next_event]);
    p->next_event++;
}

static void
one_write(struct player *p)
{
    feed(p);
    if (p->writes != 1)
        fail_at(p, "%u writes", p->writes);
}

static void
begin(struct player *p)
{
    if (p->session != NULL)
        return;
    p->session = session_new(&p->opts, &p->quirks, &p->mailbox, p->now);
    if (!p->no_secret)
        session_login(p->session, SPAN("secret"), p->now);
}

static void
connect_again(struct player *p)
{
    session_free(p->session);
    p->session = NULL;
    buf_clear(&p->body);
    begin(p);
}

static void
call(struct player *p, const char *what)
{
    expect_nothing_more(p);
    if (strcmp(what, "secured") == 0)
        session_secured(p->session, p->now);
    else if (strcmp(what, "check") == 0)
        session_check(p->session, p->now);
    else if (strcmp(what, "logout") == 0)
        session_logout(p->session, p->now);
    else if (strcmp(what, "want") == 0)
        session_want(p->session, p->now);
    else if (strcmp(what, "hold") == 0)
        session_hold(p->session, true, p->now);
    else if (strcmp(what, "release") == 0)
        session_hold(p->session, false, p->now);
    else if (strcmp(what, "again") == 0)
        connect_again(p);
    else
        fail_at(p, "no such call");
    pump(p);
}

/* "flag 11 \\Seen", "move 7/11 Archive/2026", "remove 11": a move that was copied already */
static void
act(struct player *p, const char *text)
{
    static const struct {
        const char *word;
        enum act_kind kind;
        bool copied;
    } table[] = {
        {"flag", ACT_FLAG, false},
        {"unflag", ACT_UNFLAG, false},
        {"copy", ACT_COPY, false},
        {"move", ACT_MOVE, false},
        {"remove", ACT_MOVE, true},
        {"delete", ACT_DELETE, false},
    };
    char word[16] = "";
    char argument[200] = "";
    struct act a = {.uidvalidity = p->mailbox.uidvalidity};
    if (sscanf(text, "%15s %" SCNu32 "/%" SCNu32, word, &a.uidvalidity, &a.uid) == 3)
        sscanf(text, "%*s %*s %199[^\n]", argument);
    else if (sscanf(text, "%15s %" SCNu32 " %199[^\n]", word, &a.uid, argument) >= 2)
        a.uidvalidity = p->mailbox.uidvalidity;
    else
        fail_at(p, "no such act");
    size_t i = 0;
    while (i < sizeof table / sizeof *table && strcmp(word, table[i].word) != 0)
        i++;
    assert_true(i < sizeof table / sizeof *table && p->n_acts < ACTS);
    a.kind = table[i].kind;
    a.copied = table[i].copied;
    strv_add(&p->strings, argument);
    a.text = p->strings.v[p->strings.n - 1];
    p->acts[p->n_acts] = a;
    session_act(p->session, &p->acts[p->n_acts++], p->now);
}

/* Those on neighbouring lines are given before the owner looks for events or output. */
static void
acts(struct player *p, const char *text)
{
    if (!p->acting)
        expect_nothing_more(p);
    p->acting = true;
    act(p, text);
}

static void
want(struct player *p, const char *text, void (*call_for)(struct mailbox *m, uint32_t uid))
{
    expect_nothing_more(p);
    uint32_t first = 0;
    uint32_t last = 0;
    uint32_t step = 1;
    if (sscanf(text, "%" SCNu32 ":%" SCNu32 "/%" SCNu32, &first, &last, &step) == 1)
        last = first;
    for (uint32_t uid = first; uid <= last; uid += step)
        call_for(&p->mailbox, uid);
}

static void
wanted(struct player *p, const char *text)
{
    feed(p);
    if (p->mailbox.wanted.n != strtoul(text, NULL, 10))
        fail_at(p, "wanted: %zu", p->mailbox.wanted.n);
}

static void
pass_time(struct player *p, const char *text)
{
    expect_nothing_more(p);
    p->now += strtoull(text, NULL, 10);
    session_tick(p->session, p->now);
    pump(p);
}

static void
deadline(struct player *p, const char *text)
{
    feed(p);
    uint64_t due = session_deadline(p->session);
    char is[32] = "never";
    if (due != UINT64_MAX)
        snprintf(is, sizeof is, "%" PRId64, (int64_t)(due - p->now));
    uint64_t renew = p->opts.renew_ms;
    bool is_renewal = due - p->now > renew - renew / 5 && due - p->now <= renew;
    if (strcmp(text, "renew") == 0 ? !is_renewal : strcmp(is, text) != 0)
        fail_at(p, "deadline: %s", is);
}

static void
reply_due(struct player *p, const char *text)
{
    feed(p);
    if (session_reply_due(p->session) != (strcmp(text, "yes") == 0))
        fail_at(p, "reply due: not %s", text);
}

static void
mark(struct player *p, const char *text)
{
    feed(p);
    if (p->mailbox.mark != strtoul(text, NULL, 10))
        fail_at(p, "mark: %" PRIu32, p->mailbox.mark);
}

static void
quirks(struct player *p, const char *text)
{
    feed(p);
    const struct {
        const char *name;
        bool learnt;
    } table[] = {
        {"step_by_step", p->quirks.step_by_step},
        {"no_idle", p->quirks.no_idle},
        {"no_literal_plus", p->quirks.no_literal_plus},
        {"wants_star", p->quirks.wants_star},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].learnt != (strstr(text, table[i].name) != NULL))
            fail_at(p, "quirk %s is %d", table[i].name, table[i].learnt);
}

static void
first(struct player *p, const char *what)
{
    p->opts.first = strcmp(what, "all") == 0      ? SESSION_FIRST_ALL
                    : strcmp(what, "unseen") == 0 ? SESSION_FIRST_UNSEEN
                                                  : SESSION_FIRST_SINCE;
    p->opts.first_since = strtoll(what, NULL, 10);
}

static void
option(struct player *p, const char *text)
{
    char key[32] = "";
    char value[200] = "";
    sscanf(text, "%31s %199[^\n]", key, value);
    if (strcmp(key, "mailbox") == 0) {
        strv_add(&p->strings, value);
        p->opts.mailbox = p->strings.v[p->strings.n - 1];
    } else if (strcmp(key, "user") == 0) {
        strv_add(&p->strings, value);
        p->opts.user = p->strings.v[p->strings.n - 1];
    } else if (strcmp(key, "token") == 0)
        p->opts.auth = SESSION_TOKEN;
    else if (strcmp(key, "starttls") == 0)
        p->opts.starttls = true;
    else if (strcmp(key, "messages") == 0)
        p->opts.fetch = SESSION_FETCH_MESSAGES;
    else if (strcmp(key, "no-secret") == 0)
        p->no_secret = true;
    else if (strcmp(key, "step-by-step") == 0)
        p->quirks.step_by_step = true;
    else if (strcmp(key, "no-idle") == 0)
        p->quirks.no_idle = true;
    else if (strcmp(key, "random") == 0)
        p->opts.random = strtoull(value, NULL, 10);
    else if (strcmp(key, "refuse") == 0)
        p->refused = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(key, "writable") == 0)
        p->opts.writable = true;
    else if (strcmp(key, "forgets") == 0)
        p->forgets = true;
    else if (strcmp(key, "first") == 0)
        first(p, value);
    else if (strcmp(key, "epoch-since") == 0)
        p->epoch_since = strtoll(value, NULL, 10);
    else if (strcmp(key, "known") == 0)
        p->mailbox.known =
            sscanf(value, "%" SCNu32 " %" SCNu32, &p->mailbox.uidvalidity, &p->mailbox.mark) == 2;
    else
        fail_at(p, "no such option");
}

static void play_file(struct player *p, const char *path);

static void
include(struct player *p, const char *name)
{
    const char *file = p->file;
    unsigned line = p->line;
    char path[256];
    snprintf(path, sizeof path, "tests/imap/%s", name);
    play_file(p, path);
    p->file = file;
    p->line = line;
}

static void
play_line(struct player *p, const char *line)
{
    const char *text = line[0] != '\0' && line[1] != '\0' ? line + 2 : "";
    text += text[0] == ' ';
    if (line[0] == '#' || line[0] == '\0')
        return;
    if (line[0] == 'O') {
        option(p, text);
        return;
    }
    if (line[0] == 'I') {
        include(p, text);
        return;
    }
    begin(p);
    if (p->acting && line[0] != 'A') {
        p->acting = false;
        pump(p);
    }
    switch (line[0]) {
    case 'A':
        acts(p, text);
        break;
    case 'N':
        want(p, text, mailbox_want);
        break;
    case 'F':
        want(p, text, mailbox_want_whole);
        break;
    case 'G':
        want(p, text, mailbox_forget);
        break;
    case 'V':
        wanted(p, text);
        break;
    case 'S':
        server(p, text, line[1]);
        break;
    case 'C':
        client(p, text);
        break;
    case 'E':
        event(p, text);
        break;
    case 'W':
        one_write(p);
        break;
    case 'L':
        expect_nothing_more(p);
        session_login(p->session, span_str(text), p->now);
        pump(p);
        break;
    case 'X':
        call(p, text);
        break;
    case 'T':
        pass_time(p, text);
        break;
    case 'D':
        deadline(p, text);
        break;
    case 'B':
        reply_due(p, text);
        break;
    case 'M':
        mark(p, text);
        break;
    case 'Q':
        quirks(p, text);
        break;
    default:
        fail_at(p, "not understood: %s", line);
    }
}

static void
play_file(struct player *p, const char *path)
{
    p->file = path;
    p->line = 0;
    FILE *f = fopen(path, "r");
    if (f == NULL)
        fail_at(p, "cannot be opened");
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, f)) >= 0) {
        p->line++;
        if (n > 0 && line[n - 1] == '\n')
            line[n - 1] = '\0';
        play_line(p, line);
    }
    free(line);
    fclose(f);
}

static void
play(const char *path, unsigned mode)
{
    struct player p = {
        .mode = mode,
        .random = mode * 2654435761u,
        .opts = {.host = "imap.example.org",
            .port = 993,
            .user = "joe",
            .mailbox = "INBOX",
            .renew_ms = 300000,
            .poll_ms = 60000,
            .literal_max = 1000000,
            .client_version = "0.1.0"},
        .now = 1000000,
    };
    mailbox_init(&p.mailbox);
    p.opts.epoch_since = &p.epoch_since;
    play_file(&p, path);
    expect_nothing_more(&p);
    session_free(p.session);
    mailbox_clear(&p.mailbox);
    buf_free(&p.pending);
    buf_free(&p.body);
    buf_free(&p.sent);
    strv_free(&p.events);
    strv_free(&p.strings);
}

static void
a_script_plays_in_every_split(void **state)
{
    for (unsigned mode = 0; mode < MODES; mode++)
        play(*state, mode);
}

int
main(void)
{
    glob_t scripts;
    assert_int_equal(glob("tests/imap/*.script", 0, NULL, &scripts), 0);
    struct CMUnitTest *tests = xcalloc(scripts.gl_pathc, sizeof *tests);
    for (size_t i = 0; i < scripts.gl_pathc; i++)
        tests[i] = (struct CMUnitTest){.name = scripts.gl_pathv[i],
            .test_func = a_script_plays_in_every_split,
            .initial_state = scripts.gl_pathv[i]};
    int failed = _cmocka_run_group_tests("imap_session", tests, scripts.gl_pathc, NULL, NULL);
    free(tests);
    globfree(&scripts);
    return failed;
}
