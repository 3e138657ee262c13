/* SPDX-License-Identifier: ISC */
/* Both ends of the socket, and the JSON between them.
 *
 * A client's life: its line comes in, the answer is made in one go, and goes out as the client
 * takes it. Neither half waits for the client, and its deadline is set once. */
#include "watch/control.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/percent.h"
#include "base/rfc3339.h"
#include "base/utf8.h"
#include "sys/clock.h"
#include "sys/local.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_NAME "ctl"

enum {
    VERSION = 1,
    QUESTION_MAX = 1 << 20,
    ANSWER_MAX = 64 << 20,
    PIECE = 16 * 1024,
    PATIENCE_S = 10,
    PATIENCE_MS = PATIENCE_S * 1000,
    CLIENTS_MAX = 16,
    PAUSE_MS = 1000, /* without a descriptor to accept with */
};

/* --- JSON: what both ends share --- */

static const char *const whats[] = {
    [DESK_FAILED] = "failed", [DESK_RETRY] = "retry", [DESK_DROP] = "drop"};

/* Out of memory dies in base/mem.h here too, so nothing below fails but for our own bugs. */
static void
share_allocator(void)
{
    json_set_alloc_funcs(xmalloc, free);
}

static json_t *
strings_to_json(const struct strv *v)
{
    json_t *array = json_array();
    for (size_t i = 0; i < v->n; i++) {
        struct buf valid = {0}; /* an argument may be any bytes */
        utf8_repair(&valid, span_str(v->v[i]));
        json_array_append_new(array, json_string(buf_str(&valid)));
        buf_free(&valid);
    }
    return array;
}

static int
strings_from_json(struct strv *v, const json_t *array)
{
    size_t i;
    json_t *item;
    if (!json_is_array(array))
        return -1;
    json_array_foreach(array, i, item)
    {
        if (!json_is_string(item))
            return -1;
        strv_add(v, json_string_value(item));
    }
    return 0;
}

struct output {
    struct buf *out;
    size_t most;
};

static int
append(const char *bytes, size_t n, void *arg)
{
    struct output *o = arg;
    if (o->out->n + n > o->most)
        return -1;
    buf_add(o->out, bytes, n);
    return 0;
}

/* Appends the value and frees it. -1: it is longer than `most`. */
static int
write_json(struct buf *out, json_t *value, size_t most)
{
    struct output o = {out, most};
    assert(value != NULL);
    int rc = json_dump_callback(value, append, &o, JSON_COMPACT);
    json_decref(value);
    return rc;
}

/* A path may be any bytes; this is text, and the same for the same path. */
static char *
state_name(const char *path)
{
    struct buf name = {0};
    percent_add(&name, path, "/");
    return buf_take(&name);
}

/* --- JSON: the question --- */

static json_t *
question_to_json(const char *state, const struct desk_question *q)
{
    return json_pack("{s:i, s:s, s:s, s:o, s:o, s:b}", "v", VERSION, "state", state, "what",
        whats[q->what], "events", strings_to_json(&q->events), "rules", strings_to_json(&q->rules),
        "all", q->all);
}

static int
what_from(const char *name, enum desk_what *what)
{
    for (size_t i = 0; i < sizeof whats / sizeof *whats; i++) {
        if (strcmp(whats[i], name) != 0)
            continue;
        *what = (enum desk_what)i;
        return 0;
    }
    return -1;
}

/* *state is borrowed from the root. */
static int
question_from_json(json_t *root, const char **state, struct desk_question *q, struct err *e)
{
    int version = 0;
    int all;
    const char *what;
    json_t *events;
    json_t *rules;
    int rc = json_unpack(root, "{s:i}", "v", &version);
    if (rc == 0 && version != VERSION)
        return err_set(e, ERR_PROTOCOL, "the question is of another version, %d", version);
    if (rc == 0)
        rc = json_unpack(root, "{s:s, s:s, s:o, s:o, s:b}", "state", state, "what", &what, "events",
            &events, "rules", &rules, "all", &all);
    if (rc != 0 || what_from(what, &q->what) != 0 || strings_from_json(&q->events, events) != 0 ||
        strings_from_json(&q->rules, rules) != 0)
        return err_set(e, ERR_PROTOCOL, "not a question");
    q->all = all;
    return 0;
}

/* --- JSON: the answer --- */

static json_t *
job_to_json(const struct desk_job *j)
{
    json_t *job = json_pack("{s:s, s:I, s:s, s:s, s:s, s:I, s:s, s:i, s:I, s:s}", "event_id",
        j->event, "when", (json_int_t)j->when, "rule", j->rule, "account", j->account, "mailbox",
        j->mailbox, "uid", (json_int_t)j->uid, "result", j->result, "status", j->status, "attempts",
        (json_int_t)j->attempts, "subject", j->subject);
    if (j->output[0] != '\0')
        json_object_set_new(job, "output", json_string(j->output));
    return job;
}

static int
job_from_json(json_t *job, struct desk_job *j)
{
    const char *event, *rule, *account, *mailbox, *result, *subject, *output = "";
    json_int_t when, uid, attempts;
    int status;
    int rc = json_unpack(job, "{s:s, s:I, s:s, s:s, s:s, s:I, s:s, s:i, s:I, s:s, s?s}", "event_id",
        &event, "when", &when, "rule", &rule, "account", &account, "mailbox", &mailbox, "uid", &uid,
        "result", &result, "status", &status, "attempts", &attempts, "subject", &subject, "output",
        &output);
    if (rc != 0 || uid < 0 || uid > UINT32_MAX || attempts < 0 || attempts > UINT_MAX)
        return -1;
    *j = (struct desk_job){
        .event = xstrdup(event),
        .when = when,
        .rule = xstrdup(rule),
        .account = xstrdup(account),
        .mailbox = xstrdup(mailbox),
        .uid = (uint32_t)uid,
        .result = xstrdup(result),
        .status = status,
        .attempts = (unsigned)attempts,
        .subject = xstrdup(subject),
        .output = xstrdup(output),
    };
    return 0;
}

char *
control_job_line(const struct desk_job *job)
{
    char when[RFC3339_MAX];
    struct buf out = {0};
    share_allocator();
    json_t *line = json_pack("{s:i}", "v", VERSION);
    json_t *told = job_to_json(job);
    rfc3339_utc(when, job->when / 1000);
    json_object_update(line, told);
    json_object_set_new(line, "when", json_string(when));
    json_decref(told);
    write_json(&out, line, SIZE_MAX);
    return buf_take(&out);
}

static json_t *
error_to_json(const char *text)
{
    return json_pack("{s:i, s:s}", "v", VERSION, "error", text);
}

static json_t *
answer_to_json(const struct desk_answer *a)
{
    json_t *jobs = json_array();
    for (size_t i = 0; i < a->n; i++)
        json_array_append_new(jobs, job_to_json(&a->jobs[i]));
    return json_pack(
        "{s:i, s:o, s:o}", "v", VERSION, "jobs", jobs, "unknown", strings_to_json(&a->unknown));
}

static int
jobs_from_json(struct desk_answer *a, const json_t *jobs)
{
    size_t i;
    json_t *job;
    if (!json_is_array(jobs))
        return -1;
    a->jobs = xcalloc(json_array_size(jobs) + 1, sizeof *a->jobs);
    json_array_foreach(jobs, i, job)
    {
        if (job_from_json(job, &a->jobs[a->n]) != 0)
            return -1;
        a->n++;
    }
    return 0;
}

/* As control_ask(). */
static int
answer_from_json(json_t *root, struct desk_answer *a, struct err *e)
{
    const char *error = NULL;
    json_t *jobs = NULL;
    json_t *unknown = NULL;
    int version = 0;
    int other = 0;
    if (json_unpack(root, "{s:i, s?b, s?s, s?o, s?o}", "v", &version, "other_state", &other,
            "error", &error, "jobs", &jobs, "unknown", &unknown) != 0 ||
        version != VERSION)
        return err_set(e, ERR_PROTOCOL, "its answer is not understood: another version?");
    if (other)
        return 0;
    if (error != NULL)
        return err_set(e, ERR_IO, "%s", error);
    if (jobs_from_json(a, jobs) == 0 && strings_from_json(&a->unknown, unknown) == 0)
        return 1;
    desk_answer_free(a);
    return err_set(e, ERR_PROTOCOL, "its answer is not understood");
}

/* --- the server, and one client of it --- */

struct control {
    struct loop *loop;
    char *state; /* as state_name() */
    int (*on_question)(
        void *arg, const struct desk_question *q, struct desk_answer *a, struct err *e);
    void *arg;
    struct local local;
    struct loop_fd *watch;
    struct loop_timer pause;
    bool paused;
    struct list clients;
    unsigned n_clients;
};

struct client {
    struct list link;
    struct control *control;
    int fd;
    struct loop_fd *watch;
    struct loop_timer patience;
    struct buf in;
    struct buf out;
    size_t sent;
};

static void
listen_again(struct control *c)
{
    bool room = c->n_clients < CLIENTS_MAX && !c->paused;
    loop_fd_want(c->watch, room ? LOOP_READ : 0);
}

static void
client_close(struct client *k)
{
    struct control *c = k->control;
    loop_timer_clear(c->loop, &k->patience);
    loop_fd_close(k->watch);
    close(k->fd);
    buf_free(&k->in);
    buf_free(&k->out);
    list_remove(&k->link);
    c->n_clients--;
    loop_discard(c->loop, k);
}

static void
hang_up(struct client *k)
{
    struct control *c = k->control;
    client_close(k);
    listen_again(c);
}

static void
on_impatience(void *arg)
{
    hang_up(arg);
}

static void
send_answer(struct client *k)
{
    while (k->sent < k->out.n) {
        ssize_t n = local_send(k->fd, k->out.p + k->sent, k->out.n - k->sent);
        if (n < 0 && local_is_passing(errno)) {
            loop_fd_want(k->watch, LOOP_WRITE);
            return;
        }
        if (n < 0)
            break;
        k->sent += (size_t)n;
    }
    hang_up(k);
}

static void
answer_with(struct client *k, json_t *answer)
{
    if (write_json(&k->out, answer, ANSWER_MAX) != 0) {
        buf_clear(&k->out);
        write_json(&k->out, error_to_json("the answer is too long: name fewer jobs"), ANSWER_MAX);
    }
    buf_addc(&k->out, '\n');
    send_answer(k);
}

static void
answer_error(struct client *k, const char *text)
{
    struct buf valid = {0};
    utf8_repair(&valid, span_str(text));
    answer_with(k, error_to_json(buf_str(&valid)));
    buf_free(&valid);
}

static json_t *
answer_to(struct control *c, json_t *root, struct err *e)
{
    struct desk_question q = {0};
    struct desk_answer a = {0};
    const char *state = NULL;
    json_t *answer = NULL;
    if (question_from_json(root, &state, &q, e) != 0)
        answer = NULL;
    else if (strcmp(state, c->state) != 0)
        answer = json_pack("{s:i, s:b}", "v", VERSION, "other_state", 1);
    else if (c->on_question(c->arg, &q, &a, e) == 0)
        answer = answer_to_json(&a);
    desk_question_free(&q);
    desk_answer_free(&a);
    return answer;
}

static void
on_line(struct client *k, size_t length)
{
    struct err e = {0};
    json_t *root = json_loadb(k->in.p, length, JSON_REJECT_DUPLICATES, NULL);
    json_t *answer = answer_to(k->control, root, &e);
    json_decref(root);
    if (answer != NULL)
        answer_with(k, answer);
    else
        answer_error(k, e.text);
}

static void
read_question(struct client *k)
{
    ssize_t n = recv(k->fd, buf_room(&k->in, PIECE), PIECE, 0);
    if (n < 0 && local_is_passing(errno))
        return;
    if (n <= 0) {
        hang_up(k);
        return;
    }
    k->in.n += (size_t)n;
    buf_end(&k->in);
    const char *end = memchr(k->in.p + k->in.n - (size_t)n, '\n', (size_t)n);
    if (end != NULL)
        on_line(k, (size_t)(end - k->in.p));
    else if (k->in.n > QUESTION_MAX)
        answer_error(k, "the question is too long");
}

static void
on_client(void *arg, int events)
{
    struct client *k = arg;
    (void)events;
    if (k->out.n > 0)
        send_answer(k);
    else
        read_question(k);
}

/* --- the server --- */

static void
welcome(struct control *c, int fd)
{
    struct client *k = xcalloc(1, sizeof *k);
    k->control = c;
    k->fd = fd;
    k->watch = loop_fd_new(c->loop, fd, on_client, k);
    loop_timer_init(&k->patience, on_impatience, k);
    loop_timer_set(c->loop, &k->patience, clock_ms() + PATIENCE_MS);
    list_append(&c->clients, &k->link);
    c->n_clients++;
    loop_fd_want(k->watch, LOOP_READ);
}

static void
on_pause_over(void *arg)
{
    struct control *c = arg;
    c->paused = false;
    listen_again(c);
}

static void
on_knock(void *arg, int events)
{
    struct control *c = arg;
    (void)events;
    int fd;
    enum local_guest guest = local_accept(&c->local, &fd);
    if (guest == LOCAL_GUEST)
        welcome(c, fd);
    if (guest == LOCAL_EXHAUSTED) {
        c->paused = true;
        loop_timer_set(c->loop, &c->pause, clock_ms() + PAUSE_MS);
    }
    listen_again(c);
}

struct control *
control_open(const struct control_opts *opts, struct err *e)
{
    share_allocator();
    struct local local;
    if (local_listen(&local, opts->folder, SOCKET_NAME, CLIENTS_MAX, e) != 0)
        return NULL;
    struct control *c = xcalloc(1, sizeof *c);
    c->loop = opts->loop;
    c->state = state_name(opts->state);
    c->on_question = opts->on_question;
    c->arg = opts->arg;
    c->local = local;
    list_init(&c->clients);
    loop_timer_init(&c->pause, on_pause_over, c);
    c->watch = loop_fd_new(c->loop, local.fd, on_knock, c);
    loop_fd_want(c->watch, LOOP_READ);
    return c;
}

void
control_close(struct control *c)
{
    if (c == NULL)
        return;
    LIST_EACH(&c->clients, link)
    client_close(LIST_OWNER(link, struct client, link));
    loop_timer_clear(c->loop, &c->pause);
    loop_fd_close(c->watch);
    local_close(&c->local);
    free(c->state);
    loop_discard(c->loop, c);
}

/* --- the asker --- */

/* How long the asker waits for poll(); 0 when its time is over. */
static int
time_left(uint64_t deadline)
{
    uint64_t now = clock_ms();
    return now < deadline ? (int)(deadline - now) : 0;
}

static int
wait_until(int fd, short events, uint64_t deadline, struct err *e)
{
    struct pollfd p = {.fd = fd, .events = events};
    int left;
    while ((left = time_left(deadline)) > 0)
        if (poll(&p, 1, left) > 0)
            return 0;
    return err_set(e, ERR_AGAIN, "no answer within %d s", PATIENCE_S);
}

static int
hung_up(struct err *e)
{
    return err_set(e, ERR_AGAIN, "hung up without an answer");
}

static int
send_question(int fd, struct span line, uint64_t deadline, struct err *e)
{
    while (line.n > 0) {
        ssize_t n = local_send(fd, line.p, line.n);
        if (n < 0 && !local_is_passing(errno))
            return hung_up(e);
        if (n < 0 && wait_until(fd, POLLOUT, deadline, e) != 0)
            return -1;
        if (n > 0)
            line = (struct span){line.p + n, line.n - (size_t)n};
    }
    return 0;
}

/* One line, into *in. */
static int
receive_answer(int fd, struct buf *in, uint64_t deadline, struct err *e)
{
    while (in->n == 0 || in->p[in->n - 1] != '\n') {
        if (in->n > ANSWER_MAX)
            return err_set(e, ERR_PROTOCOL, "its answer has no end");
        ssize_t n = recv(fd, buf_room(in, PIECE), PIECE, 0);
        if (n == 0 || (n < 0 && !local_is_passing(errno)))
            return hung_up(e);
        if (n < 0 && wait_until(fd, POLLIN, deadline, e) != 0)
            return -1;
        in->n += n > 0 ? (size_t)n : 0;
        buf_end(in);
    }
    return 0;
}

static int
exchange(int fd, struct span line, struct desk_answer *a, struct err *e)
{
    struct buf in = {0};
    uint64_t deadline = clock_ms() + PATIENCE_MS;
    int rc = -1;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (send_question(fd, line, deadline, e) == 0 && receive_answer(fd, &in, deadline, e) == 0) {
        json_t *root = json_loadb(in.p, in.n, JSON_REJECT_DUPLICATES, NULL);
        rc = answer_from_json(root, a, e);
        json_decref(root);
    }
    buf_free(&in);
    return rc;
}

static int
ask(const char *folder, struct span line, struct desk_answer *a, struct err *e)
{
    int fd = -1;
    int rc = local_connect(folder, SOCKET_NAME, PATIENCE_S, &fd, e);
    if (rc != 1)
        return rc;
    rc = exchange(fd, line, a, e);
    close(fd);
    return rc >= 0 ? rc : err_wrap(e, "%s/" SOCKET_NAME, folder);
}

int
control_ask(const char *folder, const char *state, const struct desk_question *q,
    struct desk_answer *a, struct err *e)
{
    *a = (struct desk_answer){0};
    char *resolved = realpath(state, NULL);
    if (resolved == NULL)
        return 0; /* what is not there nobody has */
    share_allocator();
    char *name = state_name(resolved);
    struct buf line = {0};
    int rc = write_json(&line, question_to_json(name, q), QUESTION_MAX);
    buf_addc(&line, '\n');
    rc = rc == 0 ? ask(folder, buf_span(&line), a, e)
                 : err_set(e, ERR_USAGE, "too many names at once");
    buf_free(&line);
    free(name);
    free(resolved);
    return rc;
}
