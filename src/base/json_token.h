/* json_token.h: the tokens of one JSON text: what the reader is made of. Private to src/base. */
#ifndef SHMAIL_JSON_TOKEN_H
#define SHMAIL_JSON_TOKEN_H

#include "buffer.h"
#include "json_key.h"

#include <stdbool.h>
#include <stddef.h>

struct json_cursor {
    const char *bytes;
    size_t length;
    size_t position; /* of what comes next; after a failure, of what is wrong */
    const char *why; /* set by a failure */
};

static inline bool json_fail(struct json_cursor *cursor, size_t position, const char *why)
{
    cursor->position = position;
    cursor->why = why;
    return false;
}

/* The next byte; -1 at the end, as no byte is. */
int json_peek(const struct json_cursor *);

void json_skip_space(struct json_cursor *);

/* Each reads the token that begins here, and on true stands behind it. Its text goes to text and key, which
 * may be NULL: the decoded characters of a string, the literal of a number. */
bool json_read_string(struct json_cursor *, struct buffer *text, struct json_key *key);
bool json_read_number(struct json_cursor *, struct buffer *text);
bool json_read_word(struct json_cursor *, const char *word);

#endif
