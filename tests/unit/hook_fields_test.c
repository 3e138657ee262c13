/* hook/fields: the environment of a normal mail, of hostile ones, and placeholders. */
#include "hook_sample.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

/* --- golden --- */

static const char *const golden[] = {
    "MAILCALL_VERSION=0.1.0",
    "MAILCALL_EVENT=new",
    "MAILCALL_EVENT_ID=abcdefghijklmnopqrstuvwxyz",
    "MAILCALL_ATTEMPT=1",
    "MAILCALL_RULE=invoices",
    "MAILCALL_ACCOUNT=work",
    "MAILCALL_MAILBOX=Lists/Rück schau",
    "MAILCALL_MAILBOX_ROLE=inbox",
    "MAILCALL_UID=4711",
    "MAILCALL_UIDVALIDITY=1700000000",
    "MAILCALL_FLAGS=\\Seen $Label1",
    ("MAILCALL_URL=imaps://ann%40example.com@imap.example.com/Lists/R%C3%BCck%20schau"
     ";UIDVALIDITY=1700000000/;UID=4711"),
    "MAILCALL_RECEIVED=2026-10-03T14:02:11Z",
    "MAILCALL_RECEIVED_EPOCH=1791036131",
    "MAILCALL_SIZE=48213",
    "MAILCALL_SUBJECT=Invoice 2026-17 für März",
    "MAILCALL_FROM=billing@stripe.com",
    "MAILCALL_FROM_NAME=Stripe",
    "MAILCALL_TO=ann@example.com bob@example.com",
    "MAILCALL_CC=",
    "MAILCALL_REPLY_TO=",
    "MAILCALL_SENDER=bounce@stripe.com",
    "MAILCALL_RECIPIENT=ann+bills@example.com",
    "MAILCALL_EXTENSION=bills",
    "MAILCALL_MESSAGE_ID=x@stripe.com",
    "MAILCALL_IN_REPLY_TO=",
    "MAILCALL_DATE=2026-10-03T14:02:07Z",
    "MAILCALL_LIST_ID=",
    "MAILCALL_ATTACHMENT_COUNT=",
    "MAILCALL_ATTACHMENTS=",
    "MAILCALL_AUTH_DKIM=",
    "MAILCALL_AUTH_DKIM_DOMAIN=",
    "MAILCALL_AUTH_SPF=",
    "MAILCALL_AUTH_DMARC=",
    "MAILCALL_MATCH=Invoice 2026-17",
    "MAILCALL_PREVIEW=",
    "MAILCALL_FILE=/spool/1.eml",
    "MAILCALL_JSON_FILE=",
    "MAILCALL_ATTACHMENTS_DIR=",
    "MAILCALL_COUNT=1",
    "MAILCALL_UIDS=4711",
    "MAILCALL_HOOK_RESULT=",
    "MAILCALL_HOOK_STATUS=",
    "MAILCALL_TRUNCATED=",
    "MAILCALL_MATCH_NUMBER=2026-17",
    "MAILCALL_MATCH_X_KIND=",
};

static void
a_normal_mail_gives_the_golden_environment(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    struct strv env = {0};
    sample_init(&s);
    fields_make(&f, &s.event);
    fields_environ(&f, &env);
    for (size_t i = 0; i < env.n && i < sizeof golden / sizeof *golden; i++)
        assert_string_equal(env.v[i], golden[i]);
    assert_int_equal(env.n, sizeof golden / sizeof *golden);
    strv_free(&env);
    fields_free(&f);
    assert_int_equal(f.n, 0);
}

static const char *const golden_whole[] = {
    "MAILCALL_ATTACHMENT_COUNT=3",
    "MAILCALL_ATTACHMENTS=Rechnung März.pdf\nattachment-1\nrechnung März-2.PDF",
    "MAILCALL_AUTH_DKIM=pass",
    "MAILCALL_AUTH_DKIM_DOMAIN=stripe.com",
    "MAILCALL_AUTH_SPF=pass",
    "MAILCALL_AUTH_DMARC=pass",
    "MAILCALL_PREVIEW=Guten Tag, im Anhang Ihre \"Rechnung\".",
    "MAILCALL_ATTACHMENTS_DIR=/run/mailcall/7",
    "MAILCALL_MATCH_X_KIND=",
    "MAILCALL_HEADER_X_FOO=one, two, three",
    "MAILCALL_HEADER_LIST_UNSUBSCRIBE=",
};

static void
a_whole_mail_tells_more(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    struct strv env = {0};
    sample_init(&s);
    sample_whole(&s);
    fields_make(&f, &s.event);
    fields_environ(&f, &env);
    for (size_t i = 0; i < sizeof golden_whole / sizeof *golden_whole; i++)
        if (!strv_has(&env, golden_whole[i]))
            fail_msg("no %s", golden_whole[i]);
    assert_int_equal(env.n, sizeof golden / sizeof *golden + 2);
    strv_free(&env);
    fields_free(&f);
}

static void
a_signature_that_did_not_pass_gives_no_domain(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    sample_init(&s);
    sample_whole(&s);
    s.facts.auth.n_dkim = 1;
    s.facts.auth.spf = TEXT("soft\nfail");
    fields_make(&f, &s.event);
    assert_string_equal(fields_get(&f, "AUTH_DKIM"), "fail");
    assert_string_equal(fields_get(&f, "AUTH_DKIM_DOMAIN"), "");
    assert_string_equal(fields_get(&f, "AUTH_SPF"), "soft fail");
    fields_free(&f);
    s.dkim[0] = (struct auth_dkim){TEXT("pass"), TEXT("a b")};
    s.dkim[1].domain = TEXT("other.example");
    s.facts.auth.n_dkim = 3;
    fields_make(&f, &s.event);
    assert_string_equal(fields_get(&f, "AUTH_DKIM_DOMAIN"), "other.example stripe.com");
    fields_free(&f);
}

static void
a_preview_is_the_beginning_on_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } table[] = {
        {"", ""},
        {"\n \t\n", ""},
        {"\n\n  one \xC2\xA0 two\n\n\nthree\n", "one two three"},
        {"Ihr Code: 4711\n-- \nBank", "Ihr Code: 4711 -- Bank"},
    };
    struct sample s;
    struct fields f;
    sample_init(&s);
    sample_whole(&s);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        s.facts.text = TEXT(table[i].text);
        fields_make(&f, &s.event);
        assert_string_equal(fields_get(&f, "PREVIEW"), table[i].want);
        fields_free(&f);
    }
}

static void
a_preview_has_so_many_characters(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    struct buf text = {0};
    sample_init(&s);
    sample_whole(&s);
    for (int i = 0; i < 255; i++)
        buf_adds(&text, "\xE2\x82\xAC");
    size_t n = text.n;
    buf_adds(&text, " b");
    s.facts.text = text.p;
    fields_make(&f, &s.event);
    assert_int_equal(strlen(fields_get(&f, "PREVIEW")), n);
    fields_free(&f);
    text.p[n] = 'a';
    fields_make(&f, &s.event);
    assert_int_equal(strlen(fields_get(&f, "PREVIEW")), n + 1);
    assert_string_equal(fields_get(&f, "TRUNCATED"), "");
    fields_free(&f);
    buf_free(&text);
}

static void
every_fixed_name_has_a_doc_and_is_set_once(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    sample_init(&s);
    fields_make(&f, &s.event);
    size_t n = 0;
    for (; fields_name(n) != NULL; n++) {
        assert_true(strlen(fields_doc(n)) > 0);
        size_t seen = 0;
        for (size_t i = 0; i < f.n; i++)
            seen += strcasecmp(f.v[i].name, fields_name(n)) == 0;
        assert_int_equal(seen, 1);
    }
    assert_null(fields_doc(n));
    assert_int_equal(n, 44);
    assert_null(fields_get(&f, "subject"));
    assert_null(fields_get(&f, "NO_SUCH"));
    fields_free(&f);
}

static void
what_is_unknown_is_empty(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    sample_init(&s);
    s.facts.from.n = 0;
    s.facts.has_date = false;
    s.meta.received = 0;
    s.meta.flags.n = 0;
    fields_make(&f, &s.event);
    static const char *const empty[] = {
        "FROM", "FROM_NAME", "DATE", "RECEIVED", "RECEIVED_EPOCH", "FLAGS"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        assert_string_equal(fields_get(&f, empty[i]), "");
    fields_free(&f);
}

/* --- hostile mail --- */

static size_t
environ_size(const struct fields *f)
{
    struct strv env = {0};
    size_t size = 0;
    fields_environ(f, &env);
    for (size_t i = 0; i < env.n; i++)
        size += strlen(env.v[i]) + 1;
    strv_free(&env);
    return size;
}

/* What must hold for the environment of any mail whatever. */
static void
assert_sane(const struct fields *f)
{
    assert_true(environ_size(f) <= FIELD_TOTAL_MAX);
    for (size_t i = 0; i < f->n; i++) {
        const char *name = f->v[i].name;
        const char *value = f->v[i].value;
        assert_true(utf8_valid(span_str(value)));
        assert_true(strlen(value) <= FIELD_VALUE_MAX);
        bool lines = strcmp(name, "ATTACHMENTS") == 0;
        for (const char *p = value; *p != '\0'; p++)
            assert_true(((unsigned char)*p >= 0x20 && *p != 0x7F) || (lines && *p == '\n'));
        assert_int_not_equal(strncmp(value, "() {", 4), 0);
        assert_int_equal(strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"), strlen(name));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(name, f->v[j].name);
    }
}

static void
hostile_text_stays_one_harmless_line(void **state)
{
    (void)state;
    static const struct {
        const char *subject;
        const char *want;
    } table[] = {
        {"it's \"quoted\" `id` $(id) ${x} \\ ; & | < > * ?",
            "it's \"quoted\" `id` $(id) ${x} \\ ; & | < > * ?"},
        {"a\nMAILCALL_RULE=evil\r\nb\tc", "a MAILCALL_RULE=evil  b c"},
        {"\033]0;title\007x", "]0;title x"},
        {"\xC2\x9B"
         "31m\xE2\x80\xA8y\x7F",
            "31m y"},
        {"() { :; }; id", " () { :; }; id"},
        {"\t() { x", " () { x"},
        {"()  { x", "()  { x"},
        {"() {", " () {"},
        {"bad \xFF\xC3 bytes", "bad \xEF\xBF\xBD\xEF\xBF\xBD bytes"},
        {"  spaces  ", "spaces"},
        {"--help", "--help"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct sample s;
        struct fields f;
        sample_init(&s);
        s.facts.subject = s.from[0].name = TEXT(table[i].subject);
        s.captures[0].value = s.hit.match = s.facts.list_id = TEXT(table[i].subject);
        fields_make(&f, &s.event);
        static const char *const all[] = {
            "SUBJECT", "FROM_NAME", "MATCH", "MATCH_NUMBER", "LIST_ID"};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++)
            assert_string_equal(fields_get(&f, all[j]), table[i].want);
        assert_string_equal(fields_get(&f, "RULE"), "invoices");
        assert_sane(&f);
        fields_free(&f);
    }
}

static void
an_address_can_not_pose_as_two(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    sample_init(&s);
    s.to[0].addr = TEXT("a\tb@example.com");
    s.to[1].addr = TEXT("");
    s.to[2].addr = TEXT("c@example.com");
    s.facts.cc = s.facts.reply_to = s.facts.to;
    fields_make(&f, &s.event);
    assert_string_equal(fields_get(&f, "TO"), "c@example.com");
    assert_string_equal(fields_get(&f, "CC"), "c@example.com");
    assert_string_equal(fields_get(&f, "REPLY_TO"), "c@example.com");
    fields_free(&f);
}

static char *
repeat(const char *what, size_t times)
{
    struct buf b = {0};
    while (times-- > 0)
        buf_adds(&b, what);
    return buf_take(&b);
}

static void
a_value_is_cut_at_a_character(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    sample_init(&s);
    char *euros = repeat("\xE2\x82\xAC", 350 * 1000); /* three bytes each: about 1 MB */
    char *exact = repeat("x", FIELD_VALUE_MAX);
    s.facts.subject = euros;
    s.facts.list_id = exact;
    fields_make(&f, &s.event);
    assert_int_equal(strlen(fields_get(&f, "SUBJECT")), FIELD_VALUE_MAX / 3 * 3);
    assert_string_equal(fields_get(&f, "LIST_ID"), exact);
    assert_string_equal(fields_get(&f, "TRUNCATED"), "SUBJECT");
    assert_sane(&f);
    fields_free(&f);
    free(euros);
    free(exact);
}

static void
the_shellshock_space_counts_too(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    sample_init(&s);
    char *rest = repeat("x", FIELD_VALUE_MAX - 4);
    s.facts.subject = xasprintf("() {%s", rest);
    fields_make(&f, &s.event);
    assert_int_equal(strlen(fields_get(&f, "SUBJECT")), FIELD_VALUE_MAX);
    assert_string_equal(fields_get(&f, "TRUNCATED"), "SUBJECT");
    assert_sane(&f);
    fields_free(&f);
    free(s.facts.subject);
    free(rest);
}

static void
the_longest_values_of_strangers_give_way(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    sample_init(&s);
    char *big = repeat("y", 1000 * 1000);
    s.facts.subject = s.facts.sender = s.facts.recipient = s.facts.extension = big;
    s.facts.message_id = s.facts.in_reply_to = s.facts.list_id = s.hit.match = big;
    s.from[0] = (struct address){big, big};
    s.event.rule = big; /* ours: only the limit of one value holds for it */
    fields_make(&f, &s.event);
    assert_sane(&f);
    assert_int_equal(strlen(fields_get(&f, "RULE")), FIELD_VALUE_MAX);
    size_t level = strlen(fields_get(&f, "SUBJECT"));
    static const char *const equal[] = {"FROM", "FROM_NAME", "SENDER", "RECIPIENT", "EXTENSION",
        "MESSAGE_ID", "IN_REPLY_TO", "LIST_ID", "MATCH"};
    for (size_t i = 0; i < sizeof equal / sizeof *equal; i++)
        assert_int_equal(strlen(fields_get(&f, equal[i])), level);
    /* one byte more for each of the ten would not have fitted */
    size_t used = environ_size(&f) - strlen(fields_get(&f, "TRUNCATED"));
    assert_true(used <= FIELD_TOTAL_MAX - FIELD_VALUE_MAX);
    assert_true(used + 10 > FIELD_TOTAL_MAX - FIELD_VALUE_MAX);
    assert_string_equal(fields_get(&f, "TO"), "ann@example.com bob@example.com");
    assert_string_equal(fields_get(&f, "TRUNCATED"),
        "RULE SUBJECT FROM FROM_NAME SENDER RECIPIENT EXTENSION MESSAGE_ID IN_REPLY_TO LIST_ID "
        "MATCH");
    fields_free(&f);
    free(big);
}

static void
ten_thousand_captures_stay_within_bounds(void **state)
{
    (void)state;
    enum { N = 10 * 1000 };
    struct sample s;
    struct fields f;
    sample_init(&s);
    struct capture *captures = xcalloc(N, sizeof *captures);
    char *big = repeat("z", 20 * 1000);
    for (int i = 0; i < N; i++)
        captures[i] = (struct capture){xasprintf("group_with_a_rather_long_name_%d", i), big};
    s.hit.captures = captures;
    s.hit.n_captures = N;
    fields_make(&f, &s.event);
    assert_sane(&f);
    assert_int_equal(f.n, 44 + FIELD_MATCH_MAX);
    assert_true(strlen(fields_get(&f, "MATCH_GROUP_WITH_A_RATHER_LONG_NAME_99")) > 300);
    const char *cut = fields_get(&f, "TRUNCATED");
    assert_non_null(strstr(cut, "MATCH_GROUP_WITH_A_RATHER_LONG_NAME_99"));
    assert_null(strstr(cut, "SUBJECT"));
    fields_free(&f);
    for (int i = 0; i < N; i++)
        free(captures[i].name);
    free(captures);
    free(big);
}

static void
the_worst_of_everything_fits(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    sample_init(&s);
    char *big = repeat("\xE2\x82\xAC", 100 * 1000);
    char *name = repeat("n", 200);
    struct capture captures[FIELD_MATCH_MAX];
    for (int i = 0; i < FIELD_MATCH_MAX; i++)
        captures[i] = (struct capture){xasprintf("%d%s", i, name), big};
    s.hit = (struct hit){.match = big, .captures = captures, .n_captures = FIELD_MATCH_MAX};
    s.facts.subject = s.facts.sender = s.facts.recipient = s.facts.extension = big;
    s.facts.message_id = s.facts.in_reply_to = s.facts.list_id = s.hit.match = big;
    s.from[0] = s.to[0] = s.to[1] = (struct address){big, big};
    s.facts.cc = s.facts.reply_to = s.facts.to;
    s.facts.truncated = true;
    s.event.rule = s.event.file = s.meta.account = s.meta.mailbox = s.meta.url = big;
    s.flags[0] = big;
    sample_whole(&s);
    s.facts.text = s.facts.auth.spf = s.facts.auth.dmarc = big;
    for (size_t i = 0; i < 3; i++) {
        s.attachments[i].name = big;
        s.dkim[i] = (struct auth_dkim){TEXT("pass"), big};
    }
    struct strv headers = {0};
    for (int i = 0; i < FIELD_HEADER_MAX; i++)
        strv_addf(&headers, "%d%s", i, name);
    s.fields[0] = (struct header){headers.v[0], big};
    s.event.headers = &headers;
    s.event.folder = big;
    fields_make(&f, &s.event);
    fields_set(&f, "JSON_FILE", big);
    assert_sane(&f);
    assert_true(strlen(fields_get(&f, "SUBJECT")) > 0);
    /* the list of what was cut is itself whole */
    assert_true(strstr(fields_get(&f, "TRUNCATED"), "MATCH_99N") != NULL);
    fields_free(&f);
    for (int i = 0; i < FIELD_MATCH_MAX; i++)
        free(captures[i].name);
    strv_free(&headers);
    free(name);
    free(big);
}

static void
a_thousand_attachments_are_cut_between_their_names(void **state)
{
    (void)state;
    struct attachment many[FACTS_ATTACHMENTS_MAX];
    struct sample s;
    struct fields f;
    sample_init(&s);
    sample_whole(&s);
    for (size_t i = 0; i < FACTS_ATTACHMENTS_MAX; i++)
        many[i] = (struct attachment){
            TEXT("2"), TEXT("a\nb/../../-x y\n.txt"), TEXT("text/plain"), 1, false};
    s.facts.attachments = many;
    s.facts.n_attachments = FACTS_ATTACHMENTS_MAX;
    fields_make(&f, &s.event);
    assert_sane(&f);
    const char *names = fields_get(&f, "ATTACHMENTS");
    assert_memory_equal(names, "x y .txt\nx y -2.txt\n", 20);
    assert_string_equal(strrchr(names, '.'), ".txt");
    assert_true(strlen(names) > FIELD_VALUE_MAX - 20);
    assert_string_equal(fields_get(&f, "TRUNCATED"), "ATTACHMENTS");
    assert_string_equal(fields_get(&f, "ATTACHMENT_COUNT"), "1000");
    char *big = repeat("y", FIELD_VALUE_MAX);
    s.facts.subject = s.facts.sender = s.facts.recipient = s.facts.extension = big;
    s.facts.message_id = s.facts.in_reply_to = s.facts.list_id = s.hit.match = big;
    fields_free(&f);
    fields_make(&f, &s.event);
    assert_sane(&f);
    names = fields_get(&f, "ATTACHMENTS");
    assert_string_equal(strrchr(names, '.'), ".txt");
    fields_free(&f);
    free(big);
}

static void
headers_are_named_by_the_configuration_alone(void **state)
{
    (void)state;
    static char *names[FIELD_HEADER_MAX + 2];
    struct sample s;
    struct fields f;
    sample_init(&s);
    for (int i = 0; i <= FIELD_HEADER_MAX; i++)
        names[i] = xasprintf("X-%d%s", i, i == 1 ? "_b" : "");
    free(names[2]);
    names[2] = xstrdup("x-1-B"); /* the same name as another: the first one counts */
    s.fields[0] = (struct header){TEXT("x-1_B"), TEXT("() { :; }\n")};
    s.fields[2] = (struct header){TEXT("X-1-b"), TEXT("second")};
    struct strv headers = {names, FIELD_HEADER_MAX + 1};
    s.event.headers = &headers;
    fields_make(&f, &s.event);
    assert_sane(&f);
    assert_string_equal(fields_get(&f, "HEADER_X_1_B"), " () { :; }");
    assert_non_null(fields_get(&f, "HEADER_X_49"));
    assert_null(fields_get(&f, "HEADER_X_50"));
    assert_null(fields_get(&f, "HEADER_SUBJECT"));
    fields_free(&f);
    for (int i = 0; i <= FIELD_HEADER_MAX; i++)
        free(names[i]);
}

static void
names_from_captures_are_identifiers_and_the_first_wins(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    sample_init(&s);
    struct capture captures[] = {
        {TEXT("1"), TEXT("one")},
        {TEXT("Gr\xC3\xB6\xC3\x9F"
              "e"),
            TEXT("odd")},
        {TEXT("a-b"), TEXT("first")},
        {TEXT("A_B"), TEXT("second")},
        {TEXT("ls%%"), TEXT("() { id; }")},
    };
    s.hit.captures = captures;
    s.hit.n_captures = sizeof captures / sizeof *captures;
    fields_make(&f, &s.event);
    assert_sane(&f);
    assert_string_equal(fields_get(&f, "MATCH_1"), "one");
    assert_string_equal(fields_get(&f, "MATCH_GR____E"), "odd");
    assert_string_equal(fields_get(&f, "MATCH_A_B"), "first");
    assert_string_equal(fields_get(&f, "MATCH_LS__"), " () { id; }");
    fields_free(&f);
}

static void
truncated_facts_are_told(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    sample_init(&s);
    s.facts.truncated = true;
    fields_make(&f, &s.event);
    assert_string_equal(fields_get(&f, "TRUNCATED"), "HEADERS");
    fields_free(&f);
}

static void
a_field_set_again_is_scrubbed_and_all_still_fits(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    sample_init(&s);
    char *big = repeat("y", 100 * 1000);
    s.facts.subject = s.facts.sender = s.facts.recipient = s.facts.extension = big;
    s.facts.message_id = s.facts.in_reply_to = s.facts.list_id = big;
    fields_make(&f, &s.event);
    size_t before = strlen(fields_get(&f, "SUBJECT"));
    fields_set(&f, "ATTEMPT", "2");
    assert_string_equal(fields_get(&f, "ATTEMPT"), "2");
    fields_set(&f, "FILE", "a\nb ");
    assert_string_equal(fields_get(&f, "FILE"), "a b");
    fields_set(&f, "FILE", big);
    assert_sane(&f);
    assert_int_equal(strlen(fields_get(&f, "FILE")), FIELD_VALUE_MAX);
    assert_true(strlen(fields_get(&f, "SUBJECT")) < before);
    assert_string_equal(fields_get(&f, "TRUNCATED"),
        "SUBJECT SENDER RECIPIENT EXTENSION MESSAGE_ID IN_REPLY_TO LIST_ID FILE");
    fields_free(&f);
    free(big);
}

static void
random_bytes_never_break_the_promise(void **state)
{
    (void)state;
    uint32_t seed = 7;
    for (int round = 0; round < 300; round++) {
        char text[600];
        for (size_t i = 0; i < sizeof text - 1; i++) {
            seed = seed * 1664525u + 1013904223u;
            text[i] = (char)(seed >> 24);
            text[i] += text[i] == '\0';
        }
        text[sizeof text - 1] = '\0';
        struct sample s;
        struct fields f;
        sample_init(&s);
        s.facts.subject = s.facts.message_id = s.hit.match = s.captures[0].value = text;
        s.meta.mailbox = s.flags[1] = s.to[0].addr = s.captures[1].name = text;
        fields_make(&f, &s.event);
        assert_sane(&f);
        fields_free(&f);
    }
}

static void
uids_are_cut_between_numbers(void **state)
{
    (void)state;
    enum { N = FIELD_VALUE_MAX / 10 }; /* ten bytes each: "123456000 " */
    struct sample s;
    struct fields f;
    struct buf uids = {0};
    sample_init(&s);
    fields_make(&f, &s.event);
    for (int i = 0; i < N; i++)
        buf_addf(&uids, "%s%d", i > 0 ? " " : "", 123456000 + i);
    fields_set(&f, "UIDS", uids.p);
    assert_string_equal(fields_get(&f, "UIDS"), uids.p);
    assert_string_equal(fields_get(&f, "TRUNCATED"), "");
    size_t whole = uids.n;
    /* the next one ends exactly at the limit, or one byte behind it */
    buf_addc(&uids, ' ');
    while (uids.n < FIELD_VALUE_MAX)
        buf_addc(&uids, '7');
    fields_set(&f, "UIDS", uids.p);
    assert_string_equal(fields_get(&f, "UIDS"), uids.p);
    buf_addc(&uids, '8');
    fields_set(&f, "UIDS", uids.p);
    assert_int_equal(strlen(fields_get(&f, "UIDS")), whole);
    assert_memory_equal(fields_get(&f, "UIDS"), uids.p, whole);
    assert_string_equal(fields_get(&f, "TRUNCATED"), "UIDS");
    uids.p[FIELD_VALUE_MAX] = ' ';
    buf_adds(&uids, "99");
    fields_set(&f, "UIDS", uids.p);
    assert_int_equal(strlen(fields_get(&f, "UIDS")), FIELD_VALUE_MAX);
    assert_sane(&f);
    fields_free(&f);
    buf_free(&uids);
}

/* --- as bytes --- */

static void
pack_pair(struct buf *b, const char *name, const char *value)
{
    pack_str(b, name);
    pack_str(b, value);
}

static void
fields_come_back_and_write_the_same(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    struct fields back;
    struct fields copy;
    struct buf first = {0};
    struct buf second = {0};
    struct buf third = {0};
    sample_init(&s);
    char *big = repeat("\xE2\x82\xAC", 100 * 1000);
    s.facts.sender = s.facts.recipient = s.facts.extension = s.facts.message_id = big;
    s.facts.in_reply_to = s.facts.list_id = s.from[0].addr = s.hit.match = big;
    s.facts.subject = TEXT("() { :; }; id");
    fields_make(&f, &s.event);
    fields_pack(&first, &f);
    struct unpack u = {buf_span(&first), false};
    fields_unpack(&u, &back);
    assert_true(unpack_whole(&u));
    fields_pack(&second, &back);
    assert_true(span_eq(buf_span(&first), buf_span(&second)));
    fields_copy(&copy, &back);
    fields_free(&back);
    fields_pack(&third, &copy);
    assert_true(span_eq(buf_span(&first), buf_span(&third)));
    fields_free(&copy);
    fields_free(&f);
    buf_free(&first);
    buf_free(&second);
    buf_free(&third);
    free(big);
}

static void
damaged_values_are_scrubbed_and_missing_names_are_empty(void **state)
{
    (void)state;
    struct fields f;
    struct buf b = {0};
    char *big = repeat("x", 2 * FIELD_VALUE_MAX);
    pack_number(&b, 5);
    pack_pair(&b, "SUBJECT", "a\nMAILCALL_RULE=evil\033\xFF ");
    pack_pair(&b, "MATCH_B", "() { :; }");
    pack_pair(&b, "RULE", "");
    pack_pair(&b, "FROM", big);
    pack_pair(&b, "MATCH_A", "x");
    struct unpack u = {buf_span(&b), false};
    fields_unpack(&u, &f);
    assert_true(unpack_whole(&u));
    assert_sane(&f);
    assert_int_equal(f.n, 44 + 2);
    assert_string_equal(fields_get(&f, "SUBJECT"), "a MAILCALL_RULE=evil \xEF\xBF\xBD");
    assert_string_equal(fields_get(&f, "MATCH_B"), " () { :; }");
    assert_string_equal(fields_get(&f, "ATTEMPT"), "");
    assert_int_equal(strlen(fields_get(&f, "FROM")), FIELD_VALUE_MAX);
    assert_string_equal(f.v[44].name, "MATCH_B");
    fields_set(&f, "ATTEMPT", "2");
    fields_free(&f);
    buf_free(&b);
    free(big);
}

static void
names_that_are_none_break(void **state)
{
    (void)state;
    static const char *const names[] = {"", "subject", "SUB=JECT", "BASH_FUNC_ls%%", "A B",
        "\xC3\x9C", "SUBJECT\n",
        "HEADER_0123456789012345678901234567890123456789012345678901234567890123x", NULL};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct fields f;
        struct buf b = {0};
        pack_number(&b, 1);
        pack_pair(&b, names[i], "x");
        struct unpack u = {buf_span(&b), false};
        fields_unpack(&u, &f);
        assert_true(u.broken);
        assert_sane(&f);
        fields_free(&f);
        buf_free(&b);
    }
}

static void
names_twice_and_values_that_are_none_break(void **state)
{
    (void)state;
    static const struct {
        const char *second;
        const char *value;
    } table[] = {{"SUBJECT", "again"}, {"MATCH_A", "again"}, {"RULE", NULL}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct fields f;
        struct buf b = {0};
        pack_number(&b, 3);
        pack_pair(&b, "SUBJECT", "");
        pack_pair(&b, "MATCH_A", "");
        pack_pair(&b, table[i].second, table[i].value);
        struct unpack u = {buf_span(&b), false};
        fields_unpack(&u, &f);
        assert_true(u.broken);
        fields_free(&f);
        buf_free(&b);
    }
}

static void
too_many_names_break(void **state)
{
    (void)state;
    enum { EXTRA = 44 + FIELD_MATCH_MAX + FIELD_HEADER_MAX };
    static const uint64_t counts[] = {EXTRA + 1, UINT64_C(1) << 60, UINT64_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct fields f;
        struct buf b = {0};
        pack_number(&b, counts[i]);
        for (int k = 0; i == 0 && k <= EXTRA; k++) {
            char *name = xasprintf("N%d", k);
            pack_pair(&b, name, "");
            free(name);
        }
        struct unpack u = {buf_span(&b), false};
        fields_unpack(&u, &f);
        assert_true(u.broken);
        fields_free(&f);
        buf_free(&b);
    }
}

static void
all_together_stay_within_the_total(void **state)
{
    (void)state;
    struct fields f;
    struct buf b = {0};
    char *big = repeat("x", FIELD_VALUE_MAX);
    pack_number(&b, FIELD_MATCH_MAX);
    for (int i = 0; i < FIELD_MATCH_MAX; i++) {
        char *name = xasprintf("MATCH_%d", i);
        pack_pair(&b, name, big);
        free(name);
    }
    struct unpack u = {buf_span(&b), false};
    fields_unpack(&u, &f);
    assert_true(unpack_whole(&u));
    assert_sane(&f);
    fields_free(&f);
    buf_clear(&b);
    /* what is ours is never cut, so too much of it can only be damage */
    pack_number(&b, 12);
    for (size_t i = 0; i < 12; i++) {
        static const char *const ours[] = {"VERSION", "EVENT", "EVENT_ID", "ATTEMPT", "RULE",
            "ACCOUNT", "UID", "UIDVALIDITY", "SIZE", "DATE", "FILE", "COUNT"};
        pack_pair(&b, ours[i], big);
    }
    u = (struct unpack){buf_span(&b), false};
    fields_unpack(&u, &f);
    assert_true(u.broken);
    fields_free(&f);
    buf_free(&b);
    free(big);
}

/* --- placeholders --- */

static void
placeholders_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *template;
        int rc;
        size_t offset;
        size_t length;
    } table[] = {
        {"", 0, 0, 0},
        {"plain", 0, 0, 0},
        {"{subject}", 0, 0, 0},
        {"{count} {uids} {hook_result} {hook_status}", 0, 0, 0},
        {"a {from_name} <{from}> {match} {match_number} {match_x_kind} {match_1}", 0, 0, 0},
        {"{header_x_foo} {preview} {json_file}", 0, 0, 0},
        {"{header_subject}", -1, 1, 14},
        {"{header_}", -1, 1, 7},
        {"{nope}", -1, 1, 4},
        {"x{subject}{subjct}", -1, 11, 6},
        {"{match_other}", -1, 1, 11},
        {"{{nope}", 0, 0, 0},
        {"{{{nope}}}", -1, 3, 4},
        {"{ nope }", 0, 0, 0},
        {"{Nope}", 0, 0, 0},
        {"{\"json\": 1}", 0, 0, 0},
        {"{}", 0, 0, 0},
        {"{print $1}", 0, 0, 0},
        {"{1}", 0, 0, 0},
        {"{unclosed", 0, 0, 0},
        {"{", 0, 0, 0},
        {"}", 0, 0, 0},
        {"${subject}", 0, 0, 0},
    };
    struct strv captures = {0};
    strv_add(&captures, "number");
    strv_add(&captures, "X-Kind");
    strv_add(&captures, "1");
    struct strv headers = {0};
    strv_add(&headers, "X-Foo");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        size_t offset = 0;
        size_t length = 0;
        assert_int_equal(
            fields_check(table[i].template, &captures, &headers, &offset, &length), table[i].rc);
        assert_int_equal(offset, table[i].offset);
        assert_int_equal(length, table[i].length);
    }
    size_t at;
    assert_int_equal(fields_check("{header_x_foo}", &captures, NULL, &at, &at), -1);
    strv_free(&captures);
    strv_free(&headers);
}

static void
captures_beyond_the_limit_are_unknown(void **state)
{
    (void)state;
    struct strv captures = {0};
    size_t offset;
    size_t length;
    for (int i = 0; i <= FIELD_MATCH_MAX; i++)
        strv_addf(&captures, "c%d", i);
    assert_int_equal(fields_check("{match_c99}", &captures, NULL, &offset, &length), 0);
    assert_int_equal(fields_check("{match_c100}", &captures, NULL, &offset, &length), -1);
    assert_int_equal(fields_check("{header_c49}", NULL, &captures, &offset, &length), 0);
    assert_int_equal(fields_check("{header_c50}", NULL, &captures, &offset, &length), -1);
    strv_free(&captures);
}

static void
placeholders_are_filled(void **state)
{
    (void)state;
    static const struct {
        const char *template;
        const char *want;
    } table[] = {
        {"", ""},
        {"{uid}", "4711"},
        {"<{from_name} {from}>", "<Stripe billing@stripe.com>"},
        {"{match_number}/{match_x_kind}/{rule}", "2026-17//invoices"},
        {"{{uid}", "{uid}"},
        {"{{uid}}", "{uid}}"},
        {"{{{uid}}", "{4711}"},
        {"{{{{", "{{"},
        {"{{", "{"},
        {"{", "{"},
        {"a}b}}c", "a}b}}c"},
        {"{unclosed", "{unclosed"},
        {"{print $1} {} {\"a\":1} {Uid}", "{print $1} {} {\"a\":1} {Uid}"},
        {"{nope}", "{nope}"},
        {"{cc}", ""},
        {"{header_x_foo}|{header_list_unsubscribe}|{header_y}", "one, two, three||{header_y}"},
        {"[{attachments}]", "[Rechnung März.pdf\nattachment-1\nrechnung März-2.PDF]"},
    };
    struct sample s;
    struct fields f;
    sample_init(&s);
    sample_whole(&s);
    fields_make(&f, &s.event);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf out = {0};
        fields_fill(&out, table[i].template, &f);
        assert_string_equal(buf_str(&out), table[i].want);
        buf_free(&out);
    }
    fields_free(&f);
}

static void
a_filled_value_is_not_filled_again(void **state)
{
    (void)state;
    struct sample s;
    struct fields f;
    struct buf out = {0};
    sample_init(&s);
    s.facts.subject = TEXT("{file} {{ {rule}");
    fields_make(&f, &s.event);
    fields_fill(&out, "{subject}", &f);
    assert_string_equal(out.p, "{file} {{ {rule}");
    buf_free(&out);
    fields_free(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_normal_mail_gives_the_golden_environment),
        cmocka_unit_test(a_whole_mail_tells_more),
        cmocka_unit_test(a_signature_that_did_not_pass_gives_no_domain),
        cmocka_unit_test(a_preview_is_the_beginning_on_one_line),
        cmocka_unit_test(a_preview_has_so_many_characters),
        cmocka_unit_test(a_thousand_attachments_are_cut_between_their_names),
        cmocka_unit_test(headers_are_named_by_the_configuration_alone),
        cmocka_unit_test(every_fixed_name_has_a_doc_and_is_set_once),
        cmocka_unit_test(what_is_unknown_is_empty),
        cmocka_unit_test(hostile_text_stays_one_harmless_line),
        cmocka_unit_test(an_address_can_not_pose_as_two),
        cmocka_unit_test(a_value_is_cut_at_a_character),
        cmocka_unit_test(the_shellshock_space_counts_too),
        cmocka_unit_test(the_longest_values_of_strangers_give_way),
        cmocka_unit_test(ten_thousand_captures_stay_within_bounds),
        cmocka_unit_test(the_worst_of_everything_fits),
        cmocka_unit_test(names_from_captures_are_identifiers_and_the_first_wins),
        cmocka_unit_test(truncated_facts_are_told),
        cmocka_unit_test(a_field_set_again_is_scrubbed_and_all_still_fits),
        cmocka_unit_test(random_bytes_never_break_the_promise),
        cmocka_unit_test(uids_are_cut_between_numbers),
        cmocka_unit_test(fields_come_back_and_write_the_same),
        cmocka_unit_test(damaged_values_are_scrubbed_and_missing_names_are_empty),
        cmocka_unit_test(names_that_are_none_break),
        cmocka_unit_test(names_twice_and_values_that_are_none_break),
        cmocka_unit_test(too_many_names_break),
        cmocka_unit_test(all_together_stay_within_the_total),
        cmocka_unit_test(placeholders_are_checked),
        cmocka_unit_test(captures_beyond_the_limit_are_unknown),
        cmocka_unit_test(placeholders_are_filled),
        cmocka_unit_test(a_filled_value_is_not_filled_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
