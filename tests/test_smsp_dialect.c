/* Tests of SMSP's checksum dialect, smsp(7), as the published client speaks it. */
#include "smsp_session.h"

/* As the published client adds up: over all that it sends after the first space, up to the NUL. */
static const char *ask_with_sum(struct peer *peer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static const char *ask_with_sum(struct peer *peer, const char *format, ...)
{
    char request[1024], with_sum[1100];
    unsigned sum = 0;
    va_list arguments;

    va_start(arguments, format);
    EXPECT((size_t)vsnprintf(request, sizeof request, format, arguments) < sizeof request);
    va_end(arguments);
    for (const char *byte = request; *byte != '\0'; byte++) {
        sum += (unsigned char)*byte;
    }
    int length = snprintf(with_sum, sizeof with_sum, "%u %s", sum % 13 % 17, request);
    say_bytes(peer, with_sum, (size_t)length + 1);
    const char *reply = hear(peer);
    const char *space = strchr(reply, ' ');
    EXPECT(space != NULL);
    sum = 0;
    for (const char *byte = space + 1; *byte != '\0'; byte++) {
        sum += (unsigned char)*byte;
    }
    char *end = NULL;
    EXPECT_EQ(strtoul(reply, &end, 10), sum % 13 % 17);
    EXPECT(end == space);
    return space + 1;
}

static void the_published_clients_dialogue_works(void)
{
    struct store *store = open_store();
    struct peer peer;
    char cookie[COOKIE_TEXT + 1], label[64];
    static const char *const requests[] = {
        "MESSAGE |hello world| %s ", "STORE alice %s ",  "COUNT alice %s ",     "GETMSG alice %s ",
        "DELMSG alice %s ",          "GETMSG alice %s ", "STORE alice %s ",     "DUMP alice %s ",
        "LOGOUT alice %s ",          "COUNT alice %s ",  "MESSAGE |again| %s ",
    };
    static const char *const replies[] = {"OK",
                                          "OK",
                                          "COUNTED 1",
                                          "hello world",
                                          "OK",
                                          "KO",
                                          "KO",
                                          "OK",
                                          "OK",
                                          "KO",
                                          "You should log in first."};

    connect_peer(store, &peer, '\0');
    const char *reply = ask_with_sum(&peer, "REGISTER alice secret ");
    EXPECT(strncmp(reply, "OK ", 3) == 0);
    keep_cookie(reply, cookie);
    EXPECT_STR(ask_with_sum(&peer, "REGISTER alice secret "), "KO");
    EXPECT_STR(ask_with_sum(&peer, "LOGIN alice wrong "), "KO");
    reply = ask_with_sum(&peer, "LOGIN alice secret ");
    EXPECT(strncmp(reply, "Cookie: ", 8) == 0);
    keep_cookie(reply, cookie);
    snprintf(label, sizeof label, "Cookie: %s", cookie);
    EXPECT_EQ(disconnect(&peer), 0);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        char request[256];
        const char *mark = strstr(requests[i], "%s");
        snprintf(request, sizeof request, "%.*s%s ", (int)(mark - requests[i]), requests[i], label);
        connect_peer(store, &peer, '\0');
        EXPECT_STR(ask_with_sum(&peer, "%s", request), replies[i]);
        EXPECT_EQ(disconnect(&peer), 0);
    }
}

static void the_dialect_has_its_variants(void)
{
    struct peer peer;
    char cookie[COOKIE_TEXT + 1], bobs[COOKIE_TEXT + 1];

    connect_peer(open_store(), &peer, '\0');
    keep_cookie(ask_with_sum(&peer, "REGISTER alice secret"), cookie);
    keep_cookie(ask_with_sum(&peer, "REGISTER bob secret"), bobs);
    EXPECT_STR(ask_with_sum(&peer, "COUNT alice %s", cookie), "COUNTED 0");
    EXPECT_STR(ask_with_sum(&peer, "COUNT alice Cookie: %s", cookie), "COUNTED 0");
    EXPECT_STR(ask_with_sum(&peer, "COUNT alice Cookie: %s  ", cookie), "KO");
    EXPECT_STR(ask_with_sum(&peer, "COUNT alice Cookie:"), "KO");
    EXPECT_STR(ask_with_sum(&peer, "COUNT alice Cookie: "), "KO");
    EXPECT_STR(ask_with_sum(&peer, "COUNT Cookie: %s ", cookie), "KO");
    EXPECT_STR(ask_with_sum(&peer, "COUNT bob Cookie: %s ", cookie), "KO");
    EXPECT_STR(ask_with_sum(&peer, "MESSAGE |a|b \n|c| Cookie: %s ", cookie), "OK");
    EXPECT_STR(ask_with_sum(&peer, "STORE alice@mail.localhost Cookie: %s ", cookie), "OK");
    EXPECT_STR(ask_with_sum(&peer, "GETMSG alice Cookie: %s ", cookie), "a|b \n|c");
    static const char *const contents[] = {"||", "|", "a", "|a", "a|", "x |a|", "|a| x", ""};
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        EXPECT_STR(ask_with_sum(&peer, "MESSAGE %s Cookie: %s ", contents[i], cookie), "KO");
    }
    EXPECT_STR(ask_with_sum(&peer, "MESSAGE |a| Cookie: wrong "), "You should log in first.");
    EXPECT_STR(ask_with_sum(&peer, "DUMP"), "OK");
    EXPECT_STR(ask_with_sum(&peer, "DUMP "), "OK");
    EXPECT_STR(ask_with_sum(&peer, "DUMP alice Cookie: wrong "), "OK");
    EXPECT_STR(ask_with_sum(&peer, "LOGOUT bob Cookie: %s ", cookie), "KO");
    EXPECT_STR(ask_with_sum(&peer, "LOGOUT alice bob Cookie: %s ", cookie), "KO");
    EXPECT_STR(ask_with_sum(&peer, "LOGOUT Cookie: %s ", cookie), "OK");
    EXPECT_STR(ask_with_sum(&peer, "LOGOUT %s", bobs), "OK");
    EXPECT_STR(ask_with_sum(&peer, "LOGOUT bob Cookie: %s ", bobs), "KO");
    EXPECT_STR(ask_with_sum(&peer, " "), "KO");
    EXPECT_STR(ask_with_sum(&peer, "%s", ""), "KO");
    EXPECT_EQ(disconnect(&peer), 0);
}

/* What a request does not name is still that of the one before. */
static void each_request_has_its_own_arguments(void)
{
    struct peer peer;
    char cookie[COOKIE_TEXT + 1], expected[32];

    connect_peer(open_store(), &peer, '\0');
    keep_cookie(ask_with_sum(&peer, "REGISTER alice secret "), cookie);
    for (int i = 1; i <= 3; i++) {
        EXPECT_STR(ask_with_sum(&peer, "MESSAGE |letter %d| Cookie: %s ", i, cookie), "OK");
        EXPECT_STR(ask_with_sum(&peer, "MESSAGE || Cookie: %s ", cookie), "KO");
        EXPECT_STR(ask_with_sum(&peer, "STORE alice Cookie: %s ", cookie), "OK");
        EXPECT_STR(ask_with_sum(&peer, "STORE Cookie: %s ", cookie), "KO");
    }
    for (int i = 1; i <= 3; i++) {
        snprintf(expected, sizeof expected, "letter %d", i);
        EXPECT_STR(ask_with_sum(&peer, "GETMSG alice Cookie: %s ", cookie), expected);
        EXPECT_STR(ask_with_sum(&peer, "DELMSG alice Cookie: %s ", cookie), "OK");
    }
    EXPECT_STR(ask_with_sum(&peer, "GETMSG alice Cookie: %s ", cookie), "KO");
    EXPECT_EQ(disconnect(&peer), 0);
}

static void the_extensions_are_not_part_of_the_dialect(void)
{
    static const char *const extensions[] = {
        "WHY",
        "SEND alice x %s",
        "LIST alice %s",
        "FETCH alice 1 %s",
        "REMOVE alice 1 %s",
        "WAIT alice 0 0 %s",
        "PASSWD alice secret new",
        "UNREGISTER alice secret",
        "HELP",
        "NOOP",
        "QUIT",
    };
    struct peer peer;
    char cookie[COOKIE_TEXT + 1];

    connect_peer(open_store(), &peer, '\0');
    keep_cookie(ask_with_sum(&peer, "REGISTER alice secret"), cookie);
    for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++) {
        char request[256];
        const char *mark = strstr(extensions[i], "%s");
        int before = (int)(mark != NULL ? (size_t)(mark - extensions[i]) : strlen(extensions[i]));
        snprintf(request, sizeof request, "%.*s%s", before, extensions[i], mark != NULL ? cookie : "");
        EXPECT_STR(ask_with_sum(&peer, "%s", request), "KO");
        EXPECT_STR(ask_with_sum(&peer, "%s ", request), "KO");
    }
    EXPECT_STR(ask(&peer, "WHY"), "OK no such verb, try HELP"); /* without a sum they are understood */
    EXPECT_STR(ask(&peer, "SEND alice x %s", cookie), "OK 1");
    EXPECT_EQ(disconnect(&peer), 0);
}

static void a_wrong_sum_changes_nothing(void)
{
    static const char *const sums[] = {"1", "12", "13", "99999999999999999999999999", "18446744073709551615"};
    struct peer peer;

    connect_peer(open_store(), &peer, '\0');
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
        /* The request adds up to 1833, which leaves 0. */
        EXPECT_STR(ask(&peer, "%s REGISTER alice secret", sums[i]), "6 Error, resend the message.");
        EXPECT_STR(ask(&peer, "WHY"), "OK the sum of the request was wrong");
    }
    EXPECT_STR(ask(&peer, "LOGIN alice secret"), "KO");
    EXPECT_STR(ask(&peer, "12"), "KO");
    EXPECT_STR(ask(&peer, "12x NOOP"), "KO");
    EXPECT_STR(ask(&peer, " 12 NOOP"), "KO");
    EXPECT(strncmp(ask(&peer, "0 REGISTER alice secret"), "KO", 2) != 0);
    EXPECT_EQ(disconnect(&peer), 0);
}

static const struct harness_test tests[] = {
    {"the published client's dialogue works", the_published_clients_dialogue_works},
    {"the dialect has its variants", the_dialect_has_its_variants},
    {"each request has its own arguments", each_request_has_its_own_arguments},
    {"the extensions are not part of the dialect", the_extensions_are_not_part_of_the_dialect},
    {"a wrong sum changes nothing", a_wrong_sum_changes_nothing},
};

HARNESS_MAIN(tests)
