/* mail: from bytes to facts; golden headers as senders write them, and hostile ones. */
#include "base/mem.h"
#include "mail/message.h"

#include "../facts_check.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define E_ACUTE "\xC3\xA9"
#define FFFD    "\xEF\xBF\xBD"

static struct facts *
facts_of(struct span bytes)
{
    struct facts *f = message_facts(bytes, NULL);
    facts_check(f);
    return f;
}

/* One field as a mail of its own. */
static struct facts *
facts_of_field(const char *name, const char *value)
{
    struct buf b = {0};
    buf_addf(&b, "%s: %s\r\n\r\nbody\r\n", name, value);
    struct facts *f = facts_of(buf_span(&b));
    buf_free(&b);
    return f;
}

static void
subjects_are_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        const char *want;
    } table[] = {
        {"plain", "plain"},
        {"=?utf-8?q?caf=C3=A9?=", "caf" E_ACUTE},
        {"=?UTF-8?B?Y2Fmw6k=?=", "caf" E_ACUTE},
        /* adjacent words */
        {"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"},
        {"=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"},
        {"=?utf-8?q?a?==?utf-8?q?b?=", "ab"},
        {"x =?utf-8?q?a?= =?utf-8?q?b?= y", "x ab y"},
        {"=?utf-8?q?a?= =?iso-8859-1?q?=E9?=", "a" E_ACUTE},
        {"=?utf-8?q?a_?= =?iso-8859-1?q?_b?=", "a  b"},
        {"=?utf-8?b?w6k=?= =?utf-8?b?w6k=?=", E_ACUTE E_ACUTE},
        /* one character over two words */
        {"=?utf-8?q?=C3?= =?utf-8?q?=A9?=", E_ACUTE},
        {"=?utf-8?q?=C?= =?utf-8?q?3=A9?=", E_ACUTE},
        {"=?utf-8?q?=?= =?utf-8?q?C3=A9?=", E_ACUTE},
        {"=?utf-8?q?=E2=82?= =?utf-8?b?rA==?=", "\xE2\x82\xAC"},
        {"=?UTF-8?B?44GC4?= =?UTF-8?B?4GE?=", "\xE3\x81\x82\xE3\x81\x84"},
        /* padding */
        {"=?utf-8?b?w6k?= x", E_ACUTE " x"},
        {"=?utf-8?b?w6k?= =?utf-8?b?w6k?=", E_ACUTE E_ACUTE},
        {"=?utf-8?b?YQ?= =?utf-8?b?Yg?=", "ab"},
        {"=?utf-8?b?w6k==?=", E_ACUTE},
        {"=?utf-8?b?w6k= w6k=?=", E_ACUTE E_ACUTE},
        {"=?utf-8?b?a?=", ""},
        /* where no word should be */
        {"\"=?utf-8?q?a?=\"", "\"a\""},
        {"x=?utf-8?q?a?=y", "xay"},
        {"(=?utf-8?q?a?=)", "(a)"},
        {"=?utf-8?q?a b c?=", "a b c"},
        {"=?utf-8?q?a?b?=", "a?b"},
        {"=?utf-8?q?\?=", ""},
        {"=?utf-8?q?=zz=4?=", "=zz=4"},
        /* language, RFC 2231 section 5 */
        {"=?utf-8*en?q?abc?=", "abc"},
        {"=?iso-8859-1*de-at?q?=E9?=", E_ACUTE},
        /* no encoded words at all */
        {"=?utf-8?x?abc?=", "=?utf-8?x?abc?="},
        {"=?utf-8?q?abc", "=?utf-8?q?abc"},
        {"=?utf-8?q", "=?utf-8?q"},
        {"=?", "=?"},
        {"=?utf 8?q?a?=", "=?utf 8?q?a?="},
        {"=?utf-8?q?open =?utf-8?q?a?=", "=?utf-8?q?open a"},
        /* labels that lie */
        {"=?gb2312?B?xOO6ww==?=", "\xE4\xBD\xA0\xE5\xA5\xBD"},
        {"=?gb2312?Q?=E9F?=", "\xE9\x95\x95"},
        {"=?gbk?B?xOO6ww==?=", "\xE4\xBD\xA0\xE5\xA5\xBD"},
        {"=?iso-8859-1?q?=80=93x=94?=", "\xE2\x82\xAC\xE2\x80\x9Cx\xE2\x80\x9D"},
        {"=?latin1?q?=E9?=", E_ACUTE},
        {"=?ks_c_5601-1987?B?vsiz5w==?=", "\xEC\x95\x88\xEB\x85\x95"},
        {"=?euc-kr?Q?=8Ca?=", "\xEB\x98\x9E"},
        {"=?us-ascii?q?caf=E9?=", "caf" E_ACUTE},
        {"=?us-ascii?q?caf=C3=A9?=", "caf" E_ACUTE},
        {"=?x-unknown?q?caf=E9?=", "caf" E_ACUTE},
        {"=?x-unknown?q?caf=C3=A9?=", "caf" E_ACUTE},
        {"=?UTF-8//TRANSLIT?q?caf=C3=A9?=", "caf" E_ACUTE},
        {"=??q?caf=C3=A9?=", "caf" E_ACUTE},
        {"=?utf8?q?caf=C3=A9?=", "caf" E_ACUTE},
        {"=?shift_jis?B?h0A=?=", "\xE2\x91\xA0"},
        {"=?iso-2022-jp?B?GyRCJDMkcyRLJEEkTxsoQg==?=",
            "\xE3\x81\x93\xE3\x82\x93\xE3\x81\xAB\xE3\x81\xA1\xE3\x81\xAF"},
        {"=?iso-2022-jp?B?GyRCJDMkcyRLJEEkTw==?=",
            "\xE3\x81\x93\xE3\x82\x93\xE3\x81\xAB\xE3\x81\xA1\xE3\x81\xAF"},
        {"=?big5?B?p0Gmbg==?=", "\xE4\xBD\xA0\xE5\xA5\xBD"},
        {"=?big5?q?=88f?=", "\xC3\x8A"},
        {"=?big5?q?=88b?=", "\xC3\x8A\xCC\x84"},
        {"=?koi8-r?q?=C0?=", "\xD1\x8E"},
        {"=?windows-1251?q?=FE?=", "\xD1\x8E"},
        {"=?iso-8859-8-i?q?=F9?=", "\xD7\xA9"},
        {"=?tis-620?q?=A1?=", "\xE0\xB8\x81"},
        {"=?utf-7?q?+AGE-?=", "a"},
        {"=?utf-8?q?=FF=FE?=", FFFD FFFD},
        {"=?euc-kr?q?a=B0?=", "a" FFFD},
        /* raw bytes */
        {"caf\xC3\xA9", "caf" E_ACUTE},
        {"caf\xE9 \x93x\x94", "caf" E_ACUTE " \xE2\x80\x9Cx\xE2\x80\x9D"},
        {"\x81\x8D", ""},
        {"caf\xE9 =?utf-8?q?=C3=A9?=", "caf" E_ACUTE " " E_ACUTE},
        /* what must not leave the line */
        {"=?utf-8?q?nul=00x?=", "nul x"},
        {"=?iso-8859-1?q?nul=00x?=", "nul x"},
        {"=?koi8-r?q?nul=00x?=", "nul x"},
        {"=?utf-8?q?a=0D=0ABcc:_x@y?=", "a  Bcc: x@y"},
        {"=?utf-8?q?=1B[31mred?=", "[31mred"},
        {"=?utf-8?q?a=E2=80=A8b?=", "a b"},
        {"esc\033]0;x\007", "esc ]0;x"},
        {"folded\r\n\there", "folded here"},
        {"lone\rreturn", "lone return"},
        {"$(touch x) `touch x` \"q\" 'q'", "$(touch x) `touch x` \"q\" 'q'"},
        {"() { :;}; touch x", "() { :;}; touch x"},
        {"   ", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct facts *f = facts_of_field("Subject", table[i].raw);
        assert_string_equal(f->subject, table[i].want);
        assert_int_equal(f->n_headers, 1);
        assert_string_equal(f->headers[0].value, table[i].want);
        assert_false(f->truncated);
        facts_free(f);
    }
}

/* 0x8862 of Big5 is two characters, and the second may wait in the converter for room. */
static void
converters_are_emptied(void **state)
{
    (void)state;
    for (int n = 500; n < 520; n++) {
        struct buf b = {0};
        buf_addf(&b, "Subject: =?big5?q?%0*d=88b?=\n\n", n, 0);
        struct facts *f = facts_of(buf_span(&b));
        assert_int_equal(strlen(f->subject), n + 4);
        assert_string_equal(f->subject + n, "\xC3\x8A\xCC\x84");
        facts_free(f);
        buf_free(&b);
    }
}

/* "[name]<addr>" for each address. */
static char *
rendered(const struct addresses *a)
{
    struct buf b = {0};
    for (size_t i = 0; i < a->n; i++)
        buf_addf(&b, "[%s]<%s>", a->v[i].name, a->v[i].addr);
    buf_adds(&b, "");
    return buf_take(&b);
}

static void
addresses_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        const char *want;
    } table[] = {
        {"a@b", "[]<a@b>"},
        {"<a@b>", "[]<a@b>"},
        {"Name <a@b>", "[Name]<a@b>"},
        {"Name<a@b>", "[Name]<a@b>"},
        {"\"Doe, John\" <a@b>", "[Doe, John]<a@b>"},
        {"\"a\\\"b\\\\c\" <a@b>", "[a\"b\\c]<a@b>"},
        {"a@b, Name <c@d>", "[]<a@b>[Name]<c@d>"},
        /* comments */
        {"a@b (Name)", "[Name]<a@b>"},
        {"<a@b> (Name)", "[Name]<a@b>"},
        {"Name <a@b> (home)", "[Name]<a@b>"},
        {"Name <a@b (x)>", "[Name]<a@b>"},
        {"a@b (N (x) \\) y)", "[N (x) ) y]<a@b>"},
        {"a@b (=?utf-8?q?caf=C3=A9?=)", "[caf" E_ACUTE "]<a@b>"},
        {"(nothing)", ""},
        /* names nobody quoted */
        {"Doe, John <a@b>", "[Doe, John]<a@b>"},
        {"Doe, John, MD <a@b>", "[Doe, John, MD]<a@b>"},
        {"a@b, Doe, John <c@d>", "[]<a@b>[Doe, John]<c@d>"},
        {"J. R. Doe <a@b>", "[J. R. Doe]<a@b>"},
        {"Name [via List] <a@b>", "[Name [via List]]<a@b>"},
        {"Bob @ Home <a@b>", "[Bob @ Home]<a@b>"},
        {"DOM\\user <a@b>", "[DOM\\user]<a@b>"},
        {"O'Neil <a@b>", "[O'Neil]<a@b>"},
        {"a@b <c@d>", "[a@b]<c@d>"},
        {"caf\xE9 <a@b>", "[caf" E_ACUTE "]<a@b>"},
        {"Foo Bar a@b", "[Foo Bar]<a@b>"},
        /* domains missing or odd */
        {"joe", "[]<joe>"},
        {"joe, bill@x", "[]<joe>[]<bill@x>"},
        {"Joe Doe", "[Joe Doe]<>"},
        {"Foo <>", "[Foo]<>"},
        {"<>", ""},
        {"<root>", "[]<root>"},
        {"x@.MISSING-HOST-NAME.", "[]<x@.MISSING-HOST-NAME.>"},
        {"a..b.@docomo.ne.jp", "[]<a..b.@docomo.ne.jp>"},
        {"a@[192.0.2.1]", "[]<a@[192.0.2.1]>"},
        {"a@[IPv6:::1], x@y", "[]<a@[IPv6:::1]>[]<x@y>"},
        {"\"a b\"@c", "[]<\"a b\"@c>"},
        {"x@xn--caf-dma.com", "[]<x@xn--caf-dma.com>"},
        {E_ACUTE "@b", "[]<" E_ACUTE "@b>"},
        {"a @ b", "[]<a@b>"},
        {"< a @ b . c >", "[]<a@b.c>"},
        /* groups and routes */
        {"undisclosed-recipients:;", ""},
        {"G: a@b, C <c@d>;, e@f", "[]<a@b>[C]<c@d>[]<e@f>"},
        {"<@r1,@r2:a@b>", "[]<a@b>"},
        {"N <@r1:a@b>, c@d", "[N]<a@b>[]<c@d>"},
        /* separators */
        {"a@b;c@d", "[]<a@b>[]<c@d>"},
        {"a@b,,c@d,", "[]<a@b>[]<c@d>"},
        {"A <a@b> C <c@d>", "[A]<a@b>[C]<c@d>"},
        {"A <a@b> rest", "[A]<a@b>"},
        {",", ""},
        /* not closed */
        {"Name <a@b", "[Name]<a@b>"},
        {"Name <a@b, <c@d>", "[Name]<a@b>[]<c@d>"},
        {"Name a@b>", "[Name]<a@b>"},
        {"N <<a@b>>", "[N]<a@b>"},
        {"\"open <a@b>", "[open]<a@b>"},
        {"(open a@b", "[(open]<a@b>"},
        /* encoded words are words: they never make or change an address */
        {"=?utf-8?q?A?= =?utf-8?q?B?= <a@b>", "[AB]<a@b>"},
        {"\"=?utf-8?q?caf=C3=A9?=\" <a@b>", "[caf" E_ACUTE "]<a@b>"},
        {"=?utf-8?q?a=2Cb?= <c@d>, e@f", "[a,b]<c@d>[]<e@f>"},
        {"=?utf-8?q?evil=40example.com=3E?= <a@b.c>", "[evil@example.com>]<a@b.c>"},
        {"=?utf-8?q?=3Cx=40y=3E?=", "[<x@y>]<>"},
        {"=?utf-8?q?x=40y?= <a@b>", "[x@y]<a@b>"},
        {"<=?utf-8?q?x=40y?=>", "[]<=?utf-8?q?x=40y?=>"},
        {"=?utf-8?q?x?=@y.z", "[]<=?utf-8?q?x?=@y.z>"},
        {"\"a@b\"", "[a@b]<>"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct facts *f = facts_of_field("From", table[i].raw);
        char *got = rendered(&f->from);
        assert_string_equal(got, table[i].want);
        free(got);
        facts_free(f);
    }
}

static void
dates_are_read_leniently(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        bool readable;
        int64_t want;
    } table[] = {
        {"Tue, 1 Jul 2003 10:52:37 +0200", true, 1057049557},
        {"Tue,1 July 2003 10:52:37 +0200 (CEST)", true, 1057049557},
        {"1 Jul 03 08:52:37 GMT", true, 1057049557},
        {"Tue Jul  1 08:52:37 2003", true, 1057049557},
        {"Tue, 01 Jul 2003 17:52:37 JST", true, 1057049557},
        {"Tue, 01 Jul 2003 17:52:37 KST", true, 1057049557},
        {"Tue, 01 Jul 2003 10:52:37 cest", true, 1057049557},
        {"Tue, 01 Jul 2003 03:52:37 EST", true, 1057049557},
        {"Tue, 01 Jul 2003 10:52:37 +02:00", true, 1057049557},
        {"Tue, 01 Jul 2003 10:52:37 GMT+0200", true, 1057049557},
        {"Tue, 01 Jul 2003 10.52.37 +0200", true, 1057049557},
        {"2003-07-01 08:52:37", true, 1057049557},
        {"2003-07-01T08:52:37Z", true, 1057049557},
        {"2003-07-01T10:52:37.25+02:00", true, 1057049557},
        {"Tue, 1 Jul 2003 08:52:37 AM +0000", true, 1057049557},
        {"Tue, 1 Jul 2003 10:52:37 PM +0000", true, 1057099957},
        {"Tue, 1 Jul 2003 12:00:00 AM +0000", true, 1057017600},
        {"Sat, 31 Dec 2016 23:59:60 +0000", true, 1483228799},
        {"Thu, 1 Jan 1970 00:00:00 +0000", true, 0},
        {"Wed, 31 Dec 1969 23:59:59 +0000", true, -1},
        {"garbage", false, 0},
        {"", false, 0},
        {"32 Jul 2003 10:52:37 +0200", false, 0},
        {"00-Jan-0000 00:00:00 +0000", false, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct facts *f = facts_of_field("Date", table[i].raw);
        assert_int_equal(f->has_date, table[i].readable);
        assert_int_equal(f->date, table[i].want);
        facts_free(f);
    }
}

static void
ids_are_without_brackets(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        const char *want;
    } table[] = {
        {"<a@b>", "a@b"},
        {"a@b", "a@b"},
        {"<a@@b>", "a@@b"},
        {"<a b@c>", "a b@c"},
        {"<a@b> <c@d>", "a@b"},
        {"Your message of Tuesday <a@b>", "a@b"},
        {"Your message of Tuesday", ""},
        {"<>", ""},
        {"<a@b", "a@b"},
        {"(x) <=?utf-8?q?x?=@y>", "=?utf-8?q?x?=@y"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct facts *f = facts_of_field("Message-ID", table[i].raw);
        assert_string_equal(f->message_id, table[i].want);
        facts_free(f);
        f = facts_of_field("in-reply-to", table[i].raw);
        assert_string_equal(f->in_reply_to, table[i].want);
        facts_free(f);
    }
}

static void
list_ids_are_inside_brackets_or_whole(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"Developers <dev.example.org>", "dev.example.org"},
        {"<dev.example.org>", "dev.example.org"},
        {"dev.example.org", "dev.example.org"},
        {"=?utf-8?q?caf=C3=A9?= list", "caf" E_ACUTE " list"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct facts *f = facts_of_field("List-Id", table[i][0]);
        assert_string_equal(f->list_id, table[i][1]);
        facts_free(f);
    }
}

static void
the_envelope_is_read_from_trace_fields(void **state)
{
    (void)state;
    struct facts *f = facts_of(SPAN("Return-Path: <bounce@x>\n"
                                    "Envelope-To: third@x\n"
                                    "X-Original-To: second+tag@x\n"
                                    "Delivered-To: me+news+more@x.org\n"
                                    "Delivered-To: later@x\n"
                                    "Return-Path: <later@x>\n\n"));
    assert_string_equal(f->sender, "bounce@x");
    assert_string_equal(f->recipient, "me+news+more@x.org");
    assert_string_equal(f->extension, "news+more");
    char *all = rendered(&f->envelope_to);
    assert_string_equal(all, "[]<third@x>[]<second+tag@x>[]<me+news+more@x.org>[]<later@x>");
    free(all);
    facts_free(f);

    f = facts_of(SPAN("Return-Path: <>\nReturn-Path: <later@x>\nEnvelope-To: third@x+y\n"
                      "X-Original-To: <second@x>\n\n"));
    assert_string_equal(f->sender, "");
    assert_string_equal(f->recipient, "second@x");
    assert_string_equal(f->extension, "");
    facts_free(f);
}

static void
the_first_of_two_fields_counts(void **state)
{
    (void)state;
    struct facts *f = facts_of(SPAN("Subject: one\nFrom: a@b\nsubject: two\nFROM: c@d\n\n"));
    assert_string_equal(f->subject, "one");
    assert_int_equal(f->from.n, 1);
    assert_string_equal(f->from.v[0].addr, "a@b");
    assert_int_equal(f->n_headers, 4);
    assert_string_equal(f->headers[2].name, "subject");
    assert_string_equal(f->headers[2].value, "two");
    facts_free(f);
}

static void
blocks_of_odd_shape_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        const char *subject;
        size_t headers;
    } table[] = {
        {"", "", 0},
        {"\n", "", 0},
        {"\r\nSubject: body", "", 0},
        {"Subject: no end", "no end", 1},
        {"Subject: x\n\nSubject: body\n", "x", 1},
        {"Subject: x\r\n\r\nX: body\r\n", "x", 1},
        {"Subject: x\n\r\nX: body\r\n", "x", 1},
        {"Subject : space\n\n", "space", 1},
        {"Subject:\n x\n\n", "x", 1},
        {"Subject: a\n \n b\nX: y\n\n", "a  b", 2},
        {"From a@b Thu Jan  1 00:00:00 1970\nSubject: x\n\n", "x", 1},
        {">From a@b Thu Jan  1 00:00:00 1970\nSubject: x\n\n", "x", 1},
        {"From : a@b\nSubject: x\n\n", "x", 2},
        {"no colon here\nSubject: x\n\n", "x", 1},
        {"no colon here\n folded: on\nSubject: x\n\n", "x", 1},
        {" folded: from nothing\nSubject: x\n\n", "x", 1},
        {"two words: x\nSubject: x\n\n", "x", 1},
        {": no name\nSubject: x\n\n", "x", 1},
        {"X-\xE9: x\nSubject: x\n\n", "x", 1},
        {"Just a text.\nAnd another line.\n", "", 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct facts *f = facts_of(span_str(table[i].raw));
        assert_string_equal(f->subject, table[i].subject);
        assert_int_equal(f->n_headers, table[i].headers);
        assert_false(f->truncated);
        facts_free(f);
    }
}

/* A mail that is `head`, then `unit` as often as it fits into n bytes, then `tail`. */
static struct facts *
facts_of_many(const char *head, struct span unit, size_t n, const char *tail)
{
    struct buf b = {0};
    buf_adds(&b, head);
    while (b.n + unit.n <= n)
        buf_addspan(&b, unit);
    buf_adds(&b, tail);
    struct facts *f = facts_of(buf_span(&b));
    buf_free(&b);
    return f;
}

static void
a_long_subject_is_cut(void **state)
{
    (void)state;
    struct facts *f = facts_of_many("Subject: ", SPAN("caf" E_ACUTE " "), 1000000, "\nX: y\n\n");
    assert_true(f->truncated);
    assert_in_range(strlen(f->subject), FACTS_FIELD_MAX - 32, FACTS_FIELD_MAX);
    assert_int_equal(f->n_headers, 2);
    assert_null(strstr(f->subject, FFFD));
    facts_free(f);
    /* not through a character, or all of it were no UTF-8 any more */
    f = facts_of_many("Subject: ", SPAN(E_ACUTE), 20000, "\n\n");
    assert_int_equal(strncmp(f->subject, E_ACUTE E_ACUTE, 4), 0);
    facts_free(f);
    /* 16 kB of Windows-1252 are more in UTF-8 */
    f = facts_of_many("Subject: ", SPAN("\x93"), 16000, "\n\n");
    assert_true(f->truncated);
    assert_in_range(strlen(f->subject), FACTS_VALUE_MAX - 4, FACTS_VALUE_MAX);
    facts_free(f);
}

static void
too_many_fields_are_left_out(void **state)
{
    (void)state;
    struct facts *f = facts_of_many("", SPAN("X-A: b\n"), 70000, "\n");
    assert_int_equal(f->n_headers, FACTS_HEADERS_MAX);
    assert_true(f->truncated);
    facts_free(f);
    f = facts_of_many("", SPAN("X-A: b\n"), 7 * FACTS_HEADERS_MAX, "\n");
    assert_int_equal(f->n_headers, FACTS_HEADERS_MAX);
    assert_false(f->truncated);
    facts_free(f);
}

static void
a_block_without_end_is_cut(void **state)
{
    (void)state;
    struct facts *f = facts_of_many("Subject: x\n", SPAN("no field\n"), 3000000, "To: a@b\n");
    assert_string_equal(f->subject, "x");
    assert_int_equal(f->to.n, 0);
    assert_true(f->truncated);
    facts_free(f);
    /* a body however long is no reason */
    f = facts_of_many("Subject: x\n\n", SPAN("body\n"), 3000000, "");
    assert_false(f->truncated);
    facts_free(f);
}

static void
a_hundred_thousand_addresses_are_capped(void **state)
{
    (void)state;
    struct facts *f = facts_of_many("To: ", SPAN("a@b,"), 400000, "\n\n");
    assert_int_equal(f->to.n, FACTS_ADDRESSES_MAX);
    assert_true(f->truncated);
    facts_free(f);
    f = facts_of_many("To: ", SPAN("\n a@b,"), 600000, "\n\n");
    assert_int_equal(f->to.n, FACTS_ADDRESSES_MAX);
    facts_free(f);
}

static void
meaningless_bytes_give_empty_facts(void **state)
{
    (void)state;
    struct facts *f = facts_of_many("", SPAN("\0"), 100000, "");
    assert_int_equal(f->n_headers, 0);
    facts_free(f);
    f = facts_of_many("", SPAN("X"), 1000000, ": y\nSubject: x\n\n");
    assert_int_equal(f->n_headers, 1);
    assert_string_equal(f->subject, "x");
    assert_true(f->truncated);
    facts_free(f);
    f = facts_of(SPAN("Subject: a\0b\nFrom: a\0b <x\0@y>\n\n"));
    assert_string_equal(f->subject, "a b");
    assert_string_equal(f->from.v[0].name, "a b");
    assert_string_equal(f->from.v[0].addr, "x @y");
    facts_free(f);
}

/* Fields that make a parser recurse or look ahead again and again. */
static void
repetition_costs_no_more_than_length(void **state)
{
    (void)state;
    static const char *const units[] = {"a:", "a,", "<", "(", "\"", "\\\"", "=?a?q?", "=?a?b?",
        "=?", "=", "<@a:", "a<b>", "a@b ", "a,a@b,", "(a)", "\"a\"", "=?a?q?b?= ", ";", "@", "[",
        " <"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        facts_free(facts_of_many("From: ", span_str(units[i]), 200000, "\n\n"));
        facts_free(facts_of_many("From: ", span_str(units[i]), 1000000, "<a@b>\n\n"));
        facts_free(facts_of_many("Date: ", span_str(units[i]), 1000000, "\n\n"));
    }
    struct facts *f = facts_of_many("From: ", SPAN("a:"), 10000, "b@c\n\n");
    assert_int_equal(f->from.n, 1);
    assert_string_equal(f->from.v[0].addr, "b@c");
    facts_free(f);
}

static void *
run_repetition(void *arg)
{
    repetition_costs_no_more_than_length(arg);
    return NULL;
}

static void
a_small_stack_is_enough(void **state)
{
    (void)state;
    pthread_t thread;
    pthread_attr_t attr;
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstacksize(&attr, 512 * 1024), 0);
    assert_int_equal(pthread_create(&thread, &attr, run_repetition, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attr);
}

/* A seeded walk through mails made of the pieces parsers stumble over. */
static void
every_mixture_keeps_the_promises(void **state)
{
    (void)state;
    static const char *const pieces[] = {"From: ", "To:", "Subject: ", "Date: ", "List-Id:", "\n",
        "\r\n", "\n ", "\t", " ", "<", ">", "\"", "(", ")", ",", ";", ":", "@", "a", "b.c", "=?",
        "?=", "utf-8", "?q?", "?B?", "=C3", "=A9", "w6k=", "\xE9", "\xC3", "\\", "=?big5?q?=88",
        "\033", "=?iso-2022-jp?b?GyRC", "=00", "2003", "Jul", "10:52:60", "+02:00",
        "2003-07-01T10:52:37"};
    uint32_t seed = 4711;
    for (int round = 0; round < 20000; round++) {
        struct buf b = {0};
        for (int i = 0; i < 30; i++) {
            seed = seed * 1664525u + 1013904223u;
            buf_adds(&b, pieces[(seed >> 16) % (sizeof pieces / sizeof *pieces)]);
        }
        facts_free(facts_of(buf_span(&b)));
        buf_free(&b);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subjects_are_decoded),
        cmocka_unit_test(converters_are_emptied),
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(dates_are_read_leniently),
        cmocka_unit_test(ids_are_without_brackets),
        cmocka_unit_test(list_ids_are_inside_brackets_or_whole),
        cmocka_unit_test(the_envelope_is_read_from_trace_fields),
        cmocka_unit_test(the_first_of_two_fields_counts),
        cmocka_unit_test(blocks_of_odd_shape_are_read),
        cmocka_unit_test(a_long_subject_is_cut),
        cmocka_unit_test(too_many_fields_are_left_out),
        cmocka_unit_test(a_block_without_end_is_cut),
        cmocka_unit_test(a_hundred_thousand_addresses_are_capped),
        cmocka_unit_test(meaningless_bytes_give_empty_facts),
        cmocka_unit_test(repetition_costs_no_more_than_length),
        cmocka_unit_test(a_small_stack_is_enough),
        cmocka_unit_test(every_mixture_keeps_the_promises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
