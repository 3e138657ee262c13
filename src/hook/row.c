/* SPDX-License-Identifier: ISC */
/* The table of everything a hook is told, in the order of the environment, and the getters it is
 * read with: raw values, whatever a mail holds. Refuses to know how they are made fit to be told;
 * that is the business of fields.c alone. */
#include "hook/row.h"

#include "base/percent.h"
#include "base/rfc3339.h"
#include "base/safename.h"
#include "base/utf8.h"

#include <inttypes.h>

static row_getter from_event, from_meta, from_facts, from_from, from_addresses, get_attempt,
    get_uid, get_uidvalidity, get_flags, get_url, get_received, get_received_epoch, get_size,
    get_date, get_attachment_count, get_attachments, get_dkim, get_dkim_domain, get_match,
    get_preview, get_count, get_nothing;

#define EVENT(member)     from_event, offsetof(struct event, member)
#define META(member)      from_meta, offsetof(struct meta, member)
#define FACTS(member)     from_facts, offsetof(struct facts, member)
#define AUTH(member)      from_facts, offsetof(struct facts, auth.member)
#define FIRST(member)     from_from, offsetof(struct address, member)
#define ADDRESSES(member) from_addresses, offsetof(struct facts, member)

const struct row rows[ROW_COUNT] = {
    {"version", EVENT(version), ROW_OURS, "version of mailcall"},
    {"event", EVENT(kind), ROW_OURS, "new, batch, retry or test"},
    {"event_id", EVENT(id), ROW_OURS, "26 characters a-z2-7, the same on every retry"},
    {"attempt", get_attempt, 0, ROW_OURS, "which try this is, from 1"},
    {"rule", EVENT(rule), ROW_OURS, "name of the rule that matched"},
    {"account", META(account), ROW_OURS, "name of the account"},
    {"mailbox", META(mailbox), ROW_STRANGER, "name of the mailbox, / between levels"},
    {"mailbox_role", META(role), ROW_OURS, "inbox archive drafts junk sent trash all, or empty"},
    {"uid", get_uid, 0, ROW_OURS, "UID of the message"},
    {"uidvalidity", get_uidvalidity, 0, ROW_OURS, "UIDVALIDITY of the mailbox"},
    {"flags", get_flags, 0, ROW_STRANGER, "flags and keywords, separated by spaces"},
    {"url", get_url, 0, ROW_STRANGER, "the message as an RFC 5092 URL"},
    {"received", get_received, 0, ROW_OURS, "when the server received it, RFC 3339, UTC"},
    {"received_epoch", get_received_epoch, 0, ROW_OURS, "the same in seconds since 1970"},
    {"size", get_size, 0, ROW_OURS, "bytes, as the server counts them"},
    {"subject", FACTS(subject), ROW_STRANGER, "Subject, decoded"},
    {"from", FIRST(addr), ROW_STRANGER, "address of the first sender in From"},
    {"from_name", FIRST(name), ROW_STRANGER, "display name of the first sender in From"},
    {"to", ADDRESSES(to), ROW_STRANGER, "addresses in To, separated by spaces"},
    {"cc", ADDRESSES(cc), ROW_STRANGER, "addresses in Cc, separated by spaces"},
    {"reply_to", ADDRESSES(reply_to), ROW_STRANGER, "addresses in Reply-To, separated by spaces"},
    {"sender", FACTS(sender), ROW_STRANGER, "envelope sender (Return-Path); empty for bounces"},
    {"recipient", FACTS(recipient), ROW_STRANGER, "envelope recipient (Delivered-To and its kin)"},
    {"extension", FACTS(extension), ROW_STRANGER, "what follows + in the recipient's local part"},
    {"message_id", FACTS(message_id), ROW_STRANGER, "Message-ID without <>"},
    {"in_reply_to", FACTS(in_reply_to), ROW_STRANGER, "first id of In-Reply-To without <>"},
    {"date", get_date, 0, ROW_OURS, "Date, RFC 3339, UTC; empty if unreadable"},
    {"list_id", FACTS(list_id), ROW_STRANGER, "List-Id, the part inside <>"},
    {"attachment_count", get_attachment_count, 0, ROW_OURS,
        "number of attachments; empty if only headers were read"},
    {"attachments", get_attachments, 0, ROW_LINES, "names of their files, one a line"},
    {"auth_dkim", get_dkim, 0, ROW_STRANGER,
        "pass if a signature passed, says the trusted server; else its first result"},
    {"auth_dkim_domain", get_dkim_domain, 0, ROW_STRANGER,
        "domains whose signatures passed, separated by spaces"},
    {"auth_spf", AUTH(spf), ROW_STRANGER, "SPF result, says the trusted server"},
    {"auth_dmarc", AUTH(dmarc), ROW_STRANGER, "DMARC result, says the trusted server"},
    {"match", get_match, 0, ROW_STRANGER, "text matched by the last regex that was true"},
    {"preview", get_preview, 0, ROW_STRANGER,
        "first 256 characters of the text; empty if only headers were read"},
    {"file", EVENT(file), ROW_OURS, "path of the raw message; empty if only headers were read"},
    {"json_file", get_nothing, 0, ROW_OURS, "path of the JSON event; empty if there is none"},
    {"attachments_dir", EVENT(folder), ROW_OURS,
        "folder of the decoded attachments; empty if there is none"},
    {"count", get_count, 0, ROW_OURS, "how many messages this run is for"},
    {"uids", get_uid, 0, ROW_NUMBERS, "their UIDs, separated by spaces"},
    {"hook_result", get_nothing, 0, ROW_OURS, "in on_success and on_failure: how the hook ended"},
    {"hook_status", get_nothing, 0, ROW_OURS, "in on_success and on_failure: its exit status"},
    {"truncated", get_nothing, 0, ROW_OURS, "names of the values that were cut"},
};

/* --- getters --- */

static const char *
text_at(const void *owner, size_t at)
{
    return *(char *const *)(const void *)((const char *)owner + at);
}

static void
from_event(struct buf *out, const struct event *e, size_t at)
{
    const char *text = text_at(e, at);
    if (text != NULL)
        buf_adds(out, text);
}

static void
from_meta(struct buf *out, const struct event *e, size_t at)
{
    buf_adds(out, text_at(e->meta, at));
}

static void
from_facts(struct buf *out, const struct event *e, size_t at)
{
    buf_adds(out, text_at(e->facts, at));
}

static void
from_from(struct buf *out, const struct event *e, size_t at)
{
    if (e->facts->from.n > 0)
        buf_adds(out, text_at(&e->facts->from.v[0], at));
}

/* One word more in a list separated by spaces: one that holds a space would read as two. */
static void
add_word(struct buf *out, const char *word)
{
    struct buf clean = {0};
    utf8_line(&clean, span_str(word));
    if (clean.n > 0 && memchr(clean.p, ' ', clean.n) == NULL)
        buf_addf(out, "%s%s", out->n > 0 ? " " : "", clean.p);
    buf_free(&clean);
}

static void
from_addresses(struct buf *out, const struct event *e, size_t at)
{
    const struct addresses *list = (const void *)((const char *)e->facts + at);
    for (size_t i = 0; i < list->n; i++)
        add_word(out, list->v[i].addr);
}

static void
get_attempt(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    buf_addf(out, "%u", e->attempt);
}

static void
get_uid(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    buf_addf(out, "%" PRIu32, e->meta->uid);
}

static void
get_uidvalidity(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    buf_addf(out, "%" PRIu32, e->meta->uidvalidity);
}

static void
get_flags(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    for (size_t i = 0; i < e->meta->flags.n; i++)
        buf_addf(out, "%s%s", i > 0 ? " " : "", e->meta->flags.v[i]);
}

void
fields_url(struct buf *out, const struct meta *meta)
{
    buf_addf(out, "%s/", meta->url);
    percent_add(out, meta->mailbox, "/");
    buf_addf(out, ";UIDVALIDITY=%" PRIu32 "/;UID=%" PRIu32, meta->uidvalidity, meta->uid);
}

static void
get_url(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    fields_url(out, e->meta);
}

static void
add_time(struct buf *out, int64_t seconds)
{
    char text[RFC3339_MAX];
    rfc3339_utc(text, seconds);
    buf_adds(out, text);
}

static void
get_received(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    if (e->meta->received != 0)
        add_time(out, e->meta->received);
}

static void
get_received_epoch(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    if (e->meta->received != 0)
        buf_addf(out, "%" PRId64, e->meta->received);
}

static void
get_size(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    buf_addf(out, "%" PRIu64, e->meta->size);
}

static void
get_date(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    if (e->facts->has_date)
        add_time(out, e->facts->date);
}

static void
get_attachment_count(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    if (e->facts->whole)
        buf_addf(out, "%zu", e->facts->n_attachments);
}

/* The names their files have, or would have. */
static void
get_attachments(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    struct strv names = {0};
    for (size_t i = 0; i < e->facts->n_attachments; i++) {
        struct buf name = {0};
        safename(&name, e->facts->attachments[i].name, &names);
        buf_addf(out, "%s%s", i > 0 ? "\n" : "", name.p);
        strv_take(&names, buf_take(&name));
    }
    strv_free(&names);
}

static bool
is_pass(const struct auth_dkim *d)
{
    return strcmp(d->result, "pass") == 0;
}

static void
get_dkim(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    const struct auth *auth = &e->facts->auth;
    const char *result = auth->n_dkim > 0 ? auth->dkim[0].result : "";
    for (size_t i = 0; i < auth->n_dkim; i++)
        if (is_pass(&auth->dkim[i]))
            result = "pass";
    buf_adds(out, result);
}

static void
get_dkim_domain(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    const struct auth *auth = &e->facts->auth;
    struct strv told = {0};
    for (size_t i = 0; i < auth->n_dkim; i++) {
        const char *domain = auth->dkim[i].domain;
        if (!is_pass(&auth->dkim[i]) || strv_has(&told, domain))
            continue;
        strv_add(&told, domain);
        add_word(out, domain);
    }
    strv_free(&told);
}

static void
get_match(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    buf_adds(out, e->hit->match);
}

static bool
is_blank(uint32_t cp)
{
    return cp <= ' ' || (cp >= 0x7F && cp <= 0xA0) || cp == 0x2028 || cp == 0x2029;
}

/* A blank, however long, counts as one character. */
static void
get_preview(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    struct span rest = span_str(e->facts->whole ? e->facts->text : "");
    bool gap = false;
    for (unsigned n = 0; n < ROW_PREVIEW && rest.n > 0;) {
        uint32_t cp = utf8_take(&rest);
        if (is_blank(cp)) {
            gap = n > 0;
            continue;
        }
        if (gap)
            buf_addc(out, ' ');
        n += gap ? 2 : 1;
        gap = false;
        if (n <= ROW_PREVIEW)
            utf8_add(out, cp);
    }
}

static void
get_count(struct buf *out, const struct event *e, size_t at)
{
    (void)e;
    (void)at;
    buf_adds(out, "1");
}

static void
get_nothing(struct buf *out, const struct event *e, size_t at)
{
    (void)out;
    (void)e;
    (void)at;
}
