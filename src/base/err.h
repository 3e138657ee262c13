/*
 * err: why something in the world failed; a kind for the policy, a text for people.
 * Never knows mail, files or time.
 *
 * The lowest function writes the fact, each level above may prefix its context once, and the one
 * who decides what happens next logs it, exactly once. Texts: lower case, no full stop, the object
 * first: "imap.example.org:993: certificate expired 3 days ago".
 */
#ifndef MAILCALL_BASE_ERR_H
#define MAILCALL_BASE_ERR_H

/* The kind chooses the policy and the exit code of a command; the text never does. */
enum err_kind {
    ERR_NONE,
    ERR_USAGE,    /* the command line is wrong */
    ERR_CONFIG,   /* the configuration is wrong */
    ERR_INPUT,    /* a file cannot be read */
    ERR_CREATE,   /* state or output cannot be created */
    ERR_IO,       /* reading or writing failed; disk full */
    ERR_HOST,     /* the host name is unknown */
    ERR_NET,      /* the server cannot be reached, or went away */
    ERR_TLS,      /* certificate, host name, fingerprint or handshake refused */
    ERR_PROTOCOL, /* the server does not speak IMAP as we understand it */
    ERR_AUTH,     /* the server refused the login, or the secret cannot be had */
    ERR_AGAIN,    /* temporary on the server's side: throttled, too many connections */
    ERR_MAILBOX,  /* the mailbox cannot be opened */
    ERR_SYSTEM,   /* the operating system refused something it should not */
};

struct err {
    enum err_kind kind;
    char text[512];
};

/* Fills *e; text that does not fit is cut. Always returns -1, so `return err_set(…)` reads well.
 * e may be NULL. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* As err_set, with ": " and the text of the errno value `number` appended. */
int err_sys(struct err *e, enum err_kind kind, int number, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Puts "context: " before the text, keeps the kind. Always returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
