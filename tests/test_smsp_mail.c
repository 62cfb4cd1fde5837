/* Tests of SMSP's verbs on mail, smsp(7), in LF framing. */
#include "smsp_pair.h"

#include <signal.h>

static void mail_is_stored_counted_read_and_deleted_in_order(void)
{
    begin();
    enrol(&alice, "alice", cookie);
    EXPECT_STR(ask(&alice, "GETMSG alice %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK no such message");
    EXPECT_STR(ask(&alice, "DELMSG alice %s", cookie), "KO");
    for (int i = 1; i <= 3; i++) {
        EXPECT_STR(ask(&alice, "MESSAGE letter  %d  %s", i, cookie), "OK");
        EXPECT_STR(ask(&alice, "STORE alice %s", cookie), "OK");
    }
    EXPECT_STR(ask(&alice, "COUNT alice %s", cookie), "COUNTED 3");
    EXPECT_STR(ask(&alice, "GETMSG alice %s", cookie), "letter  1 ");
    EXPECT_STR(ask(&alice, "GETMSG alice %s", cookie), "letter  1 ");
    EXPECT_STR(ask(&alice, "DELMSG alice %s", cookie), "OK");
    EXPECT_STR(ask(&alice, "GETMSG alice %s", cookie), "letter  2 ");
    EXPECT_STR(ask(&alice, "COUNT alice %s", cookie), "COUNTED 2");
    end();
}

static void store_takes_the_newest_and_leaves_it_where_it_cannot_go(void)
{
    begin_with_two();
    EXPECT_STR(ask(&alice, "STORE bob %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK no message is queued, send MESSAGE first");
    EXPECT_STR(ask(&alice, "MESSAGE older %s", cookie), "OK");
    EXPECT_STR(ask(&alice, "MESSAGE newer %s", cookie), "OK");
    EXPECT_STR(ask(&alice, "STORE nobody %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK no such account");
    EXPECT_STR(ask(&alice, "STORE no_body %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK a user name is 1 to 64 letters and digits, or an address");
    EXPECT_STR(ask(&alice, "STORE bob %s", cookie), "OK");
    EXPECT_STR(ask(&alice, "STORE bob %s", cookie), "OK");
    EXPECT_STR(ask(&alice, "STORE bob %s", cookie), "KO");
    EXPECT_STR(ask(&bob, "GETMSG bob %s", bobs), "newer");
    EXPECT_STR(ask(&bob, "DELMSG bob %s", bobs), "OK");
    EXPECT_STR(ask(&bob, "GETMSG bob %s", bobs), "older");
    end();
}

static void two_users_messages_never_mix(void)
{
    begin_with_two();
    for (int i = 0; i < 50; i++) {
        EXPECT_STR(ask(&alice, "MESSAGE from alice %d %s", i, cookie), "OK");
        EXPECT_STR(ask(&bob, "MESSAGE from bob %d %s", i, bobs), "OK");
        EXPECT_STR(ask(&alice, "STORE bob %s", cookie), "OK");
        EXPECT_STR(ask(&bob, "STORE alice %s", bobs), "OK");
    }
    for (int i = 0; i < 50; i++) {
        char expected[64];
        snprintf(expected, sizeof expected, "from bob %d", i);
        EXPECT_STR(ask(&alice, "GETMSG alice %s", cookie), expected);
        EXPECT_STR(ask(&alice, "DELMSG alice %s", cookie), "OK");
        snprintf(expected, sizeof expected, "from alice %d", i);
        EXPECT_STR(ask(&bob, "GETMSG bob %s", bobs), expected);
        EXPECT_STR(ask(&bob, "DELMSG bob %s", bobs), "OK");
    }
    end();
}

static void mail_goes_to_whoever_has_the_name_now(void)
{
    char others[COOKIE_TEXT + 1];

    begin_with_two();
    EXPECT_STR(ask(&alice, "SEND bob one %s", cookie), "OK 1");
    EXPECT_STR(ask(&alice, "SEND bob two %s", cookie), "OK 2");
    EXPECT_STR(ask(&bob, "UNREGISTER bob secret"), "OK");
    EXPECT_STR(ask(&alice, "SEND bob three %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK no such account");
    EXPECT_STR(ask(&alice, "SEND alice four %s", cookie), "OK 1");
    enrol(&bob, "bob", others);
    EXPECT_STR(ask(&alice, "SEND bob five %s", cookie), "OK 1");
    EXPECT_STR(ask(&bob, "UNREGISTER bob secret"), "OK");
    enrol(&bob, "bob", others);
    EXPECT_STR(ask(&alice, "SEND bob six %s", cookie), "OK 1"); /* he was gone and back in between */
    EXPECT_STR(ask(&alice, "MESSAGE seven %s", cookie), "OK");
    EXPECT_STR(ask(&bob, "UNREGISTER bob secret"), "OK");
    enrol(&bob, "bob", others);
    EXPECT_STR(ask(&alice, "STORE bob %s", cookie), "OK");
    EXPECT_STR(ask(&bob, "COUNT bob %s", others), "COUNTED 1");
    EXPECT_STR(ask(&bob, "GETMSG bob %s", others), "seven");
    end();
}

static void a_recipient_may_be_an_address(void)
{
    begin_with_two();
    EXPECT_STR(ask(&alice, "SEND bob@mail.localhost one %s", cookie), "OK 1");
    EXPECT_STR(ask(&alice, "SEND BOB@Mail.LocalHost two %s", cookie), "OK 2");
    EXPECT_STR(ask(&alice, "MESSAGE three %s", cookie), "OK");
    EXPECT_STR(ask(&alice, "STORE Bob@mail.localhost %s", cookie), "OK");
    EXPECT_STR(ask(&alice, "SEND test1@mail.ru x %s", cookie), "KO");
    EXPECT_STR(ask(&bob, "COUNT bob %s", bobs), "COUNTED 3");
    EXPECT_STR(ask(&bob, "COUNT bob@mail.localhost %s", bobs), "KO");
    end();
}

static void content_is_everything_between(void)
{
    begin_with_two();
    EXPECT_STR(ask(&alice, "SEND bob   two spaces around  %s", cookie), "OK 1");
    EXPECT_STR(ask(&alice, "SEND bob   %s", cookie), "OK 2");
    EXPECT_STR(ask(&alice, "SEND bob  %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK the content is empty");
    EXPECT_STR(ask(&alice, "MESSAGE  %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK the content is empty");
    EXPECT_STR(ask(&alice, "SEND bob \xff\r\t\x01|%s| %s", "x", cookie), "OK 3");
    EXPECT_STR(ask(&bob, "GETMSG bob %s", bobs), "  two spaces around ");
    EXPECT_STR(ask(&bob, "DELMSG bob %s", bobs), "OK");
    EXPECT_STR(ask(&bob, "GETMSG bob %s", bobs), " ");
    EXPECT_STR(ask(&bob, "DELMSG bob %s", bobs), "OK");
    EXPECT_STR(ask(&bob, "GETMSG bob %s", bobs), "\xff\r\t\x01|x|");
    end();
}

static void content_over_the_message_limit_is_refused(void)
{
    char content[4098];

    begin_with_two();
    memset(content, 'x', sizeof content);
    content[4097] = '\0';
    EXPECT_STR(ask(&alice, "SEND bob %.4096s %s", content, cookie), "OK 1");
    EXPECT_STR(ask(&alice, "SEND bob %s %s", content, cookie), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK the content is longer than 4096 bytes");
    EXPECT_STR(ask(&alice, "MESSAGE %s %s", content, cookie), "KO");
    EXPECT_STR(ask(&alice, "STORE bob %s", cookie), "KO");
    EXPECT_EQ(strlen(ask(&bob, "GETMSG bob %s", bobs)), 4096);
    end();
}

static void ids_only_grow(void)
{
    begin_with_two();
    EXPECT_STR(ask(&alice, "SEND bob one %s", cookie), "OK 1");
    EXPECT_STR(ask(&alice, "SEND bob two %s", cookie), "OK 2");
    EXPECT_STR(ask(&bob, "REMOVE bob 2 %s", bobs), "OK");
    EXPECT_STR(ask(&bob, "REMOVE bob 2 %s", bobs), "KO");
    EXPECT_STR(ask(&bob, "FETCH bob 2 %s", bobs), "KO");
    EXPECT_STR(ask(&bob, "WHY"), "OK no such message");
    EXPECT_STR(ask(&alice, "SEND bob three %s", cookie), "OK 3");
    EXPECT_STR(ask(&bob, "FETCH bob 03 %s", bobs), "OK 5");
    EXPECT_STR(hear(&bob), "three");
    static const char *const others[] = {"0", "4", "18446744073709551615"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        EXPECT_STR(ask(&bob, "FETCH bob %s %s", others[i], bobs), "KO");
        EXPECT_STR(ask(&bob, "WHY"), "OK no such message");
    }
    static const char *const wrong[] = {"-1", "+1", "x", "1x", "18446744073709551616"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        EXPECT_STR(ask(&bob, "REMOVE bob %s %s", wrong[i], bobs), "KO");
        EXPECT_STR(ask(&bob, "WHY"), "OK the id must be a decimal number up to 18446744073709551615");
    }
    end();
}

static void wait_answers_as_soon_as_there_is_enough(void)
{
    begin_with_two();
    EXPECT_STR(ask(&alice, "WAIT alice 0 0 %s", cookie), "COUNTED 0");
    EXPECT_STR(ask(&alice, "WAIT alice 1 0 %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK the time is over");
    EXPECT_STR(ask(&alice, "WAIT alice 1 86401 %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK the seconds must be a decimal number up to 86400");
    EXPECT_STR(ask(&alice, "WAIT alice 9223372036854775808 0 %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "WAIT alice 9223372036854775807 0 %s", cookie), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK the time is over");

    /* The reply before the wait comes at once, or bob would not go on. */
    char request[128];
    int length = snprintf(request, sizeof request, "NOOP\nWAIT alice 2 86400 %s\nNOOP\n", cookie);
    say_bytes(&alice, request, (size_t)length);
    EXPECT_STR(hear(&alice), "OK");
    EXPECT_STR(ask(&bob, "SEND alice one %s", bobs), "OK 1");
    EXPECT_STR(ask(&bob, "SEND alice two %s", bobs), "OK 2");
    EXPECT_STR(hear(&alice), "COUNTED 2");
    EXPECT_STR(hear(&alice), "OK");
    EXPECT_STR(ask(&alice, "WAIT alice 1 86400 %s", cookie), "COUNTED 2");
    end();
}

static void a_wait_ends_with_the_account(void)
{
    char request[128];

    begin_with_two();
    int length = snprintf(request, sizeof request, "NOOP\nWAIT alice 1 86400 %s\n", cookie);
    say_bytes(&alice, request, (size_t)length);
    EXPECT_STR(hear(&alice), "OK");
    EXPECT_STR(ask(&bob, "UNREGISTER alice secret"), "OK");
    EXPECT_STR(hear(&alice), "KO");
    end();
}

/* Whether the mail comes before the waiter has noticed or after. */
static void a_wait_ends_with_its_session(void)
{
    char request[128];

    begin_with_two();
    int length = snprintf(request, sizeof request, "NOOP\nWAIT alice 1 86400 %s\n", cookie);
    say_bytes(&alice, request, (size_t)length);
    EXPECT_STR(hear(&alice), "OK");
    EXPECT_STR(ask(&bob, "LOGOUT %s", cookie), "OK");
    EXPECT_STR(hear(&alice), "KO");
    EXPECT_STR(ask(&alice, "WHY"), "OK no such session, log in first");

    keep_cookie(ask(&bob, "LOGIN alice secret"), cookie);
    length = snprintf(request, sizeof request, "NOOP\nWAIT alice 1 86400 %s\n", cookie);
    say_bytes(&alice, request, (size_t)length);
    EXPECT_STR(hear(&alice), "OK");
    EXPECT_EQ(kill(alice.pid, SIGSTOP), 0);
    EXPECT_STR(ask(&bob, "LOGOUT %s", cookie), "OK");
    EXPECT_STR(ask(&bob, "SEND alice one %s", bobs), "OK 1");
    EXPECT_EQ(kill(alice.pid, SIGCONT), 0);
    EXPECT_STR(hear(&alice), "KO");
    end();
}

static void append_send(struct buffer *requests, size_t length)
{
    EXPECT(buffer_append_text(requests, "SEND alice "));
    char *content = buffer_reserve(requests, length);
    EXPECT(content != NULL);
    memset(content, 'x', length);
    requests->length += length;
    EXPECT(buffer_print(requests, " %s\n", cookie));
}

static void a_full_post_office_is_a_clear_refusal_and_goes_on(void)
{
    enum { LENGTH = 1 << 20, MESSAGES = 80 }; /* 80 MiB, for a segment of 64 */
    struct buffer requests = {0}, expected = {0};
    char *replies = NULL;
    int taken = 0;

    settings.message_limit = LENGTH;
    begin();
    enrol(&alice, "alice", cookie);
    for (int i = 0; i < MESSAGES; i++) {
        append_send(&requests, LENGTH);
    }
    EXPECT(buffer_print(&requests, "WHY\nDELMSG alice %s\nDELMSG alice %s\n", cookie, cookie));
    append_send(&requests, LENGTH);
    (void)converse(store, requests.bytes, requests.length, &replies);
    for (const char *at = replies; strncmp(at, "OK ", 3) == 0; at = strchr(at, '\n') + 1) {
        EXPECT(buffer_print(&expected, "OK %d\n", ++taken));
    }
    EXPECT(taken > 40 && taken < 64);
    for (int i = taken; i < MESSAGES; i++) {
        EXPECT(buffer_append_text(&expected, "KO\n"));
    }
    EXPECT(buffer_print(&expected, "OK the post office is full\nOK\nOK\nOK %d\n", taken + 1));
    EXPECT(buffer_append_byte(&expected, '\0'));
    EXPECT_STR(replies, expected.bytes);
    free(replies);
    buffer_free(&requests);
    buffer_free(&expected);
    end();
}

static const struct harness_test tests[] = {
    {"mail is stored, counted, read and deleted in order", mail_is_stored_counted_read_and_deleted_in_order},
    {"STORE takes the newest and leaves it where it cannot go",
     store_takes_the_newest_and_leaves_it_where_it_cannot_go},
    {"two users' messages never mix", two_users_messages_never_mix},
    {"mail goes to whoever has the name now", mail_goes_to_whoever_has_the_name_now},
    {"a recipient may be an address", a_recipient_may_be_an_address},
    {"content is everything between", content_is_everything_between},
    {"content over the message limit is refused", content_over_the_message_limit_is_refused},
    {"a full post office is a clear refusal and goes on", a_full_post_office_is_a_clear_refusal_and_goes_on},
    {"ids only grow", ids_only_grow},
    {"WAIT answers as soon as there is enough", wait_answers_as_soon_as_there_is_enough},
    {"a WAIT ends with the account", a_wait_ends_with_the_account},
    {"a WAIT ends with its session", a_wait_ends_with_its_session},
};

HARNESS_MAIN(tests)
