/* speech_smsp.c: SMSP as the bench speaks it, in lines or in NUL framing: smsp(7) says what each verb is. */
#include "speech_smsp.h"

#include <inttypes.h>
#include <string.h>

enum {
    VERB_MOST = 16, /* bytes of a verb and its space */
    STORE_MOST = 2 * (VERB_MOST + COOKIE_TEXT + 3) + MAILBOX_NAME_MAX,
};

/* VERB name */
static char *put_start(char *at, const char *verb, const struct mailbox *mailbox)
{
    at = lane_put(at, verb, strlen(verb));
    return mailbox_put_name(at, mailbox);
}

/* " cookie" and the terminator, which end the request. */
static void put_end(struct lane *lane, char *at, const struct mailbox *mailbox)
{
    *at++ = ' ';
    at = lane_put(at, mailbox->cookie, COOKIE_TEXT);
    *at++ = *lane->plan->speech->line_end;
    lane->out.length = (size_t)(at - lane->out.bytes);
}

/* VERB name cookie */
void smsp_ask_own(struct lane *lane, const char *verb, const struct mailbox *mailbox)
{
    char *at = lane_room(lane, VERB_MOST + MAILBOX_NAME_MAX + COOKIE_TEXT + 2);

    put_end(lane, put_start(at, verb, mailbox), mailbox);
}

static char *put_text(char *at, const struct lane *lane, const struct request *request)
{
    mailbox_text(lane->book, request->mailbox, request->low, at);
    return at + lane->book->size;
}

static void ask_noop(struct lane *lane, struct request *request)
{
    (void)request;
    lane_say(lane, "NOOP", 4);
    lane_say(lane, lane->plan->speech->line_end, 1);
}

/* ---- REGISTER, LOGIN, UNREGISTER ---- */

static void ask_with_password(struct lane *lane, struct request *request, const char *verb)
{
    size_t length = strlen(lane->plan->password);
    char *at = lane_room(lane, VERB_MOST + MAILBOX_NAME_MAX + length + 2);

    at = put_start(at, verb, request->mailbox);
    *at++ = ' ';
    at = lane_put(at, lane->plan->password, length);
    *at++ = *lane->plan->speech->line_end;
    lane->out.length = (size_t)(at - lane->out.bytes);
}

static void ask_register(struct lane *lane, struct request *request)
{
    ask_with_password(lane, request, "REGISTER ");
}

static void ask_login(struct lane *lane, struct request *request)
{
    ask_with_password(lane, request, "LOGIN ");
}

/* A set-up that was interrupted has left mailboxes without an account: for those there is nothing to do. */
static void ask_unregister(struct lane *lane, struct request *request)
{
    if (request->mailbox->cookie[0] != '\0') {
        ask_with_password(lane, request, "UNREGISTER ");
    } else {
        ask_noop(lane, request);
    }
}

static enum verdict judge_cookie(struct lane *lane, struct request *request, const char *bytes, size_t length,
                                 size_t *taken)
{
    static const char start[] = "OK ";
    size_t before = sizeof start - 1, whole = before + COOKIE_TEXT + 1;

    if (memcmp(bytes, start, length < before ? length : before) != 0 ||
        (length >= whole && bytes[whole - 1] != *lane->plan->speech->line_end)) {
        return lane_blame(lane, "\"OK\" and a cookie");
    }
    if (length < whole) {
        return REPLY_CUT;
    }
    memcpy(request->mailbox->cookie, bytes + before, COOKIE_TEXT);
    *taken = whole;
    return REPLY_WHOLE;
}

static enum verdict judge_ok(struct lane *lane, struct request *request, const char *bytes, size_t length,
                             size_t *taken)
{
    (void)request;
    return lane_expect_line(lane, "OK", bytes, length, taken);
}

/* ---- what reads ---- */

static void ask_count(struct lane *lane, struct request *request)
{
    mailbox_ask_count(lane->book, request->mailbox, request);
    smsp_ask_own(lane, "COUNT ", request->mailbox);
}

static enum verdict judge_count(struct lane *lane, struct request *request, const char *bytes, size_t length,
                                size_t *taken)
{
    uint64_t least, most, number;

    mailbox_counts(lane->book, request, &least, &most);
    return lane_expect_number(lane, "COUNTED ", least, most, bytes, length, taken, &number);
}

static void ask_first(struct lane *lane, struct request *request)
{
    mailbox_ask_first(lane->book, request->mailbox, request);
    smsp_ask_own(lane, "GETMSG ", request->mailbox);
}

/* A mismatch shows in the first bytes, as of a KO, or is found when the text is whole: so a long one is not
 * compared again and again while it comes. */
static enum verdict judge_text(struct lane *lane, struct request *request, const char *bytes, size_t length,
                               size_t *taken)
{
    enum { FIRST_BYTES = 64 };
    size_t size = lane->book->size;
    bool whole = length > size;
    size_t seen = whole ? size : length < FIRST_BYTES ? length : FIRST_BYTES;

    if (!mailbox_text_fits(lane->book, request, bytes, seen) ||
        (whole && bytes[size] != *lane->plan->speech->line_end)) {
        return lane_blame(lane, "the text of message %" PRIu64 ", %zu bytes", request->low + 1, size);
    }
    *taken = whole ? size + 1 : 0;
    return whole ? REPLY_WHOLE : REPLY_CUT;
}

/* Whether the reply is the refusal that an empty mailbox gives. */
static bool is_refusal(struct lane *lane, const struct request *request, const char *bytes, size_t length)
{
    return !mailbox_may_have(lane->book, request) ||
           (length > 0 && bytes[0] == 'K' && mailbox_may_lack(lane->book, request));
}

static enum verdict judge_first(struct lane *lane, struct request *request, const char *bytes, size_t length,
                                size_t *taken)
{
    return is_refusal(lane, request, bytes, length) ? lane_expect_line(lane, "KO", bytes, length, taken)
                                                    : judge_text(lane, request, bytes, length, taken);
}

void smsp_ask_fetch(struct lane *lane, struct request *request)
{
    uint64_t id = mailbox_ask_text(lane->book, request->mailbox, request);
    char *at = lane_room(lane, VERB_MOST + MAILBOX_NAME_MAX + LANE_DIGITS + 1 + COOKIE_TEXT + 2);

    at = put_start(at, "FETCH ", request->mailbox);
    *at++ = ' ';
    at = lane_digits(at, id);
    put_end(lane, at, request->mailbox);
}

enum verdict smsp_judge_fetch(struct lane *lane, struct request *request, const char *bytes, size_t length,
                              size_t *taken)
{
    uint64_t size = lane->book->size;
    size_t line = 0, rest = 0;

    if (is_refusal(lane, request, bytes, length)) {
        return lane_expect_line(lane, "KO", bytes, length, taken);
    }
    enum verdict verdict = lane_expect_number(lane, "OK ", size, size, bytes, length, &line, &size);
    if (verdict == REPLY_WHOLE) {
        verdict = judge_text(lane, request, bytes + line, length - line, &rest);
        *taken = verdict == REPLY_WHOLE ? line + rest : 0;
    }
    return verdict;
}

/* ---- what adds and removes ---- */

void smsp_ask_send(struct lane *lane, struct request *request)
{
    char *at = lane_room(lane, VERB_MOST + MAILBOX_NAME_MAX + lane->book->size + COOKIE_TEXT + 3);

    mailbox_ask_append(request->mailbox, request);
    at = put_start(at, "SEND ", request->mailbox);
    *at++ = ' ';
    put_end(lane, put_text(at, lane, request), request->mailbox);
}

static enum verdict judge_send(struct lane *lane, struct request *request, const char *bytes, size_t length,
                               size_t *taken)
{
    uint64_t low = lane->book->shared ? lane->last_id + 1 : request->low + 1;
    uint64_t high = lane->book->shared ? UINT64_MAX : low;
    enum verdict verdict = lane_expect_number(lane, "OK ", low, high, bytes, length, taken, &lane->last_id);

    if (verdict == REPLY_WHOLE) {
        mailbox_know_append(request->mailbox);
    }
    return verdict;
}

static void ask_store(struct lane *lane, struct request *request)
{
    char *at = lane_room(lane, STORE_MOST + lane->book->size);

    mailbox_ask_append(request->mailbox, request);
    at = LANE_PUT(at, "MESSAGE ");
    put_end(lane, put_text(at, lane, request), request->mailbox);
    smsp_ask_own(lane, "STORE ", request->mailbox);
}

static enum verdict judge_store(struct lane *lane, struct request *request, const char *bytes, size_t length,
                                size_t *taken)
{
    enum verdict verdict = lane_expect_line(lane, "OK", bytes, length, taken);

    if (verdict == REPLY_WHOLE && request->stage++ == 0) {
        return REPLY_CUT;
    }
    if (verdict == REPLY_WHOLE) {
        mailbox_know_append(request->mailbox);
    }
    return verdict;
}

static void ask_delete(struct lane *lane, struct request *request)
{
    mailbox_ask_removal(lane->book, request->mailbox, request);
    smsp_ask_own(lane, "DELMSG ", request->mailbox);
}

static enum verdict judge_delete(struct lane *lane, struct request *request, const char *bytes, size_t length,
                                 size_t *taken)
{
    bool had = !is_refusal(lane, request, bytes, length);
    enum verdict verdict = lane_expect_line(lane, had ? "OK" : "KO", bytes, length, taken);

    if (verdict == REPLY_WHOLE) {
        mailbox_know_removal(lane->book, request->mailbox, had);
    }
    return verdict;
}

static const struct verb verbs[] = {
    {"NOOP", "nothing but a request and its reply", ask_noop, judge_ok, false, false},
    {"COUNT", "how many messages the mailbox holds", ask_count, judge_count, false, false},
    {"SEND", "put a message into the mailbox", smsp_ask_send, judge_send, false, false},
    {"STORE", "MESSAGE and STORE, counted as one request", ask_store, judge_store, false, false},
    {"GETMSG", "read the oldest message", ask_first, judge_first, true, false},
    {"FETCH", "read any message by its id", smsp_ask_fetch, smsp_judge_fetch, true, false},
    {"LIST", "a line about each message", smsp_ask_list, smsp_judge_list, true, false},
    {"DELMSG", "remove the oldest message", ask_delete, judge_delete, false, true},
    {NULL, NULL, NULL, NULL, false, false},
};

const struct verb smsp_login = {"LOGIN", NULL, ask_login, judge_cookie, false, false};

static const struct verb register_verb = {"REGISTER", NULL, ask_register, judge_cookie, false, false};
static const struct verb unregister_verb = {"UNREGISTER", NULL, ask_unregister, judge_ok, false, false};

static const struct verb *const open_steps[SPEECH_STEPS] = {&register_verb};
static const struct verb *const close_steps[SPEECH_STEPS] = {&unregister_verb};

const struct speech speech_smsp = {
    .name = "smsp",
    .help = "SMSP, requests in lines",
    .mix = "COUNT",
    .verbs = verbs,
    .fill = &verbs[2],
    .open = open_steps,
    .adopt = smsp_adopt_steps,
    .close = close_steps,
    .line_end = "\n",
    .line_end_length = 1,
};

const struct speech speech_smsp_nul = {
    .name = "smsp-nul",
    .help = "SMSP, requests that end with NUL",
    .mix = "COUNT",
    .verbs = verbs,
    .fill = &verbs[2],
    .open = open_steps,
    .adopt = smsp_adopt_steps,
    .close = close_steps,
    .line_end = "",
    .line_end_length = 1,
};
