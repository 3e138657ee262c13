/* SPDX-License-Identifier: ISC */
/* The idempotency key: the first 130 bits of a SHA-256 in base32 (RFC 4648 section 6, lower case).
 * Numbers enter as decimal text, so byte order and widths of a machine play no part. Changing
 * anything in it makes every hook see old mail as new.
 *
 * And the event as JSON (RFC 8259); the only user of jansson that speaks of mail. Jansson refuses
 * strings that are not UTF-8; here they are repaired, for an event must not get lost over a byte.
 * Keys keep their order. */
#include "hook/event.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/rfc3339.h"
#include "base/span.h"
#include "base/utf8.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHAPE = 1 }; /* "v" */

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

/* The i-th group of five bits. */
static unsigned
quintet(const unsigned char *bytes, size_t i)
{
    size_t bit = i * 5;
    unsigned two = (unsigned)bytes[bit / 8] << 8 | bytes[bit / 8 + 1];
    return two >> (11 - bit % 8) & 31;
}

void
event_id_make(char id[static EVENT_ID_LENGTH + 1], const struct meta *meta, const char *rule)
{
    char uidvalidity[16];
    char uid[16];
    snprintf(uidvalidity, sizeof uidvalidity, "%lu", (unsigned long)meta->uidvalidity);
    snprintf(uid, sizeof uid, "%lu", (unsigned long)meta->uid);
    const struct span parts[] = {
        span_str(meta->account),
        span_str(meta->mailbox),
        span_str(uidvalidity),
        span_str(uid),
        span_str(rule),
    };
    unsigned char digest[DIGEST_SIZE];
    digest_parts(digest, parts, sizeof parts / sizeof *parts);
    for (size_t i = 0; i < EVENT_ID_LENGTH; i++)
        id[i] = alphabet[quintet(digest, i)];
    id[EVENT_ID_LENGTH] = '\0';
}

/* --- values --- */

/* `value` becomes the object's. */
static void
put(json_t *object, const char *key, json_t *value)
{
    json_object_set_new_nocheck(object, key, value);
}

static char *
repaired(const char *s)
{
    struct buf b = {0};
    utf8_repair(&b, span_str(s));
    return buf_take(&b);
}

static json_t *
text(const char *s)
{
    json_t *value = json_string(s);
    if (value != NULL)
        return value;
    char *valid = repaired(s);
    value = json_string_nocheck(valid);
    free(valid);
    return value;
}

static json_t *
text_or_null(const char *s)
{
    return *s != '\0' ? text(s) : json_null();
}

static json_t *
number(uint64_t n)
{
    return json_integer(n <= INT64_MAX ? (json_int_t)n : INT64_MAX);
}

static json_t *
moment(bool known, int64_t seconds)
{
    char out[RFC3339_MAX] = "";
    if (known)
        rfc3339_utc(out, seconds);
    return text_or_null(out);
}

static json_t *
address(const struct address *a)
{
    json_t *object = json_object();
    put(object, "name", text(a->name));
    put(object, "address", text(a->addr));
    return object;
}

static json_t *
addresses(const struct addresses *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->n; i++)
        json_array_append_new(array, address(&list->v[i]));
    return array;
}

static json_t *
texts(const struct strv *v)
{
    json_t *array = json_array();
    for (size_t i = 0; i < v->n; i++)
        json_array_append_new(array, text(v->v[i]));
    return array;
}

static json_t *
list_of_one(const char *s)
{
    json_t *array = json_array();
    if (*s != '\0')
        json_array_append_new(array, text(s));
    return array;
}

static json_t *
url(const struct meta *meta)
{
    struct buf b = {0};
    fields_url(&b, meta);
    json_t *value = text(b.p);
    buf_free(&b);
    return value;
}

/* Of two with one name the first counts, as it does for MATCH_ names. */
static json_t *
captures(const struct hit *hit)
{
    json_t *object = json_object();
    for (size_t i = 0; i < hit->n_captures; i++) {
        char *name = repaired(hit->captures[i].name);
        if (json_object_get(object, name) == NULL)
            put(object, name, text(hit->captures[i].value));
        free(name);
    }
    return object;
}

static json_t *
signatures(const struct auth *auth)
{
    json_t *array = json_array();
    for (size_t i = 0; i < auth->n_dkim; i++) {
        json_t *object = json_object();
        put(object, "result", text(auth->dkim[i].result));
        put(object, "domain", text(auth->dkim[i].domain));
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *
auth_or_null(const struct auth *auth)
{
    if (*auth->authserv == '\0')
        return json_null();
    json_t *object = json_object();
    put(object, "authserv", text(auth->authserv));
    put(object, "dkim", signatures(auth));
    put(object, "spf", text_or_null(auth->spf));
    put(object, "dmarc", text_or_null(auth->dmarc));
    return object;
}

static json_t *
attachments(const struct facts *f)
{
    json_t *array = json_array();
    for (size_t i = 0; i < f->n_attachments; i++) {
        const struct attachment *a = &f->attachments[i];
        json_t *object = json_object();
        put(object, "part", text(a->part));
        put(object, "name", text(a->name));
        put(object, "type", text(a->type));
        put(object, "size", number(a->size));
        put(object, "path", json_null());
        json_array_append_new(array, object);
    }
    return array;
}

/* All instances of one, in the order of the message. */
static json_t *
instances(const struct facts *f, const char *name)
{
    json_t *array = json_array();
    for (size_t i = 0; i < f->n_headers; i++)
        if (span_ieq(span_str(f->headers[i].name), span_str(name)))
            json_array_append_new(array, text(f->headers[i].value));
    return array;
}

static char *
lower(const char *s)
{
    char *copy = repaired(s);
    for (char *p = copy; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return copy;
}

static json_t *
headers(const struct event *event)
{
    json_t *object = json_object();
    for (size_t i = 0; event->headers != NULL && i < event->headers->n; i++) {
        char *name = lower(event->headers->v[i]);
        put(object, name, instances(event->facts, event->headers->v[i]));
        free(name);
    }
    return object;
}

static json_t *
all_headers(const struct facts *f)
{
    json_t *object = json_object();
    for (size_t i = 0; i < f->n_headers; i++) {
        char *name = lower(f->headers[i].name);
        if (json_object_get(object, name) == NULL)
            put(object, name, json_array());
        json_array_append_new(json_object_get(object, name), text(f->headers[i].value));
        free(name);
    }
    return object;
}

/* --- the event --- */

static void
put_identity(json_t *o, const struct event *e)
{
    put(o, "v", json_integer(SHAPE));
    put(o, "event", text(e->kind));
    put(o, "event_id", text(e->id));
    put(o, "attempt", number(e->attempt));
    put(o, "rule", text(e->rule));
}

static void
put_meta(json_t *o, const struct meta *meta)
{
    put(o, "account", text(meta->account));
    put(o, "mailbox", text(meta->mailbox));
    put(o, "mailbox_role", text(meta->role));
    put(o, "uid", number(meta->uid));
    put(o, "uidvalidity", number(meta->uidvalidity));
    put(o, "flags", texts(&meta->flags));
    put(o, "url", url(meta));
    put(o, "received", moment(meta->received != 0, meta->received));
    put(o, "size", number(meta->size));
}

static void
put_facts(json_t *o, const struct facts *f)
{
    put(o, "message_id", text(f->message_id));
    put(o, "in_reply_to", list_of_one(f->in_reply_to));
    put(o, "references", texts(&f->references));
    put(o, "date", moment(f->has_date, f->date));
    put(o, "subject", text(f->subject));
    put(o, "from", f->from.n > 0 ? address(&f->from.v[0]) : json_null());
    put(o, "to", addresses(&f->to));
    put(o, "cc", addresses(&f->cc));
    put(o, "reply_to", addresses(&f->reply_to));
    put(o, "sender", text(f->sender));
    put(o, "recipient", text(f->recipient));
    put(o, "extension", text(f->extension));
    put(o, "list_id", text_or_null(f->list_id));
    put(o, "auth", auth_or_null(&f->auth));
    if (f->whole)
        put(o, "attachments", attachments(f));
}

static void
put_text(json_t *o, const struct facts *f)
{
    if (!f->whole)
        return;
    put(o, "text", text(f->text));
    put(o, "text_truncated", json_boolean(f->text_truncated));
}

static int
add_bytes(const char *bytes, size_t n, void *arg)
{
    buf_add(arg, bytes, n);
    return 0;
}

/* As one line; the object is gone afterwards. */
static char *
told(json_t *object)
{
    struct buf b = {0};
    json_dump_callback(object, add_bytes, &b, JSON_COMPACT);
    json_decref(object);
    return buf_take(&b);
}

/* Running out of memory inside jansson ends as it does everywhere; so no call here fails of it. */
static void
use_our_memory(void)
{
    json_set_alloc_funcs(xmalloc, free);
}

char *
event_json(const struct event *event)
{
    use_our_memory();
    json_t *object = json_object();
    put_identity(object, event);
    put_meta(object, event->meta);
    put_facts(object, event->facts);
    put(object, "headers", headers(event));
    put(object, "match", captures(event->hit));
    put_text(object, event->facts);
    return told(object);
}

char *
event_message_json(const struct facts *facts)
{
    use_our_memory();
    json_t *object = json_object();
    put(object, "v", json_integer(SHAPE));
    put_facts(object, facts);
    put(object, "headers", all_headers(facts));
    put_text(object, facts);
    return told(object);
}

static bool
is_event(const json_t *object)
{
    return json_integer_value(json_object_get(object, "v")) == SHAPE &&
           json_is_string(json_object_get(object, "event")) &&
           json_is_integer(json_object_get(object, "attempt"));
}

static json_t *
heard(const char *line)
{
    use_our_memory();
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    if (is_event(object))
        return object;
    json_decref(object);
    return NULL;
}

char *
event_json_again(const char *line, const char *kind, unsigned attempt)
{
    json_t *object = heard(line);
    if (object == NULL)
        return NULL;
    put(object, "event", text(kind));
    put(object, "attempt", number(attempt));
    return told(object);
}

static void
set_path(json_t *list, size_t i, json_t *path)
{
    json_t *one = json_array_get(list, i);
    if (json_is_object(one))
        put(one, "path", path);
    else
        json_decref(path);
}

char *
event_json_files(const char *line, const struct event_file *files, size_t n_files)
{
    json_t *object = heard(line);
    if (object == NULL)
        return NULL;
    json_t *list = json_object_get(object, "attachments");
    for (size_t i = 0; i < json_array_size(list); i++)
        set_path(list, i, json_null());
    for (size_t i = 0; i < n_files; i++)
        set_path(list, files[i].attachment, text(files[i].path));
    return told(object);
}
