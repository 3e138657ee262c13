/* SPDX-License-Identifier: ISC */
/* A message and its file, from arrival until it is sorted. */
#include "watch/mail.h"

#include <stdlib.h>

void
mail_free(struct mail *m)
{
    if (m == NULL)
        return;
    strv_free(&m->meta.flags);
    spool_remove(m->file);
    free(m);
}

const char *
mail_path(const struct mail *m)
{
    return m->whole ? spool_path(m->file) : "";
}
