/* hook/run: real processes, most of them a line of /bin/sh; whatever has to happen first is waited
 * for by a line of output, a fifo or the end of a pipe, never by time. */
#include "hook_sample.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "hook/run.h"
#include "sys/loop.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { NEVER_MS = 1000 * 1000 };

struct scene {
    struct sample sample;
    struct hook_opts opts;
    struct loop *loop;
    struct run *run;
    struct list left;
    struct strv lines;
    struct buf tail;
    struct buf reason;
    struct outcome outcome;
    unsigned done;
    void (*on_ready)(struct run *r); /* called at the first line */
};

static void
scene_init(struct scene *s, const char *sh)
{
    *s = (struct scene){.opts = {.umask = 077, .kill_after_ms = NEVER_MS}};
    sample_init(&s->sample);
    s->opts.sh = sh != NULL ? xstrdup(sh) : NULL;
    s->loop = loop_new();
    list_init(&s->left);
}

static void
scene_clear(struct scene *s)
{
    assert_true(list_empty(&s->left));
    loop_free(s->loop);
    hook_opts_free(&s->opts);
    strv_free(&s->lines);
    buf_free(&s->tail);
    buf_free(&s->reason);
}

static void
on_line(void *arg, struct span line)
{
    struct scene *s = arg;
    assert_int_equal(s->done, 0);
    strv_take(&s->lines, xstrndup(line.p, line.n));
    if (s->on_ready != NULL && s->lines.n == 1)
        s->on_ready(s->run);
}

static void
on_done(void *arg, const struct outcome *o)
{
    struct scene *s = arg;
    s->done++;
    s->outcome = *o;
    buf_addspan(&s->tail, o->tail);
    buf_adds(&s->reason, o->reason);
}

static void
scene_run(struct scene *s, int stdin_fd)
{
    static char *const inherited[] = {TEXT("PATH=/usr/bin:/bin"), TEXT("SECRET=x"), NULL};
    static char *names[] = {TEXT("SECRET"), NULL};
    const struct strv secrets = {names, 1};
    struct letter *l = letter_write(&s->opts, &s->sample.event);
    struct run_opts opts = {
        .letter = l,
        .stdin_fd = stdin_fd,
        .inherited = inherited,
        .secrets = &secrets,
        .on_line = on_line,
        .on_done = on_done,
        .arg = s,
        .left = &s->left,
    };
    s->run = run_start(s->loop, &opts);
    assert_int_equal(s->done, 0);
    while (s->done == 0)
        loop_turn(s->loop, true);
    letter_free(l);
}

static void
wait_for_the_left(struct scene *s)
{
    while (!list_empty(&s->left))
        loop_turn(s->loop, true);
    assert_int_equal(s->done, 1);
}

/* A temporary folder that is the hook's cwd. */
static void
enter_folder(struct scene *s, char *folder)
{
    assert_non_null(mkdtemp(folder));
    s->opts.cwd = xstrdup(folder);
}

static void
leave_folder(const char *folder, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *path = xasprintf("%s/%s", folder, names[i]);
        unlink(path);
        free(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void
write_file(const char *folder, const char *name, const char *text, mode_t mode)
{
    char *path = xasprintf("%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    free(path);
}

/* --- verdicts --- */

static const struct {
    const char *sh;
    enum run_result result;
    int status;
    bool stop;
} endings[] = {
    {"exit 0", RUN_OK, 0, false},
    {"exit 1", RUN_FAIL, 1, false},
    {"exit 75", RUN_AGAIN, 75, false},
    {"exit 99", RUN_OK, 99, true},
    {"exit 100", RUN_FAIL, 100, false},
    {"exit 111", RUN_AGAIN, 111, false},
    {"exit 126", RUN_AGAIN, 126, false},
    {"exit 127", RUN_AGAIN, 127, false},
    {"exit 255", RUN_FAIL, 255, false},
    {"no-such-command-anywhere 2>/dev/null", RUN_AGAIN, 127, false},
    {"kill -9 $$", RUN_SIGNAL, 137, false},
    {"kill -SEGV $$", RUN_SIGNAL, 139, false},
    {"kill -TERM 0", RUN_SIGNAL, 143, false}, /* its group is not ours */
    {"kill -PIPE $$", RUN_SIGNAL, 141, false},
};

static void
endings_get_their_verdict(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* the hook gets the default back */
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        struct scene s;
        scene_init(&s, endings[i].sh);
        scene_run(&s, -1);
        assert_int_equal(s.outcome.result, endings[i].result);
        assert_int_equal(s.outcome.status, endings[i].status);
        assert_int_equal(s.outcome.stop_message, endings[i].stop);
        assert_string_equal(buf_str(&s.reason), "");
        wait_for_the_left(&s);
        scene_clear(&s);
    }
}

static void
wait_statuses_get_their_verdict(void **state)
{
    (void)state;
    struct outcome o = {.elapsed_ms = 5, .stop_message = true};
    run_verdict(SIGKILL, &o);
    assert_int_equal(o.result, RUN_SIGNAL);
    assert_int_equal(o.status, 137);
    assert_false(o.stop_message);
    assert_int_equal(o.elapsed_ms, 5);
    run_verdict(99 << 8, &o);
    assert_int_equal(o.result, RUN_OK);
    assert_true(o.stop_message);
}

static void
results_have_names(void **state)
{
    (void)state;
    assert_string_equal(run_result_name(RUN_OK), "ok");
    assert_string_equal(run_result_name(RUN_FAIL), "fail");
    assert_string_equal(run_result_name(RUN_AGAIN), "again");
    assert_string_equal(run_result_name(RUN_TIMEOUT), "timeout");
    assert_string_equal(run_result_name(RUN_SIGNAL), "signal");
    assert_string_equal(run_result_name(RUN_SPAWN), "spawn");
}

/* --- timeout, stop, kill --- */

static void
a_timeout_ends_the_run(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "exec sleep 1000");
    s.opts.timeout_ms = 1;
    scene_run(&s, -1);
    assert_int_equal(s.outcome.result, RUN_TIMEOUT);
    assert_int_equal(s.outcome.status, 128 + SIGTERM);
    wait_for_the_left(&s);
    scene_clear(&s);
}

static void
a_timeout_that_is_heeded_is_still_a_timeout(void **state)
{
    (void)state;
    struct scene s;
    /* exits 99 on TERM, or is killed if TERM comes before the trap stands */
    scene_init(&s, "trap 'exit 99' TERM; while :; do sleep 0.01; done");
    s.opts.timeout_ms = 200;
    scene_run(&s, -1);
    assert_int_equal(s.outcome.result, RUN_TIMEOUT);
    assert_false(s.outcome.stop_message);
    wait_for_the_left(&s);
    scene_clear(&s);
}

static void
term_reaches_the_hook_and_is_heeded(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
    s.on_ready = run_stop;
    scene_run(&s, -1);
    assert_int_equal(s.outcome.result, RUN_OK); /* it did its work */
    assert_string_equal(s.lines.v[s.lines.n - 1], "bye");
    wait_for_the_left(&s);
    scene_clear(&s);
}

static void
a_stopped_hook_that_did_not_finish_runs_again(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "trap 'exit 1' TERM; echo ready; while :; do sleep 0.01; done");
    s.on_ready = run_stop;
    scene_run(&s, -1);
    assert_int_equal(s.outcome.result, RUN_AGAIN);
    assert_int_equal(s.outcome.status, 1);
    wait_for_the_left(&s);
    scene_clear(&s);
}

static void
who_ignores_term_is_killed(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "trap '' TERM; echo ready; while :; do sleep 0.01; done");
    s.opts.kill_after_ms = 1;
    s.on_ready = run_stop;
    scene_run(&s, -1);
    assert_int_equal(s.outcome.result, RUN_AGAIN);
    assert_int_equal(s.outcome.status, 128 + SIGKILL);
    wait_for_the_left(&s);
    scene_clear(&s);
}

static void
a_stopped_process_gets_its_term(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "echo ready; kill -STOP $$; exit 0");
    s.opts.timeout_ms = 200;
    scene_run(&s, -1);
    assert_int_equal(s.outcome.result, RUN_TIMEOUT);
    wait_for_the_left(&s);
    scene_clear(&s);
}

static void
kill_does_not_ask(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "trap '' TERM; echo ready; while :; do sleep 0.01; done");
    s.on_ready = run_kill;
    scene_run(&s, -1);
    assert_int_equal(s.outcome.result, RUN_AGAIN);
    assert_int_equal(s.outcome.status, 128 + SIGKILL);
    wait_for_the_left(&s);
    scene_clear(&s);
}

static void
the_group_of_a_stopped_hook_is_killed_with_it(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "trap 'exit 3' TERM; sh -c 'trap \"\" TERM; echo ready; exec sleep 1000' & "
                   "while :; do sleep 0.01; done");
    s.on_ready = run_stop;
    scene_run(&s, -1);
    assert_int_equal(s.outcome.status, 3);
    wait_for_the_left(&s); /* only the death of the sleeper ends the pipe */
    scene_clear(&s);
}

/* --- output --- */

static void
output_is_escaped_line_by_line(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "printf 'one\\n\\n\\033[31mred\\007\\n'; printf 'err\\tx\\r\\n' >&2; "
                   "printf 'bad \\377\\302\\233\\nno newline'");
    scene_run(&s, -1);
    static const char *const want[] = {
        "one", "", "\\e[31mred\\x07", "err\\tx\\r", "bad \xEF\xBF\xBD\\x9b", "no newline"};
    assert_int_equal(s.lines.n, 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(s.lines.v[i], want[i]);
    assert_string_equal(
        buf_str(&s.tail), "one\n\n\\e[31mred\\x07\nerr\\tx\\r\nbad \xEF\xBF\xBD\\x9b\nno newline");
    wait_for_the_left(&s);
    scene_clear(&s);
}

static void
long_lines_come_in_whole_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *sh;
        const char *unit; /* what each printed unit becomes */
    } table[] = {
        {"printf '%05000d\\n' 0", "0"},
        {"i=0; while [ $i -lt 500 ]; do printf 'x\\342\\202\\254\\342\\202\\254'; i=$((i+1)); done",
            "x\xE2\x82\xAC\xE2\x82\xAC"},
        {"i=0; while [ $i -lt 500 ]; do printf '\\001\\001\\001'; i=$((i+1)); done", "\\x01"},
        {"printf '%01024d\\n' 0", "0"},
    };
    static const size_t units[] = {5000, 500, 1500, 1024};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct scene s;
        struct buf whole = {0};
        scene_init(&s, table[i].sh);
        scene_run(&s, -1);
        for (size_t j = 0; j < s.lines.n; j++) {
            struct span line = span_str(s.lines.v[j]);
            assert_true(line.n > 0 && line.n <= RUN_LINE_MAX);
            assert_true(utf8_valid(line));
            assert_int_not_equal(line.p[0] == '\\' ? line.p[1] : 'x', '0'); /* \x01 is not split */
            buf_addspan(&whole, line);
        }
        assert_int_equal(whole.n, units[i] * strlen(table[i].unit));
        for (size_t j = 0; j < whole.n; j += strlen(table[i].unit))
            assert_memory_equal(whole.p + j, table[i].unit, strlen(table[i].unit));
        wait_for_the_left(&s);
        buf_free(&whole);
        scene_clear(&s);
    }
}

static void
a_line_end_behind_a_full_piece_is_no_empty_line(void **state)
{
    (void)state;
    struct scene s;
    /* the first piece is given out before the end of its line is written; busy, because a shell
     * talks of children that the TERM killed */
    scene_init(&s, "trap 'echo; echo end; exit 0' TERM; printf '%01024d' 0; while :; do :; done");
    s.on_ready = run_stop;
    scene_run(&s, -1);
    assert_int_equal(s.lines.n, 2);
    assert_int_equal(strlen(s.lines.v[0]), RUN_LINE_MAX);
    assert_string_equal(s.lines.v[1], "end");
    assert_string_equal(s.tail.p + RUN_LINE_MAX, "\nend");
    wait_for_the_left(&s);
    scene_clear(&s);
}

static void
the_last_four_kilobytes_are_kept(void **state)
{
    (void)state;
    struct scene s;
    struct buf all = {0};
    scene_init(&s, "i=0; while [ $i -lt 3000 ]; do echo \"line $i\"; i=$((i+1)); done");
    scene_run(&s, -1);
    for (int i = 0; i < 3000; i++)
        buf_addf(&all, "%sline %d", i > 0 ? "\n" : "", i);
    assert_int_equal(s.lines.n, 3000);
    assert_int_equal(s.tail.n, RUN_TAIL_MAX);
    assert_memory_equal(s.tail.p, all.p + all.n - RUN_TAIL_MAX, RUN_TAIL_MAX);
    wait_for_the_left(&s);
    buf_free(&all);
    scene_clear(&s);
}

static void
inherited_output_is_not_ours(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "exit 0");
    s.opts.output = OUTPUT_INHERIT;
    scene_run(&s, -1);
    assert_int_equal(s.outcome.result, RUN_OK);
    assert_int_equal(s.lines.n, 0);
    assert_int_equal(s.tail.n, 0);
    scene_clear(&s);
}

/* More than a pipe holds, so that it must have been read. */
static void
discarded_output_is_read_and_told_nobody(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; "
                   "i=$((i+1)); done; echo more >&2; exit 3");
    s.opts.output = OUTPUT_DISCARD;
    scene_run(&s, -1);
    assert_int_equal(s.outcome.result, RUN_FAIL);
    assert_int_equal(s.outcome.status, 3);
    assert_int_equal(s.lines.n, 0);
    assert_int_equal(s.tail.n, 0);
    wait_for_the_left(&s);
    scene_clear(&s);
}

/* --- those left behind --- */

static void
a_background_process_may_write_on_in_peace(void **state)
{
    (void)state;
    static const char *const files[] = {"fifo", "fine"};
    char folder[] = "/tmp/mailcall-run.XXXXXX";
    struct scene s;
    scene_init(&s, "mkfifo fifo; (read x <fifo; echo late && echo >fine) & echo early");
    enter_folder(&s, folder);
    scene_run(&s, -1);
    assert_int_equal(s.outcome.result, RUN_OK);
    assert_int_equal(s.lines.n, 1);
    assert_string_equal(buf_str(&s.tail), "early");
    assert_false(list_empty(&s.left));
    char *path = xasprintf("%s/fifo", folder);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fd, "\n", 1), 1);
    close(fd);
    wait_for_the_left(&s);
    free(path);
    path = xasprintf("%s/fine", folder);
    assert_int_equal(access(path, F_OK), 0); /* its echo did not fail */
    free(path);
    leave_folder(folder, files, 2);
    scene_clear(&s);
}

static void
what_is_left_can_be_abandoned(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "sleep 1000 & echo $!");
    scene_run(&s, -1);
    assert_false(list_empty(&s.left));
    run_abandon(&s.left);
    assert_true(list_empty(&s.left));
    pid_t pid = (pid_t)atol(s.lines.v[0]);
    assert_int_equal(kill(pid, SIGKILL), 0); /* it lives */
    scene_clear(&s);
}

/* --- what the hook finds --- */

static int
message_fd(void)
{
    char path[] = "/tmp/mailcall-run.XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "one\ntwo\n", 8), 8);
    close(fd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    unlink(path);
    return fd;
}

static void
stdin_is_the_message(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "cat");
    int fd = message_fd();
    scene_run(&s, fd);
    assert_string_equal(buf_str(&s.tail), "one\ntwo");
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC); /* borrowed, still ours */
    close(fd);
    wait_for_the_left(&s);
    scene_clear(&s);
}

static void
a_hook_may_leave_stdin_unread(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "exit 0");
    int fd = message_fd();
    scene_run(&s, fd);
    assert_int_equal(s.outcome.result, RUN_OK);
    close(fd);
    wait_for_the_left(&s);
    scene_clear(&s);
}

static void
no_stdin_is_dev_null(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "[ -c /dev/stdin ] && echo device; read x || echo end");
    scene_run(&s, -1);
    assert_string_equal(buf_str(&s.tail), "device\nend");
    wait_for_the_left(&s);
    scene_clear(&s);
}

#ifdef __linux__
static void
dev_stdin_opens_from_the_start(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "cat >/dev/null; cat /dev/stdin; cat </dev/stdin");
    int fd = message_fd();
    scene_run(&s, fd);
    assert_string_equal(buf_str(&s.tail), "one\ntwo\none\ntwo");
    close(fd);
    wait_for_the_left(&s);
    scene_clear(&s);
}

static void
no_other_descriptor_is_open(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s,
        "for i in 3 4 5 6 7 8 9 10 11 12 13 14 15 50; do [ -e /proc/$$/fd/$i ] && echo $i; done; "
        "echo end");
    assert_int_equal(dup2(0, 50), 50); /* not close-on-exec */
    scene_run(&s, -1);
    close(50);
    assert_string_equal(buf_str(&s.tail), "end");
    wait_for_the_left(&s);
    scene_clear(&s);
}
#endif

static void
folder_umask_and_environment_are_the_letters(void **state)
{
    (void)state;
    char folder[] = "/tmp/mailcall-run.XXXXXX";
    struct scene s;
    scene_init(&s, "umask; echo \"$MAILCALL_FROM $MAILCALL_MATCH_NUMBER $DEST ${SECRET-gone}\"; "
                   "pwd -P");
    enter_folder(&s, folder);
    strv_add(&s.opts.env, "DEST=there");
    scene_run(&s, -1);
    char *here = realpath(folder, NULL);
    assert_string_equal(s.lines.v[0], "0077");
    assert_string_equal(s.lines.v[1], "billing@stripe.com 2026-17 there gone");
    assert_string_equal(s.lines.v[2], here);
    free(here);
    wait_for_the_left(&s);
    leave_folder(folder, NULL, 0);
    scene_clear(&s);
}

/* --- programs --- */

static void
hooks_are_found_in_their_folder_first(void **state)
{
    (void)state;
    static const char *const files[] = {"cat", "hook"};
    char folder[] = "/tmp/mailcall-run.XXXXXX";
    struct scene s;
    scene_init(&s, NULL);
    enter_folder(&s, folder);
    write_file(folder, "cat", "#!/bin/sh\necho mine \"$1\"\n", 0755);
    write_file(folder, "hook", "#!/bin/sh\n", 0755);
    strv_add(&s.opts.path, "/nowhere");
    strv_add(&s.opts.path, folder);
    strv_add(&s.opts.run, "cat");
    strv_add(&s.opts.run, "{from}");
    scene_run(&s, -1);
    assert_string_equal(buf_str(&s.tail), "mine billing@stripe.com");
    char *want = xasprintf("%s/hook", folder);
    char *elsewhere = xasprintf("/nowhere::%s", folder);
    struct strv nothing = {0};
    struct err e;
    char *found = run_find("hook", &nothing, elsewhere, &e);
    assert_string_equal(found, want);
    free(found);
    found = run_find(want, &nothing, NULL, &e);
    assert_string_equal(found, want);
    free(found);
    found = run_find("./hook", &nothing, NULL, &e);
    assert_string_equal(found, "./hook");
    free(found);
    free(elsewhere);
    free(want);
    wait_for_the_left(&s);
    leave_folder(folder, files, 2);
    scene_clear(&s);
}

static void
relative_entries_of_path_are_not_searched(void **state)
{
    (void)state;
    static const char *const files[] = {"hook"};
    char folder[] = "/tmp/mailcall-run.XXXXXX";
    struct strv nothing = {0};
    struct err e = {0};
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_non_null(mkdtemp(folder));
    write_file(folder, "hook", "#!/bin/sh\n", 0755);
    assert_int_equal(chdir(folder), 0);
    char *found = run_find("hook", &nothing, ".:::./", &e);
    assert_int_equal(fchdir(here), 0);
    assert_null(found);
    close(here);
    leave_folder(folder, files, 1);
}

static void
what_is_not_found_says_where_it_was_looked_for(void **state)
{
    (void)state;
    struct strv path = {0};
    struct err e = {0};
    assert_null(run_find("save.sh", &path, "/nowhere", &e));
    assert_int_equal(e.kind, ERR_INPUT);
    assert_string_equal(e.text, "save.sh: not found in $PATH or " MAILCALL_HOOKS);
    strv_add(&path, "/x/hooks");
    assert_null(run_find("save.sh", &path, NULL, &e));
    assert_string_equal(e.text, "save.sh: not found in /x/hooks, $PATH or " MAILCALL_HOOKS);
    strv_add(&path, MAILCALL_HOOKS);
    assert_null(run_find("save.sh", &path, NULL, &e));
    assert_string_equal(e.text, "save.sh: not found in /x/hooks, " MAILCALL_HOOKS " or $PATH");
    assert_null(run_find("/x/save.sh", &path, NULL, &e));
    assert_string_equal(e.text, "/x/save.sh: no such program");
    assert_null(run_find("/tmp", &path, NULL, &e));
    assert_string_equal(e.text, "/tmp: no such program");
    strv_free(&path);
}

static void
a_program_that_is_not_found_is_127(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, NULL);
    strv_add(&s.opts.run, "no-such-hook");
    scene_run(&s, -1);
    assert_int_equal(s.outcome.result, RUN_SPAWN);
    assert_int_equal(s.outcome.status, 127);
    assert_non_null(strstr(s.reason.p, "no-such-hook: not found in"));
    scene_clear(&s);
}

static void
a_program_without_its_x_bit_is_126_and_says_chmod(void **state)
{
    (void)state;
    static const char *const files[] = {"save.sh"};
    char folder[] = "/tmp/mailcall-run.XXXXXX";
    struct scene s;
    scene_init(&s, NULL);
    enter_folder(&s, folder);
    write_file(folder, "save.sh", "#!/bin/sh\n", 0644);
    strv_add(&s.opts.path, folder);
    strv_add(&s.opts.run, "save.sh");
    scene_run(&s, -1);
    assert_int_equal(s.outcome.result, RUN_SPAWN);
    assert_int_equal(s.outcome.status, 126);
    char *want = xasprintf("save.sh: not executable; chmod +x %s/save.sh", folder);
    assert_string_equal(s.reason.p, want);
    free(want);
    leave_folder(folder, files, 1);
    scene_clear(&s);
}

static void
what_the_system_refuses_to_start_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *cwd;
        int status;
        const char *reason;
    } table[] = {
        {"echo no first line\n", NULL, 126, "not a program; a script begins with #!"},
        {"#!/no/such/interpreter\n", NULL, 127, "interpreter: "},
        {"#!/bin/sh\n", "/no/such/folder", 127, "working directory: "},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        static const char *const files[] = {"hook"};
        char folder[] = "/tmp/mailcall-run.XXXXXX";
        struct scene s;
        scene_init(&s, NULL);
        assert_non_null(mkdtemp(folder));
        write_file(folder, "hook", table[i].text, 0755);
        s.opts.cwd = table[i].cwd != NULL ? xstrdup(table[i].cwd) : NULL;
        strv_add(&s.opts.path, folder);
        strv_add(&s.opts.run, "hook");
        scene_run(&s, -1);
        assert_int_equal(s.outcome.result, RUN_SPAWN);
        assert_int_equal(s.outcome.status, table[i].status);
        assert_non_null(strstr(s.reason.p, table[i].reason));
        assert_int_equal(strncmp(s.reason.p, folder, strlen(folder)), 0);
        leave_folder(folder, files, 1);
        scene_clear(&s);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endings_get_their_verdict),
        cmocka_unit_test(wait_statuses_get_their_verdict),
        cmocka_unit_test(results_have_names),
        cmocka_unit_test(a_timeout_ends_the_run),
        cmocka_unit_test(a_timeout_that_is_heeded_is_still_a_timeout),
        cmocka_unit_test(term_reaches_the_hook_and_is_heeded),
        cmocka_unit_test(a_stopped_hook_that_did_not_finish_runs_again),
        cmocka_unit_test(who_ignores_term_is_killed),
        cmocka_unit_test(a_stopped_process_gets_its_term),
        cmocka_unit_test(kill_does_not_ask),
        cmocka_unit_test(the_group_of_a_stopped_hook_is_killed_with_it),
        cmocka_unit_test(output_is_escaped_line_by_line),
        cmocka_unit_test(long_lines_come_in_whole_pieces),
        cmocka_unit_test(a_line_end_behind_a_full_piece_is_no_empty_line),
        cmocka_unit_test(the_last_four_kilobytes_are_kept),
        cmocka_unit_test(inherited_output_is_not_ours),
        cmocka_unit_test(discarded_output_is_read_and_told_nobody),
        cmocka_unit_test(a_background_process_may_write_on_in_peace),
        cmocka_unit_test(what_is_left_can_be_abandoned),
        cmocka_unit_test(stdin_is_the_message),
        cmocka_unit_test(a_hook_may_leave_stdin_unread),
        cmocka_unit_test(no_stdin_is_dev_null),
#ifdef __linux__
        cmocka_unit_test(dev_stdin_opens_from_the_start),
        cmocka_unit_test(no_other_descriptor_is_open),
#endif
        cmocka_unit_test(folder_umask_and_environment_are_the_letters),
        cmocka_unit_test(hooks_are_found_in_their_folder_first),
        cmocka_unit_test(relative_entries_of_path_are_not_searched),
        cmocka_unit_test(what_is_not_found_says_where_it_was_looked_for),
        cmocka_unit_test(a_program_that_is_not_found_is_127),
        cmocka_unit_test(a_program_without_its_x_bit_is_126_and_says_chmod),
        cmocka_unit_test(what_the_system_refuses_to_start_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
