/* Tests of how SMSP shows mail, smsp(7): GETMSG, FETCH, LIST and DUMP of messages that no line could carry.
 */
#include "smsp_pair.h"

#include "queue.h"

#include <fcntl.h>

/* Delivers to alice what only another protocol could have sent, from a process of its own. */
static void deliver(const char *subject, const char *body, size_t body_length)
{
    pid_t child = fork();
    int status = -1;

    EXPECT(child >= 0);
    if (child == 0) {
        struct letter letter = {"test1@mail.ru", subject, body, 13, strlen(subject), body_length};
        account_t account;
        message_id id;
        EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
        EXPECT_EQ(account_find(store, "alice", 5, &account), STATUS_OK);
        EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
        EXPECT_EQ(mailbox_append(store, account, &id), STATUS_OK);
        store_detach(store);
        _exit(0);
    }
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

#define DELIVER(subject, body) deliver(subject, body, sizeof(body) - 1)

static void getmsg_stays_one_line_in_lf_framing(void)
{
    static const struct {
        const char *subject, *body, *line;
    } cases[] = {
        {"", "plain", "plain"},
        {"", "one\ntwo\r\nthree\rfour\n", "one two three\rfour "},
        {"", "\n\r\n\r\r\n", "  \r "},
        {"", "ends in CR\r", "ends in CR\r"},
        {"subject", "body", "subject body"},
        {"two\nlines\r", "body", "two lines body"}, /* the break behind the subject takes its CR along */
        {"subject", "", "subject "},
        {"", "", ""},
    };

    begin();
    enrol(&alice, "alice", cookie);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        deliver(cases[i].subject, cases[i].body, strlen(cases[i].body));
        EXPECT_STR(ask(&alice, "GETMSG alice %s", cookie), cases[i].line);
        EXPECT_STR(ask(&alice, "DELMSG alice %s", cookie), "OK");
    }
    end();
}

static void a_line_break_across_two_pieces_is_one_space(void)
{
    enum { BREAKS = 20000 }; /* two and a half pieces */

    begin();
    enrol(&alice, "alice", cookie);
    for (int shift = 0; shift < 2; shift++) { /* so that each boundary, odd or even, cuts one in two */
        struct buffer body = {0}, line = {0};
        EXPECT(buffer_append(&body, "x", (size_t)shift) && buffer_append(&line, "x", (size_t)shift));
        for (int i = 0; i < BREAKS; i++) {
            EXPECT(buffer_append(&body, "\r\n", 2) && buffer_append_byte(&line, ' '));
        }
        EXPECT(buffer_append_byte(&line, '\0'));
        deliver("", body.bytes, body.length);
        EXPECT(strcmp(ask(&alice, "GETMSG alice %s", cookie), line.bytes) == 0);
        EXPECT_STR(ask(&alice, "DELMSG alice %s", cookie), "OK");
        buffer_free(&body);
        buffer_free(&line);
    }
    end();
}

static void getmsg_is_exact_in_nul_framing(void)
{
    begin();
    enrol(&alice, "alice", cookie);
    DELIVER("sub\r\nject", "one\r\ntwo\nthree\r");
    connect_peer(store, &bob, '\0');
    EXPECT_STR(ask(&bob, "GETMSG alice %s", cookie), "sub\r\nject\none\r\ntwo\nthree\r");
    EXPECT_STR(ask(&bob, "FETCH alice 1 %s", cookie), "OK 25");
    EXPECT_STR(hear(&bob), "sub\r\nject\none\r\ntwo\nthree\r");
    end();
}

static void fetch_is_exact_in_lf_framing(void)
{
    static const char expected[] = "subject\none\r\ntwo\xff\n\n";
    char got[sizeof expected - 1];

    begin();
    enrol(&alice, "alice", cookie);
    DELIVER("subject", "one\r\ntwo\xff\n");
    DELIVER("", "");
    EXPECT_STR(ask(&alice, "FETCH alice 1 %s", cookie), "OK 18");
    EXPECT_EQ(recv(alice.socket, got, sizeof got, MSG_WAITALL), sizeof got);
    EXPECT(memcmp(got, expected, sizeof got) == 0);
    EXPECT_STR(ask(&alice, "FETCH alice 2 %s", cookie), "OK 0");
    EXPECT_STR(hear(&alice), "");
    EXPECT_STR(ask(&alice, "NOOP"), "OK");
    end();
}

/* Reads one line of a LIST and compares it but for its time, which must be of these days. */
static void expect_line(struct peer *peer, int id, int bytes, const char *rest)
{
    char *at = NULL;

    EXPECT_EQ(strtol(hear(peer), &at, 10), id);
    EXPECT_EQ(strtol(at, &at, 10), bytes);
    EXPECT(strtoll(at, &at, 10) > 1600000000);
    EXPECT(*at == ' ');
    EXPECT_STR(at + 1, rest);
}

#define SIXTY "123456789 123456789 123456789 123456789 123456789 123456789 "

static void list_shows_each_message_on_one_line(void)
{
    begin_with_two();
    EXPECT_STR(ask(&alice, "LIST alice %s", cookie), "OK 0");
    EXPECT_STR(ask(&bob, "SEND alice hello  world  %s", bobs), "OK 1");
    DELIVER("a\r\nsub\nject\t\x1b", "body");
    DELIVER("", "line\r\nline\n\x7f\xc2\x85\xe2\x80\xa8.");
    DELIVER("", "\xff\xfe\xd1\x8f\xed\xa0\x80.\xd1");
    DELIVER("", SIXTY "seven");
    DELIVER("", SIXTY);
    DELIVER("", "x" SIXTY);
    DELIVER("", "12345678 123456789 123456789 123456789 123456789 123456789 \xd1\x8f."); /* ends at 61 */
    DELIVER("", "1234567 123456789 123456789 123456789 123456789 123456789 \xd1\x8f.");  /* ends at 60 */
    DELIVER("", "");
    EXPECT_STR(ask(&alice, "LIST alice %s", cookie), "OK 10");
    expect_line(&alice, 1, 13, "bob hello  world ");
    expect_line(&alice, 2, 18, "test1@mail.ru a sub ject  ");
    expect_line(&alice, 3, 18, "test1@mail.ru line line    .");
    expect_line(&alice, 4, 9, "test1@mail.ru ??\xd1\x8f???.?");
    expect_line(&alice, 5, 65, "test1@mail.ru " SIXTY);
    expect_line(&alice, 6, 60, "test1@mail.ru " SIXTY);
    expect_line(&alice, 7, 61, "test1@mail.ru x123456789 123456789 123456789 123456789 123456789 123456789");
    expect_line(&alice, 8, 62, "test1@mail.ru 12345678 123456789 123456789 123456789 123456789 123456789 ");
    expect_line(&alice, 9, 61,
                "test1@mail.ru 1234567 123456789 123456789 123456789 123456789 123456789 \xd1\x8f");
    expect_line(&alice, 10, 0, "test1@mail.ru ");
    EXPECT_STR(ask(&alice, "NOOP"), "OK");
    end();
}

static void a_list_is_longer_than_its_chunks(void)
{
    enum { MESSAGES = 3 * PINS_MAX + 1 };

    begin_with_two();
    for (int i = 1; i <= MESSAGES; i++) {
        char reply[32];
        snprintf(reply, sizeof reply, "OK %d", i);
        EXPECT_STR(ask(&bob, "SEND alice %d %s", i, bobs), reply);
    }
    EXPECT_STR(ask(&alice, "REMOVE alice %d %s", PINS_MAX, cookie), "OK");
    for (int times = 0; times < 2; times++) {
        char expected[32];
        snprintf(expected, sizeof expected, "OK %d", MESSAGES - 1);
        EXPECT_STR(ask(&alice, "LIST alice %s", cookie), expected);
        for (int i = 1; i <= MESSAGES; i++) {
            if (i != PINS_MAX) {
                int bytes = snprintf(expected, sizeof expected, "bob %d", i) - 4;
                expect_line(&alice, i, bytes, expected);
            }
        }
    }
    end();
}

/* The children of this process write what they dump to a file. times: how often one connection asks. */
static void dump_to_file(int times, char *text, size_t size)
{
    int file = open("dump", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

    EXPECT(file >= 0 && saved >= 0);
    EXPECT_EQ(dup2(file, STDERR_FILENO), STDERR_FILENO);
    struct peer peer;
    connect_peer(store, &peer, '\n');
    EXPECT_EQ(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    for (int i = 0; i < times; i++) {
        EXPECT_STR(ask(&peer, "DUMP"), "OK");
    }
    EXPECT_EQ(disconnect(&peer), 0);
    ssize_t length = pread(file, text, size - 1, 0);
    EXPECT(length >= 0);
    text[length] = '\0';
    close(file);
    close(saved);
}

static void dump_prints_queues_and_mailboxes_without_secrets(void)
{
    static char text[65536];

    settings.dump_allowed = true;
    begin_with_two();
    EXPECT_STR(ask(&alice, "MESSAGE still queued %s", cookie), "OK");
    EXPECT_STR(ask(&alice, "SEND bob hello bob %s", cookie), "OK 1");
    DELIVER("a\nsubject", "\x1b[2Jbody\\\xff");
    dump_to_file(1, text, sizeof text);
    EXPECT_STR(text, "IMQ alice: from alice, 12 bytes: still queued\n"
                     "MBX alice: 1 message\n"
                     "MBX alice: 1 from test1@mail.ru, 20 bytes: [a\\x0asubject] \\x1b[2Jbody\\\\\\xff\n"
                     "MBX bob: 1 message\n"
                     "MBX bob: 1 from alice, 9 bytes: hello bob\n");
    EXPECT(strstr(text, cookie) == NULL && strstr(text, "secret") == NULL && strstr(text, "$") == NULL);
    end();
}

static void dump_prints_nothing_where_it_may_not(void)
{
    static char text[4096];

    begin_with_two();
    EXPECT_STR(ask(&alice, "SEND bob hello bob %s", cookie), "OK 1");
    dump_to_file(3, text, sizeof text);
    EXPECT(strstr(text, "DUMP prints nothing") != NULL);
    EXPECT(strstr(text, "hello") == NULL && strchr(text, '\n') == text + strlen(text) - 1);
    end();
}

static void dump_prints_nothing_while_the_post_office_is_checked(void)
{
    static char text[4096];

    settings.dump_allowed = true;
    begin_with_two();
    EXPECT_STR(ask(&alice, "SEND bob hello bob %s", cookie), "OK 1");
    store_suspect(store);
    dump_to_file(3, text, sizeof text);
    EXPECT(strstr(text, "DUMP prints nothing") != NULL);
    EXPECT(strstr(text, "hello") == NULL && strchr(text, '\n') == text + strlen(text) - 1);
    end();
}

static void a_long_dump_is_written_whole(void)
{
    enum { MESSAGES = 400 };
    static char text[200000];
    char body[DUMP_TEXT_MAX + 2], expected[512];

    settings.dump_allowed = true;
    begin_with_two();
    memset(body, 'x', sizeof body);
    body[DUMP_TEXT_MAX + 1] = '\0';
    for (int i = 0; i < MESSAGES; i++) {
        EXPECT(strncmp(ask(&alice, "SEND bob %s %s", body, cookie), "OK ", 3) == 0);
    }
    for (int i = 0; i < PINS_MAX + 2; i++) {
        EXPECT_STR(ask(&bob, "MESSAGE %d %s", i, bobs), "OK");
    }
    dump_to_file(1, text, sizeof text);
    EXPECT(strstr(text, "IMQ bob: and ") != NULL);
    snprintf(expected, sizeof expected, "\nMBX bob: %d from alice, %d bytes: %.*s...\n", MESSAGES,
             DUMP_TEXT_MAX + 1, DUMP_TEXT_MAX, body);
    EXPECT(strstr(text, expected) != NULL);
    end();
}

static const struct harness_test tests[] = {
    {"GETMSG stays one line in LF framing", getmsg_stays_one_line_in_lf_framing},
    {"a line break across two pieces is one space", a_line_break_across_two_pieces_is_one_space},
    {"GETMSG is exact in NUL framing", getmsg_is_exact_in_nul_framing},
    {"FETCH is exact in LF framing", fetch_is_exact_in_lf_framing},
    {"LIST shows each message on one line", list_shows_each_message_on_one_line},
    {"a list is longer than its chunks", a_list_is_longer_than_its_chunks},
    {"DUMP prints queues and mailboxes without secrets", dump_prints_queues_and_mailboxes_without_secrets},
    {"DUMP prints nothing where it may not, and says so once", dump_prints_nothing_where_it_may_not},
    {"nor while the post office is checked", dump_prints_nothing_while_the_post_office_is_checked},
    {"a long DUMP is written whole", a_long_dump_is_written_whole},
};

HARNESS_MAIN(tests)
