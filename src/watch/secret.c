/* SPDX-License-Identifier: ISC */
/*
 * Where passwords come from: a command, a file, a variable, a service manager's credential, the
 * configuration itself. The bytes live in one buffer here, wiped before it is freed, and appear in
 * no error text.
 */
#include "watch/secret.h"

#include "base/mem.h"
#include "sys/child.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct secret {
    struct loop *loop;
    const struct secret_opts *opts;
    void (*on_secret)(void *arg, struct span secret, const struct err *why);
    void *arg;
    struct buf found;
    struct err why;
    bool failed;
    struct child *child;
    bool ended; /* the command has; whom it left in its group is none of our business */
    struct loop_timer timer; /* a command: its time limit; else: answers in the next turn */
};

void
secret_close(struct secret *s)
{
    if (s == NULL)
        return;
    loop_timer_clear(s->loop, &s->timer);
    if (s->child != NULL && !s->ended)
        child_signal(s->child, SIGTERM);
    child_close(s->child);
    buf_wipe(&s->found);
    free(s);
}

/* The first line, or why there is none. */
static int
first_line(struct secret *s, struct span *line)
{
    const char *end = s->found.n > 0 ? memchr(s->found.p, '\n', s->found.n) : NULL;
    *line = buf_span(&s->found);
    if (end != NULL)
        line->n = (size_t)(end - line->p);
    if (line->n > 0 && line->p[line->n - 1] == '\r')
        line->n--;
    if (s->found.n > SECRET_MAX)
        return err_set(&s->why, ERR_AUTH, "longer than %d bytes", SECRET_MAX);
    if (line->n == 0)
        return err_set(&s->why, ERR_AUTH, "empty");
    if (memchr(line->p, '\0', line->n) != NULL)
        return err_set(&s->why, ERR_AUTH, "contains a NUL byte");
    return 0;
}

static const char *const kind_names[] = {
    [SECRET_COMMAND] = "password_command",
    [SECRET_TOKEN_COMMAND] = "token_command",
    [SECRET_FILE] = "password_file",
    [SECRET_ENV] = "password_env",
    [SECRET_CREDENTIAL] = "password_credential",
    [SECRET_PLAIN] = "password",
};

static void
answer(struct secret *s)
{
    struct span line = {0};
    bool good = !s->failed && first_line(s, &line) == 0;
    if (!good)
        err_wrap(&s->why, "%s", kind_names[s->opts->kind]);
    s->on_secret(s->arg, good ? line : (struct span){0}, good ? NULL : &s->why);
    secret_close(s);
}

static void
read_file(struct secret *s, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t n = -1;
    if (fd >= 0) {
        while (s->found.n <= SECRET_MAX && (n = read(fd, buf_room(&s->found, 4096), 4096)) > 0) {
            s->found.n += (size_t)n;
            buf_end(&s->found);
        }
    }
    if (n < 0) {
        s->failed = true;
        err_sys(&s->why, ERR_AUTH, errno, "%s", path);
    }
    if (fd >= 0)
        close(fd);
}

static void
read_variable(struct secret *s, const char *name)
{
    const char *value = getenv(name);
    if (value != NULL) {
        buf_adds(&s->found, value);
        return;
    }
    s->failed = true;
    err_set(&s->why, ERR_AUTH, "$%s is not set", name);
}

static void
read_credential(struct secret *s, const char *name)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (folder == NULL) {
        s->failed = true;
        err_set(&s->why, ERR_AUTH,
            "$CREDENTIALS_DIRECTORY is not set; LoadCredential=%s: in the "
            "unit sets it",
            name);
        return;
    }
    char *path = xasprintf("%s/%s", folder, name);
    read_file(s, path);
    free(path);
}

static void
on_command_output(void *arg, struct span bytes)
{
    struct secret *s = arg;
    if (s->found.n <= SECRET_MAX)
        buf_addspan(&s->found, bytes);
}

static void
on_command_exit(void *arg, int status, int spawn_errno)
{
    struct secret *s = arg;
    s->ended = true;
    if (spawn_errno != 0) {
        s->failed = true;
        err_sys(&s->why, ERR_AUTH, spawn_errno, "cannot start");
    } else if (!s->failed && status != 0) {
        s->failed = true;
        if (WIFSIGNALED(status))
            err_set(&s->why, ERR_AUTH, "killed by signal %d", WTERMSIG(status));
        else
            err_set(&s->why, ERR_AUTH, "exit status %d", WEXITSTATUS(status));
    }
    answer(s);
}

static void
on_timer(void *arg)
{
    struct secret *s = arg;
    if (s->child != NULL) {
        s->failed = true;
        err_set(&s->why, ERR_AUTH, "no answer within %d s", SECRET_TIMEOUT_MS / 1000);
        child_signal(s->child, SIGKILL);
    }
    answer(s);
}

/* A list runs as it is, by env(1)'s rules for finding it; a string by the shell. */
static void
start_command(struct secret *s)
{
    struct strv argv = {0};
    if (s->opts->shell) {
        strv_add(&argv, "/bin/sh");
        strv_add(&argv, "-c");
    } else {
        strv_add(&argv, "/usr/bin/env");
        strv_add(&argv, "--");
    }
    strv_copy(&argv, &s->opts->argv);
    struct child_opts opts = {
        .path = argv.v[0],
        .argv = argv.v,
        .envp = environ,
        .umask = -1,
        .stdin_fd = -1,
        .capture_out = true,
        .on_output = on_command_output,
        .on_exit = on_command_exit,
        .arg = s,
    };
    s->child = child_start(s->loop, &opts);
    strv_free(&argv);
    loop_timer_set(s->loop, &s->timer, clock_ms() + SECRET_TIMEOUT_MS);
}

struct secret *
secret_ask(struct loop *l, const struct secret_opts *opts,
    void (*on_secret)(void *arg, struct span secret, const struct err *why), void *arg)
{
    struct secret *s = xcalloc(1, sizeof *s);
    *s = (struct secret){.loop = l, .opts = opts, .on_secret = on_secret, .arg = arg};
    loop_timer_init(&s->timer, on_timer, s);
    switch (opts->kind) {
    case SECRET_COMMAND:
    case SECRET_TOKEN_COMMAND:
        start_command(s);
        return s;
    case SECRET_FILE:
        read_file(s, opts->text);
        break;
    case SECRET_ENV:
        read_variable(s, opts->text);
        break;
    case SECRET_CREDENTIAL:
        read_credential(s, opts->text);
        break;
    case SECRET_PLAIN:
        buf_adds(&s->found, opts->text);
        break;
    }
    loop_timer_set(l, &s->timer, clock_ms());
    return s;
}
