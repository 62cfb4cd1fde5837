/* json_write.c: the inside of JSON strings from any bytes. Bytes come in pieces of any size, valid UTF-8 goes
 * out into a buffer, whatever came in. It knows nothing of frames or of what the strings say. */
#include "json.h"

#include "json_run.h"
#include "utf8.h"

#include <string.h>

static bool write_replacement(struct buffer *out)
{
    return buffer_append(out, "\xEF\xBF\xBD", 3); /* U+FFFD */
}

static bool write_escape(struct buffer *out, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";
    static const char letters[0x80] = {
        ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};

    if (letters[byte] != '\0') {
        return buffer_append(out, (char[]){'\\', letters[byte]}, 2);
    }
    return buffer_append(out, (char[]){'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 0xF]}, 6);
}

/* Whether all of bytes, which are no character, may become one with more behind them. */
static bool is_begun(const char *bytes, size_t length)
{
    unsigned char lead = (unsigned char)bytes[0];

    return lead >= 0xC2 && lead <= 0xF4 && utf8_broken(bytes, length) == length;
}

/* Completes the character that an earlier piece began, with the first *used bytes of this one. */
static bool finish_carry(struct buffer *out, const char *bytes, size_t length, struct json_carry *carry,
                         size_t *used)
{
    uint32_t code;

    *used = 0;
    while (carry->length > 0 && *used < length) {
        carry->bytes[carry->length] = bytes[*used];
        if (utf8_decode(carry->bytes, carry->length + 1, &code) > 0) {
            bool done = buffer_append(out, carry->bytes, carry->length + 1);
            carry->length = 0;
            *used += 1;
            return done;
        }
        if (!is_begun(carry->bytes, carry->length + 1)) {
            carry->length = 0; /* this byte is no part of it */
            return write_replacement(out);
        }
        carry->length++;
        *used += 1;
    }
    return true;
}

bool json_write_text(struct buffer *out, const char *bytes, size_t length, struct json_carry *carry,
                     bool last)
{
    size_t position;

    if (!finish_carry(out, bytes, length, carry, &position)) {
        return false;
    }
    while (position < length) {
        const char *rest = bytes + position;
        size_t left = length - position;
        size_t taken = json_run(rest, left);
        bool done;
        if (taken > 0) {
            done = buffer_append(out, rest, taken);
        } else if ((unsigned char)*rest < 0x80) {
            taken = 1;
            done = write_escape(out, (unsigned char)*rest);
        } else if (!last && is_begun(rest, left)) {
            memcpy(carry->bytes, rest, left);
            carry->length = left;
            return true;
        } else {
            taken = utf8_broken(rest, left);
            done = write_replacement(out);
        }
        if (!done) {
            return false;
        }
        position += taken;
    }
    if (last && carry->length > 0) {
        carry->length = 0;
        return write_replacement(out);
    }
    return true;
}

bool json_write_string(struct buffer *out, const char *bytes, size_t length)
{
    struct json_carry carry = {.length = 0};

    return buffer_append_byte(out, '"') && json_write_text(out, bytes, length, &carry, true) &&
           buffer_append_byte(out, '"');
}
