/* Tests of SMSP's framing, smsp(7): terminators, requests that are too long, pipelines, half-closed
 * connections. */
#include "smsp_session.h"

enum {
    LONGEST = 4096 + REQUEST_OVERHEAD
}; /* bytes of a request, under the message limit of smsp_session.h */

/* Everything is sent at once and the connection half-closed; the replies are compared byte for byte. */
static void expect_replies(struct store *store, const char *bytes, size_t length, const char *expected,
                           size_t expected_length)
{
    char *replies = NULL;
    size_t got = converse(store, bytes, length, &replies);

    if (got != expected_length || memcmp(replies, expected, got) != 0) {
        EXPECT_STR(replies, expected);
        harness_fail(__FILE__, __LINE__, "%zu bytes instead of %zu", got, expected_length);
    }
    free(replies);
}

#define EXPECT_REPLIES(requests, replies) \
    expect_replies(open_store(), requests, sizeof(requests) - 1, replies, sizeof(replies) - 1)

static void the_first_terminator_fixes_the_framing(void)
{
    EXPECT_REPLIES("NOOP\nNOOP\n", "OK\nOK\n");
    EXPECT_REPLIES("NOOP\r\nNOOP\nNOOP\r\n", "OK\nOK\nOK\n");
    EXPECT_REPLIES("NOOP\0NOOP\0", "OK\0OK\0");
    EXPECT_REPLIES("NOOP\r\0NOOP\0", "KO\0OK\0");               /* a CR belongs to an LF only */
    EXPECT_REPLIES("NOOP\r\r\nNOOP\n", "KO\nOK\n");             /* and only one of them */
    EXPECT_REPLIES("NOOP\0NOOP\nNOOP\0NOOP\0", "OK\0KO\0OK\0"); /* LF is content in NUL framing */
}

static void a_nul_in_lf_framing_is_refused(void)
{
    EXPECT_REPLIES("NOOP\nNOOP\0\nWHY\nNO\0OP\n\0\nNOOP\n", "OK\nKO\nOK the line holds a NUL\nKO\nKO\nOK\n");
}

/* One that is held at a time with what is behind it, and one that is not. */
static void a_nul_behind_a_long_line_is_refused(void)
{
    enum { LONG = LONGEST + 100, LONGER = 5 * LONGEST };
    static const size_t lengths[] = {LONG, LONGER};
    static const char behind[] = "\nNO\0OP\nWHY\nNOOP\n",
                      expected[] = "OK\nKO\nKO\nOK the line holds a NUL\nOK\n";
    static char requests[5 + LONGER + sizeof behind] = "NOOP\n";

    for (size_t i = 0; i < 2; i++) {
        memset(requests + 5, 'x', lengths[i]);
        memcpy(requests + 5 + lengths[i], behind, sizeof behind);
        expect_replies(open_store(), requests, 5 + lengths[i] + sizeof behind - 1, expected,
                       sizeof expected - 1);
    }
}

static void an_empty_request_is_refused(void)
{
    EXPECT_REPLIES("\nWHY\n\r\n\n", "KO\nOK the request is empty\nKO\nKO\n");
    EXPECT_REPLIES("NOOP\0\0WHY\0\0", "OK\0KO\0OK the request is empty\0KO\0");
}

static void an_unfinished_request_changes_nothing_and_gets_no_reply(void)
{
    struct store *store = open_store();

    expect_replies(store, "REGISTER alice secret", 21, "", 0);
    expect_replies(store, "LOGIN alice secret\nNOOP\nNOO", 27, "KO\nOK\n", 6);
    expect_replies(store, "", 0, "", 0);
}

static void a_first_byte_of_no_protocol_ends_the_connection(void)
{
    struct peer peer;
    struct store *store = open_store();
    char byte;

    connect_peer(store, &peer, '\n');
    say_bytes(&peer, "\x16\x03\x01", 3); /* so begins TLS */
    EXPECT_EQ(recv(peer.socket, &byte, 1, 0), 0);
    EXPECT_EQ(disconnect(&peer), 10 + STATUS_MALFORMED);
}

static void requests_may_come_byte_by_byte(void)
{
    static const char requests[] = "REGISTER alice secret\r\nNOOP\r\n";
    struct peer peer;

    connect_peer(open_store(), &peer, '\n');
    for (size_t i = 0; i < sizeof requests - 1; i++) {
        say_bytes(&peer, requests + i, 1);
    }
    char cookie[COOKIE_TEXT + 1];
    keep_cookie(hear(&peer), cookie);
    EXPECT_STR(hear(&peer), "OK");
    EXPECT_EQ(disconnect(&peer), 0);
}

/* A request of length bytes, padded in front of its cookie: STORE of a name that is far too long. */
static void expect_long(size_t length, const char *terminator, size_t terminator_length, bool first,
                        const char *reply)
{
    char *request = malloc(length + 64), expected[256];
    char end = terminator[terminator_length - 1];
    size_t at = 0, expected_length = 0;

    EXPECT(request != NULL);
    if (!first) {
        memcpy(request, "NOOP", 4);
        memcpy(request + 4, terminator, terminator_length);
        at = 4 + terminator_length;
        expected_length += (size_t)sprintf(expected, "OK%c", end);
    }
    memset(request + at, 'x', length);
    at += length;
    memcpy(request + at, terminator, terminator_length);
    at += terminator_length;
    memcpy(request + at, "WHY", 3);
    memcpy(request + at + 3, terminator, terminator_length);
    at += 3 + terminator_length;
    expected_length += (size_t)sprintf(expected + expected_length, "KO%cOK %s%c", end, reply, end);
    expect_replies(open_store(), request, at, expected, expected_length);
    free(request);
}

static void an_over_long_request_is_refused_and_the_connection_stays_in_step(void)
{
    static const struct {
        const char *bytes;
        size_t length;
    } terminators[] = {{"\n", 1}, {"\r\n", 2}, {"\0", 1}};
    static const size_t over[] = {1, 2, 3, 4, 1000, 1000000};
    char too_long[64];

    snprintf(too_long, sizeof too_long, "the request is longer than %d bytes", LONGEST);
    for (size_t i = 0; i < 3; i++) {
        for (int first = 0; first < 2; first++) {
            expect_long(LONGEST, terminators[i].bytes, terminators[i].length, first,
                        "no such verb, try HELP");
            for (size_t j = 0; j < sizeof over / sizeof over[0]; j++) {
                expect_long(LONGEST + over[j], terminators[i].bytes, terminators[i].length, first, too_long);
            }
        }
    }
}

static void an_over_long_request_of_the_dialect_is_refused_with_a_sum(void)
{
    size_t length = LONGEST + 1;
    char *request = malloc(length + 16);

    EXPECT(request != NULL);
    memset(request, 'x', length);
    memcpy(request, "7 ", 2);
    memcpy(request + length, "\0NOOP", 6);
    expect_replies(open_store(), request, length + 6, "11 KO\0OK", 9); /* 75 + 79 = 154 */
    free(request);
}

static void append_run(struct buffer *buffer, char byte, size_t length)
{
    char *start = buffer_reserve(buffer, length);

    EXPECT(start != NULL);
    memset(start, byte, length);
    buffer->length += length;
}

/* Frees both. */
static void expect_long_replies(struct store *store, struct buffer *requests, struct buffer *expected)
{
    char *replies = NULL;
    size_t got = converse(store, requests->bytes, requests->length, &replies);

    EXPECT_EQ(got, expected->length);
    EXPECT(memcmp(replies, expected->bytes, got) == 0);
    free(replies);
    buffer_free(requests);
    buffer_free(expected);
}

static void thousands_of_requests_in_one_write_are_answered_in_order(void)
{
    enum { MESSAGES = 5000 };
    struct store *store = open_store();
    struct peer peer;
    char cookie[COOKIE_TEXT + 1];
    struct buffer requests = {0}, expected = {0};

    connect_peer(store, &peer, '\n');
    enrol(&peer, "alice", cookie);
    for (int i = 1; i <= MESSAGES; i++) {
        EXPECT(buffer_print(&requests, "MESSAGE letter %d %s\nSTORE alice %s\nCOUNT alice %s\n", i, cookie,
                            cookie, cookie));
        EXPECT(buffer_print(&expected, "OK\nOK\nCOUNTED %d\n", i));
    }
    for (int i = 1; i <= MESSAGES; i++) {
        EXPECT(buffer_print(&requests, "GETMSG alice %s\nDELMSG alice %s\n", cookie, cookie));
        EXPECT(buffer_print(&expected, "letter %d\nOK\n", i));
    }
    expect_long_replies(store, &requests, &expected);
    EXPECT_EQ(disconnect(&peer), 0);
}

/* They are sent straight from the segment, and each is deleted before its bytes have left. */
static void long_messages_leave_whole_even_when_deleted_at_once(void)
{
    enum { LENGTH = 100000, MESSAGES = 150 };
    struct peer peer;
    char cookie[COOKIE_TEXT + 1];
    struct buffer requests = {0}, expected = {0};

    settings.message_limit = LENGTH;
    struct store *store = open_store();
    connect_peer(store, &peer, '\n');
    enrol(&peer, "alice", cookie);
    for (int i = 1; i <= MESSAGES; i++) {
        EXPECT(buffer_append_text(&requests, "SEND alice "));
        append_run(&requests, (char)('a' + i % 26), LENGTH);
        EXPECT(buffer_print(&requests, " %s\n", cookie));
        EXPECT(buffer_print(&expected, "OK %d\n", i));
    }
    for (int i = 1; i <= MESSAGES; i++) {
        EXPECT(buffer_print(&requests, "GETMSG alice %s\nFETCH alice %d %s\nDELMSG alice %s\n", cookie, i,
                            cookie, cookie));
        append_run(&expected, (char)('a' + i % 26), LENGTH);
        EXPECT(buffer_print(&expected, "\nOK %d\n", LENGTH));
        append_run(&expected, (char)('a' + i % 26), LENGTH);
        EXPECT(buffer_append_text(&expected, "\nOK\n"));
    }
    expect_long_replies(store, &requests, &expected);
    EXPECT_EQ(disconnect(&peer), 0);
}

static void there_is_no_dialect_in_lf_framing(void)
{
    EXPECT_REPLIES("6 NOOP\nWHY\n12 DUMP\n", "KO\nOK no such verb, try HELP\nKO\n");
}

static const struct harness_test tests[] = {
    {"the first terminator fixes the framing", the_first_terminator_fixes_the_framing},
    {"a NUL in LF framing is refused", a_nul_in_lf_framing_is_refused},
    {"a NUL behind a long line is refused", a_nul_behind_a_long_line_is_refused},
    {"an empty request is refused", an_empty_request_is_refused},
    {"an unfinished request changes nothing and gets no reply",
     an_unfinished_request_changes_nothing_and_gets_no_reply},
    {"a first byte of no protocol ends the connection", a_first_byte_of_no_protocol_ends_the_connection},
    {"requests may come byte by byte", requests_may_come_byte_by_byte},
    {"an over-long request is refused and the connection stays in step",
     an_over_long_request_is_refused_and_the_connection_stays_in_step},
    {"an over-long request of the dialect is refused with a sum",
     an_over_long_request_of_the_dialect_is_refused_with_a_sum},
    {"thousands of requests in one write are answered in order",
     thousands_of_requests_in_one_write_are_answered_in_order},
    {"long messages leave whole even when deleted at once",
     long_messages_leave_whole_even_when_deleted_at_once},
    {"there is no dialect in LF framing", there_is_no_dialect_in_lf_framing},
};

HARNESS_MAIN(tests)
