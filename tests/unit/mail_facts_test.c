/* mail: facts across the door, told by the honest and by liars. */
#include "base/mem.h"
#include "mail/message.h"

#include "../facts_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char mail[] = "Authentication-Results: mx; dkim=pass header.d=a.example; spf=pass\n"
                           "From: Ann <ann@a.example>, bob@b.example\n"
                           "To: c@d\nCc: e@f\nReply-To: g@h\nDelivered-To: ann+x@a.example\n"
                           "Return-Path: <r@s>\nSubject: Hello\nDate: 1 Jul 2003 10:52:37 +0200\n"
                           "Message-ID: <1@x>\nIn-Reply-To: <0@x>\nReferences: <a@x> <b@x>\n"
                           "List-Id: <l.x>\nContent-Type: multipart/mixed; boundary=b\n\n"
                           "--b\n\ntext\n--b\nContent-Type: image/png; name=i.png\n"
                           "Content-Disposition: inline\n\nxyz\n--b--\n";

static struct facts *
facts_of(const char *bytes)
{
    char *names[] = {(char[]){"mx"}, NULL};
    struct strv trusted = {names, 1};
    struct message *m = message_open(span_str(bytes));
    struct facts *f = message_whole_facts(m, &trusted);
    message_free(m);
    facts_check(f);
    return f;
}

static struct facts *
across(const struct facts *f)
{
    struct buf wire = {0};
    facts_pack(f, &wire);
    struct unpack u = {buf_span(&wire), false};
    struct facts *back = facts_unpack(&u);
    assert_true(back == NULL || unpack_whole(&u));
    buf_free(&wire);
    return back;
}

static void
everything_comes_back(void **state)
{
    (void)state;
    struct facts *f = facts_of(mail);
    struct facts *back = across(f);
    assert_non_null(back);
    assert_string_equal(back->subject, "Hello");
    assert_int_equal(back->from.n, 2);
    assert_string_equal(back->from.v[0].name, "Ann");
    assert_string_equal(back->from.v[1].addr, "bob@b.example");
    assert_string_equal(back->extension, "x");
    assert_int_equal(back->date, 1057049557);
    assert_true(back->has_date && back->whole && !back->truncated && !back->text_truncated);
    assert_int_equal(back->n_headers, 14);
    assert_string_equal(back->headers[13].name, "Content-Type");
    assert_int_equal(back->references.n, 2);
    assert_string_equal(back->references.v[1], "b@x");
    assert_string_equal(back->auth.authserv, "mx");
    assert_string_equal(back->auth.dkim[0].domain, "a.example");
    assert_string_equal(back->auth.spf, "pass");
    assert_int_equal(back->n_attachments, 1);
    assert_string_equal(back->attachments[0].part, "2");
    assert_string_equal(back->attachments[0].type, "image/png");
    assert_string_equal(back->attachments[0].name, "i.png");
    assert_int_equal(back->attachments[0].size, 3);
    assert_true(back->attachments[0].is_inline);
    assert_string_equal(back->text, "text\n");
    facts_free(back);
    facts_free(f);
}

static void
nothing_comes_back_too(void **state)
{
    (void)state;
    struct facts *f = facts_new();
    struct facts *back = across(f);
    assert_non_null(back);
    assert_false(back->whole);
    facts_free(back);
    facts_free(f);
}

static void
replace(char **string, const char *by)
{
    free(*string);
    *string = xstrdup(by);
}

static void
lie_with_a_line_end(struct facts *f)
{
    replace(&f->subject, "a\nb");
}

static void
lie_with_a_control(struct facts *f)
{
    replace(&f->from.v[0].name, "a\033[1m");
}

static void
lie_with_bad_utf8(struct facts *f)
{
    replace(&f->headers[0].value, "\xFF");
}

static void
lie_with_a_blank_end(struct facts *f)
{
    replace(&f->list_id, "a ");
}

static void
lie_with_a_long_value(struct facts *f)
{
    free(f->subject);
    f->subject = xcalloc(1, FACTS_VALUE_MAX + 2);
    memset(f->subject, 'a', FACTS_VALUE_MAX + 1);
}

static void
lie_with_a_field_name(struct facts *f)
{
    replace(&f->headers[0].name, "a b");
}

static void
lie_with_an_empty_field_name(struct facts *f)
{
    replace(&f->headers[0].name, "");
}

static void
lie_with_a_reference(struct facts *f)
{
    replace(&f->references.v[0], "a\tb");
}

static void
lie_with_references(struct facts *f)
{
    while (f->references.n <= FACTS_REFERENCES_MAX)
        strv_add(&f->references, "a");
}

static void
lie_with_an_upper_case_type(struct facts *f)
{
    replace(&f->attachments[0].type, "image/PNG");
}

static void
lie_without_a_type(struct facts *f)
{
    replace(&f->attachments[0].type, "image");
}

static void
lie_with_a_part(struct facts *f)
{
    replace(&f->attachments[0].part, "../2");
}

static void
lie_with_an_odd_part(struct facts *f)
{
    replace(&f->attachments[0].part, "1..2");
}

static void
lie_with_a_result(struct facts *f)
{
    replace(&f->auth.dkim[0].result, "PASS");
}

static void
lie_with_a_spf(struct facts *f)
{
    replace(&f->auth.spf, "a b");
}

static void
lie_without_a_server(struct facts *f)
{
    replace(&f->auth.authserv, "");
}

static void
lie_with_a_date(struct facts *f)
{
    f->has_date = false;
}

static void
lie_about_the_whole(struct facts *f)
{
    f->whole = false;
}

static void
lie_with_a_text(struct facts *f)
{
    replace(&f->text, "a\rb\n");
}

static void
lie_with_a_cut_text(struct facts *f)
{
    replace(&f->text, "a");
}

static void
lie_with_a_long_text(struct facts *f)
{
    free(f->text);
    f->text = xcalloc(1, FACTS_TEXT_MAX + 2);
    memset(f->text, '\n', FACTS_TEXT_MAX + 1);
}

static void
no_lie_is_believed(void **state)
{
    (void)state;
    static void (*const lies[])(struct facts *) = {lie_with_a_line_end, lie_with_a_control,
        lie_with_bad_utf8, lie_with_a_blank_end, lie_with_a_long_value, lie_with_a_field_name,
        lie_with_an_empty_field_name, lie_with_a_reference, lie_with_references,
        lie_with_an_upper_case_type, lie_without_a_type, lie_with_a_part, lie_with_an_odd_part,
        lie_with_a_result, lie_with_a_spf, lie_without_a_server, lie_with_a_date,
        lie_about_the_whole, lie_with_a_text, lie_with_a_cut_text, lie_with_a_long_text};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct facts *f = facts_of(mail);
        lies[i](f);
        struct facts *back = across(f);
        if (back != NULL)
            fail_msg("lie %zu was believed", i);
        facts_free(f);
    }
}

/* A count beyond the limits, or beyond what follows, allocates nothing. */
static void
no_wire_that_was_touched_breaks_a_promise(void **state)
{
    (void)state;
    struct facts *f = facts_of(mail);
    struct buf wire = {0};
    facts_pack(f, &wire);
    for (size_t i = 0; i < wire.n; i++) {
        char kept = wire.p[i];
        static const char values[] = {'\0', '\1', '\xFF', '\n', 'A', '\x7F'};
        for (size_t k = 0; k < sizeof values; k++) {
            wire.p[i] = values[k];
            struct unpack u = {buf_span(&wire), false};
            struct facts *back = facts_unpack(&u);
            if (back != NULL)
                facts_check(back);
            facts_free(back);
        }
        wire.p[i] = kept;
        struct unpack cut = {{wire.p, i}, false};
        assert_null(facts_unpack(&cut));
    }
    buf_free(&wire);
    facts_free(f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(nothing_comes_back_too),
        cmocka_unit_test(no_lie_is_believed),
        cmocka_unit_test(no_wire_that_was_touched_breaks_a_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
