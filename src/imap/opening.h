/*
 * opening: where to begin in a mailbox that was just opened: its mark, and what of the messages
 * that lay there before us is wanted all the same (RFC 3501 section 6.4.4). Never knows sockets,
 * TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_OPENING_H
#define MAILCALL_IMAP_OPENING_H

#include "imap/session.h"

/* So many numbers a search may find before it is refused. */
enum { OPENING_FOUND_MAX = 1 << 20 };

enum opening_question {
    OPENING_KNOWN,   /* nothing: opening_end() */
    OPENING_HIGHEST, /* the highest UID, which the server did not tell with UIDNEXT */
    OPENING_SEARCH,  /* opening_criterion() */
};

struct opening {
    enum mailbox_opening how;
    enum { OPENING_NOTHING, OPENING_UNSEEN, OPENING_SINCE, OPENING_UNSEEN_OR_SINCE } look_back;
    int64_t since;
    bool marked;
    uint32_t mark; /* of the baseline to be */
    bool searched;
    bool answered; /* the search, by a list at least */
    uint32_t *found;
    size_t n_found;
    size_t cap_found;
};

/* Begins anew, with what an EXAMINE or SELECT told. */
void opening_begin(struct opening *o, const struct mailbox *m, const struct mailbox_facts *facts,
    const struct session_opts *opts);
/* What has to be asked next. */
enum opening_question opening_question(const struct opening *o);
/* Its answers: the highest UID. */
void opening_mark(struct opening *o, uint32_t mark);
/* What to search for: " UNSEEN", " SINCE 1-Feb-1994". */
void opening_criterion(const struct opening *o, struct buf *out);
/* A list of UIDs found. -1: there are too many. */
int opening_found(struct opening *o, struct span numbers, struct err *e);
/* Makes the mailbox what was found out, unless it goes on as before. Nothing was done to it till
 * then. */
void opening_end(struct opening *o, struct mailbox *m, uint32_t uidvalidity);
void opening_free(struct opening *o);

#endif
