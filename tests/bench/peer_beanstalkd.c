/* peer_beanstalkd.c: a beanstalkd tube for each connection: put where shmail has SEND, peek-ready for GETMSG,
 * list-tube-used for a request that does nothing. */
#include "peers.h"

#include <stdio.h>
#include <string.h>

enum { AROUND_MOST = 128 }; /* bytes of a request, or a reply, beside its text */

static struct mailbox *used(const struct lane *lane)
{
    return &lane->book->mailboxes[lane->number];
}

static void ask_use(struct lane *lane, struct request *request)
{
    request->mailbox = used(lane);
    peer_say(lane, "use %s\r\n", request->mailbox->name);
}

static void ask_used(struct lane *lane, struct request *request)
{
    request->mailbox = used(lane);
    peer_say(lane, "list-tube-used\r\n");
}

static enum verdict judge_use(struct lane *lane, struct request *request, const char *bytes, size_t length,
                              size_t *taken)
{
    char line[AROUND_MOST];

    (void)snprintf(line, sizeof line, "USING %s", request->mailbox->name);
    return lane_expect_line(lane, line, bytes, length, taken);
}

static void ask_put(struct lane *lane, struct request *request)
{
    size_t size = lane->book->size;
    char *start = lane_room(lane, AROUND_MOST + size), *at = start;

    request->mailbox = used(lane);
    mailbox_ask_append(request->mailbox, request);
    memcpy(at, "put 0 0 60 ", 11);
    at = lane_digits(at + 11, size);
    memcpy(at, "\r\n", 2);
    mailbox_text(lane->book, request->mailbox, request->low, at + 2);
    memcpy(at + 2 + size, "\r\n", 2);
    lane->out.length += (size_t)(at - start) + size + 4;
}

/* Ids are those of the whole server. */
static enum verdict judge_put(struct lane *lane, struct request *request, const char *bytes, size_t length,
                              size_t *taken)
{
    enum verdict verdict = lane_expect_number(lane, "INSERTED ", lane->last_id + 1, UINT64_MAX, bytes, length,
                                              taken, &lane->last_id);

    if (verdict == REPLY_WHOLE) {
        mailbox_know_append(request->mailbox);
    }
    return verdict;
}

static void ask_peek(struct lane *lane, struct request *request)
{
    request->mailbox = used(lane);
    mailbox_ask_first(lane->book, request->mailbox, request);
    peer_say(lane, "peek-ready\r\n");
}

static enum verdict judge_peek(struct lane *lane, struct request *request, const char *bytes, size_t length,
                               size_t *taken)
{
    char end[AROUND_MOST];
    size_t size = lane->book->size, line = 0, start = 0;

    if (!mailbox_may_have(lane->book, request)) {
        return lane_expect_line(lane, "NOT_FOUND", bytes, length, taken);
    }
    if (memcmp(bytes, "FOUND ", length < 6 ? length : 6) != 0) {
        return lane_blame(lane, "\"FOUND\"");
    }
    if (!lane_line(lane, bytes, length, &line, &start)) {
        return length < AROUND_MOST ? REPLY_CUT : lane_blame(lane, "\"FOUND\", an id and a size");
    }
    int end_length = snprintf(end, sizeof end, " %zu", size);
    if (end_length < 0 || line < 6 + (size_t)end_length ||
        memcmp(bytes + line - end_length, end, (size_t)end_length) != 0 ||
        (length >= start + size + 2 && (!mailbox_text_fits(lane->book, request, bytes + start, size) ||
                                        memcmp(bytes + start + size, "\r\n", 2) != 0))) {
        return lane_blame(lane, "\"FOUND\", an id and the %zu bytes of text %llu", size,
                          (unsigned long long)request->low);
    }
    *taken = length >= start + size + 2 ? start + size + 2 : 0;
    return *taken > 0 ? REPLY_WHOLE : REPLY_CUT;
}

static const struct verb verbs[] = {
    {"USED", "list-tube-used, which does nothing", ask_used, judge_use, false, false},
    {"PUT", "put a text into the tube", ask_put, judge_put, false, false},
    {"PEEK", "read the oldest text", ask_peek, judge_peek, true, false},
    {NULL, NULL, NULL, NULL, false, false},
};

static const struct verb use_verb = {"USE", NULL, ask_use, judge_use, false, false};
static const struct verb *const greet_steps[SPEECH_STEPS] = {&use_verb};

const struct speech speech_beanstalkd = {
    .name = "beanstalkd",
    .help = "a tube for each connection",
    .mix = "USED",
    .verbs = verbs,
    .fill = &verbs[1],
    .greet = greet_steps,
    .one_each = true,
    .line_end = "\r\n",
    .line_end_length = 2,
};
