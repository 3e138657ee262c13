/*
 * process: `daemon:`, what concerns the process and no rule.
 * Never knows what a hook is.
 */
#ifndef MAILCALL_CONFIG_PROCESS_H
#define MAILCALL_CONFIG_PROCESS_H

#include "config/config.h"
#include "config/tree.h"

/* Fills *d with what holds by default, then with what the mapping says; it may be NULL. */
void process_read(struct report *report, const struct node *map, struct daemon_config *d);

#endif
