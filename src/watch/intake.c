/* SPDX-License-Identifier: ISC */
/* The one bend of the pipe before the work: a message goes to the sorter as a file, comes back as
 * facts and hits, and leaves as letters. A message that was wanted from below the mark may be known
 * already; only its facts tell. */
#include "watch/intake.h"

#include "base/digest.h"
#include "base/mem.h"
#include "base/pack.h"
#include "hook/event.h"
#include "sort/sorter.h"
#include "sys/clock.h"
#include "sys/lastwords.h"
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
    INSIDE_MAX = 10000,     /* … or for anything: a letter may be 64 KiB */
};

struct intake {
    struct intake_opts opts;
    struct sorter *sorter;
    struct list arrivals; /* mails, in order */
    struct list sorting;  /* mails the sorter has */
    unsigned hits;
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

static void
deliver_hit(struct intake *in, const struct mail *m, struct parcel *p, const struct hit *hit,
    const struct facts *facts)
{
    unsigned again = 0;
    struct letter *letter = write_letter(in, m, hit, facts, again);
    in->hits++;
    if (in->opts.on_letter != NULL) {
        in->opts.on_letter(in->opts.arg, letter);
        letter_free(letter);
        return;
    }
    while (!work_add(in->opts.work, p, &m->meta, hit->rule, letter))
        letter = write_letter(in, m, hit, facts, ++again);
}

static void
deliver_hits(struct intake *in, struct mail *m, const struct sort_answer *answer)
{
    for (size_t i = 0; i < answer->hits.notes.n; i++)
        log_warn("%s", answer->hits.notes.v[i]);
    if (answer->hits.n == 0)
        return;
    struct parcel *p = work_parcel(in->opts.work, m->file, m->whole);
    for (size_t i = 0; i < answer->hits.n && !intake_limit_reached(in); i++) {
        deliver_hit(in, m, p, &answer->hits.v[i], answer->facts);
        if (in->opts.config->rules.v[answer->hits.v[i].rule].stop)
            break;
    }
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
is_known(struct mail *m, const struct facts *facts)
{
    struct watched *b = m->box;
    struct sighting s = look_at(m, facts);
    bool known = m->wanted && !watched_is_revived(b, m->meta.uid) && ledger_is_old(&b->ledger, &s);
    ledger_see(&b->ledger, &s, m->wanted, clock_wall());
    return known;
}

/* --- sorting --- */

static void
leave(struct mail *m)
{
    ledger_leave(&m->box->ledger, &m->entry);
    mail_free(m);
}

static void
say_unread(const struct mail *m, const struct err *e)
{
    log_error(
        "%s/%s:%u: not read: %s", m->meta.account, m->meta.mailbox, (unsigned)m->meta.uid, e->text);
}

/* The descriptors that are short may be those of the mails being sorted: they come back with the
 * answers, and this one waits so long. */
static bool
submit_mail(struct intake *in, struct mail *m)
{
    struct err e;
    m->sort_fd = spool_reopen(m->file, &e);
    if (m->sort_fd < 0 && !list_empty(&in->sorting))
        return false;
    list_remove(&m->link);
    if (m->sort_fd < 0) {
        say_unread(m, &e);
        leave(m);
        return true;
    }
    list_append(&in->sorting, &m->link);
    struct sort_request request = {
        .id = m->id, .fd = m->sort_fd, .meta = &m->meta, .plan = m->plan, .now = clock_wall()};
    sorter_submit(in->sorter, &request);
    return true;
}

bool
intake_is_due(const struct intake *in)
{
    return !list_empty(&in->arrivals) && work_startable(in->opts.work) < STARTABLE_MAX &&
           work_inside(in->opts.work) < INSIDE_MAX;
}

static void
submit_arrivals(struct intake *in)
{
    for (int i = 0; i < ARRIVALS_PER_TURN && intake_is_due(in); i++)
        if (!submit_mail(in, LIST_OWNER(in->arrivals.next, struct mail, link)))
            return;
}

/* Answers come nearly in the order of the requests, so the walk is short. */
static struct mail *
take_sorted(struct intake *in, uint64_t id)
{
    LIST_EACH(&in->sorting, link)
    {
        struct mail *m = LIST_OWNER(link, struct mail, link);
        if (m->id == id) {
            list_remove(&m->link);
            close(m->sort_fd);
            return m;
        }
    }
    return NULL;
}

static void
work_up(struct intake *in, struct mail *m, const struct sort_answer *answer)
{
    if (answer->facts == NULL) {
        say_unread(m, &answer->failure);
        leave(m);
        return;
    }
    if (is_known(m, answer->facts))
        log_detail(
            "%s/%s:%u: known already", m->meta.account, m->meta.mailbox, (unsigned)m->meta.uid);
    else
        deliver_hits(in, m, answer);
    watched_read(m->box, m->meta.uid);
    ledger_close(&m->box->ledger, &m->entry);
    mail_free(m);
}

/* --- what would have killed us --- */

static void
say_last_words(const struct intake *in)
{
    if (!in->opts.last_words || list_empty(&in->sorting))
        return;
    const struct mail *m = LIST_OWNER(in->sorting.next, const struct mail, link);
    struct spool_note note = spool_note(m->file);
    struct buf words = {0};
    pack_str(&words, m->meta.account);
    pack_str(&words, m->meta.mailbox);
    pack_number(&words, m->meta.uidvalidity);
    pack_number(&words, m->meta.uid);
    pack_str(&words, note.name);
    pack_number(&words, note.size);
    pack_span(&words, (struct span){(const char *)note.digest, sizeof note.digest});
    pack_number(&words, m->whole);
    lastwords_say(buf_span(&words));
    buf_free(&words);
}

int
intake_victim(struct span words, struct intake_victim *v)
{
    struct unpack u = {words, false};
    v->account = unpack_str(&u);
    v->mailbox = unpack_str(&u);
    v->uidvalidity = (uint32_t)unpack_upto(&u, UINT32_MAX);
    v->uid = (uint32_t)unpack_upto(&u, UINT32_MAX);
    v->file = unpack_str(&u);
    v->size = unpack_number(&u);
    struct span digest = unpack_span(&u);
    v->whole = unpack_upto(&u, 1) == 1;
    if (digest.n == sizeof v->digest)
        memcpy(v->digest, digest.p, digest.n);
    bool good = unpack_whole(&u) && v->account != NULL && v->mailbox != NULL && v->file != NULL &&
                digest.n == sizeof v->digest;
    if (!good)
        intake_victim_free(v);
    return good ? 0 : -1;
}

void
intake_victim_free(struct intake_victim *v)
{
    free(v->account);
    free(v->mailbox);
    free(v->file);
    *v = (struct intake_victim){0};
}

void
intake_sort(struct intake *in)
{
    struct sort_answer answer;
    submit_arrivals(in);
    for (say_last_words(in); sorter_next(in->sorter, &answer); say_last_words(in)) {
        struct mail *m = take_sorted(in, answer.id);
        assert(m != NULL);
        work_up(in, m, &answer);
        sort_answer_free(&answer);
    }
    if (in->opts.last_words)
        lastwords_nothing();
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
    return list_empty(&in->arrivals) && list_empty(&in->sorting);
}

struct intake *
intake_new(const struct intake_opts *opts)
{
    struct intake *in = xcalloc(1, sizeof *in);
    in->opts = *opts;
    in->sorter = sorter_new(&opts->config->rules);
    list_init(&in->arrivals);
    list_init(&in->sorting);
    return in;
}

void
intake_free(struct intake *in)
{
    if (in == NULL)
        return;
    LIST_EACH(&in->arrivals, link)
    {
        list_remove(link);
        leave(LIST_OWNER(link, struct mail, link));
    }
    sorter_free(in->sorter);
    free(in);
}
