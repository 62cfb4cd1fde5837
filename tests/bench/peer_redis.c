/* peer_redis.c: a Redis list for each mailbox, by RESP: LPUSH where shmail has SEND, LLEN for COUNT, LRANGE 0
 * 0 for GETMSG (it gives the newest), RPOP to remove the oldest. */
#include "peers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { AROUND_MOST = 128 }; /* bytes of a request beside its text */

/* "$5", the bytes are to follow. */
static char *put_length(char *at, size_t length)
{
    *at++ = '$';
    return LANE_PUT(lane_digits(at, length), "\r\n");
}

static char *put_key(char *at, const struct mailbox *mailbox)
{
    at = mailbox_put_name(put_length(at, mailbox->name_length), mailbox);
    return LANE_PUT(at, "\r\n");
}

static void end_request(struct lane *lane, const char *at)
{
    lane->out.length = (size_t)(at - lane->out.bytes);
}

static void ask_delete(struct lane *lane, struct request *request)
{
    end_request(lane,
                put_key(LANE_PUT(lane_room(lane, AROUND_MOST), "*2\r\n$3\r\nDEL\r\n"), request->mailbox));
}

static enum verdict judge_delete(struct lane *lane, struct request *request, const char *bytes, size_t length,
                                 size_t *taken)
{
    uint64_t number;

    (void)request;
    return lane_expect_number(lane, ":", 0, 1, bytes, length, taken, &number);
}

static void ask_length(struct lane *lane, struct request *request)
{
    mailbox_ask_count(lane->book, request->mailbox, request);
    end_request(lane,
                put_key(LANE_PUT(lane_room(lane, AROUND_MOST), "*2\r\n$4\r\nLLEN\r\n"), request->mailbox));
}

static enum verdict judge_length(struct lane *lane, struct request *request, const char *bytes, size_t length,
                                 size_t *taken)
{
    uint64_t least, most, number;

    mailbox_counts(lane->book, request, &least, &most);
    return lane_expect_number(lane, ":", least, most, bytes, length, taken, &number);
}

/* The reply is how long the list then is. */
static void ask_push(struct lane *lane, struct request *request)
{
    size_t size = lane->book->size;
    char *at = LANE_PUT(lane_room(lane, AROUND_MOST + size), "*3\r\n$5\r\nLPUSH\r\n");

    mailbox_ask_append(request->mailbox, request);
    at = put_length(put_key(at, request->mailbox), size);
    mailbox_text(lane->book, request->mailbox, request->low, at);
    end_request(lane, LANE_PUT(at + size, "\r\n"));
    request->high = request->mailbox->appended - request->mailbox->removed;
}

static enum verdict judge_push(struct lane *lane, struct request *request, const char *bytes, size_t length,
                               size_t *taken)
{
    bool shared = lane->book->shared;
    uint64_t number;
    enum verdict verdict =
        lane_expect_number(lane, ":", shared ? 1 : request->high, shared ? UINT64_MAX : request->high, bytes,
                           length, taken, &number);

    if (verdict == REPLY_WHOLE) {
        mailbox_know_append(request->mailbox);
    }
    return verdict;
}

/* "$100", the text. */
static enum verdict judge_bulk(struct lane *lane, struct request *request, const char *bytes, size_t length,
                               size_t *taken)
{
    char start[AROUND_MOST];
    size_t size = lane->book->size, start_length = (size_t)(put_length(start, size) - start);
    size_t whole = start_length + size + 2;

    if (memcmp(bytes, start, length < start_length ? length : start_length) != 0 ||
        (length >= whole && (!mailbox_text_fits(lane->book, request, bytes + start_length, size) ||
                             memcmp(bytes + whole - 2, "\r\n", 2) != 0))) {
        return lane_blame(lane, "text %" PRIu64 ", %zu bytes", request->low, size);
    }
    *taken = length >= whole ? whole : 0;
    return length >= whole ? REPLY_WHOLE : REPLY_CUT;
}

static void ask_range(struct lane *lane, struct request *request)
{
    char *at = LANE_PUT(lane_room(lane, AROUND_MOST), "*4\r\n$6\r\nLRANGE\r\n");

    mailbox_ask_first(lane->book, request->mailbox, request);
    if (request->low < request->high) {
        request->low = request->high - 1;
    }
    end_request(lane, LANE_PUT(put_key(at, request->mailbox), "$1\r\n0\r\n$1\r\n0\r\n"));
}

static enum verdict judge_range(struct lane *lane, struct request *request, const char *bytes, size_t length,
                                size_t *taken)
{
    size_t text_taken = 0;
    bool none = !mailbox_may_have(lane->book, request) ||
                (length > 1 && bytes[1] == '0' && mailbox_may_lack(lane->book, request));
    enum verdict verdict = lane_expect_line(lane, none ? "*0" : "*1", bytes, length, taken);

    if (verdict != REPLY_WHOLE || none) {
        return verdict;
    }
    verdict =
        length > *taken ? judge_bulk(lane, request, bytes + *taken, length - *taken, &text_taken) : REPLY_CUT;
    *taken = verdict == REPLY_WHOLE ? *taken + text_taken : 0;
    return verdict;
}

static void ask_pop(struct lane *lane, struct request *request)
{
    mailbox_ask_removal(lane->book, request->mailbox, request);
    end_request(lane,
                put_key(LANE_PUT(lane_room(lane, AROUND_MOST), "*2\r\n$4\r\nRPOP\r\n"), request->mailbox));
}

static enum verdict judge_pop(struct lane *lane, struct request *request, const char *bytes, size_t length,
                              size_t *taken)
{
    bool none = !mailbox_may_have(lane->book, request) ||
                (length > 1 && bytes[1] == '-' && mailbox_may_lack(lane->book, request));
    enum verdict verdict = none ? lane_expect_line(lane, "$-1", bytes, length, taken)
                                : judge_bulk(lane, request, bytes, length, taken);

    if (verdict == REPLY_WHOLE) {
        mailbox_know_removal(lane->book, request->mailbox, !none);
    }
    return verdict;
}

static const struct verb verbs[] = {
    {"LLEN", "how long the list is", ask_length, judge_length, false, false},
    {"LPUSH", "put a text into the list", ask_push, judge_push, false, false},
    {"LRANGE", "read the newest text", ask_range, judge_range, true, false},
    {"RPOP", "read and remove the oldest text", ask_pop, judge_pop, false, true},
    {NULL, NULL, NULL, NULL, false, false},
};

static const struct verb delete_verb = {"DEL", NULL, ask_delete, judge_delete, false, false};
static const struct verb *const delete_steps[SPEECH_STEPS] = {&delete_verb};

const struct speech speech_redis = {
    .name = "redis",
    .help = "a Redis list for each mailbox",
    .mix = "LLEN",
    .verbs = verbs,
    .fill = &verbs[1],
    .open = delete_steps,
    .close = delete_steps,
    .line_end = "\r\n",
    .line_end_length = 2,
};
