/* lane.c: what the verbs of every speech need: to write a request and to compare a reply. It sends and
 * receives nothing. */
#include "lane.h"

#include "number.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

char *lane_room(struct lane *lane, size_t length)
{
    char *room = buffer_reserve(&lane->out, length);

    if (room == NULL) {
        (void)fprintf(stderr, "%s: no memory for a request\n", lane->plan->program);
        exit(EX_TEMPFAIL);
    }
    return room;
}

void lane_say(struct lane *lane, const void *bytes, size_t length)
{
    memcpy(lane_room(lane, length), bytes, length);
    lane->out.length += length;
}

char *lane_digits(char *at, uint64_t number)
{
    char digits[LANE_DIGITS];
    size_t length = 0;

    do {
        digits[LANE_DIGITS - ++length] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    memcpy(at, digits + LANE_DIGITS - length, length);
    return at + length;
}

enum verdict lane_blame(struct lane *lane, const char *expected, ...)
{
    va_list arguments;

    va_start(arguments, expected);
    if (vsnprintf(lane->expected, sizeof lane->expected, expected, arguments) < 0) {
        lane->expected[0] = '\0';
    }
    va_end(arguments);
    return REPLY_WRONG;
}

bool lane_line(const struct lane *lane, const char *bytes, size_t length, size_t *line_length)
{
    const char *end = memchr(bytes, lane->plan->speech->terminator, length);

    if (end == NULL) {
        return false;
    }
    *line_length = (size_t)(end - bytes);
    return true;
}

enum verdict lane_expect(struct lane *lane, const char *wanted, size_t wanted_length, const char *bytes,
                         size_t length, size_t *taken)
{
    if (memcmp(bytes, wanted, length < wanted_length ? length : wanted_length) != 0) {
        return lane_blame(lane, "\"%.*s\"", (int)wanted_length, wanted);
    }
    if (length < wanted_length) {
        return REPLY_CUT;
    }
    *taken = wanted_length;
    return REPLY_WHOLE;
}

enum verdict lane_expect_line(struct lane *lane, const char *line, const char *bytes, size_t length,
                              size_t *taken)
{
    size_t line_length = strlen(line);

    if (memcmp(bytes, line, length < line_length ? length : line_length) != 0 ||
        (length > line_length && bytes[line_length] != lane->plan->speech->terminator)) {
        return lane_blame(lane, "\"%s\"", line);
    }
    if (length <= line_length) {
        return REPLY_CUT;
    }
    *taken = line_length + 1;
    return REPLY_WHOLE;
}

enum verdict lane_expect_number(struct lane *lane, const char *before, uint64_t low, uint64_t high,
                                const char *bytes, size_t length, size_t *taken, uint64_t *number)
{
    size_t before_length = strlen(before), line_length = 0;
    bool whole = lane_line(lane, bytes, length, &line_length);
    size_t there = whole ? line_length : length;

    if (memcmp(bytes, before, there < before_length ? there : before_length) == 0) {
        if (!whole && there < before_length + sizeof "18446744073709551615") {
            return REPLY_CUT;
        }
        if (whole && there > before_length &&
            number_parse(bytes + before_length, there - before_length, high, number) && *number >= low) {
            *taken = there + 1;
            return REPLY_WHOLE;
        }
    }
    if (low == high) {
        return lane_blame(lane, "\"%s%" PRIu64 "\"", before, low);
    }
    return lane_blame(lane, "\"%s\" and a number from %" PRIu64 " to %" PRIu64, before, low, high);
}
