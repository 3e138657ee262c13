/* SPDX-License-Identifier: ISC */
/* One run of a hook, as the daemon would start it, with nothing owed afterwards. */
#include "cmd.h"

#include "base/mem.h"
#include "config/config.h"
#include "hook/run.h"
#include "job/spool.h"
#include "sys/log.h"
#include "watch/outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* --- the environment --- */

static void
print_shell(const char *entry)
{
    struct buf line = {0};
    size_t n = strcspn(entry, "=");
    buf_add(&line, entry, n);
    buf_addc(&line, '=');
    out_shell(&line, entry + n + (entry[n] == '='));
    out_lines(buf_str(&line));
    putchar('\n');
    buf_free(&line);
}

static void
print_zero(const char *entry)
{
    fputs(entry, stdout);
    putchar('\0');
}

static void
print_object(const struct strv *env)
{
    struct buf line = {0};
    for (size_t i = 0; i < env->n; i++) {
        const char *entry = env->v[i];
        char *name = xstrndup(entry, strcspn(entry, "="));
        buf_addc(&line, i > 0 ? ',' : '{');
        out_json(&line, name);
        buf_addc(&line, ':');
        out_json(&line, entry + strcspn(entry, "=") + 1);
        free(name);
    }
    printf("%s}\n", env->n > 0 ? buf_str(&line) : "{");
    buf_free(&line);
}

void
hook_environment(const struct letter *letter, const struct config *c, enum env_form form)
{
    struct strv env = {0};
    letter_environ(letter, environ, &c->secrets, &env);
    for (size_t i = 0; i < env.n && form != ENV_JSON; i++)
        (form == ENV_ZERO ? print_zero : print_shell)(env.v[i]);
    if (form == ENV_JSON)
        print_object(&env);
    strv_free(&env);
}

/* --- its files --- */

struct spool_file *
hook_equip(struct door *d, struct letter *letter, const struct event *event,
    const struct event_file *files, size_t n_files)
{
    struct err e = {0};
    struct spool_file *f = spool_begin(d->spool, &e);
    char *plain = event_json(event);
    char *json = event_json_files(plain, files, n_files);
    if (letter->decode)
        letter_attach(letter, event->folder, files, n_files);
    if (f != NULL && spool_write(f, span_str(json), &e) == 0 &&
        spool_write(f, SPAN("\n"), &e) == 0 && spool_finish(f, &e) == 0)
        fields_set(&letter->fields, "JSON_FILE", spool_path(f));
    else
        log_warn("%s", e.text);
    letter_address(letter, event->kind, event->attempt);
    free(plain);
    free(json);
    return f;
}

/* --- its standard input --- */

static int
open_text(struct door *d, const char *text, const char *end, struct err *e)
{
    int fd = -1;
    struct spool_file *f = spool_begin(d->spool, e);
    if (f != NULL && spool_write(f, span_str(text), e) == 0 &&
        spool_write(f, span_str(end), e) == 0 && spool_finish(f, e) == 0)
        fd = spool_reopen(f, e);
    spool_remove(f);
    return fd;
}

static int
open_headers(struct door *d, const struct given *m, struct err *e)
{
    struct spool_file *f = spool_headers(d->spool, m->file, e);
    int fd = f != NULL ? spool_reopen(f, e) : -1;
    spool_remove(f);
    return fd;
}

static int
write_all(int fd, struct span s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0)
            s = (struct span){s.p + n, s.n - (size_t)n};
    }
    return 0;
}

/* Writes what `from` has, each LF as CRLF. */
static int
copy_crlf(int from, int to)
{
    char piece[16 * 1024];
    struct buf out = {0};
    ssize_t n = 0;
    int rc = 0;
    while (rc == 0 && (n = read(from, piece, sizeof piece)) > 0) {
        buf_clear(&out);
        for (ssize_t i = 0; i < n; i++) {
            if (piece[i] == '\n')
                buf_addc(&out, '\r');
            buf_addc(&out, piece[i]);
        }
        rc = write_all(to, buf_span(&out));
    }
    buf_free(&out);
    return n < 0 ? -1 : rc;
}

/* The same file with CRLF, in the place of `fd`. The spool writes LF only. */
static int
with_crlf(const struct given *m, int fd, struct err *e)
{
    int again = -1;
    char *path = xasprintf("%s.crlf", spool_path(m->file));
    int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to >= 0 && copy_crlf(fd, to) == 0)
        again = open(path, O_RDONLY | O_CLOEXEC);
    if (again < 0)
        err_sys(e, ERR_IO, errno, "%s", path);
    if (to >= 0) {
        unlink(path);
        close(to);
    }
    close(fd);
    free(path);
    return again;
}

/* -1 with e->kind ERR_NONE: there is none. */
static int
open_stdin(struct door *d, const struct given *m, const struct letter *l, struct err *e)
{
    int fd = -1;
    switch (l->stdin_kind) {
    case STDIN_MESSAGE:
        fd = spool_reopen(m->file, e);
        break;
    case STDIN_HEADERS:
        fd = open_headers(d, m, e);
        break;
    case STDIN_JSON:
        return open_text(d, l->json, "\n", e);
    case STDIN_BODY:
        return open_text(d, l->text, "", e);
    case STDIN_NONE:
        break;
    }
    return fd >= 0 && l->eol == EOL_CRLF ? with_crlf(m, fd, e) : fd;
}

/* --- the run --- */

struct trying {
    const struct letter *letter;
    struct run *run;
    enum run_result result;
    int signal; /* that told us to end */
};

static void
on_line(void *arg, struct span line)
{
    const struct trying *t = arg;
    fprintf(stderr, "[%s] %.*s\n", fields_get(&t->letter->fields, "RULE"), (int)line.n, line.p);
}

static void
on_done(void *arg, const struct outcome *outcome)
{
    struct trying *t = arg;
    struct buf line = {0};
    outcome_line(&line, t->letter, outcome);
    fprintf(stderr, "%s\n", buf_str(&line));
    buf_free(&line);
    t->result = outcome->result;
    t->run = NULL;
}

static void
on_signal(void *arg, int number)
{
    struct trying *t = arg;
    if (t->run != NULL && t->signal == 0)
        run_stop(t->run);
    else if (t->run != NULL)
        run_kill(t->run);
    t->signal = number;
}

/* The hook is in a group of its own: what the terminal sends must reach it too. */
static void
wait_for(struct door *d, struct trying *t)
{
    struct loop_signal *interrupt = loop_signal_new(d->loop, SIGINT, on_signal, t);
    struct loop_signal *terminate = loop_signal_new(d->loop, SIGTERM, on_signal, t);
    while (t->run != NULL)
        loop_turn(d->loop, true);
    loop_signal_close(interrupt);
    loop_signal_close(terminate);
}

int
hook_try(struct door *d, const struct given *m, const struct letter *letter, const struct config *c)
{
    struct err e = {0};
    struct trying t = {.letter = letter};
    int fd = open_stdin(d, m, letter, &e);
    if (fd < 0 && e.kind != ERR_NONE)
        return fail(&e);
    fflush(stdout);
    struct run_opts opts = {
        .letter = letter,
        .stdin_fd = fd,
        .inherited = environ,
        .secrets = &c->secrets,
        .on_line = on_line,
        .on_done = on_done,
        .arg = &t,
    };
    t.run = run_start(d->loop, &opts);
    if (fd >= 0)
        close(fd);
    wait_for(d, &t);
    if (t.signal != 0)
        return 128 + t.signal;
    return t.result == RUN_OK ? EXIT_OK : EXIT_NO;
}
