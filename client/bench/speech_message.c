/* speech_message.c: the Message protocol as the bench speaks it, frames of JSON: shmail-message(7) says what
 * each type is. A connection reads the mailbox that it has entered, its lane's first, and sends to any. */
#include "lane.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#define DOMAIN "@bench.test"
#define SUBJECT "bench"
#define NO_SUCH_MAIL "\"Mail with such index does not exist\""

enum {
    TYPE_ENTRY = 0,
    TYPE_SEND = 1,
    TYPE_MAILBOX = 2,
    TYPE_OPEN = 3,
    TYPE_DELETE = 4,
    TYPE_QUIT = 5,
    TYPE_WAIT = 6,
    TYPE_OK = 0,
    TYPE_ERROR = -2,
    FRAME_HEADER = 8,
    AROUND_MOST = 256, /* bytes of a mail's JSON, or a request's, beside its text */
};

static char *put_address(char *at, const struct mailbox *mailbox)
{
    return LANE_PUT(mailbox_put_name(at, mailbox), DOMAIN);
}

static void put_header(char *at, int32_t type, size_t length)
{
    const uint32_t header[2] = {htonl((uint32_t)type), htonl((uint32_t)length)};

    memcpy(at, header, sizeof header);
}

/* The body of a request is written behind the room for its header, from start to at. */
static void end_frame(struct lane *lane, int32_t type, char *start, const char *at)
{
    put_header(start, type, (size_t)(at - start) - FRAME_HEADER);
    lane->out.length = (size_t)(at - lane->out.bytes);
}

static struct mailbox *entered(const struct lane *lane)
{
    return &lane->book->mailboxes[lane->number];
}

static enum verdict expect_frame(struct lane *lane, int32_t type, const char *body, const char *bytes,
                                 size_t length, size_t *taken)
{
    char frame[AROUND_MOST];
    size_t body_length = strlen(body);

    put_header(frame, type, body_length);
    memcpy(frame + FRAME_HEADER, body, body_length);
    enum verdict verdict = lane_expect(lane, frame, FRAME_HEADER + body_length, bytes, length, taken);
    return verdict == REPLY_WRONG ? lane_blame(lane, "a frame of type %d, %s", (int)type, body) : verdict;
}

static enum verdict judge_ok(struct lane *lane, struct request *request, const char *bytes, size_t length,
                             size_t *taken)
{
    (void)request;
    return expect_frame(lane, TYPE_OK, "\"OK\"", bytes, length, taken);
}

/* ---- entry and quit ---- */

static void ask_entry(struct lane *lane, struct request *request)
{
    char *start = lane_room(lane, AROUND_MOST);
    char *at = LANE_PUT(start + FRAME_HEADER, "{\"name\": \"");

    at = LANE_PUT(put_address(at, request->mailbox), "\"}");
    end_frame(lane, TYPE_ENTRY, start, at);
}

static void ask_own_entry(struct lane *lane, struct request *request)
{
    request->mailbox = entered(lane);
    ask_entry(lane, request);
}

static void ask_quit(struct lane *lane, struct request *request)
{
    char *start = lane_room(lane, AROUND_MOST);

    (void)request;
    end_frame(lane, TYPE_QUIT, start, LANE_PUT(start + FRAME_HEADER, "null"));
}

static enum verdict judge_quit(struct lane *lane, struct request *request, const char *bytes, size_t length,
                               size_t *taken)
{
    (void)request;
    (void)bytes;
    (void)length;
    (void)taken;
    return lane_blame(lane, "the end of the connection");
}

/* ---- mail ---- */

static void ask_send(struct lane *lane, struct request *request)
{
    char *start = lane_room(lane, AROUND_MOST + lane->book->size);
    char *at = LANE_PUT(start + FRAME_HEADER, "{\"to\": \"");

    mailbox_ask_append(request->mailbox, request);
    at = LANE_PUT(put_address(at, request->mailbox), "\", \"header\": \"" SUBJECT "\", \"text\": \"");
    mailbox_text(lane->book, request->mailbox, request->low, at);
    end_frame(lane, TYPE_SEND, start, LANE_PUT(at + lane->book->size, "\"}"));
}

static enum verdict judge_send(struct lane *lane, struct request *request, const char *bytes, size_t length,
                               size_t *taken)
{
    enum verdict verdict = judge_ok(lane, request, bytes, length, taken);

    if (verdict == REPLY_WHOLE) {
        mailbox_know_append(request->mailbox);
    }
    return verdict;
}

static void ask_by_index(struct lane *lane, int32_t type, uint64_t id)
{
    char *start = lane_room(lane, AROUND_MOST);
    char *at = LANE_PUT(start + FRAME_HEADER, "{\"index\": \"");

    end_frame(lane, type, start, LANE_PUT(lane_digits(at, id), "\"}"));
}

static void ask_open(struct lane *lane, struct request *request)
{
    request->mailbox = entered(lane);
    ask_by_index(lane, TYPE_OPEN, mailbox_ask_text(lane->book, request->mailbox, request));
}

/* A mail as JSON, up to its text. */
static char *put_mail_start(char *at, const struct mailbox *mailbox, uint64_t number)
{
    at = LANE_PUT(lane_digits(LANE_PUT(at, "{\"id\": "), number + 1), ", \"source\": \"");
    at = LANE_PUT(put_address(at, mailbox), "\", \"destination\": \"");
    return LANE_PUT(put_address(at, mailbox), "\", \"header\": \"" SUBJECT "\", \"text\": \"");
}

static size_t mail_length(const struct lane *lane, const struct mailbox *mailbox, uint64_t number)
{
    char start[AROUND_MOST];

    return (size_t)(put_mail_start(start, mailbox, number) - start) + lane->book->size + sizeof "\"}" - 1;
}

/* Judges a mail behind what stands in start up to at. What is behind its text's first bytes is compared when
 * all is there, so that a long text is not compared again and again while it comes. */
static enum verdict judge_mail(struct lane *lane, struct request *request, const char *start, const char *at,
                               const char *bytes, size_t length, size_t *taken)
{
    size_t start_length = (size_t)(at - start), size = lane->book->size;
    size_t whole = start_length + size + sizeof "\"}" - 1;

    if (memcmp(bytes, start, length < start_length ? length : start_length) != 0 ||
        (length >= whole && (!mailbox_text_fits(lane->book, request, bytes + start_length, size) ||
                             memcmp(bytes + whole - 2, "\"}", 2) != 0))) {
        return lane_blame(lane, "mail %" PRIu64 " with its %zu bytes of text", request->low + 1, size);
    }
    *taken = length >= whole ? whole : 0;
    return length >= whole ? REPLY_WHOLE : REPLY_CUT;
}

static enum verdict judge_open(struct lane *lane, struct request *request, const char *bytes, size_t length,
                               size_t *taken)
{
    char start[AROUND_MOST];

    if (!mailbox_may_have(lane->book, request)) {
        return expect_frame(lane, TYPE_ERROR, NO_SUCH_MAIL, bytes, length, taken);
    }
    put_header(start, TYPE_OPEN, mail_length(lane, request->mailbox, request->low));
    char *at = put_mail_start(start + FRAME_HEADER, request->mailbox, request->low);
    return judge_mail(lane, request, start, at, bytes, length, taken);
}

static void ask_mailbox(struct lane *lane, struct request *request)
{
    char *start = lane_room(lane, AROUND_MOST);

    request->mailbox = entered(lane);
    mailbox_ask_first(lane->book, request->mailbox, request);
    end_frame(lane, TYPE_MAILBOX, start, LANE_PUT(start + FRAME_HEADER, "null"));
}

/* The header and the bracket that begins the array, and where it is empty the one that ends it. */
static enum verdict judge_mailbox_start(struct lane *lane, struct request *request, const char *bytes,
                                        size_t length, size_t *taken)
{
    bool none = request->low == request->high;
    char start[FRAME_HEADER + 2];
    size_t body = none ? 2 : 0;

    for (uint64_t number = request->low; number < request->high; number++) {
        body += mail_length(lane, request->mailbox, number) + 2; /* a bracket, or a comma and a space */
    }
    put_header(start, TYPE_MAILBOX, body);
    memcpy(start + FRAME_HEADER, "[]", 2);
    enum verdict verdict = lane_expect(lane, start, FRAME_HEADER + (none ? 2 : 1), bytes, length, taken);
    if (verdict == REPLY_WRONG) {
        return lane_blame(lane, "%" PRIu64 " mails in %zu bytes", request->high - request->low, body);
    }
    if (verdict == REPLY_WHOLE && !none) {
        request->stage = 1;
        return REPLY_CUT;
    }
    return verdict;
}

/* Then mail by mail: low is the one that comes. */
static enum verdict judge_mailbox(struct lane *lane, struct request *request, const char *bytes,
                                  size_t length, size_t *taken)
{
    char start[AROUND_MOST], *at = start;

    if (request->stage == 0) {
        return judge_mailbox_start(lane, request, bytes, length, taken);
    }
    if (request->low == request->high) {
        return lane_expect(lane, "]", 1, bytes, length, taken);
    }
    if (request->stage > 1) {
        at = LANE_PUT(at, ", ");
    }
    at = put_mail_start(at, request->mailbox, request->low);
    enum verdict verdict = judge_mail(lane, request, start, at, bytes, length, taken);
    if (verdict == REPLY_WHOLE) {
        request->stage = 2;
        request->low++;
        return REPLY_CUT;
    }
    return verdict;
}

static void ask_delete(struct lane *lane, struct request *request)
{
    request->mailbox = entered(lane);
    mailbox_ask_removal(lane->book, request->mailbox, request);
    ask_by_index(lane, TYPE_DELETE, request->low + 1);
}

static enum verdict judge_delete(struct lane *lane, struct request *request, const char *bytes, size_t length,
                                 size_t *taken)
{
    bool had = mailbox_may_have(lane->book, request);
    enum verdict verdict = had ? judge_ok(lane, request, bytes, length, taken)
                               : expect_frame(lane, TYPE_ERROR, NO_SUCH_MAIL, bytes, length, taken);

    if (verdict == REPLY_WHOLE) {
        mailbox_know_removal(lane->book, request->mailbox, had);
    }
    return verdict;
}

static void ask_wait(struct lane *lane, struct request *request)
{
    char *start = lane_room(lane, AROUND_MOST);

    (void)request;
    end_frame(lane, TYPE_WAIT, start, LANE_PUT(start + FRAME_HEADER, "{\"count\": 0, \"timeout\": 1}"));
}

static const struct verb verbs[] = {
    {"WAIT", "wait for no mail at all, which is over at once", ask_wait, judge_ok, false, false},
    {"SEND", "send a mail", ask_send, judge_send, false, false},
    {"OPEN", "read any mail by its id", ask_open, judge_open, true, false},
    {"MAILBOX", "read all mails", ask_mailbox, judge_mailbox, true, false},
    {"DEL", "remove the oldest mail", ask_delete, judge_delete, false, true},
    {NULL, NULL, NULL, NULL, false, false},
};

static const struct verb entry_verb = {"ENTRY", NULL, ask_entry, judge_ok, false, false};
static const struct verb own_entry_verb = {"ENTRY", NULL, ask_own_entry, judge_ok, false, false};
static const struct verb quit_verb = {"QUIT", NULL, ask_quit, judge_quit, false, false};

static const struct verb *const greet_steps[SPEECH_STEPS] = {&own_entry_verb};
static const struct verb *const open_steps[SPEECH_STEPS] = {&entry_verb};

const struct speech speech_message = {
    .name = "message",
    .help = "frames of JSON",
    .mix = "SEND,OPEN",
    .verbs = verbs,
    .fill = &verbs[1],
    .open = open_steps,
    .greet = greet_steps,
    .leave = &quit_verb,
    .one_each = true,
};
