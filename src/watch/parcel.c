/* SPDX-License-Identifier: ISC */
/* The last job to let go decides what becomes of the file: it is gone with the jobs, unless a dead
 * letter, or a job that is owed beyond our own end, still needs it. */
#include "watch/parcel.h"

#include "base/mem.h"

#include <stdlib.h>

struct parcel *
parcel_new(
    struct spool *spool, struct spool_file *file, bool whole, uint64_t message, struct list *ring)
{
    struct parcel *p = xcalloc(1, sizeof *p);
    *p = (struct parcel){
        .spool = spool, .file = file, .whole = whole, .message = message, .refs = 1};
    list_init(&p->waiting);
    list_append(ring, &p->link);
    return p;
}

struct parcel *
parcel_share(struct parcel *p)
{
    p->refs++;
    return p;
}

void
parcel_drop(struct parcel *p)
{
    if (p == NULL || --p->refs > 0)
        return;
    list_remove(&p->link);
    spool_remove(p->header);
    if (p->kept)
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
    if (p->header == NULL && (p->header = spool_headers(p->spool, p->file, e)) == NULL)
        return -1;
    return spool_reopen(p->header, e);
}

const char *
parcel_path(const struct parcel *p)
{
    return p->whole && p->file != NULL ? spool_path(p->file) : "";
}
