/* SPDX-License-Identifier: ISC */
/* The table of subcommands, and the options that may stand before one. */
#include "cmd.h"

#include "base/suggest.h"
#include "sort/worker.h"
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
        "      --stdin KIND        message (default), headers, body (its text), json, none\n"
        "      --decode            attachments as files, in $MAILCALL_ATTACHMENTS_DIR\n"
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
        "  NAME, --from-is ADDR, --from-domain DOMAIN, --body REGEX, --attachment[=GLOB],\n"
        "  --auth dkim=DOMAIN|dkim|spf|dmarc (passed, says the server named by --trust "
        "AUTHSERV-ID),\n"
        "  --larger SIZE, --smaller SIZE, --newer AGE, --older AGE, --flag NAME; different ones "
        "all\n"
        "  hold, the same one repeated is either; --not-X is the opposite of --X.\n"
        "Secret: --password-command CMD, --token-command CMD, --password-file FILE (- is stdin),\n"
        "  $CREDENTIALS_DIRECTORY/HOST, ~/.netrc, else it asks on the terminal.\n"
        "Trust: --tls-ca-file FILE, --tls-fingerprint sha256:HEX.\n"},
    {"test", cmd_test, "test [-r RULE]... [--exec] [--env [-0]] [--json] (FILE... | -)",
        "say what the rules would do with a message",
        "Nothing is done. One line for each rule that matches; with -v every rule with its "
        "conditions,\n"
        "what they were held against, and what would run. Standard input (-) may be one of an "
        "mbox:\n"
        "formail -s mailcall test - < mbox. Exit: 0 a rule matches, 1 none.\n"
        "  -r, --rule RULE         only this rule, wherever it looks, even if it is disabled\n"
        "      --env               print the environment of the hook instead, for a shell\n"
        "  -0, --null              ... with a zero byte behind each variable\n"
        "      --exec              run the hook, with MAILCALL_EVENT=test; nothing is done with "
        "the\n"
        "                          mailbox, and on_success and on_failure stay undone. Exit 1 if "
        "it fails\n"
        "      --json              one JSON object a line; with --env the environment\n"
        "  -q                      print nothing\n"},
    {"show", cmd_show, "show [-H NAME... | -t | -x DIR | -l | --json] [FILE | - | EVENT-ID]",
        "a message as people read it, or a piece of it for a hook",
        "Reads standard input unless a file, or a job that failed, is named.\n"
        "  -H, --header NAME       this header, decoded, one line each time it is there; 1 if it "
        "is not\n"
        "  -t, --text              the text\n"
        "  -x, --extract DIR       write the attachments into DIR, never over another file; "
        "prints the\n"
        "                          paths\n"
        "  -l, --list              every part: part, type, size, name\n"
        "      --json              one JSON object\n"},
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
    if (argc == 2 && strcmp(argv[1], WORKER_COMMAND) == 0)
        return worker_main();
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
