/* utf8.c: one decoder for UTF-8, and what is built on it. In come bytes, out go code points, lengths and
 * verdicts. It knows nothing of JSON, names or logs, and keeps no state. */
#include "utf8.h"

#include <string.h>

/* What the byte at the front of a character says (RFC 3629, section 4; Unicode, table 3-7). Only the second
 * byte has a range of its own: that is what rules out overlong forms, surrogates and code points that are too
 * high. */
struct lead {
    unsigned length; /* 0: no character begins so */
    unsigned char second_least, second_most;
    uint32_t bits;
};

static inline struct lead read_lead(unsigned char byte)
{
    if (byte < 0x80) {
        return (struct lead){1, 0, 0, byte};
    }
    if (byte >= 0xC2 && byte <= 0xDF) {
        return (struct lead){2, 0x80, 0xBF, byte & 0x1Fu};
    }
    if (byte >= 0xE0 && byte <= 0xEF) {
        return (struct lead){3, byte == 0xE0 ? 0xA0 : 0x80, byte == 0xED ? 0x9F : 0xBF, byte & 0x0Fu};
    }
    if (byte >= 0xF0 && byte <= 0xF4) {
        return (struct lead){4, byte == 0xF0 ? 0x90 : 0x80, byte == 0xF4 ? 0x8F : 0xBF, byte & 0x07u};
    }
    return (struct lead){0, 0, 0, 0};
}

/* Bytes at the front that belong to a character, whole or begun; *whole tells which. 0: none begins here. */
static inline size_t scan(const char *bytes, size_t length, uint32_t *code, bool *whole)
{
    struct lead lead = read_lead((unsigned char)bytes[0]);
    unsigned char least = lead.second_least;
    unsigned char most = lead.second_most;
    size_t good = lead.length > 0;

    *code = lead.bits;
    while (good < lead.length && good < length) {
        unsigned char byte = (unsigned char)bytes[good];
        if (byte < least || byte > most) {
            break;
        }
        *code = *code << 6 | (byte & 0x3Fu);
        least = 0x80;
        most = 0xBF;
        good++;
    }
    *whole = good > 0 && good == lead.length;
    return good;
}

size_t utf8_decode(const char *bytes, size_t length, uint32_t *code)
{
    uint32_t bits;
    bool whole;
    size_t good = scan(bytes, length, &bits, &whole);

    if (!whole) {
        return 0;
    }
    *code = bits;
    return good;
}

size_t utf8_broken(const char *bytes, size_t length)
{
    uint32_t bits;
    bool whole;
    size_t good = scan(bytes, length, &bits, &whole);

    return good > 0 ? good : 1;
}

size_t utf8_encode(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

/* ASCII bytes at the front, as far as whole words tell. */
static size_t ascii_words(const char *bytes, size_t length)
{
    size_t run = 0;

    while (length - run >= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, bytes + run, sizeof word);
        if (word & UINT64_C(0x8080808080808080)) {
            break;
        }
        run += sizeof word;
    }
    return run;
}

bool utf8_valid(const char *bytes, size_t length)
{
    size_t position = 0;

    while (position < length) {
        position += ascii_words(bytes + position, length - position);
        while (position < length && (unsigned char)bytes[position] < 0x80) {
            position++;
        }
        while (position < length && (unsigned char)bytes[position] >= 0x80) {
            uint32_t code;
            size_t taken = utf8_decode(bytes + position, length - position, &code);
            if (taken == 0) {
                return false;
            }
            position += taken;
        }
    }
    return true;
}
