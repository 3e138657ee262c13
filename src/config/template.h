/*
 * template: what is wrong with the words of a command, before any mail can fill them.
 * Never knows YAML; offsets and lengths are bytes of the text that was given.
 */
#ifndef MAILCALL_CONFIG_TEMPLATE_H
#define MAILCALL_CONFIG_TEMPLATE_H

#include "base/strv.h"

/* What placeholders may name beside the fixed fields; each NULL is none. */
struct names {
    const struct strv *captures; /* {match_…} */
    const struct strv *headers;  /* {header_…} */
};

struct fault {
    size_t offset;
    size_t length;
    char text[300];
};

/* Each returns whether there is a fault. */

/* An argument of a command: every {identifier} must be a field or a name. */
bool argument_fault(const char *argument, const struct names *names, struct fault *f);
/* The same for the hook itself, before whose end nobody knows how it ended. */
bool hook_argument_fault(const char *argument, const struct names *names, struct fault *f);
/* The first word of `run`: a name or path, nothing to be filled. */
bool program_fault(const char *program, struct fault *f);
/* The mailbox of `move` and `copy`: a name, nothing to be filled. */
bool mailbox_fault(const char *mailbox, struct fault *f);
/* `sh`: {identifier} would stay as it is, or worse, be taken for safe. */
bool shell_fault(const char *shell, const struct names *names, struct fault *f);
/* The next $MAILCALL_ outside double quotes at or behind `from`. */
bool shell_unquoted(const char *shell, size_t from, struct fault *f);

#endif
