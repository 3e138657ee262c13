/* mail: whole messages: their parts, their text, and those written to cost time or memory. */
#include "base/mem.h"
#include "mail/message.h"

#include "../facts_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A message and what was made of it. */
struct sample {
    struct buf bytes;
    struct message *m;
    struct facts *f;
};

static void
sample_open(struct sample *s)
{
    s->m = message_open(buf_span(&s->bytes));
    s->f = message_whole_facts(s->m, NULL);
    facts_check(s->f);
    assert_true(s->f->whole);
}

static void
sample_free(struct sample *s)
{
    facts_free(s->f);
    message_free(s->m);
    buf_free(&s->bytes);
}

static void
repeat(struct buf *b, const char *s, size_t times)
{
    for (size_t i = 0; i < times; i++)
        buf_adds(b, s);
}

static const char tree[] =
    "Content-Type: multipart/mixed; boundary=a\n\n"
    "--a\nContent-Type: multipart/alternative; boundary=b\n\n"
    "--b\n\nplain\n--b\nContent-Type: text/html\n\n<p>html\n--b--\n"
    "--a\nContent-Type: message/rfc822\n\n"
    "Subject: In =?utf-8?q?s?=\nContent-Type: multipart/mixed; boundary=c\n\n"
    "--c\n\ninner\n--c\nContent-Type: application/pdf; name=x.pdf\n\n1\n--c--\n"
    "--a\nContent-Type: message/rfc822; name=y.eml\n\nSubject: z\n\nleaf\n"
    "--a\nContent-Type: image/gif\nContent-Transfer-Encoding: base64\n\n"
    "aGVsbG8=\n--a--\n";

static void
parts_are_listed_as_imap_numbers_them(void **state)
{
    (void)state;
    static const struct {
        const char *part;
        const char *type;
        const char *name;
        unsigned depth;
    } want[] = {
        {"", "multipart/mixed", "", 0},
        {"1", "multipart/alternative", "", 1},
        {"1.1", "text/plain", "", 2},
        {"1.2", "text/html", "", 2},
        {"2", "message/rfc822", "In s.eml", 1},
        {"2.TEXT", "multipart/mixed", "", 2},
        {"2.1", "text/plain", "", 3},
        {"2.2", "application/pdf", "x.pdf", 3},
        {"3", "message/rfc822", "y.eml", 1},
        {"3.1", "text/plain", "", 2},
        {"4", "image/gif", "", 1},
    };
    struct sample s = {0};
    struct message_nodes nodes;
    buf_adds(&s.bytes, tree);
    sample_open(&s);
    message_list(s.m, &nodes);
    assert_int_equal(nodes.n, sizeof want / sizeof *want);
    for (size_t i = 0; i < nodes.n; i++) {
        assert_string_equal(nodes.v[i].part, want[i].part);
        assert_string_equal(nodes.v[i].type, want[i].type);
        assert_string_equal(nodes.v[i].name, want[i].name);
        assert_int_equal(nodes.v[i].depth, want[i].depth);
    }
    assert_int_equal(nodes.v[2].size, strlen("plain"));
    assert_int_equal(nodes.v[10].size, strlen("hello"));
    message_nodes_free(&nodes);
    assert_int_equal(nodes.n, 0);
    sample_free(&s);
}

static void
messages_inside_are_one_attachment_each(void **state)
{
    (void)state;
    struct sample s = {0};
    buf_adds(&s.bytes, tree);
    sample_open(&s);
    assert_int_equal(s.f->n_attachments, 3);
    assert_string_equal(s.f->attachments[0].name, "In s.eml");
    assert_string_equal(s.f->attachments[1].part, "3");
    assert_int_equal(s.f->attachments[1].size, strlen("Subject: z\n\nleaf"));
    assert_string_equal(s.f->attachments[2].type, "image/gif");
    assert_string_equal(s.f->text, "plain\n");
    sample_free(&s);
}

static void
a_single_leaf_is_part_one(void **state)
{
    (void)state;
    struct sample s = {0};
    buf_adds(&s.bytes, "Content-Type: application/pdf\n\nxyz");
    sample_open(&s);
    assert_int_equal(s.f->n_attachments, 1);
    assert_string_equal(s.f->attachments[0].part, "1");
    assert_string_equal(s.f->text, "");
    sample_free(&s);
}

static void
attachments_are_read_in_pieces_of_any_size(void **state)
{
    (void)state;
    struct sample s = {0};
    buf_adds(&s.bytes, "Content-Type: x/y\nContent-Transfer-Encoding: base64\n\n");
    repeat(&s.bytes, "QUJDREVGR0hJSktM\r\n", 10000);
    sample_open(&s);
    for (size_t step = 1; step < 200000; step = step * 7 + 1) {
        char *bytes = xmalloc(step);
        struct part *p = message_part(s.m, 0);
        size_t total = 0;
        for (size_t n; (n = part_read(p, bytes, step)) > 0; total += n)
            for (size_t i = 0; i < n; i++)
                assert_int_equal(bytes[i], 'A' + (total + i) % 12);
        assert_int_equal(total, 120000);
        assert_int_equal(part_read(p, bytes, step), 0);
        part_free(p);
        free(bytes);
    }
    assert_null(message_part(s.m, 1));
    part_free(NULL);
    sample_free(&s);
}

static void
texts_that_are_none_give_way(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"Subject: x\n\nbody", "body\n"},
        {"no header\nat all\n\nnone\n", "no header\nat all\n\nnone\n"},
        {"Subject: x\nno: empty line\nbody\n\nmore\n", "body\n\nmore\n"},
        {"Content-Type: multipart/mixed\n\n--a\n\nx\n", "--a\n\nx\n"},
        {"Content-Type: multipart/mixed; boundary=b\n\nno part\n", "no part\n"},
        {"Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\na\n--b\n\nb", "a\n\nb\n"},
        {"Content-Type: multipart/mixed; boundary=b\n\n--b \n\na\n--b--\t\nepilogue\n", "a\n"},
        {"Content-Type: multipart/mixed; boundary=b\n\n--bb\n\na\n--b-\n--b\n\nc", "c\n"},
        {"Content-Type: text/html\n\n \n", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct sample s = {0};
        buf_adds(&s.bytes, table[i][0]);
        sample_open(&s);
        assert_string_equal(s.f->text, table[i][1]);
        assert_int_equal(s.f->n_attachments, 0);
        sample_free(&s);
    }
}

static void
a_long_text_is_cut_between_characters(void **state)
{
    (void)state;
    struct sample s = {0};
    buf_adds(&s.bytes, "Content-Type: text/plain; charset=utf-8\n\na");
    repeat(&s.bytes, "\xC3\xA9", FACTS_TEXT_MAX);
    sample_open(&s);
    assert_true(s.f->text_truncated);
    assert_int_equal(strlen(s.f->text), FACTS_TEXT_MAX - 1);
    sample_free(&s);
    s = (struct sample){0};
    buf_adds(&s.bytes, "Content-Type: multipart/mixed; boundary=b\n\n");
    repeat(&s.bytes, "--b\n\n0123456789\n", 9000);
    sample_open(&s);
    assert_false(s.f->text_truncated);
    assert_int_equal(strlen(s.f->text), 9000 * 12 - 1);
    sample_free(&s);
}

/* HTML that is not labelled may name its charset itself; a label has the last word. */
static void
html_names_its_charset(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"text/html\n\n<meta charset=\"koi8-r\">\xC1", "\xD0\xB0\n"},
        {"text/html\n\n<meta content='text/html; charset=koi8-r'>\xC1", "\xD0\xB0\n"},
        {"text/html; charset=iso-8859-1\n\n<meta charset=koi8-r>\xC1", "\xC3\x81\n"},
        {"text/html\n\n<meta charset=koi8-r>\xC3\xA9", "\xC3\xA9\n"},
        {"text/html\n\n\xC1", "\xC3\x81\n"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct sample s = {0};
        buf_addf(&s.bytes, "Content-Type: %s", table[i][0]);
        sample_open(&s);
        assert_string_equal(s.f->text, table[i][1]);
        sample_free(&s);
    }
}

static void
add_nested_multiparts(struct buf *b, size_t levels)
{
    for (size_t i = 0; i < levels; i++)
        buf_addf(b, "Content-Type: multipart/mixed; boundary=b%zu\n\n--b%zu\n", i, i);
}

static void
nested_multiparts_are_opened_to_a_depth(void **state)
{
    (void)state;
    struct sample s = {0};
    struct message_nodes nodes;
    add_nested_multiparts(&s.bytes, 100000);
    sample_open(&s);
    assert_int_equal(s.f->n_attachments, 1);
    assert_string_equal(s.f->attachments[0].type, "multipart/mixed");
    message_list(s.m, &nodes);
    assert_int_equal(nodes.n, 101);
    message_nodes_free(&nodes);
    sample_free(&s);
}

static void
nested_messages_are_opened_to_a_depth(void **state)
{
    (void)state;
    struct sample s = {0};
    struct message_nodes nodes;
    repeat(&s.bytes, "Content-Type: message/rfc822\n\n", 100000);
    sample_open(&s);
    assert_int_equal(s.f->n_attachments, 1);
    assert_string_equal(s.f->attachments[0].part, "1");
    message_list(s.m, &nodes);
    assert_int_equal(nodes.n, 101);
    message_nodes_free(&nodes);
    sample_free(&s);
}

static void
many_boundaries_and_short_lines_end(void **state)
{
    (void)state;
    struct sample s = {0};
    add_nested_multiparts(&s.bytes, 1000);
    repeat(&s.bytes, "\n--x\n", 400000);
    sample_open(&s);
    sample_free(&s);
}

static void
too_many_parts_belong_to_the_last(void **state)
{
    (void)state;
    struct sample s = {0};
    buf_adds(&s.bytes, "Content-Type: multipart/mixed; boundary=b\n\n");
    repeat(&s.bytes, "--b\nContent-Type: a/b\n\nx\n", 200000);
    sample_open(&s);
    assert_true(s.f->truncated);
    assert_int_equal(s.f->n_attachments, FACTS_ATTACHMENTS_MAX);
    assert_int_equal(s.f->attachments[FACTS_ATTACHMENTS_MAX - 1].size, 1);
    sample_free(&s);
}

/* Each way is looked at once, or these would be two to the power of a hundred. */
static void
blank_ways_are_tried_once(void **state)
{
    (void)state;
    struct sample s = {0};
    for (size_t i = 0; i < 99; i++)
        buf_addf(&s.bytes, "Content-Type: multipart/alternative; boundary=b%zu\n\n--b%zu\n", i, i);
    repeat(&s.bytes, "Content-Type: text/html\n\n \n--b98\n\n \n--b98\n", 1000);
    sample_open(&s);
    assert_string_equal(s.f->text, "");
    sample_free(&s);
}

static void
a_hundred_thousand_parameters_are_cut(void **state)
{
    (void)state;
    struct sample s = {0};
    buf_adds(&s.bytes, "Content-Type: x/y");
    for (int i = 0; i < 100000; i++)
        buf_addf(&s.bytes, ";\n name*%d=b", i);
    buf_adds(&s.bytes, "\n\nx");
    sample_open(&s);
    assert_true(s.f->truncated);
    assert_int_equal(s.f->n_attachments, 1);
    assert_in_range(strlen(s.f->attachments[0].name), 100, 2000);
    sample_free(&s);
}

static void
the_body_is_found_behind_a_huge_header(void **state)
{
    (void)state;
    struct sample s = {0};
    repeat(&s.bytes, "X-Line: abcdefghijkl\n", 500000);
    buf_adds(&s.bytes, "\nbody\n");
    sample_open(&s);
    assert_true(s.f->truncated);
    assert_string_equal(s.f->text, "body\n");
    sample_free(&s);
}

/* Forms whose decoder could look ahead again and again. */
static void
large_bodies_cost_no_more_than_their_length(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"base64", "=A"},
        {"base64", "A"},
        {"base64", "\n"},
        {"quoted-printable", "="},
        {"quoted-printable", "=  "},
        {"quoted-printable", "a"},
        {"x-uuencode", "begin 1\n"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct sample s = {0};
        buf_addf(&s.bytes, "Content-Type: x/y\nContent-Transfer-Encoding: %s\n\n", table[i][0]);
        repeat(&s.bytes, table[i][1], 1000000);
        sample_open(&s);
        assert_int_equal(s.f->n_attachments, 1);
        sample_free(&s);
    }
}

static void
all_is_ready_before_the_door_closes(void **state)
{
    (void)state;
    message_prepare();
    message_prepare();
    struct buf out = {0};
    message_decode_charset(&out, SPAN("iso-2022-jp"), SPAN("\033$B-!2q\033(B\\"));
    assert_string_equal(buf_str(&out), "\xE2\x91\xA0\xE4\xBC\x9A\\");
    buf_clear(&out);
    message_decode_charset(&out, SPAN("utf-8"), SPAN("\xEF\xBB\xBFx"));
    assert_string_equal(buf_str(&out), "x");
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_listed_as_imap_numbers_them),
        cmocka_unit_test(messages_inside_are_one_attachment_each),
        cmocka_unit_test(a_single_leaf_is_part_one),
        cmocka_unit_test(attachments_are_read_in_pieces_of_any_size),
        cmocka_unit_test(texts_that_are_none_give_way),
        cmocka_unit_test(a_long_text_is_cut_between_characters),
        cmocka_unit_test(html_names_its_charset),
        cmocka_unit_test(nested_multiparts_are_opened_to_a_depth),
        cmocka_unit_test(nested_messages_are_opened_to_a_depth),
        cmocka_unit_test(many_boundaries_and_short_lines_end),
        cmocka_unit_test(too_many_parts_belong_to_the_last),
        cmocka_unit_test(blank_ways_are_tried_once),
        cmocka_unit_test(a_hundred_thousand_parameters_are_cut),
        cmocka_unit_test(the_body_is_found_behind_a_huge_header),
        cmocka_unit_test(large_bodies_cost_no_more_than_their_length),
        cmocka_unit_test(all_is_ready_before_the_door_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
