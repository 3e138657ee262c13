/*
 * action: what is to be done with a message, or run, after its hook has ended.
 * Never knows IMAP, YAML or the queue. Pure.
 */
#ifndef MAILCALL_HOOK_ACTION_H
#define MAILCALL_HOOK_ACTION_H

#include "base/buf.h"
#include "base/err.h"
#include "base/pack.h"
#include "base/strv.h"

enum action_kind {
    ACTION_FLAG,
    ACTION_UNFLAG,
    ACTION_MOVE,
    ACTION_COPY,
    ACTION_DELETE,
    ACTION_RUN,
    ACTION_SH,
};

struct action {
    enum action_kind kind;
    char *text; /* FLAG, UNFLAG: as a server wants it, "\\Seen" or a keyword; MOVE, COPY: a mailbox,
                   UTF-8 with '/' between levels; SH: the command; else NULL */
    struct strv run; /* RUN: an argv template as hook_opts has it */
};

/* In order; the first that fails ends it. */
struct actions {
    struct action *v;
    size_t n;
};

/* Appends; the texts become the list's. */
void actions_add(struct actions *a, struct action action);
void actions_copy(struct actions *to, const struct actions *from); /* appends copies */
void actions_free(struct actions *a);                              /* empty afterwards */
void actions_pack(struct buf *out, const struct actions *a);
void actions_unpack(struct unpack *u, struct actions *a); /* into an empty one */

/* Whether a mailbox has to be open for writing for it; else it is a process. */
bool action_is_for_mailbox(const struct action *a);
const char *action_name(enum action_kind kind); /* flag unflag move copy delete run sh */
/* "seen" and "\Seen", in any case, give "\Seen" (likewise answered, flagged, deleted, draft); any
 * other word is a keyword and stays as it is. NULL with *e (ERR_USAGE) for what no server could
 * take as a flag: empty, longer than 128 bytes, not an IMAP atom, "\Recent" or another unknown
 * system flag. The caller frees. */
char *action_flag(const char *word, struct err *e);

#endif
