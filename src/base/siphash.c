/* siphash.c: SipHash-1-3 over bytes as they are or with ASCII case folded. In come a key and bytes, out goes
 * the hash. It knows nothing of names or tables. */
#include "siphash.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static inline uint64_t load(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return le64toh(word);
}

/* Bit 7 of each byte of in_range tells whether that byte is A-Z; as bit 5 it is the difference to a-z. */
static inline uint64_t fold(uint64_t word)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t low = word & (0x7F * each);
    uint64_t in_range = (low + (0x80 - 'A') * each) & ~(low + (0x7F - 'Z') * each) & ~word & (0x80 * each);

    return word | in_range >> 2;
}

static inline void round_once(struct state *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static inline void compress(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    round_once(s);
    s->v0 ^= word;
}

static inline uint64_t hash(const uint8_t key[16], const void *data, size_t length, bool folded)
{
    const uint8_t *bytes = data;
    uint64_t k0 = load(key);
    uint64_t k1 = load(key + 8);
    struct state s = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                      k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
    size_t rest = length;

    for (; rest >= 8; rest -= 8, bytes += 8) {
        uint64_t word = load(bytes);
        compress(&s, folded ? fold(word) : word);
    }

    uint64_t last = 0;
    for (size_t i = 0; i < rest; i++) {
        last |= (uint64_t)bytes[i] << 8 * i;
    }
    compress(&s, (folded ? fold(last) : last) | (uint64_t)length << 56);

    s.v2 ^= 0xFF;
    round_once(&s);
    round_once(&s);
    round_once(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t siphash13(const uint8_t key[16], const void *bytes, size_t length)
{
    return hash(key, bytes, length, false);
}

uint64_t siphash13_folded(const uint8_t key[16], const void *bytes, size_t length)
{
    return hash(key, bytes, length, true);
}
