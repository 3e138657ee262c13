/*
 * runs: the keys of a rule that say what runs, and how.
 * Never knows accounts or conditions.
 */
#ifndef MAILCALL_CONFIG_RUNS_H
#define MAILCALL_CONFIG_RUNS_H

#include "config/draft.h"
#include "config/template.h"

void runs_set_stdin(struct scope *s, const struct node *value);
void runs_set_env(struct scope *s, const struct node *value);
void runs_set_cwd(struct scope *s, const struct node *value);
void runs_set_umask(struct scope *s, const struct node *value);
void runs_set_timeout(struct scope *s, const struct node *value);
void runs_set_kill_after(struct scope *s, const struct node *value);
void runs_set_attachments(struct scope *s, const struct node *value);
void runs_set_headers(struct scope *s, const struct node *value);
void runs_set_output(struct scope *s, const struct node *value);
void runs_set_eol(struct scope *s, const struct node *value);
void runs_set_env_inherit(struct scope *s, const struct node *value);
void runs_set_retry(struct scope *s, const struct node *value);
void runs_set_run(struct scope *s, const struct node *value);
void runs_set_sh(struct scope *s, const struct node *value);

/* What holds when no key says otherwise. */
void runs_default(struct hook_opts *hook);
void runs_copy(struct hook_opts *to, const struct hook_opts *from);
/* Placeholders of `run` and `sh`, which need the names of the whole rule. */
void runs_check(struct scope *s, const struct draft *d, const struct names *names);

/* A command, wherever it stands. The readers return whether the value was good; the checks set
 * s->key. */
bool runs_argv(struct scope *s, const struct node *value, struct strv *argv);
bool runs_command(struct scope *s, const struct node *value, char **command);
/* `fault` is argument_fault() or hook_argument_fault(). */
void runs_check_argv(struct scope *s, const struct node *run, const struct names *names,
    bool (*fault)(const char *, const struct names *, struct fault *));
void runs_check_command(struct scope *s, const struct node *sh, const struct names *names);

#endif
