/* test_base.c: the small things that everything stands on: numbers, base64url, SipHash, clocks, status texts.
 */
#include "base64.h"
#include "clock.h"
#include "harness.h"
#include "number.h"
#include "siphash.h"
#include "status.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void decimal_numbers_are_read(void)
{
    static const struct {
        const char *text;
        uint64_t max, value;
    } rows[] = {
        {"0", 0, 0},
        {"7", 7, 7},
        {"10", 10, 10},
        {"007", 7, 7},
        {"65535", 65535, 65535},
        {"9", UINT64_MAX, 9},
        {"18446744073709551615", UINT64_MAX, UINT64_MAX},
        {"0000000000000000000000000000001", 1, 1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 12345;
        EXPECT(number_parse(rows[i].text, strlen(rows[i].text), rows[i].max, &value));
        EXPECT(value == rows[i].value);
    }
}

static void anything_else_is_no_number(void)
{
    static const struct {
        const char *text;
        uint64_t max;
    } rows[] = {
        {"", 10},
        {" 1", 10},
        {"1 ", 10},
        {"+1", 10},
        {"-1", 10},
        {"-0", 10},
        {"1.", 10},
        {"1e1", 100},
        {"0x1", 100},
        {"a", 10},
        {"1\n", 10},
        {"1", 0},
        {"11", 10},
        {"20", 10},
        {"99", 10},
        {"\xD9\xA1", 10},
        {"65536", 65535},
        {"/", 99},
        {":", 99},
        {"18446744073709551616", UINT64_MAX},
        {"18446744073709551620", UINT64_MAX},
        {"99999999999999999999", UINT64_MAX},
        {"184467440737095516150", UINT64_MAX},
        {"100000000000000000000000000000000000000000", UINT64_MAX},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 12345;
        EXPECT(!number_parse(rows[i].text, strlen(rows[i].text), rows[i].max, &value));
        EXPECT_EQ(value, 12345);
    }
    uint64_t value;
    EXPECT(!number_parse("1\0", 2, 10, &value));
    EXPECT(number_parse("12", 1, 10, &value) && value == 1);
}

static void a_printed_number_is_the_decimal_one(void)
{
    uint64_t number = 0;
    for (int i = 0; i < 200; i++) {
        char expected[NUMBER_TEXT + 1], digits[NUMBER_TEXT];
        int length = snprintf(expected, sizeof(expected), "%llu", (unsigned long long)number);
        EXPECT_EQ(number_print(number, digits), (size_t)length);
        EXPECT(memcmp(digits, expected, (size_t)length) == 0);
        number = i % 3 == 0 ? number * 7 + 9 : i % 3 == 1 ? number + 1 : UINT64_MAX - number / 5;
    }
}

static void a_number_is_at_most_its_maximum(void)
{
    for (uint64_t max = 0; max < 300; max++) {
        for (unsigned number = 0; number < 300; number++) {
            char text[] = {(char)('0' + number / 100), (char)('0' + number / 10 % 10),
                           (char)('0' + number % 10)};
            uint64_t value;
            EXPECT_EQ(number_parse(text, 3, max, &value), number <= max);
        }
    }
}

/* RFC 4648, section 10, without the padding, and the two characters in which base64url differs. */
static void base64_is_that_of_the_rfc(void)
{
    static const struct {
        const char *bytes, *text;
    } rows[] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xFB\xFF\xFE", "-__-"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t size = strlen(rows[i].bytes);
        char text[16] = {0}, bytes[16];
        EXPECT_EQ(BASE64_LENGTH(size), strlen(rows[i].text));
        base64_encode(rows[i].bytes, size, text);
        EXPECT_STR(text, rows[i].text);
        EXPECT(base64_decode(text, strlen(text), bytes, size));
        EXPECT(memcmp(bytes, rows[i].bytes, size) == 0);
    }
}

static void bytes_of_any_length_survive_base64(void)
{
    srand(4648);
    for (size_t size = 1; size < 100; size++) {
        uint8_t bytes[100], back[100];
        char *text = malloc(BASE64_LENGTH(size));
        EXPECT(text != NULL);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)rand();
        }
        memset(text, '!', BASE64_LENGTH(size));
        base64_encode(bytes, size, text);
        EXPECT(memchr(text, '!', BASE64_LENGTH(size)) == NULL);
        EXPECT(base64_decode(text, BASE64_LENGTH(size), back, size));
        EXPECT(memcmp(bytes, back, size) == 0);
        free(text);
    }
}

static void a_cookie_has_one_form_only(void)
{
    uint8_t cookie[32], back[32];
    char text[BASE64_LENGTH(32) + 1] = {0}, other[sizeof text];
    size_t taken = 0;

    EXPECT_EQ(BASE64_LENGTH(32), 43);
    memset(cookie, 0xA5, sizeof cookie);
    base64_encode(cookie, sizeof cookie, text);
    EXPECT(!base64_decode(text, 42, back, 32));
    EXPECT(!base64_decode(text, 44, back, 32));
    EXPECT(!base64_decode(text, 43, back, 31));
    for (size_t place = 0; place < 43; place++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            memcpy(other, text, sizeof text);
            other[place] = (char)byte;
            if (base64_decode(other, 43, back, 32)) {
                taken++;
                EXPECT(memcmp(other, text, 43) == 0 || memcmp(back, cookie, 32) != 0);
            }
        }
    }
    /* The last character holds four bits of the cookie and two that are zero. */
    EXPECT_EQ(taken, 42 * 64 + 16);
}

static const uint8_t key[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* Key and input are those of the paper's appendix A; its example is SipHash-2-4, so these come from a plain
 * implementation with the rounds as parameters, which gives the example for 2-4 and CPython's hash() for 1-3.
 */
static void siphash_is_that_of_the_paper(void)
{
    static const struct {
        size_t length;
        uint64_t hash;
    } rows[] = {
        {0, UINT64_C(0xabac0158050fc4dc)},  {1, UINT64_C(0xc9f49bf37d57ca93)},
        {7, UINT64_C(0xd3927d989bb11140)},  {8, UINT64_C(0x369095118d299a8e)},
        {15, UINT64_C(0xd320d86d2a519956)}, {16, UINT64_C(0xcc4fdd1a7d908b66)},
        {63, UINT64_C(0x9d199062b7bbb3a8)},
    };
    uint8_t bytes[64];

    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        EXPECT(siphash13(key, bytes, rows[i].length) == rows[i].hash);
    }
}

static void the_folded_hash_is_that_of_the_lower_case(void)
{
    char text[40], lower[40];

    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t length = 1; length < sizeof text; length++) {
            for (size_t i = 0; i < length; i++) {
                text[i] = (char)(byte + i);
                lower[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + ('a' - 'A')) : text[i];
            }
            EXPECT(siphash13_folded(key, text, length) == siphash13(key, lower, length));
        }
    }
}

static void a_hash_depends_on_every_bit_of_key_and_bytes(void)
{
    uint8_t other[16], bytes[20] = {0};
    uint64_t hash = siphash13(key, bytes, sizeof bytes);

    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        EXPECT(siphash13(key, bytes, sizeof bytes) != hash);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * sizeof other; bit++) {
        memcpy(other, key, sizeof other);
        other[bit / 8] ^= (uint8_t)(1u << bit % 8);
        EXPECT(siphash13(other, bytes, sizeof bytes) != hash);
    }
    EXPECT(siphash13(key, bytes, sizeof bytes - 1) != hash);
}

static void the_clocks_run_forward(void)
{
    int64_t before = clock_now();
    int64_t seconds = (int64_t)time(NULL);

    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_now();
        EXPECT(now >= before);
        before = now;
    }
    EXPECT(clock_unix() >= seconds);
    EXPECT(clock_unix() <= (int64_t)time(NULL));
}

static void deadlines_neither_wrap_nor_turn_negative(void)
{
    int64_t before = clock_now();
    int64_t deadline = deadline_after_seconds(10);

    EXPECT(deadline >= before + 10 * NANOSECONDS_PER_SECOND);
    EXPECT(deadline <= clock_now() + 10 * NANOSECONDS_PER_SECOND);
    struct timespec left = deadline_left(deadline);
    EXPECT(left.tv_sec == 9 || (left.tv_sec == 10 && left.tv_nsec == 0));
    EXPECT(left.tv_nsec >= 0 && left.tv_nsec < NANOSECONDS_PER_SECOND);
    left = deadline_left(before);
    EXPECT(left.tv_sec == 0 && left.tv_nsec == 0);
    left = deadline_left(INT64_MIN);
    EXPECT(left.tv_sec == 0 && left.tv_nsec == 0);

    EXPECT(deadline_after_seconds(0) <= clock_now());
    EXPECT(deadline_after_seconds(-5) >= before);
    EXPECT(deadline_after_seconds(INT64_MAX) == DEADLINE_NEVER);
    EXPECT(deadline_after_seconds(INT64_MAX / NANOSECONDS_PER_SECOND) == DEADLINE_NEVER);
    EXPECT(deadline_left(DEADLINE_NEVER).tv_sec > 86400);

    struct timespec at = deadline_at(12 * NANOSECONDS_PER_SECOND + 34);
    EXPECT(at.tv_sec == 12 && at.tv_nsec == 34);
    at = deadline_at(-1);
    EXPECT(at.tv_sec == 0 && at.tv_nsec == 0);
}

static void each_status_has_a_text_of_its_own(void)
{
    for (int status = 0; status < STATUS_COUNT; status++) {
        const char *text = status_text((enum status)status);
        EXPECT(text != NULL && text[0] != '\0');
        EXPECT(isalpha((unsigned char)text[strlen(text) - 1]));
        EXPECT(strpbrk(text, "\r\n") == NULL);
        for (int other = 0; other < status; other++) {
            EXPECT(strcmp(text, status_text((enum status)other)) != 0);
        }
    }
    EXPECT_STR(status_text(STATUS_COUNT), "unknown status");
    EXPECT_STR(status_text((enum status) - 1), "unknown status");
}

static const struct harness_test tests[] = {
    {"decimal numbers are read", decimal_numbers_are_read},
    {"anything else is no number", anything_else_is_no_number},
    {"a number is at most its maximum", a_number_is_at_most_its_maximum},
    {"a printed number is the decimal one", a_printed_number_is_the_decimal_one},
    {"base64 is that of RFC 4648", base64_is_that_of_the_rfc},
    {"bytes of any length survive base64", bytes_of_any_length_survive_base64},
    {"a cookie has one form only", a_cookie_has_one_form_only},
    {"SipHash is that of the paper", siphash_is_that_of_the_paper},
    {"the folded hash is that of the lower case", the_folded_hash_is_that_of_the_lower_case},
    {"a hash depends on every bit of key and bytes", a_hash_depends_on_every_bit_of_key_and_bytes},
    {"the clocks run forward", the_clocks_run_forward},
    {"deadlines neither wrap nor turn negative", deadlines_neither_wrap_nor_turn_negative},
    {"each status has a text of its own", each_status_has_a_text_of_its_own},
};

HARNESS_MAIN(tests)
