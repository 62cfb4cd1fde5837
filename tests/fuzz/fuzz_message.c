/* fuzz_message.c: whole Message connections. The first byte of an input is the size of the packets that it
 * comes in, the second tells what the rest is: even, the bytes of the connection; odd, lines, each a type
 * (its first byte, a digit) and a body, of which frames are made. Each frame must get its one reply, of a
 * type that its command may answer with, and each reply must be JSON: frames are counted a second time here.
 */
#include "session.h"

#include "json_oracle.h"

enum { ROOM = 1 << 17, HEADER = 8, BODY_MOST = (SESSION_LIMIT + SUBJECT_MAX + NAME_MAX_BYTES) * 6 + 4096 };

struct frames {
    const char *bytes;
    size_t length;
};

static uint32_t number_unpack(const char *bytes)
{
    uint32_t number = 0;
    for (int i = 0; i < 4; i++)
        number = number << 8 | (unsigned char)bytes[i];
    return number;
}

static void number_pack(char *bytes, uint32_t number)
{
    for (int i = 3; i >= 0; i--, number >>= 8)
        bytes[i] = (char)(unsigned char)number;
}

static size_t make_frames(struct recipe *recipe, char *sent)
{
    size_t length = 0;
    while (recipe->left > 0 && length < ROOM - HEADER) {
        const uint8_t *line = recipe->bytes;
        const uint8_t *end = memchr(line, '\n', recipe->left);
        size_t taken = end ? (size_t)(end - line) + 1 : recipe->left;
        size_t body = end ? taken - 1 : taken;
        body -= body > 0;
        if (length + HEADER + body > ROOM)
            break;
        number_pack(sent + length, (uint32_t)(int32_t)(int8_t)(*line - '0'));
        number_pack(sent + length + 4, (uint32_t)body);
        memcpy(sent + length + HEADER, line + 1, body);
        length += HEADER + body;
        *recipe = (struct recipe){recipe->bytes + taken, recipe->left - taken};
    }
    return length;
}

/* True if it is the one reply to a request of that type. */
static bool answers(int32_t reply, int32_t request)
{
    if (reply == -2)
        return true;
    switch (request) {
    case 2:
    case 3:
        return reply == request;
    case 0:
    case 1:
    case 4:
    case 6:
        return reply == 0;
    default:
        return false;
    }
}

static void expect_reply(struct frames *replies, int32_t request)
{
    EXPECT(replies->length >= HEADER);
    int32_t type = (int32_t)number_unpack(replies->bytes);
    size_t length = number_unpack(replies->bytes + 4);
    const char *body = replies->bytes + HEADER;
    EXPECT(answers(type, request) && replies->length - HEADER >= length);
    EXPECT(oracle_accepts(body, length));
    EXPECT(type != -2 || *body == '"');
    EXPECT(type != 0 || (length == 4 && memcmp(body, "\"OK\"", 4) == 0));
    EXPECT(type != 2 || *body == '[');
    EXPECT(type != 3 || *body == '{');
    *replies = (struct frames){body + length, replies->length - HEADER - length};
}

static void expect_replies(struct frames requests, struct frames replies)
{
    while (requests.length >= HEADER) {
        int32_t type = (int32_t)number_unpack(requests.bytes);
        size_t length = number_unpack(requests.bytes + 4);
        bool whole = requests.length - HEADER >= length;
        if (whole && length <= BODY_MOST && type == 5 && replies.length == 0)
            return; /* quit has no reply; with a body that is no JSON it is no quit */
        expect_reply(&replies, length <= BODY_MOST && whole ? type : -1);
        if (length > FRAME_DISCARD_MAX || !whole) {
            requests.length = 0;
            break;
        }
        requests = (struct frames){requests.bytes + HEADER + length, requests.length - HEADER - length};
    }
    if (requests.length > 0)
        expect_reply(&replies, -1); /* the connection ended inside a frame */
    EXPECT(replies.length == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static char sent[ROOM];
    struct recipe recipe = {bytes, length};
    struct frames requests = {sent, 0}, replies;
    size_t piece = recipe_byte(&recipe);
    if (recipe_byte(&recipe) % 2 == 1) {
        requests.length = make_frames(&recipe, sent);
    } else {
        requests.length = recipe.left < ROOM ? recipe.left : ROOM;
        memcpy(sent, recipe.bytes, requests.length);
    }
    if (requests.length > 0 && sent[0] != '\0')
        return 0; /* it speaks SMSP, or nothing */
    replies.length = session_serve(requests.bytes, requests.length, piece, &replies.bytes);
    expect_replies(requests, replies);
    return 0;
}
