/* SPDX-License-Identifier: ISC */
/* The file as libyaml sees it: the table of lines uses the same line breaks (CR, LF, CRLF, NEL, LS,
 * PS), so that a mark of the parser and a line of the table are the same line. Columns count
 * characters, offsets count bytes; the conversions live here and nowhere else. */
#include "config/source.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The length of the line break at p[i], 0 if there is none. */
static size_t
break_length(const char *p, size_t n, size_t i)
{
    struct span rest = {p + i, n - i};
    if (p[i] == '\r')
        return rest.n > 1 && p[i + 1] == '\n' ? 2 : 1;
    if (p[i] == '\n')
        return 1;
    if (rest.n >= 2 && memcmp(rest.p, "\xC2\x85", 2) == 0)
        return 2;
    if (rest.n >= 3 &&
        (memcmp(rest.p, "\xE2\x80\xA8", 3) == 0 || memcmp(rest.p, "\xE2\x80\xA9", 3) == 0))
        return 3;
    return 0;
}

static void
add_line(struct source *s, size_t start)
{
    if ((s->n_lines & (s->n_lines + 1)) == 0)
        s->line = xreallocarray(s->line, (s->n_lines + 1) * 2, sizeof *s->line);
    s->line[s->n_lines++] = start;
}

static void
index_lines(struct source *s)
{
    add_line(s, 0);
    for (size_t i = 0; i < s->n;) {
        size_t n = break_length(s->text, s->n, i);
        if (n > 0)
            add_line(s, i + n);
        i += n > 0 ? n : 1;
    }
    add_line(s, s->n);
    s->n_lines--;
}

static char *
current_folder(void)
{
    char *folder = realpath(".", NULL);
    return folder != NULL ? folder : xstrdup("/");
}

/* The folder is made absolute because hooks run somewhere else; the file itself may be a link
 * from where the user keeps such files, and its neighbours are those of the link. */
static char *
folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return current_folder();
    char *given = slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
    char *folder = realpath(given, NULL);
    free(given);
    return folder != NULL ? folder : current_folder();
}

/* `text` becomes the source's own. */
static struct source *
make(const char *name, char *folder, struct buf *text)
{
    struct source *s = xcalloc(1, sizeof *s);
    s->name = xstrdup(name);
    s->folder = folder;
    if (text->n >= 3 && memcmp(text->p, "\xEF\xBB\xBF", 3) == 0)
        buf_eat(text, 3);
    s->n = text->n;
    s->text = buf_take(text);
    index_lines(s);
    return s;
}

struct source *
source_new(const char *name, struct span text)
{
    struct buf copy = {0};
    buf_addspan(&copy, text);
    return make(name, current_folder(), &copy);
}

/* 0, or an errno value. */
static int
read_all(int fd, struct buf *out)
{
    enum { PIECE = 16384 };
    for (;;) {
        ssize_t n = read(fd, buf_room(out, PIECE), PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        out->n += (size_t)n;
        buf_end(out);
        if (out->n > SOURCE_MAX)
            return EFBIG;
        if (n == 0)
            return 0;
    }
}

/* Pipes and terminals have no mode that could protect anything. */
static void
note_access(struct source *s, const struct stat *st)
{
    s->exposed = S_ISREG(st->st_mode) && (st->st_mode & 077) != 0;
    s->foreign = S_ISREG(st->st_mode) && st->st_uid != geteuid() && st->st_uid != 0;
}

struct source *
source_open(const char *path, struct err *e)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_sys(e, ERR_INPUT, errno, "%s", path);
        return NULL;
    }
    struct buf text = {0};
    struct stat st;
    int number = fstat(fd, &st) == 0 ? read_all(fd, &text) : errno;
    if (!standard)
        close(fd);
    if (number != 0) {
        buf_wipe(&text);
        if (number == EFBIG)
            err_set(e, ERR_INPUT, "%s: larger than %d KiB", path, SOURCE_MAX / 1024);
        else
            err_sys(e, ERR_INPUT, number, "%s", path);
        return NULL;
    }
    struct source *s = make(path, standard ? current_folder() : folder_of(path), &text);
    note_access(s, &st);
    return s;
}

void
source_free(struct source *s)
{
    if (s == NULL)
        return;
    /* there may be a password in it */
    struct buf text = {s->text, s->n, s->n};
    buf_wipe(&text);
    free(s->name);
    free(s->folder);
    free(s->line);
    free(s);
}

struct span
source_line(const struct source *s, unsigned line)
{
    assert(line > 0);
    if (line > s->n_lines) /* where libyaml sees the end of a file without a last line break */
        return (struct span){s->text + s->n, 0};
    struct span l = {s->text + s->line[line - 1], s->line[line] - s->line[line - 1]};
    for (size_t i = l.n > 3 ? l.n - 3 : 0; i < l.n; i++)
        if (break_length(l.p, l.n, i) == l.n - i)
            l.n = i;
    return l;
}

size_t
source_offset(const struct source *s, unsigned line, unsigned column)
{
    struct span rest = source_line(s, line);
    for (unsigned i = 1; i < column && rest.n > 0; i++)
        utf8_take(&rest);
    return (size_t)(rest.p - s->text);
}

struct place
source_place(const struct source *s, size_t offset)
{
    size_t low = 0;
    size_t high = s->n_lines;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (s->line[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    struct place p = {s, (unsigned)low + 1, 1, 1};
    struct span before = {s->text + s->line[low], offset - s->line[low]};
    for (; before.n > 0; p.column++)
        utf8_take(&before);
    return p;
}

char *
source_home(void)
{
    const char *home = getenv("HOME");
    if (home != NULL && home[0] == '/')
        return xstrdup(home);
    const struct passwd *user = getpwuid(getuid());
    return user != NULL && user->pw_dir[0] == '/' ? xstrdup(user->pw_dir) : NULL;
}

char *
source_path(const struct source *s, const char *path)
{
    if (path[0] == '/')
        return xstrdup(path);
    if (strncmp(path, "~/", 2) != 0)
        return xasprintf("%s/%s", s->folder, path);
    char *home = source_home();
    char *full = home != NULL ? xasprintf("%s/%s", home, path + 2) : NULL;
    free(home);
    return full;
}

char *
place_text(struct place p)
{
    if (p.source->argument)
        return xstrdup(p.source->name);
    return xasprintf("%s:%u:%u", p.source->name, p.line, p.column);
}
