/* test_message_mail.c: mail between Message and SMSP, and mailboxes that are longer than one chunk or one
 * reply. */
#include "message_client.h"

#include "account.h"
#include "cookie.h"

#define COOKIE 3 /* where it begins in "OK <cookie>" */

static char cookie[COOKIE_TEXT + 1];

/* A client of SMSP whose user is registered; the cookie is in cookie. */
static struct client smsp_user(const char *name)
{
    struct client client = connect_client();
    char request[128];

    snprintf(request, sizeof request, "REGISTER %s secret", name);
    const char *reply = ask_smsp(client, request);
    EXPECT(strncmp(reply, "OK ", COOKIE) == 0);
    EXPECT_EQ(strlen(reply), COOKIE + COOKIE_TEXT);
    memcpy(cookie, reply + COOKIE, sizeof cookie);
    return client;
}

static const char *ask_with_cookie(struct client client, const char *request)
{
    char line[1024];

    snprintf(line, sizeof line, "%s %s", request, cookie);
    return ask_smsp(client, line);
}

static void from_smsp(void)
{
    struct client smsp = smsp_user("alice"), message = connect_client();

    ASK_OK(message, ENTRY, "{\"name\": \"test1@mail.ru\"}");
    EXPECT_STR(ask_with_cookie(smsp, "SEND test1@mail.ru one two \"three\""), "OK 1");
    EXPECT_STR(ask_with_cookie(smsp, "MESSAGE \xD0\xBF\xD0\xB8\xD1\x81\xD1\x8C\xD0\xBC\xD0\xBE"), "OK");
    EXPECT_STR(ask_with_cookie(smsp, "STORE test1@mail.ru"), "OK");
    ASK(message, MAILBOX, "null", MAILBOX,
        "[{\"id\": 1, \"source\": \"alice@mail.localhost\", \"destination\": \"test1@mail.ru\", "
        "\"header\": \"\", \"text\": \"one two \\\"three\\\"\"}, "
        "{\"id\": 2, \"source\": \"alice@mail.localhost\", \"destination\": \"test1@mail.ru\", "
        "\"header\": \"\", \"text\": \"\xD0\xBF\xD0\xB8\xD1\x81\xD1\x8C\xD0\xBC\xD0\xBE\"}]");
}

static void to_smsp(void)
{
    struct client smsp = smsp_user("alice"), message = connect_client();
    char text[64];

    ASK_OK(message, ENTRY, "{\"name\": \"test1@mail.ru\"}");
    ASK_OK(message, SEND,
           "{\"to\": \"alice@mail.localhost\", \"header\": \"hello\", \"text\": \"the\\nworld\"}");
    ASK_OK(message, SEND, "{\"to\": \"Alice@mail.localhost\", \"header\": \"\", \"text\": \"again\"}");
    EXPECT_STR(ask_with_cookie(smsp, "COUNT alice"), "COUNTED 2");
    EXPECT_STR(ask_with_cookie(smsp, "GETMSG alice"), "hello the world");
    EXPECT_STR(ask_with_cookie(smsp, "FETCH alice 1"), "OK 15");
    EXPECT_EQ(recv(smsp.socket, text, 16, MSG_WAITALL), 16);
    EXPECT(memcmp(text, "hello\nthe\nworld\n", 16) == 0);
    EXPECT_STR(ask_with_cookie(smsp, "DELMSG alice"), "OK");
    EXPECT_STR(ask_with_cookie(smsp, "GETMSG alice"), "again");
    const char *list = ask_with_cookie(smsp, "LIST alice");
    EXPECT_STR(list, "OK 1");
    EXPECT(recv(smsp.socket, text, sizeof text - 1, 0) > 0);
    EXPECT(strncmp(text, "2 5 ", 4) == 0);
    EXPECT(strstr(text, " test1@mail.ru again\n") != NULL);
}

static void put(account_t account, const char *body, size_t length)
{
    struct letter letter = {"bob", "", body, 3, 0, length};
    message_id id;

    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    EXPECT_EQ(mailbox_append(store, account, &id), STATUS_OK);
}

static account_t make_account(const char *name)
{
    account_t account;

    EXPECT_EQ(account_create(store, name, strlen(name), NULL, &account, NULL), STATUS_OK);
    return account;
}

/* A reply of any size; returns its type, and the body in memory that the caller frees. */
static int32_t receive_long(struct client client, char **body, size_t *length)
{
    uint32_t header[2];

    EXPECT_EQ(recv(client.socket, header, sizeof header, MSG_WAITALL), sizeof header);
    *length = ntohl(header[1]);
    *body = malloc(*length + 1);
    EXPECT(*body != NULL);
    for (size_t done = 0; done < *length;) {
        ssize_t got = recv(client.socket, *body + done, *length - done, 0);
        EXPECT(got > 0);
        done += (size_t)got;
    }
    (*body)[*length] = '\0';
    return (int32_t)ntohl(header[0]);
}

static void broken_utf8(void)
{
    static const struct {
        const char *body, *shown;
    } rows[] = {
        {"\xFF", "\xEF\xBF\xBD"},
        {"a\x80z", "a\xEF\xBF\xBDz"},
        {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xE2\x82", "\xEF\xBF\xBD"},
        {"\xE2\x82z", "\xEF\xBF\xBDz"},
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xF0\x9F\x98\x80\xF0\x9F\x98", "\xF0\x9F\x98\x80\xEF\xBF\xBD"},
    };
    char index[32], expected[256];

    open_store(64 << 20);
    account_t account = make_account("a@b.c");
    struct client client = connect_client();
    ASK_OK(client, ENTRY, "{\"name\": \"a@b.c\"}");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put(account, rows[i].body, strlen(rows[i].body));
        snprintf(index, sizeof index, "{\"index\": %zu}", i + 1);
        snprintf(expected, sizeof expected,
                 "{\"id\": %zu, \"source\": \"bob@mail.localhost\", \"destination\": \"a@b.c\", "
                 "\"header\": \"\", \"text\": \"%s\"}",
                 i + 1, rows[i].shown);
        ASK(client, OPEN, index, OPEN, expected);
    }
}

/* Characters of three bytes, so that some are cut wherever the store cuts its pieces. */
static void long_text(void)
{
    enum { LENGTH = 3 << 20 };
    static const char before[] =
        "{\"id\": 1, \"source\": \"bob@mail.localhost\", \"destination\": \"a@b.c\", "
        "\"header\": \"\", \"text\": \"";
    char *text = malloc(LENGTH), *body = NULL;
    size_t length = 0;

    EXPECT(text != NULL);
    for (size_t i = 0; i < LENGTH; i += 3)
        memcpy(text + i, "\xE2\x82\xAC", 3);
    open_store(64 << 20);
    put(make_account("a@b.c"), text, LENGTH);
    struct client client = connect_client();
    ASK_OK(client, ENTRY, "{\"name\": \"a@b.c\"}");
    send_frame(client, OPEN, "{\"index\": 1}");
    EXPECT_EQ(receive_long(client, &body, &length), OPEN);
    EXPECT_EQ(length, sizeof before - 1 + LENGTH + 2);
    EXPECT(memcmp(body, before, sizeof before - 1) == 0);
    EXPECT(memcmp(body + sizeof before - 1, text, LENGTH) == 0);
    EXPECT_STR(body + length - 2, "\"}");
    free(body);
    free(text);
}

static void long_mailbox(void)
{
    enum { MAILS = 5 * PINS_MAX + 7 };
    char text[16], *body = NULL;
    size_t length = 0;

    open_store(64 << 20);
    account_t account = make_account("a@b.c");
    for (int i = 1; i <= MAILS; i++) {
        int size = snprintf(text, sizeof text, "mail %d", i);
        put(account, text, (size_t)size);
    }
    for (message_id id = 2; id <= MAILS; id += 3)
        EXPECT_EQ(mailbox_delete(store, account, id), STATUS_OK);
    struct client client = connect_client();
    ASK_OK(client, ENTRY, "{\"name\": \"a@b.c\"}");
    send_frame(client, MAILBOX, "null");
    EXPECT_EQ(receive_long(client, &body, &length), MAILBOX);
    const char *at = body;
    for (int i = 1; i <= MAILS; i++) {
        char expected[256];
        if (i % 3 == 2)
            continue;
        int size = snprintf(expected, sizeof expected,
                            "%s{\"id\": %d, \"source\": \"bob@mail.localhost\", \"destination\": \"a@b.c\", "
                            "\"header\": \"\", \"text\": \"mail %d\"}",
                            i == 1 ? "[" : ", ", i, i);
        EXPECT(strncmp(at, expected, (size_t)size) == 0);
        at += size;
    }
    EXPECT_STR(at, "]");
    free(body);
}

static void mailbox_over_its_limit(void)
{
    enum { LENGTH = (8 << 20) - 204, MAILS = 8 };
    char *text = calloc(1, LENGTH), *body = NULL;
    size_t length = 0;

    EXPECT(text != NULL);
    memset(text, 'x', LENGTH);
    open_store(256 << 20);
    account_t account = make_account("a@b.c");
    struct client client = connect_client();
    ASK_OK(client, ENTRY, "{\"name\": \"a@b.c\"}");
    for (int i = 0; i < MAILS; i++)
        put(account, text, LENGTH);
    send_frame(client, MAILBOX, "null");
    EXPECT_EQ(receive_long(client, &body, &length), MAILBOX);
    EXPECT(length <= 64 << 20);
    size_t room = (64 << 20) - length; /* for ", ", a mail without text, and the text */
    size_t frame = (length - 2 - (MAILS - (size_t)1) * 2) / MAILS - LENGTH;
    free(body);

    put(account, text, room - frame - 2);
    send_frame(client, MAILBOX, "null");
    EXPECT_EQ(receive_long(client, &body, &length), MAILBOX);
    EXPECT_EQ(length, 64 << 20);
    free(body);
    EXPECT_EQ(mailbox_delete(store, account, MAILS + 1), STATUS_OK);
    put(account, text, room - frame - 2); /* its id has a digit more */
    ASK_ERROR(client, MAILBOX, "null",
              "\"Mailbox reply is over the limit of 67108864 bytes, open mails one by one up to index 10\"");
    send_frame(client, OPEN, "{\"index\": \"8\"}");
    EXPECT_EQ(receive_long(client, &body, &length), OPEN);
    EXPECT_EQ(length, LENGTH + frame);
    ASK_OK(client, DEL, "{\"index\": 10}");
    free(body);
    free(text);
}

/* A reader who is slow must not keep mails of others pinned, nor lose any of its own. */
static void slow_reader(void)
{
    enum { LENGTH = 1 << 20, MAILS = 8 };
    char *text = calloc(1, LENGTH), *body = NULL;
    size_t length = 0;

    EXPECT(text != NULL);
    memset(text, 'x', LENGTH);
    open_store(64 << 20);
    account_t account = make_account("a@b.c");
    struct client client = connect_client();
    ASK_OK(client, ENTRY, "{\"name\": \"a@b.c\"}");
    for (int i = 0; i < MAILS; i++)
        put(account, text, LENGTH);
    send_frame(client, MAILBOX, "null");
    struct pollfd poll_in = {.fd = client.socket, .events = POLLIN};
    EXPECT_EQ(poll(&poll_in, 1, -1), 1);
    for (message_id id = 1; id <= MAILS; id++)
        EXPECT_EQ(mailbox_delete(store, account, id), STATUS_OK);
    struct store_figures figures;
    store_figures(store, &figures);
    EXPECT(figures.pages_used - figures.pages_free < 64);
    EXPECT_EQ(receive_long(client, &body, &length), MAILBOX);
    EXPECT(length > (size_t)MAILS * LENGTH);
    ASK(client, MAILBOX, "null", MAILBOX, "[]");
    free(body);
    free(text);
}

static const struct harness_test tests[] = {
    {"mail of SMSP opens in Message", from_smsp},
    {"mail of Message opens in SMSP", to_smsp},
    {"what is not UTF-8 is shown as U+FFFD", broken_utf8},
    {"a long text comes back whole, wherever the store cuts it", long_text},
    {"a mailbox of several chunks comes whole and in order", long_mailbox},
    {"a mailbox over 64 MiB is an error, and open still works", mailbox_over_its_limit},
    {"a reader who is slow keeps no block of the post office", slow_reader},
};

HARNESS_MAIN(tests)
