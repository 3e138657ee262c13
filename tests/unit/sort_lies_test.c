/* sort: workers that die, dawdle and lie. The worker is this program again: it does its work
 * honestly until a mail tells it what to do wrong. Whatever that is, it costs that mail, and the
 * mails around it are read as ever. */
#include "sort_door.h"

#include "mail/message.h"
#include "sort/channel.h"
#include "sort/worker.h"

#include <dirent.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* --- the worker's side --- */

struct actor {
    struct channel channel;
    struct ruleset rules;
    struct wire_request request;
    struct frame frame; /* received last */
    int fd;             /* that came with it */
    char *text;         /* of the message */
    struct message *message;
    struct wire_answer says;
    struct buf answer; /* the same, packed */
};

/* Deaths by number: a mail may hold "die FILE N". The N-th step counted in that file, over all
 * workers, is the last of its worker. */
static char *steps_file;
static long steps_last;

static void
step(void)
{
    struct stat st;
    if (steps_file == NULL)
        return;
    int fd = open(steps_file, O_WRONLY | O_APPEND);
    if (fd < 0 || write(fd, "x", 1) != 1 || fstat(fd, &st) != 0)
        _exit(1);
    close(fd);
    if (st.st_size == steps_last)
        raise(SIGKILL);
}

static void
steps_begin(const char *text)
{
    const char *die = strstr(text, "\nDie: ");
    if (die == NULL || steps_file != NULL)
        return;
    steps_file = xcalloc(1, 64);
    if (sscanf(die, "\nDie: %60s %ld", steps_file, &steps_last) != 2)
        _exit(1);
}

static void
say_raw(struct actor *a, struct span bytes)
{
    while (bytes.n > 0) {
        ssize_t n = write(a->channel.fd, bytes.p, bytes.n);
        if (n <= 0)
            _exit(1);
        bytes = (struct span){bytes.p + n, bytes.n - (size_t)n};
    }
}

static void
say(struct actor *a, enum wire_kind kind, struct span body)
{
    struct buf b = {0};
    wire_frame(&b, kind, body);
    size_t half = b.n / 2;
    say_raw(a, (struct span){b.p, half});
    step();
    say_raw(a, (struct span){b.p + half, b.n - half});
    step();
    buf_free(&b);
}

static void
hear(struct actor *a)
{
    if (channel_receive_fd(&a->channel, &a->frame, &a->fd) != CHANNEL_DONE)
        exit(0);
}

static void
say_answer(struct actor *a)
{
    wire_pack_answer(a->request.serial, &a->says, &a->answer);
    say(a, WIRE_ANSWER, buf_span(&a->answer));
}

/* --- what a worker can do wrong with a message --- */

static void
die_of_a_bug(struct actor *a)
{
    (void)a;
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

static void
die_after_the_answer(struct actor *a)
{
    say_answer(a);
    raise(SIGKILL);
}

static void
end_without_a_word(struct actor *a)
{
    (void)a;
    _exit(0);
}

static void
never_answer(struct actor *a)
{
    (void)a;
    for (;;)
        pause();
}

static void
stand_still(struct actor *a)
{
    (void)a;
    raise(SIGSTOP);
}

static void
hang_up(struct actor *a)
{
    close(a->channel.fd);
    never_answer(a);
}

static void
say_half(struct actor *a)
{
    struct buf b = {0};
    wire_pack_answer(a->request.serial, &a->says, &a->answer);
    wire_frame(&b, WIRE_ANSWER, buf_span(&a->answer));
    say_raw(a, (struct span){b.p, b.n / 2});
}

static void
say_half_and_die(struct actor *a)
{
    say_half(a);
    _exit(0);
}

static void
say_half_and_wait(struct actor *a)
{
    say_half(a);
    never_answer(a);
}

static void
say_noise(struct actor *a)
{
    char noise[4096];
    memset(noise, 0xA5, sizeof noise);
    say_raw(a, (struct span){noise, sizeof noise});
}

static void
promise_too_much(struct actor *a)
{
    struct buf b = {0};
    pack_number(&b, WIRE_ANSWER);
    pack_number(&b, UINT64_MAX - 7);
    say_raw(a, buf_span(&b));
}

static void
say_something_else(struct actor *a)
{
    say(a, WIRE_READY, SPAN("\0\0\0\0\0\0\0\0"));
}

static void
speak_as_the_sorter(struct actor *a)
{
    wire_pack_request(&a->request, &a->answer);
    say(a, WIRE_REQUEST, buf_span(&a->answer));
}

static void
answer_twice(struct actor *a)
{
    struct buf b = {0};
    wire_pack_answer(a->request.serial, &a->says, &a->answer);
    wire_frame(&b, WIRE_ANSWER, buf_span(&a->answer));
    wire_frame(&b, WIRE_ANSWER, buf_span(&a->answer));
    say_raw(a, buf_span(&b));
}

static void
answer_another(struct actor *a)
{
    a->request.serial++;
    say_answer(a);
}

static void
answer_less(struct actor *a)
{
    facts_free(a->says.facts);
    a->says.facts = message_facts(span_str(a->text), NULL);
    say_answer(a);
}

static void
answer_with_more_behind(struct actor *a)
{
    wire_pack_answer(a->request.serial, &a->says, &a->answer);
    buf_addc(&a->answer, '\0');
    say(a, WIRE_ANSWER, buf_span(&a->answer));
}

static void
answer_with_a_descriptor(struct actor *a)
{
    wire_pack_answer(a->request.serial, &a->says, &a->answer);
    channel_put(&a->channel, WIRE_ANSWER, buf_span(&a->answer), a->fd);
    channel_send(&a->channel);
}

static void
set_subject(struct actor *a, char *subject)
{
    free(a->says.facts->subject);
    a->says.facts->subject = subject;
    say_answer(a);
}

static void
answer_with_a_line_break(struct actor *a)
{
    set_subject(a, xstrdup("a\nMAILCALL_FROM=root"));
}

static void
answer_with_an_escape(struct actor *a)
{
    set_subject(a, xstrdup("\033]0;title\007"));
}

static void
answer_with_broken_text(struct actor *a)
{
    set_subject(a, xstrdup("\xC3("));
}

static void
answer_too_long(struct actor *a)
{
    char *subject = xcalloc(1, FACTS_VALUE_MAX + 2);
    memset(subject, 'x', FACTS_VALUE_MAX + 1);
    set_subject(a, subject);
}

static void
answer_nothing(struct actor *a)
{
    pack_number(&a->answer, a->request.serial);
    say(a, WIRE_ANSWER, buf_span(&a->answer));
}

static void
set_hit(struct actor *a, size_t hit, size_t rule)
{
    a->says.hits.v[hit].rule = rule;
    say_answer(a);
}

static void
hit_an_unknown_rule(struct actor *a)
{
    set_hit(a, a->says.hits.n - 1, RULES + 5);
}

static void
hit_an_unplanned_rule(struct actor *a)
{
    set_hit(a, a->says.hits.n - 1, UNPLANNED);
}

static void
hit_a_rule_twice(struct actor *a)
{
    set_hit(a, a->says.hits.n - 1, a->says.hits.v[a->says.hits.n - 2].rule);
}

static void
set_capture(struct actor *a, char **what, const char *text)
{
    free(*what);
    *what = xstrdup(text);
    say_answer(a);
}

static void
capture_under_another_name(struct actor *a)
{
    set_capture(a, &a->says.hits.v[0].captures[0].name, "PATH");
}

static void
capture_two_lines(struct actor *a)
{
    set_capture(a, &a->says.hits.v[0].captures[0].value, "1\n2");
}

static void
capture_nothing(struct actor *a)
{
    a->says.hits.v[0].n_captures = 0;
    say_answer(a);
    _exit(0);
}

static void
leave_a_rule_open(struct actor *a)
{
    free(a->says.hits.open);
    a->says.hits.open = xcalloc(1, sizeof *a->says.hits.open);
    a->says.hits.open[0] = CODE;
    a->says.hits.n_open = 1;
    say_answer(a);
}

static void
note_a_line_break(struct actor *a)
{
    strv_add(&a->says.hits.notes, "a\nb");
    say_answer(a);
}

static void
list_unasked(struct actor *a)
{
    message_list(a->message, &a->says.nodes);
    say_answer(a);
}

static void
write_without_being_asked(struct actor *a)
{
    wire_pack_file(&(struct wire_file){.serial = a->request.serial}, &a->answer);
    say(a, WIRE_WRITTEN, buf_span(&a->answer));
}

static const struct misdeed {
    const char *name;
    void (*commit)(struct actor *a);
    enum { LOUD, SILENT, HARMLESS } kind;
} misdeeds[] = {
    {"die-after-the-answer", die_after_the_answer, HARMLESS},
    {"die-of-a-bug", die_of_a_bug, LOUD},
    {"end-without-a-word", end_without_a_word, LOUD},
    {"never-answer", never_answer, SILENT},
    {"stand-still", stand_still, SILENT},
    {"hang-up", hang_up, LOUD},
    {"say-half-and-die", say_half_and_die, LOUD},
    {"say-half-and-wait", say_half_and_wait, SILENT},
    {"say-noise", say_noise, LOUD},
    {"promise-too-much", promise_too_much, LOUD},
    {"say-something-else", say_something_else, LOUD},
    {"speak-as-the-sorter", speak_as_the_sorter, LOUD},
    {"answer-twice", answer_twice, LOUD},
    {"answer-another", answer_another, LOUD},
    {"answer-less", answer_less, LOUD},
    {"answer-with-more-behind", answer_with_more_behind, LOUD},
    {"answer-with-a-descriptor", answer_with_a_descriptor, LOUD},
    {"answer-with-a-line-break", answer_with_a_line_break, LOUD},
    {"answer-with-an-escape", answer_with_an_escape, LOUD},
    {"answer-with-broken-text", answer_with_broken_text, LOUD},
    {"answer-too-long", answer_too_long, LOUD},
    {"answer-nothing", answer_nothing, LOUD},
    {"hit-an-unknown-rule", hit_an_unknown_rule, LOUD},
    {"hit-an-unplanned-rule", hit_an_unplanned_rule, LOUD},
    {"hit-a-rule-twice", hit_a_rule_twice, LOUD},
    {"capture-under-another-name", capture_under_another_name, LOUD},
    {"capture-two-lines", capture_two_lines, LOUD},
    {"capture-nothing", capture_nothing, LOUD},
    {"leave-a-rule-open", leave_a_rule_open, LOUD},
    {"note-a-line-break", note_a_line_break, LOUD},
    {"list-unasked", list_unasked, LOUD},
    {"write-without-being-asked", write_without_being_asked, LOUD},
};

/* --- and with an attachment --- */

/* `put` bytes go to the file, and this is said of them. */
static void
write_and_say(struct actor *a, size_t put, const struct wire_file *said)
{
    char bytes[256];
    memset(bytes, 'x', sizeof bytes);
    while (put > 0) {
        ssize_t n = write(a->fd, bytes, put < sizeof bytes ? put : sizeof bytes);
        if (n <= 0)
            _exit(1);
        put -= (size_t)n;
    }
    buf_clear(&a->answer);
    wire_pack_file(said, &a->answer);
    say(a, WIRE_WRITTEN, buf_span(&a->answer));
}

static void
write_more_than_granted(struct actor *a, struct wire_file *f)
{
    f->bytes += 1;
    write_and_say(a, f->bytes, f);
}

static void
write_less_than_said(struct actor *a, struct wire_file *f)
{
    f->bytes = 5;
    write_and_say(a, 4, f);
}

static void
write_another_attachment(struct actor *a, struct wire_file *f)
{
    f->bytes = 1;
    f->attachment++;
    write_and_say(a, 1, f);
}

static void
write_for_another_mail(struct actor *a, struct wire_file *f)
{
    f->bytes = 1;
    f->serial++;
    write_and_say(a, 1, f);
}

static void
answer_instead(struct actor *a, struct wire_file *f)
{
    (void)f;
    buf_clear(&a->answer);
    say_answer(a);
}

static void
die_while_writing(struct actor *a, struct wire_file *f)
{
    (void)f;
    if (write(a->fd, "x", 1) == 1)
        raise(SIGKILL);
}

static const struct file_misdeed {
    const char *name;
    void (*commit)(struct actor *a, struct wire_file *f);
} file_misdeeds[] = {
    {"write-more-than-granted", write_more_than_granted},
    {"write-less-than-said", write_less_than_said},
    {"write-another-attachment", write_another_attachment},
    {"write-for-another-mail", write_for_another_mail},
    {"answer-instead", answer_instead},
    {"die-while-writing", die_while_writing},
};

/* --- the honest part --- */

static char *
read_message(const struct actor *a)
{
    char *text = xcalloc(1, (size_t)a->request.size + 1);
    if (pread(a->fd, text, (size_t)a->request.size, 0) != (ssize_t)a->request.size)
        _exit(1);
    return text;
}

static void
act_on_request(struct actor *a)
{
    if (wire_unpack_request(a->frame.body, &a->rules, &a->request) != 0)
        _exit(1);
    a->text = read_message(a);
    steps_begin(a->text);
    step();
    a->message = message_open(span_str(a->text));
    a->says.facts = message_whole_facts(a->message, NULL);
    match_rules(&a->rules, &a->request.plan, a->says.facts, &a->request.meta, 1, &a->says.hits);
    buf_clear(&a->answer);
    for (size_t i = 0; i < sizeof misdeeds / sizeof *misdeeds; i++)
        if (strstr(a->text, misdeeds[i].name) != NULL) {
            misdeeds[i].commit(a);
            return;
        }
    say_answer(a);
}

static void
act_on_file(struct actor *a)
{
    struct wire_file f;
    if (wire_unpack_file(a->frame.body, &f) != 0)
        _exit(1);
    step();
    for (size_t i = 0; i < sizeof file_misdeeds / sizeof *file_misdeeds; i++)
        if (strstr(a->text, file_misdeeds[i].name) != NULL) {
            file_misdeeds[i].commit(a, &f);
            return;
        }
    f.bytes = 3;
    write_and_say(a, 3, &f);
}

static void
let_go(struct actor *a)
{
    free(a->text);
    message_free(a->message);
    wire_answer_clear(&a->says);
    wire_request_clear(&a->request);
}

/* Ends by exit() or a signal. */
static void
act(void)
{
    static struct actor a;
    struct wire_orders orders;
    channel_init(&a.channel, STDIN_FILENO);
    hear(&a);
    if (wire_unpack_orders(a.frame.body, &orders) != 0 ||
        ruleset_unpack(orders.rules, &a.rules, NULL) != 0)
        _exit(1);
    say(&a, WIRE_READY, SPAN("\0\0\0\0\0\0\0\0"));
    for (;;) {
        hear(&a);
        if (a.frame.kind == WIRE_FILE) {
            act_on_file(&a);
        } else {
            let_go(&a);
            act_on_request(&a);
        }
        close(a.fd);
    }
}

/* --- our side --- */

enum { PATIENCE_MS = 600 * 1000 }; /* where nobody is late */

static const char attachments[] = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n"
                                  "--b\nContent-Type: a/b; name=../x\n\none\n"
                                  "--b\nContent-Type: a/b; name=/x\n\ntwo\n--b--\n";

static char *
mail_about(const char *what)
{
    return xasprintf("Subject: 42 %s\n%s", what, attachments);
}

static void
assert_read(struct sort_answer *a, uint64_t id)
{
    assert_int_equal(a->id, id);
    assert_string_equal(a->failure.text, "");
    assert_non_null(a->facts);
    assert_int_equal(strncmp(a->facts->subject, "42", 2), 0);
    assert_int_equal(a->hits.n, 3);
    assert_string_equal(a->hits.v[0].captures[0].value, "42");
    sort_answer_free(a);
}

static void
assert_unparsable(struct sort_answer *a, uint64_t id)
{
    assert_int_equal(a->id, id);
    assert_null(a->facts);
    assert_true(a->unparsable);
    assert_int_equal(a->hits.n, 0);
    assert_int_equal(a->n_files, 0);
    assert_int_equal(a->failure.kind, ERR_INPUT);
    assert_int_equal(strncmp(a->failure.text, "message: not read: worker: ", 27), 0);
    sort_answer_free(a);
}

static size_t
count_files(const char *path)
{
    size_t n = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *d; (d = readdir(folder)) != NULL;)
        n += d->d_name[0] != '.';
    closedir(folder);
    return n;
}

static void
submit_mail(struct door *d, uint64_t id, const char *what, int folder)
{
    char *mail = mail_about(what);
    int fd = file_of(span_str(mail));
    free(mail);
    door_submit_file(d, (struct sort_request){.id = id, .fd = fd, .whole = true, .folder = folder});
}

/* The mail between two good ones. */
static void
assert_costs_only_itself(const char *misdeed, int folder)
{
    struct door d;
    struct sort_answer a;
    door_open(&d, (struct sorter_opts){.workers = 1, .deadline_ms = PATIENCE_MS});
    submit_mail(&d, 0, "good", -1);
    submit_mail(&d, 1, misdeed, folder);
    submit_mail(&d, 2, "good", -1);
    door_next(&d, &a);
    assert_read(&a, 0);
    door_next(&d, &a);
    assert_unparsable(&a, 1);
    door_next(&d, &a);
    assert_read(&a, 2);
    assert_false(sorter_next(d.sorter, &a));
    door_close(&d);
}

static void
whatever_a_worker_does_costs_that_mail_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof misdeeds / sizeof *misdeeds; i++)
        if (misdeeds[i].kind == LOUD)
            assert_costs_only_itself(misdeeds[i].name, -1);
}

/* Each waits for the deadline, so all of them together. */
static void
silence_costs_that_mail_only(void **state)
{
    (void)state;
    struct door d;
    struct sort_answer a;
    size_t silent = 0;
    door_open(&d, (struct sorter_opts){.workers = 4, .deadline_ms = 1500});
    for (size_t i = 0; i < sizeof misdeeds / sizeof *misdeeds; i++)
        if (misdeeds[i].kind == SILENT)
            submit_mail(&d, ++silent, misdeeds[i].name, -1);
    assert_int_equal(silent, 3);
    for (size_t i = 0; i < silent; i++) {
        door_next(&d, &a);
        assert_unparsable(&a, a.id);
    }
    submit_mail(&d, 0, "good", -1);
    door_next(&d, &a);
    assert_read(&a, 0);
    door_close(&d);
}

static void
a_worker_that_dies_after_its_answer_costs_nothing(void **state)
{
    (void)state;
    struct door d;
    struct sort_answer a;
    char *mail = mail_about(misdeeds[0].name);
    door_open(&d, (struct sorter_opts){.workers = 1, .deadline_ms = PATIENCE_MS});
    for (int i = 0; i < 5; i++) {
        door_ask(&d, span_str(mail), -1, &a);
        assert_read(&a, 1);
    }
    free(mail);
    door_close(&d);
}

static void
files_of_a_mail_that_failed_are_gone(void **state)
{
    (void)state;
    char path[] = "/tmp/mailcall-sort-XXXXXX";
    assert_non_null(mkdtemp(path));
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < sizeof file_misdeeds / sizeof *file_misdeeds; i++) {
        assert_costs_only_itself(file_misdeeds[i].name, folder);
        assert_int_equal(count_files(path), 0);
    }
    close(folder);
    rmdir(path);
}

static void
a_silent_worker_does_not_hold_up_the_other_mails(void **state)
{
    (void)state;
    struct door d;
    struct sort_answer a;
    door_open(&d, (struct sorter_opts){.workers = 2, .deadline_ms = PATIENCE_MS});
    submit_mail(&d, 0, "never-answer", -1);
    for (uint64_t id = 1; id < 4; id++)
        submit_mail(&d, id, "good", -1);
    for (uint64_t id = 1; id < 4; id++) {
        door_next(&d, &a);
        assert_read(&a, id);
    }
    assert_false(sorter_next(d.sorter, &a));
    door_close(&d);
}

/* --- killed at any moment --- */

enum { MAILS = 3 };

/* Three mails with two attachments each, and a worker that is killed at the n-th step. Whether the
 * worker came so far. */
static bool
survive_a_death(int folder, const char *path, const char *steps, long n)
{
    struct door d;
    struct sort_answer a;
    struct stat st;
    close(open(steps, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    door_open(&d, (struct sorter_opts){.workers = 1, .deadline_ms = PATIENCE_MS});
    for (size_t i = 0; i < MAILS; i++) {
        char *mail = xasprintf("Subject: 42\nDie: %s %ld\n%s", steps, n, attachments);
        int fd = file_of(span_str(mail));
        free(mail);
        door_submit_file(
            &d, (struct sort_request){.id = i, .fd = fd, .whole = true, .folder = folder});
    }
    for (uint64_t id = 0; id < MAILS; id++) {
        door_next(&d, &a);
        assert_int_equal(a.n_files, 2);
        for (size_t k = 0; k < a.n_files; k++) {
            assert_int_equal(fstatat(folder, a.files[k].name, &st, 0), 0);
            assert_int_equal(st.st_size, 3);
            unlinkat(folder, a.files[k].name, 0);
        }
        assert_read(&a, id);
    }
    assert_false(sorter_next(d.sorter, &a));
    assert_int_equal(count_files(path), 0);
    assert_int_equal(stat(steps, &st), 0);
    door_close(&d);
    return st.st_size >= n;
}

static void
a_worker_killed_at_any_moment_loses_and_repeats_nothing(void **state)
{
    (void)state;
    char path[] = "/tmp/mailcall-sort-XXXXXX";
    char steps[] = "/tmp/mailcall-steps-XXXXXX";
    assert_non_null(mkdtemp(path));
    close(mkstemp(steps));
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n = 1;
    while (survive_a_death(folder, path, steps, n))
        n++;
    assert_true(n > MAILS * 3);
    close(folder);
    rmdir(path);
    unlink(steps);
}

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], WORKER_COMMAND) == 0)
        act();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_a_worker_does_costs_that_mail_only),
        cmocka_unit_test(silence_costs_that_mail_only),
        cmocka_unit_test(a_worker_that_dies_after_its_answer_costs_nothing),
        cmocka_unit_test(files_of_a_mail_that_failed_are_gone),
        cmocka_unit_test(a_silent_worker_does_not_hold_up_the_other_mails),
        cmocka_unit_test(a_worker_killed_at_any_moment_loses_and_repeats_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
