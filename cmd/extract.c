/* SPDX-License-Identifier: ISC */
/* The attachments of one message as files in a folder of the user's. The sorter writes them into a
 * private folder inside it; from there each moves to a name that nobody has: the name is taken by
 * making an empty file of our own, which the move replaces. */
#include "cmd.h"

#include "base/mem.h"
#include "base/safename.h"
#include "sort/sorter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_TRIED = 10000 };

/* Makes an empty file named like `wanted`, numbered if need be. Its name is the caller's; NULL with
 * *e. */
static char *
take_name(const char *folder, int fd, const char *wanted, struct err *e)
{
    struct strv taken = {0};
    char *found = NULL;
    int number = EEXIST;
    while (found == NULL && number == EEXIST && taken.n < NAMES_TRIED) {
        struct buf name = {0};
        safename(&name, wanted, &taken);
        int made = openat(fd, buf_str(&name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        number = errno;
        strv_add(&taken, buf_str(&name));
        if (made >= 0) {
            close(made);
            found = buf_take(&name);
        }
        buf_free(&name);
    }
    if (found == NULL)
        err_sys(e, ERR_CREATE, number, "%s/%s", folder, wanted);
    strv_free(&taken);
    return found;
}

static bool
is_plain_file(int fd, const char *name)
{
    struct stat st;
    return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static int
place(const char *folder, int fd, const struct scratch *from, const char *name, struct err *e)
{
    if (!is_plain_file(from->fd, name))
        return err_set(e, ERR_IO, "%s: was not written", name);
    char *taken = take_name(folder, fd, name, e);
    if (taken == NULL)
        return -1;
    int rc = renameat(from->fd, name, fd, taken);
    if (rc != 0)
        rc = err_sys(e, ERR_CREATE, errno, "%s/%s", folder, taken);
    else
        printf("%s/%s\n", folder, taken);
    free(taken);
    return rc;
}

static int
open_folder(const char *path, struct err *e)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_sys(e, ERR_CREATE, errno, "%s", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : err_sys(e, ERR_CREATE, errno, "%s", path);
}

static int
extract(
    struct door *d, const struct given *m, struct sort_request *request, const char *folder, int fd)
{
    struct err e = {0};
    struct scratch scratch;
    struct sort_answer answer;
    if (scratch_open(&scratch, folder, &e) != 0)
        return fail(&e);
    request->folder = scratch.fd;
    int status = door_sort(d, m, request, &answer);
    bool sorted = status == EXIT_OK;
    for (size_t i = 0; sorted && status == EXIT_OK && i < answer.n_files; i++)
        if (place(folder, fd, &scratch, answer.files[i].name, &e) != 0)
            status = fail(&e);
    if (sorted)
        sort_answer_free(&answer);
    scratch_close(&scratch);
    return status;
}

int
extract_into(
    struct door *d, const struct given *m, struct sort_request *request, const char *folder)
{
    struct err e = {0};
    char *path = xstrndup(folder, strlen(folder));
    while (strlen(path) > 1 && path[strlen(path) - 1] == '/')
        path[strlen(path) - 1] = '\0';
    int fd = open_folder(path, &e);
    int status = fd >= 0 ? extract(d, m, request, path, fd) : fail(&e);
    if (fd >= 0)
        close(fd);
    free(path);
    return status;
}
