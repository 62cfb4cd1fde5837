/* json_run.c: scans what is most of every JSON string, eight bytes at a time where it is ASCII. In come
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

/* The usual test for a zero byte: x - 1 borrows into bit 7 where x was 0. The borrow may also mark a byte
 * above the first true one, which does no harm: the answer is for the whole word. */
static bool word_is_plain(uint64_t word)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t quote = word ^ '"' * each;
    uint64_t backslash = word ^ '\\' * each;
    uint64_t odd = word; /* bit 7 of a byte: not to be copied as it is */

    odd |= (word - 0x20 * each) & ~word;
    odd |= (quote - each) & ~quote;
    odd |= (backslash - each) & ~backslash;
    return (odd & 0x80 * each) == 0;
}

static size_t ascii_run(const char *bytes, size_t length)
{
    size_t run = 0;

    while (length - run >= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, bytes + run, sizeof word);
        if (!word_is_plain(word)) {
            break;
        }
        run += sizeof word;
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
