/* SPDX-License-Identifier: ISC */
/* The journal must be left alone while it shows its records, and what cannot be read must change
 * nothing. So first everything is read and what matters is copied, and then it is changed, which
 * cannot fail.
 *
 * Names are looked up in sorted rolls: ten thousand ids may be asked for among as many records. */
#include "watch/desk.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "hook/action.h"
#include "sys/clock.h"

#include <stdlib.h>
#include <string.h>

/* --- a roll: names, each with a mark --- */

struct roll {
    const char **names; /* borrowed, ascending, each once */
    bool *marks;
    size_t n;
};

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct roll
roll_of(const struct strv *names)
{
    struct roll r = {xcalloc(names->n + 1, sizeof *r.names), xcalloc(names->n + 1, 1), 0};
    for (size_t i = 0; i < names->n; i++)
        r.names[i] = names->v[i];
    qsort(r.names, names->n, sizeof *r.names, by_name);
    for (size_t i = 0; i < names->n; i++)
        if (r.n == 0 || strcmp(r.names[r.n - 1], r.names[i]) != 0)
            r.names[r.n++] = r.names[i];
    return r;
}

static void
roll_free(struct roll *r)
{
    free(r->names);
    free(r->marks);
}

/* The name's mark, or NULL: it is not on the roll. */
static bool *
roll_find(const struct roll *r, const char *name)
{
    const char **found = bsearch(&name, r->names, r->n, sizeof *r->names, by_name);
    return found != NULL ? &r->marks[found - r->names] : NULL;
}

static bool
roll_mark(const struct roll *r, const char *name)
{
    bool *mark = roll_find(r, name);
    if (mark != NULL)
        *mark = true;
    return mark != NULL;
}

/* --- a pile: records of our own, ids ascending --- */

struct pile {
    struct record **v;
    size_t n;
    size_t cap;
};

static void
keep(char **at, const char **text)
{
    size_t n = strlen(*text) + 1;
    *text = memcpy(*at, *text, n);
    *at += n;
}

static void
keep_span(char **at, struct span *s)
{
    if (s->n > 0)
        s->p = memcpy(*at, s->p, s->n);
    *at += s->n;
}

/* One piece of memory: the record, and behind it what it points to. */
static struct record *
copy_of(const struct record *r)
{
    size_t need = r->letter.n + r->tail.n;
    const char *texts[] = {
        r->account, r->mailbox, r->event, r->rule, r->subject, r->file, r->result};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        need += strlen(texts[i]) + 1;
    struct record *c = xmalloc(sizeof *c + need);
    *c = *r;
    char *at = (char *)(c + 1);
    keep(&at, &c->account);
    keep(&at, &c->mailbox);
    keep(&at, &c->event);
    keep(&at, &c->rule);
    keep(&at, &c->subject);
    keep(&at, &c->file);
    keep(&at, &c->result);
    keep_span(&at, &c->letter);
    keep_span(&at, &c->tail);
    return c;
}

static void
pile_add(struct pile *p, const struct record *r)
{
    if (p->n == p->cap) {
        p->cap = p->cap > 0 ? p->cap * 2 : 16;
        p->v = xreallocarray(p->v, p->cap, sizeof *p->v);
    }
    p->v[p->n++] = copy_of(r);
}

static int
by_id(const void *key, const void *element)
{
    uint64_t id = *(const uint64_t *)key;
    uint64_t other = (*(struct record *const *)element)->id;
    return id < other ? -1 : id > other;
}

static bool
pile_has(const struct pile *p, uint64_t id)
{
    return p->n > 0 && bsearch(&id, p->v, p->n, sizeof *p->v, by_id) != NULL;
}

static void
pile_free(struct pile *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->v[i]);
    free(p->v);
}

/* --- what is told of a job --- */

static char *
one_line(const char *text)
{
    struct buf line = {0};
    utf8_line(&line, span_str(text));
    return buf_take(&line);
}

static char *
short_line(const char *text)
{
    char *line = one_line(text);
    line[utf8_cut(span_str(line), DESK_SUBJECT_MAX).n] = '\0';
    return line;
}

static char *
visible_lines(struct span text)
{
    struct buf out = {0};
    while (text.n > 0) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end != NULL ? (size_t)(end - text.p) : text.n;
        utf8_visible(&out, (struct span){text.p, n});
        if (end == NULL)
            break;
        buf_addc(&out, '\n');
        text = (struct span){end + 1, text.n - n - 1};
    }
    return buf_take(&out);
}

static struct desk_job
told_of(const struct record *r, bool with_output)
{
    return (struct desk_job){
        .event = one_line(r->event),
        .when = r->since,
        .rule = one_line(r->rule),
        .account = one_line(r->account),
        .mailbox = one_line(r->mailbox),
        .uid = r->uid,
        .result = one_line(r->result),
        .status = r->status,
        .attempts = r->attempt,
        .subject = short_line(r->subject),
        .output = with_output ? visible_lines(r->tail) : xstrdup(""),
    };
}

static void
add_job(struct desk_answer *a, struct desk_job job)
{
    if ((a->n & (a->n + 1)) == 0) /* full: there is room for 2^k - 1 */
        a->jobs = xreallocarray(a->jobs, a->n * 2 + 1, sizeof *a->jobs);
    a->jobs[a->n++] = job;
}

void
desk_question_free(struct desk_question *q)
{
    strv_free(&q->events);
    strv_free(&q->rules);
    *q = (struct desk_question){0};
}

static void
job_free(struct desk_job *j)
{
    free(j->event);
    free(j->rule);
    free(j->account);
    free(j->mailbox);
    free(j->result);
    free(j->subject);
    free(j->output);
}

void
desk_answer_free(struct desk_answer *a)
{
    for (size_t i = 0; i < a->n; i++)
        job_free(&a->jobs[i]);
    free(a->jobs);
    strv_free(&a->unknown);
    *a = (struct desk_answer){0};
}

/* --- reading --- */

struct reading {
    const struct desk_question *q;
    struct roll events;
    struct roll rules;
    struct desk_answer *a;
    struct pile meant; /* of what is to be changed */
};

static bool
means_all(const struct desk_question *q)
{
    return q->all || (q->what == DESK_FAILED && q->events.n == 0 && q->rules.n == 0);
}

static void
read_one(void *arg, const struct record *r)
{
    struct reading *x = arg;
    bool by_event = roll_mark(&x->events, r->event);
    bool by_rule = roll_mark(&x->rules, r->rule);
    if (!by_event && !by_rule && !means_all(x->q))
        return;
    add_job(x->a, told_of(r, by_event && x->q->what == DESK_FAILED));
    if (x->q->what != DESK_FAILED)
        pile_add(&x->meant, r);
}

/* In the order they were named in, each once. */
static void
add_unknown(struct strv *unknown, const struct strv *named, const struct roll *roll)
{
    for (size_t i = 0; i < named->n; i++) {
        bool *mark = roll_find(roll, named->v[i]);
        if (!*mark)
            strv_add(unknown, named->v[i]);
        *mark = true;
    }
}

static int
read_meant(struct journal *j, struct reading *x, struct err *e)
{
    x->events = roll_of(&x->q->events);
    x->rules = roll_of(&x->q->rules);
    int rc = journal_each(j, true, read_one, x, e);
    if (rc == 0) {
        add_unknown(&x->a->unknown, &x->q->events, &x->events);
        add_unknown(&x->a->unknown, &x->q->rules, &x->rules);
    }
    roll_free(&x->events);
    roll_free(&x->rules);
    return rc;
}

/* --- retrying --- */

static bool
is_action(const char *result)
{
    for (int kind = ACTION_FLAG; kind <= ACTION_SH; kind++)
        if (strcmp(action_name((enum action_kind)kind), result) == 0)
            return true;
    return false;
}

/* An action of on_success failed; those of on_failure follow a hook that has to run again. */
static bool
hook_succeeded(const struct record *r)
{
    return is_action(r->result) && (r->status == 0 || r->status == 99);
}

static void
plan_again(struct record *r, int64_t now)
{
    if (hook_succeeded(r)) {
        r->stage = STAGE_RAN;
        r->result = "ok";
    } else {
        r->stage = STAGE_PLANNED;
        r->result = "";
        r->status = 0;
        r->acted = 0;
        r->halfway = false;
    }
    r->due = 0;
    r->since = now;
    r->tail = SPAN("");
}

static void
retry(struct journal *j, const struct pile *p, void (*on_retry)(void *arg, const struct record *r),
    void *arg)
{
    int64_t now = clock_wall() * 1000;
    for (size_t i = 0; i < p->n; i++) {
        struct record *r = p->v[i];
        if (!pile_has(p, r->batch))
            r->batch = 0;
        plan_again(r, now);
        journal_move(j, r);
    }
    for (size_t i = 0; i < p->n && on_retry != NULL; i++)
        on_retry(arg, p->v[i]);
}

/* --- dropping --- */

struct claims {
    const struct pile *going;
    struct roll files; /* of those; marked: somebody else has it */
};

static void
claim(void *arg, const struct record *r)
{
    struct claims *c = arg;
    if (!pile_has(c->going, r->id))
        roll_mark(&c->files, r->file);
}

static void
forget(struct journal *j, struct spool *s, const struct claims *c)
{
    for (size_t i = 0; i < c->going->n; i++)
        journal_drop(j, c->going->v[i]->id);
    for (size_t i = 0; i < c->files.n; i++)
        if (!c->files.marks[i])
            spool_unlink(s, c->files.names[i]);
}

static int
drop(struct journal *j, struct spool *s, const struct pile *p, struct err *e)
{
    struct strv files = {0};
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i]->file[0] != '\0')
            strv_add(&files, p->v[i]->file);
    struct claims c = {p, roll_of(&files)};
    int rc = journal_each(j, true, claim, &c, e);
    if (rc == 0)
        rc = journal_each(j, false, claim, &c, e);
    if (rc == 0)
        forget(j, s, &c);
    roll_free(&c.files);
    strv_free(&files);
    return rc;
}

/* --- the desk --- */

int
desk_answer(struct journal *j, struct spool *s, const struct desk_question *q,
    struct desk_answer *a, void (*on_retry)(void *arg, const struct record *r), void *arg,
    struct err *e)
{
    struct reading x = {.q = q, .a = a};
    *a = (struct desk_answer){0};
    int rc = read_meant(j, &x, e);
    if (rc == 0 && q->what == DESK_RETRY)
        retry(j, &x.meant, on_retry, arg);
    if (rc == 0 && q->what == DESK_DROP)
        rc = drop(j, s, &x.meant, e);
    if (rc != 0)
        desk_answer_free(a);
    pile_free(&x.meant);
    return rc;
}

struct expiry {
    int64_t before;
    struct pile old;
};

static void
read_old(void *arg, const struct record *r)
{
    struct expiry *x = arg;
    if (r->since < x->before)
        pile_add(&x->old, r);
}

int
desk_expire(struct journal *j, struct spool *s, int64_t before, struct err *e)
{
    struct expiry x = {.before = before};
    int rc = journal_each(j, true, read_old, &x, e);
    if (rc == 0 && x.old.n > 0)
        rc = drop(j, s, &x.old, e);
    int n = (int)x.old.n;
    pile_free(&x.old);
    return rc == 0 ? n : -1;
}
