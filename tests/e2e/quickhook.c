/* SPDX-License-Identifier: ISC */
/*
 * quickhook: a hook that costs next to nothing, for tests that run it thousands of times.
 *
 *   quickhook LOG FOLDER HOW MICROSECONDS
 *
 * appends to LOG, each line by one write, so that the lines of all runs keep their order:
 *
 *   B TAB life TAB pid TAB event_id TAB attempt TAB event TAB rule TAB uid TAB uids TAB
 *     hash of stdin TAB subject           when it begins
 *   E TAB life TAB pid TAB exit status    when it ends
 *
 * `life` is $LIFE, which the test sets for each start of mailcall. HOW: "ok" exits 0; "once" exits
 * 75 the first time it comes so far for an event (FOLDER remembers), then 0. In between it pauses
 * up to so many microseconds, so that there is something to be killed beside. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *
variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL ? value : "?";
}

/* FNV-1a. */
static uint64_t
hash_stdin(void)
{
    unsigned char bytes[1 << 16];
    uint64_t hash = 0xcbf29ce484222325;
    ssize_t n;
    while ((n = read(0, bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < n; i++)
            hash = (hash ^ bytes[i]) * 0x100000001b3;
    return hash;
}

static int
first_time(const char *folder, const char *event)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, event);
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) >= 0;
}

static void
append(int log, const char *line, int n)
{
    if (write(log, line, (size_t)n) != n)
        abort();
}

int
main(int argc, char **argv)
{
    if (argc != 5)
        return 64;
    char line[8192];
    int log = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const char *event = variable("MAILCALL_EVENT_ID");
    int n = snprintf(line, sizeof line, "B\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%016llx\t%s\n",
        variable("LIFE"), (int)getpid(), event, variable("MAILCALL_ATTEMPT"),
        variable("MAILCALL_EVENT"), variable("MAILCALL_RULE"), variable("MAILCALL_UID"),
        variable("MAILCALL_UIDS"), (unsigned long long)hash_stdin(), variable("MAILCALL_SUBJECT"));
    append(log, line, n);
    long most = strtol(argv[4], NULL, 10);
    if (most > 0) {
        struct timespec pause = {.tv_nsec = (long)getpid() * 7919 % most * 1000};
        nanosleep(&pause, NULL);
    }
    int status = strcmp(argv[3], "once") == 0 && first_time(argv[2], event) ? 75 : 0;
    n = snprintf(line, sizeof line, "E\t%s\t%d\t%d\n", variable("LIFE"), (int)getpid(), status);
    append(log, line, n);
    return status;
}
