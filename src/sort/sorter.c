/* SPDX-License-Identifier: ISC */
/* Requests wait in line and are worked off one by one when answers are pulled. A request is copied
 * when it is handed in, for it may have to travel. Of a message only the header block is read, and
 * of that no more than the facts may hold. Refuses to know what the rules are for. */
#include "sort/sorter.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "mail/block.h"
#include "mail/message.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_SIZE = 16 * 1024 };

/* A request in line; everything in it is its own, but for the descriptor. */
struct work {
    struct list link;
    uint64_t id;
    int fd;
    struct meta meta;
    struct strv texts; /* what the strings of meta point to */
    struct plan plan;
    int64_t now;
};

struct sorter {
    const struct ruleset *rules;
    struct list line;
};

struct sorter *
sorter_new(const struct ruleset *rules)
{
    struct sorter *s = xcalloc(1, sizeof *s);
    s->rules = rules;
    list_init(&s->line);
    return s;
}

static void
work_free(struct work *w)
{
    list_remove(&w->link);
    strv_free(&w->meta.flags);
    strv_free(&w->texts);
    plan_free(&w->plan);
    free(w);
}

void
sorter_free(struct sorter *s)
{
    if (s == NULL)
        return;
    LIST_EACH(&s->line, link)
    work_free(LIST_OWNER(link, struct work, link));
    free(s);
}

static const char *
keep_text(struct work *w, const char *text)
{
    if (text == NULL)
        return NULL;
    strv_add(&w->texts, text);
    return w->texts.v[w->texts.n - 1];
}

static void
copy_meta(struct work *w, const struct meta *from)
{
    w->meta = *from;
    w->meta.account = keep_text(w, from->account);
    w->meta.mailbox = keep_text(w, from->mailbox);
    w->meta.role = keep_text(w, from->role);
    w->meta.url = keep_text(w, from->url);
    w->meta.flags = (struct strv){0};
    strv_copy(&w->meta.flags, &from->flags);
}

static void
copy_plan(struct work *w, const struct plan *from)
{
    w->plan.v = xcalloc(from->n + 1, sizeof *w->plan.v);
    w->plan.n = from->n;
    for (size_t i = 0; i < from->n; i++)
        w->plan.v[i] = from->v[i];
}

void
sorter_submit(struct sorter *s, const struct sort_request *request)
{
    struct work *w = xcalloc(1, sizeof *w);
    w->id = request->id;
    w->fd = request->fd;
    w->now = request->now;
    copy_meta(w, request->meta);
    copy_plan(w, request->plan);
    list_append(&s->line, &w->link);
}

/* Reads up to READ_SIZE bytes behind what is there; 0 at the end of the file, -1 with errno. */
static ssize_t
read_more(int fd, struct buf *b)
{
    ssize_t n;
    char *room = buf_room(b, READ_SIZE);
    do
        n = pread(fd, room, READ_SIZE, (off_t)b->n);
    while (n == -1 && errno == EINTR);
    if (n > 0)
        b->n += (size_t)n;
    buf_end(b);
    return n;
}

/* Reads until the header block is complete, one byte at least beyond what facts may hold, or the
 * end. */
static int
read_block(int fd, struct buf *b, struct err *e)
{
    size_t seen = 0;
    while (b->n <= FACTS_BLOCK_MAX && !block_complete(buf_span(b), seen)) {
        seen = b->n;
        ssize_t n = read_more(fd, b);
        if (n == -1)
            return err_sys(e, ERR_INPUT, errno, "message: cannot be read");
        if (n == 0)
            break;
    }
    return 0;
}

bool
sorter_next(struct sorter *s, struct sort_answer *answer)
{
    if (list_empty(&s->line))
        return false;
    struct work *w = LIST_OWNER(s->line.next, struct work, link);
    struct buf block = {0};
    *answer = (struct sort_answer){.id = w->id};
    if (read_block(w->fd, &block, &answer->failure) == 0) {
        answer->facts = message_facts(buf_span(&block));
        match_rules(s->rules, &w->plan, answer->facts, &w->meta, w->now, &answer->hits);
    }
    buf_free(&block);
    work_free(w);
    return true;
}

void
sort_answer_free(struct sort_answer *a)
{
    facts_free(a->facts);
    hits_free(&a->hits);
    *a = (struct sort_answer){0};
}
