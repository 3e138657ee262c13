/*
 * worker: the other side of the sorter's door: reads requests, answers with facts and hits.
 * Never knows IMAP, or what happens to a hit.
 */
#ifndef MAILCALL_SORT_WORKER_H
#define MAILCALL_SORT_WORKER_H

/* The name of the hidden subcommand that runs it: `mailcall __sort`, descriptor 0 the socket. */
#define WORKER_COMMAND "__sort"

/* Serves until the other side closes. Returns the exit status. The door is closed (sandbox.h)
 * before the first request is read. */
int worker_main(void);

#endif
