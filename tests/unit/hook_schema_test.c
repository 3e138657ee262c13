/* hook/event and man/mailcall-event.schema.json say the same: a small validator of the keywords
 * that the schema uses (JSON Schema, draft 2020-12); any other keyword fails. */
#include "hook_sample.h"

#include "hook/event.h"

#include <jansson.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What is wrong is told once: the first thing, with its place. */
struct check {
    json_t *root; /* the schema */
    char wrong[512];
};

static void validate(struct check *c, json_t *schema, json_t *value, const char *where);

static void
wrong(struct check *c, const char *where, const char *what)
{
    if (c->wrong[0] == '\0')
        snprintf(c->wrong, sizeof c->wrong, "%s: %s", where, what);
}

typedef void keyword(
    struct check *c, json_t *schema, json_t *argument, json_t *value, const char *where);

static void
note(struct check *c, json_t *schema, json_t *argument, json_t *value, const char *where)
{
    (void)c;
    (void)schema;
    (void)argument;
    (void)value;
    (void)where;
}

static bool
is_type(const json_t *value, const char *name)
{
    static const struct {
        const char *name;
        json_type type;
    } types[] = {
        {"object", JSON_OBJECT},
        {"array", JSON_ARRAY},
        {"string", JSON_STRING},
        {"integer", JSON_INTEGER},
        {"null", JSON_NULL},
    };
    if (strcmp(name, "boolean") == 0)
        return json_is_boolean(value);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(name, types[i].name) == 0)
            return json_typeof(value) == types[i].type;
    fail_msg("no such type: %s", name);
    return false;
}

static void
check_type(struct check *c, json_t *schema, json_t *argument, json_t *value, const char *where)
{
    (void)schema;
    bool any = json_is_string(argument) && is_type(value, json_string_value(argument));
    for (size_t i = 0; i < json_array_size(argument); i++)
        any |= is_type(value, json_string_value(json_array_get(argument, i)));
    if (!any)
        wrong(c, where, "of another type");
}

static void
check_const(struct check *c, json_t *schema, json_t *argument, json_t *value, const char *where)
{
    (void)schema;
    if (!json_equal(argument, value))
        wrong(c, where, "another value");
}

static void
check_enum(struct check *c, json_t *schema, json_t *argument, json_t *value, const char *where)
{
    (void)schema;
    for (size_t i = 0; i < json_array_size(argument); i++)
        if (json_equal(json_array_get(argument, i), value))
            return;
    wrong(c, where, "none of the values");
}

static void
check_pattern(struct check *c, json_t *schema, json_t *argument, json_t *value, const char *where)
{
    (void)schema;
    regex_t re;
    assert_int_equal(regcomp(&re, json_string_value(argument), REG_EXTENDED | REG_NOSUB), 0);
    if (json_is_string(value) && regexec(&re, json_string_value(value), 0, NULL, 0) != 0)
        wrong(c, where, "of another form");
    regfree(&re);
}

static void
check_minimum(struct check *c, json_t *schema, json_t *argument, json_t *value, const char *where)
{
    (void)schema;
    if (json_is_integer(value) && json_integer_value(value) < json_integer_value(argument))
        wrong(c, where, "too small");
}

static void
check_maximum(struct check *c, json_t *schema, json_t *argument, json_t *value, const char *where)
{
    (void)schema;
    if (json_is_integer(value) && json_integer_value(value) > json_integer_value(argument))
        wrong(c, where, "too large");
}

static void
check_ref(struct check *c, json_t *schema, json_t *argument, json_t *value, const char *where)
{
    (void)schema;
    const char *name = json_string_value(argument);
    assert_int_equal(strncmp(name, "#/$defs/", 8), 0);
    json_t *target = json_object_get(json_object_get(c->root, "$defs"), name + 8);
    assert_non_null(target);
    validate(c, target, value, where);
}

static void
check_required(struct check *c, json_t *schema, json_t *argument, json_t *value, const char *where)
{
    (void)schema;
    char what[128];
    for (size_t i = 0; json_is_object(value) && i < json_array_size(argument); i++) {
        const char *name = json_string_value(json_array_get(argument, i));
        snprintf(what, sizeof what, "no \"%s\"", name);
        if (json_object_get(value, name) == NULL)
            wrong(c, where, what);
    }
}

static void
check_dependent(struct check *c, json_t *schema, json_t *argument, json_t *value, const char *where)
{
    const char *name;
    json_t *names;
    json_object_foreach(argument, name, names) if (json_object_get(value, name) != NULL)
        check_required(c, schema, names, value, where);
}

static void
check_properties(
    struct check *c, json_t *schema, json_t *argument, json_t *value, const char *where)
{
    (void)schema;
    const char *name;
    json_t *member;
    json_object_foreach(value, name, member)
    {
        char place[256];
        snprintf(place, sizeof place, "%s/%s", where, name);
        json_t *known = json_object_get(argument, name);
        if (known != NULL)
            validate(c, known, member, place);
    }
}

static void
check_additional(
    struct check *c, json_t *schema, json_t *argument, json_t *value, const char *where)
{
    const char *name;
    json_t *member;
    json_object_foreach(value, name, member)
    {
        char place[256];
        snprintf(place, sizeof place, "%s/%s", where, name);
        if (json_object_get(json_object_get(schema, "properties"), name) != NULL)
            continue;
        if (json_is_false(argument))
            wrong(c, place, "not in the schema");
        else
            validate(c, argument, member, place);
    }
}

static void
check_items(struct check *c, json_t *schema, json_t *argument, json_t *value, const char *where)
{
    (void)schema;
    for (size_t i = 0; i < json_array_size(value); i++)
        validate(c, argument, json_array_get(value, i), where);
}

static const struct {
    const char *name;
    keyword *check;
} keywords[] = {
    {"$schema", note},
    {"$defs", note},
    {"title", note},
    {"description", note},
    {"$ref", check_ref},
    {"type", check_type},
    {"const", check_const},
    {"enum", check_enum},
    {"pattern", check_pattern},
    {"minimum", check_minimum},
    {"maximum", check_maximum},
    {"required", check_required},
    {"dependentRequired", check_dependent},
    {"properties", check_properties},
    {"additionalProperties", check_additional},
    {"items", check_items},
};

static keyword *
keyword_of(const char *name)
{
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (strcmp(keywords[i].name, name) == 0)
            return keywords[i].check;
    fail_msg("the validator does not know the keyword %s", name);
    return NULL;
}

static void
validate(struct check *c, json_t *schema, json_t *value, const char *where)
{
    const char *name;
    json_t *argument;
    json_object_foreach(schema, name, argument) keyword_of(name)(c, schema, argument, value, where);
}

static json_t *
the_schema(void)
{
    json_error_t e;
    json_t *schema = json_load_file("man/mailcall-event.schema.json", JSON_REJECT_DUPLICATES, &e);
    if (schema == NULL)
        fail_msg("line %d: %s", e.line, e.text);
    return schema;
}

static void
assert_valid(const char *line)
{
    struct check c = {.root = the_schema()};
    json_t *value = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(value);
    validate(&c, c.root, value, "");
    if (c.wrong[0] != '\0')
        fail_msg("%s in %s", c.wrong, line);
    json_decref(value);
    json_decref(c.root);
}

static void
header_block(struct sample *s)
{
    (void)s;
}

static void
nothing_known(struct sample *s)
{
    s->meta.received = 0;
    s->meta.uidvalidity = 0;
    s->meta.flags = (struct strv){0};
    s->meta.role = "";
    s->facts.has_date = false;
    s->facts.from.n = s->facts.to.n = 0;
    s->hit.n_captures = 0;
}

static void
not_authenticated(struct sample *s)
{
    sample_whole(s);
    s->facts.auth.n_dkim = 0;
    s->facts.auth.spf = s->facts.auth.dmarc = TEXT("");
    s->facts.n_attachments = 0;
    s->facts.text = TEXT("");
}

static void
in_a_list(struct sample *s)
{
    sample_whole(s);
    s->facts.list_id = s->facts.in_reply_to = TEXT("a.example.com");
    s->facts.cc = s->facts.reply_to = s->facts.to;
}

static void
every_event_is_as_the_schema_says(void **state)
{
    (void)state;
    static void (*const kinds[])(struct sample * s) = {
        header_block, sample_whole, nothing_known, not_authenticated, in_a_list};
    static const struct event_file file = {0, "/run/a.pdf"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct sample s;
        sample_init(&s);
        kinds[i](&s);
        char *json = event_json(&s.event);
        assert_valid(json);
        char *again = event_json_again(json, "batch", 3);
        assert_valid(again);
        char *files = event_json_files(again, &file, 1);
        assert_valid(files);
        free(files);
        free(again);
        free(json);
    }
}

/* Every property of the schema is a member of the value; likewise below it. */
static void
assert_complete(json_t *root, json_t *schema, json_t *value)
{
    json_t *ref = json_object_get(schema, "$ref");
    if (ref != NULL)
        assert_complete(root,
            json_object_get(json_object_get(root, "$defs"), json_string_value(ref) + 8), value);
    const char *name;
    json_t *property;
    json_object_foreach(json_object_get(schema, "properties"), name, property)
    {
        if (json_object_get(value, name) == NULL)
            fail_msg("no event has \"%s\"", name);
        assert_complete(root, property, json_object_get(value, name));
    }
    json_t *items = json_object_get(schema, "items");
    if (items != NULL && json_array_size(value) > 0)
        assert_complete(root, items, json_array_get(value, 0));
}

static void
the_schema_holds_nothing_that_no_event_has(void **state)
{
    (void)state;
    struct sample s;
    json_t *schema = the_schema();
    sample_init(&s);
    sample_whole(&s);
    char *json = event_json(&s.event);
    json_t *value = json_loads(json, 0, NULL);
    assert_complete(schema, schema, value);
    json_decref(value);
    json_decref(schema);
    free(json);
}

static void
what_differs_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *member; /* path */
        const char *value;  /* JSON; NULL: taken away */
        const char *wrong;
    } table[] = {
        {"subject", NULL, ": no \"subject\""},
        {"text", NULL, ": no \"text\""},
        {"surprise", "1", "/surprise: not in the schema"},
        {"v", "2", "/v: another value"},
        {"event", "\"old\"", "/event: none of the values"},
        {"uid", "0", "/uid: too small"},
        {"uid", "4294967296", "/uid: too large"},
        {"uid", "\"1\"", "/uid: of another type"},
        {"event_id", "\"A\"", "/event_id: of another form"},
        {"received", "\"yesterday\"", "/received: of another form"},
        {"from", "{\"name\":\"\"}", "/from: no \"address\""},
        {"to", "[{\"name\":\"\",\"address\":1}]", "/to/address: of another type"},
        {"auth", "{}", "/auth: no \"authserv\""},
        {"attachments", "[{}]", "/attachments: no \"part\""},
        {"headers", "{\"x\":\"y\"}", "/headers/x: of another type"},
        {"match", "{\"x\":null}", "/match/x: of another type"},
    };
    struct check c = {.root = the_schema()};
    struct sample s;
    sample_init(&s);
    sample_whole(&s);
    char *json = event_json(&s.event);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        json_t *value = json_loads(json, 0, NULL);
        if (table[i].value == NULL)
            json_object_del(value, table[i].member);
        else
            json_object_set_new(
                value, table[i].member, json_loads(table[i].value, JSON_DECODE_ANY, NULL));
        c.wrong[0] = '\0';
        validate(&c, c.root, value, "");
        assert_string_equal(c.wrong, table[i].wrong);
        json_decref(value);
    }
    free(json);
    json_decref(c.root);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_is_as_the_schema_says),
        cmocka_unit_test(the_schema_holds_nothing_that_no_event_has),
        cmocka_unit_test(what_differs_is_found),
    };
    return cmocka_run_group_tests_name("hook_schema", tests, NULL, NULL);
}
