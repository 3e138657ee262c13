/* SPDX-License-Identifier: ISC */
/* The closed letter: copies of everything, so that it outlives facts, rule and configuration.
 *
 * One placeholder fills one argument, whole; nothing from a mail is split, quoted or pasted into a
 * shell string, and argv[0] is the configuration's word alone.
 *
 * Letters wait as bytes in a journal that may be damaged: what letter_unpack() lets in keeps every
 * promise that a letter just written keeps. A fixed field more or less is no new FORMAT; whatever
 * else changes in letter_pack() is one, and stands behind all that came before, so that letters
 * survive an update of mailcall. */
#include "hook/letter.h"

#include "base/mem.h"
#include "base/utf8.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PREFIX "MAILCALL_"

enum { FORMAT_FIRST = 1, FORMAT = 2, UMASK_MAX = 0777 };

bool
hook_needs_whole(const struct hook_opts *o)
{
    return o->decode || o->stdin_kind == STDIN_MESSAGE || o->stdin_kind == STDIN_BODY ||
           o->stdin_kind == STDIN_JSON;
}

void
hook_opts_free(struct hook_opts *o)
{
    strv_free(&o->run);
    strv_free(&o->path);
    strv_free(&o->env);
    free(o->sh);
    free(o->cwd);
    strv_free(&o->headers);
    actions_free(&o->on_success);
    actions_free(&o->on_failure);
    *o = (struct hook_opts){0};
}

static void
fill_argv(struct strv *argv, const struct strv *templates, const struct fields *fields)
{
    if (templates->n > 0)
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

/* Everything but fields, event, text and actions. */
static void
equip(struct letter *l, const struct hook_opts *opts)
{
    strv_copy(&l->run, &opts->run);
    if (opts->sh != NULL)
        shell_argv(&l->argv, opts->sh);
    else
        fill_argv(&l->argv, &l->run, &l->fields);
    l->program = last_part(l->argv.n > 0 ? l->argv.v[0] : "");
    strv_copy(&l->env, &opts->env);
    strv_copy(&l->path, &opts->path);
    l->stdin_kind = opts->stdin_kind;
    l->output = opts->output;
    l->cwd = opts->cwd != NULL ? xstrdup(opts->cwd) : NULL;
    l->umask = opts->umask;
    l->timeout_ms = opts->timeout_ms;
    l->kill_after_ms = opts->kill_after_ms;
    l->eol = opts->eol;
    l->decode = opts->decode;
    l->bare_env = opts->bare_env;
}

static char *
text_of(const struct facts *f)
{
    struct buf b = {0};
    utf8_repair(&b, span_str(f->whole ? f->text : ""));
    return buf_take(&b);
}

struct letter *
letter_write(const struct hook_opts *opts, const struct event *event)
{
    struct letter *l = xcalloc(1, sizeof *l);
    fields_make(&l->fields, event);
    equip(l, opts);
    if (opts->stdin_kind == STDIN_JSON)
        l->json = event_json(event);
    if (opts->stdin_kind == STDIN_BODY)
        l->text = text_of(event->facts);
    actions_copy(&l->on_success, &opts->on_success);
    actions_copy(&l->on_failure, &opts->on_failure);
    return l;
}

void
letter_free(struct letter *l)
{
    if (l == NULL)
        return;
    strv_free(&l->argv);
    strv_free(&l->run);
    fields_free(&l->fields);
    strv_free(&l->env);
    strv_free(&l->path);
    free(l->cwd);
    free(l->program);
    free(l->json);
    free(l->text);
    actions_free(&l->on_success);
    actions_free(&l->on_failure);
    free(l);
}

/* --- as bytes --- */

void
letter_pack(const struct letter *l, struct buf *out)
{
    pack_number(out, FORMAT);
    pack_strv(out, &l->argv);
    pack_strv(out, &l->run);
    fields_pack(out, &l->fields);
    pack_strv(out, &l->env);
    pack_strv(out, &l->path);
    pack_number(out, l->stdin_kind);
    pack_number(out, l->output);
    pack_str(out, l->cwd);
    pack_number(out, l->umask);
    pack_number(out, l->timeout_ms);
    pack_number(out, l->kill_after_ms);
    pack_str(out, l->program);
    pack_str(out, l->json);
    actions_pack(out, &l->on_success);
    actions_pack(out, &l->on_failure);
    pack_str(out, l->text);
    pack_number(out, l->eol);
    pack_number(out, l->decode);
    pack_number(out, l->bare_env);
}

static void
unpack_first(struct letter *l, struct unpack *u)
{
    unpack_strv(u, &l->argv);
    unpack_strv(u, &l->run);
    fields_unpack(u, &l->fields);
    unpack_strv(u, &l->env);
    unpack_strv(u, &l->path);
    l->stdin_kind = (enum hook_stdin)unpack_upto(u, STDIN_BODY);
    l->output = (enum hook_output)unpack_upto(u, OUTPUT_DISCARD);
    l->cwd = unpack_str(u);
    l->umask = (unsigned)unpack_upto(u, UMASK_MAX);
    l->timeout_ms = unpack_number(u);
    l->kill_after_ms = unpack_number(u);
    l->program = unpack_str(u);
    l->json = unpack_str(u);
    actions_unpack(u, &l->on_success);
    actions_unpack(u, &l->on_failure);
}

/* What came with format 2. */
static void
unpack_second(struct letter *l, struct unpack *u)
{
    l->text = unpack_str(u);
    l->eol = (enum hook_eol)unpack_upto(u, EOL_CRLF);
    l->decode = unpack_upto(u, true) != 0;
    l->bare_env = unpack_upto(u, true) != 0;
}

static bool
is_variable(const char *entry)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    size_t n = strspn(entry, letters);
    return n > 0 && entry[n] == '=' && (*entry < '0' || *entry > '9');
}

/* Line ends inside would be taken for the next event. */
static bool
is_json_line(const char *s)
{
    for (const char *p = s; *p != '\0'; p++)
        if ((unsigned char)*p < ' ')
            return false;
    return *s == '{' && utf8_valid(span_str(s));
}

static bool
has_its_event(const struct letter *l)
{
    if (l->stdin_kind != STDIN_JSON)
        return l->json == NULL;
    return l->json != NULL && is_json_line(l->json);
}

static bool
has_its_text(const struct letter *l)
{
    if (l->stdin_kind != STDIN_BODY)
        return l->text == NULL;
    return l->text != NULL && utf8_valid(span_str(l->text));
}

static bool
has_its_command(const struct letter *l)
{
    if (l->program == NULL || (l->argv.n == 0 && *l->program != '\0'))
        return false;
    return l->run.n == 0 || l->run.n == l->argv.n;
}

/* Whether the parts of a whole letter go together. */
static bool
is_sound(const struct letter *l)
{
    for (size_t i = 0; i < l->env.n; i++)
        if (!is_variable(l->env.v[i]))
            return false;
    bool absolute = l->cwd == NULL || *l->cwd == '/';
    return absolute && has_its_command(l) && has_its_event(l) && has_its_text(l);
}

struct letter *
letter_unpack(struct span bytes, struct err *e)
{
    struct unpack u = {bytes, false};
    uint64_t format = unpack_number(&u);
    if (format > FORMAT) {
        err_set(
            e, ERR_INPUT, "letter: format %" PRIu64 " is of a later version of mailcall", format);
        return NULL;
    }
    if (format < FORMAT_FIRST)
        u.broken = true;
    struct letter *l = xcalloc(1, sizeof *l);
    unpack_first(l, &u);
    if (format >= 2)
        unpack_second(l, &u);
    if (unpack_whole(&u) && is_sound(l))
        return l;
    letter_free(l);
    err_set(e, ERR_INPUT, "letter: damaged");
    return NULL;
}

/* --- letters made of letters --- */

static void
set_number(struct fields *f, const char *name, long long n)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", n);
    fields_set(f, name, text);
}

static void
refill_argv(struct letter *l)
{
    if (l->run.n == 0)
        return;
    strv_free(&l->argv);
    fill_argv(&l->argv, &l->run, &l->fields);
}

/* NULL leaves it as it was. */
static void
replace_json(struct letter *l, char *json)
{
    if (json == NULL)
        return;
    free(l->json);
    l->json = json;
}

void
letter_address(struct letter *l, const char *kind, unsigned attempt)
{
    fields_set(&l->fields, "EVENT", kind);
    set_number(&l->fields, "ATTEMPT", attempt);
    refill_argv(l);
    if (l->json != NULL)
        replace_json(l, event_json_again(l->json, kind, attempt));
}

void
letter_attach(struct letter *l, const char *folder, const struct event_file *files, size_t n_files)
{
    fields_set(&l->fields, "ATTACHMENTS_DIR", folder);
    refill_argv(l);
    if (l->json != NULL)
        replace_json(l, event_json_files(l->json, files, n_files));
}

struct letter *
letter_for_action(const struct letter *l, const struct action *a, const char *result, int status)
{
    assert(!action_is_for_mailbox(a));
    const struct hook_opts borrowed = {
        .run = a->run,
        .sh = a->text,
        .path = l->path,
        .stdin_kind = l->stdin_kind,
        .output = l->output,
        .env = l->env,
        .cwd = l->cwd,
        .umask = l->umask,
        .timeout_ms = l->timeout_ms,
        .kill_after_ms = l->kill_after_ms,
        .eol = l->eol,
        .decode = l->decode,
        .bare_env = l->bare_env,
    };
    struct letter *next = xcalloc(1, sizeof *next);
    fields_copy(&next->fields, &l->fields);
    fields_set(&next->fields, "HOOK_RESULT", result);
    set_number(&next->fields, "HOOK_STATUS", status);
    equip(next, &borrowed);
    next->json = l->json != NULL ? xstrdup(l->json) : NULL;
    next->text = l->text != NULL ? xstrdup(l->text) : NULL;
    return next;
}

/* --- the environment --- */

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

static bool
is_basic(const char *entry)
{
    static const char *const names[] = {
        "HOME", "PATH", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_eq(name_of(entry), span_str(names[i])))
            return true;
    return false;
}

static bool
is_inherited(const struct letter *l, const char *entry, const struct strv *secrets)
{
    if (l->bare_env && !is_basic(entry))
        return false;
    return !is_ours(entry) && !is_secret(entry, secrets) && !is_overridden(entry, &l->env);
}

void
letter_environ(
    const struct letter *l, char *const *inherited, const struct strv *secrets, struct strv *env)
{
    for (; *inherited != NULL; inherited++)
        if (is_inherited(l, *inherited, secrets))
            strv_add(env, *inherited);
    fields_environ(&l->fields, env);
    for (size_t i = 0; i < l->env.n; i++)
        if (!is_ours(l->env.v[i]))
            strv_add(env, l->env.v[i]);
}
