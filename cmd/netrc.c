/* SPDX-License-Identifier: ISC */
/* ~/.netrc, as ftp(1) describes it: machine, login, password, default, macdef. */
#include "cmd.h"

#include "base/buf.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { NETRC_MAX = 256 * 1024 };

struct entry {
    bool host_fits;
    bool user_fits; /* no login means any */
    struct span password;
};

/* The next word; a quoted one may hold spaces. False at the end. */
static bool
next_word(struct span *text, struct span *word)
{
    *text = span_trim(*text);
    if (text->n == 0)
        return false;
    bool quoted = text->p[0] == '"';
    size_t start = quoted ? 1 : 0;
    size_t end = start;
    while (end < text->n && (quoted ? text->p[end] != '"'
                                    : text->p[end] != ' ' && text->p[end] != '\t' &&
                                          text->p[end] != '\n' && text->p[end] != '\r'))
        end++;
    *word = (struct span){text->p + start, end - start};
    size_t used = quoted && end < text->n ? end + 1 : end;
    text->p += used;
    text->n -= used;
    return true;
}

/* A macro's body ends at an empty line. */
static void
skip_macro(struct span *text)
{
    while (text->n > 1 && !(text->p[0] == '\n' && text->p[1] == '\n')) {
        text->p++;
        text->n--;
    }
}

static bool
is_found(const struct entry *e)
{
    return e->host_fits && e->user_fits && e->password.p != NULL;
}

static char *
search(struct span text, struct span host, struct span user)
{
    struct entry e = {0};
    struct span word, value;
    while (next_word(&text, &word)) {
        bool is_machine = span_eq(word, SPAN("machine"));
        if (is_machine || span_eq(word, SPAN("default"))) {
            if (is_found(&e))
                break;
            bool fits = !is_machine || (next_word(&text, &value) && span_ieq(value, host));
            e = (struct entry){.host_fits = fits, .user_fits = true};
        } else if (span_eq(word, SPAN("macdef"))) {
            skip_macro(&text);
        } else if (!next_word(&text, &value)) {
            break;
        } else if (span_eq(word, SPAN("login"))) {
            e.user_fits = span_eq(value, user);
        } else if (span_eq(word, SPAN("password"))) {
            e.password = value;
        }
    }
    return is_found(&e) ? xstrndup(e.password.p, e.password.n) : NULL;
}

char *
netrc_password(const char *host, const char *user)
{
    const char *home = getenv("HOME");
    if (home == NULL)
        return NULL;
    char *path = xasprintf("%s/.netrc", home);
    FILE *f = fopen(path, "re");
    free(path);
    if (f == NULL)
        return NULL;
    struct buf text = {0};
    size_t n = fread(buf_room(&text, NETRC_MAX), 1, NETRC_MAX, f);
    text.n = n;
    buf_end(&text);
    fclose(f);
    char *found = search(buf_span(&text), span_str(host), span_str(user));
    buf_wipe(&text);
    return found;
}
