/* sort: messages in by descriptor, facts and hits out, by a worker that is this program again. */
#include "sort_door.h"

#include "mail/message.h"
#include "sort/worker.h"

#include "../../src/mail/charset.c"

#include <glob.h>
#include <sys/stat.h>

static void
answers_carry_facts_and_hits(void **state)
{
    (void)state;
    struct door d;
    struct sort_answer a;
    door_open(&d, (struct sorter_opts){.workers = 1});
    assert_false(sorter_next(d.sorter, &a));
    int one = file_of(SPAN("Subject: order 42\r\n\r\nbody 43"));
    int two = file_of(SPAN("Subject: none\n\n1"));
    /* the offset of the descriptor does not matter and is not moved */
    lseek(one, 5, SEEK_SET);
    door_submit(&d, (struct sort_request){.id = 11, .fd = one, .folder = -1});
    door_submit(&d, (struct sort_request){.id = 12, .fd = two, .folder = -1});
    door_next(&d, &a);
    assert_int_equal(a.id, 11);
    assert_string_equal(a.facts->subject, "order 42");
    assert_false(a.facts->whole);
    assert_int_equal(a.hits.n, 3);
    assert_string_equal(a.hits.v[0].captures[0].value, "42");
    assert_int_equal(a.hits.n_open, 1);
    assert_int_equal(a.hits.open[0], CODE);
    assert_int_equal(lseek(one, 0, SEEK_CUR), 5);
    sort_answer_free(&a);
    door_next(&d, &a);
    assert_int_equal(a.id, 12);
    assert_int_equal(a.hits.n, 2);
    assert_int_equal(a.hits.v[0].rule, EVERYTHING);
    sort_answer_free(&a);
    assert_false(sorter_next(d.sorter, &a));
    close(one);
    close(two);
    door_close(&d);
}

static void
a_whole_message_is_looked_into(void **state)
{
    (void)state;
    struct door d;
    struct sort_answer a;
    door_open(&d, (struct sorter_opts){0});
    door_ask(&d, SPAN("Subject: none\n\nyour code 778899\n"), -1, &a);
    assert_non_null(a.facts);
    assert_true(a.facts->whole);
    assert_string_equal(a.facts->text, "your code 778899\n");
    assert_int_equal(a.hits.n, 3);
    assert_int_equal(a.hits.v[2].rule, CODE);
    assert_string_equal(a.hits.v[2].captures[0].value, "778899");
    assert_int_equal(a.hits.n_open, 0);
    assert_int_equal(a.n_files, 0);
    sort_answer_free(&a);
    door_close(&d);
}

/* --- what cannot be a message --- */

static void
what_cannot_be_read_is_a_failure(void **state)
{
    (void)state;
    struct door d;
    struct sort_answer a;
    door_open(&d, (struct sorter_opts){.program = "/nonexistent"});
    FILE *writable = tmpfile();
    int folder = open("/", O_RDONLY | O_CLOEXEC);
    const int fds[] = {folder, -1, fileno(writable)};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        door_submit(&d, (struct sort_request){.id = i, .fd = fds[i], .folder = -1});
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        assert_true(sorter_next(d.sorter, &a));
        assert_int_equal(a.id, i);
        assert_null(a.facts);
        assert_false(a.unparsable);
        assert_int_equal(a.hits.n, 0);
        assert_int_equal(a.failure.kind, ERR_INPUT);
        assert_int_equal(strncmp(a.failure.text, "message: ", 9), 0);
        sort_answer_free(&a);
    }
    close(folder);
    fclose(writable);
    door_close(&d);
}

static void
a_message_beyond_all_measure_is_unparsable(void **state)
{
    (void)state;
    struct door d;
    struct sort_answer a;
    char path[] = "/tmp/mailcall-sort-XXXXXX";
    door_open(&d, (struct sorter_opts){.program = "/nonexistent"});
    int hole = mkstemp(path);
    assert_int_equal(ftruncate(hole, (off_t)1024 * 1024 * 1024 + 1), 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    unlink(path);
    door_submit(&d, (struct sort_request){.id = 7, .fd = fd, .whole = true, .folder = -1});
    assert_true(sorter_next(d.sorter, &a));
    assert_true(a.unparsable);
    assert_string_equal(a.failure.text, "message: larger than 1024 MiB");
    sort_answer_free(&a);
    close(hole);
    close(fd);
    door_close(&d);
}

static void
only_the_header_block_counts(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        const char *unit;
        size_t size;
        bool truncated;
    } table[] = {
        {"Subject: 1\n\n", "body\n", 3000000, false},
        {"Subject: 1\n", "no field\n", 3000000, true},
        {"Subject: 1\n", "X: y\n", 3000000, true},
        {"Subject: 1\n", "X: y\n", 2000, false},
        {"Subject: 1\n", "", 0, false},
    };
    struct door d;
    struct sort_answer a;
    door_open(&d, (struct sorter_opts){.workers = 1});
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf b = {0};
        buf_adds(&b, table[i].head);
        while (b.n < table[i].size)
            buf_adds(&b, table[i].unit);
        int fd = file_of(buf_span(&b));
        door_submit(&d, (struct sort_request){.id = i, .fd = fd, .folder = -1});
        door_next(&d, &a);
        assert_string_equal(a.facts->subject, "1");
        assert_int_equal(a.facts->truncated, table[i].truncated);
        sort_answer_free(&a);
        close(fd);
        buf_free(&b);
    }
    door_close(&d);
}

static void
an_empty_message_has_empty_facts(void **state)
{
    (void)state;
    struct door d;
    struct sort_answer a;
    door_open(&d, (struct sorter_opts){.workers = 1});
    int fd = file_of(SPAN(""));
    for (int whole = 0; whole <= 1; whole++) {
        door_submit(&d, (struct sort_request){.fd = fd, .whole = whole != 0, .folder = -1});
        door_next(&d, &a);
        assert_non_null(a.facts);
        assert_int_equal(a.facts->n_headers, 0);
        assert_string_equal(a.facts->text, "");
        sort_answer_free(&a);
    }
    close(fd);
    door_close(&d);
}

/* --- inside as outside --- */

/* The facts as bytes: everything that is in them. */
static struct buf
packed(const struct facts *f)
{
    struct buf b = {0};
    facts_pack(f, &b);
    return b;
}

static void
assert_same_as_outside(struct door *d, struct span text)
{
    struct sort_answer a;
    struct strv trusted = {0};
    strv_add(&trusted, "mx.example.org");
    struct message *m = message_open(text);
    struct facts *f = message_whole_facts(m, &trusted);
    door_ask(d, text, -1, &a);
    assert_non_null(a.facts);
    struct buf inside = packed(a.facts);
    struct buf outside = packed(f);
    assert_int_equal(inside.n, outside.n);
    assert_memory_equal(inside.p, outside.p, inside.n);
    buf_free(&inside);
    buf_free(&outside);
    sort_answer_free(&a);
    facts_free(f);
    message_free(m);
    strv_free(&trusted);
}

static void
facts_through_the_door_are_those_without(void **state)
{
    (void)state;
    static const char *const mails[] = {
        "Subject: =?utf-8?B?w6TDtsO8?=\nFrom: \"A. B\" <a@b.example>, c@d.example (C)\n"
        "To: x@y.example\nReturn-Path: <>\nMessage-ID: <1@b.example>\nReferences: <a@b> <c@d>\n"
        "Date: Thu, 1 Jan 2026 00:00:00 PST\nReceived: from a\n\nhello\n",
        "Authentication-Results: mx.example.org; dkim=pass header.d=b.example; spf=fail\n"
        "Subject: x\nContent-Type: text/html; charset=iso-8859-1\n\n<p>caf\xE9 <b>x</b><br>y",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\n"
        "Content-Type: application/pdf; name*=utf-8''%c3%a4.pdf\n"
        "Content-Transfer-Encoding: base64\n\naGVsbG8=\n--b\nContent-Type: message/rfc822\n\n"
        "Subject: inner\n\nbody\n--b--\n",
        "no field at all",
        "\n",
    };
    struct door d;
    door_open(&d, (struct sorter_opts){.workers = 1});
    for (size_t i = 0; i < sizeof mails / sizeof *mails; i++)
        assert_same_as_outside(&d, span_str(mails[i]));
    door_close(&d);
}

static void
golden_mails_are_read_the_same(void **state)
{
    (void)state;
    glob_t mails;
    struct door d;
    assert_int_equal(glob("tests/mail/*.eml", 0, NULL, &mails), 0);
    door_open(&d, (struct sorter_opts){.workers = 1});
    for (size_t i = 0; i < mails.gl_pathc; i++) {
        struct buf b = {0};
        FILE *file = fopen(mails.gl_pathv[i], "rb");
        assert_non_null(file);
        for (int c; (c = fgetc(file)) != EOF;)
            buf_addc(&b, (char)c);
        fclose(file);
        assert_same_as_outside(&d, buf_span(&b));
        buf_free(&b);
    }
    globfree(&mails);
    door_close(&d);
}

/* Converters are files, and in there no file can be opened. Several charsets in each mail, and
 * again and again, so that none is forgotten meanwhile. */
static void
every_charset_is_converted_behind_the_walls(void **state)
{
    (void)state;
    enum { LABELS = sizeof labels / sizeof *labels };
    struct door d;
    door_open(&d, (struct sorter_opts){.workers = 1});
    for (size_t i = 0; i < 2 * (size_t)LABELS; i++) {
        const char *label = labels[i % LABELS].label;
        const char *other = labels[(i * 7 + 3) % LABELS].label;
        char *mail = xasprintf("Subject: =?%s?B?xOTW9g==?= =?%s?Q?=C2=E1=B0=A1?=\n"
                               "Content-Type: text/%s; charset=\"%s\"\n"
                               "Content-Transfer-Encoding: quoted-printable\n\n"
                               "=C4=E4=D6=F6=B0=A1 =1B$B4A=1B(B\n",
            label, other, i % 2 == 0 ? "plain" : "html", label);
        assert_same_as_outside(&d, span_str(mail));
        free(mail);
    }
    door_close(&d);
}

/* --- attachments --- */

static const char with_attachments[] =
    "Subject: 1\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n"
    "--b\nContent-Type: application/pdf; name=\"../../.etc/-invoice.pdf\"\n"
    "Content-Transfer-Encoding: base64\n\naGVsbG8=\n"
    "--b\nContent-Type: image/png; name=invoice.pdf\n\nplain\n"
    "--b\nContent-Type: image/gif\n\n--b--\n";

static void
assert_file(int folder, const char *name, const char *content)
{
    char bytes[64] = "";
    struct stat st;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_true(read(fd, bytes, sizeof bytes - 1) >= 0);
    assert_string_equal(bytes, content);
    close(fd);
    unlinkat(folder, name, 0);
}

static void
attachments_become_files_with_harmless_names(void **state)
{
    (void)state;
    static const char *const names[] = {"invoice.pdf", "invoice-2.pdf", "attachment-1"};
    static const char *const contents[] = {"hello", "plain", ""};
    struct door d;
    struct sort_answer a;
    char path[] = "/tmp/mailcall-sort-XXXXXX";
    assert_non_null(mkdtemp(path));
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    door_open(&d, (struct sorter_opts){0});
    door_ask(&d, span_str(with_attachments), folder, &a);
    assert_non_null(a.facts);
    assert_int_equal(a.n_files, 3);
    for (size_t i = 0; i < a.n_files; i++) {
        assert_int_equal(a.files[i].attachment, i);
        assert_string_equal(a.files[i].name, names[i]);
        assert_file(folder, a.files[i].name, contents[i]);
    }
    assert_string_equal(a.facts->text, "text\n");
    sort_answer_free(&a);
    door_close(&d);
    close(folder);
    assert_int_equal(rmdir(path), 0);
}

static void
a_folder_that_takes_no_files_is_a_failure(void **state)
{
    (void)state;
    struct door d;
    struct sort_answer a;
    int not_a_folder = file_of(SPAN(""));
    door_open(&d, (struct sorter_opts){0});
    door_ask(&d, span_str(with_attachments), not_a_folder, &a);
    assert_null(a.facts);
    assert_false(a.unparsable);
    assert_int_equal(a.failure.kind, ERR_CREATE);
    assert_int_equal(a.n_files, 0);
    sort_answer_free(&a);
    door_ask(&d, span_str(with_attachments), -1, &a);
    assert_non_null(a.facts);
    sort_answer_free(&a);
    close(not_a_folder);
    door_close(&d);
}

static void
every_part_is_listed_on_demand(void **state)
{
    (void)state;
    struct door d;
    struct sort_answer a;
    int fd = file_of(span_str(with_attachments));
    door_open(&d, (struct sorter_opts){0});
    door_submit(
        &d, (struct sort_request){.id = 1, .fd = fd, .whole = true, .list = true, .folder = -1});
    door_next(&d, &a);
    assert_int_equal(a.nodes.n, 5);
    assert_string_equal(a.nodes.v[0].type, "multipart/mixed");
    assert_string_equal(a.nodes.v[4].part, "4");
    sort_answer_free(&a);
    close(fd);
    door_close(&d);
}

/* --- coming and going --- */

static void
many_messages_each_get_their_own_answer(void **state)
{
    (void)state;
    enum { N = 100 };
    int fds[N];
    bool seen[N] = {false};
    struct door d;
    struct sort_answer a;
    door_open(&d, (struct sorter_opts){.workers = 3});
    for (size_t i = 0; i < N; i++) {
        char *text = xasprintf("Subject: %zu\n\n", i);
        fds[i] = file_of(span_str(text));
        door_submit(&d, (struct sort_request){.id = i, .fd = fds[i], .folder = -1});
        free(text);
    }
    for (size_t i = 0; i < N; i++) {
        door_next(&d, &a);
        assert_true(a.id < N && !seen[a.id]);
        seen[a.id] = true;
        assert_int_equal(strtoul(a.facts->subject, NULL, 10), a.id);
        sort_answer_free(&a);
        close(fds[a.id]);
    }
    assert_false(sorter_next(d.sorter, &a));
    door_close(&d);
}

static void
a_sorter_can_go_at_any_moment(void **state)
{
    (void)state;
    int fd = file_of(SPAN("Subject: 1\n\n"));
    for (int turns = 0; turns < 6; turns++) {
        struct door d;
        door_open(&d, (struct sorter_opts){0});
        for (uint64_t id = 0; id < 5; id++)
            door_submit(&d, (struct sort_request){.id = id, .fd = fd, .folder = -1});
        for (int i = 0; i < turns; i++)
            loop_turn(d.loop, true);
        door_close(&d);
    }
    sorter_free(NULL);
    close(fd);
}

/* --- workers that do not start --- */

static void
workers_that_do_not_start_fail_the_line_and_do_not_spin(void **state)
{
    (void)state;
    static const struct {
        const char *program;
        const char *text;
    } table[] = {
        {"/nonexistent", "sorter: no worker starts: /nonexistent: program: "},
        {"/bin/false", "sorter: no worker starts: ended with status 1"},
        {"/bin/cat", "sorter: no worker starts: "}, /* echoes what it hears; __sort is no file */
    };
    int fd = file_of(SPAN("Subject: 1\n\n"));
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct door d;
        struct sort_answer a;
        door_open(&d, (struct sorter_opts){.program = table[i].program, .workers = 1});
        for (uint64_t id = 0; id < 2; id++)
            door_submit(&d, (struct sort_request){.id = id, .fd = fd, .folder = -1});
        for (uint64_t id = 0; id < 2; id++) {
            door_next(&d, &a);
            assert_int_equal(a.id, id);
            assert_null(a.facts);
            assert_false(a.unparsable);
            assert_int_equal(a.failure.kind, ERR_SYSTEM);
            assert_int_equal(strncmp(a.failure.text, table[i].text, strlen(table[i].text)), 0);
            sort_answer_free(&a);
        }
        door_close(&d);
    }
    close(fd);
}

static void
the_walls_have_names(void **state)
{
    (void)state;
    assert_non_null(sorter_walls());
    assert_true(strlen(sorter_walls()) > 0);
}

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], WORKER_COMMAND) == 0)
        return worker_main();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_carry_facts_and_hits),
        cmocka_unit_test(a_whole_message_is_looked_into),
        cmocka_unit_test(what_cannot_be_read_is_a_failure),
        cmocka_unit_test(a_message_beyond_all_measure_is_unparsable),
        cmocka_unit_test(only_the_header_block_counts),
        cmocka_unit_test(an_empty_message_has_empty_facts),
        cmocka_unit_test(facts_through_the_door_are_those_without),
        cmocka_unit_test(golden_mails_are_read_the_same),
        cmocka_unit_test(every_charset_is_converted_behind_the_walls),
        cmocka_unit_test(attachments_become_files_with_harmless_names),
        cmocka_unit_test(a_folder_that_takes_no_files_is_a_failure),
        cmocka_unit_test(every_part_is_listed_on_demand),
        cmocka_unit_test(many_messages_each_get_their_own_answer),
        cmocka_unit_test(a_sorter_can_go_at_any_moment),
        cmocka_unit_test(workers_that_do_not_start_fail_the_line_and_do_not_spin),
        cmocka_unit_test(the_walls_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
