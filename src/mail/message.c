/* SPDX-License-Identifier: ISC */
/* From a header block to facts: the block is taken apart into capped fields (mail/block), a field
 * into words or mailboxes (mail/words, mail/addrlist), and only then are bytes decoded, so that
 * nothing decoded is ever parsed. Of two fields with one name the first counts, in headers[] are
 * all.
 *
 * GMime converts charsets and reads dates here. Its own decoder and address parser are not used:
 * the one drops every second word of base64 that is padded word by word, the other recurses once
 * per group on the sender's say and gives nothing for `Name [x] <a@b>`. */
#include "mail/message.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "mail/addrlist.h"
#include "mail/block.h"
#include "mail/charset.h"
#include "mail/date.h"
#include "mail/words.h"

#include <assert.h>
#include <errno.h>
#include <gmime/gmime.h>
#include <stdlib.h>

/* Where an answer to "which recipient?" was found; the first has the last word. */
enum envelope { DELIVERED_TO, ORIGINAL_TO, ENVELOPE_TO, ENVELOPES, NO_ENVELOPE = ENVELOPES };

/* One reading of one mail. */
struct reading {
    struct facts *facts;
    unsigned seen;               /* rows of readers[] that had their field */
    char *recipients[ENVELOPES]; /* topmost of each kind, or NULL */
};

static void
gmime_once(void)
{
    static bool done;
    if (!done)
        g_mime_init();
    done = true;
}

/* The converter for a name of charset_of(), in its initial state. They are few, so each stays open:
 * opening costs more than a word takes, and GMime's own cache forgets too soon for a mail that
 * changes its charset with every word. */
static iconv_t
converter(const char *name)
{
    static struct {
        const char *name;
        iconv_t cd;
    } known[64];
    static size_t n;
    size_t i = 0;
    while (i < n && strcmp(known[i].name, name) != 0)
        i++;
    if (i == n) {
        assert(n < sizeof known / sizeof *known);
        known[n].name = name;
        known[n++].cd = g_mime_iconv_open("UTF-8", name);
    }
    if (known[i].cd != (iconv_t)-1)
        iconv(known[i].cd, NULL, NULL, NULL, NULL);
    return known[i].cd;
}

/* Appends bytes through iconv; what is invalid becomes U+FFFD, byte by byte. */
static void
convert_with(iconv_t cd, struct buf *out, struct span bytes)
{
    char *in = (char *)(uintptr_t)bytes.p; /* iconv() does not write there */
    size_t left = bytes.n;
    bool flushed = false;
    while (!flushed) {
        char chunk[512];
        char *to = chunk;
        size_t room = sizeof chunk;
        flushed = left == 0;
        size_t rc = iconv(cd, flushed ? NULL : &in, &left, &to, &room);
        bool invalid = rc == (size_t)-1 && errno != E2BIG;
        utf8_repair(out, (struct span){chunk, sizeof chunk - room});
        if (invalid && left > 0) {
            utf8_add(out, 0xFFFD);
            in++;
            left--;
        }
    }
}

static void
add_charset(struct buf *out, struct span label, struct span bytes)
{
    const char *name = charset_of(label);
    if (name == NULL) {
        charset_guess(out, bytes);
    } else if (strcmp(name, "UTF-8") == 0) {
        utf8_repair(out, bytes);
    } else if (strcmp(name, "WINDOWS-1252") == 0) {
        charset_western(out, bytes);
    } else if (converter(name) == (iconv_t)-1) {
        charset_guess(out, bytes);
    } else {
        convert_with(converter(name), out, bytes);
    }
}

/* Appends unstructured text decoded, RFC 2047. */
static void
add_decoded(struct buf *out, struct span raw)
{
    struct words w = {.rest = raw};
    struct word word = {0};
    while (words_next(&w, &word)) {
        if (word.encoded)
            add_charset(out, word.charset, buf_span(&word.bytes));
        else
            charset_guess(out, buf_span(&word.bytes));
    }
    buf_free(&word.bytes);
}

/* One line within the limit; s need not be valid. */
static char *
line_of(struct facts *f, struct span s)
{
    struct buf b = {0};
    utf8_line(&b, s);
    struct span fits = utf8_cut(buf_span(&b), FACTS_VALUE_MAX);
    f->truncated |= fits.n < b.n;
    while (fits.n > 0 && fits.p[fits.n - 1] == ' ')
        fits.n--;
    char *line = xstrndup(fits.n > 0 ? fits.p : "", fits.n);
    buf_free(&b);
    return line;
}

static char *
decoded_line(struct facts *f, struct span raw)
{
    struct buf b = {0};
    add_decoded(&b, raw);
    char *line = line_of(f, buf_span(&b));
    buf_free(&b);
    return line;
}

/* As written: an address or an id is never decoded, only made valid. */
static char *
literal_line(struct facts *f, struct span raw)
{
    struct buf b = {0};
    charset_guess(&b, raw);
    char *line = line_of(f, buf_span(&b));
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

static void
read_list_id(struct reading *r, const struct reader *row, struct span raw)
{
    struct span id;
    bool angle = inside_angle(raw, &id);
    set(member_of(r, row), angle ? literal_line(r->facts, id) : decoded_line(r->facts, raw));
}

static void
read_envelope(struct reading *r, const struct reader *row, struct span raw)
{
    if (r->recipients[row->envelope] == NULL)
        r->recipients[row->envelope] = first_address(r->facts, raw);
    read_addresses(r->facts, member_of(r, row), raw);
}

static int64_t
with_half(GDateTime *date, enum date_half half)
{
    int hour = g_date_time_get_hour(date);
    int64_t seconds = g_date_time_to_unix(date);
    if (half == DATE_PM && hour < 12)
        return seconds + 12 * 3600;
    if (half == DATE_AM && hour == 12)
        return seconds - 12 * 3600;
    return seconds;
}

static void
read_date(struct reading *r, const struct reader *row, struct span raw)
{
    (void)row;
    struct buf tidy = {0};
    enum date_half half = date_tidy(&tidy, raw);
    GDateTime *date = g_mime_utils_header_decode_date(buf_str(&tidy));
    if (date != NULL) {
        r->facts->date = with_half(date, half);
        r->facts->has_date = true;
        g_date_time_unref(date);
    }
    buf_free(&tidy);
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
        set(&f->extension, line_of(f, (struct span){plus + 1, (size_t)(end - plus - 1)}));
}

struct facts *
message_facts(struct span bytes)
{
    struct reading r = {.facts = facts_new()};
    struct block block;
    struct field field;
    struct buf raw = {0};
    gmime_once();
    block_init(&block, bytes);
    while (block_next(&block, &field)) {
        buf_clear(&raw);
        field_unfold(&raw, field.value);
        struct span value = {buf_str(&raw), raw.n}; /* a pointer even if empty */
        keep_header(r.facts, field.name, value);
        read_field(&r, field.name, value);
    }
    buf_free(&raw);
    settle_recipient(&r);
    r.facts->truncated |= block.truncated;
    return r.facts;
}
