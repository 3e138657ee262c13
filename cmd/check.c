/* SPDX-License-Identifier: ISC */
/* mailcall check: everything that can be said about a configuration without a network. */
#include "cmd.h"

#include "base/buf.h"
#include "config/config.h"
#include "hook/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int
parse(struct globals *g, int argc, char **argv)
{
    static const struct option longs[] = {{"connect", no_argument, NULL, 'k'}, {0}};
    struct options o;
    options_init(&o, g, argc, argv, longs, "");
    while (options_next(&o) != -1)
        options_refuse(&o, "--connect is not supported yet");
    options_free(&o);
    if (o.over)
        return o.status + 1;
    if (optind < argc - 1)
        return usage_error("check", "unexpected argument '%s'", argv[optind + 1]) + 1;
    if (optind < argc)
        g->config = argv[optind];
    return 0;
}

/* Returns how many programs of this command, 0 or 1, are missing or cannot be run. */
static unsigned
check_program(const struct config *c, size_t rule, const char *key, const struct strv *run)
{
    struct err e;
    char *path = run_find(run->v[0], &c->hooks[rule].path, getenv("PATH"), &e);
    if (path == NULL)
        fprintf(stderr, "%s: error: rules[%zu] %s: %s: %s\n", c->rules.v[rule].where, rule,
            c->rules.v[rule].name, key, e.text);
    free(path);
    return path == NULL;
}

static unsigned
check_actions(const struct config *c, size_t rule, const char *key, const struct actions *a)
{
    unsigned missing = 0;
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].kind == ACTION_RUN)
            missing += check_program(c, rule, key, &a->v[i].run);
    return missing;
}

static unsigned
check_programs(const struct config *c)
{
    unsigned missing = 0;
    for (size_t i = 0; i < c->rules.n; i++) {
        const struct hook_opts *h = &c->hooks[i];
        if (!c->rules.v[i].enabled)
            continue;
        if (h->sh == NULL)
            missing += check_program(c, i, "run", &h->run);
        missing += check_actions(c, i, "on_success: run", &h->on_success);
        missing += check_actions(c, i, "on_failure: run", &h->on_failure);
    }
    return missing;
}

static size_t
count_mailboxes(const struct config *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_accounts; i++)
        n += c->accounts[i].mailboxes.n;
    return n;
}

static const char *
plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void
say_fine(const struct config *c)
{
    size_t mailboxes = count_mailboxes(c);
    const char *es = mailboxes == 1 ? "" : "es";
    printf("fine: %zu account%s, %zu mailbox%s, %zu rule%s\n", c->n_accounts, plural(c->n_accounts),
        mailboxes, es, c->rules.n, plural(c->rules.n));
}

static int
check(const struct globals *g)
{
    struct err e = {0};
    struct config *c = config_open(g, &e);
    if (c == NULL)
        return exit_code(e.kind);
    int status = check_programs(c) == 0 ? EXIT_OK : EXIT_BAD_CONFIG;
    if (geteuid() == 0 && !c->daemon.allow_root)
        fputs("mailcall: as root, run needs daemon: { allow_root: true }\n", stderr);
    if (status == EXIT_OK)
        say_fine(c);
    config_free(c);
    return status;
}

int
cmd_check(struct globals *g, int argc, char **argv)
{
    int over = parse(g, argc, argv);
    options_log(g);
    return over != 0 ? over - 1 : check(g);
}
