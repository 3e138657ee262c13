/* SPDX-License-Identifier: ISC */
/* A message and its files, from arrival until its last hook is done. */
#include "watch/mail.h"

#include <stdlib.h>

void
mail_free(struct mail *m)
{
    if (m == NULL)
        return;
    strv_free(&m->meta.flags);
    spool_remove(m->file);
    spool_remove(m->header);
    free(m);
}

int
mail_open(const struct mail *m, struct err *e)
{
    return spool_reopen(m->file, e);
}

int
mail_open_header(struct mail *m, struct spool *spool, struct err *e)
{
    if (!m->whole)
        return mail_open(m, e);
    if (m->header == NULL && (m->header = spool_headers(spool, m->file, e)) == NULL)
        return -1;
    return spool_reopen(m->header, e);
}

const char *
mail_path(const struct mail *m)
{
    return m->whole ? spool_path(m->file) : "";
}
