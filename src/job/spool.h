/*
 * spool: messages on their way from the server to the hooks, one 0600 file each in a 0700 folder.
 * Never knows what a message is: bytes come in, a file comes out.
 */
#ifndef MAILCALL_JOB_SPOOL_H
#define MAILCALL_JOB_SPOOL_H

#include "base/digest.h"
#include "base/err.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct spool;
struct spool_file;

/* What tells a file of a kept spool again after we are gone. */
struct spool_note {
    const char *name; /* its last part */
    uint64_t size;
    unsigned char digest[DIGEST_SIZE]; /* of its bytes */
};

/* A folder of our own inside `parent` (made 0700 if missing, with what is missing above it; refused
 * if others can write to it), locked while we live. Folders of dead processes beside it are
 * removed. NULL with *e (ERR_CREATE). */
struct spool *spool_open(const char *parent, struct err *e);
/* The folder itself (as `parent` above, links resolved), for files that outlive us; the caller sees
 * to it that nobody else has it open. Names of new files differ from all that were ever given. NULL
 * with *e (ERR_CREATE). */
struct spool *spool_open_kept(const char *folder, struct err *e);
/* Every spool_file was removed or let go before. Of spool_open(): removes the folder with all that
 * is left inside; a kept one stays as it is. NULL is fine. */
void spool_close(struct spool *s);
/* Removes the files of a kept spool that were made in an earlier life and that nobody claims, which
 * is asked about each, adopted or not. Those of this life, and what never was a file of ours, stay.
 * Returns how many, or -1 with *e when the folder cannot be read. */
int spool_sweep(
    struct spool *s, bool (*is_claimed)(void *arg, const char *name), void *arg, struct err *e);

/* A new empty file. NULL with *e (ERR_CREATE or ERR_IO). */
struct spool_file *spool_begin(struct spool *s, struct err *e);
/* Appends; CRLF becomes LF, also across calls; a bare CR stays. Returns 0, or -1 (ERR_IO: disk
 * full); after that the file can only be removed. */
int spool_write(struct spool_file *f, struct span bytes, struct err *e);
/* No more bytes: a CR held back is written. Returns 0 or -1. Until then the file is not reopened
 * and its headers are not asked for. */
int spool_finish(struct spool_file *f, struct err *e);
/* A file of a kept spool, by what was noted of it. NULL with *e, ERR_INPUT: it is not there, or it
 * is not what it was (a plain file of ours, its size, its digest); ERR_IO: it cannot be read. */
struct spool_file *spool_adopt(struct spool *s, const struct spool_note *note, struct err *e);
/* What to note of a file that was finished without an error; the name is borrowed from it. */
struct spool_note spool_note(const struct spool_file *f);
/* Frees f and leaves the file where it is. NULL is fine. */
void spool_let_go(struct spool_file *f);
/* Removes a file of a kept spool by its name; what cannot be the name of one is one not there, and
 * that is no error. */
void spool_unlink(struct spool *s, const char *name);
/* Unlinks the file and frees f; descriptors already handed out stay readable. NULL is fine. */
void spool_remove(struct spool_file *f);

const char *spool_path(const struct spool_file *f); /* absolute; borrowed */
uint64_t spool_size(const struct spool_file *f);    /* bytes in the file */
/* A new read-only descriptor at offset 0, close-on-exec; the caller closes. -1 with *e. */
int spool_reopen(const struct spool_file *f, struct err *e);
/* A folder of its own beside the file, 0700, for what belongs to it; made, or opened again. It goes
 * with the file. A descriptor, close-on-exec, the caller closes; -1 with *e. */
int spool_folder(struct spool_file *f, struct err *e);
char *spool_folder_path(const struct spool_file *f); /* the caller frees */
/* The folder goes before the file does. Harmless without one. */
void spool_remove_folder(struct spool_file *f);
/* A second file with CRLF for every line end of the first. */
struct spool_file *spool_crlf(struct spool *s, const struct spool_file *f, struct err *e);
/* A second file with only the header block of the first, its empty line included. */
struct spool_file *spool_headers(struct spool *s, const struct spool_file *f, struct err *e);

#endif
