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

/* All of the room is copied, because a copy of a length that is known takes no call. */
size_t number_print(uint64_t value, char out[static NUMBER_TEXT])
{
    char digits[2 * NUMBER_TEXT] = {0};
    size_t first = NUMBER_TEXT;

    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    memcpy(out, digits + first, NUMBER_TEXT);
    return NUMBER_TEXT - first;
}
