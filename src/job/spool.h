/*
 * spool: messages on their way from the server to the hooks, one 0600 file each in a 0700 folder.
 * Never knows what a message is: bytes come in, a file comes out.
 */
#ifndef MAILCALL_JOB_SPOOL_H
#define MAILCALL_JOB_SPOOL_H

#include "base/err.h"
#include "base/span.h"

#include <stdint.h>

struct spool;
struct spool_file;

/* A folder of our own inside `parent` (made 0700 if missing, with what is missing above it; refused
 * if others can write to it), locked while we live. Folders of dead processes beside it are
 * removed. NULL with *e (ERR_CREATE). */
struct spool *spool_open(const char *parent, struct err *e);
/* Removes the folder with all that is left inside; every spool_file was removed before. NULL is
 * fine. */
void spool_close(struct spool *s);

/* A new empty file. NULL with *e (ERR_CREATE or ERR_IO). */
struct spool_file *spool_begin(struct spool *s, struct err *e);
/* Appends; CRLF becomes LF, also across calls; a bare CR stays. Returns 0, or -1 (ERR_IO: disk
 * full); after that the file can only be removed. */
int spool_write(struct spool_file *f, struct span bytes, struct err *e);
/* No more bytes: a CR held back is written. Returns 0 or -1. Until then the file is not reopened
 * and its headers are not asked for. */
int spool_finish(struct spool_file *f, struct err *e);
/* Unlinks the file and frees f; descriptors already handed out stay readable. NULL is fine. */
void spool_remove(struct spool_file *f);

const char *spool_path(const struct spool_file *f); /* absolute; borrowed */
uint64_t spool_size(const struct spool_file *f);    /* bytes in the file */
/* A new read-only descriptor at offset 0, close-on-exec; the caller closes. -1 with *e. */
int spool_reopen(const struct spool_file *f, struct err *e);
/* A second file with only the header block of the first, its empty line included. */
struct spool_file *spool_headers(struct spool *s, const struct spool_file *f, struct err *e);

#endif
