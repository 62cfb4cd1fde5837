/* test_json.c: the reader takes every production of RFC 8259 and nothing else. Each text is read from memory
 * of exactly its length, so that a sanitizer sees a step too far. */
#include "harness.h"
#include "json.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(literal) (literal), sizeof(literal) - 1

struct outcome {
    bool taken;
    enum json_kind kind;
    const char *why;
    size_t at;
};

static struct outcome read_members(const char *bytes, size_t length, struct json_member *members,
                                   size_t count, struct buffer *top)
{
    struct outcome outcome = {.why = NULL};
    char *copy = malloc(length);

    EXPECT(copy != NULL || length == 0);
    if (length > 0) {
        memcpy(copy, bytes, length);
    }
    outcome.taken = json_read(copy, length, members, count, &outcome.kind, top, &outcome.why, &outcome.at);
    EXPECT(outcome.taken || (outcome.why != NULL && outcome.at <= length));
    free(copy);
    return outcome;
}

static struct outcome read_text(const char *bytes, size_t length)
{
    return read_members(bytes, length, NULL, 0, NULL);
}

static void expect_error(const char *bytes, size_t length, const char *why)
{
    struct outcome outcome = read_text(bytes, length);

    EXPECT_STR(outcome.taken ? "taken" : outcome.why, why);
}

struct good {
    const char *bytes;
    size_t length;
    enum json_kind kind;
    const char *text; /* what it means, up to text_length; for containers NULL */
    size_t text_length;
};

static const struct good good[] = {
    {TEXT("null"), JSON_NULL, NULL, 0},
    {TEXT("true"), JSON_TRUE, NULL, 0},
    {TEXT("false"), JSON_FALSE, NULL, 0},
    {TEXT(" \t\r\nnull \t\r\n"), JSON_NULL, NULL, 0},
    {TEXT("0"), JSON_NUMBER, TEXT("0")},
    {TEXT("-0"), JSON_NUMBER, TEXT("-0")},
    {TEXT("10"), JSON_NUMBER, TEXT("10")},
    {TEXT("-1234567890"), JSON_NUMBER, TEXT("-1234567890")},
    {TEXT("0.0"), JSON_NUMBER, TEXT("0.0")},
    {TEXT("-1.05"), JSON_NUMBER, TEXT("-1.05")},
    {TEXT("1e5"), JSON_NUMBER, TEXT("1e5")},
    {TEXT("1E+05"), JSON_NUMBER, TEXT("1E+05")},
    {TEXT("0e-0"), JSON_NUMBER, TEXT("0e-0")},
    {TEXT("12.5e+300 "), JSON_NUMBER, TEXT("12.5e+300")},
    {TEXT("123456789012345678901234567890"), JSON_NUMBER, TEXT("123456789012345678901234567890")},
    {TEXT("\"\""), JSON_STRING, TEXT("")},
    {TEXT("\"a\""), JSON_STRING, TEXT("a")},
    {TEXT("\"a longer text of plain characters, [{:,}]\""), JSON_STRING,
     TEXT("a longer text of plain characters, [{:,}]")},
    {TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), JSON_STRING, TEXT("\"\\/\b\f\n\r\t")},
    {TEXT("\"/'\x7f\""), JSON_STRING, TEXT("/'\x7f")},
    {TEXT("\"\\u0041\\u00e9\\u20AC\\uFFFF\""), JSON_STRING, TEXT("A\xC3\xA9\xE2\x82\xAC\xEF\xBF\xBF")},
    {TEXT("\"\\u0000\""), JSON_STRING, TEXT("\0")},
    {TEXT("\"\\ud83d\\uDCEC\""), JSON_STRING, TEXT("\xF0\x9F\x93\xAC")},
    {TEXT("\"\\uD800\\uDC00\\uDBFF\\uDFFF\""), JSON_STRING, TEXT("\xF0\x90\x80\x80\xF4\x8F\xBF\xBF")},
    {TEXT("\"\\uD7FF\\uE000\""), JSON_STRING, TEXT("\xED\x9F\xBF\xEE\x80\x80")},
    {TEXT("\"\\\\u0041\""), JSON_STRING, TEXT("\\u0041")},
    {TEXT("\"\xD0\xBF\xD0\xBE\xD1\x87\xD1\x82\xD0\xB0\""), JSON_STRING,
     TEXT("\xD0\xBF\xD0\xBE\xD1\x87\xD1\x82\xD0\xB0")},
    {TEXT("\"\xC2\x80\xE0\xA0\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\""), JSON_STRING,
     TEXT("\xC2\x80\xE0\xA0\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF")},
    {TEXT("\"\xEF\xBB\xBF\xE2\x80\xA8\""), JSON_STRING, TEXT("\xEF\xBB\xBF\xE2\x80\xA8")},
    {TEXT("[]"), JSON_ARRAY, NULL, 0},
    {TEXT(" [ ] "), JSON_ARRAY, NULL, 0},
    {TEXT("[null]"), JSON_ARRAY, NULL, 0},
    {TEXT("[ 1 , -2.5e3,\"a\"\t,\r\n[ ],{ } ,true,false,null ]"), JSON_ARRAY, NULL, 0},
    {TEXT("{}"), JSON_OBJECT, NULL, 0},
    {TEXT("\n{ }\n"), JSON_OBJECT, NULL, 0},
    {TEXT("{\"\":0}"), JSON_OBJECT, NULL, 0},
    {TEXT("{ \"a\" : 1 ,\t\"b\":\"\" , \"c\" : { \"a\" : [ { \"a\" : null } , { \"a\" : null } ] } }"),
     JSON_OBJECT, NULL, 0},
    {TEXT("{\"a\":1,\"A\":2,\"aa\":3,\"a\\u0000\":4,\"a\\u0000b\":5,\"\\u0000a\":6}"), JSON_OBJECT, NULL, 0},
};

static void every_production_is_taken(void)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct buffer top = BUFFER_WITH_CAP(1000);
        struct outcome outcome = read_members(good[i].bytes, good[i].length, NULL, 0, &top);
        EXPECT_STR(outcome.taken ? "" : outcome.why, "");
        EXPECT_EQ(outcome.kind, good[i].kind);
        EXPECT_EQ(top.length, good[i].text_length);
        EXPECT(top.length == 0 || memcmp(top.bytes, good[i].text, top.length) == 0);
        buffer_free(&top);
    }
}

static void a_text_that_is_cut_short_is_refused(void)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        size_t end = good[i].length;
        while (strchr(" \t\r\n", good[i].bytes[end - 1]) != NULL) {
            end--;
        }
        for (size_t cut = 0; good[i].kind != JSON_NUMBER && cut < end; cut++) {
            EXPECT(!read_text(good[i].bytes, cut).taken);
        }
    }
}

static void a_text_with_more_behind_it_is_refused(void)
{
    static const char *const more[] = {"x", ",", "]", "}", "0", "\"\"", "null", "//", "#"};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char text[200];
        memcpy(text, good[i].bytes, good[i].length);
        text[good[i].length] = ' ';
        for (size_t j = 0; j < sizeof more / sizeof more[0]; j++) {
            memcpy(text + good[i].length + 1, more[j], strlen(more[j]));
            expect_error(text, good[i].length + 1 + strlen(more[j]), "more behind the value");
        }
        text[good[i].length + 1] = '\0';
        expect_error(text, good[i].length + 2, "more behind the value");
    }
}

struct bad {
    const char *bytes;
    size_t length;
    const char *why;
    size_t at;
};

static void expect_bad(const struct bad *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct outcome outcome = read_text(rows[i].bytes, rows[i].length);
        EXPECT_STR(outcome.taken ? rows[i].bytes : outcome.why, rows[i].why);
        EXPECT_EQ(outcome.at, rows[i].at);
    }
}

#define EXPECT_BAD(rows) expect_bad((rows), sizeof(rows) / sizeof(rows)[0])

static void no_value_is_refused(void)
{
    static const struct bad rows[] = {
        {TEXT(""), "no value", 0},
        {TEXT(" \n"), "no value", 2},
        {TEXT("\xEF\xBB\xBF{}"), "no value", 0},
        {TEXT("\xFF\xFEn"), "no value", 0},
        {TEXT("\f1"), "no value", 0},
        {TEXT("\v1"), "no value", 0},
        {TEXT("\xC2\xA0"
              "1"),
         "no value", 0},
        {TEXT("\0"), "no value", 0},
        {TEXT("'a'"), "no value", 0},
        {TEXT("// a\n1"), "no value", 0},
        {TEXT("/* a */1"), "no value", 0},
        {TEXT("#1"), "no value", 0},
        {TEXT("]"), "no value", 0},
        {TEXT("}"), "no value", 0},
        {TEXT(","), "no value", 0},
        {TEXT(":"), "no value", 0},
        {TEXT("tru"), "unknown word", 0},
        {TEXT("truE"), "unknown word", 0},
        {TEXT("fals"), "unknown word", 0},
        {TEXT("nul"), "unknown word", 0},
        {TEXT("nil"), "unknown word", 0},
        {TEXT("True"), "no value", 0},
        {TEXT("NULL"), "no value", 0},
        {TEXT("undefined"), "no value", 0},
        {TEXT("nulll"), "more behind the value", 4},
        {TEXT("truefalse"), "more behind the value", 4},
    };

    EXPECT_BAD(rows);
}

static void bad_numbers_are_refused(void)
{
    static const char no_digits[] = "number without digits";
    static const char no_fraction[] = "number without digits behind its point";
    static const char no_exponent[] = "number without digits in its exponent";
    static const char more[] = "more behind the value";
    static const struct bad rows[] = {
        {TEXT("-"), no_digits, 1},
        {TEXT("-a"), no_digits, 1},
        {TEXT("--1"), no_digits, 1},
        {TEXT("-.1"), no_digits, 1},
        {TEXT("-Infinity"), no_digits, 1},
        {TEXT("- 1"), no_digits, 1},
        {TEXT("1."), no_fraction, 2},
        {TEXT("1.e1"), no_fraction, 2},
        {TEXT("-0."), no_fraction, 3},
        {TEXT("1.-1"), no_fraction, 2},
        {TEXT("1e"), no_exponent, 2},
        {TEXT("1e+"), no_exponent, 3},
        {TEXT("1.5E-"), no_exponent, 5},
        {TEXT("1e.5"), no_exponent, 2},
        {TEXT("1e+-5"), no_exponent, 3},
        {TEXT("01"), more, 1},
        {TEXT("-01"), more, 2},
        {TEXT("00"), more, 1},
        {TEXT("0x1"), more, 1},
        {TEXT("1_000"), more, 1},
        {TEXT("1 2"), more, 2},
        {TEXT("1.5.5"), more, 3},
        {TEXT("1e5.5"), more, 3},
        {TEXT("1f"), more, 1},
        {TEXT("1\0"), more, 1},
        {TEXT("+1"), "no value", 0},
        {TEXT(".1"), "no value", 0},
        {TEXT("NaN"), "no value", 0},
        {TEXT("Infinity"), "no value", 0},
        {TEXT("\xEF\xBC\x91"), "no value", 0},
    };

    EXPECT_BAD(rows);
}

static void bad_strings_are_refused(void)
{
    static const char open[] = "string without its closing quote";
    static const char control[] = "control character in a string";
    static const char escape[] = "unknown escape";
    static const char hex[] = "\\u without four hex digits";
    static const char lone[] = "lone surrogate";
    static const char broken[] = "not UTF-8";
    static const struct bad rows[] = {
        {TEXT("\""), open, 1},
        {TEXT("\"abcdefghijkl"), open, 13},
        {TEXT("\"a\\\""), open, 4},
        {TEXT("\"a'"), open, 3},
        {TEXT("\"\n\""), control, 1},
        {TEXT("\"abcdefg\th\""), control, 8},
        {TEXT("\"\0\""), control, 1},
        {TEXT("\"\x1f\""), control, 1},
        {TEXT("\"\\"), escape, 1},
        {TEXT("\"\\a\""), escape, 1},
        {TEXT("\"\\x41\""), escape, 1},
        {TEXT("\"\\'\""), escape, 1},
        {TEXT("\"\\U0041\""), escape, 1},
        {TEXT("\"\\\n\""), escape, 1},
        {TEXT("\"\\\0\""), escape, 1},
        {TEXT("\"\\0\""), escape, 1},
        {TEXT("\"\\u\""), hex, 1},
        {TEXT("\"\\u004"), hex, 1},
        {TEXT("\"\\u004\""), hex, 1},
        {TEXT("\"\\u00g0\""), hex, 1},
        {TEXT("\"\\u{41}\""), hex, 1},
        {TEXT("\"\\u 041\""), hex, 1},
        {TEXT("\"\\u+041\""), hex, 1},
        {TEXT("\"\\ud800\""), lone, 1},
        {TEXT("\"\\uD800"), lone, 1},
        {TEXT("\"\\udbffx\""), lone, 1},
        {TEXT("\"\\udc00\""), lone, 1},
        {TEXT("\"\\udc00\\ud800\""), lone, 1},
        {TEXT("\"\\ud800\\ud800\""), lone, 1},
        {TEXT("\"\\ud800\\u0041\""), lone, 1},
        {TEXT("\"\\ud800\\ue000\""), lone, 1},
        {TEXT("\"\\ud800\\n\""), lone, 1},
        {TEXT("\"\\ud800\\udc0\""), lone, 1},
        {TEXT("\"\\ud800\\udc0"), lone, 1},
        {TEXT("\"\\ud800udc00\""), lone, 1},
        {TEXT("\"a\\udfff\""), lone, 2},
        {TEXT("\"\x80\""), broken, 1},
        {TEXT("\"\xFF\""), broken, 1},
        {TEXT("\"\xC0\x80\""), broken, 1},
        {TEXT("\"\xC1\xBF\""), broken, 1},
        {TEXT("\"\xE0\x80\xAF\""), broken, 1},
        {TEXT("\"\xF0\x80\x80\xAF\""), broken, 1},
        {TEXT("\"\xED\xA0\x80\""), broken, 1},
        {TEXT("\"\xED\xA0\xBD\xED\xB3\xAC\""), broken, 1},
        {TEXT("\"\xF4\x90\x80\x80\""), broken, 1},
        {TEXT("\"\xF5\x80\x80\x80\""), broken, 1},
        {TEXT("\"\xC3\""), broken, 1},
        {TEXT("\"\xE2\x82\""), broken, 1},
        {TEXT("\"abcdefgh\xD0\""), broken, 9},
        {TEXT("\"\xD0\xBF\xD0"), broken, 3},
        {TEXT("{\"\xFF\":1}"), broken, 2},
        {TEXT("{\"\\ud800\":1}"), lone, 2},
    };

    EXPECT_BAD(rows);
}

static void bad_arrays_and_objects_are_refused(void)
{
    static const char in_array[] = "neither ',' nor ']'";
    static const char in_object[] = "neither ',' nor '}'";
    static const char colon[] = "no ':' behind a key";
    static const struct bad rows[] = {
        {TEXT("["), "no value", 1},
        {TEXT("[1"), in_array, 2},
        {TEXT("[1,"), "no value", 3},
        {TEXT("[1,]"), "no value", 3},
        {TEXT("[,1]"), "no value", 1},
        {TEXT("[1,,2]"), "no value", 3},
        {TEXT("[,]"), "no value", 1},
        {TEXT("[1 2]"), in_array, 3},
        {TEXT("[1}"), in_array, 2},
        {TEXT("[1:2]"), in_array, 2},
        {TEXT("[1;2]"), in_array, 2},
        {TEXT("[\"a\" \"b\"]"), in_array, 5},
        {TEXT("[[]"), in_array, 3},
        {TEXT("[]]"), "more behind the value", 2},
        {TEXT("[/**/]"), "no value", 1},
        {TEXT("[01]"), in_array, 2},
        {TEXT("{"), "no key", 1},
        {TEXT("{,}"), "no key", 1},
        {TEXT("{1:1}"), "no key", 1},
        {TEXT("{a:1}"), "no key", 1},
        {TEXT("{'a':1}"), "no key", 1},
        {TEXT("{null:1}"), "no key", 1},
        {TEXT("{\"a\":1,}"), "no key", 7},
        {TEXT("{\"a\":1,,\"b\":2}"), "no key", 7},
        {TEXT("{\"a\":1,"), "no key", 7},
        {TEXT("{]"), "no key", 1},
        {TEXT("{\"a\"}"), colon, 4},
        {TEXT("{\"a\" 1}"), colon, 5},
        {TEXT("{\"a\",1}"), colon, 4},
        {TEXT("{\"a\"=1}"), colon, 4},
        {TEXT("{\"a\""), colon, 4},
        {TEXT("{\"a\":"), "no value", 5},
        {TEXT("{\"a\":}"), "no value", 5},
        {TEXT("{\"a\"::1}"), "no value", 5},
        {TEXT("{\"a\":1"), in_object, 6},
        {TEXT("{\"a\":1]"), in_object, 6},
        {TEXT("{\"a\":1 \"b\":2}"), in_object, 7},
        {TEXT("{\"a\":1;\"b\":2}"), in_object, 6},
        {TEXT("{}}"), "more behind the value", 2},
        {TEXT("{}{}"), "more behind the value", 2},
        {TEXT("{\"a\":{\"b\":[1,{\"c\":tru}]}}"), "unknown word", 18},
    };

    EXPECT_BAD(rows);
}

/* What a byte more or less, or another byte, makes of a text is taken or refused, but taken only where it is
 * UTF-8 all through. */
static void changed_texts_do_no_harm(void)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        for (size_t place = 0; place < good[i].length; place++) {
            char text[200];
            for (unsigned byte = 0; byte < 256; byte++) {
                memcpy(text, good[i].bytes, good[i].length);
                text[place] = (char)byte;
                EXPECT(!read_text(text, good[i].length).taken || utf8_valid(text, good[i].length));
                memmove(text + place + 1, good[i].bytes + place, good[i].length - place);
                EXPECT(!read_text(text, good[i].length + 1).taken || utf8_valid(text, good[i].length + 1));
            }
            memcpy(text, good[i].bytes, place);
            memcpy(text + place, good[i].bytes + place + 1, good[i].length - place - 1);
            EXPECT(!read_text(text, good[i].length - 1).taken || utf8_valid(text, good[i].length - 1));
        }
    }
}

static const struct harness_test tests[] = {
    {"every production is taken and means what it says", every_production_is_taken},
    {"a text that is cut short is refused", a_text_that_is_cut_short_is_refused},
    {"a text with more behind it is refused", a_text_with_more_behind_it_is_refused},
    {"what is no value is refused", no_value_is_refused},
    {"bad numbers are refused", bad_numbers_are_refused},
    {"bad strings are refused", bad_strings_are_refused},
    {"bad arrays and objects are refused", bad_arrays_and_objects_are_refused},
    {"changed texts do no harm", changed_texts_do_no_harm},
};

HARNESS_MAIN(tests)
