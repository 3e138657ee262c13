/* SPDX-License-Identifier: ISC */
/* What a configuration is, apart from how it is loaded: where it lies, what it owns, and the check
 * of a rule that came from a command line. */
#include "config/config.h"

#include "base/mem.h"
#include "config/captures.h"
#include "config/source.h"
#include "config/template.h"

#include <stdlib.h>
#include <unistd.h>

void
account_free(struct account *a)
{
    struct buf text = {a->secret.text, 0, a->secret.text != NULL ? strlen(a->secret.text) : 0};
    buf_wipe(&text);
    strv_free(&a->secret.argv);
    strv_free(&a->mailboxes);
    strv_free(&a->trusted);
    stream_opts_free(&a->net);
    free(a->name);
    free(a->user);
    *a = (struct account){0};
}

void
config_free(struct config *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n_accounts; i++)
        account_free(&c->accounts[i]);
    for (size_t i = 0; i < c->rules.n; i++) {
        hook_opts_free(&c->hooks[i]);
        retry_opts_free(&c->retries[i]);
    }
    free(c->accounts);
    free(c->hooks);
    free(c->retries);
    free(c->manners);
    ruleset_free(&c->rules);
    strv_free(&c->secrets);
    free(c);
}

/* $XDG_CONFIG_HOME/mailcall/mailcall.yaml; NULL if nothing says where that is. */
static char *
user_path(void)
{
    const char *folder = getenv("XDG_CONFIG_HOME");
    if (folder != NULL && folder[0] == '/')
        return xasprintf("%s/mailcall/mailcall.yaml", folder);
    char *home = source_home();
    char *path = home != NULL ? xasprintf("%s/.config/mailcall/mailcall.yaml", home) : NULL;
    free(home);
    return path;
}

char *
config_find(struct err *e)
{
    static const char system_path[] = "/etc/mailcall/mailcall.yaml";
    const char *named = getenv("MAILCALL_CONFIG");
    if (named != NULL && named[0] != '\0') {
        if (access(named, F_OK) == 0)
            return xstrdup(named);
        err_set(e, ERR_CONFIG, "%s: there is no such file, but $MAILCALL_CONFIG names it", named);
        return NULL;
    }
    char *path = user_path();
    if (path != NULL && access(path, F_OK) == 0)
        return path;
    if (access(system_path, F_OK) == 0) {
        free(path);
        return xstrdup(system_path);
    }
    err_set(e, ERR_CONFIG, "no configuration: neither %s%s%s exists", path != NULL ? path : "",
        path != NULL ? " nor " : "", system_path);
    free(path);
    return NULL;
}

static int
check_templates(const struct hook_opts *h, const struct names *names, struct err *e)
{
    struct fault f;
    for (size_t i = 0; i < h->run.n; i++)
        if (i == 0 ? program_fault(h->run.v[i], &f) : hook_argument_fault(h->run.v[i], names, &f))
            return err_set(e, ERR_USAGE, "%s", f.text);
    if (h->sh != NULL && shell_fault(h->sh, names, &f))
        return err_set(e, ERR_USAGE, "%s", f.text);
    return 0;
}

int
config_check_rule(const struct rule *r, const struct hook_opts *h, struct err *e)
{
    size_t regex;
    if (captures_check(r->match, &regex, e) != 0)
        return -1;
    if (h == NULL)
        return 0;
    struct strv captures = {0};
    cond_captures(r->match, &captures);
    const struct names names = {&captures, &h->headers};
    int result = check_templates(h, &names, e);
    strv_free(&captures);
    return result;
}
