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

/* Two digits at a time, as a division takes longer than all else here. All of the room is copied, because a
 * copy of a length that is known takes no call. */
size_t number_print(uint64_t value, char out[static NUMBER_TEXT])
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
        "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
        "8081828384858687888990919293949596979899";
    char digits[2 * NUMBER_TEXT] = {0};
    size_t first = NUMBER_TEXT;

    for (; value >= 100; value /= 100) {
        first -= 2;
        memcpy(digits + first, pairs + 2 * (value % 100), 2);
    }
    if (value >= 10) {
        first -= 2;
        memcpy(digits + first, pairs + 2 * value, 2);
    } else {
        digits[--first] = (char)('0' + value);
    }
    memcpy(out, digits + first, NUMBER_TEXT);
    return NUMBER_TEXT - first;
}
