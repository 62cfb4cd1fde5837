/* Tests of SMSP requests that are the same as the one before, which the server does not read again. They come
 * pipelined: only then does it meet them. */
#include "smsp_pair.h"

enum { REQUESTS = 200 }; /* which the server takes in by one read */

/* Sends all of it at once. */
__attribute__((format(printf, 2, 3))) static void say(struct peer *peer, const char *format, ...)
{
    char requests[4096];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(requests, sizeof requests, format, arguments);
    va_end(arguments);
    EXPECT(length > 0 && (size_t)length < sizeof requests);
    say_bytes(peer, requests, (size_t)length);
}

static void a_repeated_request_is_done_again(void)
{
    begin_with_two();
    say(&alice, "SEND alice one %s\nSEND alice two %s\n", cookie, cookie);
    EXPECT_STR(hear(&alice), "OK 1");
    EXPECT_STR(hear(&alice), "OK 2");
    say(&alice, "GETMSG alice %s\nGETMSG alice %s\nDELMSG alice %s\nDELMSG alice %s\nDELMSG alice %s\n",
        cookie, cookie, cookie, cookie, cookie);
    EXPECT_STR(hear(&alice), "one");
    EXPECT_STR(hear(&alice), "one");
    EXPECT_STR(hear(&alice), "OK");
    EXPECT_STR(hear(&alice), "OK");
    EXPECT_STR(hear(&alice), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK no such message");
    say(&alice, "COUNT alice %s\r\nCOUNT alice %s\r\nCOUNT ALICE %s\nCOUNT alice %s!\n", cookie, cookie,
        cookie, cookie);
    EXPECT_STR(hear(&alice), "COUNTED 0");
    EXPECT_STR(hear(&alice), "COUNTED 0");
    EXPECT_STR(hear(&alice), "COUNTED 0");
    EXPECT_STR(hear(&alice), "KO");
    end();
}

static void a_repeated_request_is_that_of_its_own_cookie(void)
{
    begin_with_two();
    EXPECT_STR(ask(&alice, "SEND bob secret %s", cookie), "OK 1");
    say(&alice,
        "COUNT alice %s\nCOUNT bob %s\nCOUNT alice %s\nGETMSG bob %s\nGETMSG alice %s\nGETMSG bob %s\n",
        cookie, bobs, cookie, bobs, cookie, bobs);
    EXPECT_STR(hear(&alice), "COUNTED 0");
    EXPECT_STR(hear(&alice), "COUNTED 1");
    EXPECT_STR(hear(&alice), "COUNTED 0");
    EXPECT_STR(hear(&alice), "secret");
    EXPECT_STR(hear(&alice), "KO");
    EXPECT_STR(hear(&alice), "secret");
    end();
}

/* The replies do not fit the socket, so most requests are met after the session has ended. */
static void a_repeated_request_ends_with_its_session(void)
{
    static char text[4000], requests[64 * REQUESTS];
    size_t given = 0, length = 0;

    begin_with_two();
    memset(text, 'x', sizeof text - 1);
    EXPECT_STR(ask(&alice, "SEND alice %s %s", text, cookie), "OK 1");
    for (size_t i = 0; i < REQUESTS; i++) {
        length += (size_t)snprintf(requests + length, sizeof requests - length, "GETMSG alice %s\n", cookie);
    }
    say_bytes(&alice, requests, length);
    EXPECT_STR(hear(&alice), text);
    EXPECT(strncmp(ask(&bob, "LOGIN alice secret"), "OK ", 3) == 0);
    while (given < REQUESTS - 1 && strcmp(hear(&alice), "KO") != 0) {
        EXPECT_STR(alice.reply, text);
        given++;
    }
    EXPECT(given < REQUESTS - 1);
    for (size_t i = given + 2; i < REQUESTS; i++) {
        EXPECT_STR(hear(&alice), "KO");
    }
    end();
}

/* What has come is looked through for a NUL once. */
static void a_nul_behind_repeated_requests_is_refused(void)
{
    char requests[4096];
    size_t length = 0;

    begin_with_two();
    for (size_t i = 0; i < 20; i++) {
        length += (size_t)snprintf(requests + length, sizeof requests - length, "COUNT alice %s\n", cookie);
    }
    length += (size_t)snprintf(requests + length, sizeof requests - length, "SEND alice a NUL: ");
    requests[length++] = '\0';
    length += (size_t)snprintf(requests + length, sizeof requests - length, " %s\nWHY\nCOUNT alice %s\n",
                               cookie, cookie);
    say_bytes(&alice, requests, length);
    for (size_t i = 0; i < 20; i++) {
        EXPECT_STR(hear(&alice), "COUNTED 0");
    }
    EXPECT_STR(hear(&alice), "KO");
    EXPECT_STR(hear(&alice), "OK the line holds a NUL");
    EXPECT_STR(hear(&alice), "COUNTED 0");
    end();
}

static const struct harness_test tests[] = {
    {"a repeated request is done again", a_repeated_request_is_done_again},
    {"a repeated request is that of its own cookie", a_repeated_request_is_that_of_its_own_cookie},
    {"a repeated request ends with its session", a_repeated_request_ends_with_its_session},
    {"a NUL behind repeated requests is refused", a_nul_behind_repeated_requests_is_refused},
};

HARNESS_MAIN(tests)
