/* adopt_smsp.c: the steps by which SMSP takes over mailboxes that an earlier run has left: how many messages
 * there are, what number the oldest one has, and that ids follow from numbers. */
#include "speech_smsp.h"

static void ask_count(struct lane *lane, struct request *request)
{
    smsp_ask_own(lane, "COUNT ", request->mailbox);
}

static enum verdict judge_count(struct lane *lane, struct request *request, const char *bytes, size_t length,
                                size_t *taken)
{
    uint64_t count = 0;
    enum verdict verdict = lane_expect_number(lane, "COUNTED ", 0, UINT64_MAX, bytes, length, taken, &count);

    if (verdict == REPLY_WHOLE) {
        mailbox_adopt(request->mailbox, 0, count);
    }
    return verdict;
}

static void ask_first(struct lane *lane, struct request *request)
{
    smsp_ask_own(lane, "GETMSG ", request->mailbox);
}

static enum verdict judge_first(struct lane *lane, struct request *request, const char *bytes, size_t length,
                                size_t *taken)
{
    struct mailbox *mailbox = request->mailbox;
    size_t line_length;
    uint64_t number;

    if (mailbox->appended == 0) {
        return lane_expect_line(lane, "KO", bytes, length, taken);
    }
    if (!lane_line(lane, bytes, length, &line_length, taken)) {
        return length <= lane->book->size ? REPLY_CUT : lane_blame(lane, "%zu bytes", lane->book->size);
    }
    if (line_length != lane->book->size || !mailbox_text_number(lane->book, mailbox, bytes, &number)) {
        return lane_blame(lane, "a message of this program, of %zu bytes", lane->book->size);
    }
    mailbox_adopt(mailbox, number, mailbox->appended);
    return REPLY_WHOLE;
}

/* Any message by its id; where there is none, one is sent, whose id tells how many there were, and removed.
 */
static void ask_id(struct lane *lane, struct request *request)
{
    struct mailbox *mailbox = request->mailbox;

    if (mailbox->appended > mailbox->removed) {
        smsp_ask_fetch(lane, request);
        return;
    }
    smsp_ask_send(lane, request);
    smsp_ask_own(lane, "DELMSG ", mailbox);
    mailbox_adopt(mailbox, 0, 0);
}

static enum verdict judge_id(struct lane *lane, struct request *request, const char *bytes, size_t length,
                             size_t *taken)
{
    struct mailbox *mailbox = request->mailbox;
    uint64_t id = 0;

    if (mailbox->appended > mailbox->removed) {
        return smsp_judge_fetch(lane, request, bytes, length, taken);
    }
    if (request->stage > 0) {
        return lane_expect_line(lane, "OK", bytes, length, taken);
    }
    enum verdict verdict = lane_expect_number(lane, "OK ", 1, UINT64_MAX, bytes, length, taken, &id);
    if (verdict == REPLY_WHOLE) {
        mailbox_adopt(mailbox, id, 0);
        request->stage = 1;
        return REPLY_CUT;
    }
    return verdict;
}

static const struct verb count_verb = {"COUNT", NULL, ask_count, judge_count, false, false};
static const struct verb first_verb = {"GETMSG", NULL, ask_first, judge_first, false, false};
static const struct verb id_verb = {"FETCH", NULL, ask_id, judge_id, false, false};

const struct verb *const smsp_adopt_steps[SPEECH_STEPS] = {&smsp_login, &count_verb, &first_verb, &id_verb};
