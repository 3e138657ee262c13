/* SPDX-License-Identifier: ISC */
/* mailcall help: the commands, one command, and the two tables a hook's author looks up. */
#include "cmd.h"

#include "hook/fields.h"

#include <stdio.h>
#include <string.h>

static const char exit_codes[] = "0    ok\n"
                                 "1    no\n"
                                 "3    not running\n"
                                 "64   wrong usage\n"
                                 "65   a message that cannot be read\n"
                                 "66   a file cannot be read\n"
                                 "68   unknown host\n"
                                 "69   server unavailable, or its certificate refused\n"
                                 "70   internal error\n"
                                 "73   cannot create state\n"
                                 "74   reading or writing failed\n"
                                 "75   try again later\n"
                                 "76   the server broke the protocol\n"
                                 "77   login refused, no password\n"
                                 "78   configuration error\n"
                                 "124  timed out\n"
                                 "\n"
                                 "A hook's own exit status: 0 done; 99 done, and no further rule "
                                 "for this message; 75, 111, 126,\n"
                                 "127, a signal or a timeout: temporary; anything else: failed.\n";

static void
print_commands(void)
{
    puts("mailcall watches mailboxes and runs your scripts the moment mail arrives.\n");
    for (const struct command *c = commands; c->name != NULL; c++)
        printf("  mailcall %s\n      %s\n", c->synopsis, c->summary);
    puts("\nEverywhere: -c/--config FILE, -v, -q, -h/--help, --version.\n"
         "Configuration: $MAILCALL_CONFIG, ~/.config/mailcall/mailcall.yaml, "
         "/etc/mailcall/mailcall.yaml.");
}

static void
print_fields(void)
{
    puts("Set for every hook as MAILCALL_NAME, and as {name} in the arguments of run: and after "
         "--\n");
    for (size_t i = 0; fields_name(i) != NULL; i++)
        printf("  %-18s %s\n", fields_name(i), fields_doc(i));
    printf("  %-18s %s\n", "match_NAME", "what the rule's group (?<NAME>...) matched");
}

int
help_command(const char *name)
{
    if (name == NULL) {
        print_commands();
        return EXIT_OK;
    }
    const struct command *c = command_find(name);
    printf("usage: mailcall %s\n%s\n%s", c->synopsis, c->summary, c->help);
    return EXIT_OK;
}

int
cmd_help(struct globals *g, int argc, char **argv)
{
    (void)g;
    if (argc < 2)
        print_commands();
    else if (strcmp(argv[1], "exit-codes") == 0)
        fputs(exit_codes, stdout);
    else if (strcmp(argv[1], "fields") == 0)
        print_fields();
    else if (command_find(argv[1]) != NULL)
        return help_command(argv[1]);
    else
        return usage_error(NULL, "no help for '%s'", argv[1]);
    return EXIT_OK;
}
