/* crc32c.c: CRC-32C over bytes in memory: eight at a time by the processor's instruction where it has one,
 * else by a table that is made at first use.
 *
 * The instruction's result is there three cycles later, and one can begin in each: so what is long enough
 * goes in three lanes, one beside the other. That bytes follow multiplies the checksum of those before by a
 * power of x, modulo the polynomial: a multiplication without carries, and the instruction once more, which
 * divides. (Gopal and others, "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction", Intel,
 * 2011.) */
#include "crc32c.h"

#include <stdbool.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint32_t by_table(uint32_t crc, const unsigned char *bytes, size_t length)
{
    static uint32_t table[256];

    if (table[1] == 0) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t value = i;
            for (int bit = 0; bit < 8; bit++)
                value = value & 1 ? value >> 1 ^ POLYNOMIAL : value >> 1;
            table[i] = value;
        }
    }
    for (size_t i = 0; i < length; i++)
        crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 0xff];
    return crc;
}

#if defined(__x86_64__)
#define INSTRUCTION __attribute__((target("sse4.2")))
#define LANES __attribute__((target("sse4.2,pclmul")))

INSTRUCTION static inline uint64_t eight(uint64_t crc, const unsigned char *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return __builtin_ia32_crc32di(crc, word);
}

INSTRUCTION static uint32_t by_instruction(uint32_t crc, const unsigned char *bytes, size_t length)
{
    uint64_t wide = crc;

    for (; length >= 8; bytes += 8, length -= 8) {
        wide = eight(wide, bytes);
    }
    crc = (uint32_t)wide;
    for (; length > 0; bytes++, length--) {
        crc = __builtin_ia32_crc32qi(crc, *bytes);
    }
    return crc;
}

/* The lengths of a lane, in bytes, and for each what a checksum is multiplied by where one lane follows, and
 * where two do: x to the power of 8 * bytes - 33, bits reflected. */
static const size_t long_lane = 256, short_lane = 64;
static const uint32_t one_long = 0xb9e02b86, two_long = 0xdd7e3b0c;
static const uint32_t one_short = 0x9e4addf8, two_short = 0x0d3b6092;

LANES static inline uint64_t shifted(uint64_t crc, uint32_t power)
{
    typedef long long two_words __attribute__((vector_size(16)));
    two_words product = __builtin_ia32_pclmulqdq128((two_words){(long long)crc}, (two_words){power}, 0);

    return __builtin_ia32_crc32di(0, (uint64_t)product[0]);
}

LANES static inline __attribute__((always_inline)) uint64_t
three_lanes(uint64_t first, const unsigned char *bytes, size_t lane, uint32_t one, uint32_t two)
{
    uint64_t second = 0, third = 0;

    for (const unsigned char *end = bytes + lane; bytes < end; bytes += 8) {
        first = eight(first, bytes);
        second = eight(second, bytes + lane);
        third = eight(third, bytes + 2 * lane);
    }
    return shifted(first, two) ^ shifted(second, one) ^ third;
}

LANES static uint32_t by_lanes(uint32_t crc, const unsigned char *bytes, size_t length)
{
    uint64_t wide = crc;

    for (; length >= 3 * long_lane; bytes += 3 * long_lane, length -= 3 * long_lane) {
        wide = three_lanes(wide, bytes, long_lane, one_long, two_long);
    }
    for (; length >= 3 * short_lane; bytes += 3 * short_lane, length -= 3 * short_lane) {
        wide = three_lanes(wide, bytes, short_lane, one_short, two_short);
    }
    return by_instruction((uint32_t)wide, bytes, length);
}
#endif

uint32_t crc32c(uint32_t before, const void *bytes, size_t length)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.2")) {
        return ~by_lanes(~before, bytes, length);
    }
    if (__builtin_cpu_supports("sse4.2")) {
        return ~by_instruction(~before, bytes, length);
    }
#endif
    return ~by_table(~before, bytes, length);
}
