/* json_oracle.h: RFC 8259 told a second time, as simply as it can be, to compare the reader with: a text is
 * taken to pieces by one function for each production of the grammar, and keys are compared as code points.
 * Slow, and without a line in common with src/base. */
#ifndef SHMAIL_FUZZ_JSON_ORACLE_H
#define SHMAIL_FUZZ_JSON_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { ORACLE_DEPTH = 32, ORACLE_MEMBERS = 64, ORACLE_KEYS = 1 << 14 };

struct oracle {
    const uint8_t *bytes;
    size_t length, at;
    int depth;
    uint32_t
        keys[ORACLE_KEYS]; /* code points of the keys of the objects that are open, one after the other */
    size_t keys_used;
};

static inline bool oracle_is(const struct oracle *o, uint8_t byte)
{
    return o->at < o->length && o->bytes[o->at] == byte;
}

static inline bool oracle_take(struct oracle *o, uint8_t byte)
{
    bool is = oracle_is(o, byte);
    o->at += is;
    return is;
}

static inline void oracle_ws(struct oracle *o)
{
    while (oracle_is(o, 0x20) || oracle_is(o, 0x09) || oracle_is(o, 0x0A) || oracle_is(o, 0x0D))
        o->at++;
}

static inline size_t oracle_digits(struct oracle *o)
{
    size_t start = o->at;
    while (o->at < o->length && o->bytes[o->at] >= '0' && o->bytes[o->at] <= '9')
        o->at++;
    return o->at - start;
}

/* number = [ minus ] int [ frac ] [ exp ] */
static inline bool oracle_number(struct oracle *o)
{
    oracle_take(o, '-');
    if (!oracle_take(o, '0') && oracle_digits(o) == 0)
        return false;
    if (oracle_take(o, '.') && oracle_digits(o) == 0)
        return false;
    if (oracle_take(o, 'e') || oracle_take(o, 'E')) {
        if (!oracle_take(o, '+'))
            oracle_take(o, '-');
        return oracle_digits(o) > 0;
    }
    return true;
}

static inline bool oracle_hex4(struct oracle *o, uint32_t *unit)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    *unit = 0;
    for (int i = 0; i < 4; i++, o->at++) {
        const char *digit = o->at < o->length ? memchr(digits, o->bytes[o->at], sizeof(digits) - 1) : NULL;
        if (!digit)
            return false;
        *unit = *unit * 16 + (uint32_t)(digit - digits) % 16;
    }
    return true;
}

/* A character by what it decodes to: shortest form, no surrogate, not beyond U+10FFFF (RFC 3629). */
static inline bool oracle_utf8(struct oracle *o, uint32_t *code)
{
    uint8_t lead = o->bytes[o->at];
    int more = lead < 0x80 ? 0 : lead >> 5 == 6 ? 1 : lead >> 4 == 14 ? 2 : lead >> 3 == 30 ? 3 : -1;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (more < 0 || o->length - o->at <= (size_t)more)
        return false;
    *code = more == 0 ? lead : lead & (0x3Fu >> more);
    for (int i = 1; i <= more; i++) {
        if (o->bytes[o->at + (size_t)i] >> 6 != 2)
            return false;
        *code = *code * 64 + (o->bytes[o->at + (size_t)i] & 0x3Fu);
    }
    o->at += (size_t)more + 1;
    return *code >= least[more] && *code <= 0x10FFFF && (*code < 0xD800 || *code > 0xDFFF);
}

static inline bool oracle_character(struct oracle *o, uint32_t *code)
{
    uint32_t low;
    if (!oracle_is(o, '\\'))
        return o->at < o->length && o->bytes[o->at] >= 0x20 && oracle_utf8(o, code);
    o->at++;
    if (o->at == o->length)
        return false;
    switch (o->bytes[o->at++]) {
    case '"':
        *code = '"';
        return true;
    case '\\':
        *code = '\\';
        return true;
    case '/':
        *code = '/';
        return true;
    case 'b':
        *code = 8;
        return true;
    case 'f':
        *code = 12;
        return true;
    case 'n':
        *code = 10;
        return true;
    case 'r':
        *code = 13;
        return true;
    case 't':
        *code = 9;
        return true;
    case 'u':
        break;
    default:
        return false;
    }
    if (!oracle_hex4(o, code))
        return false;
    if (*code >> 11 != 0x1B)
        return true;
    if (*code >> 10 != 0x36 || !oracle_take(o, '\\') || !oracle_take(o, 'u') || !oracle_hex4(o, &low) ||
        low >> 10 != 0x37)
        return false;
    *code = 0x10000 + (*code % 0x400) * 0x400 + low % 0x400;
    return true;
}

/* Decodes into out[0..room), which may be NULL; *length counts all. */
static inline bool oracle_string(struct oracle *o, uint32_t *out, size_t room, size_t *length)
{
    *length = 0;
    if (!oracle_take(o, '"'))
        return false;
    while (!oracle_take(o, '"')) {
        uint32_t code;
        if (!oracle_character(o, &code))
            return false;
        if (out && *length < room)
            out[*length] = code;
        ++*length;
    }
    return true;
}

static inline bool oracle_value(struct oracle *o);

/* A key that is new in this object, whose keys begin at first: each is a length and its code points. */
static inline bool oracle_key(struct oracle *o, size_t first, int count)
{
    uint32_t *key = o->keys + o->keys_used;
    size_t length, room = ORACLE_KEYS - o->keys_used - 1;
    if (count == ORACLE_MEMBERS || !oracle_string(o, key + 1, room, &length) || length > room)
        return false;
    key[0] = (uint32_t)length;
    for (size_t i = first; i < o->keys_used; i += o->keys[i] + 1)
        if (memcmp(o->keys + i, key, (length + 1) * sizeof(*key)) == 0)
            return false;
    o->keys_used += length + 1;
    oracle_ws(o);
    return oracle_take(o, ':');
}

static inline bool oracle_members(struct oracle *o, bool named)
{
    size_t first = o->keys_used;
    uint8_t close = named ? '}' : ']';
    bool good = o->depth++ < ORACLE_DEPTH;
    o->at++;
    oracle_ws(o);
    if (good && !oracle_take(o, close)) {
        int count = 0;
        do {
            oracle_ws(o);
            good = (!named || oracle_key(o, first, count++)) && oracle_value(o);
        } while (good && oracle_take(o, ','));
        good = good && oracle_take(o, close);
    }
    o->depth--;
    o->keys_used = first;
    return good;
}

/* value with the white space around it */
static inline bool oracle_value(struct oracle *o)
{
    static const char *const words[] = {"true", "false", "null"};
    size_t length = 0;
    bool good = false;
    oracle_ws(o);
    if (oracle_is(o, '{') || oracle_is(o, '[')) {
        good = oracle_members(o, oracle_is(o, '{'));
    } else if (oracle_is(o, '"')) {
        good = oracle_string(o, NULL, 0, &length);
    } else if (oracle_is(o, 't') || oracle_is(o, 'f') || oracle_is(o, 'n')) {
        for (int i = 0; i < 3 && !good; i++) {
            length = strlen(words[i]);
            good = o->length - o->at >= length && memcmp(o->bytes + o->at, words[i], length) == 0;
        }
        o->at += good ? length : 0;
    } else {
        good = oracle_number(o);
    }
    oracle_ws(o);
    return good;
}

/* Whether these bytes are one JSON text within the limits of depth and members. */
static inline bool oracle_accepts(const void *bytes, size_t length)
{
    static struct oracle oracle;
    oracle = (struct oracle){.bytes = bytes, .length = length};
    return oracle_value(&oracle) && oracle.at == length;
}

#endif
