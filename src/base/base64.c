/* base64.c: bytes to base64url and back. Bits pass through an accumulator, six on the side of the text and
 * eight on the side of the bytes. It knows nothing of cookies. */
#include "base64.h"

#include <stdint.h>

void base64_encode(const void *bytes, size_t length, char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *from = bytes;
    uint32_t bits = 0;
    unsigned held = 0;

    for (size_t i = 0; i < length; i++) {
        bits = (bits << 8 | from[i]) & 0xFFFF;
        for (held += 8; held >= 6; held -= 6) {
            *text++ = letters[bits >> (held - 6) & 0x3F];
        }
    }
    if (held > 0) {
        *text = letters[bits << (6 - held) & 0x3F];
    }
}

static int letter_value(char letter)
{
    if (letter >= 'A' && letter <= 'Z') {
        return letter - 'A';
    }
    if (letter >= 'a' && letter <= 'z') {
        return letter - 'a' + 26;
    }
    if (letter >= '0' && letter <= '9') {
        return letter - '0' + 52;
    }
    return letter == '-' ? 62 : letter == '_' ? 63 : -1;
}

bool base64_decode(const char *text, size_t length, void *bytes, size_t size)
{
    uint8_t *to = bytes;
    uint32_t bits = 0;
    unsigned held = 0;

    if (length != BASE64_LENGTH(size)) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        int value = letter_value(text[i]);
        if (value < 0) {
            return false;
        }
        bits = (bits << 6 | (uint32_t)value) & 0xFFFF;
        held += 6;
        if (held >= 8) {
            held -= 8;
            *to++ = (uint8_t)(bits >> held);
        }
    }
    return (bits & ((UINT32_C(1) << held) - 1)) == 0;
}
