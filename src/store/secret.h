/* secret.h: compares what nobody may find out by how long it takes. Private to src/store. */
#ifndef SHMAIL_SECRET_H
#define SHMAIL_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* As long for equal bytes as for any others of that length. */
static inline bool secret_equal(const void *left, const void *right, size_t length)
{
    const unsigned char *a = left;
    const unsigned char *b = right;
    uint64_t difference = 0;
    for (; length >= sizeof(uint64_t); length -= sizeof(uint64_t)) {
        uint64_t words[2];
        memcpy(&words[0], a, sizeof(uint64_t));
        memcpy(&words[1], b, sizeof(uint64_t));
        difference |= words[0] ^ words[1];
        a += sizeof(uint64_t);
        b += sizeof(uint64_t);
    }
    for (size_t i = 0; i < length; i++)
        difference |= a[i] ^ b[i];
    return difference == 0;
}

#endif
