/* test_json_members.c: what json_read and json_read_array hand to a caller, and the limits: depth, members of
 * an object, keys that occur twice, texts that are too long. */
#include "harness.h"
#include "json.h"
#include "limit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void expect_error(const char *bytes, size_t length, const char *expected)
{
    enum json_kind kind;
    const char *why = "taken";
    size_t at;

    EXPECT(!json_read(bytes, length, NULL, 0, &kind, NULL, &why, &at));
    EXPECT_STR(why, expected);
    EXPECT(at <= length);
}

static void expect_taken(const char *bytes, size_t length)
{
    enum json_kind kind;
    const char *why = "";
    size_t at;

    EXPECT(json_read(bytes, length, NULL, 0, &kind, NULL, &why, &at));
    EXPECT_STR(why, "");
}

static void members_that_are_asked_for_are_filled(void)
{
    static const char text[] =
        "{\"other\":[{\"to\":1}],\"to\":\"\\u0062ob\",\"n\":-1e2,\"yes\":true,\"no\":false,"
        "\"nil\":null,\"list\":[\"x\"],\"object\":{\"to\":\"y\"},\"\":\"empty\",\"z\":\"a\\u0000b\"}";
    struct json_member members[] = {{.key = "to"},  {.key = "n"},     {.key = "yes"},    {.key = "no"},
                                    {.key = "nil"}, {.key = "list"},  {.key = "object"}, {.key = ""},
                                    {.key = "z"},   {.key = "absent"}};
    static const struct {
        enum json_kind kind;
        const char *text;
        size_t length;
    } expected[] = {{JSON_STRING, "bob", 3}, {JSON_NUMBER, "-1e2", 4},  {JSON_TRUE, "", 0},
                    {JSON_FALSE, "", 0},     {JSON_NULL, "", 0},        {JSON_ARRAY, "", 0},
                    {JSON_OBJECT, "", 0},    {JSON_STRING, "empty", 5}, {JSON_STRING, "a\0b", 3},
                    {JSON_ABSENT, "", 0}};
    enum json_kind kind;
    const char *why;
    size_t at;

    for (int again = 0; again < 2; again++) {
        EXPECT(json_read(text, sizeof text - 1, members, 10, &kind, NULL, &why, &at));
        EXPECT_EQ(kind, JSON_OBJECT);
        for (size_t i = 0; i < 10; i++) {
            EXPECT_EQ(members[i].kind, expected[i].kind);
            EXPECT_EQ(members[i].text.length, expected[i].length);
            EXPECT(expected[i].length == 0 ||
                   memcmp(members[i].text.bytes, expected[i].text, expected[i].length) == 0);
        }
    }
    EXPECT(json_read("[{\"to\":\"x\"}]", 12, members, 10, &kind, NULL, &why, &at));
    for (size_t i = 0; i < 10; i++) {
        EXPECT_EQ(members[i].kind, JSON_ABSENT);
        EXPECT_EQ(members[i].text.length, 0);
        buffer_free(&members[i].text);
    }
}

static void a_key_may_be_written_with_escapes(void)
{
    struct json_member member = {.key = "name"};
    enum json_kind kind;
    const char *why;
    size_t at;

    EXPECT(json_read("{\"\\u006e\\u0061me\":7}", 20, &member, 1, &kind, NULL, &why, &at));
    EXPECT_EQ(member.kind, JSON_NUMBER);
    EXPECT(json_read("{\"name\\u0000\":7}", 16, &member, 1, &kind, NULL, &why, &at));
    EXPECT_EQ(member.kind, JSON_ABSENT);
    buffer_free(&member.text);
}

static void a_text_over_its_cap_is_an_error(void)
{
    static const struct {
        const char *text;
        size_t cap;
        bool taken;
    } rows[] = {
        {"{\"a\":\"12345\"}", 5, true},      {"{\"a\":\"12345\"}", 4, false},
        {"{\"a\":12345}", 5, true},          {"{\"a\":12345}", 4, false},
        {"{\"a\":\"123\\n5\"}", 5, true},    {"{\"a\":\"123\\n5\"}", 4, false},
        {"{\"a\":\"123\\u20ac\"}", 6, true}, {"{\"a\":\"123\\u20ac\"}", 5, false},
        {"{\"b\":\"123456789\"}", 1, true},  {"{\"b\":{\"a\":\"123456789\"}}", 1, true},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct json_member member = {.key = "a", .text = {.cap = rows[i].cap}};
        enum json_kind kind;
        const char *why = "";
        size_t at;
        EXPECT_EQ(json_read(rows[i].text, strlen(rows[i].text), &member, 1, &kind, NULL, &why, &at),
                  rows[i].taken);
        EXPECT_STR(why, rows[i].taken ? "" : "member too long");
        EXPECT_EQ(member.text.failed, !rows[i].taken);
        buffer_free(&member.text);
    }
}

static void a_key_twice_in_an_object_is_refused(void)
{
    static const char *const rows[] = {
        "{\"a\":1,\"a\":1}",
        "{\"a\":1,\"b\":2,\"c\":3,\"b\":4}",
        "{\"\":1,\"\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"\\u0061\":1,\"a\":2}",
        "{\"/\\\\\":1,\"\\/\\u005C\":2}",
        "{\"\\n\":1,\"\\u000A\":2}",
        "{\"\xD1\x8F\":1,\"\\u044f\":2}",
        "{\"\xF0\x9F\x93\xAC\":1,\"\\uD83D\\uDCEC\":2}",
        "{\"a\\u0000b\":1,\"a\\u0000b\":2}",
        "{\"x\":{\"a\":1,\"a\":2}}",
        "[{\"a\":{}},{\"b\":[{\"c\":0,\"\\u0063\":0}]}]",
        "{\"a\":{\"a\":{\"a\":1}},\"a\":2}",
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_error(rows[i], strlen(rows[i]), "duplicate key");
    }
}

/* Two keys of every length about the bounds of what is hashed at once: alike, or different in one byte. */
static void long_keys_are_told_apart(void)
{
    char text[2048];

    for (size_t length = 1; length < 800; length += length < 240 || length > 260 ? 31 : 1) {
        char first[800], second[800];
        memset(first, 'k', length);
        first[length] = '\0';
        int used = snprintf(text, sizeof text, "{\"%s\":1,\"%s\":2}", first, first);
        expect_error(text, (size_t)used, "duplicate key");
        used = snprintf(text, sizeof text, "{\"%s\":1,\"\\u006b%s\":2}", first, first + 1);
        expect_error(text, (size_t)used, "duplicate key");
        used = snprintf(text, sizeof text, "{\"%s\":1,\"%s\":2}", first, first + 1);
        expect_taken(text, (size_t)used);
        for (size_t place = 0; place < length; place += 1 + length / 8) {
            memcpy(second, first, length + 1);
            second[place] = 'K';
            used = snprintf(text, sizeof text, "{\"%s\":1,\"%s\":2}", first, second);
            expect_taken(text, (size_t)used);
        }
    }
}

static size_t write_members(char *text, size_t room, unsigned count)
{
    size_t length = 0;

    for (unsigned i = 0; i < count; i++) {
        length += (size_t)snprintf(text + length, room - length, "%s\"%u\":%u", i == 0 ? "{" : ",", i, i);
    }
    text[length++] = '}';
    return length;
}

static void the_members_of_one_object_have_an_exact_limit(void)
{
    char text[4096], nested[16384] = "[";
    size_t length = write_members(text, sizeof text, JSON_MEMBERS_MAX);
    size_t used = 1;

    expect_taken(text, length);
    for (int i = 0; i < 10; i++) { /* the limit is of an object, not of a text */
        memcpy(nested + used, text, length);
        used += length;
        nested[used++] = i < 9 ? ',' : ']';
    }
    expect_taken(nested, used);
    length = write_members(text, sizeof text, JSON_MEMBERS_MAX + 1);
    expect_error(text, length, "too many members");
    text[length - 1] = ','; /* the limit comes before a look at the key */
    expect_error(text, length, "too many members");
}

static size_t nest(char *text, size_t depth, bool objects)
{
    size_t length = 0;

    for (size_t i = 0; i < depth; i++) {
        const char *opening = objects && i % 2 == 1 ? "{\"a\":" : "[";
        memcpy(text + length, opening, strlen(opening));
        length += strlen(opening);
    }
    text[length++] = '1';
    for (size_t i = depth; i-- > 0;) {
        text[length++] = objects && i % 2 == 1 ? '}' : ']';
    }
    return length;
}

static void depth_has_an_exact_limit(void)
{
    static char text[10 * 100000];

    for (int objects = 0; objects < 2; objects++) {
        expect_taken(text, nest(text, JSON_DEPTH_MAX, objects));
        expect_error(text, nest(text, JSON_DEPTH_MAX + 1, objects), "nested too deeply");
        expect_error(text, nest(text, 100000, objects), "nested too deeply");
    }
    memset(text, '[', sizeof text);
    expect_error(text, sizeof text, "nested too deeply");
}

/* Writes down what each visit saw, and stops after the row that says so. */
struct visits {
    char seen[256];
    size_t count, stop_after;
};

static bool visit(void *context, const struct json_member *members)
{
    struct visits *visits = context;
    size_t used = strlen(visits->seen);

    (void)snprintf(visits->seen + used, sizeof visits->seen - used, "(%d %.*s, %d %.*s)",
                   (int)members[0].kind, (int)members[0].text.length,
                   members[0].text.length > 0 ? members[0].text.bytes : "", (int)members[1].kind,
                   (int)members[1].text.length, members[1].text.length > 0 ? members[1].text.bytes : "");
    return ++visits->count != visits->stop_after;
}

static void an_array_of_objects_is_visited_in_order(void)
{
    static const struct {
        const char *text, *seen, *why;
        size_t at, stop_after;
    } rows[] = {
        {"[]", "", "", 0, 0},
        {" [ ] ", "", "", 0, 0},
        {"[{}]", "(0 , 0 )", "", 0, 0},
        {"[{\"id\":1,\"x\":[{\"id\":7}],\"t\":\"a\"}, {\"t\":\"\\u0062\",\"u\":{\"id\":8}} ,{\"id\":\"3\"}]",
         "(4 1, 5 a)(0 , 5 b)(5 3, 0 )", "", 0, 0},
        {"[{\"id\":1},{\"id\":2},{\"id\":3}]", "(4 1, 0 )(4 2, 0 )", "", 0, 2},
        {"", "", "no array", 0, 0},
        {"{}", "", "no array", 0, 0},
        {"[{\"id\":1},2]", "", "no object", 10, 0},
        {"[{\"id\":1},[]]", "", "no object", 10, 0},
        {"[{\"id\":1},]", "", "no object", 10, 0},
        {"[{\"id\":1}", "", "neither ',' nor ']'", 9, 0},
        {"[{\"id\":1}] x", "", "more behind the value", 11, 0},
        {"[{\"id\":1},{\"id\":2,\"id\":3}]", "", "duplicate key", 18, 0},
        {"[{\"id\":1},{\"t\":\"123456789\"}]", "(4 1, 0 )", "member too long", 16, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct json_member members[] = {{.key = "id"}, {.key = "t", .text = {.cap = 8}}};
        struct visits visits = {.stop_after = rows[i].stop_after};
        const char *why = "";
        size_t at = 0;
        bool taken =
            json_read_array(rows[i].text, strlen(rows[i].text), members, 2, visit, &visits, &why, &at);
        EXPECT_STR(why, rows[i].why);
        EXPECT_EQ(taken, rows[i].why[0] == '\0');
        EXPECT_EQ(at, rows[i].at);
        EXPECT_STR(visits.seen, rows[i].seen);
        buffer_free(&members[0].text);
        buffer_free(&members[1].text);
    }
}

/* As many long keys as an object may have, of escapes only but for a number, which makes them differ. */
static struct buffer make_long_keys(bool number_behind)
{
    enum { PAIRS = 16 * 1024 };
    struct buffer text = BUFFER_WITH_CAP(0);

    for (unsigned i = 0; i < JSON_MEMBERS_MAX; i++) {
        char number[8];
        (void)snprintf(number, sizeof number, "%02u", i % 100);
        EXPECT(buffer_print(&text, "%c\"%s", i == 0 ? '{' : ',', number_behind ? "" : number));
        for (size_t pair = 0; pair < PAIRS; pair++) {
            EXPECT(buffer_append(&text, "\\n", 2));
        }
        EXPECT(buffer_print(&text, "%s\":0", number_behind ? number : ""));
    }
    EXPECT(buffer_append_byte(&text, '}'));
    return text;
}

static int64_t processor_time(const struct buffer *text)
{
    int64_t least = INT64_MAX;

    for (int i = 0; i < 5; i++) {
        struct timespec before, after;
        EXPECT(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before) == 0);
        expect_taken(text->bytes, text->length);
        EXPECT(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after) == 0);
        int64_t taken = (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
        least = taken < least ? taken : least;
    }
    return least;
}

/* Were they compared with each other, the one text would take twenty times as long as the other. */
static void long_alike_keys_cost_no_more_than_others(void)
{
    struct buffer alike = make_long_keys(true);
    struct buffer different = make_long_keys(false);

    EXPECT(processor_time(&alike) < 5 * processor_time(&different));
    buffer_free(&alike);
    buffer_free(&different);
}

static const struct harness_test tests[] = {
    {"members that are asked for are filled, others passed over", members_that_are_asked_for_are_filled},
    {"a key may be written with escapes", a_key_may_be_written_with_escapes},
    {"a text over its cap is an error", a_text_over_its_cap_is_an_error},
    {"a key twice in an object is refused, however it is written", a_key_twice_in_an_object_is_refused},
    {"long keys are told apart by every byte", long_keys_are_told_apart},
    {"long keys that are nearly alike cost no more than others", long_alike_keys_cost_no_more_than_others},
    {"the members of one object have an exact limit", the_members_of_one_object_have_an_exact_limit},
    {"depth has an exact limit", depth_has_an_exact_limit},
    {"an array of objects is visited in order", an_array_of_objects_is_visited_in_order},
};

HARNESS_MAIN(tests)
