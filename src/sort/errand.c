/* SPDX-License-Identifier: ISC */
/* A request is packed when it is handed in, so that nothing of the caller's is needed later but the
 * descriptors. The files' names are made here, out of checked facts, and the files too: a worker
 * only ever gets a descriptor to write to, and may write no more than the message has bytes, for
 * decoding makes nothing larger. Refuses to know who reads the message. */
#include "sort/errand.h"

#include "base/mem.h"
#include "base/safename.h"
#include "sort/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_TRIED = 100 };

/* --- the request --- */

static int
look_at_message(const struct sort_request *r, uint64_t *size, struct err *e)
{
    struct stat st;
    if (fstat(r->fd, &st) != 0)
        return err_sys(e, ERR_INPUT, errno, "message: cannot be read");
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_INPUT, "message: not a regular file");
    if ((fcntl(r->fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
        return err_set(e, ERR_INPUT, "message: its descriptor can also write");
    *size = (uint64_t)st.st_size;
    return 0;
}

static void
pack_request(struct errand *x, const struct sort_request *r)
{
    struct wire_request request = {
        .serial = x->serial,
        .size = x->size,
        .whole = r->whole,
        .list = x->list,
        .files = x->folder >= 0,
        .meta = *r->meta,
        .plan = *r->plan,
        .now = r->now,
    };
    if (r->trusted != NULL)
        request.trusted = *r->trusted;
    wire_pack_request(&request, &x->request);
}

static void
copy_plan(struct plan *to, const struct plan *from)
{
    to->v = xcalloc(from->n + 1, sizeof *to->v);
    to->n = from->n;
    for (size_t i = 0; i < from->n; i++)
        to->v[i] = from->v[i];
}

struct errand *
errand_new(const struct sort_request *request, uint64_t serial)
{
    struct errand *x = xcalloc(1, sizeof *x);
    list_init(&x->link);
    x->serial = serial;
    x->answer.id = request->id;
    x->fd = request->fd;
    x->folder = request->folder;
    x->whole = request->whole;
    x->list = request->whole && request->list;
    copy_plan(&x->plan, request->plan);
    if (look_at_message(request, &x->size, &x->answer.failure) != 0)
        return x;
    x->answer.unparsable = x->size > WIRE_MESSAGE_MAX;
    if (x->answer.unparsable)
        err_set(&x->answer.failure, ERR_INPUT, "message: larger than %d MiB",
            WIRE_MESSAGE_MAX / 1024 / 1024);
    else
        pack_request(x, request);
    return x;
}

void
errand_free(struct errand *x)
{
    if (x == NULL)
        return;
    list_remove(&x->link);
    buf_free(&x->request);
    plan_free(&x->plan);
    strv_free(&x->names);
    sort_answer_free(&x->answer);
    free(x);
}

void
errand_forget(struct errand *x)
{
    for (size_t i = 0; i < x->answer.n_files; i++)
        unlinkat(x->folder, x->answer.files[i].name, 0);
    uint64_t id = x->answer.id;
    sort_answer_free(&x->answer);
    x->answer.id = id;
    x->written = 0;
    strv_free(&x->names);
}

void
errand_fail(struct errand *x, const struct err *e)
{
    errand_forget(x);
    x->answer.failure = *e;
}

/* --- the answer --- */

int
errand_answer(struct errand *x, const struct ruleset *rules, struct span body)
{
    const struct wire_question question = {x->serial, x->whole, x->list, rules, &x->plan};
    struct wire_answer a;
    if (wire_unpack_answer(body, &question, &a) != 0)
        return -1;
    x->answer.facts = a.facts;
    x->answer.hits = a.hits;
    x->answer.nodes = a.nodes;
    size_t n = a.facts->n_attachments;
    if (x->folder >= 0 && n > 0)
        x->answer.files = xcalloc(n, sizeof *x->answer.files);
    return 0;
}

bool
errand_wants_file(const struct errand *x)
{
    return x->answer.files != NULL && x->answer.n_files < x->answer.facts->n_attachments;
}

/* --- attachments --- */

/* The name is the sender's as far as it goes. In a folder that takes more names for the same than
 * ours do, the next is tried. */
static int
create(struct errand *x, size_t attachment, char **name)
{
    const char *wanted = x->answer.facts->attachments[attachment].name;
    for (int tries = 0; tries < NAMES_TRIED; tries++) {
        struct buf b = {0};
        safename(&b, wanted, &x->names);
        strv_add(&x->names, buf_str(&b));
        int fd = openat(
            x->folder, buf_str(&b), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST) {
            *name = buf_take(&b);
            return fd;
        }
        buf_free(&b);
    }
    return -1;
}

int
errand_make_file(struct errand *x, struct buf *body, struct err *e)
{
    struct sort_answer *a = &x->answer;
    struct sort_file file = {.attachment = a->n_files};
    int fd = create(x, file.attachment, &file.name);
    if (fd < 0) {
        free(file.name);
        return err_sys(e, ERR_CREATE, errno, "attachment: cannot be created");
    }
    a->files[a->n_files++] = file;
    wire_pack_file(
        &(struct wire_file){
            .serial = x->serial, .attachment = file.attachment, .bytes = x->size - x->written},
        body);
    return fd;
}

enum errand_file
errand_written(struct errand *x, int fd, struct span body)
{
    struct wire_file w;
    struct stat st;
    if (wire_unpack_file(body, &w) != 0 || w.serial != x->serial ||
        w.attachment != x->answer.n_files - 1)
        return ERRAND_LIE;
    if (w.failed)
        return ERRAND_DISK;
    if (fstat(fd, &st) != 0 || (uint64_t)st.st_size != w.bytes || w.bytes > x->size - x->written)
        return ERRAND_LIE;
    x->written += w.bytes;
    return ERRAND_WRITTEN;
}
