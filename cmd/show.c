/* SPDX-License-Identifier: ISC */
/* mailcall show: one message for people and for hooks: its headers, its text, its attachments. */
#include "cmd.h"

#include "base/mem.h"
#include "base/suggest.h"
#include "hook/event.h"
#include "rule/explain.h"
#include "sort/sorter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum show_what {
    SHOW_PRETTY,
    SHOW_HEADERS = 'H',
    SHOW_TEXT = 't',
    SHOW_EXTRACT = 'x',
    SHOW_LIST = 'l',
    SHOW_JSON = 'j',
};

struct show_args {
    enum show_what what;
    struct strv headers;
    const char *folder;
    const char *name;
};

/* --- arguments --- */

static void
take_option(struct options *o, struct show_args *args, int c)
{
    if (args->what != SHOW_PRETTY && (args->what != (enum show_what)c || c != SHOW_HEADERS)) {
        options_refuse(o, "only one of -H, -t, -x, -l and --json");
        return;
    }
    args->what = (enum show_what)c;
    if (c == SHOW_HEADERS)
        strv_add(&args->headers, optarg);
    if (c == SHOW_EXTRACT)
        args->folder = optarg;
}

/* Returns 0, or the exit code plus one when there is nothing more to do. */
static int
parse(struct globals *g, int argc, char **argv, struct show_args *args)
{
    static const struct option longs[] = {
        {"header", required_argument, NULL, SHOW_HEADERS},
        {"text", no_argument, NULL, SHOW_TEXT},
        {"extract", required_argument, NULL, SHOW_EXTRACT},
        {"list", no_argument, NULL, SHOW_LIST},
        {"json", no_argument, NULL, SHOW_JSON},
        {0},
    };
    struct options o;
    int c;
    options_init(&o, g, argc, argv, longs, "H:tx:l");
    while ((c = options_next(&o)) != -1)
        take_option(&o, args, c);
    options_free(&o);
    if (o.over)
        return o.status + 1;
    if (optind + 1 < argc)
        return usage_error("show", "one message at a time, not '%s' too", argv[optind + 1]) + 1;
    args->name = optind < argc ? argv[optind] : "-";
    if (optind == argc && isatty(STDIN_FILENO))
        return usage_error("show", "which message? Name a file, or - for standard input") + 1;
    if (args->folder != NULL && args->folder[0] == '\0')
        return usage_error("show", "-x needs a folder") + 1;
    return 0;
}

/* --- printing --- */

static void
print_pair(const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    printf("%s: ", name);
    out_value(value);
    putchar('\n');
}

static void
print_addresses(const char *name, const struct addresses *list)
{
    struct buf line = {0};
    for (size_t i = 0; i < list->n; i++) {
        const struct address *a = &list->v[i];
        const char *format = a->name[0] == '\0' ? "%s%s" : a->addr[0] == '\0' ? "%s" : "%s <%s>";
        buf_adds(&line, i > 0 ? ", " : "");
        buf_addf(&line, format, a->name, a->addr);
    }
    print_pair(name, buf_str(&line));
    buf_free(&line);
}

static const char *
header(const struct facts *f, const char *name)
{
    for (size_t i = 0; i < f->n_headers; i++)
        if (strcasecmp(f->headers[i].name, name) == 0)
            return f->headers[i].value;
    return "";
}

static void
print_attachment(const struct attachment *a)
{
    struct buf size = {0};
    explain_size(&size, a->size);
    printf("[%s] ", a->part);
    out_value(a->name[0] != '\0' ? a->name : "(no name)");
    printf("  ");
    out_value(a->type);
    printf("  %s\n", buf_str(&size));
    buf_free(&size);
}

static void
say_cut(const struct facts *f)
{
    if (f->text_truncated)
        fprintf(stderr, "mailcall: the text is longer; this is its beginning\n");
}

static int
print_pretty(const struct facts *f)
{
    print_addresses("From", &f->from);
    print_addresses("To", &f->to);
    print_addresses("Cc", &f->cc);
    print_pair("Subject", f->subject);
    print_pair("Date", header(f, "Date"));
    if (f->text[0] != '\0')
        putchar('\n');
    out_lines(f->text);
    if (f->n_attachments > 0)
        putchar('\n');
    for (size_t i = 0; i < f->n_attachments; i++)
        print_attachment(&f->attachments[i]);
    say_cut(f);
    return EXIT_OK;
}

static bool
print_header(const struct facts *f, const char *name)
{
    bool there = false;
    for (size_t i = 0; i < f->n_headers; i++) {
        if (strcasecmp(f->headers[i].name, name) != 0)
            continue;
        out_value(f->headers[i].value);
        putchar('\n');
        there = true;
    }
    return there;
}

static int
print_headers(const struct facts *f, const struct strv *names)
{
    int status = EXIT_OK;
    for (size_t i = 0; i < names->n; i++)
        if (!print_header(f, names->v[i]))
            status = EXIT_NO;
    return status;
}

static int
print_text(const struct facts *f)
{
    out_lines(f->text);
    say_cut(f);
    return EXIT_OK;
}

/* An empty field would be lost to a shell's `read`. */
static void
print_field(const char *text, char end)
{
    if (text[0] != '\0')
        out_value(text);
    else
        putchar('-');
    putchar(end);
}

static int
print_parts(const struct message_nodes *nodes)
{
    for (size_t i = 0; i < nodes->n; i++) {
        const struct message_node *n = &nodes->v[i];
        print_field(n->part, '\t');
        print_field(n->type, '\t');
        printf("%" PRIu64 "\t", n->size);
        print_field(n->name, '\n');
    }
    return EXIT_OK;
}

static int
print_json(const struct facts *f)
{
    char *line = event_message_json(f);
    puts(line);
    free(line);
    return EXIT_OK;
}

static int
print_answer(const struct show_args *args, const struct sort_answer *a)
{
    switch (args->what) {
    case SHOW_HEADERS:
        return print_headers(a->facts, &args->headers);
    case SHOW_TEXT:
        return print_text(a->facts);
    case SHOW_LIST:
        return print_parts(&a->nodes);
    case SHOW_JSON:
        return print_json(a->facts);
    case SHOW_PRETTY:
    case SHOW_EXTRACT:
        break;
    }
    return print_pretty(a->facts);
}

/* --- showing --- */

static int
show(const struct show_args *args, struct door *d, const struct given *m)
{
    const struct meta meta = {
        .account = "", .mailbox = "", .role = "", .url = "", .received = m->received};
    const struct plan plan = {0};
    struct sort_request request = {
        .folder = -1, .meta = &meta, .plan = &plan, .list = args->what == SHOW_LIST};
    struct sort_answer answer;
    if (args->what == SHOW_EXTRACT)
        return extract_into(d, m, &request, args->folder);
    int status = door_sort(d, m, &request, &answer);
    if (status != EXIT_OK)
        return status;
    status = print_answer(args, &answer);
    sort_answer_free(&answer);
    return status;
}

static bool
needs_whole(const struct show_args *args)
{
    return args->what == SHOW_TEXT || args->what == SHOW_EXTRACT || args->what == SHOW_LIST;
}

/* A file of that name comes first. */
static bool
names_event(const char *name)
{
    return strlen(name) == EVENT_ID_LENGTH &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz234567") == EVENT_ID_LENGTH &&
           access(name, F_OK) != 0;
}

static int
show_through(const struct show_args *args, struct door *d)
{
    struct err e = {0};
    struct given m;
    int rc = names_event(args->name) ? given_dead(&m, args->name, &e)
                                     : given_open(&m, d->spool, args->name, &e);
    if (rc == 0 && !m.whole && needs_whole(args))
        rc = err_set(&e, ERR_INPUT, "%s: only its header block was kept", m.name);
    int status = rc == 0 ? show(args, d, &m) : fail(&e);
    if (rc == 0 && flush_stdout(&e) != 0 && e.kind != ERR_NONE)
        status = fail(&e);
    given_close(&m);
    return status;
}

int
cmd_show(struct globals *g, int argc, char **argv)
{
    static const struct ruleset none;
    struct show_args args = {0};
    struct err e = {0};
    struct door d = {0};
    int over = parse(g, argc, argv, &args);
    options_log(g);
    int status = over - 1;
    if (over == 0)
        status = door_open(&d, &none, &e) == 0 ? show_through(&args, &d) : fail(&e);
    door_close(&d);
    strv_free(&args.headers);
    return status;
}
