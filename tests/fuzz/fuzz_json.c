/* fuzz_json.c: any bytes are read as one JSON text. The verdict must be that of a second, simple reader; what
 * was read must be the same after it was written and read again; both walks of the reader must agree. */
#include "fuzz.h"

#include "json.h"
#include "json_oracle.h"

enum { WANTED = 3 };

static const char *const keys[WANTED] = {"a", "to", ""};

static void expect_same(const struct buffer *left, const struct buffer *right)
{
    EXPECT(left->length == right->length);
    EXPECT(left->length == 0 || memcmp(left->bytes, right->bytes, left->length) == 0);
}

/* A decoded text, written as a string, reads back as itself. */
static void expect_survives(const struct buffer *text)
{
    struct buffer written = {0}, again = {0};
    enum json_kind kind;
    const char *why;
    size_t at;
    EXPECT(json_write_string(&written, text->bytes, text->length));
    EXPECT(oracle_accepts(written.bytes, written.length));
    EXPECT(json_read(written.bytes, written.length, NULL, 0, &kind, &again, &why, &at));
    EXPECT(kind == JSON_STRING);
    expect_same(text, &again);
    buffer_free(&written);
    buffer_free(&again);
}

/* Written in two pieces it is the same, wherever it was cut; any bytes may be written. */
static void expect_writes_in_pieces(const uint8_t *bytes, size_t length)
{
    struct buffer whole = {0}, pieces = {0};
    struct json_carry carry = {.length = 0};
    size_t cut = length > 0 ? bytes[0] % (length + 1) : 0;
    const char *text = (const char *)bytes;
    EXPECT(json_write_string(&whole, text, length) && oracle_accepts(whole.bytes, whole.length));
    EXPECT(buffer_append_byte(&pieces, '"') && json_write_text(&pieces, text, cut, &carry, false) &&
           json_write_text(&pieces, text + cut, length - cut, &carry, true) &&
           buffer_append_byte(&pieces, '"'));
    expect_same(&whole, &pieces);
    buffer_free(&whole);
    buffer_free(&pieces);
}

static bool count_object(void *count, const struct json_member *members)
{
    (void)members;
    ++*(size_t *)count;
    return true;
}

/* An array of objects is accepted by the walk if and only if the reader accepts it, and it is one. */
static void expect_walks(const uint8_t *bytes, size_t length, bool accepted)
{
    struct json_member member = {.key = keys[0]};
    size_t count = 0, at = 0;
    const char *why = NULL;
    bool walked = json_read_array((const char *)bytes, length, &member, 1, count_object, &count, &why, &at);
    EXPECT(walked || (why != NULL && at <= length && count == 0));
    EXPECT(!walked || accepted);
    buffer_free(&member.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct json_member members[WANTED] = {0};
    struct buffer top = {0};
    enum json_kind kind = JSON_ABSENT;
    const char *why = NULL;
    size_t at = 0;
    /* A copy of its own length, so that a byte read beyond is seen. */
    char *text = malloc(length > 0 ? length : 1);
    EXPECT(text != NULL);
    memcpy(text, bytes, length);
    for (size_t i = 0; i < WANTED; i++)
        members[i].key = keys[i];
    bool accepted = json_read(text, length, members, WANTED, &kind, &top, &why, &at);
    EXPECT(accepted == oracle_accepts(text, length));
    EXPECT(accepted || (why != NULL && at <= length));
    for (size_t i = 0; accepted && i < WANTED; i++) {
        EXPECT(kind == JSON_OBJECT || members[i].kind == JSON_ABSENT);
        if (members[i].kind == JSON_STRING)
            expect_survives(&members[i].text);
        else if (members[i].kind == JSON_NUMBER)
            EXPECT(oracle_accepts(members[i].text.bytes, members[i].text.length));
    }
    if (accepted && kind == JSON_STRING)
        expect_survives(&top);
    expect_walks(bytes, length, accepted);
    expect_writes_in_pieces(bytes, length);
    for (size_t i = 0; i < WANTED; i++)
        buffer_free(&members[i].text);
    buffer_free(&top);
    free(text);
    return 0;
}
