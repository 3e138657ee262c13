/* SPDX-License-Identifier: ISC */
/* A baseline and what is wanted below it are found out first and set together: a connection lost in
 * between begins anew, and skips nothing. SINCE goes by the server's own day (RFC 3501 section
 * 6.4.4), which may be up to 14 hours off: the search begins a day early, and who wants it exactly
 * looks at the dates. */
#include "imap/opening.h"

#include "base/mem.h"
#include "base/rfc3339.h"
#include "imap/value.h"

#include <stdlib.h>

enum { DAY = 24 * 60 * 60 };

static void
look_back_at_first(struct opening *o, const struct session_opts *opts)
{
    switch (opts->first) {
    case SESSION_FIRST_NONE:
        break;
    case SESSION_FIRST_ALL:
        opening_mark(o, 0);
        break;
    case SESSION_FIRST_UNSEEN:
        o->look_back = OPENING_UNSEEN;
        break;
    case SESSION_FIRST_SINCE:
        o->look_back = OPENING_SINCE;
        o->since = opts->first_since;
        break;
    }
}

static void
look_back_in_new_epoch(struct opening *o, const struct mailbox *m, const struct session_opts *opts)
{
    int64_t since = opts->epoch_since != NULL ? *opts->epoch_since : 0;
    bool first_is_owed = opts->first == SESSION_FIRST_UNSEEN && m->wanted.n > 0;
    if (since == 0)
        return;
    o->look_back = first_is_owed ? OPENING_UNSEEN_OR_SINCE : OPENING_SINCE;
    o->since = since;
}

void
opening_begin(struct opening *o, const struct mailbox *m, const struct mailbox_facts *facts,
    const struct session_opts *opts)
{
    opening_free(o);
    o->how = mailbox_open(m, facts);
    if (facts->uidnext != 0)
        opening_mark(o, facts->uidnext - 1);
    if (o->how == MAILBOX_FIRST)
        look_back_at_first(o, opts);
    else if (o->how == MAILBOX_NEW_EPOCH)
        look_back_in_new_epoch(o, m, opts);
}

enum opening_question
opening_question(const struct opening *o)
{
    if (o->how == MAILBOX_SAME)
        return OPENING_KNOWN;
    if (!o->marked)
        return OPENING_HIGHEST;
    bool empty = o->mark == 0;
    return o->look_back == OPENING_NOTHING || o->searched || empty ? OPENING_KNOWN : OPENING_SEARCH;
}

void
opening_mark(struct opening *o, uint32_t mark)
{
    o->marked = true;
    o->mark = mark;
}

static void
add_day(struct buf *out, int64_t seconds)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char date[RFC3339_MAX]; /* "2026-10-03T…" */
    rfc3339_utc(date, seconds > DAY ? seconds - DAY : 0);
    if (date[0] == '\0')
        rfc3339_utc(date, 0);
    int month = atoi(date + 5);
    buf_addf(out, "%d-%.3s-%.4s", atoi(date + 8), months + 3 * (month - 1), date);
}

void
opening_criterion(const struct opening *o, struct buf *out)
{
    if (o->look_back == OPENING_UNSEEN) {
        buf_adds(out, " UNSEEN");
        return;
    }
    buf_adds(out, o->look_back == OPENING_UNSEEN_OR_SINCE ? " OR UNSEEN SINCE " : " SINCE ");
    add_day(out, o->since);
}

static int
keep(struct opening *o, uint32_t uid, struct err *e)
{
    if (o->n_found == OPENING_FOUND_MAX)
        return err_set(
            e, ERR_MAILBOX, "search for new messages finds more than %d", OPENING_FOUND_MAX);
    if (o->n_found == o->cap_found) {
        o->cap_found = o->cap_found > 0 ? o->cap_found * 2 : 64;
        o->found = xreallocarray(o->found, o->cap_found, sizeof *o->found);
    }
    o->found[o->n_found++] = uid;
    return 0;
}

int
opening_found(struct opening *o, struct span numbers, struct err *e)
{
    o->answered = true;
    for (struct span word = value_word(&numbers); word.n > 0; word = value_word(&numbers)) {
        uint64_t uid;
        if (value_number(word, UINT32_MAX, &uid) == 0 && keep(o, (uint32_t)uid, e) < 0)
            return -1;
    }
    return 0;
}

static int
compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

void
opening_end(struct opening *o, struct mailbox *m, uint32_t uidvalidity)
{
    if (o->how == MAILBOX_SAME)
        return;
    mailbox_baseline(m, uidvalidity, o->mark);
    if (o->n_found > 0)
        qsort(o->found, o->n_found, sizeof *o->found, compare);
    for (size_t i = 0; i < o->n_found; i++) /* those above the mark come anyway */
        mailbox_want(m, o->found[i]);
    opening_free(o);
}

void
opening_free(struct opening *o)
{
    free(o->found);
    *o = (struct opening){.how = o->how};
}
