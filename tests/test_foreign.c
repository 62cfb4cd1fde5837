/* test_foreign.c: somebody else's mail, asked for by every verb of both protocols and in every framing, with
 * every kind of cookie and password that is not the right one: not a byte of it comes, and none of it
 * changes. */
#include "layout.h"
#include "password.h"
#include "queue.h"
#include "smsp_frame.h"
#include "smsp_session.h"

#define TREASURE "TREASURE"

static struct store *store;
static struct peer victim;
static account_t account; /* the victim's */
static char right[COOKIE_TEXT + 1], mallorys[COOKIE_TEXT + 1];

/* What stands where the right cookie should. */
struct wrong {
    const char *name;
    char text[2 * COOKIE_TEXT + 8];
    size_t length;
    bool is_absent;
    bool is_sound; /* for verbs that act for the cookie's own account, or whose content takes what is before
                      it */
};

enum { WRONGS_MAX = 64 };
static struct wrong wrongs[WRONGS_MAX];
static size_t wrong_count;

static struct wrong *add(const char *name, const char *text, size_t length)
{
    struct wrong *wrong = &wrongs[wrong_count++];
    EXPECT(wrong_count <= WRONGS_MAX && length < sizeof wrong->text);
    wrong->name = name;
    memcpy(wrong->text, text, length);
    wrong->length = length;
    return wrong;
}

static void add_text(const char *name, const char *text)
{
    add(name, text, strlen(text));
}

/* A cookie of the victim that has ended in one of three ways. */
static void add_ended(void)
{
    char cookie[COOKIE_TEXT + 1];
    struct session session = {0};
    keep_cookie(ask(&victim, "LOGIN victim treasure-key"), cookie);
    EXPECT_STR(ask(&victim, "LOGOUT %s", cookie), "OK");
    add_text("ended", cookie);
    keep_cookie(ask(&victim, "LOGIN victim treasure-key"), cookie);
    EXPECT_EQ(cookie_verify(store, cookie, COOKIE_TEXT, &session), STATUS_OK);
    session_at(store, session.index)->opened -= 2000;
    add_text("expired", cookie);
    enrol(&victim, "gone", cookie);
    EXPECT_STR(ask(&victim, "UNREGISTER gone secret"), "OK");
    add_text("of a removed account", cookie);
}

static void add_nearly_right(void)
{
    static const size_t places[] = {0, 1, 20, COOKIE_TEXT - 2};
    char text[sizeof wrongs[0].text];
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        memcpy(text, right, sizeof right);
        text[places[i]] = right[places[i]] == 'A' ? 'B' : 'A';
        add_text("one letter wrong", text);
    }
    memcpy(text, right, sizeof right);
    for (const char *last = "AEIMQUYcgkosw048"; *last != '\0'; last++)
        if (*last != right[COOKIE_TEXT - 1] && (text[COOKIE_TEXT - 1] = *last) != '\0')
            add_text("the last letter wrong", text);
    text[COOKIE_TEXT - 1]++; /* differs in bits that stand for nothing */
    add_text("another form of a last letter", text);
    add("too short", right, COOKIE_TEXT - 1);
    add("without its first letter", right + 1, COOKIE_TEXT - 1);
    snprintf(text, sizeof text, "%sA", right);
    add_text("too long", text);
    snprintf(text, sizeof text, "%s%s", right, right);
    add_text("twice", text);
    snprintf(text, sizeof text, "%s=", right);
    add_text("with padding", text);
    snprintf(text, sizeof text, "%s ", right);
    add_text("with a space behind it", text);
    snprintf(text, sizeof text, " %s", right);
    add("with a space before it", text, strlen(text))->is_sound = true;
    snprintf(text, sizeof text, "%s %s", mallorys, right);
    add("behind another one", text, strlen(text))->is_sound = true;
    memcpy(text, right, sizeof right);
    add("with a NUL in it", right, COOKIE_TEXT)->text[10] = '\0';
    memcpy(text, right, COOKIE_TEXT);
    memcpy(text + COOKIE_TEXT, "\0A", 2);
    add("right up to a NUL", text, COOKIE_TEXT + 2);
}

static void print_finding(void *context, const char *finding)
{
    (void)context;
    printf("%s\n", finding);
}

static void begin(void)
{
    settings.message_limit = 4096;
    store = open_store();
    store->sessions_per_account = 8;
    store->session_age = 1000;
    EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
    connect_peer(store, &victim, '\n');
    keep_cookie(ask(&victim, "REGISTER victim treasure-key"), right);
    enrol(&victim, "mallory", mallorys);
    for (int i = 1; i <= 2; i++)
        EXPECT(strncmp(ask(&victim, "SEND victim %s %d %s", TREASURE, i, right), "OK", 2) == 0);
    EXPECT_STR(ask(&victim, "MESSAGE %s queued %s", TREASURE, right), "OK");
    EXPECT_EQ(account_find(store, "victim", 6, &account), STATUS_OK);
    add("none", "", 0)->is_absent = true;
    add("empty", "", 0);
    add("another account's", mallorys, COOKIE_TEXT)->is_sound = true;
    add_text("the user's name", "victim");
    add_text("the password", "treasure-key");
    add_text("zeroes", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    add_ended();
    add_nearly_right();
}

static void end(void)
{
    EXPECT_STR(ask(&victim, "COUNT victim %s", right), "COUNTED 2");
    EXPECT_STR(ask(&victim, "GETMSG victim %s", right), TREASURE " 1");
    EXPECT_EQ(mailbox_count(store, account), 2);
    EXPECT_EQ(queue_count(store, account), 1);
    EXPECT_EQ(disconnect(&victim), 0);
    EXPECT_EQ(store_check(store, print_finding, NULL), 0);
    store_detach(store);
}

/* ---- SMSP ---- */

static const struct {
    const char *request; /* the cookie follows */
    bool is_own;         /* acts for the cookie's account alone, whoever that is */
    bool in_dialect;
} verbs[] = {
    {"COUNT victim", false, true},     {"GETMSG victim", false, true},   {"DELMSG victim", false, true},
    {"LIST victim", false, false},     {"FETCH victim 1", false, false}, {"REMOVE victim 1", false, false},
    {"WAIT victim 1 0", false, false}, {"STORE mallory", false, true},   {"LOGOUT", true, true},
    {"LOGOUT victim", false, true},    {"MESSAGE |x|", true, true},      {"MESSAGE x", true, false},
    {"SEND mallory x", true, false},
};

enum framing { BY_LINES, BY_NULS, BY_SUMS, FRAMINGS };

static void append_request(struct buffer *out, enum framing framing, const char *request,
                           const struct wrong *wrong)
{
    struct buffer text = {0};
    buffer_append_text(&text, request);
    if (!wrong->is_absent) {
        buffer_append_text(&text, framing == BY_SUMS ? " Cookie: " : " ");
        buffer_append(&text, wrong->text, wrong->length);
    }
    if (framing == BY_SUMS) {
        buffer_append_byte(&text, ' ');
        buffer_print(out, "%d ", (int)smsp_sum_end(smsp_sum_add(0, text.bytes, text.length)));
    }
    buffer_append(out, text.bytes, text.length);
    buffer_append_byte(out, framing == BY_LINES ? '\n' : '\0');
    buffer_free(&text);
}

/* Every reply is a refusal, with a sum or without. */
static void expect_refusals(const char *replies, size_t length, char terminator, const struct wrong *wrong,
                            size_t least)
{
    size_t count = 0;
    EXPECT(memmem(replies, length, TREASURE, sizeof TREASURE - 1) == NULL);
    for (const char *at = replies; at < replies + length; count++) {
        const char *stop = memchr(at, terminator, (size_t)(replies + length - at));
        EXPECT(stop != NULL);
        const char *word = at + strspn(at, "0123456789 ");
        size_t word_length = (size_t)(stop - word);
        bool refused = (word_length == 2 && memcmp(word, "KO", 2) == 0) ||
                       (word_length == 24 && memcmp(word, "You should log in first.", 24) == 0);
        if (!refused)
            harness_fail(__FILE__, __LINE__, "cookie %s: reply %zu is %.*s", wrong->name, count,
                         (int)(stop - at), at);
        at = stop + 1;
    }
    EXPECT(count >= least);
}

static void no_wrong_cookie_opens_a_mailbox(void)
{
    size_t asked = 0;
    begin();
    for (size_t w = 0; w < wrong_count; w++) {
        for (enum framing framing = BY_LINES; framing < FRAMINGS; framing++) {
            struct buffer requests = {0};
            char *replies;
            size_t count = 0;
            if (framing != BY_LINES && memchr(wrongs[w].text, '\0', wrongs[w].length) != NULL)
                continue; /* a NUL ends the request there */
            if (framing == BY_LINES)
                buffer_append_text(&requests, "QUERY\n"); /* a KO, and the framing is that of lines */
            for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
                if ((framing == BY_SUMS && !verbs[i].in_dialect) || (wrongs[w].is_sound && verbs[i].is_own))
                    continue;
                append_request(&requests, framing, verbs[i].request, &wrongs[w]);
                count++;
            }
            size_t length = converse(store, requests.bytes, requests.length, &replies);
            expect_refusals(replies, length, framing == BY_LINES ? '\n' : '\0', &wrongs[w], count);
            asked += count;
            free(replies);
            buffer_free(&requests);
        }
    }
    harness_say("%zu requests with %zu kinds of wrong cookies", asked, wrong_count);
    end();
}

/* A connection that has verified one cookie answers to no other. */
static void a_connection_that_is_let_in_opens_no_other_mailbox(void)
{
    struct peer mallory;
    begin();
    connect_peer(store, &mallory, '\n');
    for (size_t w = 0; w < wrong_count; w++) {
        const struct wrong *wrong = &wrongs[w];
        if (memchr(wrong->text, '\0', wrong->length) != NULL || wrong->is_absent)
            continue;
        EXPECT_STR(ask(&mallory, "COUNT mallory %s", mallorys), "COUNTED 0");
        EXPECT_STR(ask(&mallory, "GETMSG victim %s", wrong->text), "KO");
        EXPECT_STR(ask(&mallory, "COUNT victim %s", wrong->text), "KO");
        EXPECT_STR(ask(&mallory, "STORE mallory %s", wrong->text), "KO");
    }
    EXPECT_STR(ask(&mallory, "COUNT victim %s", right), "COUNTED 2");
    EXPECT_STR(ask(&mallory, "GETMSG victim %s", mallorys), "KO");
    EXPECT_EQ(disconnect(&mallory), 0);
    end();
}

/* ---- Message ---- */

static void append_frame(struct buffer *out, uint32_t type, const char *body)
{
    size_t length = strlen(body);
    const uint32_t numbers[] = {type, (uint32_t)length};
    for (size_t i = 0; i < 8; i++)
        buffer_append_byte(out, (char)(numbers[i / 4] >> (24 - 8 * (i % 4))));
    buffer_append_text(out, body);
}

/* Everything that needs entry, by one who may have said something before. */
static void expect_no_mail(const char *first)
{
    static const char *const bodies[] = {
        NULL,
        "{\"to\": \"mallory@mail.localhost\", \"header\": \"x\", \"text\": \"x\"}",
        "null",
        "{\"index\": \"1\"}",
        "{\"index\": 1}",
        NULL,
        "{\"count\": 1, \"timeout\": 0}"};
    struct buffer frames = {0};
    char *replies;
    size_t count = 0;
    if (first != NULL) {
        append_frame(&frames, 0, first);
        count++;
    }
    for (uint32_t type = 1; type < sizeof bodies / sizeof bodies[0]; type++) {
        if (bodies[type] != NULL) {
            append_frame(&frames, type, bodies[type]);
            count++;
        }
    }
    size_t length = converse(store, frames.bytes, frames.length, &replies), at = 0;
    EXPECT(memmem(replies, length, TREASURE, sizeof TREASURE - 1) == NULL);
    for (; at + 8 <= length; count--) {
        if (memcmp(replies + at, "\xff\xff\xff\xfe", 4) != 0)
            harness_fail(__FILE__, __LINE__, "after %s: no error but %.*s", first != NULL ? first : "nothing",
                         (int)(length - at - 8), replies + at + 8);
        at += 8 + ((size_t)(unsigned char)replies[at + 6] << 8 | (unsigned char)replies[at + 7]);
    }
    EXPECT_EQ(at, length);
    EXPECT_EQ(count, 0);
    free(replies);
    buffer_free(&frames);
}

static void no_wrong_password_enters_a_name(void)
{
    struct account_secret secret;
    char body[1024],
        *passwords[] = {
            "",        "treasure-ke",         "treasure-key ", "TREASURE-KEY", "treasure-key\\u0000",
            "\\u0000", "treasure-key\\u0000x"};
    begin();
    expect_no_mail(NULL);
    expect_no_mail("{\"name\": \"victim@mail.localhost\"}");
    expect_no_mail("{\"name\": \"VICTIM@mail.localhost\", \"password\": null}");
    expect_no_mail("{\"name\": \"victim@mail.localhost\", \"password\": 0}");
    expect_no_mail(
        "{\"name\": \"victim@mail.localhost\", \"password\": \"x\", \"password\": \"treasure-key\"}");
    expect_no_mail("{\"name\": \"victim\", \"password\": \"treasure-key\"}");
    for (size_t i = 0; i < sizeof passwords / sizeof passwords[0]; i++) {
        snprintf(body, sizeof body, "{\"name\": \"victim@mail.localhost\", \"password\": \"%s\"}",
                 passwords[i]);
        expect_no_mail(body);
    }
    EXPECT_EQ(account_secret(store, "victim", 6, &secret), STATUS_OK);
    snprintf(body, sizeof body, "{\"name\": \"victim@mail.localhost\", \"password\": \"%s\"}", secret.hash);
    expect_no_mail(body);
    snprintf(body, sizeof body, "{\"name\": \"victim@mail.localhost\", \"password\": \"%s\"}", right);
    expect_no_mail(body);
    snprintf(body, sizeof body, "{\"name\": \"victim@mail.localhost\", \"password\": \"%0*d\"}",
             PASSWORD_MAX + 1, 0);
    expect_no_mail(body);
    end();
}

static void an_entered_name_opens_its_own_mailbox_only(void)
{
    struct buffer frames = {0};
    char *replies;
    begin();
    append_frame(&frames, 0, "{\"name\": \"mallory@mail.localhost\", \"password\": \"secret\"}");
    append_frame(&frames, 2, "null");
    append_frame(&frames, 3, "{\"index\": \"1\"}");
    append_frame(&frames, 3, "{\"index\": \"1\", \"name\": \"victim@mail.localhost\"}");
    append_frame(&frames, 4, "{\"index\": \"1\"}");
    append_frame(&frames, 2, "{\"name\": \"victim@mail.localhost\"}");
    append_frame(&frames, 0, "{\"name\": \"victim@mail.localhost\", \"password\": \"wrong\"}");
    append_frame(&frames, 2, "null");
    size_t length = converse(store, frames.bytes, frames.length, &replies);
    EXPECT(length > 0 && memmem(replies, length, "[]", 2) != NULL);
    EXPECT(memmem(replies, length, TREASURE, sizeof TREASURE - 1) == NULL);
    free(replies);
    buffer_free(&frames);
    end();
}

static const struct harness_test tests[] = {
    {"no wrong cookie opens a mailbox, by any verb and framing", no_wrong_cookie_opens_a_mailbox},
    {"a connection that is let in opens no other mailbox",
     a_connection_that_is_let_in_opens_no_other_mailbox},
    {"no wrong password enters a name", no_wrong_password_enters_a_name},
    {"an entered name opens its own mailbox only", an_entered_name_opens_its_own_mailbox_only},
};

HARNESS_MAIN(tests)
