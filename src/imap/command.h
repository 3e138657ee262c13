/*
 * command: one request to the server being written (RFC 3501 section 2.2.1, 7888 for literals).
 * Never knows sockets, TLS, timers, rules, hooks or logging.
 */
#ifndef MAILCALL_IMAP_COMMAND_H
#define MAILCALL_IMAP_COMMAND_H

#include "base/buf.h"
#include "base/err.h"

/* Which literals the server takes without being asked first. */
enum command_literals {
    COMMAND_SYNC,  /* none: wait for its "+" */
    COMMAND_MINUS, /* up to 4096 bytes */
    COMMAND_PLUS,
};

enum { COMMAND_STOPS = 4 };

/* All zero is no command. */
struct command {
    struct buf bytes;
    size_t sent;
    size_t stops[COMMAND_STOPS]; /* where to wait for "+" */
    unsigned n_stops;
    unsigned stops_passed;
    enum command_literals literals;
    bool used_plus; /* a literal went without being asked for */
};

/* "t7 VERB": what follows is appended with the functions below. */
void command_begin(struct command *c, unsigned tag, const char *verb, enum command_literals l);
/* " argument", as it is. */
void command_raw(struct command *c, const char *argument);
/* The same for a secret, which leaves no copies behind in memory given back. */
void command_secret(struct command *c, struct span argument);
/* " argument", quoted or as a literal. CR, LF and NUL are refused. Returns 0 or -1. */
int command_astring(struct command *c, struct span argument, const char *what, struct err *e);
/* " mailbox" from its UTF-8 name with '/' between its levels; the server's separator instead. */
int command_mailbox(struct command *c, const char *name, char separator, struct err *e);
/* " (flag)". What is no atom, with or without a leading backslash, is refused. */
int command_flag(struct command *c, const char *flag, struct err *e);
/* Ends the line. */
void command_end(struct command *c);
/* Appends to out what may be sent now; true if the rest waits for a "+", then call again. */
bool command_send(struct command *c, struct buf *out);
/* Overwrites and frees the bytes; no command afterwards. */
void command_wipe(struct command *c);

#endif
