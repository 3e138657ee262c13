/* job/queue against a model that searches for everything: random walks through all that can be done
 * to a queue, the two compared at every step. The model's only loan from the queue is the order of
 * bursts that are formed in one and the same moment. */
#include "job/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ITEMS = 48, RULES = 5, WALKS = 300, STEPS = 1500, OUT = -1 };

struct item {
    struct job job; /* the queue's view; the rest is the model's */
    int state;      /* enum job_state, or OUT */
    bool again;
    bool stopping;
    uint64_t born;  /* counts pushes */
    uint64_t stood; /* counts standings: WAITING, RUNNING */
    uint64_t begun; /* counts starts: RUNNING */
    uint64_t came;  /* GATHERING */
    uint64_t until; /* DELAYED */
    uint64_t hung;  /* counts waits: DELAYED */
    struct item *leader;
};

struct world {
    struct item items[ITEMS];
    struct queue_rule rules[RULES - 1]; /* the last rule is beyond them */
    struct queue *queue;
    unsigned max_running;
    bool hurried;
    uint64_t now;
    uint64_t count;
    uint64_t message;
    uint32_t seed;
    struct item *dropped[ITEMS];
    size_t n_dropped;
};

#define EACH(w, i) for (struct item *i = (w)->items; i < (w)->items + ITEMS; i++)
#define EACH_IN(w, i, rule_number, what) \
    EACH(w, i) if (i->state == (what) && i->job.rule == (rule_number))

static unsigned
pick(struct world *w, unsigned n)
{
    w->seed = w->seed * 1664525u + 1013904223u;
    return (w->seed >> 8) % n;
}

static struct item *
item_of(struct job *job)
{
    return LIST_OWNER(job, struct item, job);
}

static const struct queue_rule *
manners(const struct world *w, uint64_t rule)
{
    static const struct queue_rule plain = {.concurrency = 1};
    return rule < RULES - 1 ? &w->rules[rule] : &plain;
}

/* --- what the model finds --- */

static unsigned
number_in(struct world *w, uint64_t rule, int state)
{
    unsigned n = 0;
    EACH_IN(w, i, rule, state)
    n++;
    return n;
}

static unsigned
number(struct world *w, int state)
{
    unsigned n = 0;
    for (uint64_t rule = 0; rule < RULES; rule++)
        n += number_in(w, rule, state);
    return n;
}

static bool
is_busy(struct world *w, uint64_t rule)
{
    return number_in(w, rule, JOB_RUNNING) >= manners(w, rule)->concurrency;
}

static struct item *
first_of_rule(struct world *w, uint64_t rule)
{
    struct item *first = NULL;
    EACH_IN(w, i, rule, JOB_WAITING)
    if (first == NULL || i->stood < first->stood)
        first = i;
    return first;
}

static bool
is_first_of_message(struct world *w, const struct item *item)
{
    EACH(w, i)
    if ((i->state == JOB_WAITING || i->state == JOB_RUNNING) && i->stood < item->stood &&
        i->job.message == item->job.message)
        return false;
    return true;
}

/* The job of this rule that could start, but for its rule being busy. */
static struct item *
candidate(struct world *w, uint64_t rule)
{
    struct item *first = first_of_rule(w, rule);
    return first != NULL && is_first_of_message(w, first) ? first : NULL;
}

static struct item *
runs_longest(struct world *w, uint64_t rule)
{
    struct item *first = NULL;
    EACH_IN(w, i, rule, JOB_RUNNING)
    if (first == NULL || i->begun < first->begun)
        first = i;
    return first;
}

static bool
any_stopping(struct world *w, uint64_t rule)
{
    EACH_IN(w, i, rule, JOB_RUNNING)
    if (i->stopping)
        return true;
    return false;
}

static uint64_t
sum(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

/* When the burst of this rule is quiet; UINT64_MAX: there is none. */
static uint64_t
quiet_from(struct world *w, uint64_t rule)
{
    const struct item *oldest = NULL, *newest = NULL;
    EACH_IN(w, i, rule, JOB_GATHERING)
    {
        if (oldest == NULL || i->born < oldest->born)
            oldest = i;
        if (newest == NULL || i->born > newest->born)
            newest = i;
    }
    if (oldest == NULL)
        return UINT64_MAX;
    uint64_t calm = sum(newest->came, manners(w, rule)->debounce_ms);
    uint64_t late = sum(oldest->came, manners(w, rule)->max_delay_ms);
    return calm < late ? calm : late;
}

/* --- what the model does --- */

static void
stand(struct world *w, struct item *i)
{
    i->state = JOB_WAITING;
    i->stood = ++w->count;
}

static struct item *
newest(struct world *w, uint64_t rule, int state, const struct item *leader)
{
    struct item *best = NULL;
    EACH_IN(w, i, rule, state)
    if (i->leader == leader && (best == NULL || i->born > best->born))
        best = i;
    return best;
}

static struct item *
form(struct world *w, uint64_t rule)
{
    struct item *leader = newest(w, rule, JOB_GATHERING, NULL);
    EACH_IN(w, i, rule, JOB_GATHERING)
    if (i != leader) {
        i->state = JOB_FOLLOWING;
        i->leader = leader;
    }
    stand(w, leader);
    return leader;
}

static struct item *
first_due(struct world *w, uint64_t now)
{
    struct item *first = NULL;
    EACH(w, i)
    if (i->state == JOB_DELAYED && i->until <= now &&
        (first == NULL || i->until < first->until ||
            (i->until == first->until && i->hung < first->hung)))
        first = i;
    return first;
}

static bool
can_form(struct world *w, uint64_t rule)
{
    return number_in(w, rule, JOB_GATHERING) > 0 && quiet_from(w, rule) <= w->now &&
           first_of_rule(w, rule) == NULL &&
           (!is_busy(w, rule) || manners(w, rule)->on_busy != BUSY_QUEUE);
}

/* Those formed in one moment stand in the order the queue chose. */
static void
take_order(struct world *w, struct item **formed, size_t n)
{
    for (size_t a = 0; a < n; a++)
        for (size_t b = a + 1; b < n; b++)
            if (formed[b]->job.place < formed[a]->job.place) {
                struct item *swap = formed[a];
                formed[a] = formed[b];
                formed[b] = swap;
            }
    for (size_t a = 0; a < n; a++)
        formed[a]->stood = ++w->count;
}

static void
let_time_pass(struct world *w)
{
    struct item *formed[RULES];
    size_t n = 0;
    for (struct item *i; (i = first_due(w, w->now)) != NULL;)
        stand(w, i);
    for (uint64_t rule = 0; rule < RULES; rule++)
        if (can_form(w, rule))
            formed[n++] = form(w, rule);
    take_order(w, formed, n);
}

/* Out, with its followers. */
static void
let_go(struct world *w, struct item *leader)
{
    EACH(w, i)
    if (i == leader || (i->state == JOB_FOLLOWING && i->leader == leader))
        i->state = OUT;
}

/* --- comparing --- */

static void
compare_followers(struct world *w, struct item *leader)
{
    uint64_t born = 0;
    unsigned n = 0;
    LIST_EACH(&leader->job.followers, link)
    {
        struct item *i = item_of(LIST_OWNER(link, struct job, in_batch));
        assert_int_equal(i->state, JOB_FOLLOWING);
        assert_ptr_equal(i->leader, leader);
        assert_true(i->born > born);
        born = i->born;
        n++;
    }
    EACH(w, i)
    if (i->state == JOB_FOLLOWING && i->leader == leader)
        n--;
    assert_int_equal(n, 0);
}

static void
compare(struct world *w)
{
    EACH(w, i)
    {
        if (i->state == OUT)
            continue;
        assert_int_equal((int)i->job.state, i->state);
        assert_int_equal(i->job.again, i->again);
        assert_int_equal(i->job.stopping, i->stopping);
        if (i->state != JOB_FOLLOWING)
            compare_followers(w, i);
    }
    assert_int_equal(queue_running(w->queue), number(w, JOB_RUNNING));
    assert_int_equal(queue_waiting(w->queue),
        number(w, JOB_WAITING) + number(w, JOB_GATHERING) + number(w, JOB_DELAYED));
}

/* After queue_next(): what depends on the time, too. */
static void
compare_times(struct world *w)
{
    uint64_t deadline = UINT64_MAX;
    unsigned startable = number(w, JOB_WAITING);
    EACH(w, i)
    if (i->state == JOB_DELAYED && i->until < deadline)
        deadline = i->until;
    for (uint64_t rule = 0; rule < RULES; rule++) {
        uint64_t quiet = quiet_from(w, rule);
        if (quiet <= w->now)
            startable += number_in(w, rule, JOB_GATHERING);
        else if (quiet < deadline)
            deadline = quiet;
    }
    assert_int_equal(queue_deadline(w->queue), deadline);
    assert_true(deadline > w->now);
    assert_int_equal(queue_startable(w->queue), startable);
}

/* --- asking --- */

/* Whether the first job of this rule minds that the rule is busy. */
static bool
minds(struct world *w, uint64_t rule, enum queue_busy how)
{
    struct item *i = candidate(w, rule);
    if (i == NULL || i->again || !is_busy(w, rule) || manners(w, rule)->on_busy != how)
        return false;
    return how == BUSY_SKIP || !any_stopping(w, rule);
}

static bool
anybody_minds(struct world *w)
{
    for (uint64_t rule = 0; rule < RULES; rule++)
        if (minds(w, rule, BUSY_SKIP) || minds(w, rule, BUSY_RESTART))
            return true;
    return false;
}

static struct item *
to_start(struct world *w)
{
    struct item *best = NULL;
    for (uint64_t rule = 0; rule < RULES; rule++) {
        struct item *i = candidate(w, rule);
        if (i != NULL && !is_busy(w, rule) && (best == NULL || i->job.message < best->job.message))
            best = i;
    }
    return number(w, JOB_RUNNING) < w->max_running ? best : NULL;
}

static void
on_start(struct world *w, struct item *i)
{
    assert_false(anybody_minds(w));
    assert_ptr_equal(i, to_start(w));
    i->state = JOB_RUNNING;
    i->begun = ++w->count;
    i->stopping = false;
}

static void
on_skip(struct world *w, struct item *i)
{
    assert_true(minds(w, i->job.rule, BUSY_SKIP));
    assert_ptr_equal(i, candidate(w, i->job.rule));
    let_go(w, i);
}

static void
on_stop(struct world *w, struct item *i)
{
    assert_true(minds(w, i->job.rule, BUSY_RESTART));
    assert_ptr_equal(i, runs_longest(w, i->job.rule));
    i->stopping = true;
}

static void
on_nothing(struct world *w)
{
    assert_false(anybody_minds(w));
    assert_null(to_start(w));
    if (number(w, JOB_RUNNING) == 0) /* never stuck */
        assert_int_equal(queue_startable(w->queue), 0);
}

static void
ask(struct world *w)
{
    struct job *job = NULL;
    enum queue_verdict verdict = queue_next(w->queue, w->now, &job);
    let_time_pass(w);
    switch (verdict) {
    case QUEUE_START:
        on_start(w, item_of(job));
        break;
    case QUEUE_SKIP:
        on_skip(w, item_of(job));
        break;
    case QUEUE_STOP:
        on_stop(w, item_of(job));
        break;
    case QUEUE_NOTHING:
        on_nothing(w);
        break;
    }
    compare_times(w);
}

/* --- doing --- */

static struct item *
random_item(struct world *w, int state)
{
    unsigned skip = pick(w, ITEMS);
    for (unsigned n = 0; n < ITEMS; n++) {
        struct item *i = &w->items[(skip + n) % ITEMS];
        if (i->state == state)
            return i;
    }
    return NULL;
}

static uint64_t
random_moment(struct world *w)
{
    return pick(w, 20) == 0 ? UINT64_MAX : w->now + pick(w, 60);
}

static struct item *
new_item(struct world *w, uint64_t rule, bool formed)
{
    struct item *i = random_item(w, OUT);
    if (i == NULL)
        return NULL;
    uint64_t back = pick(w, 5);
    *i = (struct item){.job = {.rule = rule, .formed = formed}, .state = OUT};
    i->job.message = w->message > back ? w->message - back : 1;
    list_init(&i->job.followers);
    i->again = formed;
    i->born = ++w->count;
    return i;
}

/* One of an earlier life, with its followers. */
static struct item *
new_batch(struct world *w)
{
    struct item *followers[3];
    size_t n = 0;
    uint64_t rule = pick(w, RULES);
    for (unsigned want = pick(w, 4); n < want; n++)
        if ((followers[n] = new_item(w, rule, false)) == NULL)
            break;
        else
            followers[n]->state = JOB_FOLLOWING;
    struct item *leader = new_item(w, rule, n == 0 || pick(w, 2) == 0);
    for (size_t k = 0; k < n; k++) {
        if (leader == NULL) {
            followers[k]->state = OUT;
            continue;
        }
        followers[k]->leader = leader;
        list_append(&leader->job.followers, &followers[k]->job.in_batch);
    }
    return leader;
}

static void
push(struct world *w)
{
    w->message += pick(w, 2);
    struct item *i = pick(w, 8) == 0 ? new_batch(w) : new_item(w, pick(w, RULES), false);
    if (i == NULL)
        return;
    queue_push(w->queue, &i->job, w->now);
    bool is_batch = i->job.formed || !list_empty(&i->job.followers);
    if (!is_batch && !w->hurried && manners(w, i->job.rule)->debounce_ms > 0) {
        i->state = JOB_GATHERING;
        i->came = w->now;
    } else {
        stand(w, i);
    }
}

static void
hang(struct world *w, struct item *i, uint64_t until)
{
    i->state = JOB_DELAYED;
    i->again = true;
    i->stopping = false;
    i->until = until;
    i->hung = ++w->count;
}

static void
push_waiting(struct world *w)
{
    struct item *i = new_batch(w);
    uint64_t until = random_moment(w);
    if (i == NULL)
        return;
    queue_push_waiting(w->queue, &i->job, until);
    hang(w, i, until);
}

static void
settle(struct world *w)
{
    struct item *i = random_item(w, JOB_RUNNING);
    if (i == NULL)
        return;
    queue_settle(w->queue, &i->job);
    compare_followers(w, i); /* they stay linked */
    let_go(w, i);
}

static void
put_back(struct world *w)
{
    struct item *i = random_item(w, JOB_RUNNING);
    if (i == NULL)
        return;
    queue_put_back(w->queue, &i->job);
    i->state = JOB_WAITING;
    i->stopping = false;
}

static void
wait(struct world *w)
{
    struct item *i = random_item(w, JOB_RUNNING);
    uint64_t until = random_moment(w);
    if (i == NULL)
        return;
    queue_wait(w->queue, &i->job, until);
    hang(w, i, until);
}

static void
wake(struct world *w)
{
    struct item *i = random_item(w, (int)pick(w, JOB_RUNNING));
    if (i == NULL)
        return;
    queue_wake(w->queue, &i->job, w->now);
    if (i->state == JOB_FOLLOWING)
        i = i->leader;
    if (i->state == JOB_DELAYED && i->until > w->now)
        hang(w, i, w->now);
    else if (i->state == JOB_GATHERING)
        form(w, i->job.rule);
}

static void
remove_one(struct world *w)
{
    struct item *i = random_item(w, (int)pick(w, JOB_RUNNING));
    if (i == NULL)
        return;
    queue_remove(w->queue, &i->job);
    let_go(w, i);
}

static void
note_drop(void *arg, struct job *job)
{
    struct world *w = arg;
    assert_true(w->n_dropped < ITEMS);
    w->dropped[w->n_dropped++] = item_of(job);
}

static bool
ends_with(const struct item *i, uint64_t message)
{
    if (i->state == OUT || i->job.message != message)
        return false;
    const struct item *leader = i->state == JOB_FOLLOWING ? i->leader : i;
    return leader->state != JOB_RUNNING && !leader->again;
}

/* The first that waits in this message and will end with it. */
static struct item *
next_to_end(struct world *w, uint64_t message)
{
    struct item *first = NULL;
    EACH(w, i)
    if (ends_with(i, message) && i->state == JOB_WAITING &&
        (first == NULL || i->stood < first->stood))
        first = i;
    return first;
}

static void
end_leader(struct world *w, struct item *old)
{
    struct item *leader = newest(w, old->job.rule, JOB_FOLLOWING, old);
    old->state = OUT;
    if (leader == NULL)
        return;
    stand(w, leader);
    EACH(w, i)
    if (i->state == JOB_FOLLOWING && i->leader == old)
        i->leader = leader;
    leader->leader = NULL;
}

static void
end_message(struct world *w)
{
    struct item *some = random_item(w, (int)pick(w, JOB_RUNNING + 1));
    uint64_t message = some != NULL ? some->job.message : w->message;
    size_t n = 0;
    w->n_dropped = 0;
    queue_end_message(w->queue, message, note_drop, w);
    EACH(w, i)
    n += ends_with(i, message);
    assert_int_equal(w->n_dropped, n);
    for (size_t k = 0; k < n; k++)
        assert_true(ends_with(w->dropped[k], message));
    EACH(w, i)
    if (ends_with(i, message) && i->state != JOB_WAITING)
        i->state = OUT;
    for (struct item *i; (i = next_to_end(w, message)) != NULL;)
        end_leader(w, i);
}

static void
hurry(struct world *w)
{
    if (pick(w, 300) > 0)
        return;
    struct item *formed[RULES];
    size_t n = 0;
    queue_hurry(w->queue);
    w->hurried = true;
    for (uint64_t rule = 0; rule < RULES; rule++)
        if (number_in(w, rule, JOB_GATHERING) > 0)
            formed[n++] = form(w, rule);
    take_order(w, formed, n);
}

static void
pass_time(struct world *w)
{
    w->now += pick(w, 30);
}

static void
step(struct world *w)
{
    static void (*const deeds[])(struct world * w) = {push, push, push, ask, ask, ask, ask, settle,
        settle, put_back, wait, wake, remove_one, end_message, push_waiting, pass_time, pass_time,
        hurry};
    deeds[pick(w, sizeof deeds / sizeof *deeds)](w);
    compare(w);
}

static void
walk(struct world *w, uint32_t seed)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->message = 1;
    w->max_running = 1 + pick(w, 5);
    EACH(w, i)
    i->state = OUT;
    for (size_t r = 0; r < RULES - 1; r++) {
        uint64_t debounce = pick(w, 2) * (1 + pick(w, 40));
        w->rules[r] = (struct queue_rule){
            .concurrency = 1 + pick(w, 3),
            .debounce_ms = debounce,
            .max_delay_ms = debounce + pick(w, 60),
            .on_busy = (enum queue_busy)pick(w, 3),
        };
    }
    w->queue = queue_new(w->max_running, w->rules, RULES - 1);
    for (int n = 0; n < STEPS; n++)
        step(w);
    w->n_dropped = 0;
    queue_free(w->queue, note_drop, w);
    assert_int_equal(w->n_dropped + number(w, OUT), ITEMS);
}

static void
the_queue_does_what_the_model_does(void **state)
{
    (void)state;
    static struct world w;
    for (uint32_t seed = 1; seed <= WALKS; seed++)
        walk(&w, seed * 2654435761u);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_queue_does_what_the_model_does)};
    return cmocka_run_group_tests_name("job_queue_model", tests, NULL, NULL);
}
