/* test_message.c: whole sessions of the Message protocol: every command, its replies byte for byte, and the
 * mail that it moves. */
#include "message_client.h"

#define MAIL(id, source, destination, header, text)                                       \
    "{\"id\": " id ", \"source\": \"" source "\", \"destination\": \"" destination "\", " \
    "\"header\": \"" header "\", \"text\": \"" text "\"}"

static void seed_transcript(void)
{
    struct client first = connect_client(), second = connect_client();

    ASK_OK(first, ENTRY, "{\"name\": \"test1@mail.ru\"}");
    ASK_OK(second, ENTRY, "{\"name\": \"test2@email.tu\"}");
    ASK_OK(second, SEND, "{\"to\": \"test1@mail.ru\", \"header\": \"test header\", \"text\": \"some text\"}");
    ASK_ERROR(first, SEND, "{\"to\": \"test2@email.ru\", \"header\": \"header\", \"text\": \"hello\"}",
              "\"Invalid destination address\"");
    ASK_OK(first, SEND, "{\"to\": \"test2@email.tu\", \"header\": \"hello\", \"text\": \"world\"}");
    ASK(second, MAILBOX, "null", MAILBOX,
        "[" MAIL("1", "test1@mail.ru", "test2@email.tu", "hello", "world") "]");
    ASK(first, MAILBOX, "null", MAILBOX,
        "[" MAIL("1", "test2@email.tu", "test1@mail.ru", "test header", "some text") "]");
    send_frame(second, QUIT, "null");
    expect_closed(second);
    send_frame(first, QUIT, "null");
    expect_closed(first);
}

static void frames_of_the_manual(void)
{
    static const char requests[] = "\0\0\0\0\0\0\0\31{\"name\": \"test1@mail.ru\"}"
                                   "\0\0\0\2\0\0\0\4null"
                                   "\0\0\0\3\0\0\0\16{\"index\": \"1\"}"
                                   "\0\0\0\5\0\0\0\4null";
    static const char replies[] = "\0\0\0\0\0\0\0\4\"OK\""
                                  "\0\0\0\2\0\0\0\2[]"
                                  "\377\377\377\376\0\0\0\45\"Mail with such index does not exist\"";
    struct client client = connect_client();
    char received[sizeof replies];

    send_bytes(client, requests, sizeof requests - 1);
    EXPECT_EQ(recv(client.socket, received, sizeof received, MSG_WAITALL), sizeof replies - 1);
    EXPECT(memcmp(received, replies, sizeof replies - 1) == 0);
}

static void open_and_delete(void)
{
    struct client client = connect_client();

    ASK_OK(client, ENTRY, "{\"name\": \"a@b.c\"}");
    ASK(client, MAILBOX, "null", MAILBOX, "[]");
    ASK_OK(client, SEND, "{\"to\": \"a@b.c\", \"header\": \"one\", \"text\": \"1\"}");
    ASK_OK(client, SEND, "{\"text\": \"2\", \"header\": \"two\", \"more\": [{}, null], \"to\": \"A@b.C\"}");
    ASK_OK(client, SEND, "{\"to\": \"a@b.c\", \"header\": \"\", \"text\": \"\"}");
    ASK(client, OPEN, "{\"index\": \"2\"}", OPEN, MAIL("2", "a@b.c", "a@b.c", "two", "2"));
    ASK(client, OPEN, "{\"index\": 3}", OPEN, MAIL("3", "a@b.c", "a@b.c", "", ""));
    ASK_OK(client, DEL, "{\"index\": 3}");
    ASK_OK(client, DEL, "{\"index\": \"1\"}");
    ASK_ERROR(client, DEL, "{\"index\": \"1\"}", NO_SUCH_MAIL);
    ASK_ERROR(client, OPEN, "{\"index\": 1}", NO_SUCH_MAIL);
    ASK_OK(client, SEND, "{\"to\": \"a@b.c\", \"header\": \"four\", \"text\": \"4\"}");
    ASK(client, MAILBOX, "null", MAILBOX,
        "[" MAIL("2", "a@b.c", "a@b.c", "two", "2") ", " MAIL("4", "a@b.c", "a@b.c", "four", "4") "]");
}

static void forms_of_an_index(void)
{
    static const char *const right[] = {"1", "\"1\"", "\"001\"", "\"\\u0031\""};
    static const char *const none[] = {"0",
                                       "-0",
                                       "-1",
                                       "2",
                                       "18446744073709551616",
                                       "\"0\"",
                                       "\"\"",
                                       "\"-1\"",
                                       "\"1 \"",
                                       "\"one\"",
                                       "\"1.0\"",
                                       "\"1\\u0000\"",
                                       "\"18446744073709551617\""};
    static const char *const wrong[] = {"1.0", "1e0", "1E0", "-1.5", "null", "true", "[1]", "{}"};
    struct client client = connect_client();
    char body[64];

    ASK_OK(client, ENTRY, "{\"name\": \"a@b.c\"}");
    ASK_OK(client, SEND, "{\"to\": \"a@b.c\", \"header\": \"h\", \"text\": \"t\"}");
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        snprintf(body, sizeof body, "{\"index\": %s}", right[i]);
        ASK(client, OPEN, body, OPEN, MAIL("1", "a@b.c", "a@b.c", "h", "t"));
    }
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        snprintf(body, sizeof body, "{\"index\": %s}", none[i]);
        ASK_ERROR(client, OPEN, body, NO_SUCH_MAIL);
        ASK_ERROR(client, DEL, body, NO_SUCH_MAIL);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(body, sizeof body, "{\"index\": %s}", wrong[i]);
        ASK_ERROR(client, DEL, body, "\"Member index must be a whole number or a string of digits\"");
    }
    ASK_OK(client, DEL, "{\"index\": \"1\"}");
}

static void characters(void)
{
    struct client client = connect_client();

    ASK_OK(client, ENTRY,
           "{\"name\": \"\\u0438\\u043c\\u044f@\xD0\xBF\xD0\xBE\xD1\x87\xD1\x82\xD0\xB0.\xD1\x80\xD1\x84\"}");
    ASK_OK(client, SEND,
           "{\"to\": \"\xD0\xB8\xD0\xBC\xD1\x8F@\xD0\xBF\xD0\xBE\xD1\x87\xD1\x82\xD0\xB0.\xD1\x80\xD1\x84\", "
           "\"header\": \"\\u041f\\u0440\\u0438\\u0432\\u0435\\u0442 \\ud83d\\ude00\", "
           "\"text\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f \xF0\x9F\x98\x80\"}");
    ASK(client, OPEN, "{\"index\": 1}", OPEN,
        MAIL("1", "\xD0\xB8\xD0\xBC\xD1\x8F@\xD0\xBF\xD0\xBE\xD1\x87\xD1\x82\xD0\xB0.\xD1\x80\xD1\x84",
             "\xD0\xB8\xD0\xBC\xD1\x8F@\xD0\xBF\xD0\xBE\xD1\x87\xD1\x82\xD0\xB0.\xD1\x80\xD1\x84",
             "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82 \xF0\x9F\x98\x80",
             "\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7F \xF0\x9F\x98\x80"));
}

static void before_entry(void)
{
    struct client client = connect_client();

    ASK_ERROR(client, SEND, "{\"to\": \"a@b.c\", \"header\": \"\", \"text\": \"\"}", LOG_IN_FIRST);
    ASK_ERROR(client, SEND, "no JSON", LOG_IN_FIRST);
    ASK_ERROR(client, MAILBOX, "null", LOG_IN_FIRST);
    ASK_ERROR(client, OPEN, "{\"index\": \"1\"}", LOG_IN_FIRST);
    ASK_ERROR(client, DEL, "{\"index\": \"1\"}", LOG_IN_FIRST);
    ASK_ERROR(client, WAIT, "{\"count\": 0, \"timeout\": 0}", LOG_IN_FIRST);
    ASK_ERROR(client, 7, "null", LOG_IN_FIRST);
    send_frame(client, QUIT, "null");
    expect_closed(client);
}

static void pipelining(void)
{
    enum { REQUESTS = 3000 };
    static char requests[REQUESTS * 40], body[40];
    struct client client = connect_client();
    size_t length = 0;

    ASK_OK(client, ENTRY, "{\"name\": \"a@b.c\"}");
    for (int i = 1; i <= REQUESTS; i++) {
        snprintf(body, sizeof body, "{\"unknown\": %d}", i);
        length += pack(requests + length, sizeof requests - length, 1000 + i, body);
    }
    pid_t writer = fork(); /* replies fill the socket while requests still go in */
    EXPECT(writer >= 0);
    if (writer == 0) {
        for (size_t done = 0; done < length;) {
            ssize_t sent = send(client.socket, requests + done, length - done, MSG_NOSIGNAL);
            EXPECT(sent > 0);
            done += (size_t)sent;
        }
        _exit(0);
    }
    for (int i = 1; i <= REQUESTS; i++) {
        char expected[64];
        char received[64] = "";
        uint32_t header[2];
        int size = snprintf(expected, sizeof expected, "\"Unknown command type %d\"", 1000 + i);
        EXPECT_EQ(recv(client.socket, header, sizeof header, MSG_WAITALL), sizeof header);
        EXPECT_EQ(ntohl(header[1]), size);
        EXPECT_EQ(recv(client.socket, received, (size_t)size, MSG_WAITALL), size);
        EXPECT_STR(received, expected);
    }
    EXPECT_EQ(waitpid(writer, NULL, 0), writer);
}

static void batches(void)
{
    struct client client = connect_by(SOCK_SEQPACKET);
    char requests[512], replies[512];
    size_t length = pack(requests, sizeof requests, ENTRY, "{\"name\": \"a@b.c\"}");

    length += pack(requests + length, sizeof requests - length, MAILBOX, "null");
    length += pack(requests + length, sizeof requests - length, OPEN, "{\"index\": 1}");
    size_t expected = pack(replies, sizeof replies, 0, "\"OK\"");
    expected += pack(replies + expected, sizeof replies - expected, MAILBOX, "[]");
    expected += pack(replies + expected, sizeof replies - expected, ERROR, NO_SUCH_MAIL);
    send_bytes(client, requests, length);
    EXPECT_EQ(recv(client.socket, requests, sizeof requests, 0), expected);
    EXPECT(memcmp(requests, replies, expected) == 0);

    /* A long one too, which the published client must find whole. */
    static char text[400], frame[1024];
    memset(text, 'x', sizeof text);
    snprintf(requests, sizeof requests, "{\"to\": \"a@b.c\", \"header\": \"\", \"text\": \"%.400s\"}", text);
    send_bytes(client, frame, pack(frame, sizeof frame, SEND, requests));
    EXPECT_EQ(recv(client.socket, replies, sizeof replies, 0), 12);
    send_bytes(client, frame, pack(frame, sizeof frame, MAILBOX, "null"));
    ssize_t got = recv(client.socket, frame, sizeof frame, 0);
    EXPECT(got > 400);
    EXPECT_EQ(frame[got - 1], ']');
}

static void split_frames(void)
{
    struct client client = connect_client();
    char frames[256];
    size_t length = pack(frames, sizeof frames, ENTRY, "{\"name\": \"a@b.c\"}");

    length += pack(frames + length, sizeof frames - length, MAILBOX, "null");
    for (size_t cut = 1; cut < length; cut++) {
        send_bytes(client, frames, cut);
        struct pollfd poll_in = {.fd = client.socket, .events = POLLIN};
        if (cut < 8 + strlen("{\"name\": \"a@b.c\"}"))
            EXPECT_EQ(poll(&poll_in, 1, 1), 0);
        send_bytes(client, frames + cut, length - cut);
        EXPECT_OK(client);
        EXPECT_REPLY(client, MAILBOX, "[]");
    }
    for (size_t i = 0; i < length; i++)
        send_bytes(client, frames + i, 1);
    EXPECT_OK(client);
    EXPECT_REPLY(client, MAILBOX, "[]");
}

static void half_close(void)
{
    struct client client = connect_client();

    send_frame(client, ENTRY, "{\"name\": \"a@b.c\"}");
    send_frame(client, MAILBOX, "null");
    EXPECT_EQ(shutdown(client.socket, SHUT_WR), 0);
    EXPECT_OK(client);
    EXPECT_REPLY(client, MAILBOX, "[]");
    expect_closed(client);
}

static void half_frame(void)
{
    static const size_t cuts[] = {1, 7, 8, 11};

    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        struct client client = connect_client();
        send_bytes(client, "\0\0\0\5\0\0\0\4null", cuts[i]);
        EXPECT_EQ(shutdown(client.socket, SHUT_WR), 0);
        EXPECT_REPLY(client, ERROR, "\"The connection ended inside a frame\"");
        expect_closed(client);
    }
}

static void waiting(void)
{
    struct client client = connect_client(), sender = connect_client();

    ASK_OK(client, ENTRY, "{\"name\": \"a@b.c\"}");
    ASK_OK(client, WAIT, "{\"count\": 0, \"timeout\": 0}");
    ASK_OK(client, WAIT, "{\"count\": -0, \"timeout\": 0}");
    ASK_ERROR(client, WAIT, "{\"count\": 1, \"timeout\": -0}", "\"Timed out\"");
    ASK_ERROR(client, WAIT, "{\"count\": \"1\", \"timeout\": \"0\"}", "\"Timed out\"");
    ASK_ERROR(client, WAIT, "{\"count\": 1, \"timeout\": 1}", "\"Timed out\"");
    send_frame(client, MAILBOX, "null");
    send_frame(client, WAIT, "{\"count\": 2, \"timeout\": 50}");
    send_frame(client, DEL, "{\"index\": 1}");
    EXPECT_REPLY(client, MAILBOX, "[]"); /* is not held back by the sleep behind it */
    ASK_OK(sender, ENTRY, "{\"name\": \"d@e.f\"}");
    ASK_OK(sender, SEND, "{\"to\": \"a@b.c\", \"header\": \"\", \"text\": \"1\"}");
    ASK_OK(sender, SEND, "{\"to\": \"a@b.c\", \"header\": \"\", \"text\": \"2\"}");
    EXPECT_OK(client);
    EXPECT_OK(client);
    ASK(client, MAILBOX, "null", MAILBOX, "[" MAIL("2", "d@e.f", "a@b.c", "", "2") "]");
}

static void bodies_that_do_not_matter(void)
{
    struct client client = connect_client();

    ASK_OK(client, ENTRY, "{\"name\": \"a@b.c\"}");
    ASK(client, MAILBOX, " {\"a\": [1, 2]} ", MAILBOX, "[]");
    ASK(client, MAILBOX, "\"\"", MAILBOX, "[]");
    send_frame(client, QUIT, "{}");
    expect_closed(client);
}

static const struct harness_test tests[] = {
    {"the dialogue of the seed", seed_transcript},
    {"the frames of the manual page", frames_of_the_manual},
    {"mails are opened and deleted by ids that are never used again", open_and_delete},
    {"an index is a string of digits or a whole number", forms_of_an_index},
    {"every character comes back, as json.dumps would write it", characters},
    {"only entry and quit are served before entry", before_entry},
    {"thousands of requests may be on their way, and replies keep their order", pipelining},
    {"requests that come together are answered by one write", batches},
    {"a frame may come in any pieces", split_frames},
    {"a client that has half-closed gets every reply", half_close},
    {"a frame that ends early is an error", half_frame},
    {"wait replies when the mails are there, or when its time is over", waiting},
    {"the body of mailbox and quit is any JSON", bodies_that_do_not_matter},
};

HARNESS_MAIN(tests)
