/* imap/lex, value, reply: responses in every split, and the faults servers are known for. */
#include "base/mem.h"
#include "imap/fetch.h"
#include "imap/lex.h"
#include "imap/reply.h"
#include "imap/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LIMIT = 100000 };

/* What lex told, as text: <response> !cut! [body size] chunks as they are, HUGE. */
static void
tell(struct lex *l, struct span bytes, struct buf *out)
{
    while (bytes.n > 0) {
        struct span chunk;
        switch (lex_next(l, &bytes, &chunk)) {
        case LEX_MORE:
            break;
        case LEX_RESPONSE:
            buf_adds(out, "<");
            buf_addspan(out, lex_text(l));
            buf_adds(out, ">");
            break;
        case LEX_CUT:
            buf_adds(out, "!");
            buf_add(out, lex_text(l).p, 8);
            buf_adds(out, "!");
            break;
        case LEX_BODY:
            buf_addf(out, "[%llu]", (unsigned long long)l->literal);
            break;
        case LEX_CHUNK:
            buf_addspan(out, chunk);
            break;
        case LEX_HUGE:
            buf_adds(out, "HUGE");
            return;
        }
    }
}

static void
assert_told(const char *in, size_t n, size_t piece, const char *want)
{
    struct lex l = {.literal_max = LIMIT};
    struct buf out = {0};
    for (size_t at = 0; at < n; at += piece) {
        size_t length = n - at < piece ? n - at : piece;
        char *copy = xmalloc(length); /* exact, so that reading past it is noticed */
        memcpy(copy, in + at, length);
        tell(&l, (struct span){copy, length}, &out);
        free(copy);
    }
    assert_string_equal(buf_str(&out), want);
    buf_free(&out);
    lex_reset(&l);
}

static void
responses_end_where_they_end_in_every_split(void **state)
{
    (void)state;
    static const struct {
        struct span in;
        const char *want;
    } table[] = {
        {SPAN("* OK hello\r\n"), "<* OK hello>"},
        {SPAN("* OK hello\n* 1 EXISTS\r\r\n"), "<* OK hello><* 1 EXISTS>"},
        {SPAN("\0\0* OK\r\n\r\n\n+\r\n"), "<* OK><+>"},
        {SPAN("* LIST () \"/\" {5}\r\na\r\n)b\r\n"), "<* LIST () \"/\" {5}\r\na\r\n)b>"},
        {SPAN("* LIST () \"/\" {003+}\r\na\"b x\r\n"), "<* LIST () \"/\" {003+}\r\na\"b x>"},
        {SPAN("* LIST () NIL {0}\r\n\r\n* 1 EXISTS\r\n"), "<* LIST () NIL {0}\r\n><* 1 EXISTS>"},
        /* what a literal holds is never taken for another one's size */
        {SPAN("* LIST {3}\r\n{5}\r\n* 1 EXISTS\r\n"), "<* LIST {3}\r\n{5}><* 1 EXISTS>"},
        {SPAN("* LIST {2}\r\n{5}\r\n* 1 EXISTS\r\n"), "<* LIST {2}\r\n{5}><* 1 EXISTS>"},
        {SPAN("* LIST {2}\r\n{123}\r\n* 1 EXISTS\r\n"), "<* LIST {2}\r\n{123}><* 1 EXISTS>"},
        /* words for people are no literals */
        {SPAN("* OK see {5}\r\n* 1 EXISTS\r\n"), "<* OK see {5}><* 1 EXISTS>"},
        {SPAN("t1 NO {5}\r\n+ {5}\r\nhm {5}\r\n"), "<t1 NO {5}><+ {5}><hm {5}>"},
        {SPAN("* 1 FETCH {}\r\n* 1 FETCH {x}\r\n{5}\r\n"), "<* 1 FETCH {}><* 1 FETCH {x}><{5}>"},
        /* messages are handed out */
        {SPAN("* 1 FETCH (UID 5 BODY[HEADER] {4}\r\na\r\n) FLAGS ())\r\n"),
            "[4]a\r\n)<* 1 FETCH (UID 5 BODY[HEADER] {} FLAGS ())>"},
        {SPAN("* 1 fetch (body[]<0> {2}\r\n{9 UID 3)\r\n"),
            "[2]{9<* 1 fetch (body[]<0> {} UID 3)>"},
        {SPAN("* 1 FETCH (BODY[] {1}\r\na BODY[] {1}\r\nb)\r\n"),
            "[1]a[1]b<* 1 FETCH (BODY[] {} BODY[] {})>"},
        {SPAN("* 1 FETCH (BODY[] {0}\r\n)\r\n"), "<* 1 FETCH (BODY[] {0}\r\n)>"},
        /* … but only those */
        {SPAN("* 1 FETCH (BODY[TEXT] {1}\r\na)\r\n"), "<* 1 FETCH (BODY[TEXT] {1}\r\na)>"},
        {SPAN("* LIST BODY[] {1}\r\na)\r\n"), "<* LIST BODY[] {1}\r\na)>"},
        /* over the limits: read over to the right end */
        {SPAN("* LIST {100001}\r\n"), "HUGE"},
        {SPAN("* LIST {18446744073709551616}\r\n"), "HUGE"},
        {SPAN("* 1 FETCH (BODY[] {18446744073709551616}\r\n12"), "[18446744073709551615]12"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (size_t piece = 1; piece <= table[i].in.n; piece++)
            assert_told(table[i].in.p, table[i].in.n, piece, table[i].want);
}

static void
add_many(struct buf *b, char c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_addc(b, c);
}

static void
what_is_too_long_is_read_over(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 1000, 65536, 1 << 20};
    struct buf in = {0};
    buf_adds(&in, "* LIST ");
    add_many(&in, 'x', 200000);
    buf_adds(&in, " {7}\r\n\r\n\r\n * \r\n* 1 EXISTS\r\n* LIST {90000}\r\n");
    add_many(&in, '\n', 90000);
    buf_adds(&in, " BODY[] {2}\r\n\r\n\r\n* 1 FETCH (BODY[] {90000}\r\n");
    size_t start = in.n;
    add_many(&in, '\n', 90000);
    struct buf want = {0};
    buf_adds(&want, "!* LIST x!<* 1 EXISTS>!* LIST {![90000]");
    buf_add(&want, in.p + start, 90000);
    buf_adds(&in, ")\r\n");
    buf_adds(&want, "<* 1 FETCH (BODY[] {})>");
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        assert_told(in.p, in.n, pieces[i], buf_str(&want));
    buf_free(&in);
    buf_free(&want);
}

/* The numbers of all parts of a SEARCH, in order; the parts are bounded. */
static void
collect_search(struct lex *l, struct span bytes, struct buf *out)
{
    while (bytes.n > 0) {
        struct span chunk;
        enum lex_event event = lex_next(l, &bytes, &chunk);
        assert_true(event == LEX_MORE || event == LEX_RESPONSE);
        if (event == LEX_MORE)
            continue;
        struct reply r;
        reply_read(&r, lex_text(l));
        assert_true(span_ieq(r.name, SPAN("SEARCH")));
        assert_true(lex_text(l).n <= 2 * LEX_LINE_MAX);
        for (struct span word = value_word(&r.words); word.n > 0; word = value_word(&r.words)) {
            buf_addc(out, ' ');
            buf_addspan(out, word);
        }
    }
}

static void
a_search_of_any_length_comes_in_parts(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 7, 4096, LEX_LINE_MAX, LEX_LINE_MAX + 9, 10 * 1000 * 1000};
    struct buf numbers = {0};
    for (unsigned uid = 1; uid < 2000000; uid += 9)
        buf_addf(&numbers, " %u", uid);
    struct buf line = {0};
    buf_addf(&line, "* SEARCH%s\r\n* SEARCH 5\r\n", buf_str(&numbers));
    buf_adds(&numbers, " 5");
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct lex l = {.literal_max = LIMIT};
        struct buf out = {0};
        for (size_t at = 0; at < line.n; at += pieces[i]) {
            size_t n = line.n - at < pieces[i] ? line.n - at : pieces[i];
            collect_search(&l, (struct span){line.p + at, n}, &out);
            lex_rest(&l); /* inside the line that is no time to forget anything */
        }
        assert_string_equal(buf_str(&out), buf_str(&numbers));
        assert_false(lex_inside(&l));
        buf_free(&out);
        lex_reset(&l);
    }
    buf_free(&line);
    buf_free(&numbers);
}

static void
a_search_that_holds_no_numbers_is_read_over(void **state)
{
    (void)state;
    struct buf in = {0};
    buf_adds(&in, "* SEARCH 1 ");
    add_many(&in, '7', 3 * LEX_LINE_MAX);
    buf_adds(&in, " 2\r\n* OK\r\n");
    assert_told(in.p, in.n, in.n, "!* SEARCH!<* OK>");
    assert_told(in.p, in.n, 1000, "!* SEARCH!<* OK>");
    buf_free(&in);
}

static void
memory_is_bounded_whatever_comes(void **state)
{
    (void)state;
    static const char *const floods[] = {"x", "* LIST {1}\r\nx", "(", "* LIST {65000}\r\n"};
    for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
        struct lex l = {.literal_max = LIMIT};
        struct buf out = {0};
        for (size_t n = 0; n < 1000000; n += strlen(floods[i])) {
            tell(&l, span_str(floods[i]), &out);
            assert_true(l.text.n <= LEX_RESPONSE_MAX + LEX_LINE_MAX + 64);
        }
        buf_free(&out);
        lex_reset(&l);
    }
}

/* The tree as text: atoms as they are, strings in quotes, lists in brackets, ~ NIL, @ streamed. */
static void
describe(const struct value *v, const struct value *end, struct buf *out)
{
    for (; v < end; v = value_next(v)) {
        if (out->n > 0 && out->p[out->n - 1] != '[')
            buf_addc(out, ' ');
        switch (v->type) {
        case VALUE_ATOM:
            buf_addspan(out, v->text);
            break;
        case VALUE_STRING:
            buf_addc(out, '"');
            buf_addspan(out, v->text);
            buf_addc(out, '"');
            break;
        case VALUE_NIL:
            buf_addc(out, '~');
            break;
        case VALUE_STREAMED:
            buf_addc(out, '@');
            break;
        case VALUE_LIST:
            buf_addc(out, '[');
            describe(v + 1, value_next(v), out);
            buf_addc(out, ']');
            break;
        }
    }
}

static void
values_form_a_tree(void **state)
{
    (void)state;
    static const struct {
        struct span in;
        int result;
        const char *want;
    } table[] = {
        {SPAN(""), 0, ""},
        {SPAN("   "), 0, ""},
        {SPAN("1 (a (b) ()) nil \"x y\""), 0, "1 [a [b] []] ~ \"x y\""},
        {SPAN("(\\Seen $a]b \\* NIL)"), 0, "[\\Seen $a]b \\* ~]"},
        {SPAN("\"a\\\"b\\\\\" \"c\\d\""), 0, "\"a\"b\\\" \"cd\""},
        {SPAN("{3}\r\na)b {2+}\r\n\"( {0}\r\n"), 0, "\"a)b\" \"\"(\" \"\""},
        {SPAN("{03}\r\n{1} x"), 0, "\"{1}\" x"},
        {SPAN("{9}\r\nshort"), 0, "{9}\r\nshort"},
        {SPAN("(BODY[] {} BODY[HEADER.FIELDS (A B)]<0> {})"), 0,
            "[BODY[] @ BODY[HEADER.FIELDS (A B)]<0> @]"},
        {SPAN("(a (b"), 0, "[a [b]]"},
        {SPAN("a) b) (c)) d"), 0, "a b [c] d"},
        {SPAN("(a \"open"), -1, "[a]"},
        {SPAN("\"open \\\""), -1, ""},
        {SPAN("{"), 0, "{"},
        {SPAN("{}"), 0, "@"},
        {SPAN("caf\xC3\xA9 \"\xFF\""), 0, "caf\xC3\xA9 \"\xFF\""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct value_tree t = {0};
        struct buf out = {0};
        assert_int_equal(value_parse(&t, table[i].in), table[i].result);
        if (t.n > 0)
            describe(t.v, t.v + t.n, &out);
        assert_string_equal(buf_str(&out), table[i].want);
        buf_free(&out);
        value_free(&t);
    }
}

static void
depth_and_count_are_bounded(void **state)
{
    (void)state;
    struct buf deep = {0};
    struct value_tree t = {0};
    add_many(&deep, '(', VALUE_DEPTH);
    assert_int_equal(value_parse(&t, buf_span(&deep)), 0);
    buf_addc(&deep, '(');
    assert_int_equal(value_parse(&t, buf_span(&deep)), -1);
    assert_int_equal(t.v[0].width, VALUE_DEPTH);
    struct buf many = {0};
    for (size_t i = 0; i < VALUE_COUNT; i++)
        buf_adds(&many, "a ");
    assert_int_equal(value_parse(&t, buf_span(&many)), 0);
    buf_adds(&many, "a");
    assert_int_equal(value_parse(&t, buf_span(&many)), -1);
    assert_int_equal(t.n, VALUE_COUNT);
    value_free(&t);
    buf_free(&deep);
    buf_free(&many);
}

static void
replies_are_sorted(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum reply_kind kind;
        enum reply_status status;
        const char *tag_or_name;
        unsigned number;
        const char *code;
        const char *words;
    } table[] = {
        {"* 23 EXISTS", REPLY_DATA, REPLY_NONE, "EXISTS", 23, "", ""},
        {"* capability imap4rev1 ", REPLY_DATA, REPLY_NONE, "capability", 0, "", "imap4rev1"},
        {"* ok [UIDNEXT 5] x", REPLY_STATUS, REPLY_OK, "", 0, "UIDNEXT 5", "[UIDNEXT 5] x"},
        {"* OK [UIDNEXT 5]", REPLY_STATUS, REPLY_OK, "", 0, "UIDNEXT 5", "[UIDNEXT 5]"},
        {"* OK [UIDNEXT 5", REPLY_STATUS, REPLY_OK, "", 0, "", "[UIDNEXT 5"},
        {"* BYE", REPLY_STATUS, REPLY_BYE, "", 0, "", ""},
        {"* PREAUTH x [Y]", REPLY_STATUS, REPLY_PREAUTH, "", 0, "", "x [Y]"},
        {"*", REPLY_DATA, REPLY_NONE, "", 0, "", ""},
        {"* 99", REPLY_DATA, REPLY_NONE, "", 99, "", ""},
        {"t7 NO  [LIMIT]  no ", REPLY_TAGGED, REPLY_NO, "t7", 0, "LIMIT", "[LIMIT]  no"},
        {"t7", REPLY_TAGGED, REPLY_NONE, "t7", 0, "", ""},
        {"t7 WHAT now", REPLY_TAGGED, REPLY_NONE, "t7", 0, "", "WHAT now"},
        {"Server Unavailable. 15", REPLY_TAGGED, REPLY_NONE, "Server", 0, "", "Unavailable. 15"},
        {"+", REPLY_CONTINUE, REPLY_NONE, "", 0, "", ""},
        {"+ idling", REPLY_CONTINUE, REPLY_NONE, "", 0, "", "idling"},
        {"+idling", REPLY_TAGGED, REPLY_NONE, "+idling", 0, "", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct reply r;
        reply_read(&r, span_str(table[i].line));
        struct span name = r.kind == REPLY_TAGGED ? r.tag : r.name;
        if (r.kind == REPLY_STATUS)
            name = (struct span){0};
        assert_int_equal(r.kind, table[i].kind);
        assert_int_equal(r.status, table[i].status);
        assert_true(span_eq(name, span_str(table[i].tag_or_name)));
        assert_int_equal(r.number, table[i].number);
        assert_true(span_eq(r.code, span_str(table[i].code)));
        assert_true(span_eq(r.words, span_str(table[i].words)));
    }
}

static void
dates_are_read_with_their_zone(void **state)
{
    (void)state;
    static const struct {
        const char *date;
        int64_t want;
    } table[] = {
        {"17-Jul-1996 02:44:25 -0700", 837596665},
        {" 7-jul-1996 02:44:25 +0000", 836707465},
        {"01-Jan-1970 00:00:01 +0000", 1},
        {"01-Jan-1970 01:30:00 +0130", 0},
        {"29-Feb-2024 23:59:60 +0545", 1709230500},
        {"00-Jan-0000 00:00:00 +0000", 0},
        {"17-Jul-1996 02:44:25", 0},
        {"17-Jul-1996 02:44:25 GMT", 0},
        {"17-Jux-1996 02:44:25 +0000", 0},
        {"17-Jul-1996 25:44:25 +0000", 0},
        {"17-Jul-1996 02:44:25 +0099", 0},
        {"17-Jul-96 02:44:25 +0000 trailing", 0},
        {"", 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(fetch_date(span_str(table[i].date)), table[i].want);
}

static void
flags_are_bounded_and_printable(void **state)
{
    (void)state;
    struct buf line = {0};
    buf_adds(&line, "(UID 5 FLAGS (\x01 \\Seen ");
    add_many(&line, 'x', FETCH_FLAG_LENGTH);
    buf_adds(&line, " y");
    add_many(&line, 'y', FETCH_FLAG_LENGTH);
    for (int i = 0; i < 100; i++)
        buf_adds(&line, " z");
    buf_adds(&line, "))");
    struct value_tree t = {0};
    struct fetch f = {0};
    assert_int_equal(value_parse(&t, buf_span(&line)), 0);
    fetch_read(&f, &t);
    assert_int_equal(f.uid, 5);
    assert_false(f.solicited);
    assert_int_equal(f.flags.n, FETCH_FLAGS);
    assert_string_equal(f.flags.v[0], "\\Seen");
    assert_int_equal(strlen(f.flags.v[1]), FETCH_FLAG_LENGTH);
    assert_string_equal(f.flags.v[2], "z");
    fetch_clear(&f);
    value_free(&t);
    buf_free(&line);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(responses_end_where_they_end_in_every_split),
        cmocka_unit_test(what_is_too_long_is_read_over),
        cmocka_unit_test(a_search_of_any_length_comes_in_parts),
        cmocka_unit_test(a_search_that_holds_no_numbers_is_read_over),
        cmocka_unit_test(memory_is_bounded_whatever_comes),
        cmocka_unit_test(values_form_a_tree),
        cmocka_unit_test(depth_and_count_are_bounded),
        cmocka_unit_test(replies_are_sorted),
        cmocka_unit_test(dates_are_read_with_their_zone),
        cmocka_unit_test(flags_are_bounded_and_printable),
    };
    return cmocka_run_group_tests_name("imap_lex", tests, NULL, NULL);
}
