/* json.h: RFC 8259 as far as the Message protocol needs it: a checking reader of one value, and a writer of
 * strings.
 *
 * The reader accepts exactly RFC 8259 with valid UTF-8, objects and arrays at most JSON_DEPTH_MAX inside
 * each other, at most JSON_MEMBERS_MAX members in any object, and no key twice in it; escaped lone surrogates
 * are errors. It allocates only the text of the members that were asked for; its work is linear. */
#ifndef SHMAIL_JSON_H
#define SHMAIL_JSON_H

#include "buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_kind {
    JSON_ABSENT,
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_OBJECT,
    JSON_ARRAY
};

/* A member that the caller wants from the top object. kind says what was there (JSON_ABSENT: no such key).
 * text holds the decoded characters of a string (any code point, U+0000 too), or the literal of a number; the
 * caller sets text.cap before and frees it after. */
struct json_member {
    const char *key;
    enum json_kind kind;
    struct buffer text;
};

/* Reads one whole JSON text. *kind is what the top value is; where it is an object, the members that are
 * asked for are filled in and other keys are checked and passed over; where it is a string or number and top
 * is not NULL, *top receives its text as in json_member. On false *why says what is wrong in words for a
 * person ("duplicate key", "member too long", ...; lives for ever) and *at is the offset of it; where a text
 * did not fit, its failed is set. */
bool json_read(const char *bytes, size_t length, struct json_member *members, size_t count,
               enum json_kind *kind, struct buffer *top, const char **why, size_t *at);

/* For programs that read any document (the client's mailbox listing): walks an array of objects. Calls visit
 * for each object with its members filled as above (all of their texts are cleared before each), stops when
 * it returns false (and then returns true). The document is checked whole before the first call, but for
 * texts that do not fit. */
bool json_read_array(const char *bytes, size_t length, struct json_member *members, size_t count,
                     bool (*visit)(void *, const struct json_member *), void *context, const char **why,
                     size_t *at);

/* Appends length bytes as the inside of a JSON string (without the quotes): '"', '\\' and control characters
 * escaped, other characters as UTF-8, what is not UTF-8 as U+FFFD. A long text may be given in pieces: *carry
 * (start with carry->length 0) keeps a character that is cut between them; the last piece is flagged. */
struct json_carry {
    char bytes[4];
    size_t length;
};
bool json_write_text(struct buffer *, const char *bytes, size_t length, struct json_carry *, bool last);

/* Appends a whole string with its quotes. */
bool json_write_string(struct buffer *, const char *bytes, size_t length);

#endif
