/*
 * strv: a vector of owned strings, always ended by NULL, ready for execve().
 * Never knows mail, files or time.
 */
#ifndef MAILCALL_BASE_STRV_H
#define MAILCALL_BASE_STRV_H

#include <stdbool.h>
#include <stddef.h>

/* All zero is an empty vector; v is NULL until the first string. */
struct strv {
    char **v;
    size_t n;
};

void strv_add(struct strv *v, const char *s);
void strv_addf(struct strv *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* s becomes the vector's own. */
void strv_take(struct strv *v, char *s);
bool strv_has(const struct strv *v, const char *s);
void strv_copy(struct strv *to, const struct strv *from); /* appends copies */
void strv_free(struct strv *v);                           /* empty afterwards */

#endif
