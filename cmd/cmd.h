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
#include <stddef.h>
#include <stdint.h>

struct config;

/* sysexits.h in spirit; INTERFACE 1.10 is the list. */
enum {
    EXIT_OK = 0,
    EXIT_NO = 1,
    EXIT_NOT_RUNNING = 3,
    EXIT_BUG = 70,
    EXIT_USAGE_ERROR = 64,
    EXIT_BAD_MESSAGE = 65,
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
int cmd_test(struct globals *g, int argc, char **argv);
int cmd_show(struct globals *g, int argc, char **argv);
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

/* Finds and loads the configuration; prints what is wrong with it. NULL with e->kind. */
struct config *config_open(const struct globals *g, struct err *e);

/* The folder for what outlives a run, not made yet; the caller frees. NULL with *e. */
char *path_state(struct err *e);
/* The folder of the control socket, likewise. */
char *path_runtime(struct err *e);
/* The folder for messages of a run that keeps nothing, likewise. */
char *path_spool(struct err *e);

/* --- out.c: what strangers wrote, on stdout --- */

struct buf;
/* One value, without an end: on a terminal nothing that could move, colour or reorder it; else as
 * one line of UTF-8. */
void out_value(const char *text);
/* Lines; on a terminal as above but for tabs and line ends, else as they are. */
void out_lines(const char *text);
/* Appends 'text' as a shell reads it; bare where nothing needs quotes. */
void out_shell(struct buf *out, const char *text);
/* Appends "text" as JSON; what is not UTF-8 is repaired. */
void out_json(struct buf *out, const char *text);

/* --- scratch.c: a private folder for files that others write --- */

struct scratch {
    char *path;
    int fd;
};
/* Makes PARENT/.mailcall.XXXXXX, 0700. 0, or -1 with *e. */
int scratch_open(struct scratch *s, const char *parent, struct err *e);
/* Removes it with the files inside. Harmless when all zero. */
void scratch_close(struct scratch *s);

/* --- given.c: one message, as it was named on the command line --- */

struct spool;
struct given {
    const char *name;        /* borrowed; "standard input" for "-" */
    struct spool_file *file; /* NULL: of a dead letter, which lies elsewhere */
    int fd;                  /* it, read-only, LF, without a "From " line in front */
    uint64_t size;
    int64_t received; /* when it was written, as far as that is known */
    bool whole;       /* false: its header block only */
};
/* Reads a file, or standard input for "-", into the spool. 0, or -1 with *e. */
int given_open(struct given *m, struct spool *s, const char *name, struct err *e);
/* The message of a job that failed for good. 0, or -1 with *e. */
int given_dead(struct given *m, const char *event, struct err *e);
void given_close(struct given *m);

/* --- door.c: the sorter, outside the daemon --- */

struct ruleset;
struct sort_answer;
struct sort_request;
struct door {
    struct loop *loop;
    struct spool *spool;
    struct sorter *sorter;
    char *folder; /* where the spool lies */
    uint64_t last;
};
/* The rules are borrowed. 0, or -1 with *e; to be closed in any case. */
int door_open(struct door *d, const struct ruleset *rules, struct err *e);
void door_close(struct door *d);
/* Has the message read, and waits; of the request what the message says is filled in. EXIT_OK: the
 * answer has facts, and is the caller's; else it was printed why not. */
int door_sort(struct door *d, const struct given *m, struct sort_request *request,
    struct sort_answer *answer);

/* --- extract.c --- */

/* Writes the attachments into the folder, which is made if it is missing, and prints their paths.
 * Returns the exit code; what went wrong was printed. */
int extract_into(
    struct door *d, const struct given *m, struct sort_request *request, const char *folder);

/* --- verdict.c: what one rule makes of one message, for people and for programs --- */

struct event;
struct hook_opts;
struct letter;
struct rule;
struct verdict {
    const struct given *message;
    const struct rule *rule;
    const struct hook_opts *hook;
    const struct event *event;   /* its hit is empty where the rule does not match */
    const struct letter *letter; /* NULL: it does not match */
    const char *ended_by;        /* the rule that lets this one not be reached, or NULL */
    int64_t now;
};
/* One line: whether it matches, and where it stands. Names are padded to `width`. */
void verdict_line(const struct verdict *v, int width);
/* Below it: every condition, and what would run and be done. */
void verdict_details(const struct verdict *v);
/* One JSON object on one line. */
void verdict_json(const struct verdict *v);

/* --- trying.c: a hook, for once --- */

struct event_file;
/* Tells the letter of its attachments, and of its event as a file, which the caller removes; NULL:
 * it could not be made, and that was said. */
struct spool_file *hook_equip(struct door *d, struct letter *letter, const struct event *event,
    const struct event_file *files, size_t n_files);
/* Runs the hook of the letter and waits; its output and how it ended go to stderr, its actions are
 * not done. Returns EXIT_OK, EXIT_NO if it failed, or the exit code of what hindered us. */
int hook_try(
    struct door *d, const struct given *m, const struct letter *letter, const struct config *c);
/* Prints the environment it would get. */
enum env_form { ENV_SHELL, ENV_ZERO, ENV_JSON };
void hook_environment(const struct letter *letter, const struct config *c, enum env_form form);

/* --- netrc.c --- */

/* The password for this host and user in ~/.netrc; the caller wipes and frees. NULL: none. */
char *netrc_password(const char *host, const char *user);

#endif
