/* peer_mail.c: POP3 and LMTP: STAT where shmail has COUNT, and the delivery of one mail for SEND. The users
 * must exist, by the names that --names gives, with SHMAIL_PASSWORD as their password. */
#include "peers.h"

#include <stdio.h>
#include <string.h>

/* A line that starts with these words. */
static enum verdict expect_start(struct lane *lane, const char *start, const char *bytes, size_t length,
                                 size_t *taken)
{
    size_t start_length = strlen(start), line_length = 0;

    if (memcmp(bytes, start, length < start_length ? length : start_length) != 0) {
        return lane_blame(lane, "\"%s\"", start);
    }
    return lane_line(lane, bytes, length, &line_length, taken) ? REPLY_WHOLE : REPLY_CUT;
}

/* The server speaks first. */
static void ask_nothing(struct lane *lane, struct request *request)
{
    (void)lane;
    (void)request;
}

static void ask_quit(struct lane *lane, struct request *request)
{
    (void)request;
    peer_say(lane, "QUIT\r\n");
}

/* ---- POP3 ---- */

static enum verdict judge_ok(struct lane *lane, struct request *request, const char *bytes, size_t length,
                             size_t *taken)
{
    (void)request;
    return expect_start(lane, "+OK", bytes, length, taken);
}

static void ask_user(struct lane *lane, struct request *request)
{
    request->mailbox = &lane->book->mailboxes[lane->number % lane->book->count];
    peer_say(lane, "USER %s\r\n", request->mailbox->name);
}

static void ask_pass(struct lane *lane, struct request *request)
{
    (void)request;
    peer_say(lane, "PASS %s\r\n", lane->plan->password);
}

static void ask_stat(struct lane *lane, struct request *request)
{
    request->mailbox = &lane->book->mailboxes[lane->number % lane->book->count];
    lane_say(lane, "STAT\r\n", 6);
}

/* Nobody knows beforehand what is there, so the first reply, kept in place of a cookie, is what all others
 * must be. */
static enum verdict judge_stat(struct lane *lane, struct request *request, const char *bytes, size_t length,
                               size_t *taken)
{
    char *first = request->mailbox->cookie;
    size_t line_length;

    if (!lane_line(lane, bytes, length, &line_length, taken)) {
        return expect_start(lane, "+OK ", bytes, length, taken);
    }
    if (first[0] == '\0' && line_length < COOKIE_TEXT && memcmp(bytes, "+OK ", 4) == 0) {
        memcpy(first, bytes, line_length);
    }
    if (first[0] == '\0' || strnlen(first, COOKIE_TEXT) != line_length ||
        memcmp(first, bytes, line_length) != 0) {
        return lane_blame(lane, "\"%.*s\"", COOKIE_TEXT, first[0] != '\0' ? first : "+OK ");
    }
    return REPLY_WHOLE;
}

static const struct verb pop3_verbs[] = {
    {"STAT", "how many messages there are", ask_stat, judge_stat, false, false},
    {NULL, NULL, NULL, NULL, false, false},
};

static const struct verb pop3_banner = {"connection", NULL, ask_nothing, judge_ok, false, false};
static const struct verb user_verb = {"USER", NULL, ask_user, judge_ok, false, false};
static const struct verb pass_verb = {"PASS", NULL, ask_pass, judge_ok, false, false};
static const struct verb pop3_quit = {"QUIT", NULL, ask_quit, judge_ok, false, false};
static const struct verb *const pop3_greeting[SPEECH_STEPS] = {&pop3_banner, &user_verb, &pass_verb};

const struct speech speech_pop3 = {
    .name = "pop3",
    .help = "the drops of users PREFIX0, PREFIX1, ...",
    .mix = "STAT",
    .verbs = pop3_verbs,
    .greet = pop3_greeting,
    .leave = &pop3_quit,
    .line_end = "\r\n",
    .line_end_length = 2,
};

/* ---- LMTP ---- */

static enum verdict judge_lmtp_banner(struct lane *lane, struct request *request, const char *bytes,
                                      size_t length, size_t *taken)
{
    (void)request;
    return expect_start(lane, "220 ", bytes, length, taken);
}

static void ask_lhlo(struct lane *lane, struct request *request)
{
    (void)request;
    peer_say(lane, "LHLO bench\r\n");
}

/* Lines of "250-", and one of "250 ". */
static enum verdict judge_lhlo(struct lane *lane, struct request *request, const char *bytes, size_t length,
                               size_t *taken)
{
    enum verdict verdict = expect_start(lane, "250", bytes, length, taken);

    (void)request;
    return verdict == REPLY_WHOLE && bytes[3] == '-' ? REPLY_CUT : verdict;
}

static void ask_delivery(struct lane *lane, struct request *request)
{
    peer_say(lane, "MAIL FROM:<bench@bench.test>\r\n");
    peer_say(lane, "RCPT TO:<%s>\r\nDATA\r\n", request->mailbox->name);
}

static void say_mail(struct lane *lane, struct request *request)
{
    static const char start[] = "From: bench@bench.test\r\nSubject: bench\r\n\r\n", end[] = "\r\n.\r\n";
    size_t size = lane->book->size;

    mailbox_ask_append(request->mailbox, request);
    lane_say(lane, start, sizeof start - 1);
    mailbox_text(lane->book, request->mailbox, request->low, lane_room(lane, size));
    lane->out.length += size;
    lane_say(lane, end, sizeof end - 1);
}

/* The mail follows when DATA has its answer. */
static enum verdict judge_delivery(struct lane *lane, struct request *request, const char *bytes,
                                   size_t length, size_t *taken)
{
    static const char *const codes[] = {"250 ", "250 ", "354 ", "250 "};
    enum { DATA = 2, DONE = 3 };
    enum verdict verdict = expect_start(lane, codes[request->stage], bytes, length, taken);

    if (verdict != REPLY_WHOLE || request->stage == DONE) {
        return verdict;
    }
    if (request->stage++ == DATA) {
        say_mail(lane, request);
    }
    return REPLY_CUT;
}

static enum verdict judge_lmtp_quit(struct lane *lane, struct request *request, const char *bytes,
                                    size_t length, size_t *taken)
{
    (void)request;
    return expect_start(lane, "221 ", bytes, length, taken);
}

static const struct verb lmtp_verbs[] = {
    {"DELIVER", "hand over one mail for one user", ask_delivery, judge_delivery, false, false},
    {NULL, NULL, NULL, NULL, false, false},
};

static const struct verb lmtp_banner = {"connection", NULL, ask_nothing, judge_lmtp_banner, false, false};
static const struct verb lhlo_verb = {"LHLO", NULL, ask_lhlo, judge_lhlo, false, false};
static const struct verb lmtp_quit = {"QUIT", NULL, ask_quit, judge_lmtp_quit, false, false};
static const struct verb *const lmtp_greeting[SPEECH_STEPS] = {&lmtp_banner, &lhlo_verb};

const struct speech speech_lmtp = {
    .name = "lmtp",
    .help = "delivery to users PREFIX0, PREFIX1, ...",
    .mix = "DELIVER",
    .verbs = lmtp_verbs,
    .fill = &lmtp_verbs[0],
    .greet = lmtp_greeting,
    .leave = &lmtp_quit,
    .depth_most = 1,
    .line_end = "\r\n",
    .line_end_length = 2,
};
