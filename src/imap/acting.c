/* SPDX-License-Identifier: ISC */
/* An act is a path of commands, of which at most one is under way. A message is removed only by its
 * UID, and only after the server said OK to the copy of it: an EXPUNGE without UIDs would take
 * along what others have marked, and is never sent. So a move goes, where the server can, by one
 * command; else by a copy that the owner hears of before what follows is sent. */
#include "imap/acting.h"

#include "base/mem.h"
#include "imap/caps.h"
#include "imap/refusal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum path { STORES, COPIES, MOVES, COPIES_AND_REMOVES, REMOVES };

static const enum acting_command paths[][4] = {
    [STORES] = {ACTING_STORE, ACTING_NOTHING},
    [COPIES] = {ACTING_COPY, ACTING_NOTHING},
    [MOVES] = {ACTING_MOVE, ACTING_NOTHING},
    [COPIES_AND_REMOVES] = {ACTING_COPY, ACTING_STORE, ACTING_EXPUNGE, ACTING_NOTHING},
    [REMOVES] = {ACTING_STORE, ACTING_EXPUNGE, ACTING_NOTHING},
};

void
acting_add(struct acting *a, const struct act *act)
{
    if (a->n == a->cap) {
        a->cap = a->cap > 0 ? a->cap * 2 : 4;
        a->v = xreallocarray(a->v, a->cap, sizeof *a->v);
    }
    a->v[a->n++] = (struct acting_one){.act = act};
}

static void
drop(struct acting *a, struct acting_one *one)
{
    a->n--;
    memmove(one, one + 1, (a->n - (size_t)(one - a->v)) * sizeof *one);
}

static enum path
path_of(const struct acting *a, const struct act *act)
{
    switch (act->kind) {
    case ACT_FLAG:
    case ACT_UNFLAG:
        return STORES;
    case ACT_COPY:
        return COPIES;
    case ACT_MOVE:
        if (act->copied)
            return REMOVES;
        return (a->told->caps & CAPS_MOVE) != 0 ? MOVES : COPIES_AND_REMOVES;
    case ACT_DELETE:
        return REMOVES;
    }
    return REMOVES;
}

/* The flag a path stores, or NULL. */
static const char *
flag_of(const struct act *act, enum path path)
{
    if (path == STORES)
        return act->text;
    return path == REMOVES || path == COPIES_AND_REMOVES ? "\\Deleted" : NULL;
}

static int
check_epoch(const struct acting *a, const struct act *act, struct err *e)
{
    if (a->mailbox->uidvalidity == 0)
        return err_set(e, ERR_MAILBOX,
            "server tells no UIDVALIDITY: message %" PRIu32 " may be another by now", act->uid);
    if (a->mailbox->uidvalidity != act->uidvalidity)
        return err_set(e, ERR_MAILBOX,
            "mailbox was replaced: message %" PRIu32 " is another by now", act->uid);
    return 0;
}

/* What would be sent: mailbox name and flag must be such that it can be. */
static int
check_arguments(const struct acting *a, const struct act *act, const char *flag, struct err *e)
{
    struct command c = {0};
    int result = 0;
    if (act->kind == ACT_COPY || act->kind == ACT_MOVE)
        result = command_mailbox(&c, act->text, a->told->separator, e);
    if (result == 0 && flag != NULL)
        result = command_flag(&c, flag, e);
    command_wipe(&c);
    if (result < 0)
        e->kind = ERR_INPUT;
    return result;
}

static int
check(const struct acting *a, const struct act *act, struct err *e)
{
    enum path path = path_of(a, act);
    const char *flag = flag_of(act, path);
    if (check_epoch(a, act, e) < 0 || check_arguments(a, act, flag, e) < 0)
        return -1;
    if (a->told->facts.read_only && path != COPIES)
        return err_set(e, ERR_INPUT, "mailbox is read-only");
    if (flag != NULL && !told_keeps(a->told, flag))
        return err_set(e, ERR_INPUT, "the server keeps no flag %s", flag);
    return 0;
}

const struct act *
acting_refused(struct acting *a, struct err *e)
{
    for (size_t i = 0; i < a->n; i++) {
        struct acting_one *one = &a->v[i];
        const struct act *act = one->act;
        if (one->next != NULL)
            continue;
        if (check(a, act, e) < 0) {
            drop(a, one);
            return act;
        }
        one->next = paths[path_of(a, act)];
    }
    return NULL;
}

/* Whether an earlier act on the same message has not ended. */
static bool
is_blocked(const struct acting *a, const struct acting_one *one)
{
    for (const struct acting_one *earlier = a->v; earlier < one; earlier++)
        if (earlier->act->uid == one->act->uid)
            return true;
    return false;
}

enum acting_command
acting_plan(struct acting *a)
{
    size_t begun = 0;
    for (size_t i = 0; i < a->n && begun < ACTING_AT_ONCE; i++) {
        struct acting_one *one = &a->v[i];
        begun += one->state != ACTING_WAITS;
        if (one->state != ACTING_WAITS || one->next == NULL || is_blocked(a, one))
            continue;
        one->state = ACTING_PLANNED;
        return *one->next;
    }
    return ACTING_NOTHING;
}

static struct acting_one *
find(struct acting *a, enum acting_state state, unsigned tag)
{
    size_t i = 0;
    while (i < a->n && (a->v[i].state != state || a->v[i].tag != tag))
        i++;
    assert(i < a->n);
    return &a->v[i];
}

static int
write_store(const struct act *act, struct command *c, struct err *e)
{
    bool flags = act->kind == ACT_FLAG || act->kind == ACT_UNFLAG;
    command_raw(c, act->kind == ACT_UNFLAG ? "-FLAGS.SILENT" : "+FLAGS.SILENT");
    return command_flag(c, flags ? act->text : "\\Deleted", e);
}

int
acting_write(struct acting *a, struct command *c, unsigned tag, bool behind_done, struct err *e)
{
    struct acting_one *one = find(a, ACTING_PLANNED, 0);
    one->state = ACTING_SENT;
    one->tag = tag;
    a->behind_done = behind_done;
    a->answered = false;
    buf_addf(&c->bytes, " %" PRIu32, one->act->uid);
    if (*one->next == ACTING_STORE)
        return write_store(one->act, c, e);
    if (*one->next == ACTING_COPY || *one->next == ACTING_MOVE)
        return command_mailbox(c, one->act->text, a->told->separator, e);
    return 0;
}

static bool
is_gone(enum acting_command command, const struct reply *r)
{
    bool copies = command == ACTING_COPY || command == ACTING_MOVE;
    if (r->status == REPLY_OK)
        return copies && !span_istarts(r->code, SPAN("COPYUID")) &&
               refusal_nothing_copied(r->words);
    return r->status == REPLY_NO &&
           (copies ? refusal_nothing_copied(r->words) : refusal_vanished(r->words));
}

/* The command was obeyed: on to the next of the path. */
static void
step_on(struct acting *a, struct acting_one *one, struct acting_outcome *outcome)
{
    enum acting_command done = *one->next++;
    one->state = ACTING_WAITS;
    one->tag = 0;
    if (*one->next == ACTING_EXPUNGE && (a->told->caps & CAPS_UIDPLUS) == 0) {
        a->left_marked = true;
        one->next++;
    }
    outcome->ended = *one->next == ACTING_NOTHING;
    outcome->copied = done == ACTING_COPY && !outcome->ended;
}

void
acting_settle(struct acting *a, unsigned tag, const struct reply *r, struct acting_outcome *outcome)
{
    struct acting_one *one = find(a, ACTING_SENT, tag);
    *outcome = (struct acting_outcome){.act = one->act};
    a->answered = true;
    outcome->gone = is_gone(*one->next, r);
    if (outcome->gone)
        outcome->ended = true;
    else if (r->status == REPLY_OK)
        step_on(a, one, outcome);
    else
        outcome->failed = refusal_kind(r->words, ERR_INPUT);
    if (outcome->ended || outcome->failed != ERR_NONE)
        drop(a, one);
}

void
acting_free(struct acting *a)
{
    free(a->v);
    a->v = NULL;
    a->n = a->cap = 0;
}
