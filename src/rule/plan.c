/* SPDX-License-Identifier: ISC */
/* Which rules concern a mailbox. A name is ACCOUNT or ACCOUNT/PATTERN; the account is compared as
 * it is written, the mailbox too, but for INBOX, which RFC 3501 section 5.1 has in any case.
 * Refuses to know what a rule wants of a message. */
#include "rule/plan.h"

#include "base/mem.h"

#include <stdlib.h>

/* Whether the name matches a pattern in which '*' stands for any run of characters. */
static bool
glob(const char *pattern, const char *name)
{
    const char *star = NULL;
    const char *retry = NULL;
    while (*name != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            retry = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star + 1;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* Whether INBOX, in any case, is the whole name or its first level. */
static bool
begins_with_inbox(const char *name)
{
    return span_istarts(span_str(name), SPAN("INBOX")) && (name[5] == '\0' || name[5] == '/');
}

bool
plan_covers(const char *in, const char *account, const char *mailbox)
{
    size_t n = strlen(account);
    if (strncmp(in, account, n) != 0)
        return false;
    if (in[n] == '\0')
        return true;
    if (in[n] != '/')
        return false;
    const char *pattern = in + n + 1;
    if (begins_with_inbox(pattern) && begins_with_inbox(mailbox))
        return glob(pattern + 5, mailbox + 5);
    return glob(pattern, mailbox);
}

static bool
concerns(const struct rule *rule, const char *account, const char *mailbox)
{
    for (size_t i = 0; i < rule->in.n; i++)
        if (plan_covers(rule->in.v[i], account, mailbox))
            return true;
    return rule->in.n == 0;
}

void
plan_make(struct plan *p, const struct ruleset *rules, const char *account, const char *mailbox)
{
    *p = (struct plan){.v = xcalloc(rules->n + 1, sizeof *p->v)};
    for (size_t i = 0; i < rules->n; i++)
        if (rules->v[i].enabled && concerns(&rules->v[i], account, mailbox))
            p->v[p->n++] = i;
}

void
plan_free(struct plan *p)
{
    free(p->v);
    *p = (struct plan){0};
}
