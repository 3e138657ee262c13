/* SPDX-License-Identifier: ISC */
/* max_delay is a minute when nobody says it, or as long as the debounce where that is longer: a
 * debounce alone always means what it says. Written, in a rule or in the defaults, it must not be
 * shorter than the debounce that holds with it; in the defaults it may stand alone, for the rules
 * that debounce. */
#include "config/manners.h"

#include "config/bounds.h"
#include "config/config.h"

#include <assert.h>
#include <stdlib.h>

enum { CONCURRENCY_MAX = 1000 };

static const uint64_t usual_delay_ms = 60 * 1000;
static const struct period waits = {1, 7 * 86400 * (uint64_t)1000, "between 1ms and 7d"};

void
manners_default(struct queue_rule *m)
{
    *m = (struct queue_rule){.concurrency = 1, .on_busy = BUSY_QUEUE};
}

static int
read_concurrency(struct queue_rule *m, const char *value, struct err *e)
{
    return bounds_number(value, 1, CONCURRENCY_MAX, &m->concurrency, e);
}

static int
read_debounce(struct queue_rule *m, const char *value, struct err *e)
{
    struct err wrong;
    m->debounce_ms = 0;
    if (strcmp(value, "off") == 0 || bounds_period(value, &waits, &m->debounce_ms, &wrong) == 0)
        return 0;
    return err_set(e, ERR_USAGE, "%s, or off", wrong.text);
}

static int
read_max_delay(struct queue_rule *m, const char *value, struct err *e)
{
    return bounds_period(value, &waits, &m->max_delay_ms, e);
}

static int
read_on_busy(struct queue_rule *m, const char *value, struct err *e)
{
    static const char *const words[] = {
        [BUSY_QUEUE] = "queue", [BUSY_SKIP] = "skip", [BUSY_RESTART] = "restart"};
    struct strv known = {0};
    for (int i = BUSY_QUEUE; i <= BUSY_RESTART; i++) {
        if (strcmp(value, words[i]) == 0) {
            m->on_busy = (enum queue_busy)i;
            strv_free(&known);
            return 0;
        }
        strv_add(&known, words[i]);
    }
    char *mean = did_you_mean(value, &known);
    err_set(e, ERR_USAGE, "'%.60s' is not one of queue, skip, restart%s", value, mean);
    free(mean);
    return -1;
}

int
config_manner(struct queue_rule *m, const char *key, const char *value, struct err *e)
{
    static const struct {
        const char *key;
        int (*read)(struct queue_rule *m, const char *value, struct err *e);
    } readers[] = {
        {"concurrency", read_concurrency},
        {"debounce", read_debounce},
        {"max_delay", read_max_delay},
        {"on_busy", read_on_busy},
    };
    size_t i = 0;
    while (strcmp(readers[i].key, key) != 0) {
        i++;
        assert(i < sizeof readers / sizeof *readers);
    }
    return readers[i].read(m, value, e);
}

static bool
is_hasty(const struct queue_rule *m)
{
    return m->max_delay_ms > 0 && m->max_delay_ms < m->debounce_ms;
}

static void
fill_max_delay(struct queue_rule *m)
{
    if (m->max_delay_ms == 0)
        m->max_delay_ms = m->debounce_ms > usual_delay_ms ? m->debounce_ms : usual_delay_ms;
}

int
config_settle_manners(struct queue_rule *m, struct err *e)
{
    if (m->max_delay_ms > 0 && m->debounce_ms == 0)
        return err_set(e, ERR_USAGE, "says nothing without debounce");
    if (is_hasty(m))
        return err_set(e, ERR_USAGE, "shorter than debounce");
    fill_max_delay(m);
    return 0;
}

void
manners_set(struct scope *s, const struct node *value)
{
    const struct draft *d = s->target;
    struct err e;
    if (config_manner(d->manners, s->key->name, value->text, &e) != 0)
        scope_error(s, value, "%s", e.text);
}

void
manners_set_debounce(struct scope *s, const struct node *value)
{
    struct draft *d = s->target;
    d->debounce = value;
    manners_set(s, value);
}

void
manners_set_max_delay(struct scope *s, const struct node *value)
{
    struct draft *d = s->target;
    d->max_delay = value;
    manners_set(s, value);
}

/* Points at what this mapping says; the other may be inherited. */
static void
refuse_hasty(struct scope *s, const struct draft *d)
{
    const struct node *most = d->max_delay;
    const struct node *quiet = d->debounce;
    if (most == NULL)
        scope_label_error(s, quiet->at,
            "debounce '%s' is longer than max_delay; write max_delay too", quiet->text);
    else
        scope_label_error(s, most->at, "max_delay '%s' is shorter than debounce%s", most->text,
            quiet == NULL ? "; write debounce too" : "");
}

void
manners_check(struct scope *s, const struct draft *d)
{
    struct queue_rule *m = d->manners;
    if (is_hasty(m) && (d->debounce != NULL || d->max_delay != NULL))
        refuse_hasty(s, d);
    if (d->rule == NULL)
        return;
    if (m->debounce_ms == 0 && d->max_delay != NULL)
        scope_label_error(
            s, d->max_delay->at, "max_delay says nothing without debounce; write debounce too");
    fill_max_delay(m);
}
