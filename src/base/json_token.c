/* json_token.c: strings, numbers and words of RFC 8259, checked to the letter. In come bytes at a cursor, out
 * go decoded characters. It knows nothing of objects and arrays. */
#include "json_token.h"

#include "json_run.h"
#include "utf8.h"

#include <stdint.h>
#include <string.h>

int json_peek(const struct json_cursor *cursor)
{
    return cursor->position < cursor->length ? (unsigned char)cursor->bytes[cursor->position] : -1;
}

void json_skip_space(struct json_cursor *cursor)
{
    int next = json_peek(cursor);

    while (next == ' ' || next == '\n' || next == '\t' || next == '\r') {
        cursor->position++;
        next = json_peek(cursor);
    }
}

/* Hands decoded characters to whoever wants them: a key, a text or (both NULL) nobody. */
static bool deliver(struct json_cursor *cursor, const char *bytes, size_t length, struct buffer *text,
                    struct json_key *key)
{
    if (key != NULL) {
        json_key_add(key, bytes, length);
    }
    if (text == NULL || buffer_append(text, bytes, length)) {
        return true;
    }
    bool too_long = text->cap != 0 && length > text->cap - text->length;
    return json_fail(cursor, cursor->position, too_long ? "member too long" : "out of memory");
}

/* Four hex digits at position. */
static bool read_unit(const struct json_cursor *cursor, size_t position, uint32_t *unit)
{
    *unit = 0;
    for (size_t i = position; i < position + 4; i++) {
        char digit = i < cursor->length ? cursor->bytes[i] : '\0';
        if (digit >= '0' && digit <= '9') {
            *unit = *unit << 4 | (uint32_t)(digit - '0');
        } else if (digit >= 'a' && digit <= 'f') {
            *unit = *unit << 4 | (uint32_t)(digit - 'a' + 10);
        } else if (digit >= 'A' && digit <= 'F') {
            *unit = *unit << 4 | (uint32_t)(digit - 'A' + 10);
        } else {
            return false;
        }
    }
    return true;
}

/* \uXXXX, or two of them that are a surrogate pair; position is at the backslash. */
static bool read_unicode_escape(struct json_cursor *cursor, uint32_t *code)
{
    size_t start = cursor->position;
    uint32_t low;

    if (!read_unit(cursor, start + 2, code)) {
        return json_fail(cursor, start, "\\u without four hex digits");
    }
    cursor->position += 6;
    if (*code < 0xD800 || *code > 0xDFFF) {
        return true;
    }
    if (*code > 0xDBFF || cursor->length - cursor->position < 6 || cursor->bytes[cursor->position] != '\\' ||
        cursor->bytes[cursor->position + 1] != 'u' || !read_unit(cursor, cursor->position + 2, &low) ||
        low < 0xDC00 || low > 0xDFFF) {
        return json_fail(cursor, start, "lone surrogate");
    }
    *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    cursor->position += 6;
    return true;
}

static bool read_escape(struct json_cursor *cursor, uint32_t *code)
{
    static const char meanings[0x100] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                         ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    size_t place = cursor->position + 1;
    unsigned char letter = place < cursor->length ? (unsigned char)cursor->bytes[place] : '\0';

    if (letter == 'u') {
        return read_unicode_escape(cursor, code);
    }
    if (meanings[letter] == '\0') {
        return json_fail(cursor, cursor->position, "unknown escape");
    }
    *code = (uint32_t)meanings[letter];
    cursor->position += 2;
    return true;
}

bool json_read_string(struct json_cursor *cursor, struct buffer *text, struct json_key *key)
{
    cursor->position++;
    for (;;) {
        const char *rest = cursor->bytes + cursor->position;
        size_t run = json_run(rest, cursor->length - cursor->position);
        if (run > 0 && !deliver(cursor, rest, run, text, key)) {
            return false;
        }
        cursor->position += run;

        int next = json_peek(cursor);
        if (next == '"') {
            cursor->position++;
            return true;
        }
        if (next != '\\') {
            return json_fail(cursor, cursor->position,
                             next < 0      ? "string without its closing quote"
                             : next < 0x20 ? "control character in a string"
                                           : "not UTF-8");
        }
        uint32_t code;
        char character[4];
        if (!read_escape(cursor, &code) ||
            !deliver(cursor, character, utf8_encode(code, character), text, key)) {
            return false;
        }
    }
}

static size_t skip_digits(struct json_cursor *cursor)
{
    size_t start = cursor->position;

    while (json_peek(cursor) >= '0' && json_peek(cursor) <= '9') {
        cursor->position++;
    }
    return cursor->position - start;
}

bool json_read_number(struct json_cursor *cursor, struct buffer *text)
{
    size_t start = cursor->position;

    cursor->position += json_peek(cursor) == '-';
    if (json_peek(cursor) == '0') {
        cursor->position++;
    } else if (skip_digits(cursor) == 0) {
        return json_fail(cursor, cursor->position, "number without digits");
    }
    if (json_peek(cursor) == '.') {
        cursor->position++;
        if (skip_digits(cursor) == 0) {
            return json_fail(cursor, cursor->position, "number without digits behind its point");
        }
    }
    if (json_peek(cursor) == 'e' || json_peek(cursor) == 'E') {
        cursor->position++;
        cursor->position += json_peek(cursor) == '+' || json_peek(cursor) == '-';
        if (skip_digits(cursor) == 0) {
            return json_fail(cursor, cursor->position, "number without digits in its exponent");
        }
    }
    return deliver(cursor, cursor->bytes + start, cursor->position - start, text, NULL);
}

bool json_read_word(struct json_cursor *cursor, const char *word)
{
    size_t length = strlen(word);

    if (cursor->length - cursor->position < length ||
        memcmp(cursor->bytes + cursor->position, word, length) != 0) {
        return json_fail(cursor, cursor->position, "unknown word");
    }
    cursor->position += length;
    return true;
}
