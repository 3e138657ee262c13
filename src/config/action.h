/*
 * action: the keys of a rule that say what runs, and how.
 * Never knows accounts or conditions.
 */
#ifndef MAILCALL_CONFIG_ACTION_H
#define MAILCALL_CONFIG_ACTION_H

#include "config/schema.h"
#include "hook/letter.h"
#include "job/retry.h"

/* A rule being read; for `defaults:` only `hook` and `retry` are used. */
struct draft {
    struct hook_opts *hook;
    struct retry_opts *retry;
    struct rule *rule;
    const struct node *run;
    const struct node *sh;
    const struct node *in;
    const struct node *match;
};

/* The rows that rules and defaults have in common. */
#define ACTION_KEYS                                                                             \
    {"stdin", NODE_TEXT, 0, action_set_stdin, 0}, {"env", NODE_MAP, 0, action_set_env, 0},      \
        {"cwd", NODE_TEXT, 0, action_set_cwd, 0}, {"umask", NODE_TEXT, 0, action_set_umask, 0}, \
        {"timeout", NODE_TEXT, 0, action_set_timeout, 0},                                       \
        {"kill_after", NODE_TEXT, 0, action_set_kill_after, 0},                                 \
        {"retry", NODE_TEXT | NODE_MAP, 0, action_set_retry, 0},                                \
        {"concurrency", 0, KEY_LATER, NULL, 0}, {"debounce", 0, KEY_LATER, NULL, 0},            \
        {"max_delay", 0, KEY_LATER, NULL, 0}, {"on_busy", 0, KEY_LATER, NULL, 0},               \
        {"attachments", 0, KEY_LATER, NULL, 0}, {"headers", 0, KEY_LATER, NULL, 0},             \
        {"output", 0, KEY_LATER, NULL, 0}, {"stdin_eol", 0, KEY_LATER, NULL, 0},                \
        {"env_inherit", 0, KEY_LATER, NULL, 0}, {"on_success", 0, KEY_LATER, NULL, 0},          \
    {                                                                                           \
        "on_failure", 0, KEY_LATER, NULL, 0                                                     \
    }

void action_set_stdin(struct scope *s, const struct node *value);
void action_set_env(struct scope *s, const struct node *value);
void action_set_cwd(struct scope *s, const struct node *value);
void action_set_umask(struct scope *s, const struct node *value);
void action_set_timeout(struct scope *s, const struct node *value);
void action_set_kill_after(struct scope *s, const struct node *value);
void action_set_retry(struct scope *s, const struct node *value);
void action_set_run(struct scope *s, const struct node *value);
void action_set_sh(struct scope *s, const struct node *value);

/* What holds when no key says otherwise. */
void action_defaults(struct hook_opts *hook);
void action_copy(struct hook_opts *to, const struct hook_opts *from);
/* Placeholders of `run` and `sh`, which need the captures of the whole match. */
void action_check(struct scope *s, const struct draft *d, const struct strv *captures);

#endif
