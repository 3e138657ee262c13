/*
 * message: from the bytes of a mail to its facts (RFC 5322, 2047, 2231); the only user of GMime.
 * Never knows IMAP, rules, or where the bytes came from.
 *
 * Where good readers of mail differ, this one decides so:
 *
 * HEADER. Of two fields with one name the first counts. Addresses are told apart before anything
 * is decoded; `a@b (Name)` is the address a@b with the name Name; a group gives its members. Lines
 * that are no field are passed over, but those behind the last field are the body's. A mail
 * without any field is all body.
 *
 * TEXT is made of the text/plain and text/html parts that are no attachments. Of the ways that a
 * multipart/alternative offers, the first that has text/plain is taken, else the first that has
 * text/html; one that turns out blank is passed over. The parts of every other multipart are
 * joined by an empty line. A message inside the message is no part of its text. HTML becomes text
 * as mail/html.h says, format=flowed is joined (RFC 3676), uuencode and yEnc stay as they are.
 * Line ends become '\n', other control characters but tabs go, and so do empty lines at the end.
 *
 * CHARSET. A label means what senders mean by it: iso-8859-1 is windows-1252, gb2312 is gb18030.
 * Where there is none, or one that is unknown or says us-ascii, bytes are UTF-8 if they are valid
 * as such, else windows-1252; but HTML that is no UTF-8 may name its charset itself.
 *
 * ATTACHMENT is every part that is neither a container nor text, with or without a name
 * (text/calendar, message/delivery-status, winmail.dat). So is a text/plain or text/html part that
 * is marked as `attachment`, or has a file name; but not for the name alone where it is the whole
 * message, the first part of its multipart, or in a multipart/alternative. A message inside the
 * message is one attachment, whatever it holds; it goes by its subject and ".eml" if it has no
 * name. None are the signature of a multipart/signed, and in a multipart/alternative a text
 * without a name that is neither plain nor HTML nor a calendar (text/x-amp-html).
 * Inline are those the sender marked so, and those of a multipart/related that have a Content-ID
 * and no mark.
 *
 * NAME. `filename` before `name`, RFC 2231 before plain; pieces in the order of their numbers;
 * encoded words are decoded, though they are not allowed there.
 *
 * STRUCTURE. A multipart that names no boundary, or has no part, is read as plain text. Containers
 * in more than 100 others are not opened: they are attachments. After 10,000 parts the rest
 * belongs to the last.
 *
 * AUTHENTICATION-RESULTS. The first such field has to be of a trusted server, else none counts.
 * Then those of trusted servers count down to the first of another one, or to the next Received.
 */
#ifndef MAILCALL_MAIL_MESSAGE_H
#define MAILCALL_MAIL_MESSAGE_H

#include "base/buf.h"
#include "mail/facts.h"

/* Reads the header block at the front of `bytes` (LF or CRLF; it ends at the first empty line or at
 * the end). Total: any input gives facts, never an error; what cannot be decoded stays raw, made
 * valid. Each field is capped before a library sees it. `trusted` are the names of the servers
 * whose Authentication-Results count (empty or NULL: nobody's do). The caller frees. */
struct facts *message_facts(struct span bytes, const struct strv *trusted);

/* A whole message, to look into: its structure is read once. The bytes are borrowed for its life.
 */
struct message;
struct message *message_open(struct span bytes);
void message_free(struct message *m); /* NULL is fine */

/* As message_facts(), with text and attachments: `whole`. Total likewise. */
struct facts *message_whole_facts(struct message *m, const struct strv *trusted);

/* One attachment, decoded, piece by piece; i as in facts.attachments. NULL if there is none. */
struct part;
struct part *message_part(struct message *m, size_t i);
/* Fills up to n bytes; how many, 0 at the end. What cannot be decoded comes as it is. */
size_t part_read(struct part *p, char *bytes, size_t n);
void part_free(struct part *p); /* NULL is fine */

/* Every part of the message, the text and the containers too, for people who look at it. */
struct message_node {
    char *part; /* "" for the message itself */
    char *type;
    char *name;
    uint64_t size;
    unsigned depth;
};
struct message_nodes {
    struct message_node *v;
    size_t n;
};
void message_list(struct message *m, struct message_nodes *out); /* at most FACTS_ATTACHMENTS_MAX */
void message_nodes_free(struct message_nodes *nodes);            /* empty afterwards */

/* Loads all that reading may need later, converters of charsets above all: behind the sorter's door
 * no file can be opened. Once is enough; without it, things are loaded when they are needed. */
void message_prepare(void);

/* What the library does for the other files of this room. Each appends valid UTF-8. */
void message_decode_charset(struct buf *out, struct span label, struct span bytes);
void message_decode_words(struct buf *out, struct span raw); /* unstructured text, RFC 2047 */
/* Reads the content of a Date field: seconds since 1970. False if it is unreadable. */
bool message_date(struct span raw, int64_t *seconds);

#endif
