/* number.c: decimal text to a number, strictly, and a number to text. It knows no locale, sign, space or
 * base. */
#include "number.h"

#include <string.h>

bool number_parse(const char *bytes, size_t length, uint64_t max, uint64_t *value)
{
    uint64_t number = 0;

    if (length == 0) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] < '0' || bytes[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(bytes[i] - '0');
        if (digit > max || number > (max - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *value = number;
    return true;
}

/* Two digits at a time, as the next ones wait for the division. All of the room is copied, because a copy of
 * a length that is known takes no call. */
size_t number_print(uint64_t value, char out[static NUMBER_TEXT])
{
    char digits[2 * NUMBER_TEXT] = {0};
    size_t first = NUMBER_TEXT;

    for (; value >= 10; value /= 100) {
        unsigned pair = (unsigned)(value % 100);
        digits[--first] = (char)('0' + pair % 10);
        digits[--first] = (char)('0' + pair / 10);
    }
    if (value > 0 || first == NUMBER_TEXT) {
        digits[--first] = (char)('0' + value);
    }
    memcpy(out, digits + first, NUMBER_TEXT);
    return NUMBER_TEXT - first;
}
