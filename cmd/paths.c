/* SPDX-License-Identifier: ISC */
/* Where things lie (XDG base directories, and what systemd hands to a unit). */
#include "cmd.h"

#include "base/mem.h"
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Every missing level is made 0700, as XDG asks. */
static int
make_folders(const char *path, struct err *e)
{
    char *copy = xstrdup(path);
    for (char *p = copy + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char was = *p;
        *p = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST) {
            err_sys(e, ERR_CREATE, errno, "%s", copy);
            free(copy);
            return -1;
        }
        *p = was;
        if (was == '\0')
            break;
    }
    free(copy);
    return 0;
}

static const char *
absolute(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] == '/' ? value : NULL;
}

char *
path_state(struct err *e)
{
    const char *base;
    char *path;
    if ((base = absolute("STATE_DIRECTORY")) != NULL) {
        path = xstrndup(base, strcspn(base, ":")); /* systemd lists several with colons */
    } else if ((base = absolute("XDG_STATE_HOME")) != NULL) {
        path = xasprintf("%s/mailcall", base);
    } else if ((base = absolute("HOME")) != NULL) {
        path = xasprintf("%s/.local/state/mailcall", base);
    } else {
        err_set(e, ERR_CREATE, "no folder for what must outlive us: set XDG_STATE_HOME or HOME");
        return NULL;
    }
    return path;
}

char *
path_spool(struct err *e)
{
    const char *base;
    char *path;
    if ((base = absolute("RUNTIME_DIRECTORY")) != NULL) {
        path = xstrdup(base);
    } else if ((base = absolute("XDG_RUNTIME_DIR")) != NULL) {
        path = xasprintf("%s/mailcall", base);
    } else if ((base = absolute("XDG_STATE_HOME")) != NULL) {
        path = xasprintf("%s/mailcall", base);
    } else if ((base = absolute("HOME")) != NULL) {
        path = xasprintf("%s/.local/state/mailcall", base);
    } else {
        err_set(e, ERR_CREATE, "no folder for messages: set XDG_RUNTIME_DIR or HOME");
        return NULL;
    }
    if (make_folders(path, e) != 0) {
        free(path);
        return NULL;
    }
    return path;
}

static struct config *
load(const char *path, struct err *e)
{
    struct buf report = {0};
    struct config *c = config_load(path, &report, e);
    fputs(buf_str(&report), stderr);
    if (c == NULL && report.n == 0)
        fail(e);
    buf_free(&report);
    return c;
}

struct config *
config_open(const struct globals *g, struct err *e)
{
    if (g->config != NULL)
        return load(g->config, e);
    char *path = config_find(e);
    if (path == NULL) {
        fail(e);
        return NULL;
    }
    struct config *c = load(path, e);
    free(path);
    return c;
}
