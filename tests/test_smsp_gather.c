/* test_smsp_gather.c: SENDs that come together are published together, and nobody can tell: replies, their
 * order and what WHY says are those of requests that come one by one. */
#include "random.h"
#include "smsp_session.h"

enum { SEQUENCES = 30, REQUESTS = 200, QUOTA = 60 };

/* The same office twice: the one is asked for everything at once, the other waits for each reply. */
struct office {
    struct store *store;
    struct peer peer;
    char cookie[COOKIE_TEXT + 1], bobs[COOKIE_TEXT + 1];
    struct buffer said;
};

static struct office together, apart;

static void open_office(struct office *office, char terminator)
{
    *office = (struct office){.store = open_store()};
    connect_peer(office->store, &office->peer, terminator);
    enrol(&office->peer, "alice", office->cookie);
    enrol(&office->peer, "bob", office->bobs);
}

/* In it, $ stands for alice's cookie and % for bob's. */
static void write_request(struct office *office, const char *request)
{
    for (; *request != '\0'; request++) {
        const char *cookie = *request == '$' ? office->cookie : *request == '%' ? office->bobs : NULL;
        EXPECT(cookie != NULL ? buffer_append_text(&office->said, cookie)
                              : buffer_append(&office->said, request, 1));
    }
    EXPECT(buffer_append(&office->said, &office->peer.terminator, 1));
}

/* Mostly SENDs of one size, so that there are groups; of the others each may follow them. */
static const char *pick_request(void)
{
    static const char *const others[] = {
        "SEND bob %s $",
        "SEND nobody %s $",
        "SEND bob %s wrong",
        "SEND bob $",
        "SEND alice %s %",
        "COUNT bob %",
        "COUNT alice $",
        "GETMSG bob %",
        "DELMSG bob %",
        "DELMSG alice $",
        "WHY",
        "WHY",
        "WHY",
        "WHY",
        "MESSAGE %s $",
        "STORE bob $",
        "REMOVE bob 9 %",
        "NOOP",
        "NO SUCH VERB",
        "",
        "WAIT bob 1 1 %",
        "99 COUNT bob %",
        "5 REGISTER bob secret",
        "SEND b*b %s $",
        "LOGOUT wrong",
        "SEND bob %s%s $",
        "DELMSG bob wrong",
        "SEND BOB %s $",
    };
    static char request[6000];
    static char content[5000];
    static const size_t lengths[] = {1, 20, 30, 1000, 2400, 4200, 4999};
    const char *form = "SEND bob %s $";
    size_t length = 25;

    if (pick(4) == 0) {
        form = others[pick(sizeof others / sizeof others[0])];
    }
    if (pick(20) == 0) {
        length = lengths[pick(sizeof lengths / sizeof lengths[0])];
    }
    memset(content, 'a' + (int)pick(26), length);
    content[length] = '\0';
    char *out = request;
    for (; *form != '\0'; form++) {
        if (form[0] == '%' && form[1] == 's') {
            out = stpcpy(out, content);
            form++;
        } else {
            *out++ = *form;
        }
    }
    *out = '\0';
    return request;
}

static void replies_are_those_of_requests_that_come_one_by_one(void)
{
    char expected[sizeof together.peer.reply];
    size_t refused = 0, sent = 0;

    quota_messages = QUOTA;
    for (int sequence = 0; sequence < SEQUENCES; sequence++) {
        size_t starts[REQUESTS + 1] = {0};
        open_office(&together, sequence % 2 ? '\n' : '\0');
        open_office(&apart, sequence % 2 ? '\n' : '\0');
        for (int i = 0; i < REQUESTS; i++) {
            const char *request = pick_request();
            write_request(&together, request);
            write_request(&apart, request);
            starts[i + 1] = apart.said.length;
        }
        say_bytes(&together.peer, together.said.bytes, together.said.length);
        for (int i = 0; i < REQUESTS; i++) {
            say_bytes(&apart.peer, apart.said.bytes + starts[i], starts[i + 1] - starts[i]);
            (void)snprintf(expected, sizeof expected, "%s", hear(&apart.peer));
            if (strcmp(hear(&together.peer), expected) != 0) {
                harness_fail(__FILE__, __LINE__, "sequence %d, request %d, %.*s: \"%s\", not \"%s\"",
                             sequence, i, (int)(starts[i + 1] - starts[i] - 1), apart.said.bytes + starts[i],
                             together.peer.reply, expected);
            }
            refused += strcmp(expected, "KO") == 0;
            sent += strncmp(expected, "OK ", 3) == 0;
        }
        EXPECT_EQ(disconnect(&together.peer), 0);
        EXPECT_EQ(disconnect(&apart.peer), 0);
        EXPECT_EQ(store_check(together.store, NULL, NULL), 0);
        buffer_free(&together.said);
        buffer_free(&apart.said);
    }
    harness_say("%d requests: %zu done with a number, %zu refused", SEQUENCES * REQUESTS, sent, refused);
}

/* Nobody waits for the rest of a request that others have begun with, nor for the end of a batch. */
static void what_has_come_is_published_before_the_server_waits(void)
{
    char all[200];

    open_office(&together, '\n');
    int length =
        snprintf(all, sizeof all, "SEND bob a %s\nSEND bob b %s\nSEND bob", together.cookie, together.cookie);
    say_bytes(&together.peer, all, (size_t)length);
    EXPECT_STR(hear(&together.peer), "OK 1");
    EXPECT_STR(hear(&together.peer), "OK 2");
    EXPECT_STR(ask(&together.peer, " c %s", together.cookie), "OK 3");
    EXPECT_STR(ask(&together.peer, "COUNT bob %s", together.bobs), "COUNTED 3");
    EXPECT_EQ(disconnect(&together.peer), 0);
}

/* One who half-closes, or is cut off, has sent what he has sent. */
static void what_came_before_the_end_is_published(void)
{
    char all[200], *replies;

    open_office(&together, '\n');
    int length =
        snprintf(all, sizeof all, "SEND bob a %s\nSEND bob b %s\nSEND bob", together.cookie, together.cookie);
    (void)converse(together.store, all, (size_t)length, &replies);
    EXPECT_STR(replies, "OK 1\nOK 2\n");
    free(replies);
    length = snprintf(all, sizeof all, "SEND bob c %s\nSEND bob d %s\nQUIT\nSEND bob e %s\n", together.cookie,
                      together.cookie, together.cookie);
    (void)converse(together.store, all, (size_t)length, &replies);
    EXPECT_STR(replies, "OK 3\nOK 4\nOK\n");
    free(replies);
    EXPECT_STR(ask(&together.peer, "COUNT bob %s", together.bobs), "COUNTED 4");
    EXPECT_EQ(disconnect(&together.peer), 0);
}

static void one_that_is_refused_among_others_is_explained(void)
{
    char all[500], *replies;

    quota_messages = 2;
    open_office(&together, '\n');
    int length =
        snprintf(all, sizeof all, "SEND nobody a %s\nSEND bob b %s\nSEND bob c %s\nSEND bob d %s\nWHY\n",
                 together.cookie, together.cookie, together.cookie, together.cookie);
    (void)converse(together.store, all, (size_t)length, &replies);
    EXPECT_STR(replies, "KO\nOK 1\nOK 2\nKO\nOK the mailbox is full\n");
    free(replies);
    EXPECT_EQ(disconnect(&together.peer), 0);
}

static const struct harness_test tests[] = {
    {"replies are those of requests that come one by one",
     replies_are_those_of_requests_that_come_one_by_one},
    {"one that is refused among others is explained", one_that_is_refused_among_others_is_explained},
    {"what has come is published before the server waits",
     what_has_come_is_published_before_the_server_waits},
    {"what came before the end is published", what_came_before_the_end_is_published},
};

HARNESS_MAIN(tests)
