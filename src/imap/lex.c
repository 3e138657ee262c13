/* SPDX-License-Identifier: ISC */
/* Cuts the server's bytes into responses. Only two things matter here: where a line ends (LF, with
 * or without CR) and whether it ends in a literal's size. What the words mean is not asked, so a
 * response nobody understands is still left at its proper end. The one line that may well be larger
 * than its limit, the answer to a SEARCH in a large mailbox, is told as several such answers.
 * RFC 3501 sections 2.2.2, 4.3 and 7.2.5. */
#include "imap/lex.h"

#include "imap/value.h"

#include <assert.h>

/* Of a response over the limits its beginning stays, which tells what it was, and its end, which
 * may announce a literal. */
enum { KEPT_HEAD = 512, KEPT_TAIL = 32 };

static const struct span search = {"* SEARCH ", sizeof "* SEARCH " - 1};

static void
begin(struct lex *l)
{
    buf_clear(&l->text);
    l->ended = false;
    l->cut = false;
    l->from = 0;
    if (l->goes_on) {
        buf_addspan(&l->text, search);
        buf_add(&l->text, l->carried, l->n_carried);
    }
    l->goes_on = false;
    l->outside = l->text.n;
}

static void
shorten(struct lex *l)
{
    assert(l->text.n >= KEPT_HEAD + KEPT_TAIL);
    memmove(l->text.p + KEPT_HEAD, l->text.p + l->text.n - KEPT_TAIL, KEPT_TAIL);
    buf_cut(&l->text, KEPT_HEAD + KEPT_TAIL);
    l->cut = true;
    l->outside = 0;
    l->from = 0;
}

static void
eat(struct span *in, size_t n)
{
    in->p += n;
    in->n -= n;
}

static bool
is_search(const struct lex *l)
{
    return !l->cut && l->from == 0 && span_istarts(lex_text(l), search);
}

/* Makes the text one part of a SEARCH: its last word, which may go on, is carried over. */
static bool
split_search(struct lex *l)
{
    size_t word = l->text.n;
    while (l->text.p[word - 1] != ' ')
        word--;
    size_t n = l->text.n - word;
    if (n > LEX_WORD_MAX)
        return false;
    memcpy(l->carried, l->text.p + word, n);
    l->n_carried = n;
    buf_cut(&l->text, word);
    l->goes_on = true;
    return true;
}

enum line { LINE_GOES_ON, LINE_PART, LINE_ENDED };

/* Appends what of *in belongs to this line. */
static enum line
take_line(struct lex *l, struct span *in)
{
    while (in->n > 0) {
        size_t n = in->n < LEX_LINE_MAX ? in->n : LEX_LINE_MAX;
        const char *lf = memchr(in->p, '\n', n);
        if (lf != NULL)
            n = (size_t)(lf - in->p);
        buf_add(&l->text, in->p, n);
        l->outside += n;
        eat(in, lf != NULL ? n + 1 : n);
        bool search_ends = lf != NULL && is_search(l);
        if (l->outside > LEX_LINE_MAX && !search_ends) {
            if (is_search(l) && split_search(l))
                return LINE_PART;
            shorten(l);
        }
        if (lf != NULL)
            return LINE_ENDED;
    }
    return LINE_GOES_ON;
}

static void
drop_leading_nuls(struct lex *l, struct span *in)
{
    while (l->text.n == 0 && in->n > 0 && in->p[0] == '\0')
        eat(in, 1);
}

/* Status lines end in words for people, which may look like anything. */
static bool
may_hold_literals(struct span line)
{
    static const struct span words[] = {
        SPAN("OK"), SPAN("NO"), SPAN("BAD"), SPAN("BYE"), SPAN("PREAUTH")};
    if (!span_eq(value_word(&line), SPAN("*")))
        return false;
    struct span word = value_word(&line);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (span_ieq(word, words[i]))
            return false;
    return true;
}

/* Whether the text ends in `{size}` or `{size+}`; *head is what stands before it. Never looks back
 * into the bytes of an earlier literal. */
static bool
ends_in_literal(const struct lex *l, struct span *head, uint64_t *size)
{
    const char *p = l->text.p;
    if (l->text.n < l->from + 3 || p[l->text.n - 1] != '}')
        return false;
    size_t end = l->text.n - 1;
    if (p[end - 1] == '+')
        end--;
    size_t start = end;
    while (start > l->from && p[start - 1] >= '0' && p[start - 1] <= '9')
        start--;
    if (start == end || start == l->from || p[start - 1] != '{')
        return false;
    if (value_number((struct span){p + start, end - start}, UINT64_MAX, size) < 0)
        *size = UINT64_MAX;
    *head = (struct span){p, start - 1};
    return may_hold_literals(lex_text(l));
}

/* `* 12 FETCH (… BODY[HEADER] ` */
static bool
announces_message(struct span head)
{
    struct span rest = head;
    uint64_t number;
    if (!span_eq(value_word(&rest), SPAN("*")) ||
        value_number(value_word(&rest), UINT64_MAX, &number) < 0 ||
        !span_ieq(value_word(&rest), SPAN("FETCH")))
        return false;
    head = span_trim(head);
    size_t start = head.n;
    while (start > 0 && head.p[start - 1] != ' ' && head.p[start - 1] != '(')
        start--;
    struct span item = {head.p + start, head.n - start};
    return span_istarts(item, SPAN("BODY[]")) || span_istarts(item, SPAN("BODY[HEADER]"));
}

static enum lex_event
begin_literal(struct lex *l, struct span head, uint64_t size)
{
    l->literal = size;
    if (!l->cut && size > 0 && announces_message(head)) {
        buf_cut(&l->text, head.n);
        l->place = LEX_STREAMED;
        return LEX_BODY;
    }
    if (size > l->literal_max)
        return LEX_HUGE;
    if (l->cut || size > LEX_LITERAL_MAX || l->text.n + size > LEX_RESPONSE_MAX) {
        l->cut = true;
        l->from = l->text.n;
        l->place = size > 0 ? LEX_DROPPED : LEX_LINE;
        return LEX_MORE;
    }
    buf_adds(&l->text, "\r\n");
    l->from = l->text.n;
    l->place = size > 0 ? LEX_STORED : LEX_LINE;
    return LEX_MORE;
}

static enum lex_event
end_line(struct lex *l)
{
    while (l->text.n > l->from && l->text.p[l->text.n - 1] == '\r')
        buf_cut(&l->text, l->text.n - 1);
    struct span head;
    uint64_t size;
    if (ends_in_literal(l, &head, &size))
        return begin_literal(l, head, size);
    if (l->text.n == 0)
        return LEX_MORE;
    l->ended = true;
    return l->cut ? LEX_CUT : LEX_RESPONSE;
}

static enum lex_event
read_line(struct lex *l, struct span *in)
{
    if (l->ended)
        begin(l);
    drop_leading_nuls(l, in);
    switch (take_line(l, in)) {
    case LINE_GOES_ON:
        return LEX_MORE;
    case LINE_PART:
        l->ended = true;
        return LEX_RESPONSE;
    case LINE_ENDED:
        break;
    }
    return end_line(l);
}

static void
end_literal(struct lex *l)
{
    if (l->place == LEX_STREAMED)
        buf_adds(&l->text, "{}");
    l->from = l->text.n;
    l->place = LEX_LINE;
}

static enum lex_event
read_literal(struct lex *l, struct span *in, struct span *chunk)
{
    enum lex_place place = l->place;
    size_t n = in->n < l->literal ? in->n : (size_t)l->literal;
    *chunk = (struct span){in->p, n};
    eat(in, n);
    l->literal -= n;
    if (place == LEX_STORED)
        buf_addspan(&l->text, *chunk);
    if (l->literal == 0)
        end_literal(l);
    return place == LEX_STREAMED ? LEX_CHUNK : LEX_MORE;
}

enum lex_event
lex_next(struct lex *l, struct span *in, struct span *chunk)
{
    enum lex_event event = LEX_MORE;
    while (in->n > 0 && event == LEX_MORE)
        event = l->place == LEX_LINE ? read_line(l, in) : read_literal(l, in, chunk);
    return event;
}

struct span
lex_text(const struct lex *l)
{
    return buf_span(&l->text);
}

bool
lex_inside(const struct lex *l)
{
    return l->goes_on || (!l->ended && (l->text.n > 0 || l->place != LEX_LINE));
}

void
lex_rest(struct lex *l)
{
    if (!lex_inside(l))
        lex_reset(l);
}

void
lex_reset(struct lex *l)
{
    buf_free(&l->text);
    *l = (struct lex){.literal_max = l->literal_max};
}
