/*
 * parcel: the spooled message that the jobs of one message share.
 * Never knows bytes of any protocol, or what a job does with it.
 */
#ifndef MAILCALL_WATCH_PARCEL_H
#define MAILCALL_WATCH_PARCEL_H

#include "base/list.h"
#include "job/journal.h"
#include "job/spool.h"

/* All there are. */
struct parcels {
    struct list ring;
    struct spool *spool;     /* borrowed, as is the next */
    struct journal *journal; /* or NULL */
    uint64_t last_message;
};

struct parcel {
    struct list link; /* in the ring */
    struct parcels *among;
    struct list waiting;       /* the owner's: jobs that wait for the file to be fetched again */
    struct spool_file *file;   /* the message, or its header block; NULL: lost */
    struct spool_file *header; /* the header block, where a hook wants only that */
    uint64_t message;          /* the number its jobs carry, ascending in order of arrival */
    bool whole;                /* file is the whole message */
    bool kept;                 /* a job owed beyond our own end needs the file */
    unsigned refs;
};

void parcels_init(struct parcels *ps, struct spool *spool, struct journal *journal);
/* The one that has this file; NULL: none. */
struct parcel *parcels_find(struct parcels *ps, const char *file);

/* The file becomes the parcel's; NULL for one that is lost. One reference. */
struct parcel *parcel_new(struct parcels *ps, struct spool_file *file, bool whole);
struct parcel *parcel_share(struct parcel *p); /* one more reference */
/* One less; with the last the parcel is freed, and its file removed unless it is kept, or a dead
 * letter has it. NULL is fine. */
void parcel_drop(struct parcel *p);

/* A descriptor with the whole file, or with the header block only, at offset 0; the caller closes.
 * -1 with *e. */
int parcel_open(const struct parcel *p, struct err *e);
int parcel_open_header(struct parcel *p, struct err *e);
/* For MAILCALL_FILE: "" when the whole message is not there. */
const char *parcel_path(const struct parcel *p);

#endif
