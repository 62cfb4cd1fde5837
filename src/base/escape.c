/* escape.c: one character at a time from what a client sent to what a terminal may show. */
#include "escape.h"

#include "utf8.h"

#include <string.h>

bool escape_hides(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x061C || code == 0x200E ||
           code == 0x200F || (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

size_t escape_next(const char **text, size_t *left, char out[static ESCAPE_MAX])
{
    static const char digits[] = "0123456789abcdef";
    uint32_t code = 0;
    size_t length = 0;
    size_t taken = utf8_decode(*text, *left, &code);
    bool hidden = taken == 0 || escape_hides(code);
    if (taken == 0)
        taken = utf8_broken(*text, *left);
    for (size_t i = 0; i < taken; i++) {
        unsigned char byte = (unsigned char)(*text)[i];
        if (hidden) {
            memcpy(out + length, (const char[]){'\\', 'x', digits[byte >> 4], digits[byte & 15]}, 4);
            length += 4;
        } else {
            out[length++] = (char)byte;
        }
    }
    if (!hidden && code == '\\')
        out[length++] = '\\';
    *text += taken;
    *left -= taken;
    return length;
}
