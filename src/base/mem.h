/*
 * mem: the one allocator wrapper.
 * Never knows mail, files or time.
 *
 * Out of memory ends the program at once: the journal makes dying safe, and no caller could do
 * better. So no function here returns NULL, and nobody checks.
 */
#ifndef MAILCALL_BASE_MEM_H
#define MAILCALL_BASE_MEM_H

#include <stddef.h>

void *xmalloc(size_t n);
/* Zeroed, and safe against overflow of count * size. */
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t n);
/* Room for count elements of size bytes; safe against overflow. */
void *xreallocarray(void *p, size_t count, size_t size);
char *xstrdup(const char *s);
/* At most n bytes of s; the result always ends in NUL. */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
