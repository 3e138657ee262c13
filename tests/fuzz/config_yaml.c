/* SPDX-License-Identifier: ISC */
/* Any bytes as a configuration: loading ends, says why it refused, and says it in clean text. */
#include "base/mem.h"
#include "base/utf8.h"
#include "config/config.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool good)
{
    if (!good)
        abort();
}

static void
report_is_clean(const struct buf *report)
{
    must(utf8_valid(buf_span(report)));
    for (size_t i = 0; i < report->n; i++) {
        unsigned char c = (unsigned char)report->p[i];
        must(c == '\n' || (c >= 0x20 && c != 0x7F));
    }
    must(report->n == 0 || report->p[report->n - 1] == '\n');
}

static void
config_is_whole(const struct config *c)
{
    must(c->n_accounts > 0);
    for (size_t i = 0; i < c->n_accounts; i++) {
        const struct account *a = &c->accounts[i];
        must(a->name != NULL && a->user != NULL && a->net.host != NULL && a->net.port != 0);
        must(a->mailboxes.n > 0);
        must(a->secret.text != NULL || a->secret.argv.n > 0);
    }
    for (size_t i = 0; i < c->rules.n; i++) {
        const struct err none = {0};
        struct err e = none;
        must(c->rules.v[i].name != NULL && c->rules.v[i].where != NULL);
        must((c->hooks[i].run.n > 0) != (c->hooks[i].sh != NULL));
        must(config_check_rule(&c->rules.v[i], &c->hooks[i], &e) == 0);
    }
}

static void
command_line_is_safe(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {
        "subject", "from", "from_is", "header", "larger", "flag", "body", "attachment", "auth"};
    char *text = xstrndup((const char *)data, size);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct err e;
        cond_free(config_cond(keys[i], text, &e));
    }
    struct account a = {0};
    char *mailbox = NULL;
    struct err e;
    if (config_url(text, &a, &mailbox, &e) == 0)
        must(a.user != NULL && a.net.host != NULL && a.net.port != 0);
    account_free(&a);
    free(mailbox);
    free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf report = {0};
    struct err e = {0};
    struct config *c =
        config_parse("fuzz.yaml", (struct span){(const char *)data, size}, &report, &e);
    report_is_clean(&report);
    if (c != NULL)
        config_is_whole(c);
    else
        must(report.n > 0 && e.kind == ERR_CONFIG);
    config_free(c);
    buf_free(&report);
    command_line_is_safe(data, size);
    return 0;
}
