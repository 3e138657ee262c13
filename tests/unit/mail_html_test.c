/* mail: what a person would read in HTML, and what text becomes before that. */
#include "mail/html.h"
#include "mail/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void
html_becomes_lines(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"plain", "plain\n"},
        {"<p>a<p>b", "a\nb\n"},
        {"<div>a<div>b</div>c</div>", "a\nb\nc\n"},
        {" a \n\t b&nbsp;&nbsp;c ", "a b c\n"},
        {"a<b>b</b> <i>c</i>", "ab c\n"},
        {"a<br>b<br><br><br>c<br>", "a\nb\n\nc\n"},
        {"<br><br>a", "a\n"},
        {"<ul><li>a<li><p>b</p></ul>c", "- a\n- b\nc\n"},
        {"<ul><li></li></ul><p>c", "c\n"},
        {"<table><tr><td>a<td>b<tr><th>c<th><th>d</table>", "a\tb\nc\td\n"},
        {"<td> <div>a</div></td><td>b</td>", "a\nb\n"},
        {"<pre>\n a\n\n  b</pre>c  d", " a\n\n  b\nc d\n"},
        {"a<script>if (a < b) x();</script>b<style>p > a {}</style>c", "abc\n"},
        {"<head><title>t</title></head>a", "a\n"},
        {"a<!-- <p> > -->b<!--[if mso]>x<![endif]-->c<![if !mso]>d<![endif]>", "abcd\n"},
        {"a < b <3 c", "a < b <3 c\n"},
        {"&lt;p&gt; &amp;amp; &#65;&#x42;&#150;&eacute;&euro;",
            "<p> &amp; AB\xE2\x80\x93\xC3\xA9\xE2\x82\xAC\n"},
        {"&amp x &nbspy &copy2 &nosuch; &", "& x y \xC2\xA9"
                                            "2 &nosuch; &\n"},
        {"<p title='a>b' class=\"c>d\">e", "e\n"},
        {"a<p b", "a\n"},
        {"<P>a<BR/>b</P >c", "a\nb\nc\n"},
        {"<unknown>a</unknown>", "a\n"},
        {"</p></p></p>", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf out = {0};
        html_text(&out, span_str(table[i][0]), 1000);
        assert_string_equal(buf_str(&out), table[i][1]);
        buf_free(&out);
    }
}

static void
targets_follow_the_text_of_links(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"<a href=\"https://x.example/a?b=1&amp;c=2\">Go</a>!",
            "Go [https://x.example/a?b=1&c=2]!\n"},
        {"<a href='https://x.example/?a=1&copy=2&lt=3'>Go</a>",
            "Go [https://x.example/?a=1&copy=2&lt=3]\n"},
        {"<a href=https://x.example/>https://x.example</a>", "https://x.example\n"},
        {"see <a href=https://x.example/y>x.example/y</a>", "see x.example/y\n"},
        {"<a href=mailto:a@b.example>a@b.example</a>", "a@b.example\n"},
        {"a<a href=http://x><img src=y></a>b", "a [http://x]b\n"},
        {"<a href=#top>a</a><a href=javascript:x()>b</a><a>c</a><a href=''>d</a>", "abcd\n"},
        {"<a href=http://x>a<a href=http://y>b", "a [http://x]b [http://y]\n"},
        {"<a href=' http://x\n/y '>a</a>", "a [http://x/y]\n"},
        {"<a href='http://x/\"<>'>a</a>", "a [http://x/\"<>]\n"},
        {"<a class=c href=http://x href=http://y>a</a>", "a [http://x]\n"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf out = {0};
        html_text(&out, span_str(table[i][0]), 1000);
        assert_string_equal(buf_str(&out), table[i][1]);
        buf_free(&out);
    }
}

static void
no_more_than_asked_for_comes_out(void **state)
{
    (void)state;
    struct buf out = {0};
    buf_adds(&out, "kept");
    html_text(&out, SPAN("a\xC3\xA9\xC3\xA9"), 4);
    assert_string_equal(buf_str(&out), "kepta\xC3\xA9");
    buf_free(&out);
}

/* Each would cost a parser of trees the square of its length. */
static void
bombs_are_read_like_any_text(void **state)
{
    (void)state;
    static const struct {
        const char *unit;
        size_t times;
        const char *end;
    } table[] = {
        {"<div>", 100000, "end"},
        {"<a><b><i>x</p>", 20000, "end"},
        {"<p a=b ", 100000, ">end"},
        {"<a href=x>", 100000, "end"},
        {"<!--", 200000, "end"},
        {"<a b=\"", 100000, "end"},
        {"<", 1000000, "end"},
        {"<title>", 100000, "end"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf html = {0};
        struct buf out = {0};
        for (size_t k = 0; k < table[i].times; k++)
            buf_adds(&html, table[i].unit);
        buf_adds(&html, table[i].end);
        html_text(&out, buf_span(&html), 100000);
        assert_in_range(out.n, 0, 100000);
        buf_free(&html);
        buf_free(&out);
    }
}

static void
text_is_cleaned(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"a\r\nb\rc\nd", "a\nb\nc\nd\n"},
        {"\n\na\n\n \n\n", "\n\na\n"},
        {"a \n", "a \n"},
        {"\xEF\xBB\xBF"
         "a\x1B[1m\x07\tb\x7F\xC2\x85",
            "a[1m\tb\n"},
        {"a\xE2\x80\xA8"
         "b\xFF",
            "a\nb\xEF\xBF\xBD\n"},
        {" \r\n\t\n", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf out = {0};
        text_clean(&out, span_str(table[i][0]));
        assert_string_equal(buf_str(&out), table[i][1]);
        assert_true(text_is_clean(buf_span(&out)));
        buf_free(&out);
    }
}

static void
clean_text_is_known(void **state)
{
    (void)state;
    assert_true(text_is_clean(SPAN("a\n\tb \xC3\xA9")));
    assert_false(text_is_clean(SPAN("a\r\n")));
    assert_false(text_is_clean(SPAN("a\033")));
    assert_false(text_is_clean(SPAN("a\xC2\x85")));
    assert_false(text_is_clean(SPAN("a\xE2\x80\xA8")));
    assert_false(text_is_clean(SPAN("a\0")));
    assert_false(text_is_clean(SPAN("a\xFF")));
}

static void
flowed_text_is_joined(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum text_delsp delsp;
        const char *want;
    } table[] = {
        {"a \nb\nc\n", TEXT_KEEP_SPACE, "a b\nc\n"},
        {"a \nb \nc\n", TEXT_DELETE_SPACE, "abc\n"},
        {"> a \n> b\n>> c\n", TEXT_KEEP_SPACE, "> a b\n>> c\n"},
        {"> a \nb\n", TEXT_KEEP_SPACE, "> a \nb\n"},
        {" >a\n  b\n From\n", TEXT_KEEP_SPACE, ">a\n b\nFrom\n"},
        {"a \n-- \nsig\n", TEXT_KEEP_SPACE, "a \n-- \nsig\n"},
        {"a \n", TEXT_KEEP_SPACE, "a \n"},
        {"\n\n", TEXT_KEEP_SPACE, "\n\n"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf out = {0};
        text_unflow(&out, span_str(table[i].text), table[i].delsp);
        assert_string_equal(buf_str(&out), table[i].want);
        buf_free(&out);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(html_becomes_lines),
        cmocka_unit_test(targets_follow_the_text_of_links),
        cmocka_unit_test(no_more_than_asked_for_comes_out),
        cmocka_unit_test(bombs_are_read_like_any_text),
        cmocka_unit_test(text_is_cleaned),
        cmocka_unit_test(clean_text_is_known),
        cmocka_unit_test(flowed_text_is_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
