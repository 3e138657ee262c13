/*
 * source: the text of one configuration file, and places in it that people can be shown.
 * Never knows YAML, nor what the text means.
 */
#ifndef MAILCALL_CONFIG_SOURCE_H
#define MAILCALL_CONFIG_SOURCE_H

#include "base/err.h"
#include "base/span.h"

enum { SOURCE_MAX = 1024 * 1024 };

struct source {
    char *name;   /* as the user wrote it; "-" is standard input */
    char *folder; /* absolute: where relative paths inside the file begin */
    char *text;   /* without a byte order mark, NUL behind it */
    size_t n;     /* bytes of text */
    size_t *line; /* where each line begins; line[n_lines] == n */
    size_t n_lines;
    bool argument;  /* one word of a command line: it has no line numbers */
    bool exposed;   /* a regular file that group or others may read or write */
    bool foreign;   /* owned neither by us nor by root */
    unsigned order; /* of discovery: reports are sorted by it */
};

/* Reads a whole file, at most SOURCE_MAX bytes. NULL with *e (ERR_INPUT). The caller frees. */
struct source *source_open(const char *path, struct err *e);
/* A source made of text in memory; relative paths begin at the current folder. */
struct source *source_new(const char *name, struct span text);
void source_free(struct source *s); /* NULL is fine */

/* Line number `line` (from 1) without its line break; the empty end if there are not so many. */
struct span source_line(const struct source *s, unsigned line);
/* The byte offset of a line and column, both from 1, columns counted in characters. */
size_t source_offset(const struct source *s, unsigned line, unsigned column);
/* A path as the file means it: absolute, "~/" is the home folder, else relative to the file's
 * folder. The caller frees. NULL: a "~/" and no home folder. */
char *source_path(const struct source *s, const char *path);
/* The home folder of the user: $HOME, else the password database; NULL if neither knows. The
 * caller frees. */
char *source_home(void);

/* Where something stands: lines and columns from 1, columns and width in characters. */
struct place {
    const struct source *source;
    unsigned line;
    unsigned column;
    unsigned width;
};

/* The place of one byte of the text. */
struct place source_place(const struct source *s, size_t offset);
/* "file:line:column", or the name alone for an argument. The caller frees. */
char *place_text(struct place p);

#endif
