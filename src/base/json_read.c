/* json_read.c: a recursive reader of RFC 8259 that checks everything and keeps only what was asked for. In
 * comes one JSON text, out go members of objects, or the place and kind of the first error. It knows nothing
 * of what the members mean; its work is linear in the text and its stack bounded by JSON_DEPTH_MAX. */
#include "json.h"

#include "json_key.h"
#include "json_token.h"
#include "limit.h"

struct reader {
    struct json_cursor cursor;
    struct json_member *members; /* to be filled from the objects at this depth */
    size_t count;
    unsigned depth;
};

static bool read_object(struct reader *reader, unsigned depth);
static bool read_array(struct reader *reader, unsigned depth);

/* depth counts the objects and arrays around the value. */
static bool read_value(struct reader *reader, unsigned depth, enum json_kind *kind, struct buffer *text)
{
    struct json_cursor *cursor = &reader->cursor;
    int next = json_peek(cursor);

    switch (next) {
    case '{':
        *kind = JSON_OBJECT;
        return read_object(reader, depth + 1);
    case '[':
        *kind = JSON_ARRAY;
        return read_array(reader, depth + 1);
    case '"':
        *kind = JSON_STRING;
        return json_read_string(cursor, text, NULL);
    case 't':
        *kind = JSON_TRUE;
        return json_read_word(cursor, "true");
    case 'f':
        *kind = JSON_FALSE;
        return json_read_word(cursor, "false");
    case 'n':
        *kind = JSON_NULL;
        return json_read_word(cursor, "null");
    default:
        if (next != '-' && (next < '0' || next > '9')) {
            return json_fail(cursor, cursor->position, "no value");
        }
        *kind = JSON_NUMBER;
        return json_read_number(cursor, text);
    }
}

/* Enters an object or array and says whether there is anything in it. */
static bool read_opening(struct json_cursor *cursor, unsigned depth, char close, bool *more)
{
    if (depth > JSON_DEPTH_MAX) {
        return json_fail(cursor, cursor->position, "nested too deeply");
    }
    cursor->position++;
    json_skip_space(cursor);
    *more = json_peek(cursor) != close;
    if (!*more) {
        cursor->position++;
    }
    return true;
}

static bool read_separator(struct json_cursor *cursor, char close, bool *more)
{
    json_skip_space(cursor);
    int next = json_peek(cursor);
    if (next != ',' && next != close) {
        return json_fail(cursor, cursor->position,
                         close == '}' ? "neither ',' nor '}'" : "neither ',' nor ']'");
    }
    cursor->position++;
    *more = next == ',';
    if (*more) {
        json_skip_space(cursor);
    }
    return true;
}

/* A key and its colon; its hash joins those of the count keys before it in the same object. */
static bool read_key(struct json_cursor *cursor, struct json_key *key, uint64_t *seen, size_t count)
{
    size_t start = cursor->position;

    if (json_peek(cursor) != '"') {
        return json_fail(cursor, start, "no key");
    }
    if (count == JSON_MEMBERS_MAX) {
        return json_fail(cursor, start, "too many members");
    }
    json_key_start(key);
    if (!json_read_string(cursor, NULL, key)) {
        return false;
    }
    seen[count] = json_key_hash(key);
    for (size_t i = 0; i < count; i++) {
        if (seen[i] == seen[count]) {
            return json_fail(cursor, start, "duplicate key");
        }
    }
    json_skip_space(cursor);
    if (json_peek(cursor) != ':') {
        return json_fail(cursor, cursor->position, "no ':' behind a key");
    }
    cursor->position++;
    json_skip_space(cursor);
    return true;
}

static struct json_member *find_member(const struct reader *reader, const struct json_key *key)
{
    for (size_t i = 0; i < reader->count; i++) {
        if (json_key_is(key, reader->members[i].key)) {
            return &reader->members[i];
        }
    }
    return NULL;
}

static bool read_object(struct reader *reader, unsigned depth)
{
    uint64_t seen[JSON_MEMBERS_MAX];
    bool more;

    if (!read_opening(&reader->cursor, depth, '}', &more)) {
        return false;
    }
    for (size_t count = 0; more; count++) {
        struct json_key key;
        if (!read_key(&reader->cursor, &key, seen, count)) {
            return false;
        }
        struct json_member *wanted = depth == reader->depth ? find_member(reader, &key) : NULL;
        enum json_kind kind;
        if (!read_value(reader, depth, &kind, wanted != NULL ? &wanted->text : NULL)) {
            return false;
        }
        if (wanted != NULL) {
            wanted->kind = kind;
        }
        if (!read_separator(&reader->cursor, '}', &more)) {
            return false;
        }
    }
    return true;
}

static bool read_array(struct reader *reader, unsigned depth)
{
    bool more;

    if (!read_opening(&reader->cursor, depth, ']', &more)) {
        return false;
    }
    while (more) {
        enum json_kind kind;
        if (!read_value(reader, depth, &kind, NULL) || !read_separator(&reader->cursor, ']', &more)) {
            return false;
        }
    }
    return true;
}

static bool read_end(struct json_cursor *cursor)
{
    json_skip_space(cursor);
    return cursor->position == cursor->length || json_fail(cursor, cursor->position, "more behind the value");
}

static void clear_members(struct json_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        members[i].kind = JSON_ABSENT;
        buffer_clear(&members[i].text);
    }
}

bool json_read(const char *bytes, size_t length, struct json_member *members, size_t count,
               enum json_kind *kind, struct buffer *top, const char **why, size_t *at)
{
    struct reader reader = {
        {.bytes = bytes, .length = length}, .members = members, .count = count, .depth = 1};

    clear_members(members, count);
    if (top != NULL) {
        buffer_clear(top);
    }
    json_skip_space(&reader.cursor);
    if (read_value(&reader, 0, kind, top) && read_end(&reader.cursor)) {
        return true;
    }
    *why = reader.cursor.why;
    *at = reader.cursor.position;
    return false;
}

/* One walk over the array; visit is NULL on the first, which only checks. */
static bool walk(struct reader *reader, bool (*visit)(void *, const struct json_member *), void *context)
{
    struct json_cursor *cursor = &reader->cursor;
    enum json_kind kind;
    bool more;

    cursor->position = 0;
    json_skip_space(cursor);
    if (json_peek(cursor) != '[') {
        return json_fail(cursor, cursor->position, "no array");
    }
    if (!read_opening(cursor, 1, ']', &more)) {
        return false;
    }
    while (more) {
        if (json_peek(cursor) != '{') {
            return json_fail(cursor, cursor->position, "no object");
        }
        clear_members(reader->members, reader->count);
        if (!read_value(reader, 1, &kind, NULL)) {
            return false;
        }
        if (visit != NULL && !visit(context, reader->members)) {
            return true;
        }
        if (!read_separator(cursor, ']', &more)) {
            return false;
        }
    }
    return read_end(cursor);
}

bool json_read_array(const char *bytes, size_t length, struct json_member *members, size_t count,
                     bool (*visit)(void *, const struct json_member *), void *context, const char **why,
                     size_t *at)
{
    struct reader reader = {{.bytes = bytes, .length = length}, .depth = 2};
    bool whole = walk(&reader, NULL, NULL);

    if (whole) {
        reader.members = members;
        reader.count = count;
        whole = walk(&reader, visit, context);
    }
    if (!whole) {
        *why = reader.cursor.why;
        *at = reader.cursor.position;
    }
    return whole;
}
