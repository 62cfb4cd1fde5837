/* test_json_write.c: whatever bytes a message holds, the writer makes a JSON string of them that reads back
 * as the same text, with U+FFFD for what is not UTF-8, and cutting the bytes into pieces makes no difference.
 */
#include "harness.h"
#include "json.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(literal) (literal), sizeof(literal) - 1

static void expect_written(const char *bytes, size_t length, const char *string)
{
    struct buffer out = BUFFER_WITH_CAP(0);

    EXPECT(json_write_string(&out, bytes, length));
    EXPECT(buffer_append_byte(&out, '\0'));
    EXPECT_STR(out.bytes, string);
    buffer_free(&out);
}

static void what_must_be_escaped_is(void)
{
    expect_written(TEXT(""), "\"\"");
    expect_written(TEXT("plain, 'text' {} / \x7f"), "\"plain, 'text' {} / \x7f\"");
    expect_written(TEXT("\"\\"), "\"\\\"\\\\\"");
    expect_written(TEXT("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    expect_written(TEXT("\0\x01\x0b\x1b\x1f"), "\"\\u0000\\u0001\\u000b\\u001b\\u001f\"");
    expect_written(TEXT("a long line of text\nand another \"line\""),
                   "\"a long line of text\\nand another \\\"line\\\"\"");
    expect_written(TEXT("\xD1\x8F\xE2\x82\xAC\xF0\x9F\x93\xAC"), "\"\xD1\x8F\xE2\x82\xAC\xF0\x9F\x93\xAC\"");
}

#define BROKEN "\xEF\xBF\xBD"

static void what_is_not_utf8_becomes_a_replacement(void)
{
    expect_written(TEXT("\x80"), "\"" BROKEN "\"");
    expect_written(TEXT("a\xFFz"), "\"a" BROKEN "z\"");
    expect_written(TEXT("\xE2\x82"), "\"" BROKEN "\"");
    expect_written(TEXT("\xE2\x82\""), "\"" BROKEN "\\\"\"");
    expect_written(TEXT("\xC0\xAF"), "\"" BROKEN BROKEN "\"");
    expect_written(TEXT("\xED\xA0\x80"), "\"" BROKEN BROKEN BROKEN "\"");
    expect_written(TEXT("\xF1\x80\x80\xE1\x80\xC2z"), "\"" BROKEN BROKEN BROKEN "z\"");
}

/* The text that a reader of bytes must get, by the plainest way. */
static void expect_meaning(const struct buffer *written, const char *bytes, size_t length)
{
    struct buffer expected = BUFFER_WITH_CAP(0), meant = BUFFER_WITH_CAP(0);
    enum json_kind kind;
    const char *why = "";
    size_t at;

    for (size_t i = 0; i < length;) {
        uint32_t code;
        size_t taken = utf8_decode(bytes + i, length - i, &code);
        EXPECT(taken > 0 ? buffer_append(&expected, bytes + i, taken)
                         : buffer_append_text(&expected, BROKEN));
        i += taken > 0 ? taken : utf8_broken(bytes + i, length - i);
    }
    EXPECT(json_read(written->bytes, written->length, NULL, 0, &kind, &meant, &why, &at));
    EXPECT_EQ(kind, JSON_STRING);
    EXPECT_EQ(meant.length, expected.length);
    EXPECT(meant.length == 0 || memcmp(meant.bytes, expected.bytes, meant.length) == 0);
    buffer_free(&expected);
    buffer_free(&meant);
}

/* Random bytes of four kinds: any, mostly plain, halves of characters, whole characters with a slip. */
static size_t make_bytes(char *bytes, size_t most)
{
    static const char halves[] =
        "\xC2\xDF\xE0\xE2\xED\xF0\xF1\xF4\x80\x82\x8F\x90\x9F\xA0\xBF\xC0\xF5\xFF\"\n";
    size_t length = (size_t)rand() % most;
    int kind = rand() % 4;

    for (size_t i = 0; i < length; i++) {
        char any = (char)rand();
        if (kind == 0) {
            bytes[i] = any;
        } else if (kind == 1) {
            char plain = (char)('a' + rand() % 26);
            bytes[i] = rand() % 20 == 0 ? any : plain;
        } else if (kind == 2) {
            bytes[i] = halves[(size_t)rand() % (sizeof halves - 1)];
        } else {
            char character[4];
            size_t taken = utf8_encode((uint32_t)rand() % 0x110000 >> rand() % 14, character);
            memcpy(bytes + i, character, taken < length - i ? taken : length - i);
            i += rand() % 10 == 0 ? 0 : taken - 1;
        }
    }
    return length;
}

/* Each piece is read from memory of its own, so that a sanitizer sees a step too far. */
static bool write_piece(struct buffer *out, const char *bytes, size_t length, struct json_carry *carry,
                        bool last)
{
    char *copy = malloc(length + (length == 0));
    EXPECT(copy != NULL);
    memcpy(copy, bytes, length);
    bool done = json_write_text(out, copy, length, carry, last);
    free(copy);
    return done;
}

static void random_bytes_read_back_as_the_same_text(void)
{
    char bytes[300];

    srand(8259);
    for (int round = 0; round < 20000; round++) {
        struct buffer out = BUFFER_WITH_CAP(0);
        size_t length = make_bytes(bytes, sizeof bytes);
        EXPECT(json_write_string(&out, bytes, length));
        expect_meaning(&out, bytes, length);
        EXPECT(utf8_valid(out.bytes, out.length));
        buffer_free(&out);
    }
}

static void pieces_make_no_difference(void)
{
    char bytes[48];

    srand(3629);
    for (int round = 0; round < 2000; round++) {
        struct buffer whole = BUFFER_WITH_CAP(0), out = BUFFER_WITH_CAP(0);
        size_t length = make_bytes(bytes, sizeof bytes);
        EXPECT(json_write_string(&whole, bytes, length));
        for (size_t cut = 0; cut <= length; cut++) {
            struct json_carry carry = {.length = 0};
            size_t second = cut + (size_t)rand() % (length - cut + 1);
            buffer_clear(&out);
            EXPECT(buffer_append_byte(&out, '"'));
            EXPECT(write_piece(&out, bytes, cut, &carry, false));
            EXPECT(write_piece(&out, bytes + cut, second - cut, &carry, false));
            EXPECT(write_piece(&out, bytes + second, length - second, &carry, true));
            EXPECT(buffer_append_byte(&out, '"'));
            EXPECT_EQ(carry.length, 0);
            EXPECT_EQ(out.length, whole.length);
            EXPECT(memcmp(out.bytes, whole.bytes, out.length) == 0);
        }
        buffer_free(&whole);
        buffer_free(&out);
    }
}

static void single_bytes_and_a_bare_end_make_no_difference(void)
{
    char bytes[64];

    srand(137);
    for (int round = 0; round < 3000; round++) {
        struct buffer whole = BUFFER_WITH_CAP(0), out = BUFFER_WITH_CAP(0);
        struct json_carry carry = {.length = 0};
        size_t length = make_bytes(bytes, sizeof bytes);
        EXPECT(json_write_string(&whole, bytes, length));
        EXPECT(buffer_append_byte(&out, '"'));
        for (size_t i = 0; i < length; i++) {
            EXPECT(write_piece(&out, bytes + i, 1, &carry, false));
            EXPECT(carry.length < 4);
        }
        EXPECT(json_write_text(&out, NULL, 0, &carry, true));
        EXPECT(buffer_append_byte(&out, '"'));
        EXPECT_EQ(out.length, whole.length);
        EXPECT(memcmp(out.bytes, whole.bytes, out.length) == 0);
        buffer_free(&whole);
        buffer_free(&out);
    }
}

static void a_buffer_that_is_too_small_is_an_answer(void)
{
    static const char bytes[] = "text \"\n\x01 \xD1\x8F\xFF end \xE2\x82";
    struct buffer whole = BUFFER_WITH_CAP(0);

    EXPECT(json_write_string(&whole, bytes, sizeof bytes - 1));
    for (size_t cap = 1; cap < whole.length; cap++) {
        struct buffer small = BUFFER_WITH_CAP(cap);
        EXPECT(!json_write_string(&small, bytes, sizeof bytes - 1));
        EXPECT(small.failed);
        EXPECT(memcmp(small.bytes, whole.bytes, small.length) == 0);
        buffer_free(&small);
    }
    struct buffer fitting = BUFFER_WITH_CAP(whole.length);
    EXPECT(json_write_string(&fitting, bytes, sizeof bytes - 1));
    buffer_free(&fitting);
    buffer_free(&whole);
}

static const struct harness_test tests[] = {
    {"what must be escaped is, and nothing else", what_must_be_escaped_is},
    {"what is not UTF-8 becomes a replacement", what_is_not_utf8_becomes_a_replacement},
    {"random bytes read back as the same text", random_bytes_read_back_as_the_same_text},
    {"pieces make no difference, wherever the cuts are", pieces_make_no_difference},
    {"single bytes and a bare end make no difference", single_bytes_and_a_bare_end_make_no_difference},
    {"a buffer that is too small is an answer", a_buffer_that_is_too_small_is_an_answer},
};

HARNESS_MAIN(tests)
