/* SPDX-License-Identifier: ISC */
/* Where things lie (XDG base directories, and what systemd hands to a unit). */
#include "cmd.h"

#include "base/mem.h"
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *
absolute(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] == '/' ? value : NULL;
}

/* NULL where the user has no home. */
static char *
state_of_user(void)
{
    const char *base;
    if ((base = absolute("XDG_STATE_HOME")) != NULL)
        return xasprintf("%s/mailcall", base);
    if ((base = absolute("HOME")) != NULL)
        return xasprintf("%s/.local/state/mailcall", base);
    return NULL;
}

char *
path_state(struct err *e)
{
    const char *base = absolute("STATE_DIRECTORY");
    if (base != NULL)
        return xstrndup(base, strcspn(base, ":")); /* systemd lists several with colons */
    char *path = state_of_user();
    if (path == NULL)
        err_set(e, ERR_CREATE, "no folder for what must outlive us: set XDG_STATE_HOME or HOME");
    return path;
}

/* NULL where nothing was handed to us that ends with the session. */
static char *
runtime_folder(void)
{
    const char *base;
    if ((base = absolute("RUNTIME_DIRECTORY")) != NULL)
        return xstrndup(base, strcspn(base, ":"));
    if ((base = absolute("XDG_RUNTIME_DIR")) != NULL)
        return xasprintf("%s/mailcall", base);
    return NULL;
}

char *
path_runtime(struct err *e)
{
    char *path = runtime_folder();
    return path != NULL ? path : path_state(e);
}

char *
path_spool(struct err *e)
{
    char *path = runtime_folder();
    if (path == NULL)
        path = state_of_user();
    if (path == NULL)
        err_set(e, ERR_CREATE, "no folder for messages: set XDG_RUNTIME_DIR or HOME");
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
