/* fuzz_smsp.c: whole SMSP connections. The first byte of an input is the size of the packets that it comes
 * in; then 0x01 and 0x02 stand for the cookies of alice and bob, 0x03 for the one that the first login or
 * registration will give, all else for itself. The replies must be one frame for each request, in order, with
 * right sums, and of the shape that its verb has: the requests are taken to pieces a second time here. */
#include "session.h"

enum { ROOM = 1 << 17 };

struct text {
    const char *bytes;
    size_t length;
};

static bool starts(struct text text, const char *with)
{
    return text.length >= strlen(with) && memcmp(text.bytes, with, strlen(with)) == 0;
}

/* The next piece up to the terminator. False: there is none. */
static bool next(struct text *rest, char terminator, struct text *piece)
{
    const char *end = rest->length > 0 ? memchr(rest->bytes, terminator, rest->length) : NULL;
    if (!end)
        return false;
    *piece = (struct text){rest->bytes, (size_t)(end - rest->bytes)};
    *rest = (struct text){end + 1, rest->length - piece->length - 1};
    return true;
}

/* Digits and a space at the start. */
static bool cut_number(struct text *text, uint64_t *number)
{
    size_t at = 0;
    *number = 0;
    while (at < text->length && text->bytes[at] >= '0' && text->bytes[at] <= '9')
        *number = *number * 10 + (uint64_t)(text->bytes[at++] - '0');
    if (at == 0 || at == text->length || text->bytes[at] != ' ')
        return false;
    *text = (struct text){text->bytes + at + 1, text->length - at - 1};
    return true;
}

static uint64_t number_behind(struct text text, size_t skip)
{
    uint64_t number = 0;
    EXPECT(text.length > skip);
    for (size_t i = skip; i < text.length; i++) {
        EXPECT(text.bytes[i] >= '0' && text.bytes[i] <= '9');
        number = number * 10 + (uint64_t)(text.bytes[i] - '0');
    }
    return number;
}

static bool is_word(struct text text, const char *word)
{
    return text.length == strlen(word) && starts(text, word);
}

/* A reply of the dialect: one frame, whose sum is right. */
static struct text unwrap_sum(struct text reply)
{
    uint64_t sum, real = 0;
    EXPECT(cut_number(&reply, &sum));
    for (size_t i = 0; i < reply.length; i++)
        real += (unsigned char)reply.bytes[i];
    EXPECT(sum == real % 13 % 17);
    return reply;
}

static void take_list(struct text reply, struct text *replies, char terminator)
{
    struct text line;
    uint64_t number;
    for (uint64_t left = number_behind(reply, 3); left > 0; left--) {
        EXPECT(next(replies, terminator, &line));
        EXPECT(cut_number(&line, &number) && number > 0 && cut_number(&line, &number) &&
               cut_number(&line, &number));
    }
}

/* True if the connection ends with this one. */
static bool expect_reply(struct text request, struct text *replies, char terminator)
{
    struct text reply, bare = request;
    uint64_t number;
    EXPECT(next(replies, terminator, &reply));
    if (terminator == '\0' && cut_number(&bare, &number)) {
        reply = unwrap_sum(reply);
        request = (struct text){"", 0};
    }
    EXPECT(reply.length > 0 || starts(request, "GETMSG "));
    if (is_word(reply, "KO"))
        return false;
    if (starts(request, "FETCH ")) {
        EXPECT(starts(reply, "OK "));
        number = number_behind(reply, 3);
        EXPECT(replies->length > number && replies->bytes[number] == terminator);
        *replies = (struct text){replies->bytes + number + 1, replies->length - number - 1};
    } else if (starts(request, "LIST ")) {
        EXPECT(starts(reply, "OK "));
        take_list(reply, replies, terminator);
    } else if (starts(request, "COUNT ") || starts(request, "WAIT ")) {
        EXPECT(starts(reply, "COUNTED "));
        (void)number_behind(reply, 8);
    } else if (!starts(request, "GETMSG ") && request.length > 0) {
        EXPECT(starts(reply, "OK") || is_word(reply, "You should log in first."));
    }
    return is_word(request, "QUIT");
}

static void expect_replies(struct text requests, struct text replies)
{
    struct text request;
    const char *line = requests.length > 0 ? memchr(requests.bytes, '\n', requests.length) : NULL;
    const char *nul = requests.length > 0 ? memchr(requests.bytes, '\0', requests.length) : NULL;
    char terminator = nul && (!line || nul < line) ? '\0' : '\n';
    bool over = requests.length == 0 || !strchr("\r\n", requests.bytes[0]);
    over = over && (requests.length == 0 || requests.bytes[0] < ' ' || requests.bytes[0] > '~');
    while (!over && next(&requests, terminator, &request)) {
        if (terminator == '\n' && request.length > 0 && request.bytes[request.length - 1] == '\r')
            request.length--;
        over = expect_reply(request, &replies, terminator);
    }
    EXPECT(replies.length == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static char sent[ROOM];
    struct recipe recipe = {bytes, length};
    struct text requests = {sent, 0}, replies;
    if (!office.store)
        session_begin();
    size_t piece = recipe_byte(&recipe);
    while (recipe.left > 0 && requests.length < ROOM - COOKIE_TEXT) {
        uint8_t byte = recipe_byte(&recipe);
        if (byte >= 1 && byte <= 3) {
            memcpy(sent + requests.length, session_cookies[byte - 1].text, COOKIE_TEXT);
            requests.length += COOKIE_TEXT;
        } else {
            sent[requests.length++] = (char)byte;
        }
    }
    replies.length = session_serve(requests.bytes, requests.length, piece, &replies.bytes);
    if (requests.length > 0 && requests.bytes[0] != '\0') /* else it speaks Message */
        expect_replies(requests, replies);
    return 0;
}
