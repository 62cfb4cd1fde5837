/* number.c: decimal text to a number, strictly, and a number to text. It knows no locale, sign, space or
 * base. */
#include "number.h"

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

static size_t count_digits(uint64_t value)
{
    size_t count = 1;

    for (uint64_t bound = 10; count < NUMBER_TEXT && value >= bound; bound *= 10) {
        count++;
    }
    return count;
}

/* Two digits at a time, as the next ones wait for the division. They are written where they stay: a copy of
 * bytes that were written one by one just before waits until all of them have left the processor's queue. */
size_t number_print(uint64_t value, char out[static NUMBER_TEXT])
{
    size_t length = count_digits(value);
    char *at = out + length;

    for (; value >= 10; value /= 100) {
        unsigned pair = (unsigned)(value % 100);
        *--at = (char)('0' + pair % 10);
        *--at = (char)('0' + pair / 10);
    }
    if (at > out) {
        *--at = (char)('0' + value);
    }
    return length;
}
