/* mail: every tests/mail/NAME.eml is read whole, and NAME.want is what must come of it.
 *
 * NAME.want, in this order; UTF-8, LF, values as in struct facts (decoded, one line):
 *
 *     trusted: NAME NAME …      only as the first line: whose Authentication-Results count
 *     subject: TEXT
 *     from: LIST                mailboxes joined by ", "; each is `Name <addr>`, or `addr` where
 *     to: LIST                  there is no name, or `Name <>` where there is no address
 *     cc: LIST
 *     reply-to: LIST
 *     sender: ADDR              the envelope's: topmost Return-Path, without <>
 *     date: TIME                of the Date field, as 2026-10-03T14:02:11Z
 *     message-id: ID            without <>
 *     list-id: ID               without <>
 *     attachment: PART TYPE SIZE inline|attached NAME
 *                               a line for each, in the order of the message; SIZE in decoded
 * bytes; NAME is the rest of the line and may be missing auth: AUTHSERV dkim=RESULT/DOMAIN
 * dkim=RESULT/DOMAIN … spf=RESULT dmarc=RESULT what is unknown is left out (dkim=RESULT without a
 * domain) text: the text, verbatim, to the end of the file
 *
 * A key whose value is empty may be left out or stand there without one: both say that it is empty.
 * Trailing blanks of a key's line, and empty lines at the end of the text, are not compared.
 *
 * What counts as the text and as an attachment stands in src/mail/message.h, how HTML becomes text
 * in src/mail/html.h. */
#include "base/mem.h"
#include "base/rfc3339.h"
#include "mail/message.h"

#include "../facts_check.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <glob.h>
#include <unistd.h>

#define FOLDER    "tests/mail"
#define MAILS_MIN 150

static struct buf
file_content(const char *path)
{
    struct buf b = {0};
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("%s/%s is missing", FOLDER, path);
    for (int c; (c = fgetc(file)) != EOF;)
        buf_addc(&b, (char)c);
    fclose(file);
    return b;
}

static void
add_line(struct buf *out, const char *key, const char *value)
{
    if (value[0] != '\0')
        buf_addf(out, "%s: %s\n", key, value);
}

static void
add_list(struct buf *out, const char *key, const struct addresses *list)
{
    struct buf line = {0};
    for (size_t i = 0; i < list->n; i++) {
        const struct address *a = &list->v[i];
        buf_adds(&line, i > 0 ? ", " : "");
        if (a->name[0] == '\0')
            buf_adds(&line, a->addr);
        else
            buf_addf(&line, "%s <%s>", a->name, a->addr);
    }
    add_line(out, key, buf_str(&line));
    buf_free(&line);
}

static void
add_attachments(struct buf *out, const struct facts *f)
{
    for (size_t i = 0; i < f->n_attachments; i++) {
        const struct attachment *a = &f->attachments[i];
        buf_addf(out, "attachment: %s %s %" PRIu64 " %s%s%s\n", a->part, a->type, a->size,
            a->is_inline ? "inline" : "attached", a->name[0] != '\0' ? " " : "", a->name);
    }
}

static void
add_auth(struct buf *out, const struct auth *auth)
{
    struct buf line = {0};
    buf_adds(&line, auth->authserv);
    for (size_t i = 0; i < auth->n_dkim; i++)
        buf_addf(&line, " dkim=%s%s%s", auth->dkim[i].result,
            auth->dkim[i].domain[0] != '\0' ? "/" : "", auth->dkim[i].domain);
    if (auth->spf[0] != '\0')
        buf_addf(&line, " spf=%s", auth->spf);
    if (auth->dmarc[0] != '\0')
        buf_addf(&line, " dmarc=%s", auth->dmarc);
    add_line(out, "auth", buf_str(&line));
    buf_free(&line);
}

/* The facts in the form of a .want without its first line. */
static void
describe(struct buf *out, const struct facts *f)
{
    char date[RFC3339_MAX] = "";
    if (f->has_date)
        rfc3339_utc(date, f->date);
    add_line(out, "subject", f->subject);
    add_list(out, "from", &f->from);
    add_list(out, "to", &f->to);
    add_list(out, "cc", &f->cc);
    add_list(out, "reply-to", &f->reply_to);
    add_line(out, "sender", f->sender);
    add_line(out, "date", date);
    add_line(out, "message-id", f->message_id);
    add_line(out, "list-id", f->list_id);
    add_attachments(out, f);
    add_auth(out, &f->auth);
    buf_addf(out, "text:\n%s", f->text);
}

static void
trim_end(struct buf *b, size_t from, const char *what)
{
    size_t n = b->n;
    while (n > from && strchr(what, b->p[n - 1]) != NULL)
        n--;
    buf_cut(b, n);
}

/* The .want as describe() would write it; its trusted servers go into `trusted`. */
static void
normalise(struct buf *out, char *want, struct strv *trusted)
{
    char *rest = want;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        size_t start = out->n;
        if (strncmp(line, "trusted:", 8) == 0 && line == want) {
            for (char *name, *names = line + 8; (name = strsep(&names, " \r")) != NULL;)
                if (name[0] != '\0')
                    strv_add(trusted, name);
            continue;
        }
        buf_adds(out, line);
        trim_end(out, start, " \t\r");
        bool text = strcmp(buf_str(out) + start, "text:") == 0;
        if (out->n == start || (out->p[out->n - 1] == ':' && !text)) {
            buf_cut(out, start);
            continue;
        }
        buf_addc(out, '\n');
        if (text)
            break;
    }
    if (rest != NULL)
        buf_adds(out, rest);
    else if (strstr(buf_str(out), "text:\n") == NULL)
        buf_adds(out, "text:\n");
    trim_end(out, 0, "\r\n");
}

/* The first line that differs, in both. */
static void
print_difference(const char *want, const char *got)
{
    unsigned line = 1;
    for (;;) {
        size_t w = strcspn(want, "\n");
        size_t g = strcspn(got, "\n");
        if (w != g || memcmp(want, got, w) != 0 || want[w] != got[g]) {
            print_error("line %u\n- %.*s\n+ %.*s\n", line, (int)w, want, (int)g, got);
            return;
        }
        if (want[w] == '\0')
            return;
        want += w + 1;
        got += g + 1;
        line++;
    }
}

static void
is_read_as_wanted(void **state)
{
    const char *path = *state;
    char *want_path = xasprintf("%.*s.want", (int)(strlen(path) - strlen(".eml")), path);
    struct buf mail = file_content(path);
    struct buf want_file = file_content(want_path);
    char *want_text = buf_take(&want_file);
    struct buf want = {0};
    struct buf got = {0};
    struct strv trusted = {0};
    normalise(&want, want_text != NULL ? want_text : (char[]){""}, &trusted);
    struct message *m = message_open(buf_span(&mail));
    struct facts *facts = message_whole_facts(m, &trusted);
    facts_check(facts);
    describe(&got, facts);
    trim_end(&got, 0, "\n");
    if (strcmp(buf_str(&want), buf_str(&got)) != 0) {
        print_difference(buf_str(&want), buf_str(&got));
        fail_msg("%s/%s: is not read as %s says, but:\n%s", FOLDER, path, want_path, buf_str(&got));
    }
    facts_free(facts);
    message_free(m);
    strv_free(&trusted);
    buf_free(&want);
    buf_free(&got);
    buf_free(&mail);
    free(want_text);
    free(want_path);
}

int
main(void)
{
    glob_t files;
    if (chdir(FOLDER) != 0 || glob("*.eml", 0, NULL, &files) != 0 || files.gl_pathc < MAILS_MIN) {
        fprintf(stderr, "%s: too few files; run this in the root of the repository\n", FOLDER);
        return 1;
    }
    struct CMUnitTest *tests = xcalloc(files.gl_pathc, sizeof *tests);
    for (size_t i = 0; i < files.gl_pathc; i++)
        tests[i] = (struct CMUnitTest){.name = files.gl_pathv[i],
            .test_func = is_read_as_wanted,
            .initial_state = files.gl_pathv[i]};
    int failed = _cmocka_run_group_tests(FOLDER, tests, files.gl_pathc, NULL, NULL);
    free(tests);
    globfree(&files);
    return failed;
}
