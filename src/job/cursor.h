/*
 * cursor: how far one mailbox was dealt with.
 * Never knows what a message is, nor where this is kept.
 */
#ifndef MAILCALL_JOB_CURSOR_H
#define MAILCALL_JOB_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How far one mailbox was dealt with: every UID <= mark but for those in `wanted`, and those in
 * `taken`, which are all above the mark. Both ascend. */
struct cursor {
    bool known;
    uint32_t uidvalidity;
    uint32_t mark;
    uint32_t *taken;
    size_t n_taken;
    uint32_t *wanted;
    size_t n_wanted;
    int64_t begun;  /* when the first baseline was made, seconds since 1970; 0 = not known */
    int64_t floor;  /* a wanted message older than this is none of ours; 0 = all are */
    int64_t latest; /* the newest server date among the messages seen; 0 = none yet */
};
void cursor_free(struct cursor *c); /* empty afterwards */
/* Another cursor that says the same. */
struct cursor cursor_copy(const struct cursor *c);

/* The message is dealt with, and not wanted any more. */
void cursor_take(struct cursor *c, uint32_t uid);
/* Every message up to mark is that is not wanted; a mark never goes back. */
void cursor_settle(struct cursor *c, uint32_t mark);

/* Puts a UID among the others, wherever it stands to the mark; twice is once. */
void cursor_add_taken(struct cursor *c, uint32_t uid);
void cursor_add_wanted(struct cursor *c, uint32_t uid);

#endif
