/* SPDX-License-Identifier: ISC */
/* One process that reads mail for the daemon. It begins with the rules and nothing else: no
 * configuration, no secret, no environment. Then it shuts the door behind itself and takes one
 * message at a time, as a descriptor that it maps, and files to write attachments to.
 *
 * There is no error handling to speak of, on purpose: who cannot go on dies, and the sorter starts
 * another. Refuses to know what a rule does when it matches. */
#include "sort/worker.h"

#include "mail/message.h"
#include "sort/channel.h"
#include "sort/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

enum {
    PIECE_SIZE = 64 * 1024,
    MEMORY_MAX = 1024 * 1024 * 1024, /* for everything but the message itself */
};

struct worker {
    struct channel channel;
    struct ruleset rules;
    unsigned cpu_seconds;
    uint64_t serial;         /* of the request at hand */
    struct span bytes;       /* its message; mapped if it is not empty */
    struct message *message; /* NULL: only the header block is there */
};

/* --- one message --- */

static void
let_go(struct worker *w)
{
    message_free(w->message);
    w->message = NULL;
    if (w->bytes.n > 0)
        munmap((void *)(uintptr_t)w->bytes.p, w->bytes.n);
    w->bytes = (struct span){"", 0};
}

/* The file cannot become shorter: it is the daemon's own, written to its end before. */
static int
map(struct worker *w, int fd, const struct wire_request *r)
{
    size_t n = (size_t)r->size;
    if (!r->whole && n > FACTS_BLOCK_MAX + 1)
        n = FACTS_BLOCK_MAX + 1;
    if (n == 0)
        return 0;
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return -1;
    w->bytes = (struct span){p, n};
    return 0;
}

static struct facts *
read_facts(struct worker *w, const struct wire_request *r)
{
    if (!r->whole)
        return message_facts(w->bytes, &r->trusted);
    w->message = message_open(w->bytes);
    return message_whole_facts(w->message, &r->trusted);
}

static int
answer(struct worker *w, const struct wire_request *r)
{
    struct wire_answer a = {.facts = read_facts(w, r)};
    struct buf body = {0};
    match_rules(&w->rules, &r->plan, a.facts, &r->meta, r->now, &a.hits);
    if (r->list && w->message != NULL)
        message_list(w->message, &a.nodes);
    wire_pack_answer(r->serial, &a, &body);
    bool fits = channel_put(&w->channel, WIRE_ANSWER, buf_span(&body), -1);
    buf_free(&body);
    wire_answer_clear(&a);
    return fits ? 0 : -1;
}

static int
take_request(struct worker *w, struct span body, int fd)
{
    struct wire_request r;
    if (fd < 0 || wire_unpack_request(body, &w->rules, &r) != 0)
        return -1;
    let_go(w);
    w->serial = r.serial;
    sandbox_allow_cpu(w->cpu_seconds);
    int result = map(w, fd, &r);
    if (result == 0)
        result = answer(w, &r);
    if (!r.files)
        let_go(w);
    wire_request_clear(&r);
    return result;
}

/* --- one attachment --- */

static int
write_all(int fd, struct span s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        s = (struct span){s.p + n, s.n - (size_t)n};
    }
    return 0;
}

/* Up to the bytes that were granted; how many, and whether the disk took them, goes to `done`. */
static void
write_part(struct part *p, int fd, const struct wire_file *granted, struct wire_file *done)
{
    char piece[PIECE_SIZE];
    while (!done->failed && done->bytes < granted->bytes) {
        uint64_t left = granted->bytes - done->bytes;
        size_t n = part_read(p, piece, left < sizeof piece ? (size_t)left : sizeof piece);
        if (n == 0)
            return;
        done->failed = write_all(fd, (struct span){piece, n}) != 0;
        done->bytes += n;
    }
}

static int
take_file(struct worker *w, struct span body, int fd)
{
    struct wire_file granted;
    struct buf written = {0};
    if (fd < 0 || w->message == NULL || wire_unpack_file(body, &granted) != 0 ||
        granted.serial != w->serial)
        return -1;
    struct part *p = message_part(w->message, granted.attachment);
    if (p == NULL)
        return -1;
    struct wire_file done = {.serial = w->serial, .attachment = granted.attachment};
    write_part(p, fd, &granted, &done);
    part_free(p);
    wire_pack_file(&done, &written);
    channel_put(&w->channel, WIRE_WRITTEN, buf_span(&written), -1);
    buf_free(&written);
    return 0;
}

/* --- serving --- */

static int
take(struct worker *w, const struct frame *f, int fd)
{
    if (f->kind == WIRE_REQUEST)
        return take_request(w, f->body, fd);
    if (f->kind == WIRE_FILE)
        return take_file(w, f->body, fd);
    return -1;
}

static int
serve(struct worker *w)
{
    struct frame f;
    int fd;
    enum channel_result result;
    while ((result = channel_receive_fd(&w->channel, &f, &fd)) == CHANNEL_DONE) {
        int taken = take(w, &f, fd);
        if (fd >= 0)
            close(fd);
        if (taken != 0 || channel_send(&w->channel) != CHANNEL_DONE)
            return -1;
    }
    return result == CHANNEL_END ? 0 : -1;
}

/* --- the beginning --- */

/* Something of everything that a mail can be made of. */
static const char sample[] = "From: =?koi8-r?B?wuE=?= <a@b.example>\n"
                             "Date: Thu, 1 Jan 2026 00:00:00 EST\n"
                             "Subject: =?gb2312?Q?=C2=E1?=\n"
                             "Content-Type: multipart/mixed; boundary=b\n"
                             "\n"
                             "--b\n"
                             "Content-Type: text/html; charset=iso-8859-2\n"
                             "Content-Transfer-Encoding: base64\n"
                             "\n"
                             "PGI+wuE8L2I+wuE=\n"
                             "--b\n"
                             "Content-Type: text/plain; charset=shift_jis; format=flowed\n"
                             "\n"
                             "text\n"
                             "--b\n"
                             "Content-Type: text/plain; name*=windows-1251''%C2%E1\n"
                             "Content-Disposition: attachment\n"
                             "Content-Transfer-Encoding: quoted-printable\n"
                             "\n"
                             "=C2=E1\n"
                             "--b--\n";

/* If reading is death behind the walls, because a library here does what none does elsewhere, then
 * no mail shall be blamed: who dies of this has not been ready. */
static void
rehearse(void)
{
    char bytes[64];
    struct message *m = message_open(SPAN(sample));
    struct facts *f = message_whole_facts(m, NULL);
    struct part *p = message_part(m, 0);
    while (p != NULL && part_read(p, bytes, sizeof bytes) > 0)
        continue;
    part_free(p);
    facts_free(f);
    message_free(m);
}

static int
take_orders(struct worker *w, struct err *e)
{
    struct frame f;
    struct wire_orders orders;
    if (channel_receive(&w->channel, &f) != CHANNEL_DONE || f.kind != WIRE_ORDERS ||
        wire_unpack_orders(f.body, &orders) != 0)
        return err_set(e, ERR_SYSTEM, "no orders");
    w->cpu_seconds = orders.cpu_seconds;
    return ruleset_unpack(orders.rules, &w->rules, e);
}

/* What a library says on standard error is nobody's any more: it may quote the mail. */
static int
fall_silent(struct err *e)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        return err_sys(e, ERR_SYSTEM, errno, "/dev/null");
    close(fd);
    return 0;
}

static int
begin(struct worker *w, struct err *e)
{
    const struct sandbox_limits limits = {
        .memory = (uint64_t)MEMORY_MAX + WIRE_MESSAGE_MAX, .file = WIRE_MESSAGE_MAX};
#ifdef __linux__
    prctl(PR_SET_NAME, "mailcall-sort"); /* for ps: it was started as /proc/self/exe */
#endif
    if (take_orders(w, e) != 0)
        return -1;
    message_prepare();
    if (fall_silent(e) != 0 || sandbox_enter(sandbox_available(), &limits, e) != 0)
        return -1;
    sandbox_allow_cpu(w->cpu_seconds);
    rehearse();
    return 0;
}

static int
report(struct worker *w, const char *reason)
{
    struct buf ready = {0};
    wire_pack_ready(reason, &ready);
    channel_put(&w->channel, WIRE_READY, buf_span(&ready), -1);
    buf_free(&ready);
    return channel_send(&w->channel) == CHANNEL_DONE ? 0 : -1;
}

int
worker_main(void)
{
    struct worker w = {0};
    struct err e = {0};
    channel_init(&w.channel, STDIN_FILENO);
    int result = begin(&w, &e);
    if (report(&w, e.text) == 0 && result == 0)
        result = serve(&w);
    let_go(&w);
    ruleset_free(&w.rules);
    channel_clear(&w.channel);
    return result == 0 ? 0 : 1;
}
