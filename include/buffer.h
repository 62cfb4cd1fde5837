/* buffer.h: a growable run of bytes in private memory, with a hard cap.
 *
 * A failed append changes nothing and is remembered: a caller may append many times and look once. */
#ifndef SHMAIL_BUFFER_H
#define SHMAIL_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *bytes; /* may be NULL while length is 0; moves when the buffer grows */
    size_t length;
    size_t capacity;
    size_t cap;    /* never grows beyond; 0: no cap but memory */
    bool failed;   /* something did not fit (cap or memory) since the last buffer_clear */
    bool borrowed; /* bytes are somebody else's, to begin with (buffer_borrow) */
};

#define BUFFER_WITH_CAP(n) ((struct buffer){.cap = (n)})

/* An empty buffer that needs no memory of its own before it is longer than the room, which must live as long.
 */
static inline void buffer_borrow(struct buffer *buffer, char *room, size_t length)
{
    *buffer = (struct buffer){.bytes = room, .capacity = length, .cap = buffer->cap, .borrowed = true};
}

/* bytes never point into the buffer itself. */
bool buffer_append(struct buffer *, const void *bytes, size_t length);
bool buffer_append_text(struct buffer *, const char *text);
bool buffer_append_number(struct buffer *, uint64_t number); /* decimal */
__attribute__((format(printf, 2, 3))) bool buffer_print(struct buffer *, const char *format, ...);

/* Makes room for length more bytes and returns where they go; the caller adds to ->length what it wrote.
 * NULL: no room, and failed is set. */
char *buffer_reserve_anew(struct buffer *, size_t length);
static inline char *buffer_reserve(struct buffer *buffer, size_t length)
{
    return length < buffer->capacity - buffer->length ? buffer->bytes + buffer->length
                                                      : buffer_reserve_anew(buffer, length);
}

static inline bool buffer_append_byte(struct buffer *buffer, char byte)
{
    char *room = buffer_reserve(buffer, 1);
    if (room == NULL) {
        return false;
    }
    *room = byte;
    buffer->length++;
    return true;
}

/* Drops the first length bytes; what remains moves to the front. */
void buffer_consume(struct buffer *, size_t length);

void buffer_clear(struct buffer *); /* keeps the memory */
void buffer_free(struct buffer *);  /* leaves an empty buffer with the same cap */

#endif
