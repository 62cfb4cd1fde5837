/* number.c: decimal text to a number, strictly. It knows no locale, sign, space or base. */
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
