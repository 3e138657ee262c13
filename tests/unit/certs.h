/* certs: throwaway certificates for tests, made with OpenSSL: EC P-256, signed by whom you like. */
#ifndef MAILCALL_TESTS_CERTS_H
#define MAILCALL_TESTS_CERTS_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { DAY = 24 * 60 * 60 };

struct cert_plan {
    const char *common_name;
    const char *san; /* as in openssl.cnf: "DNS:localhost,IP:127.0.0.1", or NULL */
    int from_days;   /* relative to now */
    int until_days;
    bool ca;
};

struct identity {
    X509 *cert;
    EVP_PKEY *key;
};

static void
certs_add(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (extension == NULL || !X509_add_ext(cert, extension, -1))
        abort();
    X509_EXTENSION_free(extension);
}

/* issuer NULL: self-signed. */
static struct identity
certs_make(const struct cert_plan *plan, const struct identity *issuer)
{
    static long serial;
    struct identity made = {X509_new(), EVP_EC_gen("P-256")};
    const struct identity *by = issuer != NULL ? issuer : &made;
    X509_NAME *name = X509_get_subject_name(made.cert);
    X509_set_version(made.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.cert), ++serial);
    X509_NAME_add_entry_by_txt(
        name, "CN", MBSTRING_ASC, (const unsigned char *)plan->common_name, -1, -1, 0);
    X509_set_issuer_name(made.cert, X509_get_subject_name(by->cert));
    X509_gmtime_adj(X509_getm_notBefore(made.cert), (long)plan->from_days * DAY);
    X509_gmtime_adj(X509_getm_notAfter(made.cert), (long)plan->until_days * DAY);
    X509_set_pubkey(made.cert, made.key);
    certs_add(made.cert, by->cert, NID_basic_constraints,
        plan->ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (plan->san != NULL)
        certs_add(made.cert, by->cert, NID_subject_alt_name, plan->san);
    if (!X509_sign(made.cert, by->key, EVP_sha256()))
        abort();
    return made;
}

static void
certs_free(struct identity *i)
{
    X509_free(i->cert);
    EVP_PKEY_free(i->key);
    *i = (struct identity){0};
}

static void
certs_save(const struct identity *i, const char *path)
{
    FILE *f = fopen(path, "w");
    if (f == NULL || !PEM_write_X509(f, i->cert))
        abort();
    fclose(f);
}

/* 64 lower-case hex digits. */
static void
certs_fingerprint(const struct identity *i, char hex[static 65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    X509_digest(i->cert, EVP_sha256(), digest, &n);
    for (unsigned at = 0; at < n; at++)
        snprintf(hex + 2 * at, 3, "%02x", digest[at]);
}

#endif
