/* SPDX-License-Identifier: ISC */
/* The table of everything a hook is told, and the scrub that every value passes.
 *
 * Invariants of a struct fields: the first N_ROWS fields are the table's, in its order; behind them
 * come the MATCH_ names of the rule; no name occurs twice; values are one line of valid UTF-8
 * within both limits. A name is made of the table or of the configuration, never of a mail.
 * Knows nothing about processes: an environment is only a vector of strings here. */
#include "hook/fields.h"

#include "base/mem.h"
#include "base/percent.h"
#include "base/rfc3339.h"
#include "base/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#define PREFIX "MAILCALL_"

/* Appends the raw value; `at` is the place of a member inside the struct that the getter reads. */
typedef void getter(struct buf *out, const struct event *e, size_t at);
static getter from_event, from_meta, from_facts, from_from, from_addresses, get_attempt, get_uid,
    get_uidvalidity, get_flags, get_url, get_received, get_received_epoch, get_size, get_date,
    get_match, get_count, get_nothing;

#define EVENT(member)     from_event, offsetof(struct event, member)
#define META(member)      from_meta, offsetof(struct meta, member)
#define FACTS(member)     from_facts, offsetof(struct facts, member)
#define FIRST(member)     from_from, offsetof(struct address, member)
#define ADDRESSES(member) from_addresses, offsetof(struct facts, member)

/* Who chose the value's length: STRANGER's are cut when all together are too long. NUMBERS are ours
 * too, and cut between words: half a number is another number. */
enum writer { OURS, NUMBERS, STRANGER };

static const struct row {
    const char *name;
    getter *get;
    size_t at;
    enum writer writer;
    const char *doc;
} rows[] = {
    {"version", EVENT(version), OURS, "version of mailcall"},
    {"event", EVENT(kind), OURS, "new, batch, retry or test"},
    {"event_id", EVENT(id), OURS, "26 characters a-z2-7, the same on every retry"},
    {"attempt", get_attempt, 0, OURS, "which try this is, from 1"},
    {"rule", EVENT(rule), OURS, "name of the rule that matched"},
    {"account", META(account), OURS, "name of the account"},
    {"mailbox", META(mailbox), STRANGER, "name of the mailbox, / between levels"},
    {"mailbox_role", META(role), OURS, "inbox archive drafts junk sent trash all, or empty"},
    {"uid", get_uid, 0, OURS, "UID of the message"},
    {"uidvalidity", get_uidvalidity, 0, OURS, "UIDVALIDITY of the mailbox"},
    {"flags", get_flags, 0, STRANGER, "flags and keywords, separated by spaces"},
    {"url", get_url, 0, STRANGER, "the message as an RFC 5092 URL"},
    {"received", get_received, 0, OURS, "when the server received it, RFC 3339, UTC"},
    {"received_epoch", get_received_epoch, 0, OURS, "the same in seconds since 1970"},
    {"size", get_size, 0, OURS, "bytes, as the server counts them"},
    {"subject", FACTS(subject), STRANGER, "Subject, decoded"},
    {"from", FIRST(addr), STRANGER, "address of the first sender in From"},
    {"from_name", FIRST(name), STRANGER, "display name of the first sender in From"},
    {"to", ADDRESSES(to), STRANGER, "addresses in To, separated by spaces"},
    {"cc", ADDRESSES(cc), STRANGER, "addresses in Cc, separated by spaces"},
    {"reply_to", ADDRESSES(reply_to), STRANGER, "addresses in Reply-To, separated by spaces"},
    {"sender", FACTS(sender), STRANGER, "envelope sender (Return-Path); empty for bounces"},
    {"recipient", FACTS(recipient), STRANGER, "envelope recipient (Delivered-To and its kin)"},
    {"extension", FACTS(extension), STRANGER, "what follows + in the recipient's local part"},
    {"message_id", FACTS(message_id), STRANGER, "Message-ID without <>"},
    {"in_reply_to", FACTS(in_reply_to), STRANGER, "first id of In-Reply-To without <>"},
    {"date", get_date, 0, OURS, "Date, RFC 3339, UTC; empty if unreadable"},
    {"list_id", FACTS(list_id), STRANGER, "List-Id, the part inside <>"},
    {"attachment_count", get_nothing, 0, OURS, "number of attachments, once bodies are parsed"},
    {"attachments", get_nothing, 0, STRANGER, "their names, one a line, once bodies are parsed"},
    {"auth_dkim", get_nothing, 0, OURS, "DKIM result, once auth results can be trusted"},
    {"auth_dkim_domain", get_nothing, 0, STRANGER, "passing DKIM domains, as auth_dkim"},
    {"auth_spf", get_nothing, 0, OURS, "SPF result, as auth_dkim"},
    {"auth_dmarc", get_nothing, 0, OURS, "DMARC result, as auth_dkim"},
    {"match", get_match, 0, STRANGER, "text matched by the last regex that was true"},
    {"preview", get_nothing, 0, STRANGER, "first 256 characters of text, once bodies are parsed"},
    {"file", EVENT(file), OURS, "path of the raw message; empty if only headers were read"},
    {"json_file", get_nothing, 0, OURS, "path of the JSON event, once there is one"},
    {"attachments_dir", get_nothing, 0, OURS, "folder of decoded attachments, once there is one"},
    {"count", get_count, 0, OURS, "how many messages this run is for"},
    {"uids", get_uid, 0, NUMBERS, "their UIDs, separated by spaces"},
    {"hook_result", get_nothing, 0, OURS, "in on_success and on_failure: how the hook ended"},
    {"hook_status", get_nothing, 0, OURS, "in on_success and on_failure: its exit status"},
    {"truncated", get_nothing, 0, OURS, "names of the values that were cut"},
};

enum { N_ROWS = sizeof rows / sizeof *rows };

/* --- getters --- */

static const char *
text_at(const void *owner, size_t at)
{
    return *(char *const *)(const void *)((const char *)owner + at);
}

static void
from_event(struct buf *out, const struct event *e, size_t at)
{
    buf_adds(out, text_at(e, at));
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

/* One address more in a list separated by spaces: one that holds a space would read as two. */
static void
add_address(struct buf *out, const char *addr)
{
    struct buf clean = {0};
    utf8_line(&clean, span_str(addr));
    if (clean.n > 0 && memchr(clean.p, ' ', clean.n) == NULL)
        buf_addf(out, "%s%s", out->n > 0 ? " " : "", clean.p);
    buf_free(&clean);
}

static void
from_addresses(struct buf *out, const struct event *e, size_t at)
{
    const struct addresses *list = (const void *)((const char *)e->facts + at);
    for (size_t i = 0; i < list->n; i++)
        add_address(out, list->v[i].addr);
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
get_match(struct buf *out, const struct event *e, size_t at)
{
    (void)at;
    buf_adds(out, e->hit->match);
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

/* --- names --- */

/* Appends s as part of a variable's name: upper case, everything odd an underscore. */
static void
add_upper(struct buf *out, struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool lower = c >= 'a' && c <= 'z';
        bool plain = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        buf_addc(out, lower ? (char)(c - 'a' + 'A') : plain ? c : '_');
    }
}

static char *
fixed_name(const char *lower)
{
    struct buf b = {0};
    add_upper(&b, span_str(lower));
    return buf_take(&b);
}

static char *
match_name(const char *capture)
{
    struct buf b = {0};
    struct span s = span_str(capture);
    s.n = s.n < FIELD_MATCH_NAME_MAX ? s.n : FIELD_MATCH_NAME_MAX;
    buf_adds(&b, "MATCH_");
    add_upper(&b, s);
    return buf_take(&b);
}

const char *
fields_name(size_t i)
{
    return i < N_ROWS ? rows[i].name : NULL;
}

const char *
fields_doc(size_t i)
{
    return i < N_ROWS ? rows[i].doc : NULL;
}

/* --- values --- */

/* Shortens a scrubbed value, between characters and without a space at the new end. */
static void
shorten(char *value, size_t max)
{
    struct span s = utf8_cut(span_str(value), max);
    while (s.n > 0 && s.p[s.n - 1] == ' ')
        s.n--;
    value[s.n] = '\0';
}

/* As shorten(), for a value longer than max; the word that does not fit goes whole. */
static void
shorten_numbers(char *value, size_t max)
{
    size_t n = max;
    while (n > 0 && value[n] != ' ')
        n--;
    value[n] = '\0';
}

static char *
scrub(struct span raw, enum writer writer, bool *cut)
{
    struct buf b = {0};
    utf8_line(&b, raw);
    if (b.n >= 4 && memcmp(b.p, "() {", 4) == 0) {
        char *bare = buf_take(&b);
        buf_addf(&b, " %s", bare);
        free(bare);
    }
    *cut = b.n > FIELD_VALUE_MAX;
    char *value = buf_take(&b);
    if (*cut && writer == NUMBERS)
        shorten_numbers(value, FIELD_VALUE_MAX);
    else if (*cut)
        shorten(value, FIELD_VALUE_MAX);
    return value;
}

/* --- what is cut, and the account of it --- */

static struct field *
find(const struct fields *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->v[i].name, name) == 0)
            return &f->v[i];
    return NULL;
}

static bool
has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    while (*list != '\0') {
        size_t length = strcspn(list, " ");
        if (length == n && memcmp(list, word, n) == 0)
            return true;
        list += length + (list[length] == ' ');
    }
    return false;
}

static void
note_cut(struct fields *f, const char *name)
{
    struct field *t = find(f, "TRUNCATED");
    if (has_word(t->value, name))
        return;
    char *longer = xasprintf("%s%s%s", t->value, *t->value != '\0' ? " " : "", name);
    free(t->value);
    t->value = longer;
}

/* Of the i-th field; behind the table come what patterns caught. */
static enum writer
writer_of(size_t i)
{
    return i < N_ROWS ? rows[i].writer : STRANGER;
}

/* The bytes of all strings but TRUNCATED's value, if strangers' values had at most `level` each. */
static size_t
total(const struct fields *f, size_t level)
{
    size_t sum = 0;
    for (size_t i = 0; i < f->n; i++) {
        size_t n = strlen(f->v[i].value);
        if (strcmp(f->v[i].name, "TRUNCATED") == 0)
            n = 0;
        if (writer_of(i) == STRANGER && n > level)
            n = level;
        sum += strlen(PREFIX) + strlen(f->v[i].name) + n + 2;
    }
    return sum;
}

/* FIELD_VALUE_MAX of the total is kept free for TRUNCATED, so that writing the account of the cuts
 * never makes new cuts needed. */
static bool
fits(const struct fields *f, size_t level)
{
    return total(f, level) <= FIELD_TOTAL_MAX - FIELD_VALUE_MAX;
}

/* Keeps FIELD_TOTAL_MAX. */
static void
fit(struct fields *f)
{
    if (fits(f, FIELD_VALUE_MAX))
        return;
    size_t low = 0; /* fits: what strangers do not write is far smaller */
    size_t high = FIELD_VALUE_MAX;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (fits(f, middle))
            low = middle;
        else
            high = middle;
    }
    for (size_t i = 0; i < f->n; i++) {
        if (writer_of(i) != STRANGER || strlen(f->v[i].value) <= low)
            continue;
        shorten(f->v[i].value, low);
        note_cut(f, f->v[i].name);
    }
}

/* --- making --- */

static void
add_row(struct fields *f, const struct row *row, const struct event *event, bool *cut)
{
    struct buf raw = {0};
    row->get(&raw, event, row->at);
    char *value = scrub(buf_span(&raw), row->writer, cut);
    f->v[f->n++] = (struct field){fixed_name(row->name), value};
    buf_free(&raw);
}

static void
add_match(struct fields *f, const struct capture *c)
{
    char *name = match_name(c->name);
    if (find(f, name) != NULL) {
        free(name);
        return;
    }
    bool cut;
    f->v[f->n++] = (struct field){name, scrub(span_str(c->value), STRANGER, &cut)};
    if (cut)
        note_cut(f, name);
}

void
fields_make(struct fields *f, const struct event *event)
{
    size_t n_match = event->hit->n_captures;
    if (n_match > FIELD_MATCH_MAX)
        n_match = FIELD_MATCH_MAX;
    *f = (struct fields){xcalloc(N_ROWS + n_match, sizeof *f->v), 0};
    bool cut[N_ROWS];
    for (size_t i = 0; i < N_ROWS; i++)
        add_row(f, &rows[i], event, &cut[i]);
    if (event->facts->truncated)
        note_cut(f, "HEADERS");
    for (size_t i = 0; i < N_ROWS; i++)
        if (cut[i])
            note_cut(f, f->v[i].name);
    for (size_t i = 0; i < n_match; i++)
        add_match(f, &event->hit->captures[i]);
    fit(f);
}

void
fields_free(struct fields *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->v[i].name);
        free(f->v[i].value);
    }
    free(f->v);
    *f = (struct fields){0};
}

const char *
fields_get(const struct fields *f, const char *name)
{
    const struct field *field = find(f, name);
    return field != NULL ? field->value : NULL;
}

void
fields_set(struct fields *f, const char *name, const char *value)
{
    struct field *field = find(f, name);
    assert(field != NULL);
    bool cut;
    char *clean = scrub(span_str(value), writer_of((size_t)(field - f->v)), &cut);
    free(field->value);
    field->value = clean;
    if (cut)
        note_cut(f, name);
    fit(f);
}

void
fields_copy(struct fields *to, const struct fields *from)
{
    *to = (struct fields){xcalloc(from->n, sizeof *to->v), 0};
    for (size_t i = 0; i < from->n; i++)
        to->v[to->n++] = (struct field){xstrdup(from->v[i].name), xstrdup(from->v[i].value)};
}

/* --- as bytes --- */

void
fields_pack(struct buf *out, const struct fields *f)
{
    pack_number(out, f->n);
    for (size_t i = 0; i < f->n; i++) {
        pack_str(out, f->v[i].name);
        pack_str(out, f->v[i].value);
    }
}

static bool
is_name(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= strlen("MATCH_") + FIELD_MATCH_NAME_MAX &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == n;
}

/* Names of the table have their place already, without a value yet; others go behind. */
static struct field *
place_of(struct fields *f, const char *name)
{
    struct field *field = find(f, name);
    if (field != NULL || !is_name(name))
        return field;
    field = &f->v[f->n++];
    field->name = xstrdup(name);
    return field;
}

static void
unpack_field(struct unpack *u, struct fields *f)
{
    char *name = unpack_str(u);
    char *value = unpack_str(u);
    struct field *field = name != NULL && value != NULL ? place_of(f, name) : NULL;
    bool cut;
    if (field != NULL && field->value == NULL)
        field->value = scrub(span_str(value), writer_of((size_t)(field - f->v)), &cut);
    else
        u->broken = true;
    free(name);
    free(value);
}

void
fields_unpack(struct unpack *u, struct fields *f)
{
    size_t n = (size_t)unpack_upto(u, N_ROWS + FIELD_MATCH_MAX);
    *f = (struct fields){xcalloc(N_ROWS + n, sizeof *f->v), 0};
    for (size_t i = 0; i < N_ROWS; i++)
        f->v[f->n++].name = fixed_name(rows[i].name);
    for (; n > 0 && !u->broken; n--)
        unpack_field(u, f);
    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].value == NULL)
            f->v[i].value = xstrdup("");
    fit(f);
    if (!fits(f, FIELD_VALUE_MAX))
        u->broken = true;
}

void
fields_environ(const struct fields *f, struct strv *env)
{
    for (size_t i = 0; i < f->n; i++)
        strv_addf(env, PREFIX "%s=%s", f->v[i].name, f->v[i].value);
}

/* --- placeholders --- */

/* A part of a template: the identifier of a placeholder, or text that stands for itself. */
struct piece {
    bool placeholder;
    struct span text;
};

static size_t
identifier_length(const char *s)
{
    if (*s < 'a' || *s > 'z')
        return 0;
    return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");
}

/* Takes the next piece off *s; false at the end. */
static bool
take_piece(const char **s, struct piece *piece)
{
    const char *p = *s;
    if (*p == '\0')
        return false;
    size_t n = *p == '{' ? identifier_length(p + 1) : 0;
    if (n > 0 && p[n + 1] == '}') {
        *piece = (struct piece){true, {p + 1, n}};
        *s = p + n + 2;
    } else if (*p == '{') {
        *piece = (struct piece){false, {p, 1}};
        *s = p + (p[1] == '{' ? 2 : 1);
    } else {
        *piece = (struct piece){false, {p, strcspn(p, "{")}};
        *s = p + piece->text.n;
    }
    return true;
}

static bool
is_fixed(struct span identifier)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (span_eq(identifier, span_str(rows[i].name)))
            return true;
    return false;
}

static bool
is_match(struct span identifier, const struct strv *captures)
{
    for (size_t i = 0; i < captures->n && i < FIELD_MATCH_MAX; i++) {
        char *name = match_name(captures->v[i]);
        bool same = span_ieq(identifier, span_str(name));
        free(name);
        if (same)
            return true;
    }
    return false;
}

int
fields_check(const char *template, const struct strv *captures, size_t *offset, size_t *length)
{
    const char *rest = template;
    struct piece piece;
    while (take_piece(&rest, &piece)) {
        if (!piece.placeholder || is_fixed(piece.text) || is_match(piece.text, captures))
            continue;
        *offset = (size_t)(piece.text.p - template);
        *length = piece.text.n;
        return -1;
    }
    return 0;
}

static void
fill_one(struct buf *out, struct span identifier, const struct fields *f)
{
    struct buf name = {0};
    add_upper(&name, identifier);
    const char *value = fields_get(f, name.p);
    if (value != NULL)
        buf_adds(out, value);
    else
        buf_addf(out, "{%.*s}", (int)identifier.n, identifier.p);
    buf_free(&name);
}

void
fields_fill(struct buf *out, const char *template, const struct fields *f)
{
    struct piece piece;
    while (take_piece(&template, &piece)) {
        if (piece.placeholder)
            fill_one(out, piece.text, f);
        else
            buf_addspan(out, piece.text);
    }
}
