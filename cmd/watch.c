/* SPDX-License-Identifier: ISC */
/*
 * mailcall watch: one mailbox, filters, a command; no configuration and no state. The arguments
 * become the same account, rule and hook that a YAML file would make, and the same daemon runs
 * them.
 */
#include "cmd.h"

#include "base/mem.h"
#include "base/units.h"
#include "base/utf8.h"
#include "config/config.h"
#include "hook/fields.h"
#include "sys/log.h"
#include "watch/daemon.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Filter options by their key in the configuration; each also exists as --not-KEY. */
static const char *const filters[] = {"from", "to", "cc", "addressed_to", "reply_to", "sender",
    "recipient", "subject", "list_id", "message_id", "any_header", "header", "from_is",
    "from_domain", "body", "attachment", "auth", "larger", "smaller", "newer", "older", "flag"};
enum { N_FILTERS = sizeof filters / sizeof *filters, FILTER_BASE = 1000 };

enum {
    OPT_STDIN = 500,
    OPT_DECODE,
    OPT_TRUST,
    OPT_TIMEOUT_HOOK,
    OPT_RETRY,
    OPT_DEBOUNCE,
    OPT_MAX_DELAY,
    OPT_ON_BUSY,
    OPT_EXIT_ON_ERROR,
    OPT_PASSWORD_COMMAND,
    OPT_TOKEN_COMMAND,
    OPT_PASSWORD_FILE,
    OPT_CA_FILE,
    OPT_FINGERPRINT,
};

static const struct option own_longs[] = {
    {"shell", required_argument, NULL, 's'},
    {"output", required_argument, NULL, 'o'},
    {"count", required_argument, NULL, 'N'},
    {"time-limit", required_argument, NULL, 't'},
    {"stdin", required_argument, NULL, OPT_STDIN},
    {"decode", no_argument, NULL, OPT_DECODE},
    {"trust", required_argument, NULL, OPT_TRUST},
    {"timeout-hook", required_argument, NULL, OPT_TIMEOUT_HOOK},
    {"retry", required_argument, NULL, OPT_RETRY},
    {"debounce", required_argument, NULL, OPT_DEBOUNCE},
    {"max-delay", required_argument, NULL, OPT_MAX_DELAY},
    {"on-busy", required_argument, NULL, OPT_ON_BUSY},
    {"exit-on-error", no_argument, NULL, OPT_EXIT_ON_ERROR},
    {"password-command", required_argument, NULL, OPT_PASSWORD_COMMAND},
    {"token-command", required_argument, NULL, OPT_TOKEN_COMMAND},
    {"password-file", required_argument, NULL, OPT_PASSWORD_FILE},
    {"tls-ca-file", required_argument, NULL, OPT_CA_FILE},
    {"tls-fingerprint", required_argument, NULL, OPT_FINGERPRINT},
};
enum { N_OWN = sizeof own_longs / sizeof *own_longs };

struct watch_args {
    struct config config; /* one account, one rule, one hook */
    struct account account;
    struct rule rule;
    struct hook_opts hook;
    struct retry_opts retry;
    struct queue_rule manners;
    bool has_manners;                  /* somebody asked for other than the usual ones */
    struct cond *group[2 * N_FILTERS]; /* one COND_ANY for each filter and each --not- */
    const char *format;                /* -o */
    bool has_command;
    bool exit_on_error;
    unsigned count;
    uint64_t time_limit_ms;
    struct daemon *daemon;
    int hook_status;   /* for --exit-on-error */
    struct err output; /* when what we print cannot be written */
};

/* --- options --- */

/* --attachment alone is any attachment. */
static int
argument_of(const char *filter)
{
    return strcmp(filter, "attachment") == 0 ? optional_argument : required_argument;
}

/* "from_is" is the option --from-is; names live as long as the table. */
static struct option *
make_longs(struct strv *names)
{
    struct option *longs = xcalloc(N_OWN + 2 * N_FILTERS + 1, sizeof *longs);
    memcpy(longs, own_longs, sizeof own_longs);
    for (int i = 0; i < 2 * N_FILTERS; i++) {
        const char *filter = filters[i % N_FILTERS];
        strv_addf(names, "%s%s", i < N_FILTERS ? "" : "not-", filter);
        char *name = names->v[names->n - 1];
        for (char *p = name; *p != '\0'; p++)
            if (*p == '_')
                *p = '-';
        longs[N_OWN + i] = (struct option){name, argument_of(filter), NULL, FILTER_BASE + i};
    }
    return longs;
}

static int
add_filter(struct watch_args *a, int index, const char *value, struct err *e)
{
    struct cond *leaf = config_cond(filters[index % N_FILTERS], value != NULL ? value : "true", e);
    if (leaf == NULL)
        return -1;
    if (a->group[index] == NULL)
        a->group[index] = cond_new(COND_ANY);
    cond_add(a->group[index], leaf);
    return 0;
}

static int
set_stdin(struct hook_opts *h, const char *value, struct err *e)
{
    static const char *const kinds[] = {
        [STDIN_MESSAGE] = "message",
        [STDIN_HEADERS] = "headers",
        [STDIN_NONE] = "none",
        [STDIN_JSON] = "json",
        [STDIN_BODY] = "body",
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(value, kinds[i]) == 0) {
            h->stdin_kind = (enum hook_stdin)i;
            return 0;
        }
    return err_set(
        e, ERR_USAGE, "--stdin: '%s' is not message, headers, body, json or none", value);
}

static int
set_number(unsigned *number, const char *option, const char *value, struct err *e)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(value, &end, 10);
    if (!isdigit((unsigned char)value[0]) || *end != '\0' || errno != 0 || n < 1 || n > 1000000000)
        return err_set(e, ERR_USAGE, "%s: '%s' is not a number from 1", option, value);
    *number = (unsigned)n;
    return 0;
}

/* As curl means it: so many tries after the first. */
static int
set_retry(struct watch_args *a, const char *value, struct err *e)
{
    unsigned n;
    if (set_number(&n, "--retry", value, e) != 0)
        return -1;
    a->retry.attempts = n + 1;
    return 0;
}

static int
set_manner(
    struct watch_args *a, const char *option, const char *key, const char *value, struct err *e)
{
    a->has_manners = true;
    return config_manner(&a->manners, key, value, e) == 0 ? 0 : err_wrap(e, "%s", option);
}

static void
set_secret(struct watch_args *a, enum secret_kind kind, const char *value)
{
    struct secret_opts *s = &a->account.secret;
    strv_free(&s->argv);
    free(s->text);
    *s = (struct secret_opts){.kind = kind, .shell = true};
    if (kind == SECRET_FILE)
        s->text = xstrdup(value);
    else
        strv_add(&s->argv, value);
}

static int
set_option(struct watch_args *a, int c, const char *value, struct err *e)
{
    switch (c) {
    case 's':
        a->hook.sh = xstrdup(value);
        a->has_command = true;
        return 0;
    case 'o':
        a->format = value;
        return 0;
    case 'N':
        return set_number(&a->count, "--count", value, e);
    case 't':
        return duration_parse(value, &a->time_limit_ms, e);
    case OPT_STDIN:
        return set_stdin(&a->hook, value, e);
    case OPT_DECODE:
        a->hook.decode = true;
        return 0;
    case OPT_TRUST:
        return config_trust(&a->account, value, e) == 0 ? 0 : err_wrap(e, "--trust");
    case OPT_TIMEOUT_HOOK:
        return duration_parse(value, &a->hook.timeout_ms, e);
    case OPT_RETRY:
        return set_retry(a, value, e);
    case OPT_DEBOUNCE:
        return set_manner(a, "--debounce", "debounce", value, e);
    case OPT_MAX_DELAY:
        return set_manner(a, "--max-delay", "max_delay", value, e);
    case OPT_ON_BUSY:
        return set_manner(a, "--on-busy", "on_busy", value, e);
    case OPT_EXIT_ON_ERROR:
        a->exit_on_error = true;
        return 0;
    case OPT_PASSWORD_COMMAND:
        set_secret(a, SECRET_COMMAND, value);
        return 0;
    case OPT_TOKEN_COMMAND:
        set_secret(a, SECRET_TOKEN_COMMAND, value);
        return 0;
    case OPT_PASSWORD_FILE:
        set_secret(a, SECRET_FILE, value);
        return 0;
    case OPT_CA_FILE:
        free(a->account.net.ca_file);
        a->account.net.ca_file = xstrdup(value);
        return 0;
    case OPT_FINGERPRINT:
        return config_fingerprint(value, &a->account.net.fingerprint, e);
    default:
        return add_filter(a, c - FILTER_BASE, value, e);
    }
}

/* --- what the arguments mean --- */

static int
set_target(struct watch_args *a, const char *url, struct err *e)
{
    char *mailbox = NULL;
    if (config_url(url, &a->account, &mailbox, e) != 0)
        return -1;
    strv_take(&a->account.mailboxes, mailbox != NULL ? mailbox : xstrdup("INBOX"));
    return 0;
}

/* Whether any filter, plain or --not-, asks about this. */
static bool
asks(const struct watch_args *a, const char *filter)
{
    for (int i = 0; i < 2 * N_FILTERS; i++)
        if (a->group[i] != NULL && strcmp(filters[i % N_FILTERS], filter) == 0)
            return true;
    return false;
}

/* The match of the rule: every group that was named, the --not- ones negated. */
static int
close_rule(struct watch_args *a, struct err *e)
{
    if (asks(a, "auth") && a->account.trusted.n == 0)
        return err_set(e, ERR_USAGE,
            "--auth: anyone can write an Authentication-Results header; name the server you trust "
            "with --trust");
    a->rule.name = xstrdup("watch");
    a->rule.where = xstrdup("command line");
    a->rule.enabled = true;
    a->rule.match = cond_new(COND_ALL);
    for (int i = 0; i < 2 * N_FILTERS; i++) {
        struct cond *group = a->group[i];
        if (group == NULL)
            continue;
        if (i >= N_FILTERS) {
            struct cond *opposite = cond_new(COND_NOT);
            cond_add(opposite, group);
            group = opposite;
        }
        cond_add(a->rule.match, group);
        a->group[i] = NULL;
    }
    return config_check_rule(&a->rule, &a->hook, e);
}

static int
set_command(struct watch_args *a, char **command, struct err *e)
{
    for (char **p = command; *p != NULL; p++)
        strv_add(&a->hook.run, *p);
    if (a->hook.run.n > 0 && a->hook.sh != NULL)
        return err_set(e, ERR_USAGE, "either -s or -- and a command, not both");
    a->has_command = a->has_command || a->hook.run.n > 0;
    if (a->has_command && a->format != NULL)
        return err_set(e, ERR_USAGE, "-o prints, so it does not go with a command");
    if (!a->has_command && a->has_manners)
        return err_set(
            e, ERR_USAGE, "--debounce, --max-delay and --on-busy are about a command; give one");
    if (!a->has_command && a->hook.decode)
        return err_set(e, ERR_USAGE, "--decode makes files for a command; give one");
    if (!a->has_command)
        a->hook.stdin_kind = STDIN_NONE;
    return config_settle_manners(&a->manners, e) == 0 ? 0 : err_wrap(e, "--max-delay");
}

static int
check_format(const struct watch_args *a, struct err *e)
{
    size_t offset, length;
    struct strv captures = {0};
    if (a->format == NULL)
        return 0;
    cond_captures(a->rule.match, &captures);
    int result = fields_check(a->format, &captures, NULL, &offset, &length);
    strv_free(&captures);
    if (result != 0)
        return err_set(e, ERR_USAGE, "-o: unknown field '%.*s'", (int)length, a->format + offset);
    return 0;
}

/* --- the secret, when no option names it --- */

static bool
from_credentials(struct watch_args *a)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (folder == NULL)
        return false;
    char *path = xasprintf("%s/%s", folder, a->account.net.host);
    bool there = access(path, R_OK) == 0;
    if (there)
        a->account.secret = (struct secret_opts){.kind = SECRET_FILE, .text = path};
    else
        free(path);
    return there;
}

static char *
read_line(FILE *f)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = getline(&line, &cap, f);
    if (n < 0) {
        free(line);
        return NULL;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

/* Who is ended at the prompt must not leave a terminal that shows nothing of what is typed. */
static int tty_fd;
static struct termios tty_was;

static void
give_tty_back(int number)
{
    tcsetattr(tty_fd, TCSANOW, &tty_was);
    raise(number); /* which has its default again: SA_RESETHAND */
}

static void
on_ends(void (*handler)(int number))
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action = {.sa_handler = handler, .sa_flags = (int)SA_RESETHAND};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        sigaction(ends[i], &action, NULL);
}

/* On the terminal itself, so that stdin and stdout stay free; without echo. */
static char *
prompt(const struct account *account)
{
    FILE *tty = fopen("/dev/tty", "r+e");
    if (tty == NULL)
        return NULL;
    tty_fd = fileno(tty);
    if (tcgetattr(tty_fd, &tty_was) != 0) {
        fclose(tty);
        return NULL;
    }
    fprintf(tty, "password for %s at %s: ", account->user, account->net.host);
    fflush(tty);
    struct termios quiet = tty_was;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    on_ends(give_tty_back);
    tcsetattr(tty_fd, TCSAFLUSH, &quiet);
    char *line = read_line(tty);
    tcsetattr(tty_fd, TCSAFLUSH, &tty_was);
    on_ends(SIG_DFL);
    fputc('\n', tty);
    fclose(tty);
    return line;
}

static int
find_secret(struct watch_args *a, struct err *e)
{
    struct secret_opts *s = &a->account.secret;
    char *text = NULL;
    if (s->argv.n > 0)
        return 0;
    if (s->text != NULL && strcmp(s->text, "-") != 0)
        return 0;
    if (s->text != NULL)
        text = read_line(stdin);
    else if (from_credentials(a))
        return 0;
    else if ((text = netrc_password(a->account.net.host, a->account.user)) == NULL &&
             isatty(STDIN_FILENO))
        text = prompt(&a->account);
    if (text == NULL || text[0] == '\0') {
        free(text);
        return err_set(e, ERR_AUTH,
            "no password for %s at %s: use --password-command, --password-file or ~/.netrc",
            a->account.user, a->account.net.host);
    }
    free(s->text);
    *s = (struct secret_opts){.kind = SECRET_PLAIN, .text = text};
    return 0;
}

/* --- printing --- */

static const char *
shown(const struct letter *letter, const char *name)
{
    const char *value = fields_get(&letter->fields, name);
    return value != NULL && value[0] != '\0' ? value : "-";
}

/* One line for scripts; a value holds neither tab nor newline (fields.h). */
static void
print_tsv(const struct letter *l)
{
    printf("%s\t%s/%s\t%s\t%s\t%s\n", shown(l, "RECEIVED"), shown(l, "ACCOUNT"),
        shown(l, "MAILBOX"), shown(l, "UID"), shown(l, "FROM"), shown(l, "SUBJECT"));
}

/* For eyes: nothing that reorders or hides text on a terminal. */
static void
print_columns(const struct letter *l)
{
    const char *name = fields_get(&l->fields, "FROM_NAME");
    const char *columns[] = {
        shown(l, "RECEIVED"), name[0] != '\0' ? name : shown(l, "FROM"), shown(l, "SUBJECT")};
    static const char *const formats[] = {"%-20s  ", "%-24s  ", "%s\n"};
    for (size_t i = 0; i < 3; i++) {
        struct buf visible = {0};
        utf8_visible(&visible, span_str(columns[i]));
        printf(formats[i], buf_str(&visible));
        buf_free(&visible);
    }
}

/* \t \n \\ as in printf(1), placeholders as everywhere. */
static void
print_format(const char *format, const struct letter *l)
{
    struct buf template = {0};
    for (const char *p = format; *p != '\0'; p++) {
        const char *known = *p == '\\' && p[1] != '\0' ? strchr("tn\\", p[1]) : NULL;
        if (known == NULL) {
            buf_addc(&template, *p);
            continue;
        }
        buf_addc(&template, "\t\n\\"[known - (const char *)"tn\\"]);
        p++;
    }
    struct buf out = {0};
    fields_fill(&out, buf_str(&template), &l->fields);
    puts(buf_str(&out));
    buf_free(&template);
    buf_free(&out);
}

static void
on_letter(void *arg, const struct letter *letter)
{
    struct watch_args *a = arg;
    if (a->format != NULL)
        print_format(a->format, letter);
    else if (isatty(STDOUT_FILENO))
        print_columns(letter);
    else
        print_tsv(letter);
    if (flush_stdout(&a->output) != 0)
        daemon_stop_now(a->daemon);
}

static void
on_outcome(void *arg, const struct outcome *outcome)
{
    struct watch_args *a = arg;
    if (!a->exit_on_error || outcome->status == 0 || outcome->status == 99)
        return;
    a->hook_status = outcome->status;
    daemon_stop_now(a->daemon);
}

/* --- running --- */

static int
status_of(const struct watch_args *a, enum daemon_end end, const struct err *e)
{
    if (a->hook_status != 0)
        return a->hook_status;
    if (a->output.kind != ERR_NONE)
        return fail(&a->output);
    switch (end) {
    case DAEMON_TIME:
        return EXIT_TIMED_OUT;
    case DAEMON_FAILED:
        return fail(e);
    case DAEMON_STOPPED:
    case DAEMON_LIMIT:
    case DAEMON_DONE:
        break;
    }
    return EXIT_OK;
}

static int
watch(struct watch_args *a)
{
    struct err e = {0};
    char *spool = path_spool(&e);
    if (spool == NULL)
        return fail(&e);
    struct daemon_opts opts = {
        .config = &a->config,
        .spool = spool,
        .on_letter = a->has_command ? NULL : on_letter,
        .on_outcome = on_outcome,
        .arg = a,
        .limit = a->count,
        .time_limit_ms = a->time_limit_ms,
        .fail_first = true,
        .forward_signals = true,
    };
    a->daemon = daemon_new(&opts, &e);
    int status = a->daemon == NULL ? fail(&e) : status_of(a, daemon_run(a->daemon, &e), &e);
    daemon_free(a->daemon);
    free(spool);
    return status;
}

static int
understand(struct watch_args *a, const char *url, char **command, struct err *e)
{
    if (set_target(a, url, e) != 0 || set_command(a, command, e) != 0 || close_rule(a, e) != 0 ||
        check_format(a, e) != 0)
        return err_wrap(e, "watch");
    return find_secret(a, e);
}

/* Everything before "--" is ours, everything after it the command. */
static int
split_command(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--") == 0)
            return i;
    return argc;
}

/* --attachment '*.pdf', with the pattern as a word of its own: what has wildcards and no '/' is no
 * mailbox. */
static void
take_pattern(int c, char **argv, int end)
{
    bool optional = c >= FILTER_BASE &&
                    argument_of(filters[(c - FILTER_BASE) % N_FILTERS]) == optional_argument;
    if (!optional || optarg != NULL || optind >= end)
        return;
    const char *word = argv[optind];
    if (word[0] != '-' && strpbrk(word, "*?[") != NULL && strchr(word, '/') == NULL)
        optarg = argv[optind++];
}

static int
parse(struct globals *g, int argc, char **argv, struct watch_args *a)
{
    struct strv names = {0};
    struct option *longs = make_longs(&names);
    int end = split_command(argc, argv);
    char **command = end < argc ? argv + end + 1 : argv + argc;
    char *dashes = argv[end];
    argv[end] = NULL;
    struct options o;
    options_init(&o, g, end, argv, longs, "s:o:N:t:");
    struct err e = {0};
    int c;
    while ((c = options_next(&o)) != -1) {
        take_pattern(c, argv, end);
        if (set_option(a, c, optarg, &e) != 0)
            options_refuse(&o, "%s", e.text);
    }
    if (!o.over && optind != end - 1)
        options_refuse(&o, optind >= end ? "which mailbox? imaps://USER@HOST/MAILBOX"
                                         : "one URL, and the command after --");
    if (!o.over && understand(a, argv[optind], command, &e) != 0) {
        o.over = true;
        o.status = fail(&e);
    }
    argv[end] = dashes;
    options_free(&o);
    free(longs);
    strv_free(&names);
    return o.over ? o.status + 1 : 0;
}

/* The daemon wants a whole configuration: arrays of one. */
static void
close_config(struct watch_args *a)
{
    a->config = (struct config){
        .accounts = &a->account,
        .n_accounts = 1,
        .rules = {.v = &a->rule, .n = 1},
        .hooks = &a->hook,
        .retries = &a->retry,
        .manners = &a->manners,
        .daemon = {.allow_root = true, /* the command was typed by whoever is root */
            .max_hooks = 8,
            .shutdown_timeout_ms = 30 * 1000},
    };
    config_fixed_secrets(&a->config.secrets);
}

static void
clear(struct watch_args *a)
{
    for (int i = 0; i < 2 * N_FILTERS; i++)
        cond_free(a->group[i]);
    account_free(&a->account);
    hook_opts_free(&a->hook);
    retry_opts_free(&a->retry);
    rule_free(&a->rule);
    strv_free(&a->config.secrets);
}

int
cmd_watch(struct globals *g, int argc, char **argv)
{
    struct watch_args a = {
        .hook = {.output = OUTPUT_INHERIT,
            .umask = 077,
            .timeout_ms = 5 * 60 * 1000,
            .kill_after_ms = 10 * 1000},
        .manners = {.concurrency = 1, .on_busy = BUSY_QUEUE},
    };
    retry_default(&a.retry);
    a.retry.attempts = 1; /* unless --retry says otherwise */
    g->verbosity--;       /* stderr is the command's too: only what went wrong */
    int over = parse(g, argc, argv, &a);
    options_log(g);
    close_config(&a);
    int status = over != 0 ? over - 1 : watch(&a);
    clear(&a);
    return status;
}
