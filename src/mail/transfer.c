/* SPDX-License-Identifier: ISC */
/* Base64, quoted-printable and uuencode, RFC 2045 section 6, as mail carries them: padding
 * forgotten, wrong or in the middle, stray characters, blanks behind the '=' of a soft line break,
 * the footer of a mailing list behind it all. A piece is made of a bounded piece of input, so a
 * large body is never held decoded; looking ahead never goes twice over the same bytes. */
#include "mail/transfer.h"

#include "mail/param.h"

enum transfer_kind
transfer_of(struct span field)
{
    static const struct {
        const char *name;
        enum transfer_kind kind;
    } table[] = {
        {"base64", TRANSFER_BASE64},
        {"quoted-printable", TRANSFER_QUOTED},
        {"x-uuencode", TRANSFER_UU},
        {"x-uue", TRANSFER_UU},
        {"uuencode", TRANSFER_UU},
    };
    struct span value = param_value(field);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (span_ieq(value, span_str(table[i].name)))
            return table[i].kind;
    return TRANSFER_PLAIN;
}

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void
advance(struct span *s, size_t n)
{
    s->p += n;
    s->n -= n;
}

static size_t
line_length(struct span s)
{
    const char *end = s.n > 0 ? memchr(s.p, '\n', s.n) : NULL;
    return end != NULL ? (size_t)(end - s.p) + 1 : s.n;
}

static int
base64_digit(char c)
{
    /* clang-format off */
    static const signed char digits[128] = {
        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, -1, -1, 63,
        52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1,
        -1,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
        15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, -1,
        -1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
        41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1,
    };
    /* clang-format on */
    return (unsigned char)c < sizeof digits ? digits[(unsigned char)c] : -1;
}

/* Whether the line at the front is one that software puts below a mail. */
static bool
is_footer(struct span s)
{
    return s.n >= 4 && (memcmp(s.p, "____", 4) == 0 || memcmp(s.p, "----", 4) == 0);
}

static bool
is_text_only(struct span s, size_t i)
{
    bool inside = i > 0 && i + 1 < s.n && !is_space(s.p[i - 1]) && !is_space(s.p[i + 1]);
    return s.p[i] == ' ' ? inside : s.p[i] == '<' || (unsigned char)s.p[i] >= 0x80;
}

/* Of the first characters, up to where padding says that it is over, one in twenty may be such as
 * text has: blanks between words, tags, characters beyond ASCII. Other strays are passed over. */
static bool
looks_base64(struct span s)
{
    size_t junk = 0;
    size_t all = 0;
    for (size_t i = 0; i < s.n && i < 1024; i++) {
        bool begins_line = i > 0 && s.p[i - 1] == '\n';
        if (s.p[i] == '=' || (begins_line && is_footer((struct span){s.p + i, s.n - i})))
            break;
        junk += is_text_only(s, i);
        all += s.p[i] != '\r' && s.p[i] != '\n';
    }
    return junk <= all / 20;
}

/* The line behind "begin 644 name", or NULL. */
static const char *
uu_begin(struct span s)
{
    while (s.n > 0) {
        size_t n = line_length(s);
        if (n > 6 && memcmp(s.p, "begin ", 6) == 0)
            return s.p + n;
        advance(&s, n);
    }
    return NULL;
}

void
transfer_init(struct transfer *t, enum transfer_kind kind, struct span body)
{
    *t = (struct transfer){.kind = kind, .rest = body, .clean = body.p};
    if (kind == TRANSFER_BASE64 && !looks_base64(body))
        t->kind = TRANSFER_PLAIN;
    if (kind != TRANSFER_UU)
        return;
    const char *begin = uu_begin(body);
    if (begin == NULL)
        t->kind = TRANSFER_PLAIN;
    else
        advance(&t->rest, (size_t)(begin - body.p));
}

/* Behind padding only more base64 goes on, for footers are put there. */
static bool
goes_on(struct transfer *t)
{
    while (t->rest.n > 0 && (t->rest.p[0] == '=' || is_space(t->rest.p[0])))
        advance(&t->rest, 1);
    if (t->rest.p < t->clean)
        return true;
    struct span line = {t->rest.p, line_length(t->rest)};
    struct span text = span_trim(line);
    for (size_t i = 0; i < text.n; i++)
        if (base64_digit(text.p[i]) < 0 && text.p[i] != '=')
            return false;
    t->clean = line.p + line.n;
    return text.n > 0;
}

/* The bytes of a quantum that was not filled. */
static void
base64_flush(struct transfer *t, struct buf *out)
{
    t->bits <<= 6 * (4 - t->digits);
    for (int i = 0; i + 1 < t->digits; i++)
        buf_addc(out, (char)(t->bits >> (16 - 8 * i) & 0xFF));
    t->bits = 0;
    t->digits = 0;
}

/* Decodes up to a line end or a '=', or the piece. Returns how many bytes that took. */
static size_t
base64_run(struct transfer *t, struct buf *out, struct span piece)
{
    char *to = buf_room(out, piece.n);
    size_t i = 0;
    for (; i < piece.n && piece.p[i] != '\n' && piece.p[i] != '='; i++) {
        int digit = base64_digit(piece.p[i]);
        if (digit < 0)
            continue;
        t->bits = t->bits << 6 | (uint32_t)digit;
        if (++t->digits < 4)
            continue;
        *to++ = (char)(t->bits >> 16 & 0xFF);
        *to++ = (char)(t->bits >> 8 & 0xFF);
        *to++ = (char)(t->bits & 0xFF);
        t->bits = 0;
        t->digits = 0;
    }
    out->n = (size_t)(to - out->p);
    buf_end(out);
    return i;
}

/* The bytes at the front that are looked at in one step. */
static struct span
window(const struct transfer *t)
{
    return (struct span){t->rest.p, t->rest.n < TRANSFER_PIECE ? t->rest.n : TRANSFER_PIECE};
}

static void
base64_step(struct transfer *t, struct buf *out)
{
    advance(&t->rest, base64_run(t, out, window(t)));
    if (t->rest.n > 0 && t->rest.p[0] == '\n') {
        while (t->rest.n > 0 && is_space(t->rest.p[0]))
            advance(&t->rest, 1);
        if (is_footer(t->rest))
            t->rest.n = 0;
    } else if (t->rest.n > 0 && t->rest.p[0] == '=') {
        base64_flush(t, out);
        if (!goes_on(t))
            t->rest.n = 0;
    }
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* How long the soft line break at the front is, or 0. */
static size_t
soft_break(struct span s)
{
    size_t i = 1;
    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\r'))
        i++;
    if (i == s.n)
        return i;
    return s.p[i] == '\n' ? i + 1 : 0;
}

static void
quoted_escape(struct transfer *t, struct buf *out)
{
    struct span s = t->rest;
    size_t n = soft_break(s);
    if (n > 0) {
        advance(&t->rest, n);
    } else if (s.n >= 3 && hex_digit(s.p[1]) >= 0 && hex_digit(s.p[2]) >= 0) {
        buf_addc(out, (char)(hex_digit(s.p[1]) << 4 | hex_digit(s.p[2])));
        advance(&t->rest, 3);
    } else {
        buf_addc(out, '=');
        advance(&t->rest, 1);
    }
}

static void
plain_step(struct transfer *t, struct buf *out)
{
    struct span piece = window(t);
    buf_addspan(out, piece);
    advance(&t->rest, piece.n);
}

static void
quoted_step(struct transfer *t, struct buf *out)
{
    struct span piece = window(t);
    const char *mark = memchr(piece.p, '=', piece.n);
    if (mark != NULL)
        piece.n = (size_t)(mark - piece.p);
    buf_addspan(out, piece);
    advance(&t->rest, piece.n);
    if (mark != NULL)
        quoted_escape(t, out);
}

static void
uu_line(struct buf *out, struct span line)
{
    size_t n = (unsigned char)(line.p[0] - ' ') & 63;
    for (size_t i = 1; n > 0 && i < line.n; i += 4) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 4; k++)
            bits = bits << 6 | (i + k < line.n ? (unsigned char)(line.p[i + k] - ' ') & 63 : 0);
        for (int shift = 16; shift >= 0 && n > 0; shift -= 8, n--)
            buf_addc(out, (char)(bits >> shift & 0xFF));
    }
}

static void
uu_step(struct transfer *t, struct buf *out)
{
    struct span line = {t->rest.p, line_length(t->rest)};
    advance(&t->rest, line.n);
    line = span_trim(line);
    if (span_eq(line, SPAN("end")))
        t->rest.n = 0;
    else if (line.n > 0)
        uu_line(out, line);
}

bool
transfer_next(struct transfer *t, struct buf *out)
{
    static void (*const steps[])(struct transfer *, struct buf *) = {
        [TRANSFER_PLAIN] = plain_step,
        [TRANSFER_BASE64] = base64_step,
        [TRANSFER_QUOTED] = quoted_step,
        [TRANSFER_UU] = uu_step,
    };
    size_t start = out->n;
    while (t->rest.n > 0 && out->n - start < TRANSFER_PIECE / 2)
        steps[t->kind](t, out);
    if (t->rest.n == 0 && t->kind == TRANSFER_BASE64)
        base64_flush(t, out);
    return out->n > start;
}

uint64_t
transfer_size(enum transfer_kind kind, struct span body)
{
    struct transfer t;
    struct buf piece = {0};
    uint64_t size = 0;
    transfer_init(&t, kind, body);
    if (t.kind == TRANSFER_PLAIN)
        return body.n;
    while (transfer_next(&t, &piece)) {
        size += piece.n;
        buf_clear(&piece);
    }
    buf_free(&piece);
    return size;
}
