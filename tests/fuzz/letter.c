/* SPDX-License-Identifier: ISC */
/* Any bytes as a letter from a damaged journal: refused with a reason, or a letter that keeps every
 * promise of hook/letter.h; and as the words and lines that come with letters. */
#include "hook/letter.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "hook/event.h"

#include "../facts_check.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
field_check(const struct field *field)
{
    MUST(*field->name != '\0');
    MUST(strspn(field->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(field->name));
    MUST(strlen(field->value) <= FIELD_VALUE_MAX);
    MUST(utf8_valid(span_str(field->value)));
    MUST(strncmp(field->value, "() {", 4) != 0);
    bool lines = strcmp(field->name, "ATTACHMENTS") == 0;
    for (const char *p = field->value; *p != '\0'; p++)
        MUST(((unsigned char)*p >= 0x20 && *p != 0x7F) || (lines && *p == '\n'));
}

static void
fields_check_all(const struct fields *f)
{
    size_t n = 0;
    while (fields_name(n) != NULL)
        n++;
    MUST(f->n >= n && f->n <= 2 * n + FIELD_MATCH_MAX + FIELD_HEADER_MAX);
    for (size_t i = 0; i < f->n; i++) {
        field_check(&f->v[i]);
        MUST(fields_get(f, f->v[i].name) == f->v[i].value);
    }
}

static void
action_check(const struct action *a)
{
    MUST(action_name(a->kind) != NULL);
    if (a->kind == ACTION_RUN)
        MUST(a->run.n > 0 && a->text == NULL);
    else
        MUST(a->run.n == 0 && (a->text == NULL) == (a->kind == ACTION_DELETE));
}

static void
letter_check(const struct letter *l)
{
    fields_check_all(&l->fields);
    MUST(l->program != NULL);
    MUST((l->json != NULL) == (l->stdin_kind == STDIN_JSON));
    MUST((l->text != NULL) == (l->stdin_kind == STDIN_BODY));
    MUST(l->text == NULL || utf8_valid(span_str(l->text)));
    MUST(l->output <= OUTPUT_DISCARD && l->eol <= EOL_CRLF);
    MUST(l->cwd == NULL || *l->cwd == '/');
    for (size_t i = 0; i < l->on_success.n; i++)
        action_check(&l->on_success.v[i]);
    for (size_t i = 0; i < l->on_failure.n; i++)
        action_check(&l->on_failure.v[i]);
}

static void
writes_the_same(const struct letter *l)
{
    struct buf first = {0};
    struct buf second = {0};
    struct err e;
    letter_pack(l, &first);
    struct letter *again = letter_unpack(buf_span(&first), &e);
    MUST(again != NULL);
    letter_pack(again, &second);
    MUST(span_eq(buf_span(&first), buf_span(&second)));
    letter_free(again);
    buf_free(&first);
    buf_free(&second);
}

static void
environment_check(const struct letter *l)
{
    static char *const inherited[] = {NULL};
    static const struct strv secrets = {0};
    struct strv env = {0};
    letter_environ(l, inherited, &secrets, &env);
    for (size_t i = 0; i < env.n; i++)
        MUST(strchr(env.v[i], '=') != NULL);
    strv_free(&env);
}

static void
actions_run(const struct letter *l, const struct actions *actions)
{
    for (size_t i = 0; i < actions->n; i++) {
        if (action_is_for_mailbox(&actions->v[i]))
            continue;
        struct letter *next = letter_for_action(l, &actions->v[i], "fail", 7);
        letter_check(next);
        MUST(next->argv.n > 0 && next->on_success.n == 0 && next->on_failure.n == 0);
        MUST(strcmp(fields_get(&next->fields, "HOOK_STATUS"), "7") == 0);
        writes_the_same(next);
        letter_free(next);
    }
}

static void
letter_lives(struct letter *l)
{
    letter_check(l);
    writes_the_same(l);
    environment_check(l);
    actions_run(l, &l->on_success);
    actions_run(l, &l->on_failure);
    letter_address(l, "retry", 2);
    MUST(strcmp(fields_get(&l->fields, "ATTEMPT"), "2") == 0);
    letter_check(l);
    letter_attach(l, "/folder", &(struct event_file){0, "/folder/x\n"}, 1);
    MUST(strcmp(fields_get(&l->fields, "ATTACHMENTS_DIR"), "/folder") == 0);
    letter_check(l);
    writes_the_same(l);
}

static void
text_is_harmless(const uint8_t *data, size_t size)
{
    struct err e = {0};
    char *text = xstrndup((const char *)data, size);
    char *flag = action_flag(text, &e);
    char *again = flag != NULL ? action_flag(flag, &e) : NULL;
    MUST(flag != NULL ? strcmp(flag, again) == 0 : e.kind == ERR_USAGE);
    free(flag);
    free(again);
    char *line = event_json_again(text, "retry", 2);
    MUST(line == NULL || (*line == '{' && strchr(line, '\n') == NULL));
    free(line);
    free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct letter *l = letter_unpack((struct span){(const char *)data, size}, &e);
    if (l != NULL)
        letter_lives(l);
    else
        MUST(e.kind == ERR_INPUT && e.text[0] != '\0');
    letter_free(l);
    text_is_harmless(data, size);
    return 0;
}
