/* net: dialing, TLS and streams against servers in threads of this process, on loopback. The name
 * resolver is our own getaddrinfo(), put before libc's by the linker. */
#include "base/mem.h"
#include "net/dial.h"
#include "net/stream.h"
#include "sys/clock.h"

#include "certs.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { BIG = 5 * 1024 * 1024 };

static struct loop *loop;
static char folder[] = "/tmp/mailcall-net-XXXXXX";
static char *ca_file, *other_ca_file, *empty_file;
static struct identity ca, other_ca;
static struct identity good, elsewhere, hostile, expired, early;

/* --- names --- */

static sem_t slow_lookup;

static struct addrinfo *
literal(const char *address)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(
            RTLD_NEXT, "getaddrinfo");
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *a = NULL;
    if (real(address, NULL, &hints, &a) != 0)
        abort();
    return a;
}

/* libuv calls this one. IPv4 first, so that what comes out interleaved was done by dial. */
int
getaddrinfo(const char *restrict name, const char *restrict service,
    const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
    (void)service;
    (void)hints;
    if (strcmp(name, "slow.test") == 0)
        sem_wait(&slow_lookup);
    if (strcmp(name, "again.test") == 0)
        return EAI_AGAIN;
    if (strcmp(name, "no-such-host.invalid") == 0)
        return EAI_NONAME;
    *found = literal("127.0.0.1");
    if (strcmp(name, "both.test") == 0)
        (*found)->ai_next = literal("::1");
    if (strcmp(name, "public.test") == 0) {
        freeaddrinfo(*found);
        *found = literal("192.0.2.1");
    }
    return 0;
}

/* --- servers --- */

struct server {
    pthread_t thread;
    int listener;
    unsigned short port;
    int fd;
    SSL_CTX *ctx;
    SSL *ssl; /* NULL: plain */
    void (*play)(struct server *s);
    struct buf seen;
};

static void
start_tls(struct server *s)
{
    s->ssl = SSL_new(s->ctx);
    SSL_set_fd(s->ssl, s->fd);
    if (SSL_accept(s->ssl) != 1)
        ERR_clear_error(); /* the client refused us: the next read says so */
}

/* 0: the end. */
static size_t
hear(struct server *s, void *p, size_t n)
{
    ssize_t got = s->ssl != NULL ? SSL_read(s->ssl, p, (int)n) : read(s->fd, p, n);
    return got > 0 ? (size_t)got : 0;
}

static void
say(struct server *s, const void *p, size_t n)
{
    const char *from = p;
    while (n > 0) {
        ssize_t put = s->ssl != NULL ? SSL_write(s->ssl, from, (int)n) : write(s->fd, from, n);
        if (put <= 0)
            return;
        from += put;
        n -= (size_t)put;
    }
}

static void *
serve(void *arg)
{
    struct server *s = arg;
    s->fd = accept(s->listener, NULL, NULL);
    if (s->fd >= 0)
        s->play(s);
    SSL_free(s->ssl);
    ERR_clear_error();
    if (s->fd >= 0)
        close(s->fd);
    return NULL;
}

static int
listen_on(int family, unsigned short *port, int backlog)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = {.v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
    if (family == AF_INET)
        a.v4 =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    a.v4.sin_port = htons(*port); /* at the same place in both */
    socklen_t n = family == AF_INET ? sizeof a.v4 : sizeof a.v6;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, &a.any, n) != 0 || listen(fd, backlog) != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    getsockname(fd, &a.any, &n);
    *port = ntohs(a.v4.sin_port);
    return fd;
}

static SSL_CTX *
server_ctx(const struct identity *id)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(ctx, id->cert);
    SSL_CTX_use_PrivateKey(ctx, id->key);
    return ctx;
}

/* id NULL: a server without TLS. */
static void
server_start(struct server *s, const struct identity *id, void (*play)(struct server *s))
{
    *s = (struct server){.fd = -1, .play = play};
    s->listener = listen_on(AF_INET, &s->port, 5);
    assert_true(s->listener >= 0);
    if (id != NULL)
        s->ctx = server_ctx(id);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void
server_stop(struct server *s)
{
    pthread_join(s->thread, NULL);
    close(s->listener);
    SSL_CTX_free(s->ctx);
    buf_free(&s->seen);
}

/* --- clients --- */

struct client {
    struct stream *stream;
    struct stream_opts opts;
    struct tls_trust *trust;
    int opened, secured, inputs, lost;
    bool in_call; /* inside a call of ours, where no event may come */
    bool hold;    /* input is left where it is */
    enum stream_event close_at;
    bool closes;
    struct buf got;
};

static void
client_take(struct client *c)
{
    struct span in = stream_input(c->stream);
    assert_true(in.n <= 64 * 1024);
    buf_addspan(&c->got, in);
    stream_eat(c->stream, in.n);
}

static void
on_event(void *arg, enum stream_event event)
{
    struct client *c = arg;
    assert_false(c->in_call);
    assert_int_equal(c->lost, 0);
    int *const counts[] = {&c->opened, &c->secured, &c->inputs, &c->lost};
    ++*counts[event];
    c->in_call = true;
    if (c->closes && event == c->close_at) {
        stream_close(c->stream);
        c->stream = NULL;
    } else if (event == STREAM_INPUT && !c->hold) {
        client_take(c);
    }
    c->in_call = false;
}

static void
client_start(struct client *c, const char *host, unsigned short port, enum stream_tls tls)
{
    *c = (struct client){.opts = {.host = xstrdup(host), .port = port, .tls = tls}};
    struct err e;
    c->trust = tls_trust_new(ca_file, NULL, &e);
    assert_non_null(c->trust);
    c->stream = stream_new(loop, &c->opts, c->trust, on_event, c);
}

static void
client_stop(struct client *c)
{
    stream_close(c->stream);
    loop_turn(loop, false);
    tls_trust_free(c->trust);
    stream_opts_free(&c->opts);
    buf_free(&c->got);
}

static void
client_send(struct client *c, struct span bytes)
{
    c->in_call = true;
    stream_send(c->stream, bytes);
    stream_flush(c->stream);
    c->in_call = false;
}

static void
until(const int *count)
{
    while (*count == 0)
        loop_turn(loop, true);
}

static void
until_open(struct client *c)
{
    while (c->opened == 0 && c->lost == 0)
        loop_turn(loop, true);
    if (c->lost > 0)
        fail_msg("%s", stream_error(c->stream)->text);
}

static void
until_got(struct client *c, size_t n)
{
    while (c->got.n < n && c->lost == 0)
        loop_turn(loop, true);
}

static void
assert_lost(struct client *c, enum err_kind kind, const char *reason)
{
    until(&c->lost);
    for (int i = 0; i < 3; i++)
        loop_turn(loop, false);
    assert_int_equal(c->lost, 1);
    const char *text = stream_error(c->stream)->text;
    if (strstr(text, reason) == NULL)
        fail_msg("'%s' says nothing of '%s'", text, reason);
    assert_int_equal(stream_error(c->stream)->kind, kind);
}

/* --- plays --- */

static void
echo_on(struct server *s)
{
    char bytes[20000];
    size_t n;
    while ((n = hear(s, bytes, sizeof bytes)) > 0) {
        buf_add(&s->seen, bytes, n);
        say(s, bytes, n);
    }
}

static void
echo(struct server *s)
{
    if (s->ctx != NULL)
        start_tls(s);
    echo_on(s);
}

static char
pattern(size_t at)
{
    return (char)(at * 31 + at / 1000);
}

static void
swallow_and_return(struct server *s)
{
    if (s->ctx != NULL)
        start_tls(s);
    char bytes[20000];
    while (s->seen.n < BIG) {
        size_t n = hear(s, bytes, sizeof bytes);
        if (n == 0)
            return;
        buf_add(&s->seen, bytes, n);
    }
    say(s, s->seen.p, s->seen.n);
    hear(s, bytes, 1);
}

static void
say_bye(struct server *s)
{
    if (s->ctx != NULL)
        start_tls(s);
    say(s, "* BYE\r\n", 7);
    if (s->ssl != NULL && s->port % 2 == 0)
        SSL_shutdown(s->ssl); /* some do, many do not */
}

static void
greet_in_plain(struct server *s)
{
    char byte;
    say(s, "* OK IMAP4rev1 ready\r\n", 22);
    while (hear(s, &byte, 1) > 0)
        continue;
}

static void
hang_up_at_hello(struct server *s)
{
    char bytes[4000];
    hear(s, bytes, sizeof bytes);
}

static void
starttls_and_echo(struct server *s)
{
    char bytes[100];
    say(s, "* OK\r\n", 6);
    size_t n = hear(s, bytes, sizeof bytes);
    buf_add(&s->seen, bytes, n);
    say(s, "a OK\r\n", 6);
    start_tls(s);
    echo_on(s);
}

static void
write_a_megabyte(struct server *s)
{
    if (s->ctx != NULL)
        start_tls(s);
    struct buf all = {0};
    for (size_t i = 0; i < 1024 * 1024; i++)
        buf_addc(&all, pattern(i));
    say(s, all.p, all.n);
    buf_free(&all);
    char byte;
    hear(s, &byte, 1);
}

/* The last record does not fit into what 60000 bytes leave of the client's buffer. */
static void
write_over_the_edge(struct server *s)
{
    start_tls(s);
    char bytes[60000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = pattern(i);
    say(s, bytes, 60000);
    say(s, bytes, 16000);
    hear(s, bytes, 1);
}

static void
note_name(struct server *s)
{
    start_tls(s);
    const char *name = SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name);
    buf_adds(&s->seen, name != NULL ? name : "nobody");
    say(s, "x", 1);
}

static void
reset(struct server *s)
{
    char byte;
    hear(s, &byte, 1);
    struct linger now = {.l_onoff = 1};
    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* --- bytes --- */

static void
tls_carries_bytes_both_ways(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_start(&s, &good, echo);
    client_start(&c, "localhost", s.port, STREAM_IMPLICIT);
    until_open(&c);
    client_send(&c, SPAN("a LOGIN\r\n"));
    until_got(&c, 9);
    assert_string_equal(buf_str(&c.got), "a LOGIN\r\n");
    char about[120], want[120];
    stream_describe(c.stream, about, sizeof about);
    snprintf(want, sizeof want, "127.0.0.1:%d, TLSv1.3 TLS_", s.port);
    assert_memory_equal(about, want, strlen(want));
    assert_int_equal(stream_error(c.stream)->kind, ERR_NONE);
    client_stop(&c);
    server_stop(&s);
}

static void
carry_five_megabytes(const struct identity *id, int max_version)
{
    struct server s;
    struct client c;
    server_start(&s, id, swallow_and_return);
    if (id != NULL)
        SSL_CTX_set_max_proto_version(s.ctx, max_version);
    client_start(&c, "localhost", s.port, id != NULL ? STREAM_IMPLICIT : STREAM_PLAIN);
    until_open(&c);
    struct buf all = {0};
    for (size_t i = 0; i < BIG; i++)
        buf_addc(&all, pattern(i));
    stream_reply_due(c.stream, true);
    client_send(&c, buf_span(&all));
    until_got(&c, BIG);
    assert_true(span_eq(buf_span(&c.got), buf_span(&all)));
    buf_free(&all);
    client_stop(&c);
    server_stop(&s);
}

static void
five_megabytes_both_ways(void **state)
{
    (void)state;
    carry_five_megabytes(NULL, 0);
    carry_five_megabytes(&good, TLS1_3_VERSION);
    carry_five_megabytes(&good, TLS1_2_VERSION);
}

static void
reading_waits_while_input_is_full(void **state)
{
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct server s;
        struct client c;
        server_start(&s, tls ? &good : NULL, write_a_megabyte);
        client_start(&c, "localhost", s.port, tls ? STREAM_IMPLICIT : STREAM_PLAIN);
        c.hold = true;
        while (c.stream != NULL && stream_input(c.stream).n < 64 * 1024)
            loop_turn(loop, true);
        int inputs = c.inputs;
        for (int i = 0; i < 5; i++)
            loop_turn(loop, false);
        assert_int_equal(c.inputs, inputs);
        assert_int_equal(stream_input(c.stream).n, 64 * 1024);
        stream_eat(c.stream, 1000); /* room for less than a TLS record: the rest is pending */
        while (stream_input(c.stream).n < 64 * 1024)
            loop_turn(loop, true);
        assert_int_equal(stream_input(c.stream).p[0], pattern(1000));
        c.hold = false;
        buf_add(&c.got, "", 0);
        client_take(&c);
        until_got(&c, 1024 * 1024 - 1000);
        assert_int_equal(c.got.n, 1024 * 1024 - 1000);
        for (size_t i = 0; i < c.got.n; i++)
            if (c.got.p[i] != pattern(i + 1000))
                fail_msg("byte %zu", i);
        client_stop(&c);
        server_stop(&s);
    }
}

static void
what_tls_holds_back_is_read_without_the_socket(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_start(&s, &good, write_over_the_edge);
    client_start(&c, "localhost", s.port, STREAM_IMPLICIT);
    c.hold = true;
    while (stream_input(c.stream).n < 64 * 1024)
        loop_turn(loop, true);
    c.hold = false;
    client_take(&c); /* the socket is empty now and the server waits */
    until_got(&c, 76000);
    assert_int_equal(c.got.p[75999], pattern(15999));
    client_stop(&c);
    server_stop(&s);
}

static void
only_what_was_flushed_leaves(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_start(&s, NULL, echo);
    client_start(&c, "localhost", s.port, STREAM_PLAIN);
    stream_send(c.stream, SPAN("one "));
    stream_flush(c.stream); /* not open yet */
    until_open(&c);
    client_send(&c, SPAN("two"));
    stream_send(c.stream, SPAN(" three"));
    until_got(&c, 7);
    for (int i = 0; i < 3; i++)
        loop_turn(loop, false);
    client_stop(&c);
    pthread_join(s.thread, NULL);
    assert_string_equal(buf_str(&s.seen), "one two");
    s.thread = pthread_self();
    close(s.listener);
    buf_free(&s.seen);
}

/* --- ends --- */

static void
the_last_words_come_before_the_end(void **state)
{
    (void)state;
    for (int round = 0; round < 6; round++) {
        struct server s;
        struct client c;
        bool tls = round > 1;
        server_start(&s, tls ? &good : NULL, say_bye);
        client_start(&c, "localhost", s.port, tls ? STREAM_IMPLICIT : STREAM_PLAIN);
        char want[80];
        snprintf(want, sizeof want, "localhost:%d: server closed the connection", s.port);
        assert_lost(&c, ERR_NET, want);
        assert_string_equal(buf_str(&c.got), "* BYE\r\n");
        stream_send(c.stream, SPAN("late")); /* harmless */
        stream_flush(c.stream);
        client_stop(&c);
        server_stop(&s);
    }
}

static void
a_reset_is_told_later_never_inside_a_call(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_start(&s, NULL, reset);
    client_start(&c, "127.0.0.1", s.port, STREAM_PLAIN);
    until_open(&c);
    client_send(&c, SPAN("x"));
    pthread_join(s.thread, NULL); /* the connection is gone, and the loop has not seen it yet */
    client_send(&c, SPAN("y"));
    client_send(&c, SPAN("z"));
    assert_int_equal(c.lost, 0);
    assert_lost(&c, ERR_NET, "127.0.0.1:");
    client_stop(&c);
    close(s.listener);
}

static void
closed_inside_any_event_it_is_silent(void **state)
{
    (void)state;
    for (int when = STREAM_OPEN; when <= STREAM_LOST; when++) {
        struct server s;
        struct client c;
        server_start(&s, &good, when == STREAM_SECURED ? starttls_and_echo : say_bye);
        client_start(
            &c, "localhost", s.port, when == STREAM_SECURED ? STREAM_STARTTLS : STREAM_IMPLICIT);
        c.closes = true;
        c.close_at = (enum stream_event)when;
        if (when == STREAM_SECURED) {
            until_got(&c, 6);
            client_send(&c, SPAN("a STARTTLS\r\n"));
            until_got(&c, 12);
            stream_secure(c.stream);
        }
        while (c.stream != NULL)
            loop_turn(loop, true);
        int events = c.opened + c.secured + c.inputs + c.lost;
        for (int i = 0; i < 3; i++)
            loop_turn(loop, false);
        assert_int_equal(c.opened + c.secured + c.inputs + c.lost, events);
        client_stop(&c);
        server_stop(&s);
    }
}

static void
closed_while_it_dials_or_shakes_hands_it_is_silent(void **state)
{
    (void)state;
    struct client c;
    client_start(&c, "slow.test", 1, STREAM_IMPLICIT);
    loop_turn(loop, false);
    client_stop(&c);
    sem_post(&slow_lookup);

    struct server s;
    server_start(&s, NULL, greet_in_plain);
    client_start(&c, "localhost", s.port, STREAM_IMPLICIT);
    client_stop(&c);
    client_start(&c, "127.0.0.1", s.port, STREAM_IMPLICIT);
    loop_turn(loop, true);
    client_stop(&c);
    server_stop(&s);
    assert_int_equal(c.opened + c.lost, 0);
}

/* --- trust --- */

static void
certificates_are_refused_in_plain_words(void **state)
{
    (void)state;
    char good_pin[65], bad_pin[65], expired_pin[65], untrusted[200], mispinned[200];
    certs_fingerprint(&good, good_pin);
    certs_fingerprint(&expired, expired_pin);
    memset(bad_pin, 'a', 64);
    bad_pin[64] = '\0';
    snprintf(untrusted, sizeof untrusted,
        "certificate is not signed by a CA of tls_ca_file; set tls_ca_file, or tls_fingerprint: "
        "sha256:%s",
        good_pin);
    snprintf(mispinned, sizeof mispinned,
        "certificate fingerprint is sha256:%s, not the pinned sha256:%s", good_pin, bad_pin);
    const struct {
        const struct identity *id;
        const char *ca, *pin, *host;
        const char *refused; /* NULL: accepted */
    } table[] = {
        {&good, ca_file, NULL, "localhost", NULL},
        {&good, ca_file, NULL, "127.0.0.1", NULL},
        {&good, ca_file, NULL, "localhost.", NULL},
        {&good, other_ca_file, NULL, "localhost", untrusted},
        {&good, NULL, NULL, "localhost", "not signed by a CA this system trusts; set"},
        {&elsewhere, ca_file, NULL, "localhost",
            "certificate is for mail.example.net, 192.0.2.7, not for localhost"},
        {&elsewhere, ca_file, NULL, "127.0.0.1", "192.0.2.7, not for 127.0.0.1"},
        {&hostile, ca_file, NULL, "localhost",
            "certificate is for \\e[31mred\\tx, b.test, c.test, d.test and others, not for"},
        {&expired, ca_file, NULL, "localhost", "certificate expired 3 days ago"},
        {&early, ca_file, NULL, "localhost", "certificate is not valid yet"},
        {&good, NULL, good_pin, "localhost", NULL},
        {&expired, NULL, expired_pin, "127.0.0.1", NULL},
        {&good, NULL, bad_pin, "localhost", mispinned},
        {&good, ca_file, good_pin, "localhost", NULL},
        {&good, ca_file, bad_pin, "localhost", mispinned},
        {&good, other_ca_file, good_pin, "localhost", untrusted},
        {&expired, ca_file, expired_pin, "localhost", "certificate expired 3 days ago"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct server s;
        struct client c;
        struct err e;
        server_start(&s, table[i].id, echo);
        client_start(&c, table[i].host, s.port, STREAM_IMPLICIT);
        tls_trust_free(c.trust);
        stream_close(c.stream);
        c.trust = tls_trust_new(table[i].ca, table[i].pin, &e);
        assert_non_null(c.trust);
        c.stream = stream_new(loop, &c.opts, c.trust, on_event, &c);
        if (table[i].refused == NULL) {
            until_open(&c);
        } else {
            assert_lost(&c, ERR_TLS, table[i].refused);
            assert_int_equal(c.opened, 0);
            for (const char *p = stream_error(c.stream)->text; *p != '\0'; p++)
                assert_true((unsigned char)*p >= 0x20);
        }
        client_stop(&c);
        server_stop(&s);
    }
}

static void
the_server_is_told_names_but_no_addresses(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"localhost", "localhost"}, {"localhost.", "localhost"}, {"127.0.0.1", "nobody"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct server s;
        struct client c;
        server_start(&s, &good, note_name);
        client_start(&c, table[i][0], s.port, STREAM_IMPLICIT);
        until_got(&c, 1);
        assert_string_equal(buf_str(&s.seen), table[i][1]);
        client_stop(&c);
        server_stop(&s);
    }
}

static void
a_trust_may_go_before_its_connections(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_start(&s, &good, echo);
    client_start(&c, "localhost", s.port, STREAM_IMPLICIT);
    until_open(&c);
    tls_trust_free(c.trust);
    c.trust = NULL;
    client_send(&c, SPAN("x"));
    until_got(&c, 1);
    client_stop(&c);
    server_stop(&s);
}

static void
many_connections_share_a_trust(void **state)
{
    (void)state;
    enum { COUNT = 5 };
    struct server s[COUNT];
    struct client c[COUNT];
    for (int i = 0; i < COUNT; i++) {
        server_start(&s[i], &good, echo);
        client_start(&c[i], "localhost", s[i].port, STREAM_IMPLICIT);
        if (i > 0) {
            stream_close(c[i].stream);
            c[i].stream = stream_new(loop, &c[i].opts, c[0].trust, on_event, &c[i]);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        until_open(&c[i]);
        client_send(&c[i], SPAN("hello"));
        until_got(&c[i], 5);
    }
    for (int i = 0; i < COUNT; i++) {
        client_stop(&c[i]);
        server_stop(&s[i]);
    }
}

static void
a_bad_ca_file_or_fingerprint_is_a_config_error(void **state)
{
    (void)state;
    struct err e;
    assert_null(tls_trust_new("/no/such/file", NULL, &e));
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_non_null(strstr(e.text, "tls_ca_file '/no/such/file': "));
    assert_null(tls_trust_new(empty_file, NULL, &e));
    assert_int_equal(e.kind, ERR_CONFIG);
    assert_non_null(strstr(e.text, "no certificate"));
    assert_null(tls_trust_new(NULL, "abcd", &e));
    assert_int_equal(e.kind, ERR_CONFIG);
}

/* --- handshakes that fail --- */

static void
old_tls_is_refused(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_start(&s, &good, echo);
    SSL_CTX_set_min_proto_version(s.ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(s.ctx, TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(s.ctx, "ALL:@SECLEVEL=0");
    client_start(&c, "localhost", s.port, STREAM_IMPLICIT);
    assert_lost(&c, ERR_TLS, "server offers only versions of TLS before 1.2");
    client_stop(&c);
    server_stop(&s);
}

static void
a_plain_server_on_a_tls_port_is_recognised(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_start(&s, NULL, greet_in_plain);
    client_start(&c, "localhost", s.port, STREAM_IMPLICIT);
    assert_lost(&c, ERR_TLS, "server does not speak TLS on this port");
    assert_int_equal(c.got.n, 0);
    client_stop(&c);
    server_stop(&s);
}

static void
hanging_up_at_the_handshake_is_the_nets_fault(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_start(&s, NULL, hang_up_at_hello);
    client_start(&c, "localhost", s.port, STREAM_IMPLICIT);
    assert_lost(&c, ERR_NET, "server closed the connection during the TLS handshake");
    client_stop(&c);
    server_stop(&s);
}

/* --- STARTTLS --- */

static void
starttls_secures_what_follows(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_start(&s, &good, starttls_and_echo);
    client_start(&c, "localhost", s.port, STREAM_STARTTLS);
    until_open(&c);
    until_got(&c, 6);
    client_send(&c, SPAN("a STARTTLS\r\n"));
    until_got(&c, 12);
    c.in_call = true;
    stream_secure(c.stream);
    c.in_call = false;
    client_send(&c, SPAN("secret")); /* waits, and does not leave in plain */
    until(&c.secured);
    assert_int_equal(c.opened, 1);
    client_send(&c, SPAN("\r\n"));
    until_got(&c, 20);
    assert_string_equal(buf_str(&c.got), "* OK\r\na OK\r\nsecret\r\n");
    client_stop(&c);
    pthread_join(s.thread, NULL);
    assert_string_equal(buf_str(&s.seen), "a STARTTLS\r\nsecret\r\n");
    close(s.listener);
    SSL_CTX_free(s.ctx);
    buf_free(&s.seen);
}

static void
starttls_checks_the_certificate_too(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_start(&s, &elsewhere, starttls_and_echo);
    client_start(&c, "localhost", s.port, STREAM_STARTTLS);
    until_got(&c, 6);
    client_send(&c, SPAN("a STARTTLS\r\n"));
    until_got(&c, 12);
    stream_secure(c.stream);
    assert_lost(&c, ERR_TLS, "not for localhost");
    assert_int_equal(c.secured, 0);
    client_stop(&c);
    server_stop(&s);
}

static void
plain_text_behind_starttls_loses_the_stream(void **state)
{
    (void)state;
    struct server s;
    struct client c;
    server_start(&s, NULL, greet_in_plain);
    client_start(&c, "localhost", s.port, STREAM_STARTTLS);
    c.hold = true;
    until(&c.inputs);
    c.in_call = true;
    stream_secure(c.stream);
    c.in_call = false;
    assert_lost(&c, ERR_TLS, "plain text where its TLS handshake was due");
    client_stop(&c);
    server_stop(&s);
}

/* --- dialing --- */

static void
failures_to_connect_name_host_and_reason_once(void **state)
{
    (void)state;
    unsigned short port = 0;
    close(listen_on(AF_INET, &port, 1)); /* nobody listens there now */
    const struct {
        const char *host;
        enum stream_tls tls;
        enum err_kind kind;
        const char *want; /* %d is the port */
    } table[] = {
        {"localhost", STREAM_IMPLICIT, ERR_NET, "localhost:%d: connection refused"},
        {"both.test", STREAM_IMPLICIT, ERR_NET, "both.test:%d: connection refused"},
        {"127.0.0.1", STREAM_PLAIN, ERR_NET, "127.0.0.1:%d: connection refused"},
        {"no-such-host.invalid", STREAM_IMPLICIT, ERR_HOST, "unknown host 'no-such-host.invalid'"},
        {"a..b", STREAM_IMPLICIT, ERR_NET, "a..b:%d: connection refused"},
        {"again.test", STREAM_IMPLICIT, ERR_NET,
            "host 'again.test' could not be looked up: temporary failure"},
        {"public.test", STREAM_PLAIN, ERR_TLS,
            "public.test:%d: plain text is only allowed to this machine; 192.0.2.1 is elsewhere: "
            "use tls"},
        {"[2001:db8::1]", STREAM_PLAIN, ERR_TLS,
            "[2001:db8::1]:%d: plain text is only allowed to this machine; 2001:db8::1 is "
            "elsewhere: use tls"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct client c;
        char want[200];
        snprintf(want, sizeof want, table[i].want, port);
        client_start(&c, table[i].host, port, table[i].tls);
        assert_int_equal(c.lost, 0);
        assert_lost(&c, table[i].kind, want);
        assert_string_equal(stream_error(c.stream)->text, want);
        assert_int_equal(c.opened, 0);
        client_stop(&c);
    }
}

static void
a_name_too_long_is_unknown(void **state)
{
    (void)state;
    char name[400];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct client c;
    client_start(&c, name, 993, STREAM_IMPLICIT);
    assert_int_equal(c.lost, 0);
    assert_lost(&c, ERR_HOST, "unknown host 'xxx");
    client_stop(&c);
}

static void
an_address_needs_no_lookup(void **state)
{
    (void)state;
    static const char *const hosts[] = {"::1", "[::1]"};
    for (size_t i = 0; i < 2; i++) {
        struct server s = {.fd = -1, .play = echo};
        s.listener = listen_on(AF_INET6, &s.port, 5);
        if (s.listener < 0)
            skip();
        s.ctx = server_ctx(&good);
        pthread_create(&s.thread, NULL, serve, &s);
        struct client c;
        client_start(&c, hosts[i], s.port, STREAM_IMPLICIT);
        until_open(&c);
        char about[120];
        stream_describe(c.stream, about, sizeof about);
        assert_memory_equal(about, "[::1]:", 6);
        client_stop(&c);
        server_stop(&s);
    }
}

/* The last address is tried at once when the first refuses, and by and by when it stays silent. */
static void
one_address_that_answers_is_enough(void **state)
{
    (void)state;
    for (int silent = 0; silent < 2; silent++) {
        struct server s;
        server_start(&s, NULL, echo);
        int hole = -1, stuck[3] = {-1, -1, -1};
        if (silent) {
            hole = listen_on(AF_INET6, &s.port, 0); /* its queue is full, nobody accepts */
            if (hole < 0)
                skip();
            struct sockaddr_in6 to = {.sin6_family = AF_INET6,
                .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                .sin6_port = htons(s.port)};
            for (int i = 0; i < 3; i++) {
                stuck[i] = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                connect(stuck[i], (struct sockaddr *)&to, sizeof to);
            }
        }
        struct client c;
        client_start(&c, "both.test", s.port, STREAM_PLAIN);
        until_open(&c);
        client_send(&c, SPAN("x"));
        until_got(&c, 1);
        client_stop(&c);
        server_stop(&s);
        for (int i = 0; i < 3; i++)
            if (stuck[i] >= 0)
                close(stuck[i]);
        if (hole >= 0)
            close(hole);
    }
}

static void
ipv6_is_tried_first(void **state)
{
    (void)state;
    struct server v4, v6 = {.fd = -1, .play = echo};
    server_start(&v4, NULL, echo);
    v6.port = v4.port;
    v6.listener = listen_on(AF_INET6, &v6.port, 5);
    if (v6.listener >= 0) {
        pthread_create(&v6.thread, NULL, serve, &v6);
        struct client c;
        client_start(&c, "both.test", v6.port, STREAM_PLAIN);
        until_open(&c);
        char about[120];
        stream_describe(c.stream, about, sizeof about);
        assert_memory_equal(about, "[::1]:", 6);
        client_stop(&c);
        server_stop(&v6);
    }
    struct client last; /* lets the other server go */
    client_start(&last, "127.0.0.1", v4.port, STREAM_PLAIN);
    until_open(&last);
    client_stop(&last);
    server_stop(&v4);
}

/* --- all --- */

static char *
path_of(const char *name)
{
    return xasprintf("%s/%s", folder, name);
}

static int
make_certificates(void **state)
{
    (void)state;
    ca = certs_make(&(struct cert_plan){"Test CA", NULL, -1, 10, true}, NULL);
    other_ca = certs_make(&(struct cert_plan){"Other CA", NULL, -1, 10, true}, NULL);
    const char *ours = "DNS:localhost,IP:127.0.0.1,IP:::1,DNS:both.test";
    good = certs_make(&(struct cert_plan){"localhost", ours, -1, 10, false}, &ca);
    elsewhere = certs_make(
        &(struct cert_plan){"x", "DNS:mail.example.net,IP:192.0.2.7", -1, 10, false}, &ca);
    hostile = certs_make(
        &(struct cert_plan){
            "x", "DNS:\033[31mred\tx,DNS:b.test,DNS:c.test,DNS:d.test,DNS:e.test", -1, 10, false},
        &ca);
    expired = certs_make(&(struct cert_plan){"localhost", ours, -10, -3, false}, &ca);
    early = certs_make(&(struct cert_plan){"localhost", ours, 3, 10, false}, &ca);
    ca_file = path_of("ca.pem");
    other_ca_file = path_of("other.pem");
    empty_file = path_of("empty.pem");
    certs_save(&ca, ca_file);
    certs_save(&other_ca, other_ca_file);
    close(open(empty_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    sem_init(&slow_lookup, 0, 0);
    return 0;
}

static int
drop_certificates(void **state)
{
    (void)state;
    struct identity *const all[] = {&ca, &other_ca, &good, &elsewhere, &hostile, &expired, &early};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        certs_free(all[i]);
    char *const files[] = {ca_file, other_ca_file, empty_file};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        unlink(files[i]);
        free(files[i]);
    }
    return 0;
}

static int
open_loop(void **state)
{
    (void)state;
    loop = loop_new();
    return 0;
}

static int
free_loop(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

int
main(void)
{
    alarm(300); /* a server nobody talks to fails instead of hanging */
    if (mkdtemp(folder) == NULL)
        return 1;
#define IN_A_LOOP(test) cmocka_unit_test_setup_teardown(test, open_loop, free_loop)
    const struct CMUnitTest tests[] = {
        IN_A_LOOP(tls_carries_bytes_both_ways),
        IN_A_LOOP(five_megabytes_both_ways),
        IN_A_LOOP(reading_waits_while_input_is_full),
        IN_A_LOOP(what_tls_holds_back_is_read_without_the_socket),
        IN_A_LOOP(only_what_was_flushed_leaves),
        IN_A_LOOP(the_last_words_come_before_the_end),
        IN_A_LOOP(a_reset_is_told_later_never_inside_a_call),
        IN_A_LOOP(closed_inside_any_event_it_is_silent),
        IN_A_LOOP(closed_while_it_dials_or_shakes_hands_it_is_silent),
        IN_A_LOOP(certificates_are_refused_in_plain_words),
        IN_A_LOOP(the_server_is_told_names_but_no_addresses),
        IN_A_LOOP(a_trust_may_go_before_its_connections),
        IN_A_LOOP(many_connections_share_a_trust),
        IN_A_LOOP(a_bad_ca_file_or_fingerprint_is_a_config_error),
        IN_A_LOOP(old_tls_is_refused),
        IN_A_LOOP(a_plain_server_on_a_tls_port_is_recognised),
        IN_A_LOOP(hanging_up_at_the_handshake_is_the_nets_fault),
        IN_A_LOOP(starttls_secures_what_follows),
        IN_A_LOOP(starttls_checks_the_certificate_too),
        IN_A_LOOP(plain_text_behind_starttls_loses_the_stream),
        IN_A_LOOP(failures_to_connect_name_host_and_reason_once),
        IN_A_LOOP(a_name_too_long_is_unknown),
        IN_A_LOOP(an_address_needs_no_lookup),
        IN_A_LOOP(one_address_that_answers_is_enough),
        IN_A_LOOP(ipv6_is_tried_first),
    };
    int failed =
        cmocka_run_group_tests_name("net_stream", tests, make_certificates, drop_certificates);
    rmdir(folder);
    return failed;
}
