/* SPDX-License-Identifier: ISC */
/* The table of subcommands, and the options that may stand before one. */
#include "cmd.h"

#include "base/suggest.h"
#include "sys/loop.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct command commands[] = {
    {"run", cmd_run, "run [--once] [-n] [--in TARGET]... [-r RULE]...",
        "run the configured rules (foreground)",
        "      --once              what came since the last time, then end: 0 all done, 75 "
        "something is\n"
        "                          owed or out of reach, 1 a hook failed\n"
        "  -n, --dry-run           match and print; execute nothing\n"
        "      --in TARGET         only ACCOUNT or ACCOUNT/MAILBOX\n"
        "  -r, --rule RULE         only this rule\n"
        "Signals: TERM, INT end it (running hooks finish; twice: at once), USR1 looks for mail "
        "now.\n"},
    {"watch", cmd_watch, "watch URL [FILTER]... [OPTIONS] [-s SHELL-CMD | -- CMD ARG...]",
        "run a command for each new mail, no configuration",
        "URL: imaps://USER@HOST[:PORT][/MAILBOX], imap:// for STARTTLS. Without a command each "
        "mail is\n"
        "one line: received, account/mailbox, uid, from, subject.\n"
        "  -s, --shell CMD         run by sh -c; the mail is in $MAILCALL_*, the message on stdin\n"
        "  -o, --output FORMAT     print this instead: '{from}\\t{subject}'\n"
        "      --stdin KIND        message (default), headers, json, none\n"
        "  -N, --count N           end after N mails\n"
        "  -t, --time-limit D      end after this long, with 124\n"
        "      --timeout-hook D    stop the command after this long (5m)\n"
        "      --retry N           try a command that fails for now (75, 111, a timeout) again\n"
        "      --debounce D        one run for a burst of mails, once it is quiet for this long\n"
        "      --max-delay D       but never later than this after its first mail (1m)\n"
        "      --on-busy WHAT      while the command runs: queue (default), skip, restart\n"
        "      --exit-on-error     end with the command's status when it fails\n"
        "Filters (regexes ignore case): --from --to --cc --addressed-to --reply-to --sender\n"
        "  --recipient --subject --list-id --message-id --any-header REGEX, --header 'NAME: REGEX' "
        "or\n"
        "  NAME, --from-is ADDR, --from-domain DOMAIN, --larger SIZE, --smaller SIZE, --newer "
        "AGE,\n"
        "  --older AGE, --flag NAME; different ones all hold, the same one repeated is either;\n"
        "  --not-X is the opposite of --X.\n"
        "Secret: --password-command CMD, --token-command CMD, --password-file FILE (- is stdin),\n"
        "  $CREDENTIALS_DIRECTORY/HOST, ~/.netrc, else it asks on the terminal.\n"
        "Trust: --tls-ca-file FILE, --tls-fingerprint sha256:HEX.\n"},
    {"failed", cmd_failed, "failed [EVENT-ID... | -r RULE...]",
        "list the jobs that failed for good",
        "One line each: event id, when it failed, rule, account/mailbox:uid, result, attempts, "
        "subject.\n"
        "With event ids also the last of the hook's output.\n"
        "  -r, --rule RULE         only this rule's\n"
        "      --json              one JSON object a line\n"
        "  -q                      print nothing; 1 when there are any\n"},
    {"retry", cmd_retry, "retry (EVENT-ID... | -r RULE... | --all)", "run failed jobs again",
        "The event id stays and attempts are counted on. Where an action failed, the hook does not "
        "run\n"
        "again, the action does. Without a running mailcall they wait until it is started.\n"
        "  -r, --rule RULE         those of this rule\n"
        "      --all               all\n"},
    {"drop", cmd_drop, "drop (EVENT-ID... | -r RULE...)", "forget failed jobs and their messages",
        "The messages on the server stay as they are.\n"
        "  -r, --rule RULE         those of this rule\n"},
    {"check", cmd_check, "check [FILE]", "say what is wrong with a configuration", ""},
    {"help", cmd_help, "help [COMMAND | exit-codes | fields]", "this text", ""},
    {0},
};

const struct command *
command_find(const char *name)
{
    for (const struct command *c = commands; c->name != NULL; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

static int
refuse_command(const char *name)
{
    struct strv names = {0};
    for (const struct command *c = commands; c->name != NULL; c++)
        strv_add(&names, c->name);
    const char *near = suggest(name, &names);
    int status = near != NULL
                     ? usage_error(NULL, "unknown command '%s'; did you mean '%s'?", name, near)
                     : usage_error(NULL, "unknown command '%s'", name);
    strv_free(&names);
    return status;
}

/* Options before the subcommand. Returns the subcommand's place in argv; 0: it is over, *status. */
static int
leading(struct globals *g, int argc, char **argv, int *status)
{
    static const struct option none[] = {{0}};
    struct options o;
    options_init(&o, g, argc, argv, none, "+");
    o.command = NULL;
    while (options_next(&o) != -1)
        continue;
    options_free(&o);
    *status = o.status;
    if (!o.over && optind == argc)
        *status = usage_error(NULL, "which command?");
    return o.over || optind == argc ? 0 : optind;
}

/* A descriptor 0, 1 or 2 that is closed would be given to a connection, and then be written to. */
static void
keep_standard_descriptors(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
        ;
    if (fd >= 0)
        close(fd);
}

int
main(int argc, char **argv)
{
    struct globals g = {0};
    int status;
    keep_standard_descriptors();
    signal(SIGUSR1, SIG_IGN); /* "look for mail now" must not kill who has not begun to look */
    int at = leading(&g, argc, argv, &status);
    if (at == 0)
        return status;
    const struct command *c = command_find(argv[at]);
    if (c == NULL)
        return refuse_command(argv[at]);
    status = c->main(&g, argc - at, argv + at);
    if (loop_left_work()) {
        fflush(NULL);
        _exit(status);
    }
    return status;
}
