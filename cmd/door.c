/* SPDX-License-Identifier: ISC */
/* The same door as the daemon's: whoever wrote the message gets no further here than there. */
#include "cmd.h"

#include "base/mem.h"
#include "job/spool.h"
#include "sort/sorter.h"
#include "sys/clock.h"

#include <stdlib.h>

int
door_open(struct door *d, const struct ruleset *rules, struct err *e)
{
    *d = (struct door){.folder = path_spool(e)};
    if (d->folder == NULL || (d->spool = spool_open(d->folder, e)) == NULL)
        return -1;
    d->loop = loop_new();
    struct sorter_opts opts = {.loop = d->loop, .rules = rules, .workers = 1};
    d->sorter = sorter_new(&opts);
    return 0;
}

void
door_close(struct door *d)
{
    sorter_free(d->sorter);
    loop_free(d->loop);
    spool_close(d->spool);
    free(d->folder);
    *d = (struct door){0};
}

int
door_sort(
    struct door *d, const struct given *m, struct sort_request *request, struct sort_answer *answer)
{
    request->id = ++d->last;
    request->fd = m->fd;
    request->whole = m->whole;
    request->now = clock_wall();
    sorter_submit(d->sorter, request);
    while (!sorter_next(d->sorter, answer))
        loop_turn(d->loop, true);
    if (answer->facts != NULL)
        return EXIT_OK;
    err_wrap(&answer->failure, "%s", m->name);
    int status = fail(&answer->failure);
    if (answer->unparsable)
        status = EXIT_BAD_MESSAGE;
    sort_answer_free(answer);
    return status;
}
