/* test_json_conformance.c: each case of json_cases.h is read alone, and again as a member that nobody has
 * asked for and as an element of an array, because what is passed over must be JSON all the same; and each
 * verdict is also that of a second reader (fuzz/json_oracle.h). */
#include "fuzz/json_oracle.h"
#include "harness.h"
#include "json.h"
#include "json_cases.h"

#include <stdio.h>
#include <stdlib.h>

/* From memory of exactly its length. */
static bool takes(const char *bytes, size_t length)
{
    enum json_kind kind;
    const char *why = NULL;
    size_t at = 0;
    char *copy = malloc(length > 0 ? length : 1);

    EXPECT(copy != NULL);
    memcpy(copy, bytes, length);
    bool taken = json_read(copy, length, NULL, 0, &kind, NULL, &why, &at);
    EXPECT_EQ(oracle_accepts(copy, length), taken);
    free(copy);
    EXPECT(taken || (why != NULL && at <= length));
    return taken;
}

/* Between before and behind. */
static bool takes_within(const char *before, const struct test_case *row, const char *behind)
{
    char text[300];
    int start = snprintf(text, sizeof text, "%s", before);

    EXPECT(start >= 0 && (size_t)start + row->length + strlen(behind) <= sizeof text);
    memcpy(text + start, row->bytes, row->length);
    memcpy(text + start + row->length, behind, strlen(behind));
    return takes(text, (size_t)start + row->length + strlen(behind));
}

static void expect_verdict(const struct test_case *row, bool taken, const char *where)
{
    static const char *const names[] = {"must be taken", "must be refused", "is taken", "is refused"};

    if (taken != (row->verdict == MUST_TAKE || row->verdict == TAKEN)) {
        harness_fail(__FILE__, __LINE__, "%.*s: %s, %s", (int)row->length, row->bytes, names[row->verdict],
                     where);
    }
}

static void expect_rows(const struct test_case *rows, size_t count, bool values)
{
    for (size_t i = 0; i < count; i++) {
        expect_verdict(&rows[i], takes(rows[i].bytes, rows[i].length), "alone");
        if (values) {
            expect_verdict(&rows[i], takes_within("{\"unasked\":", &rows[i], ",\"to\":\"a\"}"),
                           "as a member");
            expect_verdict(&rows[i], takes_within("[0,", &rows[i], ",[]]"), "in an array");
        }
    }
}

#define EXPECT_ROWS(rows, values) expect_rows((rows), sizeof(rows) / sizeof(rows)[0], (values))

static void numbers_are_as_the_rfc_has_them(void)
{
    static const struct test_case comma = {MUST_REFUSE, TEXT("1,5")};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        bool is_list = numbers[i].length == comma.length && memcmp(numbers[i].bytes, comma.bytes, 3) == 0;
        expect_rows(&numbers[i], 1, !is_list); /* in an array it is two numbers */
    }
}

static void words_are_as_the_rfc_has_them(void)
{
    EXPECT_ROWS(words, true);
}

static void strings_are_as_the_rfc_has_them(void)
{
    EXPECT_ROWS(strings, true);
}

static void arrays_are_as_the_rfc_has_them(void)
{
    EXPECT_ROWS(arrays, true);
}

static void objects_are_as_the_rfc_has_them(void)
{
    EXPECT_ROWS(objects, true);
}

static void texts_are_as_the_rfc_has_them(void)
{
    EXPECT_ROWS(structure, false);
}

/* Each byte that is not one of the four, at each end and between the tokens. */
static void only_four_bytes_are_white_space(void)
{
    for (int byte = 0; byte < 256; byte++) {
        char text[] = {(char)byte, '[', (char)byte, '1', (char)byte, ',',
                       (char)byte, '2', (char)byte, ']', (char)byte};
        bool is_space = byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
        EXPECT_EQ(takes(text, sizeof text), is_space);
        for (size_t i = 0; i < sizeof text && !is_space; i += 2) {
            char one[] = " [ 1 , 2 ] ";
            one[i] = (char)byte;
            bool joins = (i == 2 && byte == '-') ||
                         ((i == 2 || i == 4 || i == 6 || i == 8) && byte >= '0' && byte <= '9');
            EXPECT(joins || (i == 6 && byte == '-') || !takes(one, sizeof one - 1));
        }
    }
}

/* Every second character of an escape, and every control character as it is. */
static void only_the_nine_escapes_are_there(void)
{
    for (int byte = 0; byte < 256; byte++) {
        char escape[] = {'"', '\\', (char)byte, '"'};
        char bare[] = {'"', (char)byte, '"'};
        EXPECT_EQ(takes(escape, sizeof escape), byte != 0 && strchr("\"\\/bfnrt", byte) != NULL);
        EXPECT_EQ(takes(bare, sizeof bare), byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\');
    }
}

/* All pairs of bytes at the front of a character, and all that may follow the leads of three and four. */
static void every_malformed_utf8_is_refused(void)
{
    for (unsigned lead = 0x80; lead < 0x100; lead++) {
        for (unsigned second = 0; second < 0x100; second++) {
            for (unsigned more = 0; more <= 2; more++) {
                char text[] = {'"', (char)lead, (char)second, (char)0x80, (char)0x80, '"'};
                text[3 + more] = '"';
                (void)takes(text, 4 + more); /* the other reader decides */
            }
        }
    }
}

/* 100,000 openings are refused where the limit is, not where the stack ends. */
static void deep_texts_are_refused_early(void)
{
    enum { MANY = 100000 };
    static const char *const openings[] = {"[", "{\"\":", "[{\"\":", "[1,["};

    for (size_t i = 0; i < sizeof openings / sizeof openings[0]; i++) {
        size_t each = strlen(openings[i]);
        char *text = malloc(each * MANY);
        EXPECT(text != NULL);
        for (size_t j = 0; j < MANY; j++) {
            memcpy(text + j * each, openings[i], each);
        }
        EXPECT(!takes(text, each * MANY));
        free(text);
    }
}

static const struct harness_test tests[] = {
    {"numbers are as the RFC has them, also where they are passed over", numbers_are_as_the_rfc_has_them},
    {"true, false and null are as the RFC has them", words_are_as_the_rfc_has_them},
    {"strings are as the RFC has them", strings_are_as_the_rfc_has_them},
    {"arrays are as the RFC has them", arrays_are_as_the_rfc_has_them},
    {"objects are as the RFC has them, and no key comes twice", objects_are_as_the_rfc_has_them},
    {"whole texts are as the RFC has them", texts_are_as_the_rfc_has_them},
    {"only four bytes are white space", only_four_bytes_are_white_space},
    {"only eight escapes and \\u are there", only_the_nine_escapes_are_there},
    {"every malformed UTF-8 is refused", every_malformed_utf8_is_refused},
    {"deep texts are refused early", deep_texts_are_refused_early},
};

HARNESS_MAIN(tests)
