/* SPDX-License-Identifier: ISC */
/* From a header block to facts: the block is taken apart into capped fields (mail/block), a field
 * into words or mailboxes (mail/words, mail/addrlist), and only then are bytes decoded, so that
 * nothing decoded is ever parsed. Of two fields with one name the first counts, in headers[] are
 * all. Refuses to know the body. */
#include "mail/head.h"

#include "base/mem.h"
#include "mail/addrlist.h"
#include "mail/authres.h"
#include "mail/block.h"
#include "mail/charset.h"
#include "mail/message.h"

#include <stdlib.h>

/* Where an answer to "which recipient?" was found; the first has the last word. */
enum envelope { DELIVERED_TO, ORIGINAL_TO, ENVELOPE_TO, ENVELOPES, NO_ENVELOPE = ENVELOPES };

/* One reading of one mail. */
struct reading {
    struct facts *facts;
    const struct strv *trusted;
    bool auth_begun;
    bool auth_over;              /* no further Authentication-Results count */
    unsigned seen;               /* rows of readers[] that had their field */
    char *recipients[ENVELOPES]; /* topmost of each kind, or NULL */
};

static char *
decoded_line(struct facts *f, struct span raw)
{
    struct buf b = {0};
    message_decode_words(&b, raw);
    char *line = facts_line(f, buf_span(&b));
    buf_free(&b);
    return line;
}

/* As written: an address or an id is never decoded, only made valid. */
static char *
literal_line(struct facts *f, struct span raw)
{
    struct buf b = {0};
    charset_guess(&b, raw);
    char *line = facts_line(f, buf_span(&b));
    buf_free(&b);
    return line;
}

static void
add_address(struct facts *f, struct addresses *to, struct span name, struct span addr)
{
    if ((to->n & (to->n - 1)) == 0)
        to->v = xreallocarray(to->v, to->n == 0 ? 1 : 2 * to->n, sizeof *to->v);
    to->v[to->n++] = (struct address){decoded_line(f, name), literal_line(f, addr)};
}

static void
read_addresses(struct facts *f, struct addresses *to, struct span raw)
{
    struct addrlist l = {.rest = raw};
    struct buf name = {0};
    struct buf addr = {0};
    while (addrlist_next(&l, &name, &addr)) {
        if (to->n == FACTS_ADDRESSES_MAX) {
            f->truncated = true;
            break;
        }
        add_address(f, to, buf_span(&name), buf_span(&addr));
    }
    buf_free(&name);
    buf_free(&addr);
}

/* The first address of the field, "" if there is none. */
static char *
first_address(struct facts *f, struct span raw)
{
    struct addrlist l = {.rest = raw};
    struct buf name = {0};
    struct buf addr = {0};
    addrlist_next(&l, &name, &addr);
    char *line = literal_line(f, buf_span(&addr));
    buf_free(&name);
    buf_free(&addr);
    return line;
}

static void
set(char **field, char *value)
{
    free(*field);
    *field = value;
}

/* What stands in the first <>; false if there are none. */
static bool
inside_angle(struct span raw, struct span *inside)
{
    const char *open = raw.n > 0 ? memchr(raw.p, '<', raw.n) : NULL;
    if (open == NULL)
        return false;
    struct span rest = {open + 1, raw.n - (size_t)(open + 1 - raw.p)};
    const char *close = rest.n > 0 ? memchr(rest.p, '>', rest.n) : NULL;
    if (close != NULL)
        rest.n = (size_t)(close - rest.p);
    *inside = rest;
    return true;
}

static bool
is_one_word(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == ' ' || s.p[i] == '\t')
            return false;
    return true;
}

/* The first id: in <>; without them only a field that is nothing else, for old mailers wrote
 * "In-Reply-To: your message of Tuesday". */
static char *
first_id(struct facts *f, struct span raw)
{
    struct span id;
    raw = span_trim(raw);
    if (!inside_angle(raw, &id))
        id = is_one_word(raw) ? raw : (struct span){"", 0};
    return literal_line(f, id);
}

/* One row of the table of fields that become facts. */
struct reader {
    const char *name;
    void (*read)(struct reading *r, const struct reader *row, struct span raw);
    size_t member; /* of struct facts: what is filled */
    enum envelope envelope;
};

static void *
member_of(struct reading *r, const struct reader *row)
{
    return (char *)r->facts + row->member;
}

static void
read_text(struct reading *r, const struct reader *row, struct span raw)
{
    set(member_of(r, row), decoded_line(r->facts, raw));
}

static void
read_list(struct reading *r, const struct reader *row, struct span raw)
{
    read_addresses(r->facts, member_of(r, row), raw);
}

static void
read_one_address(struct reading *r, const struct reader *row, struct span raw)
{
    set(member_of(r, row), first_address(r->facts, raw));
}

static void
read_id(struct reading *r, const struct reader *row, struct span raw)
{
    set(member_of(r, row), first_id(r->facts, raw));
}

/* Behind a name, which may hold <> in quotes: the last ones. */
static struct span
behind_name(struct span raw)
{
    size_t from = raw.n;
    while (from > 0 && raw.p[from - 1] != '<')
        from--;
    return from > 0 ? (struct span){raw.p + from - 1, raw.n - from + 1} : raw;
}

static void
read_list_id(struct reading *r, const struct reader *row, struct span raw)
{
    struct span id;
    bool angle = inside_angle(behind_name(raw), &id);
    set(member_of(r, row), angle ? literal_line(r->facts, id) : decoded_line(r->facts, raw));
}

static void
read_envelope(struct reading *r, const struct reader *row, struct span raw)
{
    if (r->recipients[row->envelope] == NULL)
        r->recipients[row->envelope] = first_address(r->facts, raw);
    read_addresses(r->facts, member_of(r, row), raw);
}

static void
read_date(struct reading *r, const struct reader *row, struct span raw)
{
    (void)row;
    r->facts->has_date = message_date(raw, &r->facts->date);
}

/* An id was folded where it should not be. */
static void
add_id(struct facts *f, struct span id)
{
    struct buf b = {0};
    if (f->references.n == FACTS_REFERENCES_MAX) {
        f->truncated = true;
        return;
    }
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] != ' ' && id.p[i] != '\t')
            buf_addc(&b, id.p[i]);
    char *line = literal_line(f, buf_span(&b));
    buf_free(&b);
    if (line[0] != '\0')
        strv_take(&f->references, line);
    else
        free(line);
}

/* What stands between <>; ids without them are words. */
static void
read_references(struct reading *r, const struct reader *row, struct span raw)
{
    (void)row;
    struct span id;
    bool angles = memchr(raw.p, '<', raw.n) != NULL;
    while (angles && inside_angle(raw, &id)) {
        add_id(r->facts, id);
        raw = (struct span){id.p + id.n, (size_t)(raw.p + raw.n - (id.p + id.n))};
    }
    raw = span_trim(raw);
    while (!angles && raw.n > 0) {
        size_t n = 0;
        while (n < raw.n && raw.p[n] != ' ' && raw.p[n] != '\t')
            n++;
        add_id(r->facts, (struct span){raw.p, n});
        raw = span_trim((struct span){raw.p + n, raw.n - n});
    }
}

/* Only the fields that a trusted server put on top count: below another server's, or below the
 * trace of the hop before, anybody may have written them. */
static void
read_authres(struct reading *r, struct span name, struct span raw)
{
    if (span_ieq(name, SPAN("Received"))) {
        r->auth_over |= r->auth_begun;
    } else if (span_ieq(name, SPAN("Authentication-Results")) && !r->auth_over) {
        r->auth_over = !authres_add(&r->facts->auth, raw, r->trusted);
        r->auth_begun = true;
    }
}

#define FILLS(field) offsetof(struct facts, field)

static const struct reader readers[] = {
    {"Subject", read_text, FILLS(subject), NO_ENVELOPE},
    {"From", read_list, FILLS(from), NO_ENVELOPE},
    {"To", read_list, FILLS(to), NO_ENVELOPE},
    {"Cc", read_list, FILLS(cc), NO_ENVELOPE},
    {"Reply-To", read_list, FILLS(reply_to), NO_ENVELOPE},
    {"Return-Path", read_one_address, FILLS(sender), NO_ENVELOPE},
    {"Delivered-To", read_envelope, FILLS(envelope_to), DELIVERED_TO},
    {"X-Original-To", read_envelope, FILLS(envelope_to), ORIGINAL_TO},
    {"Envelope-To", read_envelope, FILLS(envelope_to), ENVELOPE_TO},
    {"Message-ID", read_id, FILLS(message_id), NO_ENVELOPE},
    {"In-Reply-To", read_id, FILLS(in_reply_to), NO_ENVELOPE},
    {"List-Id", read_list_id, FILLS(list_id), NO_ENVELOPE},
    {"Date", read_date, FILLS(date), NO_ENVELOPE},
    {"References", read_references, FILLS(references), NO_ENVELOPE},
};

#undef FILLS

static void
read_field(struct reading *r, struct span name, struct span raw)
{
    for (unsigned i = 0; i < sizeof readers / sizeof *readers; i++) {
        const struct reader *row = &readers[i];
        if (!span_ieq(name, span_str(row->name)))
            continue;
        bool every = row->envelope != NO_ENVELOPE;
        if (every || (r->seen & 1u << i) == 0)
            row->read(r, row, raw);
        r->seen |= 1u << i;
        return;
    }
}

static void
keep_header(struct facts *f, struct span name, struct span raw)
{
    if ((f->n_headers & (f->n_headers - 1)) == 0)
        f->headers =
            xreallocarray(f->headers, f->n_headers == 0 ? 1 : 2 * f->n_headers, sizeof *f->headers);
    f->headers[f->n_headers++] = (struct header){literal_line(f, name), decoded_line(f, raw)};
}

static void
settle_recipient(struct reading *r)
{
    struct facts *f = r->facts;
    for (int kind = ENVELOPES - 1; kind >= 0; kind--) {
        if (r->recipients[kind] != NULL && r->recipients[kind][0] != '\0')
            set(&f->recipient, xstrdup(r->recipients[kind]));
        free(r->recipients[kind]);
    }
    const char *at = strrchr(f->recipient, '@');
    const char *plus = strchr(f->recipient, '+');
    const char *end = at != NULL ? at : f->recipient + strlen(f->recipient);
    if (plus != NULL && plus < end)
        set(&f->extension, facts_line(f, (struct span){plus + 1, (size_t)(end - plus - 1)}));
}

void
head_read(struct facts *f, struct span bytes, const struct strv *trusted)
{
    struct reading r = {.facts = f, .trusted = trusted};
    struct block block;
    struct field field;
    struct buf raw = {0};
    block_init(&block, bytes);
    while (block_next(&block, &field)) {
        buf_clear(&raw);
        field_unfold(&raw, field.value);
        struct span value = {buf_str(&raw), raw.n}; /* a pointer even if empty */
        keep_header(f, field.name, value);
        read_field(&r, field.name, value);
        read_authres(&r, field.name, value);
    }
    buf_free(&raw);
    settle_recipient(&r);
    f->truncated |= block.truncated;
}
