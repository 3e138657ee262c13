/* SPDX-License-Identifier: ISC */
/* config_cond(): a filter of the command line is made into the nodes that the file would give for
 * it, and goes the way of the file. So --subject and subject: cannot come to differ. */
#include "base/mem.h"
#include "base/utf8.h"
#include "config/cond.h"
#include "config/config.h"

#include <stdlib.h>

/* A filter of the command line, as the nodes the file would give: { key: value },
 * { key: { test: value } }, { header: { NAME: value } } or { auth: { part: pass } }. */
struct filter {
    struct source *source; /* its text is the value */
    struct node nodes[5];
    struct node *slots[4];
    size_t n;
    char *key;
    char *name; /* of the header */
};

static struct node *
filter_text(struct filter *f, const char *text, size_t offset)
{
    struct node *n = &f->nodes[f->n++];
    n->kind = NODE_TEXT;
    n->style = NODE_PLAIN;
    n->one_line = f->source->n_lines == 1;
    n->at = source_place(f->source, offset);
    n->text = (char *)text;
    return n;
}

static struct node *
filter_map(struct filter *f, size_t slot, struct node *key, struct node *item)
{
    struct node *n = &f->nodes[f->n++];
    f->slots[slot] = key;
    f->slots[slot + 1] = item;
    *n = (struct node){.kind = NODE_MAP, .style = NODE_BLOCK, .at = item->at, .n = 1};
    n->key = &f->slots[slot];
    n->item = &f->slots[slot + 1];
    return n;
}

/* "NAME: REGEX", or "NAME" alone: present. */
static struct node *
filter_header(struct filter *f, const char *value)
{
    size_t n = strcspn(value, ":");
    f->name = xstrndup(value, n);
    size_t at = n + (value[n] == ':');
    at += strspn(value + at, " ");
    struct node *text =
        value[n] == ':' ? filter_text(f, f->source->text + at, at) : filter_text(f, "true", 0);
    if (value[n] == ':' && (strcmp(text->text, "true") == 0 || strcmp(text->text, "false") == 0))
        text->style = NODE_DOUBLE; /* what is typed behind a colon is a regex */
    return filter_map(f, 0, filter_text(f, f->name, 0), text);
}

/* "dkim=DOMAIN", "dkim", "spf" or "dmarc": it has to pass. */
static struct node *
filter_auth(struct filter *f, const char *value)
{
    size_t n = strcspn(value, "=");
    if (value[n] == '=' && span_eq((struct span){value, n}, SPAN("dkim")))
        return filter_map(
            f, 0, filter_text(f, "dkim_domain", 0), filter_text(f, f->source->text + n + 1, n + 1));
    return filter_map(f, 0, filter_text(f, f->source->text, 0), filter_text(f, "pass", 0));
}

static struct node *
filter_value(struct filter *f, const char *value)
{
    if (strcmp(f->key, "header") == 0)
        return filter_header(f, value);
    if (strcmp(f->key, "auth") == 0)
        return filter_auth(f, value);
    struct node *text = filter_text(f, f->source->text, 0);
    char *test = strrchr(f->key, '_');
    if (cond_is_key(f->key) || test == NULL)
        return text;
    *test = '\0';
    return filter_map(f, 0, filter_text(f, test + 1, 0), text);
}

static char *
option_name(const char *key)
{
    char *name = xasprintf("--%s", key);
    for (char *p = name; *p != '\0'; p++)
        if (*p == '_')
            *p = '-';
    return name;
}

/* The first error as one text; a regex is shown with a caret below it. */
static void
tell(const struct report *r, const char *value, struct err *e)
{
    const struct remark *m = &r->v[0];
    err_set(e, ERR_USAGE, "%s", m->text);
    size_t n = strlen(value);
    if (strstr(m->text, "regex: ") == NULL || m->at.source->n_lines != 1 || n > 150)
        return;
    size_t offset = source_offset(m->at.source, 1, m->at.column);
    struct buf shown = {0};
    struct buf before = {0};
    utf8_visible(&shown, (struct span){value, n});
    utf8_visible(&before, (struct span){value, offset});
    int column = 0;
    for (struct span s = buf_span(&before); s.n > 0; column++)
        utf8_take(&s);
    err_set(e, ERR_USAGE, "%s\n  %s\n  %*s^", m->text, buf_str(&shown), column, "");
    buf_free(&shown);
    buf_free(&before);
}

static struct cond *
read_filter(struct filter *f, const char *value, struct err *e)
{
    struct report report = {0};
    struct cond_nodes nodes = {0};
    struct node *map = filter_map(f, 2, filter_text(f, f->key, 0), filter_value(f, value));
    struct cond *c = cond_read(&report, map, &nodes);
    if (report.errors > 0) {
        tell(&report, value, e);
        cond_free(c);
        c = NULL;
    }
    cond_nodes_free(&nodes);
    report_free(&report);
    return c;
}

struct cond *
config_cond(const char *key, const char *value, struct err *e)
{
    char *name = option_name(key);
    struct filter f = {.source = source_new(name, span_str(value)), .key = xstrdup(key)};
    f.source->argument = true;
    struct cond *c = read_filter(&f, value, e);
    source_free(f.source);
    free(name);
    free(f.key);
    free(f.name);
    return c;
}
