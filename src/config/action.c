/* SPDX-License-Identifier: ISC */
/* Setters of struct hook_opts, and of `retry` beside it. `defaults:` and rules share them: a rule
 * starts as a copy of the defaults, and each setter replaces what was there, except `env`, which is
 * merged by name. */
#include "config/action.h"

#include "base/mem.h"
#include "config/repeat.h"
#include "config/template.h"

#include <stdlib.h>

enum { DEFAULT_UMASK = 077, VARIABLES_MAX = 256 };

static const uint64_t default_timeout_ms = 5 * 60 * 1000;
static const uint64_t default_kill_after_ms = 10 * 1000;
static const uint64_t longest_ms = 366 * 86400 * (uint64_t)1000;

void
action_defaults(struct hook_opts *hook)
{
    *hook = (struct hook_opts){
        .stdin_kind = STDIN_MESSAGE,
        .output = OUTPUT_LOG,
        .cwd = source_home(),
        .umask = DEFAULT_UMASK,
        .timeout_ms = default_timeout_ms,
        .kill_after_ms = default_kill_after_ms,
    };
}

void
action_copy(struct hook_opts *to, const struct hook_opts *from)
{
    *to = *from;
    to->run = to->path = to->env = (struct strv){0};
    to->sh = from->sh != NULL ? xstrdup(from->sh) : NULL;
    to->cwd = from->cwd != NULL ? xstrdup(from->cwd) : NULL;
    strv_copy(&to->run, &from->run);
    strv_copy(&to->path, &from->path);
    strv_copy(&to->env, &from->env);
}

static struct hook_opts *
hook_of(const struct scope *s)
{
    const struct draft *d = s->target;
    return d->hook;
}

void
action_set_stdin(struct scope *s, const struct node *value)
{
    static const struct word words[] = {
        {"none", STDIN_NONE, false},
        {"headers", STDIN_HEADERS, false},
        {"message", STDIN_MESSAGE, false},
        {"body", 0, true},
        {"json", 0, true},
    };
    int kind;
    if (SCOPE_WORD(s, value, words, &kind))
        hook_of(s)->stdin_kind = (enum hook_stdin)kind;
}

static bool
is_variable_name(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    return name[0] != '\0' && strchr(letters, name[0]) != NULL && strspn(name, all) == strlen(name);
}

static void
put_variable(struct strv *env, const char *name, const char *value)
{
    size_t n = strlen(name);
    char *pair = xasprintf("%s=%s", name, value);
    for (size_t i = 0; i < env->n; i++)
        if (strncmp(env->v[i], pair, n + 1) == 0) {
            free(env->v[i]);
            env->v[i] = pair;
            return;
        }
    strv_take(env, pair);
}

void
action_set_env(struct scope *s, const struct node *value)
{
    if (value->n > VARIABLES_MAX) {
        scope_error(s, value, "more than %d variables", VARIABLES_MAX);
        return;
    }
    for (size_t i = 0; i < value->n; i++) {
        const struct node *name = value->key[i];
        const struct node *text = value->item[i];
        if (!is_variable_name(name->text))
            scope_error(s, name, "'%.60s' is not a variable name", name->text);
        else if (strncmp(name->text, "MAILCALL_", 9) == 0)
            scope_error(s, name, "'%.60s': the names MAILCALL_* are set by mailcall", name->text);
        else if (text->kind == NODE_TEXT && node_is_empty(text))
            put_variable(&hook_of(s)->env, name->text, "");
        else if (scope_is(s, text, NODE_TEXT))
            put_variable(&hook_of(s)->env, name->text, text->text);
    }
}

void
action_set_cwd(struct scope *s, const struct node *value)
{
    const char *text = value->text;
    bool home = strcmp(text, "~") == 0;
    if (text[0] != '/' && !home && strncmp(text, "~/", 2) != 0) {
        scope_error(s, value, "'%.60s' is not an absolute path; '~/' is the home folder", text);
        return;
    }
    char *path = home ? source_home() : source_path(value->at.source, text);
    if (path == NULL) {
        scope_error(s, value, "nothing says where the home folder is");
        return;
    }
    free(hook_of(s)->cwd);
    hook_of(s)->cwd = path;
}

void
action_set_umask(struct scope *s, const struct node *value)
{
    const char *text = value->text;
    size_t n = strlen(text);
    unsigned long mask = strtoul(text, NULL, 8);
    if (n == 0 || n > 4 || strspn(text, "01234567") != n || mask > 0777)
        scope_error(s, value, "'%.60s' is not a mask from 000 to 777, octal", text);
    else
        hook_of(s)->umask = (unsigned)mask;
}

static void
set_period(struct scope *s, const struct node *value, uint64_t least, uint64_t *ms)
{
    uint64_t n;
    if (!scope_duration(s, value, &n))
        return;
    if (n < least || n > longest_ms)
        scope_error(s, value, "'%.60s' is %s", value->text,
            n < least ? "no time at all" : "longer than a year");
    else
        *ms = n;
}

void
action_set_timeout(struct scope *s, const struct node *value)
{
    set_period(s, value, 1, &hook_of(s)->timeout_ms);
}

void
action_set_kill_after(struct scope *s, const struct node *value)
{
    set_period(s, value, 0, &hook_of(s)->kill_after_ms);
}

void
action_set_retry(struct scope *s, const struct node *value)
{
    const struct draft *d = s->target;
    repeat_read(s, value, d->retry);
}

void
action_set_run(struct scope *s, const struct node *value)
{
    struct draft *d = s->target;
    d->run = value;
    if (value->kind == NODE_TEXT && strpbrk(value->text, " \t\n") != NULL)
        scope_error(s, value, "text with spaces; write a list [prog, arg], or use sh: for a shell");
    else if (value->kind == NODE_LIST && value->n == 0)
        scope_error(s, value, "an empty list runs nothing");
    else
        scope_texts(s, value, &d->hook->run);
}

void
action_set_sh(struct scope *s, const struct node *value)
{
    struct draft *d = s->target;
    d->sh = value;
    if (value->text[strspn(value->text, " \t\n")] == '\0')
        scope_error(s, value, "an empty command runs nothing");
    else
        scope_text(s, value, &d->hook->sh);
}

static void
check_argument(
    struct scope *s, const struct node *argument, bool program, const struct strv *captures)
{
    struct fault f;
    if (argument->kind != NODE_TEXT || s->report->errors > REPORT_MAX)
        return;
    if (program ? program_fault(argument->text, &f) : argument_fault(argument->text, captures, &f))
        scope_error_at(s, node_place(argument, f.offset, f.length), "%s", f.text);
}

static void
check_run(struct scope *s, const struct node *run, const struct strv *captures)
{
    static const struct key word = {.name = "run"};
    s->key = &word;
    if (run->kind != NODE_LIST) {
        check_argument(s, run, true, captures);
        return;
    }
    for (size_t i = 0; i < run->n; i++)
        check_argument(s, run->item[i], i == 0, captures);
}

static void
check_sh(struct scope *s, const struct node *sh, const struct strv *captures)
{
    static const struct key word = {.name = "sh"};
    struct fault f;
    s->key = &word;
    if (shell_fault(sh->text, captures, &f))
        scope_error_at(s, node_place(sh, f.offset, f.length), "%s", f.text);
    for (size_t from = 0; s->report->warnings <= REPORT_MAX && shell_unquoted(sh->text, from, &f);
         from = f.offset + f.length)
        scope_warning_at(s, node_place(sh, f.offset, f.length), "%s", f.text);
}

void
action_check(struct scope *s, const struct draft *d, const struct strv *captures)
{
    struct scope inner = *s;
    if (d->run != NULL)
        check_run(&inner, d->run, captures);
    if (d->sh != NULL)
        check_sh(&inner, d->sh, captures);
}
