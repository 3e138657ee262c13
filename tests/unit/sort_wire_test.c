/* sort: frames and descriptors between two ends of a socket. */
#include "sort/channel.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* --- frames --- */

static void
a_frame_is_there_when_its_last_byte_is(void **state)
{
    (void)state;
    struct buf b = {0};
    struct frame f;
    assert_true(wire_frame(&b, WIRE_ANSWER, SPAN("hello")));
    for (size_t n = 0; n < b.n; n++)
        assert_int_equal(wire_take_frame((struct span){b.p, n}, &f), 0);
    assert_int_equal(wire_take_frame(buf_span(&b), &f), 1);
    assert_int_equal(f.kind, WIRE_ANSWER);
    assert_true(span_eq(f.body, SPAN("hello")));
    buf_free(&b);
}

static void
a_head_that_promises_nonsense_is_refused_at_once(void **state)
{
    (void)state;
    static const struct {
        uint64_t kind;
        uint64_t length;
        int result;
    } table[] = {
        {WIRE_KINDS - 1, WIRE_FRAME_MAX, 0},
        {WIRE_KINDS, 0, -1},
        {UINT64_MAX, 0, -1},
        {WIRE_ANSWER, (uint64_t)WIRE_FRAME_MAX + 1, -1},
        {WIRE_ANSWER, UINT64_MAX, -1},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf b = {0};
        struct frame f;
        pack_number(&b, table[i].kind);
        pack_number(&b, table[i].length);
        assert_int_equal(wire_take_frame(buf_span(&b), &f), table[i].result);
        buf_free(&b);
    }
}

static void
only_what_conditions_ask_for_travels(void **state)
{
    (void)state;
    static size_t planned[] = {0, 2};
    struct rule three[3] = {{0}};
    const struct ruleset rules = {three, 3};
    struct buf b = {0};
    struct wire_request r = {
        .serial = 7,
        .size = 100,
        .whole = true,
        .meta = {.account = "secret", .mailbox = "secret", .role = "secret", .url = "secret"},
        .plan = {planned, 2},
        .now = -5,
    };
    struct wire_request got;
    r.meta.received = -1;
    r.meta.size = 99;
    strv_add(&r.meta.flags, "\\Seen");
    strv_add(&r.trusted, "mx");
    wire_pack_request(&r, &b);
    assert_null(memmem(b.p, b.n, "secret", 6));
    assert_int_equal(wire_unpack_request(buf_span(&b), &rules, &got), 0);
    assert_int_equal(got.serial, 7);
    assert_int_equal(got.size, 100);
    assert_true(got.whole);
    assert_int_equal(got.meta.received, -1);
    assert_int_equal(got.meta.size, 99);
    assert_string_equal(got.meta.flags.v[0], "\\Seen");
    assert_string_equal(got.meta.account, "");
    assert_string_equal(got.trusted.v[0], "mx");
    assert_int_equal(got.plan.n, 2);
    assert_int_equal(got.plan.v[1], 2);
    assert_int_equal(got.now, -5);
    wire_request_clear(&got);
    assert_int_equal(wire_unpack_request(buf_span(&b), &(struct ruleset){three, 2}, &got), -1);
    strv_free(&r.meta.flags);
    strv_free(&r.trusted);
    buf_free(&b);
}

static void
a_reason_is_one_line_of_some_length(void **state)
{
    (void)state;
    struct buf b = {0};
    char large[2000];
    memset(large, 'x', sizeof large);
    large[sizeof large - 1] = '\0';
    large[1] = '\n';
    wire_pack_ready(large, &b);
    char *reason = wire_unpack_ready(buf_span(&b));
    assert_int_equal(strlen(reason), WIRE_REASON_MAX);
    assert_int_equal(strncmp(reason, "x xx", 4), 0);
    free(reason);
    assert_null(wire_unpack_ready((struct span){b.p, b.n - 1}));
    buf_free(&b);
}

static void
nodes_come_only_where_they_were_asked_for_and_are_checked(void **state)
{
    (void)state;
    static const struct {
        bool asked;
        const char *name;
        unsigned depth;
        int result;
    } table[] = {
        {true, "x.pdf", 1, 0},
        {true, "", FACTS_ATTACHMENTS_MAX, 0},
        {false, "x.pdf", 1, -1},
        {true, "x\n.pdf", 1, -1},
        {true, " x.pdf", 1, -1},
        {true, "\xC3(", 1, -1},
        {true, NULL, 1, -1},
        {true, "x.pdf", FACTS_ATTACHMENTS_MAX + 1, -1},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct ruleset rules = {0};
        const struct plan plan = {0};
        char part[] = "1.2";
        char type[] = "a/b";
        struct message_node node = {
            part, type, (char *)(uintptr_t)table[i].name, 0, table[i].depth};
        struct wire_answer a = {.facts = facts_new(), .nodes = {&node, 1}};
        struct wire_answer got;
        struct buf b = {0};
        wire_pack_answer(5, &a, &b);
        const struct wire_question q = {5, false, table[i].asked, &rules, &plan};
        assert_int_equal(wire_unpack_answer(buf_span(&b), &q, &got), table[i].result);
        assert_int_equal(got.nodes.n, table[i].result == 0);
        wire_answer_clear(&got);
        facts_free(a.facts);
        buf_free(&b);
    }
}

/* --- channels --- */

static void
pair_open(struct channel *a, struct channel *b)
{
    int fds[2];
    assert_int_equal(channel_pair(fds), 0);
    channel_init(a, fds[0]);
    channel_init(b, fds[1]);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
}

static void
frames_of_any_size_go_through(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4096, 1000000, 5000000};
    struct channel a, b;
    pair_open(&a, &b);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct buf body = {0};
        struct frame f;
        memset(buf_room(&body, sizes[i]), 'x', sizes[i]);
        body.n = sizes[i];
        assert_true(channel_put(&a, WIRE_REQUEST, buf_span(&body), -1));
        enum channel_result got;
        do {
            channel_send(&a);
            got = channel_receive(&b, &f);
        } while (got == CHANNEL_AGAIN);
        assert_int_equal(got, CHANNEL_DONE);
        assert_true(span_eq(f.body, buf_span(&body)));
        assert_int_equal(channel_receive(&b, &f), CHANNEL_AGAIN);
        buf_free(&body);
    }
    channel_clear(&a);
    struct frame f;
    assert_int_equal(channel_receive(&b, &f), CHANNEL_END);
    channel_clear(&b);
}

static void
a_descriptor_comes_with_its_frame(void **state)
{
    (void)state;
    struct channel a, b;
    struct frame f;
    int fd, pipe_fds[2];
    char c = 0;
    pair_open(&a, &b);
    assert_int_equal(pipe(pipe_fds), 0);
    channel_put(&a, WIRE_REQUEST, SPAN("x"), pipe_fds[1]);
    assert_int_equal(channel_send(&a), CHANNEL_DONE);
    assert_int_equal(channel_receive_fd(&b, &f, &fd), CHANNEL_DONE);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(fd, "y", 1), 1);
    assert_int_equal(read(pipe_fds[0], &c, 1), 1);
    assert_int_equal(c, 'y');
    close(fd);
    channel_put(&a, WIRE_REQUEST, SPAN("x"), -1);
    assert_int_equal(channel_send(&a), CHANNEL_DONE);
    assert_int_equal(channel_receive_fd(&b, &f, &fd), CHANNEL_DONE);
    assert_int_equal(fd, -1);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    channel_clear(&a);
    channel_clear(&b);
}

static void
a_descriptor_that_nobody_awaits_is_a_lie(void **state)
{
    (void)state;
    struct channel a, b;
    struct frame f;
    pair_open(&a, &b);
    channel_put(&a, WIRE_ANSWER, SPAN("x"), a.fd);
    assert_int_equal(channel_send(&a), CHANNEL_DONE);
    int next = dup(0);
    close(next);
    assert_int_equal(channel_receive(&b, &f), CHANNEL_LIE);
    /* and it did not arrive */
    int again = dup(0);
    assert_int_equal(again, next);
    close(again);
    channel_clear(&a);
    channel_clear(&b);
}

static void
more_than_one_frame_is_a_lie(void **state)
{
    (void)state;
    struct channel a, b;
    struct frame f;
    pair_open(&a, &b);
    channel_put(&a, WIRE_ANSWER, SPAN("x"), -1);
    channel_put(&a, WIRE_ANSWER, SPAN("y"), -1);
    assert_int_equal(channel_send(&a), CHANNEL_DONE);
    assert_int_equal(channel_receive(&b, &f), CHANNEL_LIE);
    channel_clear(&a);
    channel_clear(&b);
    channel_clear(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_there_when_its_last_byte_is),
        cmocka_unit_test(a_head_that_promises_nonsense_is_refused_at_once),
        cmocka_unit_test(only_what_conditions_ask_for_travels),
        cmocka_unit_test(a_reason_is_one_line_of_some_length),
        cmocka_unit_test(nodes_come_only_where_they_were_asked_for_and_are_checked),
        cmocka_unit_test(frames_of_any_size_go_through),
        cmocka_unit_test(a_descriptor_comes_with_its_frame),
        cmocka_unit_test(a_descriptor_that_nobody_awaits_is_a_lie),
        cmocka_unit_test(more_than_one_frame_is_a_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
