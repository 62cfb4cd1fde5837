/* test_crc32c.c: the checksum of the journal: that of the standard, whatever the length and however it is
 * cut. */
#include "crc32c.h"
#include "harness.h"
#include "random.h"

#include <stdlib.h>
#include <string.h>

enum {
    LONGEST = 4 * 1024, /* several of the longest blocks that go in lanes */
    SHIFTS = 16,
    FAR = 1 << 20,
};

/* Bit by bit, as the polynomial is written. */
static uint32_t plainly(uint32_t crc, const unsigned char *bytes, size_t length)
{
    crc = ~crc;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static unsigned char *random_bytes(size_t length)
{
    unsigned char *bytes = malloc(length);
    EXPECT(bytes);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)pick(256);
    return bytes;
}

static void it_is_that_of_the_rfc(void)
{
    unsigned char bytes[32];
    EXPECT_EQ(crc32c(0, "", 0), 0);
    memset(bytes, 0, sizeof(bytes));
    EXPECT_EQ(crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    EXPECT_EQ(crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    EXPECT_EQ(crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(sizeof(bytes) - 1 - i);
    EXPECT_EQ(crc32c(0, bytes, sizeof(bytes)), 0x113fdb5c);
}

static void bytes_of_any_length_have_it(void)
{
    unsigned char *bytes = random_bytes(LONGEST + SHIFTS);
    for (size_t length = 0; length <= LONGEST; length++) {
        const unsigned char *begin = bytes + length % SHIFTS;
        EXPECT_EQ(crc32c(0, begin, length), plainly(0, begin, length));
    }
    free(bytes);
    bytes = random_bytes(FAR);
    EXPECT_EQ(crc32c(0, bytes, FAR), plainly(0, bytes, FAR));
    free(bytes);
}

static void it_goes_on_from_what_stands_before(void)
{
    unsigned char *bytes = random_bytes(LONGEST);
    uint32_t whole = plainly(0, bytes, LONGEST);
    for (size_t cut = 0; cut <= LONGEST; cut++)
        EXPECT_EQ(crc32c(crc32c(0, bytes, cut), bytes + cut, LONGEST - cut), whole);
    free(bytes);
}

static void no_bit_is_without_weight(void)
{
    unsigned char *bytes = random_bytes(LONGEST);
    uint32_t whole = crc32c(0, bytes, LONGEST);
    for (size_t i = 0; i < LONGEST; i++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (unsigned char)(1 << bit);
            EXPECT(crc32c(0, bytes, LONGEST) != whole);
            bytes[i] ^= (unsigned char)(1 << bit);
        }
    free(bytes);
}

static const struct harness_test tests[] = {
    {"the checksum is that of RFC 3720", it_is_that_of_the_rfc},
    {"bytes of any length have it", bytes_of_any_length_have_it},
    {"it goes on from what stands before", it_goes_on_from_what_stands_before},
    {"no bit is without weight", no_bit_is_without_weight},
};

HARNESS_MAIN(tests)
