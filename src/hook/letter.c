/* SPDX-License-Identifier: ISC */
/* The closed letter: copies of everything, so that it outlives facts, rule and configuration.
 *
 * One placeholder fills one argument, whole; nothing from a mail is split, quoted or pasted into a
 * shell string, and argv[0] is the configuration's word alone. */
#include "hook/letter.h"

#include "base/mem.h"

#include <stdlib.h>

#define PREFIX "MAILCALL_"

void
hook_opts_free(struct hook_opts *o)
{
    strv_free(&o->run);
    strv_free(&o->path);
    strv_free(&o->env);
    free(o->sh);
    free(o->cwd);
    *o = (struct hook_opts){0};
}

static void
fill_argv(struct strv *argv, const struct strv *templates, const struct fields *fields)
{
    strv_add(argv, templates->v[0]);
    for (size_t i = 1; i < templates->n; i++) {
        struct buf b = {0};
        fields_fill(&b, templates->v[i], fields);
        strv_take(argv, buf_take(&b));
    }
}

static void
shell_argv(struct strv *argv, const char *command)
{
    strv_add(argv, "/bin/sh");
    strv_add(argv, "-c");
    strv_add(argv, command);
    strv_add(argv, "sh");
}

static char *
last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return xstrdup(slash != NULL ? slash + 1 : path);
}

struct letter *
letter_write(const struct hook_opts *opts, const struct event *event)
{
    struct letter *l = xcalloc(1, sizeof *l);
    fields_make(&l->fields, event);
    if (opts->sh != NULL)
        shell_argv(&l->argv, opts->sh);
    else if (opts->run.n > 0)
        fill_argv(&l->argv, &opts->run, &l->fields);
    l->program = last_part(l->argv.n > 0 ? l->argv.v[0] : "");
    strv_copy(&l->env, &opts->env);
    strv_copy(&l->path, &opts->path);
    l->stdin_kind = opts->stdin_kind;
    l->output = opts->output;
    l->cwd = opts->cwd != NULL ? xstrdup(opts->cwd) : NULL;
    l->umask = opts->umask;
    l->timeout_ms = opts->timeout_ms;
    l->kill_after_ms = opts->kill_after_ms;
    return l;
}

void
letter_free(struct letter *l)
{
    if (l == NULL)
        return;
    strv_free(&l->argv);
    fields_free(&l->fields);
    strv_free(&l->env);
    strv_free(&l->path);
    free(l->cwd);
    free(l->program);
    free(l);
}

static struct span
name_of(const char *entry)
{
    return (struct span){entry, strcspn(entry, "=")};
}

static bool
is_ours(const char *entry)
{
    return strncmp(entry, PREFIX, strlen(PREFIX)) == 0;
}

static bool
is_covered(struct span name, struct span secret)
{
    if (secret.n == 0 || secret.p[secret.n - 1] != '*')
        return span_eq(name, secret);
    secret.n--;
    return name.n >= secret.n && span_eq((struct span){name.p, secret.n}, secret);
}

static bool
is_secret(const char *entry, const struct strv *secrets)
{
    for (size_t i = 0; i < secrets->n; i++)
        if (is_covered(name_of(entry), span_str(secrets->v[i])))
            return true;
    return false;
}

static bool
is_overridden(const char *entry, const struct strv *env)
{
    for (size_t i = 0; i < env->n; i++)
        if (span_eq(name_of(entry), name_of(env->v[i])))
            return true;
    return false;
}

void
letter_environ(
    const struct letter *l, char *const *inherited, const struct strv *secrets, struct strv *env)
{
    for (; *inherited != NULL; inherited++)
        if (!is_ours(*inherited) && !is_secret(*inherited, secrets) &&
            !is_overridden(*inherited, &l->env))
            strv_add(env, *inherited);
    fields_environ(&l->fields, env);
    for (size_t i = 0; i < l->env.n; i++)
        if (!is_ours(l->env.v[i]))
            strv_add(env, l->env.v[i]);
}
