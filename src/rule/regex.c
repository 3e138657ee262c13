/* SPDX-License-Identifier: ISC */
/* Compiled patterns, by PCRE2's 8-bit library with JIT.
 *
 * Cost. PCRE2's own limits count steps of backtracking for each position a match could start at,
 * and a step may be a loop over one character, as in \d+, that reads the whole subject: on a long
 * line of digits an innocent \d+[.,]\d\d is quadratic and no limit sees it. So there are two
 * machines. The fast one, under PCRE2's limits, runs where such a loop cannot be long: on short
 * subjects, and for patterns without endless repeats. The careful one is compiled with a callout
 * before every item and adds up how far each item moved; it decides when the fast one may not run
 * or gave up. Measured over 100 patterns, most of them catastrophic, on 256 KiB
 * of ASCII, Latin and Chinese, of one line and of many: 80 ms at worst, both machines together, and
 * 62 ms without JIT. Honest patterns take 0.02 to 25 ms there, two thirds of the budget at most.
 *
 * Patterns for whole texts get JIT for both machines at once. For the others the careful one is
 * made when the first long field comes, and interpreted: by then the process may have closed the
 * door to new executable memory.
 *
 * Refuses to know where a subject comes from. */
#include "rule/regex.h"

#include "base/mem.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    SHORT_SUBJECT = 4096, /* bytes */
    SHORT_REPEAT = 16,    /* the largest {n} that is no endless repeat */
    STEPS = 250000,       /* budget of one fast call, divided by the positions to start at … */
    STEPS_LEAST = 30,     /* … but so many for each */
    BACKREF_SHARE = 16,   /* each step may compare the whole subject */
    WORK = 40000000,      /* budget of one careful call: bytes moved over, … */
    WORK_PER_ITEM = 16,   /* … and this for each item tried */
    CAREFUL_STEPS = WORK / WORK_PER_ITEM,
    HEAP_KIB = 16 * 1024, /* without JIT */
    STACK_LEAST = 32 * 1024,
    STACK_MOST = 16 * 1024 * 1024, /* with JIT: (.|\n)* takes 48 bytes for each character */
};

struct regex {
    char *pattern;
    bool multiline;
    bool endless;   /* holds a repeat, or a back-reference, that no small number bounds */
    uint32_t reach; /* the largest n of a {n} or {n,m} */
    pcre2_code *code;
    pcre2_code *careful; /* NULL until it is needed */
    pcre2_match_context *limits;
    uint32_t steps;
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

/* One {n}, {n,m} or {n,}, p at its brace; whatever else stands in braces counts for nothing. */
static void
note_repeat(struct regex *r, const char *p)
{
    char *end;
    unsigned long least = strtoul(p + 1, &end, 10);
    unsigned long most = least;
    end += strspn(end, " ");
    if (*end == ',') {
        end += 1 + strspn(end + 1, " ");
        most = *end == '}' ? ULONG_MAX : strtoul(end, &end, 10);
    }
    if (least > r->reach && least <= UINT16_MAX)
        r->reach = (uint32_t)least;
    if (most > SHORT_REPEAT)
        r->endless = true;
}

/* Errs on the side of caution: what only looks like a repeat, as in [*+], is taken for one. */
static void
find_repeats(struct regex *r)
{
    uint32_t backrefs;
    pcre2_pattern_info(r->code, PCRE2_INFO_BACKREFMAX, &backrefs);
    for (const char *p = strchr(r->pattern, '{'); p != NULL; p = strchr(p + 1, '{'))
        note_repeat(r, p);
    if (strpbrk(r->pattern, "*+") != NULL || strstr(r->pattern, "\\X") != NULL || backrefs > 0)
        r->endless = true;
    r->steps = backrefs > 0 ? STEPS / BACKREF_SHARE : STEPS;
}

static uint32_t
options_of(bool multiline)
{
    return PCRE2_UTF | PCRE2_CASELESS | PCRE2_NEVER_BACKSLASH_C | (multiline ? PCRE2_MULTILINE : 0);
}

static void
compile_careful(struct regex *r)
{
    int code;
    size_t offset;
    r->careful = pcre2_compile((PCRE2_SPTR)r->pattern, PCRE2_ZERO_TERMINATED,
        options_of(r->multiline) | PCRE2_AUTO_CALLOUT, &code, &offset, NULL);
    if (r->careful == NULL)
        abort(); /* it did compile without callouts: out of memory */
}

struct regex *
regex_new(const char *pattern, bool multiline, struct regex_fault *fault)
{
    int code;
    size_t offset;
    pcre2_code *compiled = pcre2_compile(
        (PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options_of(multiline), &code, &offset, NULL);
    if (compiled == NULL) {
        fault_set(fault, code, offset);
        return NULL;
    }
    struct regex *r = xcalloc(1, sizeof *r);
    r->pattern = xstrdup(pattern);
    r->multiline = multiline;
    r->code = compiled;
    r->limits = pcre2_match_context_create(NULL);
    if (r->limits == NULL)
        abort();
    name_groups(r);
    find_repeats(r);
    pcre2_set_heap_limit(r->limits, HEAP_KIB);
    if (multiline && r->endless)
        compile_careful(r);
    /* where JIT is not to be had, PCRE2 interprets: slower, same limits */
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE);
    if (r->careful != NULL)
        pcre2_jit_compile(r->careful, PCRE2_JIT_COMPLETE);
    return r;
}

void
regex_free(struct regex *r)
{
    if (r == NULL)
        return;
    pcre2_match_context_free(r->limits);
    pcre2_code_free(r->code);
    pcre2_code_free(r->careful);
    free(r->pattern);
    strv_free(&r->names);
    free(r->slot);
    free(r);
}

const char *
regex_pattern(const struct regex *r)
{
    return r->pattern;
}

bool
regex_is_multiline(const struct regex *r)
{
    return r->multiline;
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

/* --- matching --- */

static int
run_fast(const struct regex *r, struct span subject, uint32_t options, pcre2_match_data *out)
{
    uint32_t steps = (uint32_t)(r->steps / (subject.n + 1));
    if (steps < STEPS_LEAST)
        steps = STEPS_LEAST;
    pcre2_set_match_limit(r->limits, steps);
    pcre2_set_depth_limit(r->limits, steps);
    return pcre2_match(r->code, (PCRE2_SPTR)subject.p, subject.n, 0, options, out, r->limits);
}

/* What a careful call has cost so far. */
struct work {
    const struct regex *regex;
    size_t start; /* of the attempt at hand */
    size_t at;    /* where the item before stood */
    uint64_t done;
};

/* How far the item that comes may read in vain, and so without a callout behind it. */
static size_t
longest_group(const pcre2_callout_block *block)
{
    size_t longest = 0;
    for (uint32_t i = 1; i < block->capture_top; i++) {
        size_t from = block->offset_vector[2 * i];
        size_t to = block->offset_vector[2 * i + 1];
        if (from != PCRE2_UNSET && to != PCRE2_UNSET && to > from && to - from > longest)
            longest = to - from;
    }
    return longest;
}

static bool
may_be_backref(const struct work *w, const pcre2_callout_block *block)
{
    const char *item = w->regex->pattern + block->pattern_position;
    return block->next_item_length > 1 && (item[0] == '\\' || strncmp(item, "(?P=", 4) == 0);
}

static int
on_item(pcre2_callout_block *block, void *arg)
{
    struct work *w = arg;
    size_t at = block->current_position;
    if (block->start_match == w->start)
        w->done += at > w->at ? at - w->at : w->at - at;
    w->start = block->start_match;
    w->at = at;
    w->done += WORK_PER_ITEM + w->regex->reach;
    if (block->capture_top > 1 && may_be_backref(w, block))
        w->done += longest_group(block);
    return w->done > WORK ? PCRE2_ERROR_MATCHLIMIT : 0;
}

static int
run_careful(struct regex *r, struct span subject, uint32_t options, pcre2_match_data *out)
{
    struct work w = {.regex = r};
    pcre2_jit_stack *stack =
        r->multiline ? pcre2_jit_stack_create(STACK_LEAST, STACK_MOST, NULL) : NULL;
    if (r->careful == NULL)
        compile_careful(r);
    pcre2_jit_stack_assign(r->limits, NULL, stack);
    pcre2_set_callout(r->limits, on_item, &w);
    pcre2_set_match_limit(r->limits, CAREFUL_STEPS);
    pcre2_set_depth_limit(r->limits, CAREFUL_STEPS);
    int rc = pcre2_match(r->careful, (PCRE2_SPTR)subject.p, subject.n, 0, options, out, r->limits);
    pcre2_set_callout(r->limits, NULL, NULL);
    pcre2_jit_stack_assign(r->limits, NULL, NULL);
    pcre2_jit_stack_free(stack);
    return rc;
}

/* A bad UTF-8 subject is found by whoever runs first. */
static int
run(struct regex *r, struct span subject, uint32_t options, pcre2_match_data *out)
{
    if (subject.n <= SHORT_SUBJECT || !r->endless) {
        int rc = run_fast(r, subject, options, out);
        bool gave_up = rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT ||
                       rc == PCRE2_ERROR_JIT_STACKLIMIT || rc == PCRE2_ERROR_HEAPLIMIT;
        if (!gave_up)
            return rc;
        options |= PCRE2_NO_UTF_CHECK;
    }
    return run_careful(r, subject, options, out);
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
fill_match(const struct regex *r, struct span subject, pcre2_match_data *out, struct regex_match *m)
{
    const size_t *ends = pcre2_get_ovector_pointer(out);
    m->whole = part_of(subject, ends);
    m->n = r->names.n;
    m->group = m->n > 0 ? xcalloc(m->n, sizeof *m->group) : NULL;
    for (size_t i = 0; i < r->n_groups; i++) {
        struct span *group = &m->group[r->slot[i]];
        if (group->p == NULL)
            *group = part_of(subject, ends + 2 * (i + 1));
    }
}

/* The match data is made anew each time, because PCRE2 keeps in it what memory a call needed. */
static enum regex_result
match(const struct regex *r, struct span subject, uint32_t options, struct regex_match *m)
{
    enum regex_result result = REGEX_YES;
    *m = (struct regex_match){0};
    if (subject.p == NULL)
        subject.p = "";
    pcre2_match_data *out = pcre2_match_data_create_from_pattern(r->code, NULL);
    if (out == NULL)
        abort();
    int rc = run((struct regex *)r, subject, options, out);
    if (rc >= 0) {
        fill_match(r, subject, out, m);
    } else if (rc == PCRE2_ERROR_NOMATCH) {
        result = REGEX_NO;
    } else {
        pcre2_get_error_message(rc, (PCRE2_UCHAR *)m->reason, sizeof m->reason);
        result = REGEX_LIMIT;
    }
    pcre2_match_data_free(out);
    return result;
}

enum regex_result
regex_exec(const struct regex *r, struct span subject, struct regex_match *m)
{
    return match(r, subject, 0, m);
}

enum regex_result
regex_exec_valid(const struct regex *r, struct span subject, struct regex_match *m)
{
    return match(r, subject, PCRE2_NO_UTF_CHECK, m);
}

void
regex_match_free(struct regex_match *m)
{
    free(m->group);
    m->group = NULL;
    m->n = 0;
}
