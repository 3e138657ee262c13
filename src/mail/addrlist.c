/* SPDX-License-Identifier: ISC */
/* Mailboxes of an address field, RFC 5322 section 3.4 with section 4.4, and what senders make of
 * it: unquoted dots, commas and brackets in names, missing domains and brackets, `<>`, quotes that
 * never close. No recursion and one pass (a piece that turns out to be a list is read once more),
 * so a hostile field costs no more than its length; groups in groups are only more colons.
 * Refuses to decode anything. */
#include "mail/addrlist.h"

/* What a mailbox is put together from. Words are kept as written, separated by WORD_END. */
struct parts {
    struct buf words;
    struct buf comment;
    struct buf addr;   /* what stood in <> */
    bool angle;        /* there were <> */
    size_t searched;   /* so many bytes of the words were searched for an address */
    bool address;      /* and had one */
    const char *start; /* of the mailbox, behind a group's name */
    bool joined;       /* a comma was taken as a part of the name */
    bool junk;         /* it follows another mailbox without a comma */
};

#define WORD_END '\n'

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void
advance(struct span *s, size_t n)
{
    s->p += n;
    s->n -= n;
}

static void
end_word(struct buf *words)
{
    if (words->n > 0 && words->p[words->n - 1] != WORD_END)
        buf_addc(words, WORD_END);
}

/* The length of the quoted string at the front with both quotes, or 0 if it does not end. */
static size_t
quoted_length(struct span s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            return i + 1;
    }
    return 0;
}

static size_t
comment_length(struct span s)
{
    size_t depth = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '(')
            depth++;
        else if (s.p[i] == ')' && --depth == 0)
            return i + 1;
    }
    return 0;
}

/* Takes a quoted string as written, if one stands at the front. */
static bool
take_quoted(struct addrlist *l, struct buf *to)
{
    if (l->rest.p[0] != '"' || l->no_quote)
        return false;
    size_t n = quoted_length(l->rest);
    l->no_quote = n == 0;
    buf_add(to, l->rest.p, n);
    advance(&l->rest, n);
    return n > 0;
}

/* The length of the encoded word at the front, or 0. Its text may hold what would separate
 * mailboxes elsewhere; it has no blanks. */
static size_t
encoded_length(struct span s)
{
    size_t marks = 0;
    if (s.n < 2 || s.p[0] != '=' || s.p[1] != '?')
        return 0;
    for (size_t i = 2; i + 1 < s.n && !is_blank(s.p[i]) && s.p[i] != '"'; i++) {
        if (marks == 2 && s.p[i] == '?' && s.p[i + 1] == '=')
            return i + 2;
        if (s.p[i] == '=' && s.p[i + 1] == '?')
            return 0;
        marks += s.p[i] == '?';
    }
    return 0;
}

static bool
take_encoded(struct addrlist *l, struct buf *to)
{
    size_t n = encoded_length(l->rest);
    buf_add(to, l->rest.p, n);
    advance(&l->rest, n);
    return n > 0;
}

static void
add_comment(struct buf *comment, struct span text)
{
    if (comment->n > 0)
        buf_addc(comment, ' ');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\\' && i + 1 < text.n)
            i++;
        buf_addc(comment, text.p[i]);
    }
}

static bool
take_comment(struct addrlist *l, struct buf *comment)
{
    if (l->rest.p[0] != '(' || l->no_comment)
        return false;
    size_t n = comment_length(l->rest);
    l->no_comment = n == 0;
    if (n == 0)
        return false;
    add_comment(comment, (struct span){l->rest.p + 1, n - 2});
    advance(&l->rest, n);
    return true;
}

/* Whether an angle address that was not closed ends before c. */
static bool
ends_unclosed(char c, const struct buf *addr)
{
    bool route = addr->n > 0 && addr->p[0] == '@';
    return c == '<' || c == ';' || (c == ',' && !route);
}

static void
take_angle(struct addrlist *l, struct parts *m)
{
    m->angle = true;
    while (l->rest.n > 0 && (l->rest.p[0] == '<' || is_blank(l->rest.p[0])))
        advance(&l->rest, 1);
    while (l->rest.n > 0) {
        char c = l->rest.p[0];
        if (take_quoted(l, &m->addr) || take_comment(l, &m->comment))
            continue;
        if (ends_unclosed(c, &m->addr))
            return;
        advance(&l->rest, 1);
        if (c == '>')
            return;
        if (is_blank(c))
            end_word(&m->addr);
        else
            buf_addc(&m->addr, c);
    }
}

/* Behind an address: comments, then the comma, if there is one. */
static void
take_tail(struct addrlist *l, struct parts *m)
{
    while (l->rest.n > 0) {
        char c = l->rest.p[0];
        if (take_comment(l, &m->comment))
            continue;
        if (!is_blank(c) && c != '>')
            break;
        advance(&l->rest, 1);
    }
    l->glued = l->rest.n > 0 && l->rest.p[0] != ',' && l->rest.p[0] != ';';
    if (l->rest.n > 0 && !l->glued)
        advance(&l->rest, 1);
}

/* Whether the words hold an address: an '@' with something on both sides. Asked at every comma, so
 * each word is looked at once only. */
static bool
has_address(struct parts *m)
{
    const char *p = m->words.p;
    for (; m->searched + 1 < m->words.n; m->searched++) {
        size_t i = m->searched;
        m->address |= i > 0 && p[i] == '@' && p[i - 1] != WORD_END && p[i + 1] != WORD_END;
    }
    return m->address;
}

/* At a comma or semicolon: whether the mailbox ends there. If not, the comma is the name's. */
static bool
ends_at(struct addrlist *l, struct parts *m, char c)
{
    advance(&l->rest, 1);
    if (m->words.n == 0) {
        m->junk = false;
        m->start = l->rest.p;
        return false;
    }
    if (c == ';' || l->rest.p <= l->held || has_address(m))
        return true;
    if (m->words.p[m->words.n - 1] == WORD_END)
        buf_cut(&m->words, m->words.n - 1);
    buf_addc(&m->words, ',');
    end_word(&m->words);
    m->joined = true;
    return false;
}

static void
words_clear(struct parts *m)
{
    buf_clear(&m->words);
    m->searched = 0;
    m->address = false;
}

static void
drop_group_name(struct addrlist *l, struct parts *m)
{
    advance(&l->rest, 1);
    words_clear(m);
    buf_clear(&m->comment);
    m->start = l->rest.p;
    m->joined = false;
    m->junk = false;
}

static void
take_char(struct addrlist *l, struct parts *m)
{
    char c = l->rest.p[0];
    advance(&l->rest, 1);
    if (is_blank(c) || c == '>')
        end_word(&m->words);
    else
        buf_addc(&m->words, c);
}

static void
read_parts(struct addrlist *l, struct parts *m)
{
    while (l->rest.n > 0) {
        char c = l->rest.p[0];
        if (take_quoted(l, &m->words) || take_encoded(l, &m->words))
            continue;
        if (take_comment(l, &m->comment)) {
            end_word(&m->words);
        } else if (c == '<') {
            take_angle(l, m);
            take_tail(l, m);
            return;
        } else if (c == ',' || c == ';') {
            if (ends_at(l, m, c))
                return;
        } else if (c == ':' && !has_address(m)) {
            drop_group_name(l, m);
        } else {
            take_char(l, m);
        }
    }
}

static struct span
trim_words(const struct buf *words)
{
    return span_trim(buf_span(words));
}

/* Appends words as a name: quotes go, and one space stands between words. */
static void
add_name(struct buf *name, struct span words)
{
    bool quoted = false;
    for (size_t i = 0; i < words.n; i++) {
        char c = words.p[i];
        if (c == '"') {
            quoted = !quoted;
            continue;
        }
        if (quoted && c == '\\' && i + 1 < words.n)
            c = words.p[++i];
        buf_addc(name, c == WORD_END ? ' ' : c);
    }
}

/* Joins `a @ b` and, within <>, `a . b`, which RFC 5322 section 4.4 allows. */
static void
close_gaps(struct buf *words, const char *around)
{
    size_t n = 0;
    for (size_t i = 0; i < words->n; i++) {
        char c = words->p[i];
        bool gap = c == WORD_END;
        if (gap && n > 0 && strchr(around, words->p[n - 1]) != NULL)
            continue;
        if (gap && i + 1 < words->n && strchr(around, words->p[i + 1]) != NULL)
            continue;
        words->p[n++] = c;
    }
    if (words->n > 0)
        buf_cut(words, n);
}

/* Joins `a@b . c` behind the '@'; but "a@b. c" are two words. */
static void
close_domain(struct buf *words)
{
    size_t n = 0;
    bool domain = false;
    bool dot = false; /* one with a gap before it */
    for (size_t i = 0; i < words->n; i++) {
        char c = words->p[i];
        bool next_dot = i + 1 < words->n && words->p[i + 1] == '.';
        bool behind_dot = dot && words->p[i - 1] == '.';
        if (c == WORD_END && domain && (next_dot || behind_dot)) {
            dot = next_dot;
            continue;
        }
        domain = c == '@' || (domain && c != WORD_END);
        words->p[n++] = c;
    }
    if (words->n > 0)
        buf_cut(words, n);
}

/* `@r1,@r2:a@b` is a@b. */
static struct span
without_route(struct span s)
{
    const char *colon = s.n > 0 && s.p[0] == '@' ? memchr(s.p, ':', s.n) : NULL;
    if (colon != NULL)
        advance(&s, (size_t)(colon - s.p) + 1);
    return s;
}

static void
finish_angle(struct parts *m, struct buf *name, struct buf *addr)
{
    close_gaps(&m->addr, "@.,:");
    struct span spec = without_route(trim_words(&m->addr));
    for (size_t i = 0; i < spec.n; i++)
        buf_addc(addr, spec.p[i] == WORD_END ? ' ' : spec.p[i]);
    add_name(name, trim_words(&m->words));
}

/* The last word with an '@' outside quotes; blanks in quotes do not end a word. n == 0 if there is
 * none. */
static struct span
address_word(struct span words)
{
    struct span found = {words.p, 0};
    size_t start = 0;
    bool quoted = false;
    bool at = false;
    for (size_t i = 0; i <= words.n; i++) {
        char c = i < words.n ? words.p[i] : WORD_END;
        quoted ^= c == '"';
        at |= c == '@' && !quoted;
        if (i < words.n && (quoted || c != WORD_END))
            continue;
        if (at)
            found = (struct span){words.p + start, i - start};
        start = i + 1;
        at = false;
    }
    return found;
}

/* One word can be the local user of a mail without domain; an encoded word is a name. */
static bool
is_local_user(struct span words)
{
    return !span_istarts(words, SPAN("=?")) && memchr(words.p, WORD_END, words.n) == NULL &&
           memchr(words.p, '"', words.n) == NULL;
}

static void
finish_bare(struct parts *m, struct buf *name, struct buf *addr)
{
    close_gaps(&m->words, "@");
    close_domain(&m->words);
    struct span words = trim_words(&m->words);
    if (words.n == 0)
        return;
    struct span spec = address_word(words);
    if (spec.n > 0) {
        struct span before = {words.p, (size_t)(spec.p - words.p)};
        struct span behind = {spec.p + spec.n, words.n - before.n - spec.n};
        buf_addspan(addr, spec);
        add_name(name, span_trim(before.n > 0 ? before : behind));
    } else if (m->junk) {
        return;
    } else if (is_local_user(words)) {
        buf_addspan(addr, words);
    } else {
        add_name(name, words);
    }
}

static void
parts_clear(struct parts *m)
{
    words_clear(m);
    buf_clear(&m->comment);
    buf_clear(&m->addr);
    m->angle = false;
    m->joined = false;
}

/* If commas were taken for a name's and no <> came, they were none: all up to here is read again
 * with every comma an end. */
static void
read_mailbox(struct addrlist *l, struct parts *m)
{
    m->junk = l->glued;
    l->glued = false;
    m->start = l->rest.p;
    read_parts(l, m);
    if (!m->joined || m->angle)
        return;
    l->held = l->rest.p;
    l->rest.n += (size_t)(l->rest.p - m->start);
    l->rest.p = m->start;
    parts_clear(m);
    read_parts(l, m);
}

static void
finish(struct parts *m, struct buf *name, struct buf *addr)
{
    if (m->angle)
        finish_angle(m, name, addr);
    else
        finish_bare(m, name, addr);
    if (name->n == 0 && addr->n > 0)
        buf_addspan(name, span_trim(buf_span(&m->comment)));
}

bool
addrlist_next(struct addrlist *l, struct buf *name, struct buf *addr)
{
    struct parts m = {0};
    buf_clear(name);
    buf_clear(addr);
    while (l->rest.n > 0 && name->n == 0 && addr->n == 0) {
        parts_clear(&m);
        read_mailbox(l, &m);
        finish(&m, name, addr);
    }
    buf_free(&m.words);
    buf_free(&m.comment);
    buf_free(&m.addr);
    return name->n > 0 || addr->n > 0;
}
