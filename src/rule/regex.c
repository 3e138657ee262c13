/* SPDX-License-Identifier: ISC */
/* Compiled patterns, by PCRE2's 8-bit library with JIT.
 *
 * Cost. PCRE2 counts matching steps for each position a match could start at, so one limit for all
 * subjects would allow (limit x length) steps. Here the steps of a whole call are a budget that is
 * divided by the length; patterns with back-references get a smaller one, because each of their
 * steps may compare the whole subject. Measured with JIT over 30 catastrophic patterns on subjects
 * of 60 to 16384 bytes: 47 ms at worst for `(?<!b)a+a+[0-9]`, under 11 ms for all others; only
 * `(?=(a+))\1[0-9]` on 16 kB of one letter takes 260 ms, for loops over one character are not
 * counted at all. Subjects of mail headers are shorter than that by far, and never longer.
 *
 * Refuses to know where a subject comes from. */
#include "rule/regex.h"

#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    STEPS = 1000000,   /* budget of one call */
    STEPS_LEAST = 500, /* per start, whatever the length */
    BACKREF_SHARE = 16,
    HEAP_KIB = 4096, /* only without JIT */
};

struct regex {
    pcre2_code *code;
    pcre2_match_data *match; /* used again by every call */
    pcre2_match_context *limits;
    uint32_t steps;
    uint32_t steps_least;
    struct strv names;
    size_t *slot; /* of each group, group 1 first: its index in names */
    size_t n_groups;
    bool unnamed;
};

static void
fault_set(struct regex_fault *fault, int code, size_t offset)
{
    fault->offset = offset;
    pcre2_get_error_message(code, (PCRE2_UCHAR *)fault->text, sizeof fault->text);
}

/* The name of a group in PCRE2's table, or NULL: entries are the number, big endian, then the name.
 */
static const char *
group_name(const pcre2_code *code, size_t group)
{
    uint32_t count;
    uint32_t size;
    PCRE2_SPTR entry;
    pcre2_pattern_info(code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(code, PCRE2_INFO_NAMETABLE, &entry);
    for (uint32_t i = 0; i < count; i++, entry += size)
        if ((size_t)(entry[0] << 8 | entry[1]) == group)
            return (const char *)entry + 2;
    return NULL;
}

static size_t
slot_of(struct strv *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->v[i], name) == 0)
            return i;
    strv_add(names, name);
    return names->n - 1;
}

/* Two groups may share a name, with (?J): then they share the slot too. */
static void
name_groups(struct regex *r)
{
    uint32_t n;
    pcre2_pattern_info(r->code, PCRE2_INFO_CAPTURECOUNT, &n);
    r->n_groups = n;
    r->slot = xcalloc(n + 1, sizeof *r->slot);
    for (size_t group = 1; group <= n; group++) {
        char number[24];
        const char *name = group_name(r->code, group);
        if (name == NULL) {
            snprintf(number, sizeof number, "%zu", group);
            name = number;
            r->unnamed = true;
        }
        r->slot[group - 1] = slot_of(&r->names, name);
    }
}

static void
set_limits(struct regex *r)
{
    uint32_t backrefs;
    pcre2_pattern_info(r->code, PCRE2_INFO_BACKREFMAX, &backrefs);
    uint32_t share = backrefs > 0 ? BACKREF_SHARE : 1;
    r->steps = STEPS / share;
    r->steps_least = STEPS_LEAST / share;
    pcre2_set_heap_limit(r->limits, HEAP_KIB);
}

struct regex *
regex_new(const char *pattern, bool multiline, struct regex_fault *fault)
{
    int code;
    size_t offset;
    uint32_t options = PCRE2_UTF | PCRE2_CASELESS | PCRE2_NEVER_BACKSLASH_C;
    if (multiline)
        options |= PCRE2_MULTILINE;
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &code, &offset, NULL);
    if (compiled == NULL) {
        fault_set(fault, code, offset);
        return NULL;
    }
    /* where JIT is not to be had, PCRE2 interprets: slower, same limits */
    pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
    struct regex *r = xcalloc(1, sizeof *r);
    r->code = compiled;
    r->match = pcre2_match_data_create_from_pattern(compiled, NULL);
    r->limits = pcre2_match_context_create(NULL);
    if (r->match == NULL || r->limits == NULL)
        abort();
    name_groups(r);
    set_limits(r);
    return r;
}

void
regex_free(struct regex *r)
{
    if (r == NULL)
        return;
    pcre2_match_context_free(r->limits);
    pcre2_match_data_free(r->match);
    pcre2_code_free(r->code);
    strv_free(&r->names);
    free(r->slot);
    free(r);
}

const struct strv *
regex_names(const struct regex *r)
{
    return &r->names;
}

bool
regex_has_unnamed(const struct regex *r)
{
    return r->unnamed;
}

static void
limit_steps(const struct regex *r, size_t length)
{
    uint32_t steps = (uint32_t)(r->steps / (length + 1));
    if (steps < r->steps_least)
        steps = r->steps_least;
    pcre2_set_match_limit(r->limits, steps);
    pcre2_set_depth_limit(r->limits, steps);
}

/* \K can put the start of a match behind its end; such a match is empty. */
static struct span
part_of(struct span subject, const size_t *ends)
{
    if (ends[0] == PCRE2_UNSET)
        return (struct span){NULL, 0};
    return (struct span){subject.p + ends[0], ends[1] > ends[0] ? ends[1] - ends[0] : 0};
}

static void
fill_match(const struct regex *r, struct span subject, struct regex_match *m)
{
    const size_t *ends = pcre2_get_ovector_pointer(r->match);
    m->whole = part_of(subject, ends);
    m->n = r->names.n;
    m->group = m->n > 0 ? xcalloc(m->n, sizeof *m->group) : NULL;
    for (size_t i = 0; i < r->n_groups; i++) {
        struct span *group = &m->group[r->slot[i]];
        if (group->p == NULL)
            *group = part_of(subject, ends + 2 * (i + 1));
    }
}

enum regex_result
regex_exec(const struct regex *r, struct span subject, struct regex_match *m)
{
    *m = (struct regex_match){0};
    if (subject.p == NULL)
        subject.p = "";
    limit_steps(r, subject.n);
    int rc = pcre2_match(r->code, (PCRE2_SPTR)subject.p, subject.n, 0, 0, r->match, r->limits);
    if (rc == PCRE2_ERROR_NOMATCH)
        return REGEX_NO;
    if (rc < 0) {
        pcre2_get_error_message(rc, (PCRE2_UCHAR *)m->reason, sizeof m->reason);
        return REGEX_LIMIT;
    }
    fill_match(r, subject, m);
    return REGEX_YES;
}

void
regex_match_free(struct regex_match *m)
{
    free(m->group);
    m->group = NULL;
    m->n = 0;
}
