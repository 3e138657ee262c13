/* SPDX-License-Identifier: ISC */
/* A folder for the files of one moment. Whoever writes into it is not trusted: what is removed is
 * what lies in the folder itself, and no link is followed. */
#include "cmd.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int
scratch_open(struct scratch *s, const char *parent, struct err *e)
{
    *s = (struct scratch){.path = xasprintf("%s/.mailcall.XXXXXX", parent), .fd = -1};
    if (mkdtemp(s->path) != NULL)
        s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (s->fd >= 0)
        return 0;
    err_sys(e, ERR_CREATE, errno, "%s", parent);
    rmdir(s->path);
    free(s->path);
    *s = (struct scratch){0};
    return -1;
}

void
scratch_close(struct scratch *s)
{
    if (s->path == NULL)
        return;
    DIR *dir = fdopendir(s->fd);
    for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;)
        unlinkat(dirfd(dir), d->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    rmdir(s->path);
    free(s->path);
    *s = (struct scratch){0};
}
