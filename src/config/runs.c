/* SPDX-License-Identifier: ISC */
/* Setters of struct hook_opts, and of `retry` beside it. `defaults:` and rules share them: a rule
 * starts as a copy of the defaults, and each setter replaces what was there, except `env`, which is
 * merged by name. The shapes of `run` and `sh`, and what they may name, are the same wherever a
 * command stands. */
#include "config/runs.h"

#include "base/mem.h"
#include "config/cond.h"
#include "config/repeat.h"
#include "config/template.h"

#include <ctype.h>
#include <stdlib.h>

enum { DEFAULT_UMASK = 077, VARIABLES_MAX = 256 };

static const uint64_t default_timeout_ms = 5 * 60 * 1000;
static const uint64_t default_kill_after_ms = 10 * 1000;
static const uint64_t longest_ms = 366 * 86400 * (uint64_t)1000;

void
runs_default(struct hook_opts *hook)
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
runs_copy(struct hook_opts *to, const struct hook_opts *from)
{
    *to = *from;
    to->run = to->path = to->env = to->headers = (struct strv){0};
    to->on_success = to->on_failure = (struct actions){0};
    to->sh = from->sh != NULL ? xstrdup(from->sh) : NULL;
    to->cwd = from->cwd != NULL ? xstrdup(from->cwd) : NULL;
    strv_copy(&to->run, &from->run);
    strv_copy(&to->path, &from->path);
    strv_copy(&to->env, &from->env);
    strv_copy(&to->headers, &from->headers);
    actions_copy(&to->on_success, &from->on_success);
    actions_copy(&to->on_failure, &from->on_failure);
}

static struct hook_opts *
hook_of(const struct scope *s)
{
    const struct draft *d = s->target;
    return d->hook;
}

void
runs_set_stdin(struct scope *s, const struct node *value)
{
    static const struct word words[] = {
        {"none", STDIN_NONE, false},
        {"headers", STDIN_HEADERS, false},
        {"body", STDIN_BODY, false},
        {"message", STDIN_MESSAGE, false},
        {"json", STDIN_JSON, false},
    };
    int kind;
    if (SCOPE_WORD(s, value, words, &kind))
        hook_of(s)->stdin_kind = (enum hook_stdin)kind;
}

void
runs_set_eol(struct scope *s, const struct node *value)
{
    static const struct word words[] = {{"lf", EOL_LF, false}, {"crlf", EOL_CRLF, false}};
    int eol;
    if (SCOPE_WORD(s, value, words, &eol))
        hook_of(s)->eol = (enum hook_eol)eol;
}

void
runs_set_output(struct scope *s, const struct node *value)
{
    static const struct word words[] = {
        {"log", OUTPUT_LOG, false}, {"discard", OUTPUT_DISCARD, false}};
    int output;
    if (SCOPE_WORD(s, value, words, &output))
        hook_of(s)->output = (enum hook_output)output;
}

void
runs_set_attachments(struct scope *s, const struct node *value)
{
    static const struct word words[] = {{"none", false, false}, {"decode", true, false}};
    int decode;
    if (SCOPE_WORD(s, value, words, &decode))
        hook_of(s)->decode = decode;
}

void
runs_set_env_inherit(struct scope *s, const struct node *value)
{
    static const struct word words[] = {{"all", false, false}, {"none", true, false}};
    int bare;
    if (SCOPE_WORD(s, value, words, &bare))
        hook_of(s)->bare_env = bare;
}

/* Whether both become the same MAILCALL_HEADER_ variable. */
static bool
is_same_variable(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++) {
        bool odd_a = !isalnum((unsigned char)*a);
        bool odd_b = !isalnum((unsigned char)*b);
        if (odd_a != odd_b || (!odd_a && tolower((unsigned char)*a) != tolower((unsigned char)*b)))
            return false;
    }
    return *a == *b;
}

static const char *
find_clash(const struct strv *headers, const char *name)
{
    for (size_t i = 0; i < headers->n; i++)
        if (is_same_variable(headers->v[i], name))
            return headers->v[i];
    return NULL;
}

static void
add_header(struct scope *s, const struct node *value)
{
    struct strv *headers = &hook_of(s)->headers;
    if (!scope_is(s, value, NODE_TEXT))
        return;
    const char *name = value->text;
    const char *clash = find_clash(headers, name);
    if (!cond_is_header_name(name))
        scope_error(s, value, "'%.60s' is not the name of a header", name);
    else if (strlen(name) > FIELD_NAME_MAX)
        scope_error(s, value, "a name of more than %d bytes", FIELD_NAME_MAX);
    else if (clash != NULL)
        scope_error(s, value, "'%s' and '%s' would be the same variable", clash, name);
    else
        strv_add(headers, name);
}

/* What the defaults listed is replaced. */
void
runs_set_headers(struct scope *s, const struct node *value)
{
    struct draft *d = s->target;
    size_t n = value->kind == NODE_LIST ? value->n : 1;
    d->headers = value;
    strv_free(&d->hook->headers);
    if (n > FIELD_HEADER_MAX) {
        scope_error(s, value, "more than %d headers", FIELD_HEADER_MAX);
        return;
    }
    for (size_t i = 0; i < n; i++)
        add_header(s, value->kind == NODE_LIST ? value->item[i] : value);
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
runs_set_env(struct scope *s, const struct node *value)
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
runs_set_cwd(struct scope *s, const struct node *value)
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
runs_set_umask(struct scope *s, const struct node *value)
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
runs_set_timeout(struct scope *s, const struct node *value)
{
    set_period(s, value, 1, &hook_of(s)->timeout_ms);
}

void
runs_set_kill_after(struct scope *s, const struct node *value)
{
    set_period(s, value, 0, &hook_of(s)->kill_after_ms);
}

void
runs_set_retry(struct scope *s, const struct node *value)
{
    const struct draft *d = s->target;
    repeat_read(s, value, d->retry);
}

bool
runs_argv(struct scope *s, const struct node *value, struct strv *argv)
{
    if (value->kind == NODE_TEXT && strpbrk(value->text, " \t\n") != NULL)
        scope_error(s, value, "text with spaces; write a list [prog, arg], or use sh: for a shell");
    else if (value->kind == NODE_LIST && value->n == 0)
        scope_error(s, value, "an empty list runs nothing");
    else
        return scope_texts(s, value, argv);
    return false;
}

bool
runs_command(struct scope *s, const struct node *value, char **command)
{
    if (value->text[strspn(value->text, " \t\n")] != '\0')
        return scope_text(s, value, command);
    scope_error(s, value, "an empty command runs nothing");
    return false;
}

void
runs_set_run(struct scope *s, const struct node *value)
{
    struct draft *d = s->target;
    d->run = value;
    runs_argv(s, value, &d->hook->run);
}

void
runs_set_sh(struct scope *s, const struct node *value)
{
    struct draft *d = s->target;
    d->sh = value;
    runs_command(s, value, &d->hook->sh);
}

void
runs_check_argv(struct scope *s, const struct node *run, const struct names *names,
    bool (*fault)(const char *, const struct names *, struct fault *))
{
    static const struct key key = {.name = "run"};
    bool list = run->kind == NODE_LIST;
    size_t n = list ? run->n : 1;
    s->key = &key;
    for (size_t i = 0; i < n && s->report->errors <= REPORT_MAX; i++) {
        const struct node *word = list ? run->item[i] : run;
        struct fault f;
        if (word->kind != NODE_TEXT)
            continue; /* reported when it was read */
        if (i == 0 ? program_fault(word->text, &f) : fault(word->text, names, &f))
            scope_error_at(s, node_place(word, f.offset, f.length), "%s", f.text);
    }
}

void
runs_check_command(struct scope *s, const struct node *sh, const struct names *names)
{
    static const struct key key = {.name = "sh"};
    struct fault f;
    s->key = &key;
    if (shell_fault(sh->text, names, &f))
        scope_error_at(s, node_place(sh, f.offset, f.length), "%s", f.text);
    for (size_t from = 0; s->report->warnings <= REPORT_MAX && shell_unquoted(sh->text, from, &f);
         from = f.offset + f.length)
        scope_warning_at(s, node_place(sh, f.offset, f.length), "%s", f.text);
}

void
runs_check(struct scope *s, const struct draft *d, const struct names *names)
{
    struct scope inner = *s;
    if (d->run != NULL)
        runs_check_argv(&inner, d->run, names, hook_argument_fault);
    if (d->sh != NULL)
        runs_check_command(&inner, d->sh, names);
}
