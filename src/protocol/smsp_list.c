/* smsp_list.c: LIST: one line for each message of one's own mailbox. The lines are gathered first, for the
 * reply begins with how many there are; the mailbox is walked in chunks, up to the id that was newest when it
 * began. */
#include "smsp.h"

#include "utf8.h"

#include <inttypes.h>
#include <string.h>

enum { CHARACTER_MOST = 4 }; /* bytes of one in UTF-8 */

/* Controls of both kinds, and the two separators that some take for the end of a line. */
static bool breaks_line(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x2028 || code == 0x2029;
}

/* Appends the characters that end within the first most bytes: CR LF and each control as one gap, each byte
 * that is not UTF-8 as a question mark. */
static void append_words(struct buffer *out, const char *bytes, size_t length, size_t most, char gap)
{
    size_t done = 0;

    while (done < length) {
        uint32_t code = 0;
        const char *from = bytes + done;
        size_t plain = 0;
        while (done + plain < length && done + plain < most && from[plain] >= ' ' && from[plain] <= '~') {
            plain++;
        }
        if (plain > 0) {
            (void)buffer_append(out, from, plain);
            done += plain;
            continue;
        }
        size_t taken = utf8_decode(from, length - done, &code);
        size_t step = taken > 0 ? taken : 1;
        if (code == '\r' && done + 1 < length && from[1] == '\n') {
            step = 2;
        }
        if (done + step > most) {
            return;
        }
        if (taken == 0) {
            (void)buffer_append_byte(out, '?');
        } else if (breaks_line(code)) {
            (void)buffer_append_byte(out, gap);
        } else {
            (void)buffer_append(out, from, taken);
        }
        done += step;
    }
}

static void append_first_words(struct smsp *smsp, const struct message *message)
{
    char start[LIST_WORDS_MAX + CHARACTER_MOST]; /* so that a character across the limit is seen whole */
    struct message_cursor cursor = {0};
    size_t have = 0, length = 0;
    const char *bytes = NULL;

    while (have < sizeof start && message_next(smsp->store, message, &cursor, &bytes, &length)) {
        size_t taken = length < sizeof start - have ? length : sizeof start - have;
        memcpy(start + have, bytes, taken);
        have += taken;
    }
    append_words(&smsp->lines, start, have, LIST_WORDS_MAX, ' ');
}

static void append_line(struct smsp *smsp, const struct message *message)
{
    struct buffer *lines = &smsp->lines;

    (void)buffer_append_byte(lines, smsp->frame.terminator);
    (void)buffer_print(lines, "%" PRIu64 " %" PRIu64 " %" PRId64 " ", message->id,
                       smsp_message_bytes(message), message->received);
    append_words(lines, message->sender, message->sender_length, message->sender_length, '?');
    (void)buffer_append_byte(lines, ' ');
    if (message->subject_length > 0) {
        append_words(lines, message->subject, message->subject_length, message->subject_length, ' ');
    } else {
        append_first_words(smsp, message);
    }
}

enum status smsp_list(void *context)
{
    struct smsp *smsp = context;
    account_t account = smsp->session.account;
    struct message messages[PINS_MAX];
    message_id after = 0, newest = mailbox_newest(smsp->store, account);
    uint64_t total = 0;
    size_t count = 0;

    enum status status = smsp_free_pins(smsp, PINS_MAX);
    while (status == STATUS_OK) {
        status = mailbox_list(smsp->store, account, after, newest, messages, PINS_MAX, &count);
        if (status != STATUS_OK || count == 0) {
            break;
        }
        for (size_t i = 0; i < count; i++) {
            append_line(smsp, &messages[i]);
        }
        message_release_all(smsp->store);
        if (smsp->lines.failed) {
            return smsp_refuse(smsp, STATUS_NO_MEMORY, "the list is longer than memory, or than %u bytes",
                               LIST_REPLY_MAX);
        }
        total += count;
        after = messages[count - 1].id;
    }
    (void)buffer_print(&smsp->reply, "OK %" PRIu64, total);
    return status;
}
