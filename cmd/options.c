/* SPDX-License-Identifier: ISC */
/* getopt_long() with the manners it lacks: no abbreviations, a suggestion for a typo, and the
 * global options everywhere. */
#include "cmd.h"

#include "base/mem.h"
#include "base/suggest.h"
#include "sys/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPT_VERSION = 256 };

static const struct option global_longs[] = {
    {"config", required_argument, NULL, 'c'},
    {"verbose", no_argument, NULL, 'v'},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPT_VERSION},
    {0},
};

static size_t
count(const struct option *o)
{
    size_t n = 0;
    while (o[n].name != NULL)
        n++;
    return n;
}

/* getopt() keeps its place between calls; there are two ways of telling it that this is another
 * command line. */
static void
forget_the_last_line(void)
{
#ifdef __linux__
    optind = 0;
#else
    optind = 1;
    optreset = 1;
#endif
}

void
options_init(struct options *o, struct globals *g, int argc, char **argv,
    const struct option *longs, const char *shorts)
{
    size_t own = count(longs);
    size_t global = count(global_longs);
    *o = (struct options){.globals = g, .command = argv[0], .argc = argc, .argv = argv};
    o->longs = xcalloc(own + global + 1, sizeof *o->longs);
    memcpy(o->longs, longs, own * sizeof *longs);
    memcpy(o->longs + own, global_longs, global * sizeof *longs);
    /* ':' first: the error texts are ours */
    bool stops = shorts[0] == '+';
    snprintf(o->shorts, sizeof o->shorts, "%s:c:vqh%s", stops ? "+" : "", shorts + stops);
    forget_the_last_line();
    opterr = 0;
}

void
options_free(struct options *o)
{
    free(o->longs);
}

static bool
is_known(const struct options *o, const char *name, size_t n)
{
    for (const struct option *l = o->longs; l->name != NULL; l++)
        if (strlen(l->name) == n && memcmp(l->name, name, n) == 0)
            return true;
    return false;
}

static void
refuse_unknown(const struct options *o, const char *arg)
{
    size_t n = strcspn(arg, "=");
    struct strv names = {0};
    for (const struct option *l = o->longs; l->name != NULL; l++)
        strv_addf(&names, "--%s", l->name);
    char *word = xstrndup(arg, n);
    const char *near = suggest(word, &names);
    usage_error(o->command,
        near != NULL ? "unknown option '%s'; did you mean '%s'?" : "unknown option '%s'", word,
        near);
    free(word);
    strv_free(&names);
}

/* Whether c was a global option, now done with. */
static bool
take_global(struct options *o, int c)
{
    switch (c) {
    case 'c':
        o->globals->config = optarg;
        return true;
    case 'v':
        o->globals->verbosity++;
        return true;
    case 'q':
        o->globals->verbosity--;
        return true;
    default:
        return false;
    }
}

static int
end_with(struct options *o, int status)
{
    o->over = true;
    o->status = status;
    return -1;
}

void
options_refuse(struct options *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    end_with(o, usage_verror(o->command, fmt, ap));
    va_end(ap);
}

static int
print_version(void)
{
    puts("mailcall " MAILCALL_VERSION);
    return EXIT_OK;
}

static void
refuse(const struct options *o, int c, const char *arg)
{
    size_t n = strcspn(arg, "=");
    if (c == ':')
        usage_error(o->command, "'%s' needs a value", arg);
    else if (strncmp(arg, "--", 2) != 0)
        usage_error(o->command, "unknown option '-%c'", optopt);
    else if (is_known(o, arg + 2, n - 2))
        usage_error(o->command, "'%.*s' takes no value", (int)n, arg);
    else
        refuse_unknown(o, arg);
}

/* getopt_long() took `arg` for a long option although it is only the beginning of one. */
static bool
is_abbreviated(const struct options *o, const char *arg)
{
    return strncmp(arg, "--", 2) == 0 && arg[2] != '\0' &&
           !is_known(o, arg + 2, strcspn(arg + 2, "="));
}

int
options_next(struct options *o)
{
    while (!o->over) {
        int c = getopt_long(o->argc, o->argv, o->shorts, o->longs, NULL);
        if (c == -1)
            return -1;
        /* operands are moved behind, so the option read last ends at optind */
        bool separate = optarg != NULL && optarg == o->argv[optind - 1];
        const char *arg = o->argv[optind - (separate ? 2 : 1)];
        if (c == '?' || c == ':') {
            refuse(o, c, arg);
            return end_with(o, EXIT_USAGE_ERROR);
        }
        if (is_abbreviated(o, arg)) {
            refuse_unknown(o, arg);
            return end_with(o, EXIT_USAGE_ERROR);
        }
        if (c == 'h')
            return end_with(o, help_command(o->command));
        if (c == OPT_VERSION)
            return end_with(o, print_version());
        if (!take_global(o, c))
            return c;
    }
    return -1;
}

void
options_log(const struct globals *g)
{
    int level = LOG_INFO + g->verbosity;
    if (level < LOG_ERROR)
        level = LOG_ERROR;
    if (level > LOG_DETAIL)
        level = LOG_DETAIL;
    log_open((enum log_level)level);
}
