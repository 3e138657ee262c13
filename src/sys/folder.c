/* SPDX-License-Identifier: ISC */
/* Whoever can write to a folder can rename and replace what is in it, whatever the modes of the
 * files say; so the folder itself is judged, through the descriptor that is then used. The folders
 * above it are the user's own affair: they may be links and belong to anybody. */
#include "sys/folder.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
make_folders(const char *path, struct err *e)
{
    char *part = xstrdup(path);
    size_t length = strlen(path);
    int rc = 0;
    for (size_t i = 1; rc == 0 && i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            rc = err_sys(e, ERR_CREATE, errno, "%s", part);
        part[i] = path[i];
    }
    free(part);
    return rc;
}

int
folder_open(const char *path, struct err *e)
{
    if (make_folders(path, e) < 0)
        return -1;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        err_sys(e, ERR_CREATE, errno, "%s", path);
    } else if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        err_set(e, ERR_CREATE, "%s: others can write to it; chmod go-w", path);
    } else if (st.st_uid != geteuid() && st.st_uid != 0) {
        err_set(e, ERR_CREATE, "%s: belongs to somebody else", path);
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}
