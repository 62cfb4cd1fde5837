/* smsp_reply.c: writes one reply in the framing of its connection, with the sum that the dialect wants, and
 * sends messages straight from the segment. In comes what a handler has left, out go bytes gathered in the
 * stream. It knows no verb and decides nothing. */
#include "smsp.h"

#include "number.h"

#include <string.h>

enum { LINE_ROOM = sizeof(struct smsp_word) + NUMBER_TEXT + 1 };

/* Where one is in the parts of a message: subject, line break, the runs of the body. */
struct walk {
    enum { AT_SUBJECT, AT_BREAK, AT_BODY } at;
    struct message_cursor cursor;
};

static bool next_part(const struct smsp *smsp, struct walk *walk, struct text *part)
{
    const struct message *message = &smsp->message;

    if (walk->at == AT_SUBJECT && message->subject_length > 0) {
        walk->at = AT_BREAK;
        *part = (struct text){message->subject, message->subject_length};
        return true;
    }
    if (walk->at == AT_BREAK) {
        walk->at = AT_BODY;
        *part = TEXT("\n");
        return true;
    }
    walk->at = AT_BODY;
    return message_next(smsp->store, message, &walk->cursor, &part->bytes, &part->length);
}

uint64_t smsp_message_bytes(const struct message *message)
{
    return message->body_length + (message->subject_length > 0 ? message->subject_length + 1 : 0);
}

static void put_message(struct smsp *smsp)
{
    struct walk walk = {0};
    struct text part;

    while (next_part(smsp, &walk, &part)) {
        stream_refer(smsp->stream, part.bytes, part.length);
    }
}

/* CR LF and LF become one space. A CR at the end of a part waits for what the next part begins with. */
static void put_folded(struct smsp *smsp)
{
    struct walk walk = {0};
    struct text part;
    bool carried = false;

    while (next_part(smsp, &walk, &part)) {
        while (part.length > 0) {
            const char *end = memchr(part.bytes, '\n', part.length);
            size_t run = end != NULL ? (size_t)(end - part.bytes) : part.length;
            size_t taken = end != NULL ? run + 1 : run;
            if (carried && !(end != NULL && run == 0)) {
                stream_put(smsp->stream, "\r", 1);
            }
            carried = run > 0 && part.bytes[run - 1] == '\r';
            stream_put(smsp->stream, part.bytes, carried ? run - 1 : run);
            if (end != NULL) {
                carried = false;
                stream_put(smsp->stream, " ", 1);
            }
            part = (struct text){part.bytes + taken, part.length - taken};
        }
    }
    if (carried) {
        stream_put(smsp->stream, "\r", 1);
    }
}

static bool has_line_break(const struct smsp *smsp)
{
    struct walk walk = {0};
    struct text part;

    while (next_part(smsp, &walk, &part)) {
        if (part.length > 0 && memchr(part.bytes, '\n', part.length) != NULL) {
            return true;
        }
    }
    return false;
}

static void put_sum(struct smsp *smsp, uint64_t total)
{
    stream_put_number(smsp->stream, smsp_sum_end(total));
    stream_put(smsp->stream, " ", 1);
}

/* It is written where it leaves from: a copy of what was written byte by byte just before waits until the
 * processor has done with that. */
static void put_word(struct smsp *smsp)
{
    const struct smsp_word *word = smsp->word;
    char own[LINE_ROOM], *room = smsp->dialect ? NULL : stream_room(smsp->stream, sizeof own);
    size_t length = word->length;

    if (room == NULL) {
        room = own;
    }
    memcpy(room, word->bytes, sizeof word->bytes);
    if (word->numbered) {
        length += number_print(smsp->number, room + length);
    }
    if (smsp->dialect) {
        put_sum(smsp, smsp_sum_add(0, room, length));
    }
    room[length++] = smsp->frame.terminator;
    stream_put(smsp->stream, room, length);
    smsp->word = NULL;
}

static uint64_t sum_of_rest(const struct smsp *smsp)
{
    uint64_t total = smsp_sum_add(0, smsp->reply.bytes, smsp->reply.length);
    struct walk walk = {0};
    struct text part;

    while (smsp->payload != PAYLOAD_NONE && next_part(smsp, &walk, &part)) {
        total = smsp_sum_add(total, part.bytes, part.length);
    }
    return total;
}

void smsp_reply(struct smsp *smsp)
{
    struct stream *stream = smsp->stream;

    if (smsp->word != NULL) {
        put_word(smsp);
        if (smsp->payload == PAYLOAD_NONE) {
            return;
        }
    } else if (smsp->dialect) {
        put_sum(smsp, sum_of_rest(smsp));
    }
    stream_put(stream, smsp->reply.bytes, smsp->reply.length);
    stream_put(stream, smsp->lines.bytes, smsp->lines.length);
    if (smsp->payload == PAYLOAD_FRAME && smsp->frame.terminator == '\n' && has_line_break(smsp)) {
        put_folded(smsp);
    } else if (smsp->payload != PAYLOAD_NONE) {
        put_message(smsp);
    }
    stream_put(stream, &smsp->frame.terminator, 1);

    smsp->payload = PAYLOAD_NONE;
    buffer_clear(&smsp->reply);
    buffer_free(&smsp->lines);
}

enum status smsp_free_pins(struct smsp *smsp, size_t wanted)
{
    if (message_pins(smsp->store) + wanted > PINS_MAX && stream_flush(smsp->stream) != STATUS_OK) {
        return STATUS_HANGUP;
    }
    return STATUS_OK;
}
