/* SPDX-License-Identifier: ISC */
/* The last job to let go decides what becomes of the file: it is gone with the jobs, unless a dead
 * letter, or a job that is owed beyond our own end, still needs it. */
#include "watch/parcel.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void
parcels_init(struct parcels *ps, struct spool *spool, struct journal *journal)
{
    *ps = (struct parcels){.spool = spool, .journal = journal};
    list_init(&ps->ring);
}

struct parcel *
parcels_find(struct parcels *ps, const char *file)
{
    for (struct list *link = ps->ring.prev; link != &ps->ring; link = link->prev) {
        struct parcel *p = LIST_OWNER(link, struct parcel, link);
        if (p->file != NULL && strcmp(spool_note(p->file).name, file) == 0)
            return p;
    }
    return NULL;
}

struct parcel *
parcel_new(struct parcels *ps, struct spool_file *file, bool whole)
{
    struct parcel *p = xcalloc(1, sizeof *p);
    *p = (struct parcel){
        .among = ps, .file = file, .whole = whole, .message = ++ps->last_message, .refs = 1};
    list_init(&p->waiting);
    list_append(&ps->ring, &p->link);
    return p;
}

struct parcel *
parcel_share(struct parcel *p)
{
    p->refs++;
    return p;
}

static bool
is_needed(const struct parcel *p)
{
    struct journal *j = p->among->journal;
    if (p->kept)
        return true;
    return j != NULL && p->file != NULL && journal_dead(j) > 0 &&
           journal_has_dead(j, spool_note(p->file).name);
}

void
parcel_drop(struct parcel *p)
{
    if (p == NULL || --p->refs > 0)
        return;
    list_remove(&p->link);
    spool_remove(p->header);
    if (is_needed(p))
        spool_let_go(p->file);
    else
        spool_remove(p->file);
    free(p);
}

int
parcel_open(const struct parcel *p, struct err *e)
{
    if (p->file == NULL)
        return err_set(e, ERR_IO, "the message is lost");
    return spool_reopen(p->file, e);
}

int
parcel_open_header(struct parcel *p, struct err *e)
{
    if (!p->whole || p->file == NULL)
        return parcel_open(p, e);
    if (p->header == NULL && (p->header = spool_headers(p->among->spool, p->file, e)) == NULL)
        return -1;
    return spool_reopen(p->header, e);
}

const char *
parcel_path(const struct parcel *p)
{
    return p->whole && p->file != NULL ? spool_path(p->file) : "";
}
