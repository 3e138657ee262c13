/*
 * regex: one compiled pattern; the only user of PCRE2.
 * Never knows IMAP, jobs, YAML or mail.
 *
 * Patterns are UTF, unanchored and case-insensitive; (?-i) inside a pattern switches that off. No
 * call takes longer than a tenth of a second, whatever the pattern and the subject.
 */
#ifndef MAILCALL_RULE_REGEX_H
#define MAILCALL_RULE_REGEX_H

#include "base/err.h"
#include "base/span.h"
#include "base/strv.h"

struct regex;

/* Why a pattern does not compile: the byte offset inside the pattern, and PCRE2's words. */
struct regex_fault {
    size_t offset;
    char text[256];
};

/* NULL and *fault filled if the pattern is bad. `multiline` lets ^ and $ match at line ends. */
struct regex *regex_new(const char *pattern, bool multiline, struct regex_fault *fault);
void regex_free(struct regex *r); /* NULL is fine */
/* What regex_new() was given. */
const char *regex_pattern(const struct regex *r);
bool regex_is_multiline(const struct regex *r);

/* The names a match can set, each once, in the order of groups: named groups, and for unnamed ones
 * their number, "1" "2" … Borrowed. */
const struct strv *regex_names(const struct regex *r);
bool regex_has_unnamed(const struct regex *r);

enum regex_result { REGEX_NO, REGEX_YES, REGEX_LIMIT };

/* What a successful match leaves: borrowed from the subject, in the order of regex_names(). A group
 * that took no part has p == NULL. */
struct regex_match {
    struct span whole;
    struct span *group;
    size_t n;
    char reason[128]; /* filled for REGEX_LIMIT */
};

/* The subject is valid UTF-8. On REGEX_YES the caller calls regex_match_free(). REGEX_LIMIT: a
 * limit of work or memory was hit, and nothing is known. */
enum regex_result regex_exec(const struct regex *r, struct span subject, struct regex_match *m);
/* The same for a subject that utf8_valid() has seen: it is not looked through once more. */
enum regex_result regex_exec_valid(
    const struct regex *r, struct span subject, struct regex_match *m);
void regex_match_free(struct regex_match *m);

#endif
