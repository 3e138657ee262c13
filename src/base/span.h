/*
 * span: bytes that somebody else owns, pointer and length; may hold NUL.
 * Never knows mail, files or time.
 *
 * Network bytes travel as spans and become C strings only at the doors of the program.
 */
#ifndef MAILCALL_BASE_SPAN_H
#define MAILCALL_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *p;
    size_t n;
};

#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})

static inline struct span
span_str(const char *s)
{
    return (struct span){s, strlen(s)};
}

static inline bool
span_eq(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case ignored, whatever the locale. */
bool span_ieq(struct span a, struct span b);
/* Whether s begins with prefix, ASCII case ignored. */
bool span_istarts(struct span s, struct span prefix);
/* The span without leading and trailing spaces, tabs, CR and LF. */
struct span span_trim(struct span s);

#endif
