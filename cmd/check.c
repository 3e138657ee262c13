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

/* Returns how many programs are missing or cannot be run. */
static unsigned
check_programs(const struct config *c)
{
    unsigned missing = 0;
    for (size_t i = 0; i < c->rules.n; i++) {
        const struct hook_opts *h = &c->hooks[i];
        struct err e;
        if (h->sh != NULL || !c->rules.v[i].enabled)
            continue;
        char *path = run_find(h->run.v[0], &h->path, getenv("PATH"), &e);
        if (path == NULL) {
            missing++;
            fprintf(stderr, "%s: error: rules[%zu] %s: run: %s\n", c->rules.v[i].where, i,
                c->rules.v[i].name, e.text);
        }
        free(path);
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
    if (geteuid() == 0 && !c->allow_root)
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
