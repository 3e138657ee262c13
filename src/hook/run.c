/* SPDX-License-Identifier: ISC */
/* One hook process from start to verdict (INTERFACE section 4).
 *
 * The phases go one way: RUNNING → TERM_SENT → KILL_SENT → OVER, any of them may be skipped, and
 * the timer means what the phase says. A process that could not be started goes UNSTARTED → OVER
 * by the timer, so that on_done never comes from inside run_start(). OVER begins right before
 * on_done and lasts as long as somebody left behind holds the output pipe; nothing of the letter,
 * the options or the caller is touched in it but the ring `left`.
 * Knows nothing of retries, actions and what the output means. */
#include "hook/run.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "sys/child.h"
#include "sys/clock.h"
#include "sys/loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STATUS_NOT_EXECUTABLE = 126, /* as a shell would say */
    STATUS_NOT_FOUND = 127,
};

enum phase { PHASE_RUNNING, PHASE_TERM_SENT, PHASE_KILL_SENT, PHASE_UNSTARTED, PHASE_OVER };

struct run {
    enum phase phase;
    bool timed_out; /* the first of us to send a signal was the timeout … */
    bool stopped;   /* … or the caller */
    struct loop *loop;
    struct child *child; /* NULL while PHASE_UNSTARTED */
    struct loop_timer timer;
    uint64_t started;
    const struct letter *letter;
    char *path; /* the program */
    struct outcome outcome;
    struct err why;  /* of RUN_SPAWN */
    struct buf raw;  /* the line so far, at most RUN_LINE_MAX bytes, not escaped */
    bool continued;  /* pieces of this line were given out already */
    struct buf tail; /* escaped; at most twice RUN_TAIL_MAX */
    bool captured;
    struct list link; /* in the caller's ring while OVER */
    struct list *left;
    void (*on_line)(void *arg, struct span line);
    void (*on_done)(void *arg, const struct outcome *outcome);
    void *arg;
};

/* --- the verdict --- */

static const struct verdict {
    int status;
    enum run_result result;
} verdicts[] = {
    {0, RUN_OK},
    {75, RUN_AGAIN}, /* EX_TEMPFAIL */
    {99, RUN_OK},    /* qmail: and no further rule */
    {111, RUN_AGAIN},
    {STATUS_NOT_EXECUTABLE, RUN_AGAIN},
    {STATUS_NOT_FOUND, RUN_AGAIN},
};

static enum run_result
verdict_of(int status)
{
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++)
        if (verdicts[i].status == status)
            return verdicts[i].result;
    return RUN_FAIL;
}

void
run_verdict(int wait_status, struct outcome *o)
{
    if (WIFSIGNALED(wait_status)) {
        o->result = RUN_SIGNAL;
        o->status = 128 + WTERMSIG(wait_status);
    } else {
        o->status = WEXITSTATUS(wait_status);
        o->result = verdict_of(o->status);
    }
    o->stop_message = o->result == RUN_OK && o->status == 99;
}

const char *
run_result_name(enum run_result r)
{
    static const char *const names[] = {
        [RUN_OK] = "ok",
        [RUN_FAIL] = "fail",
        [RUN_AGAIN] = "again",
        [RUN_TIMEOUT] = "timeout",
        [RUN_SIGNAL] = "signal",
        [RUN_SPAWN] = "spawn",
    };
    return names[r];
}

/* --- finding the program --- */

struct search {
    const char *name;
    char *found;
    char *blocked; /* the first file of that name that is not executable */
};

static bool
is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static void
look(struct search *s, char *path)
{
    bool file = s->found == NULL && is_file(path);
    if (file && access(path, X_OK) == 0)
        s->found = path;
    else if (file && s->blocked == NULL)
        s->blocked = path;
    else
        free(path);
}

static void
look_in(struct search *s, struct span folder)
{
    look(s, xasprintf("%.*s/%s", (int)folder.n, folder.p, s->name));
}

/* An entry that is not absolute would mean another folder for each hook; it is passed over. */
static void
look_in_search_path(struct search *s, const char *list)
{
    while (*list != '\0') {
        struct span folder = {list, strcspn(list, ":")};
        if (*list == '/')
            look_in(s, folder);
        list += folder.n + (list[folder.n] == ':');
    }
}

static void
list_places(struct buf *out, const struct strv *path)
{
    for (size_t i = 0; i < path->n; i++)
        buf_addf(out, "%s%s", path->v[i], i + 1 < path->n ? ", " : "");
    bool shipped = !strv_has(path, MAILCALL_HOOKS);
    buf_adds(out, path->n == 0 ? "" : shipped ? ", " : " or ");
    buf_adds(out, shipped ? "$PATH or " MAILCALL_HOOKS : "$PATH");
}

static void
search_everywhere(struct search *s, const struct strv *path, const char *search_path)
{
    for (size_t i = 0; i < path->n; i++)
        look_in(s, span_str(path->v[i]));
    if (search_path != NULL)
        look_in_search_path(s, search_path);
    look_in(s, SPAN(MAILCALL_HOOKS));
}

/* `path` is NULL when nothing was searched. */
static void
say_not_found(const struct search *s, const struct strv *path, struct err *e)
{
    if (s->blocked != NULL) {
        err_set(e, ERR_INPUT, "%s: not executable; chmod +x %s", s->name, s->blocked);
    } else if (path == NULL) {
        err_set(e, ERR_INPUT, "%s: no such program", s->name);
    } else {
        struct buf places = {0};
        list_places(&places, path);
        err_set(e, ERR_INPUT, "%s: not found in %s", s->name, places.p);
        buf_free(&places);
    }
}

/* As run_find(), and in *status what a shell would answer if it fails. */
static char *
find(const char *name, const struct strv *path, const char *search_path, struct err *e, int *status)
{
    bool bare = strchr(name, '/') == NULL;
    if (!bare && name[0] != '/')
        return xstrdup(name);
    struct search s = {.name = name};
    if (bare)
        search_everywhere(&s, path, search_path);
    else
        look(&s, xstrdup(name));
    *status = s.blocked != NULL ? STATUS_NOT_EXECUTABLE : STATUS_NOT_FOUND;
    if (s.found == NULL)
        say_not_found(&s, bare ? path : NULL, e);
    free(s.blocked);
    return s.found;
}

char *
run_find(const char *name, const struct strv *path, const char *search_path, struct err *e)
{
    int status;
    return find(name, path, search_path, e, &status);
}

/* --- output --- */

static void
give_out(struct run *r, struct span piece)
{
    if (r->on_line != NULL)
        r->on_line(r->arg, piece);
    buf_addspan(&r->tail, piece);
    if (r->tail.n > 2 * (size_t)RUN_TAIL_MAX)
        buf_eat(&r->tail, r->tail.n - RUN_TAIL_MAX);
}

/* Escaping makes text longer, so one raw piece may leave as several; never inside an escape. */
static void
give_out_escaped(struct run *r, struct span raw)
{
    struct buf piece = {0};
    while (raw.n > 0) {
        struct span one = raw;
        utf8_take(&raw);
        one.n -= raw.n;
        size_t before = piece.n;
        utf8_visible(&piece, one);
        if (piece.n <= RUN_LINE_MAX)
            continue;
        give_out(r, (struct span){piece.p, before});
        buf_eat(&piece, before);
    }
    if (piece.n > 0)
        give_out(r, buf_span(&piece));
    buf_free(&piece);
}

/* How many bytes at the end of s are the beginning of a character that goes on. */
static size_t
unfinished(struct span s)
{
    for (size_t n = 1; n <= 3 && n <= s.n; n++) {
        unsigned char c = (unsigned char)s.p[s.n - n];
        if ((c & 0xC0) == 0x80)
            continue;
        size_t need = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
        return need > n ? n : 0;
    }
    return 0;
}

static void
break_line(struct run *r)
{
    size_t n = r->raw.n - unfinished(buf_span(&r->raw));
    give_out_escaped(r, (struct span){r->raw.p, n});
    buf_eat(&r->raw, n);
    r->continued = true;
}

static void
end_line(struct run *r)
{
    if (r->raw.n > 0)
        give_out_escaped(r, buf_span(&r->raw));
    else if (!r->continued)
        give_out(r, SPAN(""));
    buf_addc(&r->tail, '\n');
    buf_clear(&r->raw);
    r->continued = false;
}

static void
on_output(void *arg, struct span bytes)
{
    struct run *r = arg;
    if (r->phase == PHASE_OVER || r->letter->output == OUTPUT_DISCARD)
        return;
    while (bytes.n > 0) {
        const char *newline = memchr(bytes.p, '\n', bytes.n);
        size_t n = newline != NULL ? (size_t)(newline - bytes.p) : bytes.n;
        size_t room = RUN_LINE_MAX - r->raw.n;
        bool ended = newline != NULL && n <= room;
        n = n < room ? n : room;
        buf_add(&r->raw, bytes.p, n);
        n += ended;
        bytes = (struct span){bytes.p + n, bytes.n - n};
        if (ended)
            end_line(r);
        else if (r->raw.n == RUN_LINE_MAX)
            break_line(r);
    }
}

static struct span
tail_of(const struct buf *tail)
{
    struct span s = buf_span(tail);
    if (s.n > 0 && s.p[s.n - 1] == '\n')
        s.n--;
    size_t drop = s.n > RUN_TAIL_MAX ? s.n - RUN_TAIL_MAX : 0;
    while (drop < s.n && ((unsigned char)s.p[drop] & 0xC0) == 0x80)
        drop++;
    return (struct span){drop > 0 ? s.p + drop : s.p, s.n - drop};
}

/* --- the end --- */

static void
dissolve(struct run *r)
{
    list_remove(&r->link);
    child_close(r->child);
    free(r->path);
    buf_free(&r->raw);
    buf_free(&r->tail);
    free(r);
}

static void
linger(struct run *r)
{
    unsigned n = 0;
    list_append(r->left, &r->link);
    for (const struct list *link = r->left->next; link != r->left; link = link->next)
        n++;
    if (n > RUN_LEFT_MAX)
        dissolve(LIST_OWNER(r->left->next, struct run, link));
}

static void
finish(struct run *r)
{
    loop_timer_clear(r->loop, &r->timer);
    r->phase = PHASE_OVER;
    r->outcome.elapsed_ms = clock_ms() - r->started;
    r->outcome.tail = tail_of(&r->tail);
    r->outcome.reason = r->why.text;
    r->on_done(r->arg, &r->outcome);
    if (r->outcome.result == RUN_SPAWN || !r->captured)
        dissolve(r);
    else if (r->left != NULL)
        linger(r);
}

/* The hook's group may have been left with members who did not heed TERM. */
static void
kill_the_rest(struct run *r)
{
    if (r->timed_out || r->stopped)
        child_signal(r->child, SIGKILL);
}

static void
fail_to_start(struct run *r, int number)
{
    r->outcome.result = RUN_SPAWN;
    r->outcome.status = number == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
    r->outcome.shortage =
        number == EMFILE || number == ENFILE || number == EAGAIN || number == ENOMEM;
    if (number == ENOEXEC)
        err_set(&r->why, ERR_INPUT, "%s: not a program; a script begins with #!", r->path);
    else
        err_sys(&r->why, ERR_SYSTEM, number, "%s: %s", r->path, child_failed(r->child));
    finish(r);
}

/* What the status means once it is known who ended the process. */
static void
judge(struct run *r, int wait_status)
{
    struct outcome *o = &r->outcome;
    run_verdict(wait_status, o);
    if (r->timed_out)
        o->result = RUN_TIMEOUT;
    else if (r->stopped && o->result != RUN_OK)
        o->result = RUN_AGAIN;
    o->stop_message = o->stop_message && o->result == RUN_OK;
}

static void
on_exit_status(void *arg, int wait_status, int spawn_errno)
{
    struct run *r = arg;
    if (spawn_errno != 0) {
        fail_to_start(r, spawn_errno);
        return;
    }
    kill_the_rest(r);
    if (r->raw.n > 0)
        end_line(r);
    judge(r, wait_status);
    finish(r);
}

static void
on_eof(void *arg)
{
    struct run *r = arg;
    if (r->phase == PHASE_OVER)
        dissolve(r);
}

void
run_abandon_oldest(struct list *left, unsigned n)
{
    for (; n > 0 && !list_empty(left); n--)
        dissolve(LIST_OWNER(left->next, struct run, link));
}

void
run_abandon(struct list *left)
{
    LIST_EACH(left, link)
    {
        dissolve(LIST_OWNER(link, struct run, link));
    }
}

/* --- signals and time --- */

static void
terminate(struct run *r)
{
    r->phase = PHASE_TERM_SENT;
    child_signal(r->child, SIGTERM);
    child_signal(r->child, SIGCONT); /* a stopped process would never see the TERM */
    loop_timer_set(r->loop, &r->timer, clock_ms() + r->letter->kill_after_ms);
}

static void
kill_now(struct run *r)
{
    r->phase = PHASE_KILL_SENT;
    child_signal(r->child, SIGKILL);
    loop_timer_clear(r->loop, &r->timer);
}

static void
on_due(void *arg)
{
    struct run *r = arg;
    switch (r->phase) {
    case PHASE_RUNNING:
        r->timed_out = true;
        terminate(r);
        break;
    case PHASE_TERM_SENT:
        kill_now(r);
        break;
    case PHASE_UNSTARTED:
        finish(r);
        break;
    case PHASE_KILL_SENT:
    case PHASE_OVER:
        assert(!"the timer was cleared");
    }
}

void
run_stop(struct run *r)
{
    if (r->phase != PHASE_RUNNING)
        return;
    r->stopped = true;
    terminate(r);
}

void
run_kill(struct run *r)
{
    if (r->phase != PHASE_RUNNING && r->phase != PHASE_TERM_SENT)
        return;
    r->stopped = true;
    kill_now(r);
}

/* --- the start --- */

static const char *
value_of(const struct strv *env, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < env->n; i++)
        if (strncmp(env->v[i], name, n) == 0 && env->v[i][n] == '=')
            return env->v[i] + n + 1;
    return NULL;
}

static struct child *
start_child(struct run *r, const struct run_opts *opts, const struct strv *env)
{
    const struct letter *l = opts->letter;
    struct child_opts child = {
        .path = r->path,
        .argv = l->argv.v,
        .envp = env->v,
        .cwd = l->cwd,
        .umask = (int)l->umask,
        .stdin_fd = opts->stdin_fd,
        .capture_out = r->captured,
        .capture_err = r->captured,
        .on_output = on_output,
        .on_exit = on_exit_status,
        .on_eof = on_eof,
        .arg = r,
    };
    return child_start(r->loop, &child);
}

/* Whether the child was started; else r->outcome and r->why say why not. */
static bool
launch(struct run *r, const struct run_opts *opts)
{
    struct strv env = {0};
    letter_environ(opts->letter, opts->inherited, opts->secrets, &env);
    r->path = find(opts->letter->argv.v[0], &opts->letter->path, value_of(&env, "PATH"), &r->why,
        &r->outcome.status);
    if (r->path != NULL)
        r->child = start_child(r, opts, &env);
    strv_free(&env);
    return r->child != NULL;
}

struct run *
run_start(struct loop *loop, const struct run_opts *opts)
{
    assert(opts->letter->argv.n > 0);
    struct run *r = xcalloc(1, sizeof *r);
    r->loop = loop;
    r->letter = opts->letter;
    r->started = clock_ms();
    r->captured = opts->letter->output != OUTPUT_INHERIT;
    r->left = opts->left;
    r->on_line = opts->on_line;
    r->on_done = opts->on_done;
    r->arg = opts->arg;
    list_init(&r->link);
    loop_timer_init(&r->timer, on_due, r);
    if (!launch(r, opts)) {
        r->phase = PHASE_UNSTARTED;
        r->outcome.result = RUN_SPAWN;
        loop_timer_set(loop, &r->timer, r->started);
    } else if (r->letter->timeout_ms > 0) {
        loop_timer_set(loop, &r->timer, r->started + r->letter->timeout_ms);
    }
    return r;
}
