/*
 * letter: everything a run needs, closed and sealed when the rule hit.
 * Never knows IMAP, YAML or the queue. Pure.
 *
 * After that nobody needs the message's facts, the rule or the configuration.
 */
#ifndef MAILCALL_HOOK_LETTER_H
#define MAILCALL_HOOK_LETTER_H

#include "base/pack.h"
#include "hook/action.h"
#include "hook/event.h"
#include "hook/fields.h"

#include <stdint.h>

/* JSON: the event as one line, see event.h; of a batch one line for each of its messages. BODY: the
 * text of the message. */
enum hook_stdin { STDIN_MESSAGE, STDIN_HEADERS, STDIN_NONE, STDIN_JSON, STDIN_BODY };
enum hook_eol { EOL_LF, EOL_CRLF }; /* of STDIN_MESSAGE and STDIN_HEADERS */
enum hook_output { OUTPUT_LOG, OUTPUT_INHERIT, OUTPUT_DISCARD };

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
    struct actions on_success;
    struct actions on_failure;
    enum hook_eol eol;
    bool decode;         /* attachments as files, in MAILCALL_ATTACHMENTS_DIR */
    struct strv headers; /* names exported as MAILCALL_HEADER_*, as written in the configuration */
    bool bare_env;       /* env_inherit: none */
};
/* Whether it needs the whole message, for more than its rule does: on stdin, as text, in JSON, or
 * for its attachments. */
bool hook_needs_whole(const struct hook_opts *o);
void hook_opts_free(struct hook_opts *o); /* empty afterwards */

struct letter {
    struct strv argv;     /* argv[0] as the rule names it; empty: nothing to run */
    struct strv run;      /* the template argv was filled from; empty: argv stays as it is */
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
    char *json;    /* STDIN_JSON: the event, one line without its end; else NULL */
    char *text;    /* STDIN_BODY: what stands there; else NULL */
    enum hook_eol eol;
    bool decode;
    bool bare_env;
    struct actions on_success; /* argv templates still: they may name {hook_status} */
    struct actions on_failure;
};

/* Fills the templates; the event and the options are borrowed for the call. */
struct letter *letter_write(const struct hook_opts *opts, const struct event *event);
void letter_free(struct letter *l); /* NULL is fine */

/* As bytes, for the journal, and back: what comes back writes the same bytes, if they are of this
 * version and not of an earlier one. NULL with *e (ERR_INPUT) for bytes that are damaged or of a
 * later version. */
void letter_pack(const struct letter *l, struct buf *out);
struct letter *letter_unpack(struct span bytes, struct err *e);

/* Another attempt, or the first of a batch: kind is MAILCALL_EVENT ("new", "retry", "batch"). The
 * event in `json` follows, and so does argv: it is filled anew from the fields as they are then,
 * with what fields_set() has changed in COUNT, UIDS or FILE. */
void letter_address(struct letter *l, const char *kind, unsigned attempt);
/* Its attachments are files in `folder` now: ATTACHMENTS_DIR, the paths in `json`, and argv. */
void letter_attach(
    struct letter *l, const char *folder, const struct event_file *files, size_t n_files);
/* The run of one action of kind RUN or SH: a letter with the same stdin, limits and variables, the
 * action's argv filled, and HOOK_RESULT and HOOK_STATUS set, which placeholders may name too. It
 * has no actions of its own. */
struct letter *letter_for_action(
    const struct letter *l, const struct action *a, const char *result, int status);

/* The environment of the run: `inherited` (as environ) without MAILCALL_*, without the names in
 * `secrets` (exact, or a prefix ending in '*'), then the letter's fields, then its own env, which
 * may override anything but MAILCALL_*. Of a letter with bare_env only HOME PATH USER LOGNAME SHELL
 * LANG TZ TMPDIR are inherited. */
void letter_environ(
    const struct letter *l, char *const *inherited, const struct strv *secrets, struct strv *env);

#endif
