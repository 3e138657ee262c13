/* SPDX-License-Identifier: ISC */
/* Collects facts from response codes and untagged data, in whatever state they come. What follows
 * from them is the session's business. RFC 3501 sections 7.1 to 7.3, RFC 2971. */
#include "imap/told.h"

#include "imap/caps.h"
#include "imap/value.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

void
told_init(struct told *t)
{
    *t = (struct told){.separator = '/'};
}

void
told_free(struct told *t)
{
    buf_free(&t->permanent);
    told_init(t);
}

void
told_new_mailbox(struct told *t)
{
    t->permanent_told = false;
    buf_free(&t->permanent);
    t->facts = (struct mailbox_facts){0};
    t->exists_told = false;
}

void
told_name(struct told *t, struct span words)
{
    static const struct span names[] = {
        SPAN("Dovecot"),
        SPAN("Cyrus"),
        SPAN("Courier"),
        SPAN("Zimbra"),
        SPAN("gluon"),
        SPAN("Proton"),
    };
    for (size_t i = 0; i < COUNT(names); i++)
        t->syncs |= value_behind(words, names[i]).p != NULL;
}

static void
read_caps(struct told *t, struct span words)
{
    t->caps |= caps_read(words);
    t->caps_known = true;
}

static void
read_uidvalidity(struct told *t, struct span words)
{
    uint64_t n;
    if (value_number(words, UINT32_MAX, &n) == 0)
        t->facts.uidvalidity = (uint32_t)n;
}

static void
read_uidnext(struct told *t, struct span words)
{
    uint64_t n;
    if (value_number(words, UINT32_MAX, &n) == 0)
        t->facts.uidnext = (uint32_t)n;
}

static void
read_read_only(struct told *t, struct span words)
{
    (void)words;
    t->facts.read_only = true;
}

/* `(\Seen \Deleted Junk \*)`; a list whose end is missing tells nothing of what it leaves out. */
static void
read_permanent(struct told *t, struct span words)
{
    bool whole = words.n >= 2 && words.p[0] == '(' && words.p[words.n - 1] == ')';
    t->permanent_told = whole;
    buf_free(&t->permanent);
    if (whole)
        buf_add(&t->permanent, words.p + 1, words.n - 2);
}

bool
told_keeps(const struct told *t, const char *flag)
{
    bool is_keyword = flag[0] != '\\';
    struct span rest = buf_span(&t->permanent);
    for (struct span word = value_word(&rest); word.n > 0; word = value_word(&rest))
        if (span_ieq(word, span_str(flag)) || (is_keyword && span_eq(word, SPAN("\\*"))))
            return true;
    return !t->permanent_told;
}

void
told_code(struct told *t, struct span code)
{
    static const struct {
        struct span name;
        void (*read)(struct told *t, struct span words);
    } table[] = {
        {SPAN("CAPABILITY"), read_caps},
        {SPAN("UIDVALIDITY"), read_uidvalidity},
        {SPAN("UIDNEXT"), read_uidnext},
        {SPAN("READ-ONLY"), read_read_only},
        {SPAN("PERMANENTFLAGS"), read_permanent},
    };
    struct span name = value_word(&code);
    for (size_t i = 0; i < COUNT(table); i++)
        if (span_ieq(name, table[i].name))
            table[i].read(t, code);
}

/* `(\Noselect) "." ""` */
static void
read_list(struct told *t, struct span words)
{
    struct value_tree tree = {0};
    value_parse(&tree, words);
    const struct value *v = tree.v;
    if (tree.n > 0 && v->width < tree.n)
        v = value_next(v);
    if (tree.n > 0 && v->type == VALUE_STRING && v->text.n == 1)
        t->separator = v->text.p[0];
    value_free(&tree);
}

static void
read_exists(struct told *t, uint64_t number)
{
    t->facts.exists = number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
    t->exists_told = true;
}

void
told_data(struct told *t, const struct reply *r)
{
    if (span_ieq(r->name, SPAN("CAPABILITY")))
        read_caps(t, r->words);
    else if (span_ieq(r->name, SPAN("ID")))
        told_name(t, r->words);
    else if (span_ieq(r->name, SPAN("LIST")))
        read_list(t, r->words);
    else if (span_ieq(r->name, SPAN("EXISTS")))
        read_exists(t, r->number);
}
