/* SPDX-License-Identifier: ISC */
/* The scrub that every value passes on its way to a hook, and what becomes of the values.
 *
 * Invariants of a struct fields: the first ROW_COUNT fields are the table's, in its order; behind
 * them come the MATCH_ and HEADER_ names of the rule; no name occurs twice; values are valid UTF-8
 * within both limits, and one line but for those of ROW_LINES. A name is made of the table or of
 * the configuration, never of a mail. Knows nothing about processes: an environment is only a
 * vector of strings here. */
#include "hook/fields.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "hook/row.h"

#include <assert.h>
#include <stdlib.h>

#define PREFIX "MAILCALL_"

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

/* The two families whose names come from the configuration. */
static const struct family {
    const char *prefix;
    size_t most; /* names of one rule that are used */
} match = {"MATCH_", FIELD_MATCH_MAX}, header = {"HEADER_", FIELD_HEADER_MAX};

enum { FAMILIES_MAX = FIELD_MATCH_MAX + FIELD_HEADER_MAX };

static char *
family_name(const struct family *family, const char *word)
{
    struct buf b = {0};
    struct span s = span_str(word);
    s.n = s.n < FIELD_NAME_MAX ? s.n : FIELD_NAME_MAX;
    buf_adds(&b, family->prefix);
    add_upper(&b, s);
    return buf_take(&b);
}

const char *
fields_name(size_t i)
{
    return i < ROW_COUNT ? rows[i].name : NULL;
}

const char *
fields_doc(size_t i)
{
    return i < ROW_COUNT ? rows[i].doc : NULL;
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

/* The word, or line, that does not fit goes whole. */
static void
shorten_between(char *value, size_t max, char separator)
{
    size_t n = max;
    while (n > 0 && value[n] != separator)
        n--;
    value[n] = '\0';
}

/* A scrubbed value longer than max. */
static void
cut(char *value, size_t max, enum row_writer writer)
{
    if (writer == ROW_NUMBERS)
        shorten_between(value, max, ' ');
    else if (writer == ROW_LINES)
        shorten_between(value, max, '\n');
    else
        shorten(value, max);
}

/* Those that are empty are left out. */
static void
add_lines(struct buf *out, struct span raw)
{
    while (raw.n > 0) {
        const char *end = memchr(raw.p, '\n', raw.n);
        size_t n = end != NULL ? (size_t)(end - raw.p) : raw.n;
        size_t before = out->n;
        if (before > 0)
            buf_addc(out, '\n');
        size_t start = out->n;
        utf8_line(out, (struct span){raw.p, n});
        if (out->n == start)
            buf_cut(out, before);
        n += end != NULL;
        raw = (struct span){raw.p + n, raw.n - n};
    }
}

static char *
scrub(struct span raw, enum row_writer writer, bool *too_long)
{
    struct buf b = {0};
    if (writer == ROW_LINES)
        add_lines(&b, raw);
    else
        utf8_line(&b, raw);
    if (b.n >= 4 && memcmp(b.p, "() {", 4) == 0) {
        char *bare = buf_take(&b);
        buf_addf(&b, " %s", bare);
        free(bare);
    }
    *too_long = b.n > FIELD_VALUE_MAX;
    char *value = buf_take(&b);
    if (*too_long)
        cut(value, FIELD_VALUE_MAX, writer);
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

/* As far as the names have room in one value. */
static void
note_cut(struct fields *f, const char *name)
{
    struct field *t = find(f, "TRUNCATED");
    if (has_word(t->value, name) || strlen(t->value) + strlen(name) >= FIELD_VALUE_MAX)
        return;
    char *longer = xasprintf("%s%s%s", t->value, *t->value != '\0' ? " " : "", name);
    free(t->value);
    t->value = longer;
}

/* Of the i-th field; behind the table come what patterns caught and headers. */
static enum row_writer
writer_of(size_t i)
{
    return i < ROW_COUNT ? rows[i].writer : ROW_STRANGER;
}

static bool
is_strangers(size_t i)
{
    return writer_of(i) == ROW_STRANGER || writer_of(i) == ROW_LINES;
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
        if (is_strangers(i) && n > level)
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
        if (!is_strangers(i) || strlen(f->v[i].value) <= low)
            continue;
        cut(f->v[i].value, low, writer_of(i));
        note_cut(f, f->v[i].name);
    }
}

/* --- making --- */

static void
add_row(struct fields *f, const struct row *row, const struct event *event, bool *too_long)
{
    struct buf raw = {0};
    row->get(&raw, event, row->at);
    char *value = scrub(buf_span(&raw), row->writer, too_long);
    f->v[f->n++] = (struct field){fixed_name(row->name), value};
    buf_free(&raw);
}

/* Of two words that make one name the first counts. */
static void
add_named(struct fields *f, const struct family *family, const char *word, struct span raw)
{
    char *name = family_name(family, word);
    if (find(f, name) != NULL) {
        free(name);
        return;
    }
    bool too_long;
    f->v[f->n++] = (struct field){name, scrub(raw, ROW_STRANGER, &too_long)};
    if (too_long)
        note_cut(f, name);
}

/* All its instances. */
static void
add_header(struct fields *f, const struct facts *facts, const char *name)
{
    struct buf all = {0};
    for (size_t i = 0; i < facts->n_headers; i++) {
        const struct header *h = &facts->headers[i];
        if (span_ieq(span_str(h->name), span_str(name)))
            buf_addf(&all, "%s%s", all.n > 0 ? ", " : "", h->value);
    }
    add_named(f, &header, name, buf_span(&all));
    buf_free(&all);
}

static size_t
at_most(size_t n, const struct family *family)
{
    return n < family->most ? n : family->most;
}

void
fields_make(struct fields *f, const struct event *event)
{
    const struct hit *hit = event->hit;
    size_t n_match = at_most(hit->n_captures, &match);
    size_t n_header = event->headers != NULL ? at_most(event->headers->n, &header) : 0;
    *f = (struct fields){xcalloc(ROW_COUNT + n_match + n_header, sizeof *f->v), 0};
    bool too_long[ROW_COUNT];
    for (size_t i = 0; i < ROW_COUNT; i++)
        add_row(f, &rows[i], event, &too_long[i]);
    if (event->facts->truncated)
        note_cut(f, "HEADERS");
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (too_long[i])
            note_cut(f, f->v[i].name);
    for (size_t i = 0; i < n_match; i++)
        add_named(f, &match, hit->captures[i].name, span_str(hit->captures[i].value));
    for (size_t i = 0; i < n_header; i++)
        add_header(f, event->facts, event->headers->v[i]);
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
    bool too_long;
    char *clean = scrub(span_str(value), writer_of((size_t)(field - f->v)), &too_long);
    free(field->value);
    field->value = clean;
    if (too_long)
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
    return n > 0 && n <= strlen(header.prefix) + FIELD_NAME_MAX &&
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
    bool too_long;
    if (field != NULL && field->value == NULL)
        field->value = scrub(span_str(value), writer_of((size_t)(field - f->v)), &too_long);
    else
        u->broken = true;
    free(name);
    free(value);
}

void
fields_unpack(struct unpack *u, struct fields *f)
{
    size_t n = (size_t)unpack_upto(u, ROW_COUNT + FAMILIES_MAX);
    *f = (struct fields){xcalloc(ROW_COUNT + n, sizeof *f->v), 0};
    for (size_t i = 0; i < ROW_COUNT; i++)
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
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (span_eq(identifier, span_str(rows[i].name)))
            return true;
    return false;
}

static bool
is_of(const struct family *family, const struct strv *words, struct span identifier)
{
    for (size_t i = 0; words != NULL && i < at_most(words->n, family); i++) {
        char *name = family_name(family, words->v[i]);
        bool same = span_ieq(identifier, span_str(name));
        free(name);
        if (same)
            return true;
    }
    return false;
}

int
fields_check(const char *template, const struct strv *captures, const struct strv *headers,
    size_t *offset, size_t *length)
{
    const char *left = template;
    struct piece piece;
    while (take_piece(&left, &piece)) {
        if (!piece.placeholder || is_fixed(piece.text) || is_of(&match, captures, piece.text) ||
            is_of(&header, headers, piece.text))
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
