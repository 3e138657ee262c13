/* SPDX-License-Identifier: ISC */
/* mailcall failed, retry, drop: the jobs that failed for good: listed, run again, forgotten. The
 * daemon that has the state is asked; where none runs, the journal answers by itself. */
#include "cmd.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/rfc3339.h"
#include "base/utf8.h"
#include "job/journal.h"
#include "job/spool.h"
#include "watch/control.h"
#include "watch/desk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct failed_args {
    struct desk_question question;
    bool json;
    bool quiet;
};

/* What was asked, and who answered. */
struct reply {
    struct desk_answer answer;
    bool direct; /* no daemon did */
    int status;  /* not EXIT_OK: nothing was answered, and why has been printed */
};

/* --- arguments --- */

static const struct option list_longs[] = {
    {"rule", required_argument, NULL, 'r'},
    {"json", no_argument, NULL, 'j'},
    {0},
};
static const struct option retry_longs[] = {
    {"rule", required_argument, NULL, 'r'},
    {"all", no_argument, NULL, 'a'},
    {0},
};
static const struct option drop_longs[] = {
    {"rule", required_argument, NULL, 'r'},
    {0},
};

/* Returns 0, or the exit code plus one when there is nothing more to do. */
static int
parse(
    struct globals *g, int argc, char **argv, const struct option *longs, struct failed_args *args)
{
    struct options o;
    int c;
    options_init(&o, g, argc, argv, longs, "r:");
    while ((c = options_next(&o)) != -1) {
        if (c == 'r')
            strv_add(&args->question.rules, optarg);
        else if (c == 'a')
            args->question.all = true;
        else
            args->json = true;
    }
    options_free(&o);
    if (o.over)
        return o.status + 1;
    for (int i = optind; i < argc; i++)
        strv_add(&args->question.events, argv[i]);
    args->quiet = g->verbosity < 0;
    return 0;
}

/* Nothing is retried or dropped by leaving something out. */
static int
check_named(const char *command, const struct desk_question *q)
{
    bool named = q->events.n > 0 || q->rules.n > 0;
    if (named && q->all)
        return usage_error(command, "--all goes with no names") + 1;
    if (!named && !q->all)
        return usage_error(command, "which jobs? Name them, or a rule with -r") + 1;
    return 0;
}

/* --- asking --- */

/* 1, 0, or -1 with *e. Looking must not make one. */
static int
has_journal(const char *state, struct err *e)
{
    struct stat st;
    char *path = xasprintf("%s/journal.sqlite", state);
    int rc = stat(path, &st) == 0 ? 1 : errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    if (rc < 0)
        err_sys(e, ERR_AUTH, errno, "%s", path);
    free(path);
    return rc;
}

static int
ask_journal(struct journal *j, const char *state, const struct desk_question *q,
    struct desk_answer *a, struct err *e)
{
    struct spool *s = NULL;
    if (q->what == DESK_DROP) {
        char *folder = xasprintf("%s/spool", state);
        s = spool_open_kept(folder, e);
        free(folder);
        if (s == NULL)
            return -1;
    }
    int rc = desk_answer(j, s, q, a, NULL, NULL, e);
    if (rc == 0)
        rc = journal_commit(j, e);
    spool_close(s);
    return rc;
}

static int
no_answer(const struct err *why)
{
    struct err e;
    if (why->kind != ERR_AGAIN)
        return fail(why);
    err_set(&e, ERR_AGAIN, "%s, but its control socket does not answer", why->text);
    fail(&e);
    return EXIT_NOT_RUNNING;
}

static void
ask_state(const char *state, const struct desk_question *q, struct reply *r)
{
    struct err e = {0};
    r->direct = true;
    int there = has_journal(state, &e);
    if (there == 0) {
        strv_copy(&r->answer.unknown, &q->events);
        strv_copy(&r->answer.unknown, &q->rules);
    }
    if (there < 0)
        r->status = fail(&e);
    if (there <= 0)
        return;
    struct journal *j = journal_open_briefly(state, &e);
    if (j == NULL)
        r->status = no_answer(&e);
    else if (ask_journal(j, state, q, &r->answer, &e) != 0)
        r->status = fail(&e);
    journal_close(j);
}

static struct reply
ask(const struct desk_question *q)
{
    struct reply r = {0};
    struct err e = {0};
    char *state = path_state(&e);
    char *runtime = state != NULL ? path_runtime(&e) : NULL;
    int answered = runtime != NULL ? control_ask(runtime, state, q, &r.answer, &e) : -1;
    if (answered < 0)
        r.status = fail(&e);
    else if (answered == 0)
        ask_state(state, q, &r);
    free(runtime);
    free(state);
    return r;
}

/* --- printing --- */

static void
print_visible(struct span text)
{
    struct buf visible = {0};
    utf8_visible(&visible, text);
    fputs(buf_str(&visible), stdout);
    buf_free(&visible);
}

/* An empty field would be lost to a shell's `read`. */
static void
print_field(const char *text, char end)
{
    print_visible(span_str(text[0] != '\0' ? text : "-"));
    putchar(end);
}

static void
print_job(const struct desk_job *j)
{
    char when[RFC3339_MAX];
    rfc3339_utc(when, j->when / 1000);
    print_field(j->event, '\t');
    print_field(when, '\t');
    print_field(j->rule, '\t');
    print_visible(span_str(j->account));
    putchar('/');
    print_visible(span_str(j->mailbox));
    printf(":%lu\t", (unsigned long)j->uid);
    print_field(j->result, '\t');
    printf("%u\t", j->attempts);
    print_field(j->subject, '\n');
}

static void
print_output(const char *text, const char *indent)
{
    while (*text != '\0') {
        size_t n = strcspn(text, "\n");
        fputs(indent, stdout);
        print_visible((struct span){text, n});
        putchar('\n');
        text += n + (text[n] == '\n');
    }
}

static void
print_json(const struct desk_job *j)
{
    char *line = control_job_line(j);
    puts(line);
    free(line);
}

/* Of one job that was named the output stands as it is, below an empty line; of several each below
 * its own, indented. */
static void
print_jobs(const struct failed_args *args, const struct desk_answer *a)
{
    bool one = args->question.events.n + args->question.rules.n == 1;
    for (size_t i = 0; i < a->n; i++) {
        const struct desk_job *j = &a->jobs[i];
        if (args->json) {
            print_json(j);
            continue;
        }
        print_job(j);
        if (one && j->output[0] != '\0')
            putchar('\n');
        print_output(j->output, one ? "" : "    ");
    }
}

/* Returns EXIT_NO if there are any. */
static int
say_unknown(const struct strv *unknown)
{
    for (size_t i = 0; i < unknown->n; i++) {
        struct err e;
        err_set(&e, ERR_USAGE, "nothing that failed is named '%s'", unknown->v[i]);
        fail(&e);
    }
    return unknown->n > 0 ? EXIT_NO : EXIT_OK;
}

static void
say_done(const struct failed_args *args, const struct reply *r, const char *done)
{
    size_t n = r->answer.n;
    if (args->quiet || (n == 0 && r->answer.unknown.n > 0))
        return;
    fprintf(stderr, "%zu job%s %s\n", n, n == 1 ? "" : "s", done);
    if (r->direct && n > 0 && args->question.what == DESK_RETRY)
        fputs("no mailcall is running: they run when it is started\n", stderr);
}

/* --- the commands --- */

static int
finish(struct failed_args *args, struct reply *r, int status)
{
    desk_answer_free(&r->answer);
    desk_question_free(&args->question);
    return status;
}

static int
list(const struct failed_args *args, const struct desk_answer *a)
{
    struct err e = {0};
    int status = say_unknown(&a->unknown);
    if (args->quiet)
        return a->n > 0 ? EXIT_NO : status;
    print_jobs(args, a);
    if (flush_stdout(&e) != 0 && e.kind != ERR_NONE)
        return fail(&e);
    return status;
}

int
cmd_failed(struct globals *g, int argc, char **argv)
{
    struct failed_args args = {.question.what = DESK_FAILED};
    struct reply r = {0};
    int over = parse(g, argc, argv, list_longs, &args);
    options_log(g);
    if (over != 0)
        return finish(&args, &r, over - 1);
    r = ask(&args.question);
    return finish(&args, &r, r.status != EXIT_OK ? r.status : list(&args, &r.answer));
}

static int
change(struct globals *g, int argc, char **argv, const struct option *longs, enum desk_what what)
{
    struct failed_args args = {.question.what = what};
    struct reply r = {0};
    int over = parse(g, argc, argv, longs, &args);
    options_log(g);
    if (over == 0)
        over = check_named(argv[0], &args.question);
    if (over != 0)
        return finish(&args, &r, over - 1);
    r = ask(&args.question);
    if (r.status != EXIT_OK)
        return finish(&args, &r, r.status);
    int status = say_unknown(&r.answer.unknown);
    say_done(&args, &r, what == DESK_RETRY ? "queued" : "dropped");
    return finish(&args, &r, status);
}

int
cmd_retry(struct globals *g, int argc, char **argv)
{
    return change(g, argc, argv, retry_longs, DESK_RETRY);
}

int
cmd_drop(struct globals *g, int argc, char **argv)
{
    return change(g, argc, argv, drop_longs, DESK_DROP);
}
