/* SPDX-License-Identifier: ISC */
/* mailcall run: the configured rules, in the foreground, until a signal. */
#include "cmd.h"

#include "base/mem.h"
#include "base/suggest.h"
#include "config/config.h"
#include "watch/daemon.h"
#include "watch/outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct run_args {
    bool dry_run;
    bool once;
    struct strv targets;
    struct strv rules;
    struct daemon *daemon;
    struct err output; /* of a dry run, when it cannot be written */
};

/* Returns 0, or the exit code plus one when there is nothing more to do. */
static int
parse(struct globals *g, int argc, char **argv, struct run_args *args)
{
    static const struct option longs[] = {
        {"dry-run", no_argument, NULL, 'n'},
        {"in", required_argument, NULL, 'i'},
        {"rule", required_argument, NULL, 'r'},
        {"once", no_argument, NULL, 'o'},
        {0},
    };
    struct options o;
    options_init(&o, g, argc, argv, longs, "nr:");
    int c;
    while ((c = options_next(&o)) != -1) {
        if (c == 'n')
            args->dry_run = true;
        else if (c == 'i')
            strv_add(&args->targets, optarg);
        else if (c == 'r')
            strv_add(&args->rules, optarg);
        else
            args->once = true;
    }
    options_free(&o);
    if (o.over)
        return o.status + 1;
    if (optind < argc)
        return usage_error("run", "unexpected argument '%s'", argv[optind]) + 1;
    return 0;
}

/* -r: only these rules; the rest is switched off before anything starts. */
static int
keep_rules(struct config *c, const struct strv *wanted, struct err *e)
{
    struct strv known = {0};
    int result = 0;
    for (size_t i = 0; i < c->rules.n; i++) {
        strv_add(&known, c->rules.v[i].name);
        if (wanted->n > 0 && !strv_has(wanted, c->rules.v[i].name))
            c->rules.v[i].enabled = false;
    }
    for (size_t i = 0; i < wanted->n && result == 0; i++) {
        if (strv_has(&known, wanted->v[i]))
            continue;
        const char *near = suggest(wanted->v[i], &known);
        result = err_set(e, ERR_USAGE,
            near != NULL ? "run: no rule '%s'; did you mean '%s'?" : "run: no rule '%s'",
            wanted->v[i], near);
    }
    strv_free(&known);
    return result;
}

/* Mail is written by strangers, and hooks act on it: not with root's rights by accident. */
static int
refuse_root(const struct config *c, struct err *e)
{
    if (geteuid() != 0 || c->daemon.allow_root)
        return 0;
    return err_set(e, ERR_CONFIG,
        "run: hooks would run as root; start it as a user, or write daemon: { allow_root: true }");
}

static void
on_letter(void *arg, const struct letter *letter)
{
    struct run_args *args = arg;
    struct buf line = {0};
    outcome_plan_line(&line, letter);
    printf("%s\n", buf_str(&line));
    if (flush_stdout(&args->output) != 0)
        daemon_stop_now(args->daemon);
    buf_free(&line);
}

/* 75 is what a timer or cron should read as "again later". */
static int
status_of(struct daemon *d, enum daemon_end end, bool once, const struct err *e)
{
    struct work_tally tally = daemon_tally(d);
    if (end == DAEMON_FAILED && once)
        return e->kind == ERR_AUTH ? exit_code(ERR_AUTH) : exit_code(ERR_AGAIN);
    if (end == DAEMON_FAILED)
        return fail(e);
    if (!once)
        return EXIT_OK;
    return tally.failed > 0 ? EXIT_NO : tally.left > 0 ? exit_code(ERR_AGAIN) : EXIT_OK;
}

/* Where things lie; a dry run keeps nothing. */
struct folders {
    char *spool;
    char *state;
    char *control;
};

static int
find_folders(struct folders *f, bool dry_run, struct err *e)
{
    if (dry_run)
        return (f->spool = path_spool(e)) != NULL ? 0 : -1;
    f->state = path_state(e);
    f->control = f->state != NULL ? path_runtime(e) : NULL;
    return f->control != NULL ? 0 : -1;
}

static int
watch_in(const struct config *c, struct run_args *args, const struct folders *folders)
{
    struct err e = {0};
    struct daemon_opts opts = {
        .config = c,
        .spool = folders->spool,
        .state = folders->state,
        .control = folders->control,
        .on_letter = args->dry_run ? on_letter : NULL,
        .once = args->once,
        .arg = args,
        .only = &args->targets,
    };
    struct daemon *d = args->daemon = daemon_new(&opts, &e);
    int status = d == NULL ? fail(&e) : status_of(d, daemon_run(d, &e), args->once, &e);
    if (status == EXIT_OK && args->output.kind != ERR_NONE)
        status = fail(&args->output);
    daemon_free(d);
    return status;
}

static int
watch_all(const struct config *c, struct run_args *args, struct err *e)
{
    struct folders f = {0};
    int status = find_folders(&f, args->dry_run, e) == 0 ? watch_in(c, args, &f) : fail(e);
    free(f.spool);
    free(f.state);
    free(f.control);
    return status;
}

static int
load_and_watch(struct globals *g, struct run_args *args)
{
    struct err e = {0};
    struct config *c = config_open(g, &e);
    if (c == NULL)
        return exit_code(e.kind);
    int status;
    if (keep_rules(c, &args->rules, &e) != 0 || (!args->dry_run && refuse_root(c, &e) != 0))
        status = fail(&e);
    else
        status = watch_all(c, args, &e);
    config_free(c);
    return status;
}

int
cmd_run(struct globals *g, int argc, char **argv)
{
    struct run_args args = {0};
    int over = parse(g, argc, argv, &args);
    options_log(g);
    int status = over != 0 ? over - 1 : load_and_watch(g, &args);
    strv_free(&args.targets);
    strv_free(&args.rules);
    return status;
}
