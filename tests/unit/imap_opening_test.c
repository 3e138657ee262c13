/* imap/opening: where a mailbox begins, and searches in large ones. */
#include "imap/opening.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const struct mailbox_facts facts = {.uidvalidity = 7, .uidnext = 101};

static void
a_day_is_searched_for_from_the_one_before(void **state)
{
    (void)state;
    static const struct {
        int64_t since;
        const char *want;
    } table[] = {
        {INT64_MIN, " SINCE 1-Jan-1970"},
        {0, " SINCE 1-Jan-1970"},
        {86400, " SINCE 1-Jan-1970"},
        {2 * 86400, " SINCE 2-Jan-1970"},
        {1709251200, " SINCE 29-Feb-2024"},
        {1772323199, " SINCE 27-Feb-2026"},
        {1772323200, " SINCE 28-Feb-2026"},
        {1798675200, " SINCE 30-Dec-2026"},
        {INT64_MAX, " SINCE 1-Jan-1970"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct opening o = {0};
        struct mailbox m = {0};
        struct buf out = {0};
        struct session_opts opts = {.first = SESSION_FIRST_SINCE, .first_since = table[i].since};
        opening_begin(&o, &m, &facts, &opts);
        assert_int_equal(opening_question(&o), OPENING_SEARCH);
        opening_criterion(&o, &out);
        assert_string_equal(buf_str(&out), table[i].want);
        buf_free(&out);
        opening_free(&o);
    }
}

static void
what_is_asked_depends_on_how_it_opens(void **state)
{
    (void)state;
    static const int64_t since = 1772323200;
    static const int64_t never = 0;
    static const struct {
        uint32_t known; /* UIDVALIDITY, 0: not known */
        uint32_t uidnext;
        enum session_first first;
        const int64_t *epoch_since;
        enum opening_question want;
    } table[] = {
        {0, 101, SESSION_FIRST_NONE, &since, OPENING_KNOWN},
        {0, 0, SESSION_FIRST_NONE, &since, OPENING_HIGHEST},
        {0, 101, SESSION_FIRST_ALL, &since, OPENING_KNOWN},
        {0, 0, SESSION_FIRST_ALL, &since, OPENING_KNOWN},
        {0, 101, SESSION_FIRST_UNSEEN, NULL, OPENING_SEARCH},
        {0, 0, SESSION_FIRST_UNSEEN, NULL, OPENING_HIGHEST},
        {0, 1, SESSION_FIRST_UNSEEN, NULL, OPENING_KNOWN},
        {7, 101, SESSION_FIRST_UNSEEN, &since, OPENING_KNOWN},
        {7, 0, SESSION_FIRST_UNSEEN, &since, OPENING_KNOWN},
        {6, 101, SESSION_FIRST_UNSEEN, &since, OPENING_SEARCH},
        {6, 101, SESSION_FIRST_UNSEEN, &never, OPENING_KNOWN},
        {6, 101, SESSION_FIRST_UNSEEN, NULL, OPENING_KNOWN},
        {6, 1, SESSION_FIRST_NONE, &since, OPENING_KNOWN},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct opening o = {0};
        struct mailbox m = {0};
        struct mailbox_facts told = {.uidvalidity = 7, .uidnext = table[i].uidnext};
        struct session_opts opts = {.first = table[i].first, .epoch_since = table[i].epoch_since};
        if (table[i].known != 0)
            mailbox_baseline(&m, table[i].known, 50);
        opening_begin(&o, &m, &told, &opts);
        assert_int_equal(opening_question(&o), table[i].want);
        assert_int_equal(m.uidvalidity, table[i].known);
        opening_free(&o);
        mailbox_clear(&m);
    }
}

static void
the_mailbox_changes_at_the_end_and_not_before(void **state)
{
    (void)state;
    struct opening o = {0};
    struct mailbox m = {0};
    struct err e;
    struct session_opts opts = {.first = SESSION_FIRST_UNSEEN};
    opening_begin(&o, &m, &facts, &opts);
    assert_int_equal(opening_found(&o, SPAN("100 4 4 101 -3 4294967296 2"), &e), 0);
    assert_false(m.known);
    opening_end(&o, &m, facts.uidvalidity);
    assert_true(m.known);
    assert_int_equal(m.mark, 100);
    assert_int_equal(m.wanted.n, 3);
    assert_int_equal(m.wanted.v[0], 2);
    assert_int_equal(m.wanted.v[2], 100);
    mailbox_clear(&m);
}

static void
a_search_without_end_is_refused(void **state)
{
    (void)state;
    struct opening o = {0};
    struct mailbox m = {0};
    struct err e;
    struct session_opts opts = {.first = SESSION_FIRST_UNSEEN};
    opening_begin(&o, &m, &facts, &opts);
    for (int i = 0; i < OPENING_FOUND_MAX; i++)
        assert_int_equal(opening_found(&o, SPAN("9"), &e), 0);
    assert_int_equal(opening_found(&o, SPAN("9"), &e), -1);
    assert_int_equal(e.kind, ERR_MAILBOX);
    opening_free(&o);
}

/* --- a whole session --- */

struct server {
    struct session *session;
    struct mailbox mailbox;
    struct buf sent;
    size_t n_checked;
    size_t n_messages;
};

static void
say(struct server *v, struct span bytes)
{
    struct session_event e;
    session_feed(v->session, bytes, 1000);
    for (session_next(v->session, &e); e.type != SESSION_NONE; session_next(v->session, &e)) {
        assert_int_not_equal(e.type, SESSION_LOST);
        v->n_checked += e.type == SESSION_CHECKED;
        if (e.type == SESSION_MESSAGE) {
            v->n_messages++;
            mailbox_take(&v->mailbox, e.uid);
        }
    }
    buf_clear(&v->sent);
    buf_addspan(&v->sent, buf_span(session_output(v->session)));
    buf_clear(session_output(v->session));
}

/* Answers the pass and the IDLE just sent, with every message asked for. */
static void
answer_pass(struct server *v)
{
    static const struct span text = SPAN(" BODY[HEADER] {6}\r\na: b\r\n)\r\n");
    struct buf out = {0};
    const struct uidset *asked = &v->mailbox.asked;
    const char *done = strstr(buf_str(&v->sent), "DONE\r\n");
    unsigned tag;
    assert_int_equal(sscanf(done != NULL ? done + 6 : buf_str(&v->sent), "t%u UID FETCH", &tag), 1);
    if (done != NULL)
        buf_addf(&out, "t%u OK\r\n", tag - 1);
    for (size_t i = 0; i < asked->n; i++) {
        buf_addf(&out, "* 1 FETCH (UID %u", (unsigned)asked->v[i]);
        buf_addspan(&out, text);
    }
    buf_addf(&out, "t%u OK\r\n+ idling\r\n", tag);
    say(v, buf_span(&out));
    buf_free(&out);
}

static void
two_hundred_thousand_unseen_messages_come_one_and_all(void **state)
{
    (void)state;
    enum { MESSAGES = 200000, RUN = 100, GAP = 3 };
    struct server v = {0};
    struct session_quirks quirks = {0};
    struct session_opts opts = {.host = "h",
        .user = "u",
        .mailbox = "INBOX",
        .first = SESSION_FIRST_UNSEEN,
        .renew_ms = 300000,
        .poll_ms = 60000,
        .literal_max = 1000000,
        .client_version = "0"};
    v.session = session_new(&opts, &quirks, &v.mailbox, 1000);
    session_login(v.session, SPAN("secret"), 1000);
    say(&v, SPAN("* PREAUTH [CAPABILITY IMAP4rev1 IDLE] Dovecot\r\n"));
    say(&v, SPAN("* OK [UIDVALIDITY 7]\r\n* OK [UIDNEXT 3000000]\r\nt1 OK\r\n"));
    assert_string_equal(buf_str(&v.sent), "t2 UID SEARCH UNSEEN\r\n");
    struct buf line = {0};
    buf_adds(&line, "* SEARCH");
    for (unsigned i = 0; i < MESSAGES; i++)
        buf_addf(&line, " %u", 1000000 + i + i / RUN * GAP);
    buf_adds(&line, "\r\nt2 OK\r\n");
    for (size_t at = 0; at < line.n; at += 4096)
        say(&v, (struct span){line.p + at, line.n - at < 4096 ? line.n - at : 4096});
    assert_int_equal(v.mailbox.wanted.n, MESSAGES);
    assert_int_equal(v.mailbox.mark, 2999999);
    for (int pass = 0; strstr(buf_str(&v.sent), "UID FETCH") != NULL; pass++) {
        assert_true(pass <= MESSAGES / RUN / (MAILBOX_RANGES - 1));
        answer_pass(&v);
    }
    assert_int_equal(v.n_messages, MESSAGES);
    assert_int_equal(v.n_checked, MESSAGES / RUN / (MAILBOX_RANGES - 1) + 1);
    assert_int_equal(v.mailbox.wanted.n, 0);
    session_free(v.session);
    mailbox_clear(&v.mailbox);
    buf_free(&line);
    buf_free(&v.sent);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_is_searched_for_from_the_one_before),
        cmocka_unit_test(what_is_asked_depends_on_how_it_opens),
        cmocka_unit_test(the_mailbox_changes_at_the_end_and_not_before),
        cmocka_unit_test(a_search_without_end_is_refused),
        cmocka_unit_test(two_hundred_thousand_unseen_messages_come_one_and_all),
    };
    return cmocka_run_group_tests_name("imap_opening", tests, NULL, NULL);
}
