/* SPDX-License-Identifier: ISC */
/* What follows a hook, as plain values that can be kept as bytes.
 *
 * Each kind uses text or run or nothing, as the header says; actions_unpack() lets nothing else in,
 * so that whoever carries an action out need not ask. A flag is a flag of RFC 3501 section 9 all
 * the way from the configuration to the wire: \Seen and its kin, or an atom. */
#include "hook/action.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { FLAG_MAX = 128 };

void
actions_add(struct actions *a, struct action action)
{
    /* grows at powers of two */
    if ((a->n & (a->n - 1)) == 0)
        a->v = xreallocarray(a->v, a->n > 0 ? a->n * 2 : 1, sizeof *a->v);
    a->v[a->n++] = action;
}

void
actions_copy(struct actions *to, const struct actions *from)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct action *a = &from->v[i];
        struct action copy = {a->kind, a->text != NULL ? xstrdup(a->text) : NULL, {0}};
        strv_copy(&copy.run, &a->run);
        actions_add(to, copy);
    }
}

static void
clear(struct action *a)
{
    free(a->text);
    strv_free(&a->run);
}

void
actions_free(struct actions *a)
{
    for (size_t i = 0; i < a->n; i++)
        clear(&a->v[i]);
    free(a->v);
    *a = (struct actions){0};
}

/* --- as bytes --- */

void
actions_pack(struct buf *out, const struct actions *a)
{
    pack_number(out, a->n);
    for (size_t i = 0; i < a->n; i++) {
        pack_number(out, a->v[i].kind);
        pack_str(out, a->v[i].text);
        pack_strv(out, &a->v[i].run);
    }
}

static bool
is_flag(const char *text)
{
    char *flag = action_flag(text, NULL);
    bool same = flag != NULL && strcmp(flag, text) == 0;
    free(flag);
    return same;
}

static bool
is_sound(const struct action *a)
{
    bool text = a->text != NULL;
    bool run = a->run.n > 0;
    switch (a->kind) {
    case ACTION_FLAG:
    case ACTION_UNFLAG:
        return text && !run && is_flag(a->text);
    case ACTION_MOVE:
    case ACTION_COPY:
        return text && !run && *a->text != '\0' && utf8_valid(span_str(a->text));
    case ACTION_DELETE:
        return !text && !run;
    case ACTION_RUN:
        return !text && run;
    case ACTION_SH:
        return text && !run;
    }
    return false;
}

static void
unpack_action(struct unpack *u, struct actions *a)
{
    struct action action = {.kind = (enum action_kind)unpack_upto(u, ACTION_SH)};
    action.text = unpack_str(u);
    unpack_strv(u, &action.run);
    if (!u->broken && is_sound(&action)) {
        actions_add(a, action);
    } else {
        u->broken = true;
        clear(&action);
    }
}

void
actions_unpack(struct unpack *u, struct actions *a)
{
    for (uint64_t n = unpack_number(u); n > 0 && !u->broken; n--)
        unpack_action(u, a);
    if (u->broken)
        actions_free(a);
}

/* --- kinds --- */

bool
action_is_for_mailbox(const struct action *a)
{
    return a->kind != ACTION_RUN && a->kind != ACTION_SH;
}

const char *
action_name(enum action_kind kind)
{
    static const char *const names[] = {
        [ACTION_FLAG] = "flag",
        [ACTION_UNFLAG] = "unflag",
        [ACTION_MOVE] = "move",
        [ACTION_COPY] = "copy",
        [ACTION_DELETE] = "delete",
        [ACTION_RUN] = "run",
        [ACTION_SH] = "sh",
    };
    return names[kind];
}

/* --- flags --- */

/* Without their backslash. */
static const char *const system_flags[] = {"Seen", "Answered", "Flagged", "Deleted", "Draft"};

static const char *
system_flag(struct span name)
{
    for (size_t i = 0; i < sizeof system_flags / sizeof *system_flags; i++)
        if (span_ieq(name, span_str(system_flags[i])))
            return system_flags[i];
    return NULL;
}

static bool
is_atom(const char *s)
{
    for (; *s != '\0'; s++)
        if (*s <= ' ' || *s > '~' || strchr("(){%*\"\\]", *s) != NULL)
            return false;
    return true;
}

/* Why the word, which is no system flag, cannot be a keyword either; NULL if it can. */
static const char *
objection(const char *word)
{
    size_t n = strlen(word);
    if (n == 0)
        return "a flag has a name";
    if (n > FLAG_MAX)
        return "longer than 128 bytes";
    if (span_ieq(span_str(word), SPAN("\\Recent")))
        return "only the server sets it";
    if (*word == '\\')
        return "system flags are \\Seen \\Answered \\Flagged \\Deleted \\Draft";
    if (!is_atom(word))
        return "a keyword is ASCII without spaces, controls and ( ) { ] % * \" \\";
    return NULL;
}

static void
refuse(struct err *e, const char *word, const char *why)
{
    struct buf shown = {0};
    utf8_visible(&shown, span_str(word));
    struct span s = utf8_cut((struct span){buf_str(&shown), shown.n}, FLAG_MAX);
    err_set(e, ERR_USAGE, "'%.*s': %s", (int)s.n, s.p, why);
    buf_free(&shown);
}

char *
action_flag(const char *word, struct err *e)
{
    const char *known = system_flag(span_str(word + (*word == '\\')));
    if (known != NULL)
        return xasprintf("\\%s", known);
    const char *why = objection(word);
    if (why == NULL)
        return xstrdup(word);
    refuse(e, word, why);
    return NULL;
}
