/* peer_echo.c: a line out and a line back: what any server that reads and replies must cost. */
#include "peers.h"

#include <string.h>

static void ask_line(struct lane *lane, struct request *request)
{
    char *at = lane_room(lane, lane->book->size + 1);

    mailbox_ask_append(request->mailbox, request);
    mailbox_text(lane->book, request->mailbox, request->low, at);
    at[lane->book->size] = '\n';
    lane->out.length += lane->book->size + 1;
}

static enum verdict judge_echo(struct lane *lane, struct request *request, const char *bytes, size_t length,
                               size_t *taken)
{
    size_t size = lane->book->size, seen = length < size ? length : size;
    bool whole = length > size;

    if (!mailbox_text_fits(lane->book, request, bytes, seen) || (whole && bytes[size] != '\n')) {
        return lane_blame(lane, "the line that was sent");
    }
    *taken = whole ? size + 1 : 0;
    return whole ? REPLY_WHOLE : REPLY_CUT;
}

static enum verdict judge_line(struct lane *lane, struct request *request, const char *bytes, size_t length,
                               size_t *taken)
{
    size_t line_length;

    (void)request;
    return lane_line(lane, bytes, length, &line_length, taken) ? REPLY_WHOLE : REPLY_CUT;
}

static const struct verb verbs[] = {
    {"ECHO", "a line of --size bytes, which must come back", ask_line, judge_echo, false, false},
    {"LINE", "the same, to which any line is a reply", ask_line, judge_line, false, false},
    {NULL, NULL, NULL, NULL, false, false},
};

const struct speech speech_echo = {
    .name = "echo",
    .help = "a line for a line",
    .mix = "ECHO",
    .verbs = verbs,
    .line_end = "\n",
    .line_end_length = 1,
};
