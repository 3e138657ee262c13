/*
 * url: what may go to a server as a name, and how an account is written in one word.
 * Never knows YAML; config_url() itself is in config/config.h.
 */
#ifndef MAILCALL_CONFIG_URL_H
#define MAILCALL_CONFIG_URL_H

#include "base/err.h"
#include "net/stream.h"

/* Names and passwords become IMAP strings, hosts go to DNS and TLS: valid UTF-8, not empty, no
 * control characters, at most 1000 bytes. Returns 0, or -1 with a text about `what`. */
int wire_check(const char *text, const char *what, struct err *e);
/* wire_check(), and a '/' only between levels. */
int mailbox_check(const char *mailbox, struct err *e);
/* wire_check(), and only what a host name or an address may hold. */
int host_check(const char *host, struct err *e);
/* localhost, 127.0.0.0/8, ::1 */
bool host_is_loopback(const char *host);
unsigned short port_of(enum stream_tls tls); /* 993 or 143 */

#endif
