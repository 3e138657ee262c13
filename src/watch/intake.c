/* SPDX-License-Identifier: ISC */
/* The one bend of the pipe before the work: a message goes to the sorter as a file, comes back as
 * facts and hits, and leaves as letters; or it needs to be fetched whole first. Answers come in any
 * order, and are worked up in the order of each mailbox. A message that was wanted from below the
 * mark may be known already; only its facts tell. */
#include "watch/intake.h"

#include "base/digest.h"
#include "base/mem.h"
#include "hook/event.h"
#include "sort/sorter.h"
#include "sys/clock.h"
#include "sys/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ARRIVALS_PER_TURN = 64, /* mails sorted before bytes are looked at again */
    STARTABLE_MAX = 1000,   /* jobs waiting for their turn before no more mail is sorted … */
    IN_LINE_MAX = 64, /* mails with the sorter, or behind one that is: each may have a descriptor */
    PAUSE_MS = 5000,  /* when it cannot work */
    INSIDE_MAX = 10000, /* … or for anything: a letter may be 64 KiB */
};

struct intake {
    struct intake_opts opts;
    struct sorter *sorter;
    struct list arrivals; /* mails to be sorted, by `link` */
    struct list line;     /* mails that were, or are being, by `order` */
    unsigned n_line;
    uint64_t round;
    struct loop_timer again;
    bool pausing; /* the sorter cannot work just now */
    unsigned hits;
    unsigned set_aside;
};

/* --- letters --- */

/* `again` counts the names that were taken: a server without UIDVALIDITY, or one that gives a UID
 * twice, would have two messages share one. */
static void
name_event(
    char id[static EVENT_ID_LENGTH + 1], const struct meta *meta, const char *rule, unsigned again)
{
    char *name = again > 0 ? xasprintf("%s\n%u", rule, again) : xstrdup(rule);
    event_id_make(id, meta, name);
    free(name);
}

static struct letter *
write_letter(struct intake *in, const struct mail *m, const struct hit *hit,
    const struct facts *facts, unsigned again)
{
    const struct rule *rule = &in->opts.config->rules.v[hit->rule];
    char id[EVENT_ID_LENGTH + 1];
    name_event(id, &m->meta, rule->name, again);
    struct event event = {
        .version = MAILCALL_VERSION,
        .kind = "new",
        .id = id,
        .attempt = 1,
        .rule = rule->name,
        .meta = &m->meta,
        .facts = facts,
        .hit = hit,
        .file = mail_path(m),
    };
    return letter_write(&in->opts.config->hooks[hit->rule], &event);
}

bool
intake_limit_reached(const struct intake *in)
{
    return in->opts.limit > 0 && in->hits >= in->opts.limit;
}

static const struct hook_opts *
hook_of(const struct intake *in, size_t rule)
{
    return &in->opts.config->hooks[rule];
}

/* Where its attachments lie. */
static void
attach(struct letter *letter, const struct mail *m, const struct sort_answer *answer)
{
    char *folder = spool_folder_path(m->file);
    struct event_file *files = xcalloc(answer->n_files + 1, sizeof *files);
    for (size_t i = 0; i < answer->n_files; i++)
        files[i] = (struct event_file){
            answer->files[i].attachment, xasprintf("%s/%s", folder, answer->files[i].name)};
    letter_attach(letter, folder, files, answer->n_files);
    for (size_t i = 0; i < answer->n_files; i++)
        free((char *)files[i].path);
    free(files);
    free(folder);
}

static struct letter *
make_letter(struct intake *in, const struct mail *m, const struct hit *hit,
    const struct sort_answer *answer, unsigned again)
{
    struct letter *letter = write_letter(in, m, hit, answer->facts, again);
    if (hook_of(in, hit->rule)->decode && m->folder_fd >= 0)
        attach(letter, m, answer);
    return letter;
}

static void
deliver_hit(struct intake *in, const struct mail *m, struct parcel *p, const struct hit *hit,
    const struct sort_answer *answer)
{
    unsigned again = 0;
    struct letter *letter = make_letter(in, m, hit, answer, again);
    in->hits++;
    if (in->opts.on_letter != NULL) {
        in->opts.on_letter(in->opts.arg, letter);
        letter_free(letter);
        return;
    }
    while (!work_add(in->opts.work, p, &m->meta, hit->rule, letter))
        letter = make_letter(in, m, hit, answer, ++again);
}

static void
deliver_hits(struct intake *in, struct mail *m, const struct sort_answer *answer)
{
    bool decoded = false;
    if (answer->hits.n == 0)
        return;
    struct parcel *p = work_parcel(in->opts.work, m->file, m->whole);
    for (size_t i = 0; i < answer->hits.n && !intake_limit_reached(in); i++) {
        const struct hit *hit = &answer->hits.v[i];
        deliver_hit(in, m, p, hit, answer);
        decoded |= hook_of(in, hit->rule)->decode;
        if (in->opts.config->rules.v[hit->rule].stop)
            break;
    }
    if (!decoded)
        spool_remove_folder(m->file);
    m->file = NULL; /* the parcel's */
    parcel_drop(p);
}

/* --- known ones --- */

/* What a message says of itself and no server rewrites. */
static struct sighting
look_at(const struct mail *m, const struct facts *f)
{
    char date[32] = "";
    unsigned char digest[DIGEST_SIZE];
    struct sighting s = {.received = m->meta.received};
    if (f->has_date)
        snprintf(date, sizeof date, "%" PRId64, f->date);
    const struct span parts[] = {span_str(f->message_id), span_str(date),
        span_str(f->from.n > 0 ? f->from.v[0].addr : ""), span_str(f->subject)};
    digest_parts(digest, parts, sizeof parts / sizeof *parts);
    memcpy(s.identity, digest, sizeof s.identity);
    return s;
}

static bool
is_known(const struct mail *m, const struct sighting *s)
{
    struct watched *b = m->box;
    return m->wanted && !watched_is_revived(b, m->meta.uid) && ledger_is_old(&b->ledger, s);
}

/* --- what a header block cannot tell --- */

/* Whether a rule that has matched, or still may, wants more of the message. What stands behind a
 * rule that ends it does not count. */
static bool
needs_whole(const struct intake *in, const struct mail *m, const struct hits *hits)
{
    size_t open = 0;
    if (m->whole)
        return false;
    for (size_t i = 0; i < hits->n; i++) {
        size_t rule = hits->v[i].rule;
        if (open < hits->n_open && hits->open[open] < rule)
            return true;
        if (in->opts.on_letter == NULL && hook_needs_whole(hook_of(in, rule)))
            return true;
        if (in->opts.config->rules.v[rule].stop)
            return false;
    }
    return open < hits->n_open;
}

static void
forget_answer(struct mail *m)
{
    if (m->answer != NULL)
        sort_answer_free(m->answer);
    free(m->answer);
    m->answer = NULL;
}

/* Out of the line, and freed; what becomes of it in the ledger was said. */
static void
discard(struct intake *in, struct mail *m)
{
    if (!list_empty(&m->order))
        in->n_line--;
    list_remove(&m->link);
    list_remove(&m->order);
    forget_answer(m);
    mail_free(m);
    loop_wake(in->opts.loop);
}

static void
close_mail(struct intake *in, struct mail *m)
{
    ledger_close(&m->box->ledger, &m->entry);
    discard(in, m);
}

static void
leave(struct intake *in, struct mail *m)
{
    ledger_leave(&m->box->ledger, &m->entry);
    discard(in, m);
}

static void
want_whole(struct mail *m)
{
    struct watched *b = m->box;
    spool_remove(m->file);
    m->file = NULL;
    m->state = MAIL_INCOMPLETE;
    mailbox_want_whole(&b->progress, m->meta.uid);
    watch_want(b->watch);
}

static struct mail *
next_incomplete(struct intake *in, const struct watched *box)
{
    LIST_EACH(&in->line, link)
    {
        struct mail *m = LIST_OWNER(link, struct mail, order);
        if (m->box == box && m->state == MAIL_INCOMPLETE)
            return m;
    }
    return NULL;
}

static struct mail *
find_incomplete(struct intake *in, const struct watched *box, uint32_t uid)
{
    LIST_EACH(&in->line, link)
    {
        struct mail *m = LIST_OWNER(link, struct mail, order);
        if (m->box == box && m->meta.uid == uid && m->state == MAIL_INCOMPLETE)
            return m;
    }
    return NULL;
}

bool
intake_supply(struct intake *in, const struct watched *box, struct mail *whole)
{
    struct mail *m = whole->whole ? find_incomplete(in, box, whole->meta.uid) : NULL;
    if (m == NULL)
        return false;
    m->file = whole->file;
    m->whole = true;
    m->state = MAIL_NEW;
    whole->file = NULL;
    list_prepend(&in->arrivals, &m->link);
    return true;
}

void
intake_gone(struct intake *in, const struct watched *box, uint32_t uid)
{
    struct mail *m = find_incomplete(in, box, uid);
    if (m == NULL)
        return;
    log_warn("%s/%s:%u: gone from the server before it could be read", box->account, box->name,
        (unsigned)uid);
    close_mail(in, m);
}

void
intake_renumbered(struct intake *in, const struct watched *box)
{
    for (struct mail *m; (m = next_incomplete(in, box)) != NULL;)
        close_mail(in, m);
}

bool
intake_give_up(struct intake *in, const struct watched *box)
{
    struct mail *m = next_incomplete(in, box);
    bool any = m != NULL;
    for (; m != NULL; m = next_incomplete(in, box))
        leave(in, m);
    return any;
}

/* --- what nobody can read --- */

static void
record_unparsable(struct intake *in, const struct mail *m)
{
    char id[EVENT_ID_LENGTH + 1];
    struct spool_note note = spool_note(m->file);
    event_id_make(id, &m->meta, "");
    struct record r = {
        .account = m->meta.account,
        .mailbox = m->meta.mailbox,
        .uidvalidity = m->meta.uidvalidity,
        .uid = m->meta.uid,
        .event = id,
        .rule = "",
        .subject = "",
        .letter = SPAN(""),
        .file = note.name,
        .file_size = note.size,
        .file_is_whole = m->whole,
        .stage = STAGE_DEAD,
        .since = clock_wall_ms(),
        .result = "unparsable",
        .tail = SPAN("two processes that read this message died of it, or took too long"),
    };
    memcpy(r.file_digest, note.digest, sizeof r.file_digest);
    journal_add(in->opts.journal, &r);
}

static void
set_aside(struct intake *in, struct mail *m)
{
    in->set_aside++;
    log_error("%s/%s:%u: cannot be read by anybody: set aside", m->meta.account, m->meta.mailbox,
        (unsigned)m->meta.uid);
    if (in->opts.journal != NULL) {
        watched_read(m->box, m->meta.uid); /* the one it stood for */
        record_unparsable(in, m);
        spool_let_go(m->file);
        m->file = NULL;
    }
    close_mail(in, m);
}

/* --- sorting --- */

static void
say_unread(const struct mail *m, const struct err *e)
{
    log_error(
        "%s/%s:%u: not read: %s", m->meta.account, m->meta.mailbox, (unsigned)m->meta.uid, e->text);
}

static bool
wants_attachments(const struct intake *in, const struct mail *m)
{
    if (!m->whole || in->opts.on_letter != NULL)
        return false;
    for (size_t i = 0; i < m->plan->n; i++)
        if (hook_of(in, m->plan->v[i])->decode)
            return true;
    return false;
}

static int
open_mail(const struct intake *in, struct mail *m, struct err *e)
{
    m->folder_fd = -1;
    m->sort_fd = spool_reopen(m->file, e);
    if (m->sort_fd < 0 || !wants_attachments(in, m))
        return m->sort_fd < 0 ? -1 : 0;
    m->folder_fd = spool_folder(m->file, e);
    if (m->folder_fd >= 0)
        return 0;
    close(m->sort_fd);
    return -1;
}

/* Again in the place where it stood, if it was there before. */
static void
enter_line(struct intake *in, struct mail *m)
{
    m->state = MAIL_SORTING;
    if (!list_empty(&m->order))
        return;
    list_append(&in->line, &m->order);
    in->n_line++;
}

/* The descriptors that are short may be those of the mails being sorted: they come back with the
 * answers, and this one waits so long. */
static bool
submit_mail(struct intake *in, struct mail *m)
{
    struct err e;
    bool opened = open_mail(in, m, &e) == 0;
    if (!opened && !list_empty(&in->line))
        return false;
    if (!opened) {
        say_unread(m, &e);
        leave(in, m);
        return true;
    }
    list_remove(&m->link);
    enter_line(in, m);
    struct sort_request request = {
        .id = m->id,
        .fd = m->sort_fd,
        .whole = m->whole,
        .folder = m->folder_fd,
        .meta = &m->meta,
        .plan = m->plan,
        .trusted = m->box->trusted,
        .now = clock_wall(),
    };
    sorter_submit(in->sorter, &request);
    return true;
}

/* One that stands in the line already may always go on. */
static bool
may_submit(const struct intake *in)
{
    const struct mail *m = LIST_OWNER(in->arrivals.next, const struct mail, link);
    return in->n_line < IN_LINE_MAX || !list_empty(&m->order);
}

bool
intake_is_due(const struct intake *in)
{
    return !in->pausing && !list_empty(&in->arrivals) && may_submit(in) &&
           work_startable(in->opts.work) < STARTABLE_MAX && work_inside(in->opts.work) < INSIDE_MAX;
}

static void
submit_arrivals(struct intake *in)
{
    for (int i = 0; i < ARRIVALS_PER_TURN && intake_is_due(in); i++)
        if (!submit_mail(in, LIST_OWNER(in->arrivals.next, struct mail, link)))
            return;
}

static struct mail *
find_sorting(struct intake *in, uint64_t id)
{
    LIST_EACH(&in->line, link)
    {
        struct mail *m = LIST_OWNER(link, struct mail, order);
        if (m->id == id)
            return m;
    }
    return NULL;
}

static void
close_descriptors(struct mail *m)
{
    close(m->sort_fd);
    if (m->folder_fd >= 0)
        close(m->folder_fd);
}

static void
collect_answers(struct intake *in)
{
    struct sort_answer answer;
    while (sorter_next(in->sorter, &answer)) {
        struct mail *m = find_sorting(in, answer.id);
        assert(m != NULL && m->state == MAIL_SORTING);
        close_descriptors(m);
        m->answer = xcalloc(1, sizeof *m->answer);
        *m->answer = answer;
        m->state = MAIL_SORTED;
    }
}

/* --- what an answer means --- */

/* Nothing is wrong with the message: it waits, and so do all. */
static bool
pause_sorting(struct intake *in, struct mail *m, const struct err *e)
{
    if (!in->pausing)
        log_error("no mail can be read now: %s; trying again", e->text);
    in->pausing = true;
    m->state = MAIL_NEW;
    list_prepend(&in->arrivals, &m->link);
    loop_timer_set(in->opts.loop, &in->again, clock_ms() + PAUSE_MS);
    return false;
}

static void
on_again(void *arg)
{
    struct intake *in = arg;
    in->pausing = false;
    loop_wake(in->opts.loop);
}

/* It was seen when it is dealt with, and not before: what is renumbered in between is new. */
static bool
work_up_facts(struct intake *in, struct mail *m, const struct sort_answer *answer)
{
    struct watched *b = m->box;
    struct sighting s = look_at(m, answer->facts);
    for (size_t i = 0; i < answer->hits.notes.n; i++)
        log_warn("%s", answer->hits.notes.v[i]);
    if (is_known(m, &s)) {
        log_detail(
            "%s/%s:%u: known already", m->meta.account, m->meta.mailbox, (unsigned)m->meta.uid);
    } else if (needs_whole(in, m, &answer->hits)) {
        want_whole(m);
        return false;
    } else {
        deliver_hits(in, m, answer);
    }
    ledger_see(&b->ledger, &s, m->wanted, clock_wall());
    watched_read(b, m->meta.uid);
    close_mail(in, m);
    return true;
}

/* Whether it is done with, and gone. */
static bool
work_up(struct intake *in, struct mail *m)
{
    struct sort_answer answer = *m->answer;
    bool done = true;
    free(m->answer);
    m->answer = NULL;
    if (answer.facts != NULL)
        done = work_up_facts(in, m, &answer);
    else if (answer.unparsable)
        set_aside(in, m);
    else
        done = pause_sorting(in, m, &answer.failure);
    sort_answer_free(&answer);
    return done;
}

/* A mailbox is worked up to its first message that is not ready. */
static void
work_up_ready(struct intake *in)
{
    in->round++;
    LIST_EACH(&in->line, link)
    {
        struct mail *m = LIST_OWNER(link, struct mail, order);
        struct watched *box = m->box;
        if (m->state != MAIL_SORTED || box->blocked == in->round || !work_up(in, m))
            box->blocked = in->round;
    }
}

void
intake_sort(struct intake *in)
{
    submit_arrivals(in);
    collect_answers(in);
    work_up_ready(in);
}

unsigned
intake_set_aside(const struct intake *in)
{
    return in->set_aside;
}

/* --- coming and going --- */

void
intake_take(struct intake *in, struct mail *m)
{
    list_append(&in->arrivals, &m->link);
}

bool
intake_is_empty(const struct intake *in)
{
    return list_empty(&in->arrivals) && list_empty(&in->line);
}

struct intake *
intake_new(const struct intake_opts *opts)
{
    struct intake *in = xcalloc(1, sizeof *in);
    in->opts = *opts;
    const struct sorter_opts sorter = {.loop = opts->loop, .rules = &opts->config->rules};
    in->sorter = sorter_new(&sorter);
    list_init(&in->arrivals);
    list_init(&in->line);
    loop_timer_init(&in->again, on_again, in);
    return in;
}

void
intake_free(struct intake *in)
{
    if (in == NULL)
        return;
    sorter_free(in->sorter); /* it has their descriptors */
    LIST_EACH(&in->line, link)
    {
        struct mail *m = LIST_OWNER(link, struct mail, order);
        if (m->state == MAIL_SORTING)
            close_descriptors(m);
        leave(in, m);
    }
    LIST_EACH(&in->arrivals, rest)
    leave(in, LIST_OWNER(rest, struct mail, link));
    loop_timer_clear(in->opts.loop, &in->again);
    free(in);
}
