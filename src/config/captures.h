/*
 * captures: whether the groups of one rule can be told apart.
 * Never knows YAML, nor what a capture is used for.
 */
#ifndef MAILCALL_CONFIG_CAPTURES_H
#define MAILCALL_CONFIG_CAPTURES_H

#include "rule/rule.h"

/* Alternatives of one list may share names; any other two regexes may not, and only one regex may
 * have unnamed groups. Returns 0, or -1 with *e and the number of the regex that is at fault,
 * counted from 0 in tree order. */
int captures_check(const struct cond *tree, size_t *regex, struct err *e);

#endif
