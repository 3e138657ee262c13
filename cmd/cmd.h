/*
 * cmd: the command line: arguments in, printing out.
 * Never knows anything that is not an argument or printing.
 */
#ifndef MAILCALL_CMD_H
#define MAILCALL_CMD_H

#include "base/err.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>

/* sysexits.h in spirit; INTERFACE 1.10 is the list. */
enum {
    EXIT_OK = 0,
    EXIT_NO = 1,
    EXIT_NOT_RUNNING = 3,
    EXIT_BUG = 70,
    EXIT_USAGE_ERROR = 64,
    EXIT_BAD_CONFIG = 78,
    EXIT_TIMED_OUT = 124,
};

/* What may stand before or after any subcommand. */
struct globals {
    const char *config; /* -c, or NULL */
    int verbosity;      /* -v counts up, -q counts down */
};

/* One subcommand; argv[0] is its name. */
struct command {
    const char *name;
    int (*main)(struct globals *g, int argc, char **argv);
    const char *synopsis;
    const char *summary;
    const char *help; /* the options, one a line, or "" */
};

extern const struct command commands[]; /* ended by a NULL name */
const struct command *command_find(const char *name);

int cmd_run(struct globals *g, int argc, char **argv);
int cmd_watch(struct globals *g, int argc, char **argv);
int cmd_failed(struct globals *g, int argc, char **argv);
int cmd_retry(struct globals *g, int argc, char **argv);
int cmd_drop(struct globals *g, int argc, char **argv);
int cmd_check(struct globals *g, int argc, char **argv);
int cmd_help(struct globals *g, int argc, char **argv);
/* Prints the help of one subcommand, or of all if it is NULL, on stdout; returns EXIT_OK. */
int help_command(const char *name);

/* --- options.c --- */

/* getopt_long() for one subcommand, global options included, full names only. */
struct options {
    struct globals *globals;
    const char *command; /* NULL: these stand before the subcommand */
    int argc;
    char **argv;
    struct option *longs; /* the subcommand's and the globals', ended by zeros */
    char shorts[64];
    bool over;  /* nothing more to do: help was printed, or an error */
    int status; /* the exit code then */
};

/* longs: the subcommand's own, ended by zeros; shorts in getopt's form, with '+' in front if the
 * first operand ends the options. Both are copied. */
void options_init(struct options *o, struct globals *g, int argc, char **argv,
    const struct option *longs, const char *shorts);
/* The next option's value in `longs`, or -1 at the end; then look at `over`. Global options, help
 * and errors are taken care of. optarg and optind are getopt's. */
int options_next(struct options *o);
/* Ends the options with a usage error: the next options_next() says -1, and `over` is set. */
void options_refuse(struct options *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void options_free(struct options *o);
/* The log level that -v and -q ask for, in force from now on. */
void options_log(const struct globals *g);

/* --- exit.c --- */

int exit_code(enum err_kind kind);
/* Prints "mailcall: text" and returns the exit code of its kind. */
int fail(const struct err *e);
/* Lets what was printed go. -1 with *e if it cannot be written; its kind is ERR_NONE where nobody
 * reads any more, which is no failure. */
int flush_stdout(struct err *e);
/* Prints "mailcall: COMMAND: text" and a line about help; returns EXIT_USAGE_ERROR. */
int usage_error(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int usage_verror(const char *command, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* --- paths.c --- */

struct config;
/* Finds and loads the configuration; prints what is wrong with it. NULL with e->kind. */
struct config *config_open(const struct globals *g, struct err *e);

/* The folder for what outlives a run, not made yet; the caller frees. NULL with *e. */
char *path_state(struct err *e);
/* The folder of the control socket, likewise. */
char *path_runtime(struct err *e);
/* The folder for messages of a run that keeps nothing, likewise. */
char *path_spool(struct err *e);

/* --- netrc.c --- */

/* The password for this host and user in ~/.netrc; the caller wipes and frees. NULL: none. */
char *netrc_password(const char *host, const char *user);

#endif
