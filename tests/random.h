/* random.h: a random sequence that repeats: a test that failed once fails again. */
#ifndef SHMAIL_TEST_RANDOM_H
#define SHMAIL_TEST_RANDOM_H

#include <stdint.h>

/* 0 to below - 1, by xorshift. */
static inline uint32_t pick(uint32_t below)
{
    static uint64_t state = 88172645463325252;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 11 & UINT32_MAX) * below >> 32);
}

#endif
