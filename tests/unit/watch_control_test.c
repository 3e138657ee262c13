/* watch/control: questions and answers through a real socket, in a folder of its own; and what a
 * stranger, a dead daemon or a slow one does to either end. */
#include "base/buf.h"
#include "base/mem.h"
#include "sys/loop.h"
#include "watch/control.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- a folder, and a daemon in it --- */

struct place {
    char folder[32];
    char runtime[48];
    char state[64];
    char socket[64];
    struct loop *loop;
    struct control *control;
    unsigned asked;
    struct desk_question heard; /* the last */
    struct desk_answer answer;  /* given to the next */
    const char *error;          /* or this */
};

static void
copy_question(struct desk_question *to, const struct desk_question *q)
{
    desk_question_free(to);
    to->what = q->what;
    to->all = q->all;
    strv_copy(&to->events, &q->events);
    strv_copy(&to->rules, &q->rules);
}

static int
on_question(void *arg, const struct desk_question *q, struct desk_answer *a, struct err *e)
{
    struct place *p = arg;
    p->asked++;
    copy_question(&p->heard, q);
    if (p->error != NULL)
        return err_set(e, ERR_IO, "%s", p->error);
    *a = p->answer;
    p->answer = (struct desk_answer){0};
    return 0;
}

static struct control *
open_control(struct place *p, struct err *e)
{
    struct control_opts opts = {.loop = p->loop,
        .folder = p->runtime,
        .state = p->state,
        .on_question = on_question,
        .arg = p};
    return control_open(&opts, e);
}

static void
make_place(struct place *p)
{
    *p = (struct place){.folder = "/tmp/mailcall.XXXXXX"};
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->runtime, sizeof p->runtime, "%s/run", p->folder);
    snprintf(p->state, sizeof p->state, "%s/state", p->folder);
    snprintf(p->socket, sizeof p->socket, "%s/ctl", p->runtime);
    assert_int_equal(mkdir(p->state, 0700), 0);
    p->loop = loop_new();
}

static void
open_place(struct place *p)
{
    struct err e;
    make_place(p);
    p->control = open_control(p, &e);
    assert_non_null(p->control);
}

static void
close_place(struct place *p)
{
    char command[128];
    control_close(p->control);
    loop_free(p->loop);
    desk_question_free(&p->heard);
    desk_answer_free(&p->answer);
    snprintf(command, sizeof command, "rm -rf '%s'", p->folder);
    assert_int_equal(system(command), 0);
}

static struct desk_job
job(const char *event, const char *subject, const char *output)
{
    return (struct desk_job){xstrdup(event), INT64_C(1760000000123), xstrdup("rule"),
        xstrdup("work"), xstrdup("INBOX"), UINT32_MAX, xstrdup("signal"), 139, 6, xstrdup(subject),
        xstrdup(output)};
}

static void
give_jobs(struct place *p, size_t n, const char *output)
{
    p->answer.jobs = xcalloc(n, sizeof *p->answer.jobs);
    p->answer.n = n;
    for (size_t i = 0; i < n; i++)
        p->answer.jobs[i] = job("event", "subject", output);
}

/* --- an asker in a thread of its own, for it waits --- */

struct asker {
    const char *folder;
    const char *state;
    struct desk_question q;
    struct desk_answer a;
    struct err e;
    int result;
    int bell[2];
    pthread_t thread;
};

static void *
ask(void *arg)
{
    struct asker *k = arg;
    k->result = control_ask(k->folder, k->state, &k->q, &k->a, &k->e);
    close(k->bell[1]);
    return NULL;
}

static void
on_bell(void *arg, int events)
{
    (void)events;
    *(bool *)arg = true;
}

/* Asks while the place's loop turns. */
static int
ask_in(struct place *p, struct asker *k)
{
    bool over = false;
    k->folder = k->folder != NULL ? k->folder : p->runtime;
    k->state = k->state != NULL ? k->state : p->state;
    assert_int_equal(pipe(k->bell), 0);
    struct loop_fd *bell = loop_fd_new(p->loop, k->bell[0], on_bell, &over);
    loop_fd_want(bell, LOOP_READ);
    assert_int_equal(pthread_create(&k->thread, NULL, ask, k), 0);
    while (!over)
        loop_turn(p->loop, true);
    pthread_join(k->thread, NULL);
    loop_fd_close(bell);
    close(k->bell[0]);
    return k->result;
}

static void
asker_free(struct asker *k)
{
    desk_question_free(&k->q);
    desk_answer_free(&k->a);
}

/* --- both ends --- */

static void
a_question_and_its_answer_arrive_whole(void **state)
{
    (void)state;
    struct place p;
    struct asker k = {.q = {.what = DESK_RETRY, .all = true}};
    open_place(&p);
    strv_add(&k.q.events, "first");
    strv_add(&k.q.events, "second \"\\\n\t");
    strv_add(&k.q.rules, "Rechnung für Ännchen");
    give_jobs(&p, 1, "line one\n\\x1b[31m ☃");
    strv_add(&p.answer.unknown, "second");
    assert_int_equal(ask_in(&p, &k), 1);

    assert_int_equal(p.heard.what, DESK_RETRY);
    assert_true(p.heard.all);
    assert_int_equal(p.heard.events.n, 2);
    assert_string_equal(p.heard.events.v[1], "second \"\\\n\t");
    assert_int_equal(p.heard.rules.n, 1);
    assert_string_equal(p.heard.rules.v[0], "Rechnung für Ännchen");

    assert_int_equal(k.a.n, 1);
    const struct desk_job *j = &k.a.jobs[0];
    assert_string_equal(j->event, "event");
    assert_true(j->when == INT64_C(1760000000123));
    assert_string_equal(j->rule, "rule");
    assert_string_equal(j->account, "work");
    assert_string_equal(j->mailbox, "INBOX");
    assert_int_equal(j->uid, UINT32_MAX);
    assert_string_equal(j->result, "signal");
    assert_int_equal(j->status, 139);
    assert_int_equal(j->attempts, 6);
    assert_string_equal(j->subject, "subject");
    assert_string_equal(j->output, "line one\n\\x1b[31m ☃");
    assert_int_equal(k.a.unknown.n, 1);
    assert_string_equal(k.a.unknown.v[0], "second");
    asker_free(&k);
    close_place(&p);
}

static void
each_kind_of_question_keeps_its_kind(void **state)
{
    (void)state;
    struct place p;
    open_place(&p);
    for (int what = DESK_FAILED; what <= DESK_DROP; what++) {
        struct asker k = {.q = {.what = (enum desk_what)what}};
        assert_int_equal(ask_in(&p, &k), 1);
        assert_int_equal(p.heard.what, what);
        assert_false(p.heard.all);
        assert_int_equal(k.a.n, 0);
        asker_free(&k);
    }
    assert_int_equal(p.asked, 3);
    close_place(&p);
}

static void
ten_thousand_jobs_arrive(void **state)
{
    (void)state;
    struct place p;
    struct asker k = {0};
    char output[4097] = "";
    open_place(&p);
    memset(output, 'x', sizeof output - 1);
    give_jobs(&p, 10000, output);
    assert_int_equal(ask_in(&p, &k), 1);
    assert_int_equal(k.a.n, 10000);
    assert_string_equal(k.a.jobs[9999].output, output);
    asker_free(&k);
    close_place(&p);
}

static void
an_answer_beyond_the_limit_is_an_error(void **state)
{
    (void)state;
    struct place p;
    struct asker k = {0};
    char *output = xmalloc((1 << 20) + 1);
    open_place(&p);
    memset(output, 'x', 1 << 20);
    output[1 << 20] = '\0';
    give_jobs(&p, 64, output);
    assert_int_equal(ask_in(&p, &k), -1);
    assert_non_null(strstr(k.e.text, "too long"));
    free(output);
    asker_free(&k);
    close_place(&p);
}

static void
arguments_may_be_any_bytes(void **state)
{
    (void)state;
    struct place p;
    struct asker k = {0};
    open_place(&p);
    strv_add(&k.q.events, "a\xff"
                          "b");
    assert_int_equal(ask_in(&p, &k), 1);
    assert_string_equal(p.heard.events.v[0], "a\uFFFDb");
    asker_free(&k);
    close_place(&p);
}

static void
the_daemons_own_error_is_told(void **state)
{
    (void)state;
    struct place p;
    struct asker k = {0};
    open_place(&p);
    p.error = "the journal is \"gone\"";
    assert_int_equal(ask_in(&p, &k), -1);
    assert_int_equal(k.e.kind, ERR_IO);
    assert_non_null(strstr(k.e.text, "/ctl: the journal is \"gone\""));
    asker_free(&k);
    close_place(&p);
}

static void
too_many_names_are_not_sent(void **state)
{
    (void)state;
    struct place p;
    struct asker k = {0};
    open_place(&p);
    for (int i = 0; i < 40000; i++)
        strv_add(&k.q.events, "aaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_int_equal(ask_in(&p, &k), -1);
    assert_int_equal(k.e.kind, ERR_USAGE);
    assert_int_equal(p.asked, 0);
    asker_free(&k);
    close_place(&p);
}

static void
a_name_too_long_for_a_socket_is_no_hindrance(void **state)
{
    (void)state;
#ifdef __linux__
    struct place p;
    struct asker k = {0};
    struct err e;
    make_place(&p);
    char folder[300];
    snprintf(folder, sizeof folder, "%s/%0200d", p.folder, 1);
    struct control_opts opts = {p.loop, folder, p.state, on_question, &p};
    p.control = control_open(&opts, &e);
    assert_non_null(p.control);
    k.folder = folder;
    assert_int_equal(ask_in(&p, &k), 1);
    assert_null(control_open(&opts, &e));
    assert_int_equal(e.kind, ERR_AGAIN);
    asker_free(&k);
    close_place(&p);
#endif
}

static void
the_state_is_the_same_by_any_name(void **state)
{
    (void)state;
    struct place p;
    struct asker k = {0};
    char link[128];
    open_place(&p);
    snprintf(link, sizeof link, "%s/link", p.folder);
    assert_int_equal(symlink("state", link), 0);
    k.state = link;
    assert_int_equal(ask_in(&p, &k), 1);
    asker_free(&k);
    close_place(&p);
}

static void
a_state_may_have_any_bytes_in_its_name(void **state)
{
    (void)state;
    struct place p;
    struct asker k = {0};
    struct err e;
    make_place(&p);
    snprintf(p.state, sizeof p.state, "%s/\xff %%\"\n", p.folder);
    assert_int_equal(mkdir(p.state, 0700), 0);
    p.control = open_control(&p, &e);
    assert_int_equal(ask_in(&p, &k), 1);
    asker_free(&k);
    close_place(&p);
}

/* --- nobody there --- */

static int
ask_alone(const char *folder, const char *state, struct err *e)
{
    struct desk_question q = {0};
    struct desk_answer a;
    int rc = control_ask(folder, state, &q, &a, e);
    assert_int_equal(a.n, 0);
    return rc;
}

static void
a_daemon_with_another_state_is_none(void **state)
{
    (void)state;
    struct place p;
    struct asker k = {0};
    open_place(&p);
    k.state = p.folder;
    assert_int_equal(ask_in(&p, &k), 0);
    assert_int_equal(p.asked, 0);
    asker_free(&k);
    close_place(&p);
}

/* What a daemon leaves that is killed. */
static void
leave_dead_socket(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(fd, 1), 0);
    close(fd);
}

static void
where_nobody_listens_there_is_none(void **state)
{
    (void)state;
    struct place p;
    struct err e;
    char file[160];
    make_place(&p);
    assert_int_equal(ask_alone(p.runtime, p.state, &e), 0);
    assert_int_not_equal(access(p.runtime, F_OK), 0); /* nothing was made */
    assert_int_equal(mkdir(p.runtime, 0700), 0);
    assert_int_equal(ask_alone(p.runtime, p.state, &e), 0);
    leave_dead_socket(p.socket);
    assert_int_equal(ask_alone(p.runtime, p.state, &e), 0);
    assert_int_equal(ask_alone(p.runtime, "/nowhere/at/all", &e), 0);
    snprintf(file, sizeof file, "%s/file", p.runtime);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(ask_alone(file, p.state, &e), 0);
    close_place(&p);
}

/* --- the place --- */

static mode_t
mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void
the_socket_is_private_whatever_the_umask(void **state)
{
    (void)state;
    static const mode_t masks[] = {0, 022, 0777};
    for (size_t i = 0; i < COUNT(masks); i++) {
        struct place p;
        struct err e;
        make_place(&p);
        assert_int_equal(mkdir(p.runtime, 0700), 0);
        mode_t mine = umask(masks[i]);
        p.control = open_control(&p, &e);
        umask(mine);
        assert_non_null(p.control);
        assert_int_equal(mode_of(p.socket), 0600);
        close_place(&p);
    }
}

static void
the_folder_is_made_private(void **state)
{
    (void)state;
    struct place p;
    open_place(&p);
    assert_int_equal(mode_of(p.runtime), 0700);
    close_place(&p);
}

static void
a_dead_daemons_socket_is_replaced(void **state)
{
    (void)state;
    struct place p;
    struct asker k = {0};
    struct err e;
    make_place(&p);
    assert_int_equal(mkdir(p.runtime, 0700), 0);
    leave_dead_socket(p.socket);
    p.control = open_control(&p, &e);
    assert_non_null(p.control);
    assert_int_equal(ask_in(&p, &k), 1);
    asker_free(&k);
    close_place(&p);
}

static void
a_living_daemons_socket_is_not(void **state)
{
    (void)state;
    struct place p;
    struct asker k = {0};
    struct err e;
    open_place(&p);
    assert_null(open_control(&p, &e));
    assert_int_equal(e.kind, ERR_AGAIN);
    assert_non_null(strstr(e.text, "/ctl: "));
    assert_int_equal(ask_in(&p, &k), 1);
    asker_free(&k);
    close_place(&p);
}

static void
a_file_in_the_way_is_left_alone(void **state)
{
    (void)state;
    struct place p;
    struct err e;
    make_place(&p);
    assert_int_equal(mkdir(p.runtime, 0700), 0);
    close(open(p.socket, O_CREAT | O_WRONLY, 0600));
    assert_null(open_control(&p, &e));
    assert_int_equal(e.kind, ERR_CREATE);
    assert_int_equal(access(p.socket, F_OK), 0);
    close_place(&p);
}

static void
the_socket_ends_with_the_daemon(void **state)
{
    (void)state;
    struct place p;
    open_place(&p);
    assert_int_equal(access(p.socket, F_OK), 0);
    control_close(p.control);
    p.control = NULL;
    assert_int_not_equal(access(p.socket, F_OK), 0);
    close_place(&p);
}

static void
another_ones_socket_outlives_it(void **state)
{
    (void)state;
    struct place p;
    open_place(&p);
    assert_int_equal(unlink(p.socket), 0);
    leave_dead_socket(p.socket);
    control_close(p.control);
    p.control = NULL;
    assert_int_equal(access(p.socket, F_OK), 0);
    close_place(&p);
}

/* --- clients of any kind --- */

static int
knock(const struct place *p)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(un.sun_path, sizeof un.sun_path, "%s", p->socket);
    assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof un), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void
write_all(struct place *p, int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, 0);
        if (sent > 0) {
            bytes += sent;
            n -= (size_t)sent;
        }
        loop_turn(p->loop, false);
    }
}

/* Up to the end of the line, or of the connection; freed by the caller. */
static char *
read_line(struct place *p, int fd)
{
    struct buf line = {0};
    char piece[4096];
    ssize_t n;
    while ((n = recv(fd, piece, sizeof piece, 0)) != 0) {
        loop_turn(p->loop, false);
        if (n < 0)
            continue;
        buf_add(&line, piece, (size_t)n);
        if (line.p[line.n - 1] == '\n')
            break;
    }
    return buf_take(&line);
}

static void
question_for(const struct place *p, char *out, size_t size)
{
    snprintf(out, size,
        "{\"v\":1,\"state\":\"%s\",\"what\":\"failed\",\"events\":[],\"rules\":[],\"all\":false}\n",
        p->state);
}

static void
a_question_may_come_byte_by_byte(void **state)
{
    (void)state;
    struct place p;
    char question[512];
    open_place(&p);
    question_for(&p, question, sizeof question);
    int fd = knock(&p);
    for (size_t i = 0; question[i] != '\0'; i++)
        write_all(&p, fd, &question[i], 1);
    char *line = read_line(&p, fd);
    assert_string_equal(line, "{\"v\":1,\"jobs\":[],\"unknown\":[]}\n");
    assert_int_equal(p.asked, 1);
    free(line);
    close(fd);
    close_place(&p);
}

static void
what_is_no_question_is_answered_with_an_error(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "\n",
        "failed\n",
        "{}\n",
        "[1]\n",
        "null\n",
        "{\"v\":2}\n",
        "{\"v\":\"1\"}\n",
        "{\"v\":1}\n",
        "{\"v\":1,\"v\":1}\n",
        "{\"v\":1,\"state\":\"/\",\"what\":\"eat\",\"events\":[],\"rules\":[],\"all\":false}\n",
        "{\"v\":1,\"state\":\"/\",\"what\":\"drop\",\"events\":{},\"rules\":[],\"all\":false}\n",
        "{\"v\":1,\"state\":\"/\",\"what\":\"drop\",\"events\":[1],\"rules\":[],\"all\":false}\n",
        "{\"v\":1,\"state\":\"/\",\"what\":\"drop\",\"events\":[],\"rules\":[],\"all\":1}\n",
        "{\"v\":1,\"state\":1,\"what\":\"drop\",\"events\":[],\"rules\":[],\"all\":false}\n",
        "{\"v\":1,\"state\":\"\xff\"}\n",
        "{\"v\":1,\"state\":\"\\u0000\"}\n",
    };
    struct place p;
    open_place(&p);
    for (size_t i = 0; i < COUNT(lines); i++) {
        int fd = knock(&p);
        write_all(&p, fd, lines[i], strlen(lines[i]));
        char *line = read_line(&p, fd);
        assert_non_null(strstr(line, "{\"v\":1,\"error\":\""));
        free(line);
        close(fd);
    }
    assert_int_equal(p.asked, 0);
    close_place(&p);
}

static void
a_million_brackets_are_no_question_either(void **state)
{
    (void)state;
    struct place p;
    enum { MANY = 1000 * 1000 };
    char *brackets = xmalloc(MANY);
    open_place(&p);
    memset(brackets, '[', MANY);
    brackets[MANY - 1] = '\n';
    int fd = knock(&p);
    write_all(&p, fd, brackets, MANY);
    char *line = read_line(&p, fd);
    assert_non_null(strstr(line, "\"error\""));
    free(line);
    free(brackets);
    close(fd);
    close_place(&p);
}

static void
a_question_without_end_is_cut_off(void **state)
{
    (void)state;
    struct place p;
    char piece[4096];
    size_t sent = 0;
    open_place(&p);
    memset(piece, ' ', sizeof piece);
    int fd = knock(&p);
    for (ssize_t n; sent<4 << 20; sent += n> 0 ? (size_t)n : 0) {
        n = send(fd, piece, sizeof piece, MSG_NOSIGNAL);
        loop_turn(p.loop, false);
        if (n < 0 && recv(fd, piece, sizeof piece, MSG_PEEK) > 0)
            break;
    }
    assert_true(sent > 1 << 20);
    assert_true(sent < 2 << 20);
    char *line = read_line(&p, fd);
    assert_non_null(strstr(line, "too long"));
    free(line);
    close(fd);
    close_place(&p);
}

static void
who_hangs_up_disturbs_nobody(void **state)
{
    (void)state;
    struct place p;
    struct asker k = {0};
    char question[512];
    char output[4097] = "";
    open_place(&p);
    memset(output, 'x', sizeof output - 1);
    question_for(&p, question, sizeof question);
    close(knock(&p)); /* at once */
    int fd = knock(&p);
    write_all(&p, fd, question, strlen(question) / 2); /* in the middle of the question */
    close(fd);
    give_jobs(&p, 1000, output);
    fd = knock(&p);
    write_all(&p, fd, question, strlen(question)); /* in the middle of the answer */
    close(fd);
    assert_int_equal(ask_in(&p, &k), 1);
    asker_free(&k);
    close_place(&p);
}

static void
who_reads_slowly_delays_nobody(void **state)
{
    (void)state;
    struct place p;
    struct asker k = {0};
    char question[512];
    char output[4097] = "";
    open_place(&p);
    memset(output, 'x', sizeof output - 1);
    give_jobs(&p, 1000, output);
    question_for(&p, question, sizeof question);
    int slow = knock(&p);
    write_all(&p, slow, question, strlen(question));
    while (p.asked == 0)
        loop_turn(p.loop, false);
    assert_int_equal(ask_in(&p, &k), 1);
    char *line = read_line(&p, slow);
    assert_true(strlen(line) > 1000 * 4096);
    free(line);
    close(slow);
    asker_free(&k);
    close_place(&p);
}

static void
the_seventeenth_waits_for_one_to_go(void **state)
{
    (void)state;
    struct place p;
    int silent[16];
    char question[512];
    char byte;
    open_place(&p);
    question_for(&p, question, sizeof question);
    for (size_t i = 0; i < COUNT(silent); i++)
        silent[i] = knock(&p);
    int fd = knock(&p);
    assert_true(send(fd, question, strlen(question), 0) > 0);
    for (int i = 0; i < 100; i++)
        loop_turn(p.loop, false);
    assert_int_equal(p.asked, 0);
    close(silent[7]);
    char *line = read_line(&p, fd);
    assert_non_null(strstr(line, "\"jobs\""));
    free(line);
    assert_int_equal(recv(silent[3], &byte, 1, 0), -1); /* still welcome */
    for (size_t i = 0; i < COUNT(silent); i++)
        if (i != 7)
            close(silent[i]);
    close(fd);
    close_place(&p);
}

static void
the_end_hangs_up_on_everybody(void **state)
{
    (void)state;
    struct place p;
    open_place(&p);
    int fd = knock(&p);
    write_all(&p, fd, "{", 1);
    control_close(p.control);
    p.control = NULL;
    char *line = read_line(&p, fd);
    assert_string_equal(line, "");
    free(line);
    close(fd);
    close_place(&p);
}

/* In a child that has become somebody else: 0 when he got no answer. */
static int
ask_as_stranger(const char *path, const char *question)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char byte;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    if (setgid(65534) != 0 || setuid(65534) != 0)
        return 2;
    if (connect(fd, (struct sockaddr *)&un, sizeof un) != 0)
        return 3;
    send(fd, question, strlen(question), MSG_NOSIGNAL);
    return recv(fd, &byte, 1, 0) <= 0 ? 0 : 4;
}

static void
a_stranger_is_hung_up_on(void **state)
{
    (void)state;
    struct place p;
    char question[512];
    int status = -1;
    if (geteuid() != 0)
        skip();
    open_place(&p);
    question_for(&p, question, sizeof question);
    assert_int_equal(chmod(p.folder, 0755), 0);
    assert_int_equal(chmod(p.runtime, 0755), 0);
    assert_int_equal(chmod(p.socket, 0666), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(ask_as_stranger(p.socket, question));
    while (waitpid(child, &status, WNOHANG) == 0)
        loop_turn(p.loop, false);
    assert_int_equal(status, 0);
    assert_int_equal(p.asked, 0);
    close_place(&p);
}

/* --- daemons of any kind --- */

struct impostor {
    int listener;
    const char *answer;
    pthread_t thread;
};

static void *
impersonate(void *arg)
{
    struct impostor *m = arg;
    char byte = 0;
    int fd = accept(m->listener, NULL, NULL);
    while (byte != '\n' && recv(fd, &byte, 1, 0) == 1)
        continue;
    send(fd, m->answer, strlen(m->answer), MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

static void
impostor_start(struct impostor *m, const struct place *p, const char *answer)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", p->socket);
    *m = (struct impostor){.listener = socket(AF_UNIX, SOCK_STREAM, 0), .answer = answer};
    assert_int_equal(bind(m->listener, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(m->listener, 1), 0);
    assert_int_equal(pthread_create(&m->thread, NULL, impersonate, m), 0);
}

static void
an_answer_that_makes_no_sense_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        enum err_kind kind;
    } cases[] = {
        {"", ERR_AGAIN},
        {"{\"v\":1,\"jobs\":[", ERR_AGAIN},
        {"\n", ERR_PROTOCOL},
        {"hello\n", ERR_PROTOCOL},
        {"{}\n", ERR_PROTOCOL},
        {"{\"v\":1}\n", ERR_PROTOCOL},
        {"{\"v\":2,\"jobs\":[],\"unknown\":[]}\n", ERR_PROTOCOL},
        {"{\"v\":1,\"jobs\":[]}\n", ERR_PROTOCOL},
        {"{\"v\":1,\"jobs\":[{}],\"unknown\":[]}\n", ERR_PROTOCOL},
        {"{\"v\":1,\"jobs\":[],\"unknown\":[7]}\n", ERR_PROTOCOL},
        {"{\"v\":1,\"jobs\":[{\"event_id\":\"a\",\"when\":1,\"rule\":\"r\",\"account\":\"a\","
         "\"mailbox\":\"m\",\"uid\":4294967296,\"result\":\"fail\",\"status\":1,\"attempts\":1,"
         "\"subject\":\"\"}],\"unknown\":[]}\n",
            ERR_PROTOCOL},
        {"{\"v\":1,\"error\":\"no\"}\n", ERR_IO},
    };
    struct place p;
    make_place(&p);
    assert_int_equal(mkdir(p.runtime, 0700), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct impostor m;
        struct err e = {0};
        impostor_start(&m, &p, cases[i].answer);
        assert_int_equal(ask_alone(p.runtime, p.state, &e), -1);
        assert_int_equal(e.kind, cases[i].kind);
        pthread_join(m.thread, NULL);
        close(m.listener);
        unlink(p.socket);
    }
    close_place(&p);
}

/* --- a line for scripts --- */

static void
a_job_is_one_line_of_json(void **state)
{
    (void)state;
    struct desk_answer a = {.jobs = xcalloc(2, sizeof *a.jobs), .n = 2};
    a.jobs[0] = job("k3v", "two\twords \"☃\"", "one\ntwo");
    a.jobs[1] = job("k3v", "", "");
    char *full = control_job_line(&a.jobs[0]);
    char *bare = control_job_line(&a.jobs[1]);
    assert_string_equal(full,
        "{\"v\":1,\"event_id\":\"k3v\",\"when\":\"2025-10-09T08:53:20Z\",\"rule\":\"rule\","
        "\"account\":\"work\",\"mailbox\":\"INBOX\",\"uid\":4294967295,\"result\":\"signal\","
        "\"status\":139,\"attempts\":6,\"subject\":\"two\\twords \\\"☃\\\"\","
        "\"output\":\"one\\ntwo\"}");
    assert_null(strstr(bare, "output"));
    free(full);
    free(bare);
    desk_answer_free(&a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_and_its_answer_arrive_whole),
        cmocka_unit_test(each_kind_of_question_keeps_its_kind),
        cmocka_unit_test(ten_thousand_jobs_arrive),
        cmocka_unit_test(an_answer_beyond_the_limit_is_an_error),
        cmocka_unit_test(arguments_may_be_any_bytes),
        cmocka_unit_test(the_daemons_own_error_is_told),
        cmocka_unit_test(too_many_names_are_not_sent),
        cmocka_unit_test(a_name_too_long_for_a_socket_is_no_hindrance),
        cmocka_unit_test(the_state_is_the_same_by_any_name),
        cmocka_unit_test(a_state_may_have_any_bytes_in_its_name),
        cmocka_unit_test(a_daemon_with_another_state_is_none),
        cmocka_unit_test(where_nobody_listens_there_is_none),
        cmocka_unit_test(the_socket_is_private_whatever_the_umask),
        cmocka_unit_test(the_folder_is_made_private),
        cmocka_unit_test(a_dead_daemons_socket_is_replaced),
        cmocka_unit_test(a_living_daemons_socket_is_not),
        cmocka_unit_test(a_file_in_the_way_is_left_alone),
        cmocka_unit_test(the_socket_ends_with_the_daemon),
        cmocka_unit_test(another_ones_socket_outlives_it),
        cmocka_unit_test(a_question_may_come_byte_by_byte),
        cmocka_unit_test(what_is_no_question_is_answered_with_an_error),
        cmocka_unit_test(a_million_brackets_are_no_question_either),
        cmocka_unit_test(a_question_without_end_is_cut_off),
        cmocka_unit_test(who_hangs_up_disturbs_nobody),
        cmocka_unit_test(who_reads_slowly_delays_nobody),
        cmocka_unit_test(the_seventeenth_waits_for_one_to_go),
        cmocka_unit_test(the_end_hangs_up_on_everybody),
        cmocka_unit_test(a_stranger_is_hung_up_on),
        cmocka_unit_test(an_answer_that_makes_no_sense_is_an_error),
        cmocka_unit_test(a_job_is_one_line_of_json),
    };
    return cmocka_run_group_tests_name("watch_control", tests, NULL, NULL);
}
