/*
 * letter: everything a run needs, closed and sealed when the rule hit.
 * Never knows IMAP, YAML or the queue. Pure.
 *
 * After that nobody needs the message's facts, the rule or the configuration.
 */
#ifndef MAILCALL_HOOK_LETTER_H
#define MAILCALL_HOOK_LETTER_H

#include "hook/fields.h"

#include <stdint.h>

enum hook_stdin { STDIN_MESSAGE, STDIN_HEADERS, STDIN_NONE };
enum hook_output { OUTPUT_LOG, OUTPUT_INHERIT };

/* What a rule wants run; filled by config/, owned by the configuration. */
struct hook_opts {
    struct strv run;  /* argv template; run.v[0] is a program name or path without placeholders */
    char *sh;         /* or a shell string; exactly one of the two is set; both unset: print only */
    struct strv path; /* folders searched for a run[0] without '/', before $PATH: see run_find() */
    enum hook_stdin stdin_kind;
    enum hook_output output;
    struct strv env; /* NAME=value, literal */
    char *cwd;       /* absolute, or NULL: where mailcall was started */
    unsigned umask;
    uint64_t timeout_ms;    /* then TERM to the group …; 0 = never */
    uint64_t kill_after_ms; /* … then KILL */
};
void hook_opts_free(struct hook_opts *o); /* empty afterwards */

struct letter {
    struct strv argv;     /* argv[0] as the rule names it; empty: nothing to run */
    struct fields fields; /* MAILCALL_*, still apart so that ATTEMPT can change */
    struct strv env;      /* the rule's own env */
    struct strv path;
    enum hook_stdin stdin_kind;
    enum hook_output output;
    char *cwd;
    unsigned umask;
    uint64_t timeout_ms;
    uint64_t kill_after_ms;
    char *program; /* for the log: the last part of run[0], or "sh" */
};

/* Fills the templates; the event and the options are borrowed for the call. */
struct letter *letter_write(const struct hook_opts *opts, const struct event *event);
void letter_free(struct letter *l); /* NULL is fine */

/* The environment of the run: `inherited` (as environ) without MAILCALL_*, without the names in
 * `secrets` (exact, or a prefix ending in '*'), then the letter's fields, then its own env, which
 * may override anything but MAILCALL_*. */
void letter_environ(
    const struct letter *l, char *const *inherited, const struct strv *secrets, struct strv *env);

#endif
