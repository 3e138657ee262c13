/*
 * list: a doubly linked ring whose links live inside their owners.
 * Never knows mail, files or time.
 *
 * Linking never allocates, so it never fails. A `struct list` is a link and a head alike;
 * an unlinked link points to itself, so list_remove() twice is harmless.
 */
#ifndef MAILCALL_BASE_LIST_H
#define MAILCALL_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

static inline void
list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool
list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void
list_append(struct list *head, struct list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void
list_prepend(struct list *head, struct list *link)
{
    list_append(head->next, link);
}

static inline void
list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* The struct that holds `link` as its member. */
#define LIST_OWNER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* Walks the ring; the current link may be removed inside the body. */
#define LIST_EACH(head, link)                                                         \
    for (struct list *link = (head)->next, *link##_next = link->next; link != (head); \
         link = link##_next, link##_next = link->next)

#endif
