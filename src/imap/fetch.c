/* SPDX-License-Identifier: ISC */
/* Reads the items of a FETCH response by their names, not by their places: servers put in items
 * nobody asked for, leave values out and close the list early. What is unreadable counts as not
 * told. RFC 3501 section 7.4.2. */
#include "imap/fetch.h"

#include "base/mem.h"
#include "base/rfc3339.h"

static void
read_uid(struct fetch *f, const struct value *v)
{
    uint64_t uid;
    if (f->uid == 0 && v->type == VALUE_ATOM && value_number(v->text, UINT32_MAX, &uid) == 0)
        f->uid = (uint32_t)uid;
}

static void
read_size(struct fetch *f, const struct value *v)
{
    f->solicited = true;
    if (v->type == VALUE_ATOM)
        value_number(v->text, UINT64_MAX, &f->size);
}

static bool
is_printable(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return s.n > 0;
}

static void
read_flags(struct fetch *f, const struct value *list)
{
    for (const struct value *v = list + 1; v < value_next(list); v = value_next(v)) {
        bool fits =
            v->type != VALUE_NIL && v->text.n <= FETCH_FLAG_LENGTH && f->flags.n < FETCH_FLAGS;
        if (fits && is_printable(v->text))
            strv_take(&f->flags, xstrndup(v->text.p, v->text.n));
    }
}

static void
read_date(struct fetch *f, const struct value *v)
{
    f->solicited = true;
    if (v->type == VALUE_STRING)
        f->internaldate = fetch_date(v->text);
}

static void
read_body(struct fetch *f, const struct value *v)
{
    f->solicited = true;
    if (f->body == FETCH_STREAMED || f->body == FETCH_STRING)
        return;
    f->body = v->type == VALUE_STREAMED ? FETCH_STREAMED
              : v->type == VALUE_STRING ? FETCH_STRING
                                        : FETCH_NIL;
    f->text = v->text;
}

static const struct item {
    struct span name;
    enum fetch_part part; /* then the name may go on: "<0>" */
    void (*read)(struct fetch *f, const struct value *v);
} items[] = {
    {SPAN("UID"), FETCH_NO_PART, read_uid},
    {SPAN("FLAGS"), FETCH_NO_PART, read_flags},
    {SPAN("INTERNALDATE"), FETCH_NO_PART, read_date},
    {SPAN("RFC822.SIZE"), FETCH_NO_PART, read_size},
    {SPAN("BODY[]"), FETCH_WHOLE, read_body},
    {SPAN("BODY[HEADER]"), FETCH_HEADER, read_body},
};

static const struct item *
find(const struct value *v)
{
    if (v->type != VALUE_ATOM)
        return NULL;
    for (size_t i = 0; i < sizeof items / sizeof *items; i++)
        if (items[i].part != FETCH_NO_PART ? span_istarts(v->text, items[i].name)
                                           : value_is(v, items[i].name))
            return &items[i];
    return NULL;
}

/* The first text that came is the one that counts. */
static void
note_part(struct fetch *f, const struct item *item)
{
    bool came = f->body == FETCH_STREAMED || f->body == FETCH_STRING;
    if (item != NULL && item->part != FETCH_NO_PART && !came)
        f->part = item->part;
}

void
fetch_read(struct fetch *f, const struct value_tree *tree)
{
    fetch_clear(f);
    const struct value *end = tree->v != NULL ? tree->v + tree->n : NULL;
    const struct value *list_end = tree->v; /* we look into lists, but not into lists in lists */
    const struct value *v = tree->v;
    while (v != end) {
        const struct item *item = find(v);
        note_part(f, item);
        if (item != NULL && v + 1 != end) {
            item->read(f, v + 1);
            v = value_next(v + 1);
        } else if (v->type == VALUE_LIST && v >= list_end) {
            list_end = value_next(v);
            v++;
        } else {
            v = value_next(v);
        }
    }
}

void
fetch_clear(struct fetch *f)
{
    strv_free(&f->flags);
    *f = (struct fetch){0};
}

/* Eats a number of one to four digits up to `end`, which is eaten too; -1 if there is none. */
static int
take_number(struct span *s, char end)
{
    const char *at = s->n > 0 ? memchr(s->p, end, s->n) : NULL;
    size_t n = at != NULL ? (size_t)(at - s->p) : s->n;
    uint64_t number;
    if (n > 4 || value_number((struct span){s->p, n}, 9999, &number) < 0)
        return -1;
    size_t eaten = at != NULL ? n + 1 : n;
    *s = (struct span){s->p + eaten, s->n - eaten};
    return (int)number;
}

static int
take_month(struct span *s)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int month = 0; month < 12 && s->n >= 4; month++) {
        if (!span_istarts(*s, (struct span){names + 3 * month, 3}) || s->p[3] != '-')
            continue;
        *s = (struct span){s->p + 4, s->n - 4};
        return month + 1;
    }
    return -1;
}

/* "+0130" in seconds. */
static int
take_zone(struct span s, int *seconds)
{
    if (s.n != 5 || (s.p[0] != '+' && s.p[0] != '-'))
        return -1;
    struct span digits = {s.p + 1, 4};
    int zone = take_number(&digits, ' ');
    if (zone < 0 || zone % 100 > 59)
        return -1;
    *seconds = (zone / 100 * 60 + zone % 100) * (s.p[0] == '-' ? -60 : 60);
    return 0;
}

int64_t
fetch_date(struct span date)
{
    struct span s = span_trim(date);
    int day = take_number(&s, '-');
    int month = take_month(&s);
    int year = take_number(&s, ' ');
    s = span_trim(s);
    int hour = take_number(&s, ':');
    int minute = take_number(&s, ':');
    int second = take_number(&s, ' ');
    int zone;
    bool valid = day >= 1 && day <= 31 && month > 0 && year > 0 && hour >= 0 && hour <= 23 &&
                 minute >= 0 && minute <= 59 && second >= 0 && second <= 60;
    if (!valid || take_zone(span_trim(s), &zone) < 0)
        return 0;
    return rfc3339_seconds(year, month, day, hour, minute, second) - zone;
}
