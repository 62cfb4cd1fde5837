/* test_utf8.c: UTF-8 is exactly that of RFC 3629: each scalar value has one form, and nothing else is taken.
 */
#include "harness.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

static void every_scalar_value_survives_a_round_trip(void)
{
    for (uint32_t code = 0; code <= 0x10FFFF; code++) {
        char bytes[4];
        uint32_t back = UINT32_MAX;
        size_t length = utf8_encode(code, bytes);
        EXPECT_EQ(length, code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4);
        if (code >= 0xD800 && code <= 0xDFFF) {
            EXPECT_EQ(utf8_decode(bytes, length, &back), 0);
            EXPECT(!utf8_valid(bytes, length));
            continue;
        }
        EXPECT_EQ(utf8_decode(bytes, length, &back), length);
        EXPECT_EQ(back, code);
        EXPECT(utf8_valid(bytes, length));
    }
}

/* With the round trip, the right number of valid sequences means the right set. */
static void there_are_no_other_sequences_of_two_or_three_bytes(void)
{
    size_t found[5] = {0};
    uint32_t code;

    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            char bytes[3] = {(char)first, (char)second, 0};
            found[1] += utf8_decode(bytes, 1, &code) == 1;
            found[2] += utf8_decode(bytes, 2, &code) == 2;
            for (unsigned third = 0; third < 256; third++) {
                bytes[2] = (char)third;
                found[3] += utf8_decode(bytes, 3, &code) == 3;
                found[4] += utf8_decode(bytes, 3, &code) > 3;
            }
        }
    }
    EXPECT_EQ(found[1], 0x80 * 256);
    EXPECT_EQ(found[2], 0x800 - 0x80);
    EXPECT_EQ(found[3], 0x10000 - 0x800 - 0x800);
    EXPECT_EQ(found[4], 0);
}

static void there_are_no_other_sequences_of_four_bytes(void)
{
    static const char ends[] = "\x7F\x80\xBF\xC0"; /* around the range of a continuation byte */
    size_t found = 0;

    for (unsigned first = 0x80; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            for (size_t i = 0; i < 16; i++) {
                char bytes[] = {(char)first, (char)second, ends[i / 4], ends[i % 4]};
                uint32_t code;
                found += utf8_decode(bytes, 4, &code) == 4;
            }
        }
    }
    EXPECT_EQ(found, (0x110000 - 0x10000) / 64 / 64 * 4);
}

static void a_character_that_is_cut_is_none(void)
{
    static const char *const characters[] = {"\xC2\x80",        "\xDF\xBF",     "\xE0\xA0\x80",
                                             "\xEF\xBF\xBD",    "\xED\x9F\xBF", "\xF0\x90\x80\x80",
                                             "\xF4\x8F\xBF\xBF"};

    for (size_t i = 0; i < sizeof characters / sizeof characters[0]; i++) {
        for (size_t length = 1; length < strlen(characters[i]); length++) {
            uint32_t code;
            char *cut = malloc(length); /* a sanitizer sees what is read behind it */
            EXPECT(cut != NULL);
            memcpy(cut, characters[i], length);
            EXPECT_EQ(utf8_decode(cut, length, &code), 0);
            EXPECT_EQ(utf8_broken(cut, length), length);
            EXPECT(!utf8_valid(cut, length));
            free(cut);
        }
    }
}

/* Rows of Unicode's tables 3-8 to 3-11: the lengths of the pieces that U+FFFD stands for. */
static void a_broken_piece_is_a_maximal_subpart(void)
{
    static const struct {
        const char *bytes, *pieces;
    } rows[] = {
        {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82", "11111111"}, {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF", "11111111"},
        {"\xF4\x91\x92\x93\xFF\x80\xBF", "1111111"},      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF", "2132"},
        {"\xF1\x80\x80\xE1\x80\xC2\xC2\xC2", "32111"},    {"\xFE\xFF\xF5\x80\xF8\x88", "111111"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *rest = rows[i].bytes;
        for (const char *piece = rows[i].pieces; *piece != '\0'; piece++) {
            uint32_t code;
            EXPECT_EQ(utf8_decode(rest, strlen(rest), &code), 0);
            EXPECT_EQ(utf8_broken(rest, strlen(rest)), *piece - '0');
            rest += *piece - '0';
        }
        EXPECT_STR(rest, "");
    }
}

static void one_bad_byte_anywhere_spoils_a_text(void)
{
    for (size_t length = 0; length < 70; length++) {
        char *text = malloc(length + 1);
        EXPECT(text != NULL);
        memset(text, 'a', length);
        EXPECT(utf8_valid(text, length));
        for (size_t bad = 0; bad < length; bad++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                text[bad] = (char)byte;
                EXPECT_EQ(utf8_valid(text, length), byte < 0x80);
            }
            text[bad] = 'a';
        }
        free(text);
    }
}

static void characters_may_stand_at_any_place_of_a_text(void)
{
    static const char *const characters[] = {"\xD1\x8F", "\xE2\x82\xAC", "\xF0\x9F\x93\xAC"};

    for (size_t i = 0; i < 120; i++) {
        const char *character = characters[i % 3];
        char text[64];
        memset(text, 'a', sizeof text);
        memcpy(text + i / 3, character, strlen(character));
        EXPECT(utf8_valid(text, sizeof text));
        EXPECT(utf8_valid(text, i / 3 + strlen(character)));
        EXPECT(!utf8_valid(text, i / 3 + strlen(character) - 1));
        EXPECT(!utf8_valid(text + i / 3 + 1, sizeof text - i / 3 - 1));
    }
}

static const struct harness_test tests[] = {
    {"every scalar value survives a round trip, no surrogate does", every_scalar_value_survives_a_round_trip},
    {"no other sequences of two or three bytes are taken",
     there_are_no_other_sequences_of_two_or_three_bytes},
    {"no other sequences of four bytes are taken", there_are_no_other_sequences_of_four_bytes},
    {"a character that is cut is none", a_character_that_is_cut_is_none},
    {"a broken piece is a maximal subpart", a_broken_piece_is_a_maximal_subpart},
    {"one bad byte anywhere spoils a text", one_bad_byte_anywhere_spoils_a_text},
    {"characters may stand at any place of a text", characters_may_stand_at_any_place_of_a_text},
};

HARNESS_MAIN(tests)
