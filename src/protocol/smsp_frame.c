/* smsp_frame.c: cuts the bytes of a stream into requests that end with LF or NUL, whichever came first, and
 * keeps in step when one is too long to be held. It also reads and adds up the sums of the checksum dialect.
 * It knows no verb and sends nothing. */
#include "smsp_frame.h"

#include "number.h"

#include <string.h>

/* The first terminator at or after frame->searched; fixes the framing where it was open. */
static const char *find_end(struct smsp_frame *frame, const char *bytes, size_t length)
{
    const char *from = bytes + frame->searched;
    size_t left = length - frame->searched;
    const char *end = NULL;

    if (left == 0) {
        return NULL;
    }
    if (frame->fixed) {
        end = memchr(from, frame->terminator, left);
    } else {
        const char *line = memchr(from, '\n', left);
        end = memchr(from, '\0', line != NULL ? (size_t)(line - from) : left);
        end = end != NULL ? end : line;
    }
    if (end == NULL) {
        frame->searched = length;
        return NULL;
    }
    frame->searched = 0;
    frame->fixed = true;
    frame->terminator = *end;
    return end;
}

/* Drops the rest of a request up to its end, however long that is, and says why, or that the stream ended
 * first. */
static enum status discard(struct smsp_frame *frame, struct stream *stream, enum status why)
{
    struct text start = {stream_data(stream), stream_length(stream)};
    uint64_t sum = 0;

    frame->summed = smsp_sum_read(start, &sum) > 0;
    for (;;) {
        const char *bytes = stream_data(stream);
        const char *end = find_end(frame, bytes, stream_length(stream));
        if (end != NULL) {
            smsp_frame_skip(frame, stream, (size_t)(end - bytes) + 1);
            return why;
        }
        smsp_frame_skip(frame, stream, stream_length(stream));
        frame->searched = 0;
        enum status status = stream_read(stream, frame->limit);
        if (status != STATUS_OK) {
            return status == STATUS_TOO_LONG || status == STATUS_NO_MEMORY ? STATUS_SYSTEM : status;
        }
    }
}

/* All that has come is looked through at once, not request by request. */
static bool is_clean(struct smsp_frame *frame, const char *bytes, size_t available, size_t length)
{
    if (frame->clean < length) {
        const char *nul = memchr(bytes + frame->clean, '\0', available - frame->clean);
        frame->clean = nul != NULL ? (size_t)(nul - bytes) : available;
    }
    return frame->clean >= length;
}

enum status smsp_frame_read(struct smsp_frame *frame, struct stream *stream, struct text *request)
{
    const char *bytes = NULL, *end = NULL;

    for (;;) {
        bytes = stream_data(stream);
        end = find_end(frame, bytes, stream_length(stream));
        if (end != NULL) {
            break;
        }
        enum status status =
            stream_read(stream, frame->limit + 2); /* the longest request has CR LF behind it */
        if (status == STATUS_TOO_LONG || status == STATUS_NO_MEMORY) {
            return discard(frame, stream, status);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }

    size_t length = (size_t)(end - bytes);
    frame->whole = length + 1;
    if (frame->terminator == '\n' && length > 0 && bytes[length - 1] == '\r') {
        length--;
    }
    if (length > frame->limit) {
        return discard(frame, stream, STATUS_TOO_LONG);
    }
    frame->holds_nul = frame->terminator == '\n' && !is_clean(frame, bytes, stream_length(stream), length);
    *request = (struct text){bytes, length};
    return STATUS_OK;
}

void smsp_frame_skip(struct smsp_frame *frame, struct stream *stream, size_t length)
{
    stream_consume(stream, length);
    frame->clean = frame->clean > length ? frame->clean - length : 0;
}

void smsp_frame_done(struct smsp_frame *frame, struct stream *stream)
{
    smsp_frame_skip(frame, stream, frame->whole);
    frame->whole = 0;
}

size_t smsp_sum_read(struct text request, uint64_t *sum)
{
    const char *bytes = request.bytes;
    size_t digits = 0;

    while (digits < request.length && bytes[digits] >= '0' && bytes[digits] <= '9') {
        digits++;
    }
    if (digits == 0 || digits == request.length || bytes[digits] != ' ') {
        return 0;
    }
    if (!number_parse(bytes, digits, SMSP_SUM_NONE - 1, sum)) {
        *sum = SMSP_SUM_NONE;
    }
    return digits + 1;
}

uint64_t smsp_sum_add(uint64_t total, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        total += (unsigned char)bytes[i];
    }
    return total;
}

uint64_t smsp_sum_end(uint64_t total)
{
    return total % 13 % 17;
}
