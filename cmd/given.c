/* SPDX-License-Identifier: ISC */
/* A message that somebody names: copied into a private file, as hooks and the sorter want it. An
 * mbox gives each message a "From " line of its own, which is no part of it. */
#include "cmd.h"

#include "base/mem.h"
#include "job/journal.h"
#include "job/spool.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 64 * 1024 };
static const uint64_t message_max = (uint64_t)1 << 30;

/* Fills the piece unless the end comes first. */
static ssize_t
read_piece(int fd, char *piece)
{
    size_t n = 0;
    while (n < PIECE) {
        ssize_t got = read(fd, piece + n, PIECE - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    return (ssize_t)n;
}

/* How much of the piece belongs to a "From " line; *inside: the piece began in one, or at the very
 * start of the message. */
static size_t
from_line(struct span piece, bool first, bool *inside)
{
    if (first)
        *inside = piece.n >= 5 && memcmp(piece.p, "From ", 5) == 0;
    if (!*inside || piece.n == 0)
        return 0;
    const char *end = memchr(piece.p, '\n', piece.n);
    *inside = end == NULL;
    return end != NULL ? (size_t)(end - piece.p) + 1 : piece.n;
}

static int
copy(struct given *m, int fd, struct err *e)
{
    char *piece = xmalloc(PIECE);
    bool inside = false;
    ssize_t n = 0;
    int rc = 0;
    for (bool first = true; rc == 0 && (n = read_piece(fd, piece)) > 0; first = false) {
        struct span s = {piece, (size_t)n};
        size_t skip = from_line(s, first, &inside);
        rc = spool_write(m->file, (struct span){s.p + skip, s.n - skip}, e);
        if (rc == 0 && spool_size(m->file) > message_max)
            rc = err_set(e, ERR_INPUT, "%s: larger than 1 GiB", m->name);
    }
    if (rc == 0 && n < 0)
        rc = err_sys(e, ERR_INPUT, errno, "%s", m->name);
    free(piece);
    return rc == 0 ? spool_finish(m->file, e) : rc;
}

static int
spool_it(struct given *m, struct spool *s, int fd, struct err *e)
{
    m->file = spool_begin(s, e);
    if (m->file == NULL || copy(m, fd, e) != 0)
        return -1;
    m->size = spool_size(m->file);
    m->fd = spool_reopen(m->file, e);
    return m->fd >= 0 ? 0 : -1;
}

static int
open_source(struct given *m, const char *name, struct err *e)
{
    struct stat st;
    int fd = strcmp(name, "-") == 0 ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_sys(e, ERR_INPUT, errno, "%s", m->name);
    m->received = S_ISREG(st.st_mode) ? (int64_t)st.st_mtime : clock_wall();
    return fd;
}

int
given_open(struct given *m, struct spool *s, const char *name, struct err *e)
{
    *m = (struct given){.name = name, .fd = -1, .whole = true};
    if (strcmp(name, "-") == 0)
        m->name = "standard input";
    int source = open_source(m, name, e);
    int rc = source >= 0 ? spool_it(m, s, source, e) : -1;
    if (source > STDERR_FILENO)
        close(source);
    if (rc != 0)
        given_close(m);
    return rc;
}

void
given_close(struct given *m)
{
    if (m->fd >= 0)
        close(m->fd);
    spool_remove(m->file);
    m->fd = -1;
    m->file = NULL;
}

/* --- dead letters --- */

struct search {
    const char *event;
    bool found;
    bool has_file;
    bool whole;
    int64_t since;
    char name[RECORD_WORD + 1];
    struct spool_note note;
};

static void
look_at(void *arg, const struct record *r)
{
    struct search *s = arg;
    if (strcmp(r->event, s->event) != 0)
        return;
    s->found = true;
    s->has_file = r->file[0] != '\0';
    s->whole = r->file_is_whole;
    s->since = r->since / 1000;
    snprintf(s->name, sizeof s->name, "%s", r->file);
    s->note = (struct spool_note){.name = s->name, .size = r->file_size};
    memcpy(s->note.digest, r->file_digest, sizeof s->note.digest);
}

static int
open_kept(struct given *m, const char *state, const struct spool_note *note, struct err *e)
{
    char *folder = xasprintf("%s/spool", state);
    struct spool *s = spool_open_kept(folder, e);
    struct spool_file *f = s != NULL ? spool_adopt(s, note, e) : NULL;
    m->fd = f != NULL ? spool_reopen(f, e) : -1;
    spool_let_go(f);
    spool_close(s);
    free(folder);
    return m->fd >= 0 ? 0 : -1;
}

static int
open_found(struct given *m, const char *state, const struct search *s, struct err *e)
{
    if (!s->found)
        return err_set(
            e, ERR_INPUT, "%s: no such file, and nothing that failed is named so", m->name);
    if (!s->has_file)
        return err_set(e, ERR_INPUT, "%s: its message was not kept", m->name);
    m->size = s->note.size;
    m->whole = s->whole;
    m->received = s->since;
    return open_kept(m, state, &s->note, e);
}

/* Looking must not make a journal. */
static int
find_dead(struct given *m, const char *state, struct err *e)
{
    struct search s = {.event = m->name};
    struct stat st;
    char *path = xasprintf("%s/journal.sqlite", state);
    bool there = stat(path, &st) == 0;
    free(path);
    if (!there)
        return open_found(m, state, &s, e);
    struct journal *j = journal_open(state, e);
    if (j == NULL)
        return e->kind == ERR_AGAIN
                   ? err_set(e, ERR_AGAIN, "%s: cannot be had while mailcall is running", m->name)
                   : -1;
    int rc = journal_each(j, true, look_at, &s, e);
    if (rc == 0)
        rc = open_found(m, state, &s, e);
    journal_close(j);
    return rc;
}

int
given_dead(struct given *m, const char *event, struct err *e)
{
    *m = (struct given){.name = event, .fd = -1};
    char *state = path_state(e);
    int rc = state != NULL ? find_dead(m, state, e) : -1;
    free(state);
    return rc;
}
