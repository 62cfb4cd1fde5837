/* lane.c: what the verbs of every speech need: to write a request and to compare a reply. It sends and
 * receives nothing. */
#include "lane.h"

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
        exit(EX_OSERR);
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
    return at + number_print(number, at);
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

bool lane_line(const struct lane *lane, const char *bytes, size_t length, size_t *line_length, size_t *taken)
{
    const char *end = lane->plan->speech->line_end;
    size_t end_length = lane->plan->speech->line_end_length;
    const char *found = memmem(bytes, length, end, end_length);

    if (found == NULL) {
        return false;
    }
    *line_length = (size_t)(found - bytes);
    *taken = *line_length + end_length;
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
    const struct speech *speech = lane->plan->speech;
    size_t line_length = strlen(line), whole = line_length + speech->line_end_length;
    size_t ending = length > line_length ? (length < whole ? length : whole) - line_length : 0;

    if (memcmp(bytes, line, length < line_length ? length : line_length) != 0 ||
        memcmp(bytes + line_length, speech->line_end, ending) != 0) {
        return lane_blame(lane, "\"%s\"", line);
    }
    *taken = length < whole ? 0 : whole;
    return length < whole ? REPLY_CUT : REPLY_WHOLE;
}

/* Reads digits; no number that the bench is told has so many that it would not fit. */
static const char *read_digits(const char *at, const char *end, uint64_t *number)
{
    const char *most = end - at > LANE_DIGITS - 1 ? at + LANE_DIGITS - 1 : end;

    for (*number = 0; at < most && *at >= '0' && *at <= '9'; at++) {
        *number = *number * 10 + (uint64_t)(*at - '0');
    }
    return at;
}

enum verdict lane_expect_number(struct lane *lane, const char *before, uint64_t low, uint64_t high,
                                const char *bytes, size_t length, size_t *taken, uint64_t *number)
{
    const struct speech *speech = lane->plan->speech;
    const char *digits = bytes + strlen(before), *end = bytes + length;

    if (digits >= end) {
        if (memcmp(bytes, before, length) == 0) {
            return REPLY_CUT;
        }
    } else if (memcmp(bytes, before, (size_t)(digits - bytes)) == 0) {
        const char *behind = read_digits(digits, end, number);
        size_t left = (size_t)(end - behind), ending = speech->line_end_length;
        bool canonical = behind > digits && (*digits != '0' || behind == digits + 1);
        if (canonical && memcmp(behind, speech->line_end, left < ending ? left : ending) == 0) {
            if (left < ending) {
                return REPLY_CUT;
            }
            if (*number >= low && *number <= high) {
                *taken = (size_t)(behind - bytes) + ending;
                return REPLY_WHOLE;
            }
        }
    }
    if (low == high) {
        return lane_blame(lane, "\"%s%" PRIu64 "\"", before, low);
    }
    return lane_blame(lane, "\"%s\" and a number from %" PRIu64 " to %" PRIu64, before, low, high);
}
