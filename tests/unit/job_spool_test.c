/* job/spool: line ends across every split, whose folders are swept, what is kept and known again,
 * and what happens when the disk is full. */
#include "base/buf.h"
#include "base/mem.h"
#include "job/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char parent[40];
    struct spool *spool;
};

static void
place_open(struct place *p)
{
    struct err e = {0};
    strcpy(p->parent, "/tmp/mailcall-spool.XXXXXX");
    assert_non_null(mkdtemp(p->parent));
    p->spool = spool_open(p->parent, &e);
    assert_string_equal(e.text, "");
    assert_non_null(p->spool);
}

static void
place_close(struct place *p)
{
    spool_close(p->spool);
    assert_int_equal(rmdir(p->parent), 0); /* nothing was left */
}

static void
read_all(const struct spool_file *f, struct buf *out)
{
    struct err e = {0};
    char piece[1000];
    ssize_t n;
    int fd = spool_reopen(f, &e);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    while ((n = read(fd, piece, sizeof piece)) > 0)
        buf_add(out, piece, (size_t)n);
    assert_int_equal(n, 0);
    close(fd);
}

static void
assert_content(const struct spool_file *f, const char *want)
{
    struct buf content = {0};
    read_all(f, &content);
    assert_string_equal(buf_str(&content), want);
    assert_int_equal(spool_size(f), strlen(want));
    buf_free(&content);
}

static struct spool_file *
spool_text(struct spool *s, const char *text)
{
    struct err e = {0};
    struct spool_file *f = spool_begin(s, &e);
    assert_non_null(f);
    assert_int_equal(spool_write(f, span_str(text), &e), 0);
    assert_int_equal(spool_finish(f, &e), 0);
    return f;
}

/* --- line ends --- */

static const struct {
    const char *in;
    const char *want;
} line_ends[] = {
    {"", ""},
    {"a\r\nb\r\n", "a\nb\n"},
    {"a\nb\n", "a\nb\n"},
    {"a\rb", "a\rb"},
    {"a\r", "a\r"},
    {"\r\r\n\r", "\r\n\r"},
    {"\r\n\r\n", "\n\n"},
    {"\n\r\n\r\r\r\nx", "\n\n\r\r\nx"},
};

static void
crlf_becomes_lf_in_every_split(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    place_open(&p);
    for (size_t i = 0; i < sizeof line_ends / sizeof *line_ends; i++) {
        size_t n = strlen(line_ends[i].in);
        for (unsigned cuts = 0; cuts < 1u << (n > 0 ? n - 1 : 0); cuts++) {
            struct spool_file *f = spool_begin(p.spool, &e);
            size_t from = 0;
            for (size_t at = 1; at <= n; at++) {
                if (at < n && (cuts >> (at - 1) & 1) == 0)
                    continue;
                struct span piece = {line_ends[i].in + from, at - from};
                assert_int_equal(spool_write(f, piece, &e), 0);
                from = at;
            }
            assert_int_equal(spool_finish(f, &e), 0);
            assert_content(f, line_ends[i].want);
            spool_remove(f);
        }
    }
    place_close(&p);
}

static void
big_messages_pass_whole(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    struct buf want = {0};
    struct buf got = {0};
    place_open(&p);
    struct spool_file *f = spool_begin(p.spool, &e);
    for (int i = 0; i < 20000; i++) {
        struct buf line = {0};
        buf_addf(&line, "line %d with some text behind it\r\n", i);
        assert_int_equal(spool_write(f, buf_span(&line), &e), 0);
        buf_cut(&line, line.n - 2);
        buf_addf(&want, "%s\n", line.p);
        buf_free(&line);
    }
    char *lump = xmalloc(200 * 1000);
    memset(lump, '\0', 200 * 1000); /* NUL is a byte like any other */
    assert_int_equal(spool_write(f, (struct span){lump, 200 * 1000}, &e), 0);
    buf_add(&want, lump, 200 * 1000);
    assert_int_equal(spool_finish(f, &e), 0);
    read_all(f, &got);
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.p, want.p, want.n);
    assert_int_equal(spool_size(f), want.n);
    free(lump);
    buf_free(&want);
    buf_free(&got);
    spool_remove(f);
    place_close(&p);
}

/* --- files --- */

static void
files_and_folder_are_private(void **state)
{
    (void)state;
    struct place p;
    struct stat st;
    place_open(&p);
    mode_t old = umask(0);
    struct spool_file *f = spool_text(p.spool, "x");
    umask(old);
    assert_int_equal(stat(spool_path(f), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    char *folder = xstrndup(spool_path(f), (size_t)(strrchr(spool_path(f), '/') - spool_path(f)));
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    free(folder);
    spool_remove(f);
    place_close(&p);
}

static void
paths_are_absolute_and_distinct(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    place_open(&p);
    struct spool_file *a = spool_text(p.spool, "a");
    struct spool_file *b = spool_text(p.spool, "b");
    assert_int_equal(spool_path(a)[0], '/');
    assert_string_not_equal(spool_path(a), spool_path(b));
    int fd = spool_reopen(a, &e);
    char *path = xstrdup(spool_path(a));
    spool_remove(a);
    assert_int_equal(access(path, F_OK), -1);
    char c;
    assert_int_equal(read(fd, &c, 1), 1); /* still readable */
    assert_int_equal(c, 'a');
    close(fd);
    free(path);
    spool_remove(b);
    spool_remove(NULL);
    place_close(&p);
}

static void
a_relative_parent_is_fine_and_made_with_all_above_it(void **state)
{
    (void)state;
    char base[] = "/tmp/mailcall-spool.XXXXXX";
    struct err e = {0};
    struct stat st;
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_non_null(mkdtemp(base));
    assert_int_equal(chdir(base), 0);
    struct spool *s = spool_open("a/b/", &e);
    assert_int_equal(fchdir(here), 0);
    assert_non_null(s);
    struct spool_file *f = spool_text(s, "x");
    assert_int_equal(spool_path(f)[0], '/');
    assert_int_equal(access(spool_path(f), F_OK), 0);
    spool_remove(f);
    spool_close(s);
    char *b = xasprintf("%s/a/b", base);
    char *a = xasprintf("%s/a", base);
    assert_int_equal(stat(b, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(rmdir(b), 0);
    assert_int_equal(rmdir(a), 0);
    assert_int_equal(rmdir(base), 0);
    free(a);
    free(b);
    close(here);
}

static void
a_parent_that_others_can_write_to_is_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0770, 0707, 01777};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        char parent[] = "/tmp/mailcall-spool.XXXXXX";
        struct err e = {0};
        assert_non_null(mkdtemp(parent));
        assert_int_equal(chmod(parent, modes[i]), 0);
        assert_null(spool_open(parent, &e));
        assert_int_equal(e.kind, ERR_CREATE);
        assert_non_null(strstr(e.text, "others can write to it"));
        assert_int_equal(rmdir(parent), 0);
    }
}

static void
a_parent_that_is_a_file_is_refused(void **state)
{
    (void)state;
    char parent[] = "/tmp/mailcall-spool.XXXXXX";
    struct err e = {0};
    int fd = mkstemp(parent);
    assert_null(spool_open(parent, &e));
    assert_int_equal(e.kind, ERR_CREATE);
    char *below = xasprintf("%s/x", parent);
    assert_null(spool_open(below, &e));
    assert_int_equal(e.kind, ERR_CREATE);
    free(below);
    close(fd);
    unlink(parent);
}

/* --- whose folder is whose --- */

static char *
make_folder(const char *parent, const char *name)
{
    char *path = xasprintf("%s/%s", parent, name);
    assert_int_equal(mkdir(path, 0700), 0);
    return path;
}

static void
make_file(const char *folder, const char *name)
{
    char *path = xasprintf("%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    free(path);
}

static bool
exists(const char *folder, const char *name)
{
    char *path = xasprintf("%s/%s", folder, name);
    struct stat st;
    bool there = lstat(path, &st) == 0;
    free(path);
    return there;
}

static void
remove_at(const char *folder, const char *name)
{
    char *path = xasprintf("%s/%s", folder, name);
    assert_int_equal(remove(path), 0);
    free(path);
}

static void
folders_of_the_dead_are_swept_and_those_of_the_living_stay(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    place_open(&p);
    struct spool_file *alive = spool_text(p.spool, "alive");
    char *dead = make_folder(p.parent, "spool.dead01");
    char *other = make_folder(p.parent, "something");
    make_file(dead, "1.eml");
    make_file(dead, "2.eml");
    make_file(other, "1.eml");
    make_file(p.parent, "spool.file");
    struct spool *second = spool_open(p.parent, &e);
    assert_non_null(second);
    assert_false(exists(p.parent, "spool.dead01"));
    assert_true(exists(other, "1.eml"));
    assert_true(exists(p.parent, "spool.file"));
    assert_content(alive, "alive");
    spool_remove(alive);
    spool_close(second);
    remove_at(other, "1.eml");
    remove_at(p.parent, "something");
    remove_at(p.parent, "spool.file");
    free(dead);
    free(other);
    place_close(&p);
}

static void
sweeping_follows_no_link(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    place_open(&p);
    char *precious = make_folder(p.parent, "precious");
    char *dead = make_folder(p.parent, "spool.dead01");
    char *link = xasprintf("%s/spool.link", p.parent);
    char *inner = xasprintf("%s/link", dead);
    make_file(precious, "keep");
    assert_int_equal(symlink(precious, link), 0);
    assert_int_equal(symlink(precious, inner), 0);
    make_file(dead, "1.eml");
    struct spool *second = spool_open(p.parent, &e);
    assert_non_null(second);
    assert_true(exists(precious, "keep"));
    assert_true(exists(p.parent, "spool.link"));
    assert_false(exists(dead, "1.eml")); /* plain files only */
    assert_true(exists(dead, "link"));
    spool_close(second);
    remove_at(precious, "keep");
    remove_at(dead, "link");
    remove_at(p.parent, "spool.link");
    remove_at(p.parent, "precious");
    remove_at(p.parent, "spool.dead01");
    free(inner);
    free(link);
    free(dead);
    free(precious);
    place_close(&p);
}

static void
closing_takes_along_what_is_left_inside(void **state)
{
    (void)state;
    struct place p;
    place_open(&p);
    struct spool_file *f = spool_text(p.spool, "x");
    char *folder = xstrndup(spool_path(f), (size_t)(strrchr(spool_path(f), '/') - spool_path(f)));
    spool_remove(f);
    make_file(folder, "stray");
    free(folder);
    place_close(&p);
    spool_close(NULL);
}

/* --- files that outlive us --- */

struct kept {
    char folder[48]; /* inside a temporary one */
    struct spool *spool;
};

static void
kept_open(struct kept *k)
{
    struct err e = {0};
    strcpy(k->folder, "/tmp/mailcall-spool.XXXXXX");
    assert_non_null(mkdtemp(k->folder));
    strcat(k->folder, "/spool");
    k->spool = spool_open_kept(k->folder, &e);
    assert_string_equal(e.text, "");
    assert_non_null(k->spool);
}

/* As after a restart: nothing is known but what is in the folder. */
static void
kept_again(struct kept *k)
{
    struct err e = {0};
    spool_close(k->spool);
    k->spool = spool_open_kept(k->folder, &e);
    assert_non_null(k->spool);
}

static void
kept_close(struct kept *k)
{
    spool_close(k->spool);
    assert_int_equal(rmdir(k->folder), 0); /* nothing was left */
    *strrchr(k->folder, '/') = '\0';
    assert_int_equal(rmdir(k->folder), 0);
}

struct memory {
    char name[64];
    struct spool_note note;
};

/* What the journal would hold of it. */
static void
remember(struct memory *m, const struct spool_file *f)
{
    m->note = spool_note(f);
    assert_true(strlen(m->note.name) < sizeof m->name);
    strcpy(m->name, m->note.name);
    m->note.name = m->name;
}

static void
leave_text(struct kept *k, const char *text, struct memory *m)
{
    struct spool_file *f = spool_text(k->spool, text);
    remember(m, f);
    spool_let_go(f);
}

static char *
path_in(const struct kept *k, const char *name)
{
    return xasprintf("%s/%s", k->folder, name);
}

static void
assert_refused(struct kept *k, const struct spool_note *note, const char *why)
{
    struct err e = {0};
    assert_null(spool_adopt(k->spool, note, &e));
    assert_int_equal(e.kind, ERR_INPUT);
    assert_non_null(strstr(e.text, why));
}

static void
what_was_let_go_is_known_again(void **state)
{
    (void)state;
    struct kept k;
    struct err e = {0};
    struct memory m;
    struct stat st;
    kept_open(&k);
    assert_int_equal(stat(k.folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    leave_text(&k, "A: 1\r\n\r\nbody\r\n", &m);
    unsigned char digest[DIGEST_SIZE];
    struct digest *d = digest_begin();
    digest_add(d, SPAN("A: 1\n\nbody\n")); /* as it stands in the file */
    digest_end(d, digest);
    assert_memory_equal(m.note.digest, digest, DIGEST_SIZE);
    assert_int_equal(m.note.size, 11);
    kept_again(&k);
    struct spool_file *f = spool_adopt(k.spool, &m.note, &e);
    assert_non_null(f);
    assert_content(f, "A: 1\n\nbody\n");
    struct memory again;
    remember(&again, f);
    assert_string_equal(again.name, m.name);
    assert_int_equal(again.note.size, m.note.size);
    assert_memory_equal(again.note.digest, m.note.digest, DIGEST_SIZE);
    struct spool_file *h = spool_headers(k.spool, f, &e);
    assert_content(h, "A: 1\n\n");
    spool_remove(h);
    spool_let_go(f);
    f = spool_adopt(k.spool, &m.note, &e);
    spool_remove(f);
    assert_false(exists(k.folder, m.name));
    spool_let_go(NULL);
    kept_close(&k);
}

static void
messages_of_many_pieces_are_known_again(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 16383, 16384, 16385, 100000};
    struct kept k;
    struct err e = {0};
    kept_open(&k);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *text = xcalloc(1, sizes[i] + 1);
        memset(text, 'x', sizes[i]);
        struct memory m;
        leave_text(&k, text, &m);
        struct spool_file *f = spool_adopt(k.spool, &m.note, &e);
        assert_content(f, text);
        spool_remove(f);
        free(text);
    }
    kept_close(&k);
}

static void
overwrite(const char *path, off_t at, const char *bytes)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, strlen(bytes), at), strlen(bytes));
    close(fd);
}

static void
what_is_not_what_it_was_is_refused(void **state)
{
    (void)state;
    struct kept k;
    struct err e = {0};
    struct memory m;
    kept_open(&k);
    leave_text(&k, "some message", &m);
    char *path = path_in(&k, m.name);
    overwrite(path, 11, "E");
    assert_refused(&k, &m.note, "is not what was written");
    overwrite(path, 11, "e");
    struct spool_file *f = spool_adopt(k.spool, &m.note, &e);
    assert_non_null(f);
    spool_let_go(f);
    overwrite(path, 12, "!");
    assert_refused(&k, &m.note, "another size");
    assert_int_equal(truncate(path, 11), 0); /* a power cut */
    assert_refused(&k, &m.note, "another size");
    assert_int_equal(truncate(path, 0), 0);
    assert_refused(&k, &m.note, "another size");
    assert_int_equal(unlink(path), 0);
    assert_refused(&k, &m.note, "is not there");
    free(path);
    kept_close(&k);
}

static void
what_is_no_plain_file_is_refused(void **state)
{
    (void)state;
    struct kept k;
    struct memory m, other;
    kept_open(&k);
    leave_text(&k, "the same", &m);
    leave_text(&k, "the same", &other);
    char *path = path_in(&k, m.name);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(other.name, path), 0);
    assert_refused(&k, &m.note, "is not a file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_refused(&k, &m.note, "is not a file");
    spool_unlink(k.spool, m.name); /* harmless */
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(&k, &m.note, "is not a file"); /* and nobody waits for a writer */
    assert_int_equal(unlink(path), 0);
    spool_unlink(k.spool, other.name);
    free(path);
    kept_close(&k);
}

static void
a_file_of_somebody_else_is_refused(void **state)
{
    (void)state;
    struct kept k;
    struct memory m;
    if (geteuid() != 0)
        skip();
    kept_open(&k);
    leave_text(&k, "x", &m);
    char *path = path_in(&k, m.name);
    assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
    assert_refused(&k, &m.note, "somebody else");
    assert_int_equal(unlink(path), 0);
    free(path);
    kept_close(&k);
}

static void
a_file_that_cannot_be_read_is_another_matter(void **state)
{
    (void)state;
    struct kept k;
    struct err e = {0};
    struct memory m;
    struct rlimit old, none;
    kept_open(&k);
    leave_text(&k, "x", &m);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){0, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_null(spool_adopt(k.spool, &m.note, &e));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(e.kind, ERR_IO);
    spool_unlink(k.spool, m.name);
    kept_close(&k);
}

static void
names_that_are_not_ours_are_not_there(void **state)
{
    (void)state;
    static const char *const names[] = {"", ".", "..", "../x", "/etc/passwd", "journal.sqlite",
        "0123456789abcdef.eml", "0123456789abcdef-.eml", "0123456789abcdef-1.eml/",
        "0123456789abcdef-1.emlx", "0123456789ABCDEF-1.eml",
        "0123456789abcdef-11112222333344445.eml", "0123456789abcdef0-1.eml"};
    struct kept k;
    kept_open(&k);
    char *above = path_in(&k, "..");
    make_file(above, "x");
    make_file(k.folder, "journal.sqlite");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct spool_note note = {.name = names[i]};
        assert_refused(&k, &note, "no name of a message");
        spool_unlink(k.spool, names[i]);
    }
    struct spool_note note = {.name = "0123456789abcdef-1.eml"};
    assert_refused(&k, &note, "is not there");
    spool_unlink(k.spool, note.name);
    remove_at(above, "x");
    remove_at(k.folder, "journal.sqlite");
    free(above);
    kept_close(&k);
}

static void
no_name_is_given_twice(void **state)
{
    (void)state;
    struct kept k;
    struct memory first, second, third;
    kept_open(&k);
    leave_text(&k, "x", &first);
    spool_unlink(k.spool, first.name);
    leave_text(&k, "x", &second);
    kept_again(&k);
    leave_text(&k, "x", &third);
    assert_string_not_equal(first.name, second.name);
    assert_string_not_equal(first.name, third.name);
    assert_string_not_equal(second.name, third.name);
    spool_unlink(k.spool, second.name);
    spool_unlink(k.spool, third.name);
    kept_close(&k);
}

static bool
is_same_name(void *arg, const char *name)
{
    return strcmp(arg, name) == 0;
}

static bool
is_nobodys(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return false;
}

static void
a_sweep_takes_what_an_earlier_life_left_and_nobody_claims(void **state)
{
    (void)state;
    struct kept k;
    struct err e = {0};
    struct memory claimed, lost, begun, fresh;
    kept_open(&k);
    leave_text(&k, "claimed", &claimed);
    leave_text(&k, "lost", &lost);
    struct spool_file *f = spool_begin(k.spool, &e); /* killed in the middle of it */
    strcpy(begun.name, strrchr(spool_path(f), '/') + 1);
    spool_let_go(f);
    make_file(k.folder, "foreign.eml");
    assert_int_equal(spool_sweep(k.spool, is_nobodys, NULL, &e), 0); /* still this life */
    kept_again(&k);
    leave_text(&k, "fresh", &fresh);
    assert_int_equal(spool_sweep(k.spool, is_same_name, claimed.name, &e), 2);
    assert_true(exists(k.folder, claimed.name));
    assert_true(exists(k.folder, fresh.name));
    assert_true(exists(k.folder, "foreign.eml"));
    assert_false(exists(k.folder, lost.name));
    assert_false(exists(k.folder, begun.name));
    remove_at(k.folder, "foreign.eml");
    spool_unlink(k.spool, claimed.name);
    spool_unlink(k.spool, fresh.name);
    kept_close(&k);
}

static void
a_sweep_that_cannot_look_says_so(void **state)
{
    (void)state;
    struct kept k;
    struct err e = {0};
    struct rlimit old, none;
    kept_open(&k);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){0, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(spool_sweep(k.spool, is_nobodys, NULL, &e), -1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(e.kind, ERR_IO);
    kept_close(&k);
}

static void
a_kept_folder_that_others_can_write_to_is_refused(void **state)
{
    (void)state;
    char folder[] = "/tmp/mailcall-spool.XXXXXX";
    struct err e = {0};
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0770), 0);
    assert_null(spool_open_kept(folder, &e));
    assert_int_equal(e.kind, ERR_CREATE);
    assert_int_equal(rmdir(folder), 0);
}

static int
open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void
finished_files_cost_no_descriptors(void **state)
{
    (void)state;
    enum { FILES = 50 };
    struct kept k;
    struct spool_file *files[FILES];
    kept_open(&k);
    int before = open_descriptors();
    for (int i = 0; i < FILES; i++)
        files[i] = spool_text(k.spool, "x");
    assert_int_equal(open_descriptors(), before);
    for (int i = 0; i < FILES; i++)
        spool_remove(files[i]);
    kept_close(&k);
}

/* --- headers --- */

static void
headers_end_with_the_first_empty_line(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *want;
    } table[] = {
        {"A: 1\r\nB: 2\r\n\r\nbody\r\n\r\nmore", "A: 1\nB: 2\n\n"},
        {"A: 1\n\nbody", "A: 1\n\n"},
        {"\r\nbody", "\n"},
        {"A: 1\nno end", "A: 1\nno end"},
        {"A: 1\n \n\nbody", "A: 1\n \n\n"},
        {"A: 1\r\r\n\r\n\r\nbody", "A: 1\r\n\n"},
        {"", ""},
    };
    struct place p;
    struct err e = {0};
    place_open(&p);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct spool_file *f = spool_text(p.spool, table[i].in);
        struct spool_file *h = spool_headers(p.spool, f, &e);
        assert_non_null(h);
        assert_content(h, table[i].want);
        spool_remove(f);
        spool_remove(h);
    }
    place_close(&p);
}

static void
long_headers_are_copied_across_pieces(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    place_open(&p);
    for (size_t n = 4090; n < 4100; n++) { /* around the size of a piece */
        struct buf text = {0};
        while (text.n < n)
            buf_addc(&text, 'h');
        buf_adds(&text, "\n\nbody");
        struct spool_file *f = spool_text(p.spool, text.p);
        struct spool_file *h = spool_headers(p.spool, f, &e);
        buf_cut(&text, n + 2);
        assert_content(h, text.p);
        spool_remove(f);
        spool_remove(h);
        buf_free(&text);
    }
    place_close(&p);
}

/* --- a full disk --- */

static void
limit_file_size(rlim_t bytes)
{
    struct rlimit r;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
    r.rlim_cur = bytes == 0 ? r.rlim_max : bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static void
a_full_disk_is_an_error_and_the_file_stays_broken(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    char lump[8000];
    place_open(&p);
    memset(lump, 'x', sizeof lump);
    signal(SIGXFSZ, SIG_IGN);
    struct spool_file *f = spool_begin(p.spool, &e);
    limit_file_size(20 * 1000);
    int writes = 0;
    while (writes < 100 && spool_write(f, (struct span){lump, sizeof lump}, &e) == 0)
        writes++;
    limit_file_size(0);
    assert_true(writes > 2 && writes < 100);
    assert_int_equal(e.kind, ERR_IO);
    assert_non_null(strstr(e.text, strerror(EFBIG)));
    assert_int_equal(strncmp(e.text, spool_path(f), strlen(spool_path(f))), 0);
    assert_int_equal(spool_write(f, SPAN("x"), &e), -1); /* even though there is room again */
    assert_int_equal(spool_finish(f, &e), -1);
    assert_int_equal(e.kind, ERR_IO);
    spool_remove(f);
    place_close(&p);
}

static void
a_full_disk_shows_at_the_end_at_the_latest(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    char lump[5000];
    place_open(&p);
    memset(lump, 'x', sizeof lump);
    signal(SIGXFSZ, SIG_IGN);
    struct spool_file *f = spool_begin(p.spool, &e);
    limit_file_size(1000);
    assert_int_equal(spool_write(f, (struct span){lump, sizeof lump}, &e), 0); /* buffered */
    assert_int_equal(spool_finish(f, &e), -1);
    limit_file_size(0);
    assert_int_equal(e.kind, ERR_IO);
    spool_remove(f);
    place_close(&p);
}

static void
headers_that_cannot_be_copied_leave_nothing(void **state)
{
    (void)state;
    struct place p;
    struct err e = {0};
    struct buf text = {0};
    place_open(&p);
    for (int i = 0; i < 5000; i++)
        buf_adds(&text, "header\n");
    struct spool_file *f = spool_text(p.spool, text.p);
    signal(SIGXFSZ, SIG_IGN);
    limit_file_size(1000);
    assert_null(spool_headers(p.spool, f, &e));
    limit_file_size(0);
    assert_int_equal(e.kind, ERR_IO);
    buf_free(&text);
    spool_remove(f);
    place_close(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crlf_becomes_lf_in_every_split),
        cmocka_unit_test(big_messages_pass_whole),
        cmocka_unit_test(files_and_folder_are_private),
        cmocka_unit_test(paths_are_absolute_and_distinct),
        cmocka_unit_test(a_relative_parent_is_fine_and_made_with_all_above_it),
        cmocka_unit_test(a_parent_that_others_can_write_to_is_refused),
        cmocka_unit_test(a_parent_that_is_a_file_is_refused),
        cmocka_unit_test(folders_of_the_dead_are_swept_and_those_of_the_living_stay),
        cmocka_unit_test(sweeping_follows_no_link),
        cmocka_unit_test(closing_takes_along_what_is_left_inside),
        cmocka_unit_test(what_was_let_go_is_known_again),
        cmocka_unit_test(messages_of_many_pieces_are_known_again),
        cmocka_unit_test(what_is_not_what_it_was_is_refused),
        cmocka_unit_test(what_is_no_plain_file_is_refused),
        cmocka_unit_test(a_file_of_somebody_else_is_refused),
        cmocka_unit_test(a_file_that_cannot_be_read_is_another_matter),
        cmocka_unit_test(names_that_are_not_ours_are_not_there),
        cmocka_unit_test(no_name_is_given_twice),
        cmocka_unit_test(a_sweep_takes_what_an_earlier_life_left_and_nobody_claims),
        cmocka_unit_test(a_sweep_that_cannot_look_says_so),
        cmocka_unit_test(a_kept_folder_that_others_can_write_to_is_refused),
        cmocka_unit_test(finished_files_cost_no_descriptors),
        cmocka_unit_test(headers_end_with_the_first_empty_line),
        cmocka_unit_test(long_headers_are_copied_across_pieces),
        cmocka_unit_test(a_full_disk_is_an_error_and_the_file_stays_broken),
        cmocka_unit_test(a_full_disk_shows_at_the_end_at_the_latest),
        cmocka_unit_test(headers_that_cannot_be_copied_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
