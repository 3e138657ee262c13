/* SPDX-License-Identifier: ISC */
/* Records come in order of arrival, so the jobs of one message are neighbours, and the members of a
 * batch stand before its leader, which is the newest. The journal is read first and acted upon
 * afterwards: what is read of it may not be changed meanwhile. */
#include "watch/revive.h"

#include "base/mem.h"
#include "sys/log.h"

#include <stdlib.h>
#include <string.h>

/* A record without a letter, or with one that cannot be read. */
struct leftover {
    struct list link;
    struct record record;
    struct strv texts;
};

struct reviving {
    const struct revive_opts *opts;
    struct parcel *parcel; /* of the record before, which was … */
    struct record last;    /* … this one, with texts of its own */
    struct strv last_texts;
    struct list members;    /* followers whose leader is still to come, by task.link */
    struct list ready;      /* tasks, likewise */
    struct list unread;     /* leftovers … */
    struct list unreadable; /* … of both kinds */
    struct strv files;      /* that any record refers to; sorted when all are read */
};

uint64_t
revive_rule(const struct ruleset *rules, const char *name)
{
    for (size_t i = 0; i < rules->n; i++)
        if (strcmp(rules->v[i].name, name) == 0)
            return i;
    return rules->n;
}

static struct parcel *
adopt(const struct revive_opts *o, const struct record *r)
{
    struct spool_note note = {.name = r->file, .size = r->file_size};
    struct err e;
    memcpy(note.digest, r->file_digest, sizeof note.digest);
    struct spool_file *file = r->file[0] != '\0' ? spool_adopt(o->parcels->spool, &note, &e) : NULL;
    if (file == NULL && r->file[0] != '\0')
        log_warn("%s/%s:%u: its spooled message is not to be trusted: %s", r->account, r->mailbox,
            (unsigned)r->uid, e.text);
    return parcel_new(o->parcels, file, r->file_is_whole);
}

/* A letter that wants another standard input than its rule does today cannot share a run with
 * today's. */
static bool
may_gather(const struct revive_opts *o, const struct task *t)
{
    return t->record.stage == STAGE_PLANNED && t->job.rule < o->rules->n &&
           t->letter->stdin_kind == o->hooks[t->job.rule].stdin_kind;
}

static struct task *
make_task(const struct revive_opts *o, struct parcel *p, const struct record *r)
{
    struct err e;
    struct task *t = task_restore(o->parcels->journal, p, r, revive_rule(o->rules, r->rule), &e);
    if (t == NULL)
        log_error("%s/%s:%u: a job of rule %s cannot be read: %s", r->account, r->mailbox,
            (unsigned)r->uid, r->rule, e.text);
    else
        t->job.formed = !may_gather(o, t);
    return t;
}

/* --- reading --- */

static struct record
copy_record(const struct record *r, struct strv *texts)
{
    struct record copy = *r;
    const char **words[] = {
        &copy.account, &copy.mailbox, &copy.event, &copy.rule, &copy.subject, &copy.file};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        strv_add(texts, *words[i]);
        *words[i] = texts->v[i];
    }
    copy.result = "";
    copy.letter = copy.tail = (struct span){0};
    return copy;
}

static void
put_aside(struct list *ring, const struct record *r)
{
    struct leftover *l = xcalloc(1, sizeof *l);
    l->record = copy_record(r, &l->texts);
    list_append(ring, &l->link);
}

static bool
is_same_message(const struct reviving *v, const struct record *r)
{
    const struct record *last = &v->last;
    return v->parcel != NULL && last->uid == r->uid && last->uidvalidity == r->uidvalidity &&
           strcmp(last->file, r->file) == 0 && strcmp(last->account, r->account) == 0 &&
           strcmp(last->mailbox, r->mailbox) == 0;
}

static void
forget_message(struct reviving *v)
{
    parcel_drop(v->parcel);
    v->parcel = NULL;
    strv_free(&v->last_texts);
}

static struct parcel *
parcel_for(struct reviving *v, const struct record *r)
{
    if (is_same_message(v, r))
        return v->parcel;
    forget_message(v);
    v->parcel = adopt(v->opts, r);
    v->last = copy_record(r, &v->last_texts);
    return v->parcel;
}

static void
lead(struct reviving *v, struct task *t)
{
    LIST_EACH(&v->members, link)
    {
        struct task *f = LIST_OWNER(link, struct task, link);
        if (f->record.batch != t->record.id)
            continue;
        list_remove(link);
        list_append(&t->job.followers, &f->job.in_batch);
    }
}

static void
read_letter(struct reviving *v, const struct record *r)
{
    struct parcel *p = parcel_for(v, r);
    struct task *t = make_task(v->opts, p, r);
    if (t == NULL) {
        p->kept = true; /* the record that is dead then is not committed yet */
        put_aside(&v->unreadable, r);
        return;
    }
    if (task_is_follower(t) && r->stage != STAGE_RAN) {
        list_append(&v->members, &t->link);
        return;
    }
    lead(v, t);
    list_append(&v->ready, &t->link);
}

static void
note_file(void *arg, const struct record *r)
{
    struct reviving *v = arg;
    if (r->file[0] != '\0')
        strv_add(&v->files, r->file);
}

static void
read_record(void *arg, const struct record *r)
{
    struct reviving *v = arg;
    note_file(v, r);
    if (r->letter.n == 0)
        put_aside(&v->unread, r);
    else
        read_letter(v, r);
}

/* --- acting --- */

/* Those whose leader is dead or gone are jobs by themselves. */
static void
hand_over(struct reviving *v)
{
    LIST_EACH(&v->members, orphan)
    {
        list_remove(orphan);
        LIST_OWNER(orphan, struct task, link)->record.batch = 0;
        list_append(&v->ready, orphan);
    }
    LIST_EACH(&v->ready, link)
    {
        list_remove(link);
        v->opts->on_task(v->opts->arg, LIST_OWNER(link, struct task, link));
    }
}

static void
bury(const struct revive_opts *o, struct record *r)
{
    r->stage = STAGE_DEAD;
    r->result = "unreadable";
    r->tail = SPAN("its letter cannot be read: damaged, or of a later version");
    journal_move(o->parcels->journal, r);
}

static void
free_leftover(struct leftover *l)
{
    list_remove(&l->link);
    strv_free(&l->texts);
    free(l);
}

static int
bury_all(struct reviving *v)
{
    int n = 0;
    LIST_EACH(&v->unreadable, link)
    {
        struct leftover *l = LIST_OWNER(link, struct leftover, link);
        bury(v->opts, &l->record);
        free_leftover(l);
        n++;
    }
    return n;
}

static void
hand_over_unread(struct reviving *v)
{
    LIST_EACH(&v->unread, link)
    {
        struct leftover *l = LIST_OWNER(link, struct leftover, link);
        v->opts->on_unread(v->opts->arg, &l->record);
        free_leftover(l);
    }
}

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
is_claimed(void *arg, const char *name)
{
    struct reviving *v = arg;
    return v->files.n > 0 &&
           bsearch(&name, v->files.v, v->files.n, sizeof *v->files.v, by_text) != NULL;
}

int
revive_all(const struct revive_opts *opts, struct err *e)
{
    struct reviving v = {.opts = opts};
    struct journal *j = opts->parcels->journal;
    list_init(&v.members);
    list_init(&v.ready);
    list_init(&v.unread);
    list_init(&v.unreadable);
    int rc = journal_each(j, true, note_file, &v, e);
    if (rc == 0)
        rc = journal_each(j, false, read_record, &v, e);
    if (v.files.n > 0)
        qsort(v.files.v, v.files.n, sizeof *v.files.v, by_text);
    if (rc == 0 && spool_sweep(opts->parcels->spool, is_claimed, &v, e) < 0)
        rc = -1;
    hand_over(&v);
    hand_over_unread(&v);
    int buried = bury_all(&v);
    forget_message(&v);
    strv_free(&v.files);
    return rc == 0 ? buried : -1;
}

/* A message that other jobs of it wait for is waited for together. */
static struct parcel *
parcel_of(const struct revive_opts *o, const struct record *r)
{
    struct parcel *p = r->file[0] != '\0' ? parcels_find(o->parcels, r->file) : NULL;
    return p != NULL ? parcel_share(p) : adopt(o, r);
}

bool
revive_one(const struct revive_opts *opts, const struct record *r)
{
    if (r->letter.n == 0) {
        opts->on_unread(opts->arg, r);
        return true;
    }
    struct parcel *p = parcel_of(opts, r);
    struct task *t = make_task(opts, p, r);
    parcel_drop(p);
    if (t == NULL) {
        struct record again = *r;
        bury(opts, &again);
        return false;
    }
    t->record.batch = 0;
    t->job.formed = true;
    opts->on_task(opts->arg, t);
    return true;
}
