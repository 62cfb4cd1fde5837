/* json_run.c: scans what is most of every JSON string, sixteen bytes at a time where it is ASCII. In come
 * bytes, out goes how many of them need no second look. It knows neither reader nor writer. */
#include "json_run.h"

#include "utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool byte_is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* Compared lane by lane, by the processor's vector instructions where it has some. */
typedef signed char lanes __attribute__((vector_size(16)));

static bool lanes_are_plain(const char *bytes)
{
    lanes text;
    uint64_t odd[2]; /* a lane of ones for each byte that is not to be copied as it is */

    memcpy(&text, bytes, sizeof text);
    lanes marked = (text < 0x20) | (text == '"') | (text == '\\'); /* as signed numbers: also from 0x80 on */
    memcpy(odd, &marked, sizeof odd);
    return (odd[0] | odd[1]) == 0;
}

static size_t ascii_run(const char *bytes, size_t length)
{
    size_t run = 0;

    while (length - run >= sizeof(lanes) && lanes_are_plain(bytes + run)) {
        run += sizeof(lanes);
    }
    while (run < length && byte_is_plain((unsigned char)bytes[run])) {
        run++;
    }
    return run;
}

size_t json_run(const char *bytes, size_t length)
{
    size_t run = 0;

    for (;;) {
        run += ascii_run(bytes + run, length - run);
        if (run == length || (unsigned char)bytes[run] < 0x80) {
            return run;
        }
        while (run < length && (unsigned char)bytes[run] >= 0x80) {
            uint32_t code;
            size_t taken = utf8_decode(bytes + run, length - run, &code);
            if (taken == 0) {
                return run;
            }
            run += taken;
        }
    }
}
