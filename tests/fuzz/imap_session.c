/* imap/session against any server at all. The first byte of the input chooses options and how the
 * rest is cut into pieces; the rest is what the server sends, except for these bytes:
 * 1 time passes until the deadline, 2 session_check(), 3 session_logout(), 4 session_act(),
 * 5 session_hold() on and off, 6 session_want() of whole messages. */
#include "base/utf8.h"
#include "imap/session.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CONTROLS = 6, ACTS = 40 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

struct fuzz {
    struct session *session;
    struct session_opts opts;
    struct session_quirks quirks;
    struct mailbox mailbox;
    uint64_t now;
    size_t fed;     /* bytes */
    size_t chunked; /* bytes told in chunks */
    bool chunks;    /* since the last MESSAGE or DISCARD */
    bool opened;
    bool handshake; /* asked for, not done */
    bool secured;
    bool lost;
    bool left; /* session_logout() was called */
    bool held;
    bool server_knows; /* the secret */
    int64_t epoch_since;
    struct act acts[ACTS];
    enum { ACT_UNKNOWN, ACT_OPEN, ACT_COPIED, ACT_OVER } states[ACTS];
    size_t n_acts;
};

static const char secret[] = "a/really+secret=word";

/* What a server that does not know the secret makes us say never holds it. */
static void
check_text(const struct fuzz *f, const char *text)
{
    struct span s = span_str(text);
    assert(utf8_valid(s) && s.n < 512);
    assert(f->server_knows || strstr(text, secret) == NULL);
    for (size_t i = 0; i < s.n; i++)
        assert((unsigned char)s.p[i] >= 0x20 && s.p[i] != 0x7F);
}

static void
check_message(struct fuzz *f, const struct session_event *e)
{
    assert(f->opened && e->uid != 0 && mailbox_is_new(&f->mailbox, e->uid));
    assert(e->flags->n <= 64);
    assert(e->whole == (f->opts.fetch == SESSION_FETCH_MESSAGES ||
                           mailbox_is_wanted_whole(&f->mailbox, e->uid)));
    for (size_t i = 0; i < e->flags->n; i++)
        assert(strlen(e->flags->v[i]) <= 128);
    /* now and then the owner cannot take it */
    if (e->uid % 7 != 0)
        mailbox_take(&f->mailbox, e->uid);
    f->chunks = false;
}

/* Each act ends once, and only a move is copied on the way. */
static void
check_act(struct fuzz *f, const struct session_event *e)
{
    size_t i = (size_t)(e->act - f->acts);
    assert(i < f->n_acts && !f->left);
    if (e->type == SESSION_COPIED) {
        assert(f->states[i] == ACT_OPEN && e->act->kind == ACT_MOVE && !e->act->copied);
        f->states[i] = ACT_COPIED;
        return;
    }
    assert(f->states[i] == ACT_OPEN || f->states[i] == ACT_COPIED);
    f->states[i] = ACT_OVER;
    if (e->error != NULL)
        check_text(f, e->error->text);
}

/* The owner forgets what is gone. */
static void
check_absent(struct fuzz *f)
{
    struct mailbox *m = &f->mailbox;
    assert(m->asked_whole.n == 0 && m->absent_whole.n <= m->whole.n);
    while (m->absent.n > 0 && !f->held) {
        assert(mailbox_is_wanted(m, m->absent.v[0]));
        mailbox_forget(m, m->absent.v[0]);
    }
    assert(m->absent.n <= m->wanted.n);
}

static void
check_event(struct fuzz *f, const struct session_event *e)
{
    assert(!f->lost);
    switch (e->type) {
    case SESSION_NONE:
        break;
    case SESSION_STARTTLS:
        assert(f->opts.starttls && !f->secured);
        f->handshake = true;
        break;
    case SESSION_OPENED:
        assert(f->mailbox.known && !f->opened);
        f->opened = true;
        break;
    case SESSION_CHUNK:
        assert(f->opened && e->bytes.n > 0);
        f->chunked += e->bytes.n;
        assert(f->chunked <= f->fed);
        f->chunks = true;
        break;
    case SESSION_MESSAGE:
        check_message(f, e);
        break;
    case SESSION_DISCARD:
        assert(f->chunks);
        f->chunks = false;
        break;
    case SESSION_CHECKED:
        assert(f->opened);
        check_absent(f);
        break;
    case SESSION_COPIED:
    case SESSION_ACTED:
        check_act(f, e);
        break;
    case SESSION_IDLE:
        assert(f->opened);
        break;
    case SESSION_NOTE:
        check_text(f, e->note);
        break;
    case SESSION_LOST:
        assert(e->error->kind != ERR_NONE && e->error->text[0] != '\0');
        check_text(f, e->error->text);
        f->lost = true;
        break;
    }
}

static bool
holds(const struct buf *out, const char *word)
{
    return strstr(buf_str(out), word) != NULL;
}

/* Nothing goes out in the clear where TLS is owed but these. */
static void
check_output(struct fuzz *f, struct buf *out)
{
    if (f->opts.starttls && !f->secured)
        assert(!holds(out, "LOGIN") && !holds(out, "AUTH") && !holds(out, "ID") &&
               !holds(out, "EXAMINE") && !holds(out, "SELECT"));
    /* what others have marked as deleted is not ours */
    assert(!holds(out, " EXPUNGE\r") && !holds(out, "CLOSE"));
    assert(out->n == 0 || (out->n >= 2 && memcmp(out->p + out->n - 2, "\r\n", 2) == 0));
    assert(out->n <= 64 * 1024);
    buf_clear(out);
}

static void
pump(struct fuzz *f)
{
    struct session_event e;
    for (session_next(f->session, &e); e.type != SESSION_NONE; session_next(f->session, &e))
        check_event(f, &e);
    check_output(f, session_output(f->session));
    if (f->handshake && !f->lost) {
        f->handshake = false;
        f->secured = true;
        session_secured(f->session, f->now);
        pump(f);
    }
    /* or the owner's loop would spin */
    assert(session_deadline(f->session) > f->now);
    assert(!f->lost || session_deadline(f->session) == UINT64_MAX);
}

static void
give_act(struct fuzz *f)
{
    static const char *const texts[] = {"\\Seen", "work", "Archive/\xC3\xA9", "a b\r\n"};
    size_t i = f->n_acts;
    if (!f->opened || f->lost || !f->opts.writable || i == ACTS)
        return;
    f->acts[i] = (struct act){.kind = (enum act_kind)(i % 5),
        .uidvalidity = i % 7 == 6 ? 1 : f->mailbox.uidvalidity,
        .uid = (uint32_t)(1 + i / 2),
        .text = texts[i / 5 % 4],
        .copied = i % 3 == 2};
    f->states[i] = ACT_OPEN;
    f->n_acts++;
    session_act(f->session, &f->acts[i], f->now);
}

/* Something old, something taken, something nobody knows. */
static void
want_whole(struct fuzz *f)
{
    struct mailbox *m = &f->mailbox;
    mailbox_want_whole(m, (uint32_t)(f->now % 16));
    if (m->taken.n > 0)
        mailbox_want_whole(m, m->taken.v[0]);
    mailbox_want_whole(m, m->mark);
    assert(m->whole.n <= m->wanted.n);
    session_want(f->session, f->now);
}

static void
control(struct fuzz *f, uint8_t byte)
{
    uint64_t deadline = session_deadline(f->session);
    if (byte == 1 && deadline != UINT64_MAX) {
        f->now = deadline;
        session_tick(f->session, f->now);
    } else if (byte == 2) {
        session_check(f->session, f->now);
    } else if (byte == 3) {
        session_logout(f->session, f->now);
        f->left = true;
    } else if (byte == 4) {
        give_act(f);
    } else if (byte == 5) {
        f->held = !f->held;
        session_hold(f->session, f->held, f->now);
    } else if (byte == 6) {
        want_whole(f);
    }
    pump(f);
}

/* Some bytes for the server's mouth: how many of them at once? */
static size_t
piece(const uint8_t *bytes, size_t n, unsigned most)
{
    size_t i = 0;
    while (i < n && i < most && bytes[i] > CONTROLS)
        i++;
    return i;
}

static void
play(struct fuzz *f, const uint8_t *bytes, size_t n, unsigned most)
{
    pump(f);
    while (n > 0) {
        size_t length = piece(bytes, n, most);
        if (length == 0) {
            control(f, *bytes);
            length = 1;
        } else {
            f->fed += length;
            session_feed(f->session, (struct span){(const char *)bytes, length}, f->now);
            pump(f);
        }
        bytes += length;
        n -= length;
        f->now++;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const unsigned pieces[] = {1, 7, 100, 1 << 20};
    if (n == 0)
        return 0;
    unsigned bits = bytes[0];
    struct fuzz f = {
        .opts = {.host = "imap.example.org",
            .port = 993,
            .user = (bits & 32) != 0 ? "DOM\\j\xC3\xB6" : "joe",
            .auth = (bits & 2) != 0 ? SESSION_TOKEN : SESSION_PASSWORD,
            .starttls = (bits & 1) != 0,
            .mailbox = (bits & 16) != 0 ? "Lists/d\xC3\xA9v" : "INBOX",
            .fetch = (bits & 4) != 0 ? SESSION_FETCH_MESSAGES : SESSION_FETCH_HEADERS,
            .renew_ms = 300000,
            .poll_ms = 60000,
            .writable = (bits & 16) != 0,
            .first = (enum session_first)(bits >> 4 & 3),
            .first_since = 1000000000,
            .literal_max = 100000,
            .client_version = "0.1.0",
            .random = bits},
        .epoch_since = (bits & 32) != 0 ? 1000000000 : 0,
        .quirks = {.step_by_step = (bits & 8) != 0},
    };
    f.server_knows = memmem(bytes, n, secret, strlen(secret)) != NULL;
    f.opts.epoch_since = &f.epoch_since;
    mailbox_init(&f.mailbox);
    if ((bits & 4) != 0) {
        mailbox_baseline(&f.mailbox, 7, 10);
        mailbox_want(&f.mailbox, 3);
        mailbox_want(&f.mailbox, 5);
    }
    f.session = session_new(&f.opts, &f.quirks, &f.mailbox, f.now);
    session_login(f.session, span_str(secret), f.now);
    play(&f, bytes + 1, n - 1, pieces[bits >> 6]);
    session_free(f.session);
    mailbox_clear(&f.mailbox);
    return 0;
}
