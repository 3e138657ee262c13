/*
 * fields: the table of everything a hook is told (INTERFACE: MAILCALL_*), and how placeholders use
 * it. Never knows IMAP, YAML or the queue. Pure.
 *
 * The one place where text of strangers becomes environment strings: every value passes the scrub
 * (one line of valid UTF-8, no control characters, at most FIELD_VALUE_MAX bytes, all of them
 * together at most FIELD_TOTAL_MAX), and no name ever comes from a mail. ATTACHMENTS alone holds
 * several lines: the names that safename() gives, one after the other, to the facts' attachments.
 */
#ifndef MAILCALL_HOOK_FIELDS_H
#define MAILCALL_HOOK_FIELDS_H

#include "base/buf.h"
#include "base/pack.h"
#include "base/strv.h"
#include "mail/facts.h"
#include "rule/match.h"
#include "rule/meta.h"

enum {
    FIELD_VALUE_MAX = 8 * 1024,
    FIELD_TOTAL_MAX = 64 * 1024,
    FIELD_MATCH_MAX = 100, /* MATCH_ names per rule; config refuses rules with more captures */
    FIELD_HEADER_MAX = 50, /* HEADER_ names per rule, likewise */
    FIELD_NAME_MAX = 64,   /* bytes of a capture's or header's name that are used */
};

/* Everything the fields are made from; all borrowed for the call. */
struct event {
    const char *version;
    const char *kind; /* "new"; later batch retry test */
    const char *id;   /* event_id_make() */
    unsigned attempt; /* from 1 */
    const char *rule;
    const struct meta *meta;
    const struct facts *facts;
    const struct hit *hit;
    const char *file;           /* path of the raw message, or "" when only headers were fetched */
    const char *folder;         /* of its attachments, or ""; NULL is as good */
    const struct strv *headers; /* names to be exported as HEADER_*; NULL = none */
};
/* COUNT is 1 and UIDS the message's own, until fields_set() says otherwise for a batch; JSON_FILE,
 * HOOK_RESULT and HOOK_STATUS are empty until then. What needs more than headers is empty where the
 * facts are not whole. */

/* Name-value pairs without the MAILCALL_ prefix, names upper case: SUBJECT, MATCH_NUMBER, …
 * Fixed names all there, in table order, then the rule's MATCH_ and HEADER_ names; no name twice. A
 * header that is there several times is told in one value, joined by ", ".
 *
 * When all together would pass FIELD_TOTAL_MAX, the longest values that strangers wrote are cut to
 * one common length, the greatest that fits; what mailcall and the configuration say stays whole.
 * TRUNCATED lists every name that was cut for either limit, and the word HEADERS when the facts
 * were truncated before they came here. UIDS is cut between its numbers only, ATTACHMENTS between
 * its lines. A value that would begin with "() {" (Shellshock) gets a space in front. */
struct fields {
    struct field {
        char *name;
        char *value;
    } * v;
    size_t n;
};

void fields_make(struct fields *f, const struct event *event);
void fields_free(struct fields *f);                               /* empty afterwards */
const char *fields_get(const struct fields *f, const char *name); /* upper case; NULL if unknown */
/* Sets one field again, scrubbed: ATTEMPT on a retry, FILE when the path moves. All limits hold
 * afterwards too. The name is one that is there. */
void fields_set(struct fields *f, const char *name, const char *value);
void fields_copy(struct fields *to, const struct fields *from); /* into an empty one */

void fields_pack(struct buf *out, const struct fields *f);
/* Into an empty one, which is to be freed even if it breaks. All that is promised above holds of
 * what comes back, whatever the bytes were: values are scrubbed anew, fixed names that are missing
 * are empty, names that are none, come twice or are too many break it. */
void fields_unpack(struct unpack *u, struct fields *f);

/* Appends the message as an RFC 5092 URL. */
void fields_url(struct buf *out, const struct meta *meta);

/* Appends "MAILCALL_NAME=value" for each field. */
void fields_environ(const struct fields *f, struct strv *env);

/* Fixed names, lower case, for errors with a suggestion and for `help fields`; i from 0 until
 * NULL. */
const char *fields_name(size_t i);
const char *fields_doc(size_t i);

/* Checks the placeholders of one argument: {from_name} must be a fixed field, match_<capture> or
 * header_<name> of the configured names (NULL: none);
 * {{ is one opening brace; braces around anything but [a-z][a-z0-9_]* are left alone, and so is
 * every other closing brace: "{{a}" gives "{a}", "{{a}}" gives "{a}}". Returns 0, or -1 with the
 * offset and length of the bad identifier (without braces). */
int fields_check(const char *template, const struct strv *captures, const struct strv *headers,
    size_t *offset, size_t *length);
/* Appends the template with placeholders filled. Unknown ones were refused at load: they stay. */
void fields_fill(struct buf *out, const char *template, const struct fields *f);

#endif
