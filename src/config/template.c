/* SPDX-License-Identifier: ISC */
/* Placeholders are judged here and filled in hook/fields; both take [a-z][a-z0-9_]* in braces for
 * an identifier and {{ for a brace. The reader of shell strings knows quotes, $( ) and comments: it
 * advises, it does not judge, so it may be wrong about a here document or a case pattern. */
#include "config/template.h"

#include "base/buf.h"
#include "base/suggest.h"
#include "hook/fields.h"

#include <stdio.h>

static bool
is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

/* The length of the identifier at p, braces not counted: 0 if "{identifier}" does not stand there.
 */
static size_t
identifier_length(const char *p)
{
    if (p[0] != '{' || !is_lower(p[1]))
        return 0;
    size_t n = 1;
    while (is_lower(p[n]) || (p[n] >= '0' && p[n] <= '9') || p[n] == '_')
        n++;
    return p[n] == '}' ? n - 1 : 0;
}

/* The next identifier at or behind *at; *at moves behind its brace. */
static bool
next_identifier(const char *text, size_t *at, struct span *identifier)
{
    for (size_t i = *at; text[i] != '\0'; i++) {
        if (text[i] == '{' && text[i + 1] == '{') {
            i++;
            continue;
        }
        size_t n = identifier_length(text + i);
        if (n == 0)
            continue;
        *identifier = (struct span){text + i + 1, n};
        *at = i + n + 2;
        return true;
    }
    return false;
}

static char
as_placeholder(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return is_lower(c) || (c >= '0' && c <= '9') ? c : '_';
}

/* Fields, and match_<capture> and header_<name> as they are written in braces. */
static void
name_fields(struct strv *known, const struct names *names)
{
    for (size_t i = 0; fields_name(i) != NULL; i++)
        strv_add(known, fields_name(i));
    for (size_t i = 0; names->captures != NULL && i < names->captures->n; i++)
        strv_addf(known, "match_%s", names->captures->v[i]);
    for (size_t i = 0; names->headers != NULL && i < names->headers->n; i++) {
        strv_addf(known, "header_%s", names->headers->v[i]);
        for (char *p = known->v[known->n - 1]; *p != '\0'; p++)
            *p = as_placeholder(*p);
    }
}

static int
check(const char *argument, const struct names *names, size_t *offset, size_t *length)
{
    static const struct strv none;
    return fields_check(argument, names->captures != NULL ? names->captures : &none, names->headers,
        offset, length);
}

bool
argument_fault(const char *argument, const struct names *names, struct fault *f)
{
    if (check(argument, names, &f->offset, &f->length) == 0)
        return false;
    char name[64];
    struct strv known = {0};
    snprintf(name, sizeof name, "%.*s", (int)f->length, argument + f->offset);
    name_fields(&known, names);
    const char *best = suggest(name, &known);
    if (best != NULL)
        snprintf(f->text, sizeof f->text, "unknown field '%s'; did you mean '%s'?", name, best);
    else if (strncmp(name, "match_", 6) == 0)
        snprintf(
            f->text, sizeof f->text, "unknown field '%s'; no regex here has such a group", name);
    else if (strncmp(name, "header_", 7) == 0)
        snprintf(
            f->text, sizeof f->text, "unknown field '%s'; list the header under headers:", name);
    else
        snprintf(f->text, sizeof f->text, "unknown field '%s'; for a brace write '{{'", name);
    strv_free(&known);
    return true;
}

static bool
outcome_fault(const char *argument, struct fault *f)
{
    size_t at = 0;
    struct span identifier;
    while (next_identifier(argument, &at, &identifier)) {
        if (!span_eq(identifier, SPAN("hook_result")) && !span_eq(identifier, SPAN("hook_status")))
            continue;
        f->offset = (size_t)(identifier.p - argument);
        f->length = identifier.n;
        snprintf(f->text, sizeof f->text,
            "'%.*s' is known once the hook has ended: in on_success and on_failure",
            (int)identifier.n, identifier.p);
        return true;
    }
    return false;
}

bool
hook_argument_fault(const char *argument, const struct names *names, struct fault *f)
{
    return argument_fault(argument, names, f) || outcome_fault(argument, f);
}

/* Names that are the configuration's word alone. */
static bool
choice_fault(const char *name, const char *what, struct fault *f)
{
    size_t at = 0;
    struct span identifier;
    if (!next_identifier(name, &at, &identifier))
        return false;
    f->offset = (size_t)(identifier.p - name) - 1;
    f->length = identifier.n + 2;
    snprintf(f->text, sizeof f->text, "a mail cannot choose the %s: '{%.*s}' is not filled here",
        what, (int)identifier.n, identifier.p);
    return true;
}

bool
program_fault(const char *program, struct fault *f)
{
    if (program[0] != '\0')
        return choice_fault(program, "program", f);
    *f = (struct fault){.text = "the program has no name"};
    return true;
}

bool
mailbox_fault(const char *mailbox, struct fault *f)
{
    return choice_fault(mailbox, "mailbox", f);
}

static bool
is_field(struct span identifier, const struct names *names)
{
    struct buf braced = {0};
    size_t offset;
    size_t length;
    buf_addf(&braced, "{%.*s}", (int)identifier.n, identifier.p);
    bool known = check(buf_str(&braced), names, &offset, &length) == 0;
    buf_free(&braced);
    return known;
}

static void
describe_shell_fault(struct span identifier, bool field, struct fault *f)
{
    int n = (int)(identifier.n < 60 ? identifier.n : 60);
    if (!field) {
        snprintf(f->text, sizeof f->text,
            "{%.*s} is never filled in a shell string; write { %.*s } if the braces are meant", n,
            identifier.p, n, identifier.p);
        return;
    }
    char upper[64] = "";
    for (int i = 0; i < n; i++)
        upper[i] =
            is_lower(identifier.p[i]) ? (char)(identifier.p[i] - 'a' + 'A') : identifier.p[i];
    snprintf(f->text, sizeof f->text,
        "{%.*s} is never filled in a shell string; use \"$MAILCALL_%.*s\"", n, identifier.p, n,
        upper);
}

bool
shell_fault(const char *shell, const struct names *names, struct fault *f)
{
    size_t at = 0;
    struct span identifier;
    while (next_identifier(shell, &at, &identifier)) {
        f->offset = (size_t)(identifier.p - shell) - 1;
        f->length = identifier.n + 2;
        if (f->offset > 0 && shell[f->offset - 1] == '$')
            continue; /* ${name} is the shell's own */
        describe_shell_fault(identifier, is_field(identifier, names), f);
        return true;
    }
    return false;
}

/* What is open in a shell string: '"', '(' of any kind, '`'. Deeper than this is not looked at. */
struct nesting {
    char open[32];
    size_t n;
};

static char
innermost(const struct nesting *s)
{
    return s->n > 0 ? s->open[s->n - 1] : ' ';
}

static bool
enter(struct nesting *s, char c)
{
    if (s->n == sizeof s->open)
        return false;
    s->open[s->n++] = c;
    return true;
}

static bool
toggle(struct nesting *s, char c)
{
    if (innermost(s) != c)
        return enter(s, c);
    s->n--;
    return true;
}

/* How many bytes "$MAILCALL_NAME" or "${MAILCALL_NAME" has at p; 0 if it is something else. */
static size_t
variable_length(const char *p)
{
    if (p[0] != '$')
        return 0;
    size_t start = p[1] == '{' ? 2 : 1;
    if (strncmp(p + start, "MAILCALL_", 9) != 0)
        return 0;
    return start + strspn(p + start, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
}

static bool
begins_comment(const char *text, size_t i)
{
    return text[i] == '#' && (i == 0 || strchr(" \t\n;&|(", text[i - 1]) != NULL);
}

/* The index of the last byte that the construct at `i` takes, outside double quotes. */
static size_t
skip_plain(const char *text, size_t i)
{
    if (text[i] == '\'') {
        const char *end = strchr(text + i + 1, '\'');
        return end != NULL ? (size_t)(end - text) : i;
    }
    if (begins_comment(text, i))
        return i + strcspn(text + i, "\n") - 1;
    return i;
}

/* Follows one character; false: what comes next cannot be judged. */
static bool
follow(struct nesting *s, const char *text, size_t *i)
{
    char c = text[*i];
    bool quoted = innermost(s) == '"';
    if (c == '\\') {
        *i += text[*i + 1] != '\0';
        return true;
    }
    if (c == '"' || c == '`')
        return toggle(s, c);
    if (quoted) {
        bool command = c == '$' && text[*i + 1] == '(';
        *i += command;
        return !command || enter(s, '(');
    }
    if (c == '(')
        return enter(s, '(');
    if (c == ')' && innermost(s) == '(')
        s->n--;
    if (c == '<' && text[*i + 1] == '<')
        return false;
    *i = skip_plain(text, *i);
    return true;
}

bool
shell_unquoted(const char *shell, size_t from, struct fault *f)
{
    struct nesting s = {.n = 0};
    for (size_t i = 0; shell[i] != '\0'; i++) {
        size_t n = variable_length(shell + i);
        if (n > 0 && i >= from && innermost(&s) != '"') {
            bool brace = shell[i + 1] == '{';
            f->offset = i;
            f->length = n;
            snprintf(f->text, sizeof f->text, "$%.*s is outside double quotes",
                (int)(n - 1 - brace), shell + i + 1 + brace);
            return true;
        }
        if (!follow(&s, shell, &i))
            return false;
    }
    return false;
}
