/* test_message_bad.c: what the Message protocol says to requests that are wrong, too long or too much for the
 * post office, and that the connection is in step after each. */
#include "message_client.h"

/* Of settings.message_limit, 1000 bytes; before an entry. */
enum { FRAME_LIMIT_HERE = 6 * (1000 + 4096 + 254) + 4096, ENTRY_LIMIT = 6 * (254 + 256) + 4096 };

static struct client entered_client(void)
{
    struct client client = connect_client();

    ASK_OK(client, ENTRY, "{\"name\": \"a@b.c\"}");
    return client;
}

static void in_step(struct client client)
{
    ASK(client, MAILBOX, "null", MAILBOX, "[]");
}

static void unknown_types(void)
{
    struct client client = entered_client();

    ASK_ERROR(client, 7, "null", "\"Unknown command type 7\"");
    ASK_ERROR(client, -1, "", "\"Unknown command type -1\"");
    ASK_ERROR(client, INT32_MIN, "\xFF", "\"Unknown command type -2147483648\"");
    ASK_ERROR(client, 0x41424344, "{", "\"Unknown command type 1094861636\"");
    in_step(client);
}

static void malformed_json(void)
{
    static const struct {
        const char *body, *error;
    } rows[] = {
        {"", "no value at byte 0"},
        {" ", "no value at byte 1"},
        {"nul", "unknown word at byte 0"},
        {"null null", "more behind the value at byte 5"},
        {"{\"index\": 1", "neither ',' nor '}' at byte 11"},
        {"{\"index\": 1,}", "no key at byte 12"},
        {"{\"index\" 1}", "no ':' behind a key at byte 9"},
        {"{'index': 1}", "no key at byte 1"},
        {"{\"index\": 01}", "neither ',' nor '}' at byte 11"},
        {"{\"index\": +1}", "no value at byte 10"},
        {"{\"index\": 1.}", "number without digits behind its point at byte 12"},
        {"{\"index\": \"1}", "string without its closing quote at byte 13"},
        {"{\"index\": \"\\x\"}", "unknown escape at byte 11"},
        {"{\"index\": \"\\ud800\"}", "lone surrogate at byte 11"},
        {"{\"index\": \"\\udc00\"}", "lone surrogate at byte 11"},
        {"{\"index\": \"\\u12g4\"}", "\\\\u without four hex digits at byte 11"},
        {"{\"index\": \"\n\"}", "control character in a string at byte 11"},
        {"{\"index\": 1, \"index\": 2}", "duplicate key at byte 13"},
        {"{\"index\": 1, \"\\u0069ndex\": 2}", "duplicate key at byte 13"},
        {"{\"index\": 1, \"x\": {\"y\": 1, \"y\": 2}}", "duplicate key at byte 27"},
        {"{\"index\": \"\xFF\"}", "not UTF-8 at byte 11"},
        {"{\"index\": \"\xC0\xB1\"}", "not UTF-8 at byte 11"},
        {"{\"index\": \"\xED\xA0\x80\"}", "not UTF-8 at byte 11"},
        {"{\"index\": \"\xF4\x90\x80\x80\"}", "not UTF-8 at byte 11"},
        {"{\"index\": \"\xE2\x82\"}", "not UTF-8 at byte 11"},
        {"\xEF\xBB\xBF{\"index\": 1}", "no value at byte 0"},
    };
    struct client client = entered_client();
    char error[128];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(error, sizeof error, "\"Malformed JSON: %s\"", rows[i].error);
        ASK_ERROR(client, OPEN, rows[i].body, error);
    }
    ASK_ERROR(client, QUIT, "", "\"Malformed JSON: no value at byte 0\"");
    in_step(client);
}

static void deep_json(void)
{
    struct client client = entered_client();
    char body[256];

    memset(body, '[', 33);
    body[33] = '\0';
    ASK_ERROR(client, MAILBOX, body, "\"Malformed JSON: nested too deeply at byte 32\"");
    for (size_t i = 0; i < 32; i++)
        body[32 + i] = ']';
    body[64] = '\0';
    ASK(client, MAILBOX, body, MAILBOX, "[]");
}

static void nul_in_a_body(void)
{
    struct client client = entered_client();

    send_header(client, OPEN, 5);
    send_bytes(client, "null", 5);
    EXPECT_REPLY(client, ERROR, "\"Malformed JSON: more behind the value at byte 4\"");
    in_step(client);
}

static void wrong_shapes(void)
{
    static const struct {
        int32_t type;
        const char *body, *error;
    } rows[] = {
        {ENTRY, "null", "The body must be an object"},
        {ENTRY, "\"a@b.c\"", "The body must be an object"},
        {ENTRY, "[{\"name\": \"a@b.c\"}]", "The body must be an object"},
        {ENTRY, "{}", "Member name is missing"},
        {ENTRY, "{\"Name\": \"a@b.c\"}", "Member name is missing"},
        {ENTRY, "{\"x\": {\"name\": \"a@b.c\"}}", "Member name is missing"},
        {ENTRY, "{\"name\": null}", "Member name must be a string"},
        {ENTRY, "{\"name\": 1}", "Member name must be a string"},
        {ENTRY, "{\"name\": [\"a@b.c\"]}", "Member name must be a string"},
        {SEND, "{\"header\": \"\", \"text\": \"\"}", "Member to is missing"},
        {SEND, "{\"to\": \"a@b.c\", \"text\": \"\"}", "Member header is missing"},
        {SEND, "{\"to\": \"a@b.c\", \"header\": \"\"}", "Member text is missing"},
        {SEND, "{\"to\": \"a@b.c\", \"header\": false, \"text\": \"\"}", "Member header must be a string"},
        {SEND, "{\"to\": \"a@b.c\", \"header\": \"\", \"text\": {}}", "Member text must be a string"},
        {SEND, "{\"to\": \"a@b.c\", \"header\": \"\\u0000\", \"text\": \"\"}",
         "Member header contains U+0000"},
        {SEND, "{\"to\": \"a@b.c\", \"header\": \"\", \"text\": \"a\\u0000b\"}",
         "Member text contains U+0000"},
        {SEND, "{\"to\": \"nobody@b.c\", \"header\": \"\", \"text\": \"\"}", "Invalid destination address"},
        {SEND, "{\"to\": \"a\", \"header\": \"\", \"text\": \"\"}", "Invalid destination address"},
        {SEND, "{\"to\": \"\", \"header\": \"\", \"text\": \"\"}", "Invalid destination address"},
        {OPEN, "null", "The body must be an object"},
        {OPEN, "{}", "Member index is missing"},
        {DEL, "[]", "The body must be an object"},
        {DEL, "{\"indexes\": 1}", "Member index is missing"},
        {WAIT, "{\"count\": 1}", "Member timeout is missing"},
        {WAIT, "{\"timeout\": 1}", "Member count is missing"},
        {WAIT, "{\"count\": -1, \"timeout\": 0}", "Member count must be a whole number from 0 to 4294967295"},
        {WAIT, "{\"count\": \"-0\", \"timeout\": 0}",
         "Member count must be a whole number from 0 to 4294967295"},
        {WAIT, "{\"count\": 1, \"timeout\": 86401}", "Member timeout must be a whole number from 0 to 86400"},
        {WAIT, "{\"count\": \"x\", \"timeout\": 0}",
         "Member count must be a whole number from 0 to 4294967295"},
        {WAIT, "{\"count\": 1, \"timeout\": 0.5}",
         "Member timeout must be a whole number or a string of digits"},
        {WAIT, "{\"count\": 1, \"timeout\": null}",
         "Member timeout must be a whole number or a string of digits"},
    };
    struct client client = entered_client();
    char error[128];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(error, sizeof error, "\"%s\"", rows[i].error);
        ASK_ERROR(client, rows[i].type, rows[i].body, error);
    }
    in_step(client);
}

/* A send whose header and text have so many characters, each written as escape. */
static void send_long(struct client client, const char *to, size_t header, size_t text, const char *escape)
{
    static char body[FRAME_LIMIT_HERE + 64];
    size_t length = (size_t)snprintf(body, sizeof body, "{\"to\": \"%s\", \"header\": \"", to);

    for (size_t i = 0; i < header; i++)
        length += (size_t)snprintf(body + length, sizeof body - length, "%s", escape);
    length += (size_t)snprintf(body + length, sizeof body - length, "\", \"text\": \"");
    for (size_t i = 0; i < text; i++)
        length += (size_t)snprintf(body + length, sizeof body - length, "%s", escape);
    snprintf(body + length, sizeof body - length, "\"}");
    send_frame(client, SEND, body);
}

static void limits_of_texts(void)
{
    struct client client = entered_client();

    send_long(client, "a@b.c", 4097, 1000, "x");
    EXPECT_REPLY(client, ERROR, "\"Member header is over the limit of 4096 bytes\"");
    send_long(client, "a@b.c", 4096, 1001, "x");
    EXPECT_REPLY(client, ERROR, "\"Member text is over the limit of 1000 bytes\"");
    send_long(client, "nobody@b.c", 4096, 1001, "x"); /* the limit comes before the address */
    EXPECT_REPLY(client, ERROR, "\"Member text is over the limit of 1000 bytes\"");
    send_long(client, "a@b.c", 0, 501, "\xC3\xA9");
    EXPECT_REPLY(client, ERROR, "\"Member text is over the limit of 1000 bytes\"");
    in_step(client);
    send_long(client, "a@b.c", 4096, 1000, "\\u0078");
    EXPECT_OK(client);
    send_long(client, "a@b.c", 2048, 500, "\\u00e9");
    EXPECT_OK(client);
}

static void body_over_its_limit(void)
{
    struct client client = entered_client();
    char piece[1024], error[128];

    snprintf(error, sizeof error, "\"A body of %d bytes is over the limit of %d bytes\"",
             FRAME_LIMIT_HERE + 1, FRAME_LIMIT_HERE);
    memset(piece, '\0', sizeof piece); /* frames, if it were not passed over */
    send_header(client, SEND, FRAME_LIMIT_HERE + 1);
    EXPECT_REPLY(client, ERROR, error); /* at once: nothing of the body was sent */
    for (size_t left = FRAME_LIMIT_HERE + 1; left > 0;) {
        size_t length = left < sizeof piece ? left : sizeof piece;
        send_bytes(client, piece, length);
        left -= length;
    }
    in_step(client);

    send_header(client, 99, 64 << 20);
    snprintf(error, sizeof error, "\"A body of %d bytes is over the limit of %d bytes\"", 64 << 20,
             FRAME_LIMIT_HERE);
    EXPECT_REPLY(client, ERROR, error);
    for (size_t i = 0; i < (64 << 20) / sizeof piece; i++)
        send_bytes(client, piece, sizeof piece);
    in_step(client);
}

static void body_at_its_limit(void)
{
    static char body[FRAME_LIMIT_HERE + 1];
    struct client client = entered_client();

    memset(body, ' ', FRAME_LIMIT_HERE);
    memcpy(body, "null", 4);
    ASK(client, MAILBOX, body, MAILBOX, "[]");
}

static size_t memory_of(struct client client)
{
    char path[64], line[128];
    size_t kibibytes = 0;

    snprintf(path, sizeof path, "/proc/%d/status", (int)client.server);
    FILE *file = fopen(path, "r");
    EXPECT(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "RssAnon:", 8) == 0) {
            kibibytes = strtoul(line + 8, NULL, 10);
        }
    }
    EXPECT_EQ(fclose(file), 0);
    return kibibytes << 10;
}

static void send_blanks(struct client client, size_t length)
{
    static char piece[1 << 16];

    memset(piece, ' ', sizeof piece);
    for (; length > 0; length -= length < sizeof piece ? length : sizeof piece)
        send_bytes(client, piece, length < sizeof piece ? length : sizeof piece);
}

static void nobody_holds_memory_before_an_entry(void)
{
    enum { LONG = 50 << 20 };
    static const int32_t types[] = {SEND, MAILBOX, 99};
    settings.message_limit = 10 << 20;
    struct client client = connect_client();
    char error[128];

    ASK_ERROR(client, MAILBOX, "null", LOG_IN_FIRST);
    size_t before = memory_of(client);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        send_header(client, types[i], LONG);
        send_blanks(client, LONG - 4);
        EXPECT(memory_of(client) < before + (4 << 20));
        send_bytes(client, "null", 4);
        EXPECT_REPLY(client, ERROR, LOG_IN_FIRST);
    }
    snprintf(error, sizeof error, "\"A body of %d bytes is over the limit of %d bytes\"", ENTRY_LIMIT + 1,
             ENTRY_LIMIT);
    for (int32_t type = ENTRY; type <= QUIT; type += QUIT - ENTRY) {
        send_header(client, type, ENTRY_LIMIT + 1);
        EXPECT_REPLY(client, ERROR, error);
        send_blanks(client, ENTRY_LIMIT + 1);
    }
    send_header(client, SEND, ENTRY_LIMIT);
    send_blanks(client, ENTRY_LIMIT);
    EXPECT_REPLY(client, ERROR, LOG_IN_FIRST);
    send_header(client, ENTRY, ENTRY_LIMIT);
    send_bytes(client, "{\"name\": \"a@b.c\"}", 17);
    send_blanks(client, ENTRY_LIMIT - 17);
    EXPECT_OK(client);
    send_header(client, MAILBOX, LONG);
    send_bytes(client, "null", 4);
    send_blanks(client, LONG - 4);
    EXPECT_REPLY(client, MAILBOX, "[]");
}

static void lost_framing(void)
{
    static const uint32_t lengths[] = {(64u << 20) + 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct client client = connect_client();
        char error[128];
        snprintf(error, sizeof error, "\"A body of %u bytes is over the limit of %d bytes, closing\"",
                 lengths[i], ENTRY_LIMIT);
        send_header(client, ENTRY, lengths[i]);
        EXPECT_REPLY(client, ERROR, error);
        expect_closed(client);
    }
}

static void end_inside_a_discarded_body(void)
{
    struct client client = connect_client();
    char error[128];

    snprintf(error, sizeof error, "\"A body of %d bytes is over the limit of %d bytes\"", 1 << 20,
             ENTRY_LIMIT);
    send_header(client, ENTRY, 1 << 20);
    send_bytes(client, "null", 4);
    EXPECT_EQ(shutdown(client.socket, SHUT_WR), 0);
    EXPECT_REPLY(client, ERROR, error);
    expect_closed(client);
}

static void full_post_office(void)
{
    settings.message_limit = 1 << 20;
    open_store(8 << 20);
    struct client client = entered_client();
    static char body[(1 << 19) + 128], received[REPLY_MAX + 1];
    int sent = 0;

    memset(body, 'x', sizeof body);
    memcpy(body, "{\"to\": \"a@b.c\", \"header\": \"\", \"text\": \"", 39);
    memcpy(body + sizeof body - 3, "\"}", 3);
    for (;;) {
        send_frame(client, SEND, body);
        if (receive(client, received) != 0)
            break;
        sent++;
    }
    EXPECT_STR(received, "\"the post office is full\"");
    EXPECT(sent > 0);
    EXPECT_EQ(store_check(store, NULL, NULL), 0);
    ASK_OK(client, DEL, "{\"index\": 1}");
    ASK_OK(client, SEND, body);
}

static void full_accounts(void)
{
    struct client client = connect_client();
    char body[64], received[REPLY_MAX + 1];
    int made = 0;

    do {
        snprintf(body, sizeof body, "{\"name\": \"a%d@b.c\"}", made++);
        send_frame(client, ENTRY, body);
    } while (receive(client, received) == 0);
    EXPECT_STR(received, "\"no room for another account\"");
    EXPECT_EQ(made, 101);
    in_step(client); /* still entered as the last one */
}

static const struct harness_test tests[] = {
    {"a type that nobody knows is an error", unknown_types},
    {"a body that is no JSON is an error that says where", malformed_json},
    {"arrays and objects are at most 32 deep", deep_json},
    {"a NUL does not end a body", nul_in_a_body},
    {"a member that is missing or wrong is named", wrong_shapes},
    {"a text over its limit is an error, however it is escaped", limits_of_texts},
    {"a body over its limit is refused at once and passed over", body_over_its_limit},
    {"a body may be as long as its limit", body_at_its_limit},
    {"nobody holds memory before an entry", nobody_holds_memory_before_an_entry},
    {"a length that can be none ends the connection with a reason", lost_framing},
    {"an end inside a body that is passed over is quiet", end_inside_a_discarded_body},
    {"a full post office is an error of one request", full_post_office},
    {"a full table of accounts is an error of one request", full_accounts},
};

HARNESS_MAIN(tests)
