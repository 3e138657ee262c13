/*
 * tls: TLS over a non-blocking descriptor, and whom we trust; the only user of OpenSSL for it.
 * Never knows IMAP.
 *
 * TLS 1.2 or newer, SNI and verification always on. With a fingerprint the pin is the trust: the
 * leaf certificate's SHA-256 must equal it, and its chain, name and dates are not looked at
 * (a CA file given as well must verify too, name and dates included).
 */
#ifndef MAILCALL_NET_TLS_H
#define MAILCALL_NET_TLS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct tls_trust;
struct tls;

/* ca_file NULL: the system's CAs (OpenSSL's defaults, SSL_CERT_FILE included). fingerprint NULL or
 * 64 lower-case hex digits. The certificate store is shared by all connections of this trust.
 * NULL with *e (ERR_CONFIG: the file). */
struct tls_trust *tls_trust_new(const char *ca_file, const char *fingerprint, struct err *e);
void tls_trust_free(struct tls_trust *t); /* NULL is fine; connections keep what they need */

enum tls_want { TLS_DONE, TLS_WANT_READ, TLS_WANT_WRITE, TLS_CLOSED, TLS_FAILED };

/* fd is connected, non-blocking, and stays the caller's. host: name or address literal, used for
 * SNI (names only) and checked against the certificate. */
struct tls *tls_new(struct tls_trust *trust, int fd, const char *host);
void tls_free(struct tls *t); /* NULL is fine; sends nothing */

/* TLS_FAILED: *e says why in words a user can act on (ERR_TLS; ERR_NET if the peer went away).
 * The texts do not name the host, except for a certificate of another one. What a certificate
 * says in them is bounded and made visible. Never TLS_CLOSED. */
enum tls_want tls_handshake(struct tls *t, struct err *e);
/* *done is how many bytes were read or written when TLS_DONE; n > 0. A peer that goes away without
 * close_notify, as many do, is TLS_CLOSED too: IMAP shows by itself where a reply ends. */
enum tls_want tls_read(struct tls *t, void *p, size_t n, size_t *done, struct err *e);
enum tls_want tls_write(struct tls *t, const void *p, size_t n, size_t *done, struct err *e);
/* Bytes decrypted but not read yet: reading must go on without waiting for the descriptor. */
bool tls_pending(const struct tls *t);
void tls_shutdown(struct tls *t); /* close_notify, best effort */
/* "TLSv1.3 TLS_AES_256_GCM_SHA384", once the handshake is done. */
void tls_describe(const struct tls *t, char *p, size_t n);

#endif
