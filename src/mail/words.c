/* SPDX-License-Identifier: ISC */
/* RFC 2047 (and the language suffix of RFC 2231) as found in the wild: words glued to text, inside
 * quotes, longer than 75, with blanks or '?' inside, base64 with too much or too little padding,
 * triplets and quanta split over two words. One pass: a search for the end of a word stops where
 * another one begins. What is no encoded word stays plain. Refuses to know charsets. */
#include "mail/words.h"

#include <stdint.h>

enum { CHARSET_MAX = 64 };

struct token {
    struct span charset;
    char encoding; /* 'b' or 'q' */
    struct span text;
    size_t length; /* of the whole, from "=?" to "?=" */
};

/* The bytes of one run of words, on their way out. */
struct decoder {
    struct buf *out;
    uint32_t bits; /* base64 digits that do not make a byte yet */
    int digits;
    char held[2]; /* the beginning of a quoted-printable triplet */
    size_t n_held;
};

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The index of the '?' behind the charset at s.p[2], or 0. */
static size_t
charset_end(struct span s)
{
    for (size_t i = 2; i < s.n && i < CHARSET_MAX; i++) {
        if (s.p[i] == '?')
            return i;
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return 0;
    }
    return 0;
}

/* The index of the closing "?=" at or behind `from`, or 0. */
static size_t
text_end(struct span s, size_t from)
{
    for (size_t i = from; i + 1 < s.n; i++) {
        if (s.p[i] == '?' && s.p[i + 1] == '=')
            return i;
        bool opens = s.p[i] == '=' && s.p[i + 1] == '?';
        if (opens && (i + 2 >= s.n || s.p[i + 2] != '='))
            return 0;
    }
    return 0;
}

static struct span
without_language(struct span charset)
{
    const char *star = charset.n > 0 ? memchr(charset.p, '*', charset.n) : NULL;
    if (star != NULL)
        charset.n = (size_t)(star - charset.p);
    return charset;
}

static bool
token_at(struct span s, struct token *t)
{
    if (s.n < 2 || s.p[0] != '=' || s.p[1] != '?')
        return false;
    size_t mark = charset_end(s);
    if (mark == 0 || mark + 2 >= s.n || s.p[mark + 2] != '?')
        return false;
    t->encoding = (char)(s.p[mark + 1] | 0x20);
    if (t->encoding != 'b' && t->encoding != 'q')
        return false;
    size_t text = mark + 3;
    size_t end = text_end(s, text);
    if (end == 0)
        return false;
    t->charset = without_language((struct span){s.p + 2, mark - 2});
    t->text = (struct span){s.p + text, end - text};
    t->length = end + 2;
    return true;
}

static int
base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void
base64_flush(struct decoder *d)
{
    d->bits <<= 6 * (4 - d->digits);
    for (int i = 0; i + 1 < d->digits; i++)
        buf_addc(d->out, (char)(d->bits >> (16 - 8 * i)));
    d->bits = 0;
    d->digits = 0;
}

static void
base64_feed(struct decoder *d, struct span text)
{
    for (size_t i = 0; i < text.n; i++) {
        int digit = base64_digit(text.p[i]);
        if (digit >= 0) {
            d->bits = d->bits << 6 | (uint32_t)digit;
            d->digits++;
        }
        if (d->digits == 4 || text.p[i] == '=')
            base64_flush(d);
    }
    /* Digits left over without padding: the padding was forgotten if they end in zero bits as an
     * end does, else the next word goes on with them. */
    if ((d->digits == 2 && (d->bits & 0xF) == 0) || (d->digits == 3 && (d->bits & 0x3) == 0))
        base64_flush(d);
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static void
quoted_flush(struct decoder *d)
{
    buf_add(d->out, d->held, d->n_held);
    d->n_held = 0;
}

static void
quoted_feed_one(struct decoder *d, char c)
{
    if (d->n_held > 0 && hex_digit(c) < 0)
        quoted_flush(d);
    if (d->n_held == 2) {
        buf_addc(d->out, (char)(hex_digit(d->held[1]) << 4 | hex_digit(c)));
        d->n_held = 0;
    } else if (d->n_held == 1 || c == '=') {
        d->held[d->n_held++] = c;
    } else {
        buf_addc(d->out, c == '_' ? ' ' : c);
    }
}

static void
decoder_flush(struct decoder *d)
{
    base64_flush(d);
    quoted_flush(d);
}

static void
decoder_feed(struct decoder *d, const struct token *t)
{
    if (t->encoding == 'b') {
        quoted_flush(d);
        base64_feed(d, t->text);
        return;
    }
    base64_flush(d);
    for (size_t i = 0; i < t->text.n; i++)
        quoted_feed_one(d, t->text.p[i]);
}

static void
advance(struct span *s, size_t n)
{
    s->p += n;
    s->n -= n;
}

static struct span
behind_blanks(struct span s)
{
    while (s.n > 0 && is_blank(s.p[0]))
        advance(&s, 1);
    return s;
}

static void
take_run(struct words *w, struct token t, struct word *out)
{
    struct decoder d = {.out = &out->bytes};
    out->encoded = true;
    out->charset = t.charset;
    do {
        decoder_feed(&d, &t);
        advance(&w->rest, t.length);
        struct span next = behind_blanks(w->rest);
        if (!token_at(next, &t) || !span_ieq(t.charset, out->charset))
            break;
        w->rest = next;
    } while (true);
    decoder_flush(&d);
}

/* Where the next encoded word begins, or the end. */
static size_t
find_token(struct span s, struct token *t)
{
    for (size_t i = 0; i < s.n; i++) {
        const char *mark = memchr(s.p + i, '=', s.n - i);
        if (mark == NULL)
            break;
        i = (size_t)(mark - s.p);
        if (token_at((struct span){mark, s.n - i}, t))
            return i;
    }
    return s.n;
}

bool
words_next(struct words *w, struct word *out)
{
    struct token t;
    buf_clear(&out->bytes);
    if (w->rest.n == 0)
        return false;
    size_t plain = find_token(w->rest, &t);
    bool token_follows = plain < w->rest.n;
    /* blanks between two encoded words are not text, RFC 2047 section 6.2 */
    if (token_follows && w->after_encoded && behind_blanks(w->rest).p >= w->rest.p + plain) {
        advance(&w->rest, plain);
        plain = 0;
    }
    w->after_encoded = plain == 0;
    if (plain == 0) {
        take_run(w, t, out);
        return true;
    }
    out->encoded = false;
    out->charset = (struct span){NULL, 0};
    buf_add(&out->bytes, w->rest.p, plain);
    advance(&w->rest, plain);
    return true;
}
