/* SPDX-License-Identifier: ISC */
/* The record is the truth about a job, and this is the only place that writes it. Its texts are
 * borrowed from the letter's fields, which name the same things. */
#include "watch/task.h"

#include "base/mem.h"
#include "sys/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EACH_FOLLOWER(t, link) LIST_EACH(&(t)->job.followers, link)

static struct task *
follower(struct list *link)
{
    return LIST_OWNER(link, struct task, job.in_batch);
}

const char *
task_field(const struct task *t, const char *name)
{
    return fields_get(&t->letter->fields, name);
}

bool
task_is_follower(const struct task *t)
{
    return t->record.batch != 0 && t->record.batch != t->record.id;
}

static bool
owes(const struct task *t, bool to_mailbox)
{
    const struct actions *all = task_actions(t);
    for (size_t i = t->record.acted; i < all->n; i++)
        if (action_is_for_mailbox(&all->v[i]) == to_mailbox)
            return true;
    return false;
}

bool
task_owes_mailbox(const struct task *t)
{
    return owes(t, true);
}

bool
task_needs_message(const struct task *t)
{
    enum hook_stdin kind = t->letter->stdin_kind;
    bool runs = t->record.stage != STAGE_RAN || owes(t, false);
    return runs && (kind == STDIN_MESSAGE || kind == STDIN_HEADERS || t->letter->decode);
}

/* --- coming and going --- */

static void
set_file(struct task *t)
{
    struct record *r = &t->record;
    r->file = "";
    r->file_is_whole = t->parcel->whole;
    if (t->parcel->file == NULL)
        return;
    struct spool_note note = spool_note(t->parcel->file);
    r->file = note.name;
    r->file_size = note.size;
    memcpy(r->file_digest, note.digest, sizeof r->file_digest);
}

static const char *
own(struct task *t, const char *text)
{
    strv_add(&t->texts, text);
    return t->texts.v[t->texts.n - 1];
}

/* The names are the configuration's own; a field is what a hook may be told of them. */
static void
set_texts(struct task *t, const char *account, const char *mailbox)
{
    struct record *r = &t->record;
    r->account = own(t, account);
    r->mailbox = own(t, mailbox);
    r->event = own(t, task_field(t, "EVENT_ID"));
    r->rule = own(t, task_field(t, "RULE"));
    r->subject = own(t, task_field(t, "SUBJECT"));
    r->result = "";
    set_file(t);
}

static struct task *
make(struct journal *j, struct parcel *p, struct letter *l, uint64_t rule)
{
    struct task *t = xcalloc(1, sizeof *t);
    t->job = (struct job){.message = p->message, .rule = rule};
    t->journal = j;
    t->parcel = parcel_share(p);
    t->letter = l;
    list_init(&t->job.followers);
    list_init(&t->job.in_batch);
    list_init(&t->link);
    list_init(&t->fresh);
    list_init(&t->waiting);
    list_init(&t->act.link);
    return t;
}

struct task *
task_new(
    struct journal *j, struct parcel *p, struct letter *l, const struct meta *meta, uint64_t rule)
{
    struct task *t = make(j, p, l, rule);
    struct buf packed = {0};
    set_texts(t, meta->account, meta->mailbox);
    t->record.uidvalidity = meta->uidvalidity;
    t->record.uid = meta->uid;
    t->record.stage = STAGE_PLANNED;
    t->record.since = clock_wall_ms();
    if (j != NULL) {
        letter_pack(l, &packed);
        t->record.letter = buf_span(&packed);
        journal_add(j, &t->record);
    }
    t->record.letter = (struct span){0};
    buf_free(&packed);
    return t;
}

/* What it came to is one of the words we write ourselves. */
static const char *
known_result(const char *text)
{
    static const char *const words[] = {"ok", "fail", "timeout", "signal", "spawn"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i]) == 0)
            return words[i];
    return "";
}

struct task *
task_restore(
    struct journal *j, struct parcel *p, const struct record *r, uint64_t rule, struct err *e)
{
    struct letter *l = letter_unpack(r->letter, e);
    if (l == NULL)
        return NULL;
    struct task *t = make(j, p, l, rule);
    t->record = *r;
    t->record.letter = (struct span){0};
    buf_addspan(&t->tail, r->tail);
    t->record.tail = buf_span(&t->tail);
    set_texts(t, r->account, r->mailbox);
    t->record.result = known_result(r->result);
    fields_set(&l->fields, "FILE", parcel_path(p));
    return t;
}

void
task_free(struct task *t)
{
    parcel_drop(t->parcel);
    letter_free(t->letter);
    letter_free(t->errand);
    list_remove(&t->fresh);
    list_remove(&t->waiting);
    list_remove(&t->link);
    spool_remove(t->lines);
    buf_free(&t->tail);
    strv_free(&t->texts);
    free(t);
}

/* --- its standard input --- */

/* A letter of a time when its rule wanted something else has none. */
static int
write_line(struct spool_file *f, const struct task *t, struct err *e)
{
    if (t->letter->json == NULL)
        return 0;
    if (spool_write(f, span_str(t->letter->json), e) != 0)
        return -1;
    return spool_write(f, SPAN("\n"), e);
}

static int
write_lines(struct spool_file *f, struct task *t, struct err *e)
{
    EACH_FOLLOWER(t, link)
    if (write_line(f, follower(link), e) != 0)
        return -1;
    return write_line(f, t, e) == 0 ? spool_finish(f, e) : -1;
}

static int
write_text(struct spool_file *f, struct task *t, struct err *e)
{
    return spool_write(f, span_str(t->letter->text), e) == 0 ? spool_finish(f, e) : -1;
}

static struct spool_file *
make_file(struct task *t, int (*write)(struct spool_file *f, struct task *t, struct err *e),
    struct err *e)
{
    struct spool_file *f = spool_begin(t->parcel->among->spool, e);
    if (f == NULL || write(f, t, e) == 0)
        return f;
    spool_remove(f);
    return NULL;
}

/* A file without a name: it is gone with the last descriptor. */
static int
open_nameless(struct spool_file *f, struct err *e)
{
    int fd = f != NULL ? spool_reopen(f, e) : -1;
    spool_remove(f);
    return fd;
}

/* The event stays as long as the hook runs: it may open it by its name. */
static int
open_lines(struct task *t, struct err *e)
{
    spool_remove(t->lines);
    t->lines = make_file(t, write_lines, e);
    if (t->lines == NULL)
        return -1;
    fields_set(&t->letter->fields, "JSON_FILE", spool_path(t->lines));
    char *kind = xstrdup(task_field(t, "EVENT")); /* it is set anew */
    letter_address(t->letter, kind, t->record.attempt);
    free(kind);
    return spool_reopen(t->lines, e);
}

static int
open_crlf(struct task *t, int fd, const struct spool_file *file, struct err *e)
{
    if (fd < 0 || t->letter->eol == EOL_LF)
        return fd;
    close(fd);
    return open_nameless(spool_crlf(t->parcel->among->spool, file, e), e);
}

int
task_stdin(struct task *t, enum hook_stdin kind, struct err *e)
{
    struct parcel *p = t->parcel;
    int fd;
    switch (kind) {
    case STDIN_MESSAGE:
        return open_crlf(t, parcel_open(p, e), p->file, e);
    case STDIN_HEADERS:
        fd = parcel_open_header(p, e);
        return open_crlf(t, fd, p->header != NULL ? p->header : p->file, e);
    case STDIN_JSON:
        return open_lines(t, e);
    case STDIN_BODY:
        return open_nameless(make_file(t, write_text, e), e);
    case STDIN_NONE:
        break;
    }
    return -1;
}

void
task_rest(struct task *t)
{
    spool_remove(t->lines);
    t->lines = NULL;
}

/* --- the stages --- */

static void
tell(struct task *t)
{
    t->record.since = clock_wall_ms();
    if (t->journal != NULL)
        journal_move(t->journal, &t->record);
}

/* The members of a batch share what becomes of it. */
static void
tell_all(struct task *t)
{
    EACH_FOLLOWER(t, link)
    {
        struct task *f = follower(link);
        f->record.stage = t->record.stage;
        f->record.attempt = t->record.attempt;
        f->record.batch = t->record.batch;
        f->record.due = t->record.due;
        f->record.result = t->record.result;
        f->record.status = t->record.status;
        f->record.acted = 0;
        f->record.halfway = false;
        f->record.tail = t->record.tail;
        tell(f);
        f->record.tail = (struct span){0};
    }
    tell(t);
}

/* Which messages it is about; those that follow are told in their own words. */
static void
address_batch(struct task *t, const char *kind)
{
    struct buf uids = {0};
    unsigned n = 1;
    EACH_FOLLOWER(t, link)
    {
        struct task *f = follower(link);
        buf_addf(&uids, "%u ", (unsigned)f->record.uid);
        if (f->letter->json != NULL)
            letter_address(f->letter, kind, t->record.attempt);
        n++;
    }
    buf_addf(&uids, "%u", (unsigned)t->record.uid);
    char count[16];
    snprintf(count, sizeof count, "%u", n);
    fields_set(&t->letter->fields, "COUNT", count);
    fields_set(&t->letter->fields, "UIDS", buf_str(&uids));
    buf_free(&uids);
}

void
task_begin(struct task *t, bool gathers)
{
    struct record *r = &t->record;
    bool batch = gathers || !list_empty(&t->job.followers);
    const char *kind = r->attempt > 0 ? "retry" : batch ? "batch" : "new";
    r->stage = STAGE_RUNNING;
    r->attempt++;
    r->batch = list_empty(&t->job.followers) ? 0 : r->id;
    t->job.formed = true;
    if (batch)
        address_batch(t, kind);
    letter_address(t->letter, kind, r->attempt);
    tell_all(t);
}

void
task_unbegin(struct task *t)
{
    struct record *r = &t->record;
    r->attempt--;
    r->stage = STAGE_WAITING;
    r->due = 0;
    tell_all(t);
}

void
task_say(struct task *t, struct span words)
{
    buf_clear(&t->tail);
    buf_addspan(&t->tail, words);
    t->record.tail = buf_span(&t->tail);
}

static void
note(struct task *t, const struct outcome *o)
{
    t->record.result = run_result_name(o->result == RUN_AGAIN ? RUN_FAIL : o->result);
    t->record.status = o->status;
    task_say(t, o->tail);
}

void
task_wait(struct task *t, const struct outcome *o, uint64_t wait_ms)
{
    note(t, o);
    t->record.stage = STAGE_WAITING;
    t->record.due = clock_wall_ms() + (int64_t)wait_ms;
    tell_all(t);
}

void
task_ran(struct task *t, const struct outcome *o)
{
    note(t, o);
    t->record.stage = STAGE_RAN;
    t->record.acted = 0;
    t->record.halfway = false;
    tell_all(t);
}

void
task_copied(struct task *t)
{
    t->record.halfway = true;
    tell(t);
}

void
task_acted(struct task *t)
{
    t->record.acted++;
    t->record.halfway = false;
    tell(t);
}

void
task_die(struct task *t, const char *result)
{
    t->record.result = result;
    t->record.stage = STAGE_DEAD;
    tell_all(t);
}

static void
forget(struct task *t)
{
    if (t->journal != NULL)
        journal_drop(t->journal, t->record.id);
}

void
task_settle(struct task *t)
{
    EACH_FOLLOWER(t, link)
    forget(follower(link));
    forget(t);
}

void
task_refile(struct task *t)
{
    set_file(t);
    fields_set(&t->letter->fields, "FILE", parcel_path(t->parcel));
    if (t->journal != NULL)
        journal_refile(t->journal, &t->record);
}

const struct actions *
task_actions(const struct task *t)
{
    return strcmp(t->record.result, "ok") == 0 ? &t->letter->on_success : &t->letter->on_failure;
}
