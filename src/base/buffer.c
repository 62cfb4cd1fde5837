/* buffer.c: bytes in private memory that grow by doubling up to their cap. In come bytes or a format, out
 * goes one run of memory. It knows nothing of what the bytes mean; want of memory is an answer. */
#include "buffer.h"

#include "log.h"
#include "number.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CAPACITY_FIRST = 64, /* a reply line fits */
    PRINT_ROOM = 256,    /* what most formats yield, so that one pass suffices */
};

static bool grow(struct buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity < CAPACITY_FIRST ? CAPACITY_FIRST : buffer->capacity;

    while (capacity < needed) {
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    }
    if (buffer->cap != 0 && capacity > buffer->cap) {
        capacity = buffer->cap;
    }

    char *bytes = realloc(buffer->borrowed ? NULL : buffer->bytes, capacity);
    if (bytes == NULL) {
        return false;
    }
    if (buffer->bytes != NULL && buffer->borrowed) {
        memcpy(bytes, buffer->bytes, buffer->length);
    }
    buffer->borrowed = false;
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

static bool fits_cap(const struct buffer *buffer, size_t length)
{
    size_t most = buffer->cap != 0 ? buffer->cap : SIZE_MAX;

    return buffer->length <= most && length <= most - buffer->length;
}

char *buffer_reserve_anew(struct buffer *buffer, size_t length)
{
    if (!fits_cap(buffer, length)) {
        buffer->failed = true;
        return NULL;
    }
    size_t needed = buffer->length + length;
    if ((needed > buffer->capacity || buffer->bytes == NULL) && !grow(buffer, needed)) {
        buffer->failed = true;
        return NULL;
    }
    return buffer->bytes + buffer->length;
}

bool buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
    if (length == 0) {
        return true; /* bytes may be NULL then, which memcpy does not take */
    }
    char *room = buffer_reserve(buffer, length);
    if (room == NULL) {
        return false;
    }
    memcpy(room, bytes, length);
    buffer->length += length;
    return true;
}

bool buffer_append_text(struct buffer *buffer, const char *text)
{
    return buffer_append(buffer, text, strlen(text));
}

bool buffer_append_number(struct buffer *buffer, uint64_t number)
{
    char digits[NUMBER_TEXT];

    return buffer_append(buffer, digits, number_print(number, digits));
}

/* By way of memory of its own: the final NUL of a format must not count against the cap. */
static bool print_long(struct buffer *buffer, size_t length, const char *format, va_list arguments)
{
    char *text = fits_cap(buffer, length) ? malloc(length + 1) : NULL;
    if (text == NULL) {
        buffer->failed = true;
        return false;
    }

    int printed = vsnprintf(text, length + 1, format, arguments);
    bool done = printed >= 0 && buffer_append(buffer, text, (size_t)printed);
    if (!done) {
        buffer->failed = true;
    }
    free(text);
    return done;
}

bool buffer_print(struct buffer *buffer, const char *format, ...)
{
    char room[PRINT_ROOM];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(room, sizeof room, format, arguments);
    va_end(arguments);
    if (length < 0) {
        buffer->failed = true;
        return false;
    }
    if ((size_t)length < sizeof room) {
        return buffer_append(buffer, room, (size_t)length);
    }

    va_start(arguments, format);
    bool done = print_long(buffer, (size_t)length, format, arguments);
    va_end(arguments);
    return done;
}

void buffer_consume(struct buffer *buffer, size_t length)
{
    if (length > buffer->length) {
        bug("more consumed than the buffer holds");
    }
    buffer->length -= length;
    if (length > 0 && buffer->length > 0) {
        memmove(buffer->bytes, buffer->bytes + length, buffer->length);
    }
}

void buffer_clear(struct buffer *buffer)
{
    buffer->length = 0;
    buffer->failed = false;
}

void buffer_free(struct buffer *buffer)
{
    if (!buffer->borrowed) {
        free(buffer->bytes);
    }
    *buffer = BUFFER_WITH_CAP(buffer->cap);
}
