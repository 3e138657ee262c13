/*
 * glob: file names against patterns with wildcards, as a shell has them.
 * Never knows mail or files.
 */
#ifndef MAILCALL_RULE_GLOB_H
#define MAILCALL_RULE_GLOB_H

#include <stdbool.h>

/* Whether all of `name` is as `pattern` says, letter case ignored: '*' is any run of characters,
 * also '/' and a leading dot, '?' is one, [abc] [a-z] [!abc] one of a set, and '\' takes the next
 * character as it stands. Both are UTF-8. A '[' without its ']' is an ordinary character. */
bool glob_matches(const char *pattern, const char *name);

#endif
