/* list_smsp.c: SMSP's LIST, whose reply is a line for each message. Of a mailbox that one lane has for itself
 * each line is known but for the time; of one that is shared, only how it is made. */
#include "speech_smsp.h"

#include "limit.h"

#include <inttypes.h>

/* Where a judge is in what has come. Each step below passes over what is right; where it returns false, the
 * reply is wrong there, or has not come further. */
struct reading {
    const char *at, *end;
    bool wrong;
};

static bool pass(struct reading *reading, bool right, size_t length)
{
    size_t left = (size_t)(reading->end - reading->at);

    reading->wrong = !right;
    reading->at += left < length ? left : length;
    return right && left >= length;
}

static bool pass_bytes(struct reading *reading, const char *wanted, size_t length)
{
    size_t left = (size_t)(reading->end - reading->at);

    return pass(reading, memcmp(reading->at, wanted, left < length ? left : length) == 0, length);
}

static bool pass_number(struct reading *reading, uint64_t least, uint64_t most)
{
    const char *digits = reading->at, *at = digits;
    uint64_t number = 0;

    while (at < reading->end && at - digits < LANE_DIGITS && *at >= '0' && *at <= '9') {
        number = number * 10 + (uint64_t)(*at++ - '0');
    }
    if (at == reading->end) {
        return pass(reading, true, (size_t)(at - digits) + 1);
    }
    return pass(reading, at > digits && number >= least && number <= most, (size_t)(at - digits));
}

/* The first words are those of a message as long as that. */
static bool pass_words(struct reading *reading, const struct lane *lane, const struct request *message)
{
    size_t left = (size_t)(reading->end - reading->at), size = lane->book->size;
    size_t length = size < LIST_WORDS_MAX ? size : LIST_WORDS_MAX;

    return pass(reading, mailbox_text_fits(lane->book, message, reading->at, left < length ? left : length),
                length);
}

/* "<id> <bytes> <time> <from> <first words>" */
static bool pass_line(struct reading *reading, const struct lane *lane, const struct request *message)
{
    const struct mailbox *mailbox = message->mailbox;
    bool shared = lane->book->shared;
    char size[LANE_DIGITS + 2] = " ";
    char *behind = lane_put(lane_digits(size + 1, lane->book->size), " ", 1);

    return pass_number(reading, shared ? 1 : message->low + 1,
                       shared ? mailbox->appended : message->low + 1) &&
           pass_bytes(reading, size, (size_t)(behind - size)) && pass_number(reading, 1, UINT64_MAX) &&
           pass_bytes(reading, " ", 1) && pass_bytes(reading, mailbox->name, mailbox->name_length) &&
           pass_bytes(reading, " ", 1) && pass_words(reading, lane, message) &&
           pass_bytes(reading, lane->plan->speech->line_end, lane->plan->speech->line_end_length);
}

void smsp_ask_list(struct lane *lane, struct request *request)
{
    mailbox_ask_count(lane->book, request->mailbox, request);
    smsp_ask_own(lane, "LIST ", request->mailbox);
}

/* The first line tells how many there are, which then is low; each of them is a stage. */
static enum verdict judge_start(struct lane *lane, struct request *request, const char *bytes, size_t length,
                                size_t *taken)
{
    uint64_t least, most;

    mailbox_counts(lane->book, request, &least, &most);
    enum verdict verdict = lane_expect_number(lane, "OK ", least, most, bytes, length, taken, &request->low);
    if (verdict != REPLY_WHOLE || request->low == 0) {
        return verdict;
    }
    request->stage = 1;
    return REPLY_CUT;
}

enum verdict smsp_judge_list(struct lane *lane, struct request *request, const char *bytes, size_t length,
                             size_t *taken)
{
    struct reading reading = {bytes, bytes + length, false};
    struct request message = {.mailbox = request->mailbox};

    if (request->stage == 0) {
        return judge_start(lane, request, bytes, length, taken);
    }
    message.low = request->high + request->stage - 1;
    message.high = message.low + 1;
    bool whole = pass_line(&reading, lane, &message);
    if (reading.wrong) {
        return lane_blame(lane, "a line about message %" PRIu64 ", %zu bytes from %s", message.low + 1,
                          lane->book->size, message.mailbox->name);
    }
    *taken = whole ? (size_t)(reading.at - bytes) : 0;
    return whole && request->stage++ == request->low ? REPLY_WHOLE : REPLY_CUT;
}
