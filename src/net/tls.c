/* SPDX-License-Identifier: ISC */
/* OpenSSL over a descriptor: trust, handshake, bytes, and errors in plain words.
 *
 * The whole decision whom to trust is one function, verify(): OpenSSL calls it once per handshake,
 * before a byte of ours is sent, and a handshake that ends without its consent is refused. It also
 * keeps a reason while the certificate is at hand.
 *
 * Memory: the CA certificates are parsed once per process (838 kB, 33 ms), buffers are released
 * when idle, and equal certificates of many connections are kept once (6.6 kB each).
 * Refuses to know what the bytes mean. */
#include "net/tls.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    PIN_SIZE = 32, /* SHA-256 */
    PIN_TEXT = 2 * PIN_SIZE + 1,
    INTERNED_MAX = 64, /* certificates kept for sharing, per trust */
    NAMES_TOLD = 4,    /* of a certificate for somebody else */
    NAME_TOLD_MAX = 64
};

struct tls_trust {
    SSL_CTX *ctx;
    unsigned references; /* the owner's, and one for each connection */
    bool by_pin;
    bool by_chain;
    bool own_ca;
    unsigned char pin[PIN_SIZE];
    STACK_OF(X509) * interned;
};

struct tls {
    SSL *ssl;
    struct tls_trust *trust;
    char *name;      /* what the certificate must be for */
    bool verified;   /* verify() has consented */
    struct err *why; /* where verify() explains itself; set during tls_handshake() only */
    bool explained;
};

/* --- trust --- */

static X509_STORE *system_store; /* never freed: one for the life of the process */

/* Out of memory or a broken OpenSSL installation: neither has an answer. */
static void *
needed(void *p)
{
    if (p == NULL) {
        ERR_print_errors_fp(stderr);
        abort();
    }
    return p;
}

static X509_STORE *
take_system_store(void)
{
    if (system_store == NULL) {
        system_store = needed(X509_STORE_new());
        /* a system without CA files has an empty store; every certificate then says so */
        X509_STORE_set_default_paths(system_store);
        ERR_clear_error();
    }
    X509_STORE_up_ref(system_store);
    return system_store;
}

static X509_STORE *
load_store(const char *file, struct err *e)
{
    FILE *f = fopen(file, "re");
    if (f == NULL) {
        err_sys(e, ERR_CONFIG, errno, "tls_ca_file '%s'", file);
        return NULL;
    }
    fclose(f);
    X509_STORE *store = needed(X509_STORE_new());
    if (X509_STORE_load_file(store, file))
        return store;
    err_set(e, ERR_CONFIG, "tls_ca_file '%s': no certificate in PEM form in it", file);
    ERR_clear_error();
    X509_STORE_free(store);
    return NULL;
}

static int
parse_pin(struct tls_trust *t, const char *hex, struct err *e)
{
    if (hex == NULL)
        return 0;
    size_t n;
    t->by_pin = true;
    if (strlen(hex) == PIN_TEXT - 1 &&
        OPENSSL_hexstr2buf_ex(t->pin, sizeof t->pin, &n, hex, '\0') && n == PIN_SIZE)
        return 0;
    ERR_clear_error();
    return err_set(e, ERR_CONFIG, "tls_fingerprint: not 64 hex digits");
}

static int verify(X509_STORE_CTX *chain, void *unused);

static SSL_CTX *
new_ctx(X509_STORE *store)
{
    SSL_CTX *ctx = needed(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, verify, NULL);
    SSL_CTX_set_cert_store(ctx, store); /* takes the reference */
    return ctx;
}

struct tls_trust *
tls_trust_new(const char *ca_file, const char *fingerprint, struct err *e)
{
    struct tls_trust *t = xcalloc(1, sizeof *t);
    t->references = 1;
    t->own_ca = ca_file != NULL;
    X509_STORE *store = NULL;
    if (parse_pin(t, fingerprint, e) == 0)
        store = ca_file != NULL ? load_store(ca_file, e) : take_system_store();
    if (store == NULL) {
        free(t);
        return NULL;
    }
    t->by_chain = !t->by_pin || t->own_ca;
    t->ctx = new_ctx(store);
    t->interned = needed(sk_X509_new_null());
    return t;
}

void
tls_trust_free(struct tls_trust *t)
{
    if (t == NULL || --t->references > 0)
        return;
    SSL_CTX_free(t->ctx);
    sk_X509_pop_free(t->interned, X509_free);
    free(t);
}

/* --- why a certificate is refused --- */

static bool
digest_of(X509 *cert, unsigned char digest[static PIN_SIZE])
{
    unsigned n = 0;
    return X509_digest(cert, EVP_sha256(), digest, &n) && n == PIN_SIZE;
}

static void
hex_of(const unsigned char digest[static PIN_SIZE], char text[static PIN_TEXT])
{
    for (size_t i = 0; i < PIN_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

static void
explain_pin(const struct tls *t, const unsigned char found[static PIN_SIZE])
{
    char is[PIN_TEXT], pinned[PIN_TEXT];
    hex_of(found, is);
    hex_of(t->trust->pin, pinned);
    err_set(t->why, ERR_TLS, "certificate fingerprint is sha256:%s, not the pinned sha256:%s", is,
        pinned);
}

static void
explain_issuer(const struct tls *t, X509 *leaf)
{
    unsigned char digest[PIN_SIZE];
    char hex[PIN_TEXT] = "";
    if (digest_of(leaf, digest))
        hex_of(digest, hex);
    const char *who = t->trust->own_ca ? "a CA of tls_ca_file" : "a CA this system trusts";
    err_set(t->why, ERR_TLS,
        "certificate is not signed by %s; set tls_ca_file, or tls_fingerprint: sha256:%s", who,
        hex);
}

/* "certificate expired 3 days ago"; `whose` is the certificate of the server or of a CA. */
static void
explain_expiry(const struct tls *t, X509 *cert, const char *whose)
{
    int days = 0, seconds = 0;
    ASN1_TIME_diff(&days, &seconds, X509_get0_notAfter(cert), NULL);
    ERR_clear_error();
    if (days == 0)
        err_set(t->why, ERR_TLS, "%s expired today", whose);
    else
        err_set(t->why, ERR_TLS, "%s expired %d day%s ago", whose, days, days == 1 ? "" : "s");
}

static void
add_told(struct buf *out, const void *name, int n)
{
    struct buf visible = {0};
    struct span s = {name, n > 0 ? (size_t)n : 0};
    utf8_visible(&visible, s.n > NAME_TOLD_MAX ? (struct span){s.p, NAME_TOLD_MAX} : s);
    if (out->n > 0)
        buf_adds(out, ", ");
    buf_addspan(out, utf8_cut(buf_span(&visible), NAME_TOLD_MAX));
    buf_free(&visible);
}

static void
add_address(struct buf *out, const ASN1_OCTET_STRING *ip)
{
    char text[INET6_ADDRSTRLEN] = "";
    int n = ASN1_STRING_length(ip);
    if (n != 4 && n != 16)
        return;
    uv_inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip), text, sizeof text);
    add_told(out, text, (int)strlen(text));
}

static void
add_common_name(struct buf *out, X509 *cert)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (i < 0)
        return;
    const ASN1_STRING *cn = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i));
    add_told(out, ASN1_STRING_get0_data(cn), ASN1_STRING_length(cn));
}

/* The names a certificate is for, the first few of them. */
static void
add_names(struct buf *out, X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int count = names != NULL ? sk_GENERAL_NAME_num(names) : 0;
    for (int i = 0; i < count && i < NAMES_TOLD; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            add_told(
                out, ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName));
        else if (name->type == GEN_IPADD)
            add_address(out, name->d.iPAddress);
    }
    if (count > NAMES_TOLD)
        buf_adds(out, " and others");
    if (out->n == 0)
        add_common_name(out, cert);
    GENERAL_NAMES_free(names);
    ERR_clear_error();
}

static void
explain_name(const struct tls *t, X509 *leaf)
{
    struct buf names = {0};
    add_names(&names, leaf);
    err_set(t->why, ERR_TLS, "certificate is for %s, not for %.255s",
        names.n > 0 ? buf_str(&names) : "nobody", t->name);
    buf_free(&names);
}

static void
explain_chain(const struct tls *t, X509_STORE_CTX *chain)
{
    X509 *leaf = X509_STORE_CTX_get0_cert(chain);
    X509 *current = X509_STORE_CTX_get_current_cert(chain);
    bool of_ca = X509_STORE_CTX_get_error_depth(chain) > 0;
    const char *whose = of_ca ? "certificate of the server's CA" : "certificate";
    int error = X509_STORE_CTX_get_error(chain);
    switch (error) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
        explain_issuer(t, leaf);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        explain_expiry(t, current != NULL ? current : leaf, whose);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        err_set(t->why, ERR_TLS, "%s is not valid yet; is the clock of this machine right?", whose);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        explain_name(t, leaf);
        break;
    case X509_V_ERR_INVALID_PURPOSE:
        err_set(t->why, ERR_TLS, "%s is not meant for this use", whose);
        break;
    default:
        err_set(t->why, ERR_TLS, "%s refused: %s", whose, X509_verify_cert_error_string(error));
    }
}

/* --- the decision --- */

/* Puts one shared copy in the place of each certificate that other connections have shown too.
 * The list is the one that lives on in the session; the chain made of its old entries must go. */
static void
share_certificates(STACK_OF(X509) * known, X509_STORE_CTX *chain)
{
    STACK_OF(X509) *shown = X509_STORE_CTX_get0_untrusted(chain);
    X509_STORE_CTX_set0_verified_chain(chain, NULL);
    for (int i = 0; i < sk_X509_num(shown); i++) {
        X509 *cert = sk_X509_value(shown, i);
        int at = 0;
        while (at < sk_X509_num(known) && X509_cmp(sk_X509_value(known, at), cert) != 0)
            at++;
        if (at < sk_X509_num(known)) {
            X509 *same = sk_X509_value(known, at);
            X509_up_ref(same);
            sk_X509_set(shown, i, same);
            X509_free(cert);
        } else if (at < INTERNED_MAX && sk_X509_push(known, cert)) {
            X509_up_ref(cert);
        }
    }
}

static bool
matches_pin(const struct tls *t, X509 *leaf)
{
    unsigned char found[PIN_SIZE] = {0};
    if (digest_of(leaf, found) && CRYPTO_memcmp(found, t->trust->pin, PIN_SIZE) == 0)
        return true;
    explain_pin(t, found);
    return false;
}

static bool
is_trusted(const struct tls *t, X509_STORE_CTX *chain)
{
    if (t->trust->by_pin && !matches_pin(t, X509_STORE_CTX_get0_cert(chain))) {
        X509_STORE_CTX_set_error(chain, X509_V_ERR_APPLICATION_VERIFICATION);
        return false;
    }
    if (t->trust->by_chain && X509_verify_cert(chain) <= 0) {
        explain_chain(t, chain);
        return false;
    }
    return true;
}

static int
verify(X509_STORE_CTX *chain, void *unused)
{
    (void)unused;
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *t = SSL_get_app_data(ssl);
    t->verified = is_trusted(t, chain);
    t->explained = !t->verified;
    if (t->verified)
        share_certificates(t->trust->interned, chain);
    return t->verified;
}

/* --- connections --- */

/* The host as certificates and SNI write it: no brackets, no final dot. */
static char *
bare_name(const char *host)
{
    size_t n = strlen(host);
    if (n > 2 && host[0] == '[' && host[n - 1] == ']')
        return xstrndup(host + 1, n - 2);
    return xstrndup(host, n > 1 && host[n - 1] == '.' ? n - 1 : n);
}

static void
set_name(struct tls *t)
{
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), t->name))
        return;
    ERR_clear_error();
    SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    int set = SSL_set1_host(t->ssl, t->name);
    assert(set); /* or no name would be checked */
    (void)set;
    SSL_set_tlsext_host_name(t->ssl, t->name); /* fails for names over 255 bytes: then no SNI */
    ERR_clear_error();
}

struct tls *
tls_new(struct tls_trust *trust, int fd, const char *host)
{
    assert(host[0] != '\0'); /* OpenSSL takes "" for "any host" */
    struct tls *t = xcalloc(1, sizeof *t);
    t->trust = trust;
    trust->references++;
    t->name = bare_name(host);
    t->ssl = needed(SSL_new(trust->ctx));
    SSL_set_app_data(t->ssl, t);
    needed(SSL_set_fd(t->ssl, fd) ? t : NULL);
    SSL_set_connect_state(t->ssl);
    set_name(t);
    return t;
}

void
tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    SSL_free(t->ssl);
    tls_trust_free(t->trust);
    free(t->name);
    free(t);
}

/* --- results in plain words --- */

#define NOT_TLS "server does not speak TLS on this port; is it one for tls: starttls?"
#define OLD_TLS "server offers only versions of TLS before 1.2"

static const struct {
    int reason;
    const char *text;
} reasons[] = {
    {SSL_R_WRONG_VERSION_NUMBER, NOT_TLS},
    {SSL_R_HTTP_REQUEST, NOT_TLS},
    {SSL_R_PACKET_LENGTH_TOO_LONG, NOT_TLS},
    {SSL_R_UNSUPPORTED_PROTOCOL, OLD_TLS},
    {SSL_R_VERSION_TOO_LOW, OLD_TLS},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, OLD_TLS},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "server found no common TLS version or cipher"},
    {SSL_R_TLSV1_UNRECOGNIZED_NAME, "server does not know this host name"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "server wants a client certificate"},
};

static void
explain_reason(unsigned long code, struct err *e)
{
    int reason = ERR_GET_REASON(code);
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (ERR_GET_LIB(code) == ERR_LIB_SSL && reasons[i].reason == reason) {
            err_set(e, ERR_TLS, "%s", reasons[i].text);
            return;
        }
    const char *text = ERR_reason_error_string(code);
    err_set(e, ERR_TLS, "TLS failed: %s", text != NULL ? text : "no reason given");
}

static enum tls_want
went_away(int error, struct err *e)
{
    if (error == 0)
        return TLS_CLOSED;
    err_set(e, ERR_NET, "%s", uv_strerror(uv_translate_sys_error(error)));
    return TLS_FAILED;
}

/* What an operation that did not succeed means; drains OpenSSL's error queue. */
static enum tls_want
result_of(const struct tls *t, int returned, struct err *e)
{
    int error = errno;
    int result = SSL_get_error(t->ssl, returned);
    unsigned long code = ERR_peek_error();
    ERR_clear_error();
    switch (result) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_CLOSED;
    case SSL_ERROR_SYSCALL:
        return went_away(error, e);
    default:
        if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
            ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
            return TLS_CLOSED;
        explain_reason(code, e);
        return TLS_FAILED;
    }
}

/* A clean errno and queue before each call, or an old failure would be taken for its own. */
static void
begin_call(void)
{
    ERR_clear_error();
    errno = 0;
}

static enum tls_want
finished(const struct tls *t, struct err *e)
{
    if (t->verified)
        return TLS_DONE;
    err_set(e, ERR_TLS, "server showed no certificate");
    return TLS_FAILED;
}

enum tls_want
tls_handshake(struct tls *t, struct err *e)
{
    struct err refusal = {0};
    t->why = &refusal;
    begin_call();
    int returned = SSL_do_handshake(t->ssl);
    t->why = NULL;
    if (returned == 1)
        return finished(t, e);
    enum tls_want want = result_of(t, returned, e);
    if (want == TLS_CLOSED) {
        err_set(e, ERR_NET, "server closed the connection during the TLS handshake");
        return TLS_FAILED;
    }
    if (want == TLS_FAILED && t->explained)
        err_set(e, refusal.kind, "%s", refusal.text);
    return want;
}

enum tls_want
tls_read(struct tls *t, void *p, size_t n, size_t *done, struct err *e)
{
    begin_call();
    return SSL_read_ex(t->ssl, p, n, done) ? TLS_DONE : result_of(t, 0, e);
}

enum tls_want
tls_write(struct tls *t, const void *p, size_t n, size_t *done, struct err *e)
{
    begin_call();
    return SSL_write_ex(t->ssl, p, n, done) ? TLS_DONE : result_of(t, 0, e);
}

bool
tls_pending(const struct tls *t)
{
    return SSL_pending(t->ssl) > 0;
}

void
tls_shutdown(struct tls *t)
{
    if (SSL_is_init_finished(t->ssl))
        SSL_shutdown(t->ssl);
    ERR_clear_error();
}

void
tls_describe(const struct tls *t, char *p, size_t n)
{
    snprintf(p, n, "%s %s", SSL_get_version(t->ssl), SSL_get_cipher_name(t->ssl));
}
