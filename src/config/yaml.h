/*
 * yaml: from the text of a file to a tree; the only user of libyaml.
 * Never knows what a key means.
 */
#ifndef MAILCALL_CONFIG_YAML_H
#define MAILCALL_CONFIG_YAML_H

#include "config/tree.h"

enum { YAML_ANCHORS_MAX = 256 };

/* What is wrong is reported; the tree is what could be read nevertheless. The source must outlive
 * it. The caller frees. */
struct tree *yaml_read_tree(const struct source *source, struct report *report);

#endif
