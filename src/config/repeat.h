/*
 * repeat: the key `retry`, in rules and in defaults.
 * Never knows when, or whether, anything runs again.
 */
#ifndef MAILCALL_CONFIG_REPEAT_H
#define MAILCALL_CONFIG_REPEAT_H

#include "config/schema.h"
#include "job/retry.h"

/* `none`, or a mapping over what holds by default. Replaces all of *o. */
void repeat_read(struct scope *s, const struct node *value, struct retry_opts *o);
void repeat_copy(struct retry_opts *to, const struct retry_opts *from);

#endif
