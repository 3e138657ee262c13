/*
 * sort_door: what the tests of the sorter share: rules, messages as files, waiting for answers.
 */
#ifndef MAILCALL_TESTS_SORT_DOOR_H
#define MAILCALL_TESTS_SORT_DOOR_H

#include "base/buf.h"
#include "base/mem.h"
#include "sort/sorter.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* A read-only descriptor of a file without a name. */
static inline int
file_of(struct span bytes)
{
    char path[] = "/tmp/mailcall-sort-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.p, bytes.n), bytes.n);
    close(fd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

static inline struct cond *
regex_cond(enum cond_kind kind, enum cond_field field, const char *pattern)
{
    struct regex_fault fault;
    struct cond *c = cond_new(kind);
    c->field = field;
    c->key = xstrdup("key");
    c->where = xstrdup("test.yaml:1:1");
    c->regex = regex_new(pattern, kind == COND_BODY, &fault);
    assert_non_null(c->regex);
    return c;
}

enum { NUMBER, EVERYTHING, TODO, CODE, UNPLANNED, RULES };

/* NUMBER: in the subject; TODO: the keyword; CODE: in the text. */
static inline void
rules_fill(struct ruleset *rules)
{
    rules->n = RULES;
    rules->v = xcalloc(rules->n, sizeof *rules->v);
    rules->v[NUMBER].match = regex_cond(COND_TEXT, FIELD_SUBJECT, "(?<no>\\d+)");
    rules->v[TODO].match = cond_new(COND_FLAG);
    rules->v[TODO].match->text = xstrdup("$todo");
    rules->v[CODE].match = regex_cond(COND_BODY, 0, "code (?<code>\\d+)");
    for (size_t i = 0; i < rules->n; i++)
        rules->v[i].enabled = true;
}

enum { FILES_MAX = 16 };

/* A loop, rules, and a sorter made of opts; its loop and rules are filled in. */
struct door {
    struct loop *loop;
    struct ruleset rules;
    struct sorter *sorter;
    int files[FILES_MAX]; /* of door_submit_file(), closed at the end */
    size_t n_files;
};

static inline void
door_open(struct door *d, struct sorter_opts opts)
{
    *d = (struct door){0};
    rules_fill(&d->rules);
    d->loop = loop_new();
    opts.loop = d->loop;
    opts.rules = &d->rules;
    d->sorter = sorter_new(&opts);
}

static inline void
door_close(struct door *d)
{
    sorter_free(d->sorter);
    loop_free(d->loop);
    ruleset_free(&d->rules);
    while (d->n_files > 0)
        close(d->files[--d->n_files]);
}

/* Everything handed in is destroyed at once, as the contract allows. */
static inline void
door_submit(struct door *d, struct sort_request request)
{
    char *account = xstrdup("work");
    struct meta meta = {.account = account, .mailbox = "INBOX", .role = "", .url = ""};
    struct strv trusted = {0};
    struct plan plan = {.v = xcalloc(UNPLANNED, sizeof *plan.v), .n = UNPLANNED};
    for (size_t i = 0; i < plan.n; i++)
        plan.v[i] = i;
    strv_add(&meta.flags, "$Todo");
    strv_add(&trusted, "mx.example.org");
    request.meta = &meta;
    request.plan = &plan;
    request.trusted = &trusted;
    request.now = 1;
    sorter_submit(d->sorter, &request);
    plan_free(&plan);
    strv_free(&meta.flags);
    strv_free(&trusted);
    memset(account, 'x', 4);
    free(account);
}

/* The same, and the request's descriptor is the door's. */
static inline void
door_submit_file(struct door *d, struct sort_request request)
{
    assert_true(d->n_files < FILES_MAX);
    d->files[d->n_files++] = request.fd;
    door_submit(d, request);
}

static inline void
door_next(struct door *d, struct sort_answer *a)
{
    while (!sorter_next(d->sorter, a))
        loop_turn(d->loop, true);
}

/* One whole message there and back. */
static inline void
door_ask(struct door *d, struct span text, int folder, struct sort_answer *a)
{
    int fd = file_of(text);
    door_submit(d, (struct sort_request){.id = 1, .fd = fd, .whole = true, .folder = folder});
    door_next(d, a);
    close(fd);
}

#endif
