/* SPDX-License-Identifier: ISC */
/* What one rule makes of one message:
 *
 *   invoices   MATCH  mailcall.yaml:47
 *     ok   from        domain stripe.com, hetzner.com    billing@stripe.com
 *     run  save-invoice.sh --number 2026-17    stdin: message, 48K
 *     then flag seen, move Archive/Invoices; stop
 *
 * Every cell passes utf8_visible(): the text of a stranger stays in its place. */
#include "cmd.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "hook/event.h"
#include "hook/letter.h"
#include "rule/explain.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_LEAST = 10, WANTED_MOST = 44, FOUND_MOST = 72, COMMAND_MOST = 400 };

/* --- cells --- */

static size_t
width_of(struct span s)
{
    size_t n = 0;
    while (s.n > 0) {
        utf8_take(&s);
        n++;
    }
    return n;
}

/* Visible, and at most so many characters; the caller frees. */
static char *
cell(const char *text, size_t most)
{
    struct buf visible = {0};
    utf8_visible(&visible, span_str(text));
    struct span rest = buf_span(&visible);
    for (size_t i = 0; i + 1 < most && rest.n > 0; i++)
        utf8_take(&rest);
    if (width_of(rest) > 1) {
        buf_cut(&visible, visible.n - rest.n);
        buf_adds(&visible, "\xE2\x80\xA6");
    }
    return buf_take(&visible);
}

static void
print_cell(const char *text, size_t most, size_t width)
{
    char *visible = cell(text, most);
    size_t n = width_of(span_str(visible));
    printf("%s%*s", visible, (int)(n < width ? width - n : 0), "");
    free(visible);
}

/* Columns are as wide as their widest cell, within limits. */
static void
widen(size_t *width, const char *text, size_t indent, size_t most)
{
    char *visible = cell(text, most);
    size_t n = width_of(span_str(visible)) + indent;
    if (n > *width)
        *width = n;
    free(visible);
}

/* --- the line --- */

void
verdict_line(const struct verdict *v, int width)
{
    print_cell(v->rule->name, SIZE_MAX, (size_t)width);
    printf("  %s  ", v->letter != NULL ? "MATCH" : "no   ");
    print_cell(v->rule->where != NULL ? v->rule->where : "", SIZE_MAX, 0);
    if (v->letter != NULL && v->ended_by != NULL) {
        printf("  (not reached: ");
        print_cell(v->ended_by, SIZE_MAX, 0);
        printf(" stops)");
    }
    putchar('\n');
}

/* --- conditions --- */

/* Below any and not, a condition that does not hold is no failure. */
static const char *
word_of(const struct explained *x)
{
    if (x->depth > 0)
        return x->holds ? "yes " : "no  ";
    return x->holds ? "ok  " : "FAIL";
}

static void
print_condition(const struct explained *x, size_t key, size_t wanted)
{
    int indent = (int)x->depth * 2;
    bool more = x->wanted[0] != '\0' || x->found[0] != '\0';
    printf("  %*s%s ", indent, "", word_of(x));
    print_cell(x->key, SIZE_MAX, more ? key - (size_t)indent : 0);
    if (more) {
        printf("  ");
        print_cell(x->wanted, WANTED_MOST, wanted);
        printf("  ");
        print_cell(x->found, FOUND_MOST, 0);
    }
    if (x->captures[0] != '\0') {
        printf("   ");
        print_cell(x->captures, FOUND_MOST, 0);
    }
    putchar('\n');
}

static void
print_conditions(const struct verdict *v)
{
    struct explanation x;
    size_t key = KEY_LEAST;
    size_t wanted = 0;
    explain(&x, v->rule, v->event->facts, v->event->meta, v->now);
    for (size_t i = 0; i < x.n; i++) {
        widen(&key, x.v[i].key, x.v[i].depth * 2, SIZE_MAX);
        widen(&wanted, x.v[i].wanted, 0, WANTED_MOST);
    }
    for (size_t i = 0; i < x.n; i++)
        print_condition(&x.v[i], key, wanted);
    if (x.n == 0)
        puts("  ok   every message");
    explanation_free(&x);
}

/* --- what would run, and then --- */

static void
add_command(struct buf *out, const struct strv *argv)
{
    for (size_t i = 0; i < argv->n; i++) {
        buf_adds(out, i > 0 ? " " : "");
        out_shell(out, argv->v[i]);
    }
}

static void
add_stdin(struct buf *out, const struct verdict *v)
{
    static const char *const kinds[] = {
        [STDIN_MESSAGE] = "message",
        [STDIN_HEADERS] = "headers",
        [STDIN_NONE] = "none",
        [STDIN_JSON] = "json",
        [STDIN_BODY] = "body",
    };
    buf_addf(out, "stdin: %s", kinds[v->letter->stdin_kind]);
    if (v->letter->stdin_kind != STDIN_MESSAGE)
        return;
    buf_adds(out, ", ");
    explain_size(out, v->message->size);
}

static void
print_run(const struct verdict *v)
{
    struct buf command = {0};
    struct buf input = {0};
    if (v->hook->sh != NULL)
        buf_adds(&command, "sh -c ");
    if (v->hook->sh != NULL)
        out_shell(&command, v->hook->sh);
    else
        add_command(&command, &v->letter->argv);
    add_stdin(&input, v);
    printf("  run  ");
    print_cell(buf_str(&command), COMMAND_MOST, 0);
    printf("   %s\n", buf_str(&input));
    buf_free(&command);
    buf_free(&input);
}

/* \Seen is seen, as people write it. */
static void
add_flag(struct buf *out, const char *flag)
{
    if (flag[0] != '\\') {
        buf_adds(out, flag);
        return;
    }
    for (const char *p = flag + 1; *p != '\0'; p++)
        buf_addc(out, (char)tolower((unsigned char)*p));
}

static void
add_action(struct buf *out, const struct action *a)
{
    buf_adds(out, action_name(a->kind));
    if (a->kind != ACTION_DELETE)
        buf_addc(out, ' ');
    if (a->kind == ACTION_FLAG || a->kind == ACTION_UNFLAG)
        add_flag(out, a->text);
    else if (a->kind == ACTION_RUN)
        add_command(out, &a->run);
    else if (a->kind == ACTION_SH)
        out_shell(out, a->text);
    else if (a->text != NULL)
        buf_adds(out, a->text);
}

static void
print_actions(const char *word, const struct actions *a, bool stop)
{
    struct buf line = {0};
    for (size_t i = 0; i < a->n; i++) {
        buf_adds(&line, i > 0 ? ", " : "");
        add_action(&line, &a->v[i]);
    }
    if (stop)
        buf_addf(&line, "%sstop", line.n > 0 ? "; " : "");
    if (line.n > 0) {
        printf("  %s ", word);
        print_cell(buf_str(&line), COMMAND_MOST, 0);
        putchar('\n');
    }
    buf_free(&line);
}

void
verdict_details(const struct verdict *v)
{
    print_conditions(v);
    if (v->letter == NULL || v->ended_by != NULL)
        return;
    print_run(v);
    print_actions("then", &v->letter->on_success, v->rule->stop);
    print_actions("else", &v->letter->on_failure, false);
}

/* --- JSON --- */

static void
add_key(struct buf *out, const char *key)
{
    buf_adds(out, out->n > 1 ? "," : "");
    out_json(out, key);
    buf_addc(out, ':');
}

static void
add_strings(struct buf *out, const char *key, const struct strv *v)
{
    add_key(out, key);
    buf_addc(out, '[');
    for (size_t i = 0; i < v->n; i++) {
        buf_adds(out, i > 0 ? "," : "");
        out_json(out, v->v[i]);
    }
    buf_addc(out, ']');
}

static void
add_string(struct buf *out, const char *key, const char *value)
{
    add_key(out, key);
    out_json(out, value);
}

/* What is said of the rule comes first, then the event as a hook would get it. */
void
verdict_json(const struct verdict *v)
{
    struct buf line = {0};
    char *event = event_json(v->event);
    buf_addc(&line, '{');
    add_key(&line, "matched");
    buf_adds(&line, v->letter != NULL ? "true" : "false");
    add_key(&line, "reached");
    buf_adds(&line, v->ended_by == NULL ? "true" : "false");
    add_string(&line, "file", v->message->name);
    if (v->letter != NULL && v->hook->sh != NULL)
        add_string(&line, "sh", v->hook->sh);
    else if (v->letter != NULL)
        add_strings(&line, "run", &v->letter->argv);
    printf("%s,%s\n", buf_str(&line), event + 1);
    free(event);
    buf_free(&line);
}
