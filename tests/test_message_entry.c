/* test_message_entry.c: who may enter which name: names and their forms, one connection at a time, passwords
 * with open entry and without. */
#include "account.h"
#include "clock.h"
#include "message_client.h"
#include "password.h"

#define ENTER(name) "{\"name\": \"" name "\"}"
#define ENTER_WITH(name, password) "{\"name\": \"" name "\", \"password\": \"" password "\"}"

#define WRONG "\"Wrong name or password\""
#define REQUIRED "\"A password is required\""

static void names(void)
{
    static const char *const wrong[] = {"",     "a",       "alice",        "a@b",      "@b.c",    "a@.c",
                                        "a@b.", "a@b c.d", " a@b.c",       "a@b.c\\n", "a@b@c.d", "a@b.c-",
                                        "a@-",  "a@b.c.",  "a\\u0000@b.c", "a+b@c.d"};
    static const char *const right[] = {"a@b.c", "a-b._c@d-e.f.g", "1@2.3", "\\u00e9@\\u00e9.\\u00e9",
                                        "_@_._"};
    struct client client = connect_client();
    char body[512];

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(body, sizeof body, "{\"name\": \"%s\"}", wrong[i]);
        ASK_ERROR(client, ENTRY, body,
                  strstr(wrong[i], "u0000") != NULL
                      ? "\"Member name contains U+0000\""
                      : "\"Invalid name, expected something@something.something\"");
    }
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        snprintf(body, sizeof body, "{\"name\": \"%s\"}", right[i]);
        ASK_OK(client, ENTRY, body);
    }
}

static void longest_name(void)
{
    struct client client = connect_client();
    char name[512], body[600];

    memset(name, 'a', sizeof name);
    memcpy(name, "a@b.", 4);
    snprintf(body, sizeof body, "{\"name\": \"%.254s\"}", name);
    ASK_OK(client, ENTRY, body);
    snprintf(body, sizeof body, "{\"name\": \"%.255s\"}", name);
    ASK_ERROR(client, ENTRY, body, "\"Member name is over the limit of 254 bytes\"");
    snprintf(body, sizeof body, "{\"to\": \"%.255s\", \"header\": \"\", \"text\": \"\"}", name);
    ASK_ERROR(client, SEND, body, "\"Member to is over the limit of 254 bytes\"");
}

static void one_connection_at_a_time(void)
{
    struct client client = connect_client(), other = connect_client();

    ASK_OK(client, ENTRY, ENTER("a@b.c"));
    ASK_ERROR(other, ENTRY, ENTER("a@b.c"), IN_USE);
    ASK_ERROR(other, ENTRY, ENTER("A@B.C"), IN_USE);
    ASK_ERROR(other, MAILBOX, "null", LOG_IN_FIRST);
    ASK(client, MAILBOX, "null", MAILBOX, "[]");
    ASK_OK(other, ENTRY, ENTER("d@e.f"));
    ASK_ERROR(client, ENTRY, ENTER("d@e.f"), IN_USE);
    ASK_OK(client, SEND, "{\"to\": \"a@b.c\", \"header\": \"still\", \"text\": \"here\"}");
    ASK_OK(client, ENTRY, ENTER("a@b.c"));
    ASK_OK(client, ENTRY, ENTER("g@h.i"));
    ASK_OK(other, ENTRY, ENTER("a@b.c"));
    ASK_OK(client, ENTRY, ENTER("d@e.f"));
    ASK(other, OPEN, "{\"index\": 1}", OPEN,
        "{\"id\": 1, \"source\": \"a@b.c\", \"destination\": \"a@b.c\", \"header\": \"still\", \"text\": \"here\"}");
}

/* A client that comes back at once must not meet its own shadow, which may not yet know that it is one. */
static void close_frees_the_name(void)
{
    struct client client = connect_client();

    ASK_OK(client, ENTRY, ENTER("a@b.c"));
    for (int i = 1; i < 50; i++) {
        struct client next = connect_client();
        ASK_ERROR(next, MAILBOX, "null", LOG_IN_FIRST); /* so that it is up and waiting */
        send_frame(next, ENTRY, ENTER("a@b.c"));
        disconnect(client);
        EXPECT_OK(next);
        client = next;
    }
}

static void quit_frees_the_name(void)
{
    struct client client = connect_client();

    ASK_OK(client, ENTRY, ENTER("a@b.c"));
    send_frame(client, QUIT, "null");
    expect_closed(client);
    ASK_OK(connect_client(), ENTRY, ENTER("a@b.c"));
}

static void death_frees_the_name(void)
{
    struct client client = connect_client();

    ASK_OK(client, ENTRY, ENTER("a@b.c"));
    EXPECT_EQ(kill(client.server, SIGKILL), 0);
    ASK_OK(connect_client(), ENTRY, ENTER("a@b.c"));
}

static void waiting_client_frees_the_name(void)
{
    struct client client = connect_client();

    ASK_OK(client, ENTRY, ENTER("a@b.c"));
    send_frame(client, WAIT, "{\"count\": 1, \"timeout\": 50}");
    disconnect(client);
    ASK_OK(connect_client(), ENTRY, ENTER("a@b.c"));
}

static void termination_frees_the_name(void)
{
    struct client client = connect_client();

    ASK_OK(client, ENTRY, ENTER("a@b.c"));
    send_frame(client, WAIT, "{\"count\": 1, \"timeout\": 50}");
    EXPECT_EQ(kill(client.server, SIGTERM), 0);
    expect_closed(client);
    ASK_OK(connect_client(), ENTRY, ENTER("a@b.c"));
}

static void remove_account(const char *name)
{
    struct account_secret secret;

    EXPECT_EQ(account_secret(store, name, strlen(name), &secret), STATUS_OK);
    EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
}

static void removed_account(void)
{
    struct client client = connect_client(), other = connect_client();

    ASK_OK(client, ENTRY, ENTER("a@b.c"));
    remove_account("a@b.c");
    ASK_ERROR(client, MAILBOX, "null", LOG_IN_FIRST);
    ASK_ERROR(client, SEND, "{\"to\": \"a@b.c\", \"header\": \"\", \"text\": \"\"}", LOG_IN_FIRST);
    ASK_OK(client, ENTRY, ENTER("A@b.c"));
    ASK_OK(client, SEND, "{\"to\": \"a@b.c\", \"header\": \"\", \"text\": \"\"}");

    send_frame(client, WAIT, "{\"count\": 2, \"timeout\": 50}");
    ASK_OK(other, ENTRY, ENTER("d@e.f")); /* the wait has begun, or begins with an account that is gone */
    remove_account("a@b.c");
    EXPECT_REPLY(client, ERROR, LOG_IN_FIRST);
    ASK_ERROR(other, SEND, "{\"to\": \"a@b.c\", \"header\": \"\", \"text\": \"\"}",
              "\"Invalid destination address\"");
}

/* As shmailctl does it. */
static void change_password(const char *name, const char *password)
{
    struct account_secret secret;
    char hash[HASH_MAX + 1];

    EXPECT_EQ(account_secret(store, name, strlen(name), &secret), STATUS_OK);
    EXPECT_EQ(password_hash(store, password, strlen(password), hash), STATUS_OK);
    EXPECT_EQ(account_change_hash(store, &secret, hash), STATUS_OK);
    account_end_sessions(store, secret.account);
}

static void changed_password(void)
{
    struct client client = connect_client(), other = connect_client();

    ASK_OK(client, ENTRY, ENTER_WITH("a@b.c", "first"));
    change_password("a@b.c", "second");
    ASK_OK(other, ENTRY, ENTER_WITH("a@b.c", "second"));
    ASK_ERROR(client, MAILBOX, "null", LOG_IN_FIRST);
    ASK_ERROR(client, ENTRY, ENTER_WITH("a@b.c", "first"), WRONG);
    ASK(other, MAILBOX, "null", MAILBOX, "[]");
    disconnect(client); /* which frees no name of another's */
    ASK_ERROR(connect_client(), ENTRY, ENTER_WITH("a@b.c", "second"), IN_USE);
    EXPECT_EQ(store_check(store, NULL, NULL), 0);
}

static bool somebody_waits(void)
{
    struct store_process process;

    for (uint32_t slot = 0; store_next_process(store, &slot, &process);)
        if (process.waiting)
            return true;
    return false;
}

static void changed_password_while_waiting(void)
{
    struct client client = connect_client();

    ASK_OK(client, ENTRY, ENTER_WITH("a@b.c", "first"));
    send_frame(client, WAIT, "{\"count\": 1, \"timeout\": 50}");
    while (!somebody_waits())
        poll(NULL, 0, 1);
    change_password("a@b.c", "second");
    int64_t changed = clock_now();
    EXPECT_REPLY(client, ERROR, LOG_IN_FIRST);
    EXPECT(clock_now() - changed < NANOSECONDS_PER_SECOND / 2); /* not woken it looks after a second */
    ASK_ERROR(client, MAILBOX, "null", LOG_IN_FIRST);
    ASK_OK(client, ENTRY, ENTER_WITH("a@b.c", "second"));

    /* So too where the mail is there before he looks. */
    struct client other = connect_client();
    send_frame(client, WAIT, "{\"count\": 1, \"timeout\": 50}");
    while (!somebody_waits())
        poll(NULL, 0, 1);
    EXPECT_EQ(kill(client.server, SIGSTOP), 0);
    change_password("a@b.c", "third");
    ASK_OK(other, ENTRY, ENTER("d@e.f"));
    ASK_OK(other, SEND, "{\"to\": \"a@b.c\", \"header\": \"\", \"text\": \"\"}");
    EXPECT_EQ(kill(client.server, SIGCONT), 0);
    EXPECT_REPLY(client, ERROR, LOG_IN_FIRST);
}

/* The record of a removed account may be another's by the time that its last owner enters a name again. */
static void reused_record(void)
{
    struct client client = connect_client(), other = connect_client(), third = connect_client();

    ASK_OK(client, ENTRY, ENTER("a@b.c"));
    remove_account("a@b.c");
    ASK_OK(other, ENTRY, ENTER("d@e.f"));
    ASK_OK(client, ENTRY, ENTER("g@h.i"));
    ASK_ERROR(third, ENTRY, ENTER("d@e.f"), IN_USE);
    ASK(other, MAILBOX, "null", MAILBOX, "[]");
}

static void open_entry(void)
{
    struct client client = connect_client(), other = connect_client();

    ASK_OK(client, ENTRY, ENTER_WITH("with@pass.word", "secret"));
    ASK_OK(client, ENTRY, ENTER("without@pass.word"));
    ASK_OK(client, ENTRY, ENTER_WITH("without@pass.word", "ignored"));
    ASK_ERROR(other, ENTRY, ENTER("with@pass.word"), REQUIRED);
    ASK_ERROR(other, ENTRY, ENTER_WITH("with@pass.word", "Secret"), WRONG);
    ASK_ERROR(other, ENTRY, ENTER_WITH("with@pass.word", "secre"), WRONG);
    ASK_OK(other, ENTRY, ENTER_WITH("WITH@pass.word", "secret"));
    ASK_ERROR(client, ENTRY, ENTER("with@pass.word"), REQUIRED); /* not a word of its being in use */
    ASK_ERROR(client, ENTRY, ENTER_WITH("with@pass.word", "wrong"), WRONG);
    ASK_ERROR(client, ENTRY, ENTER_WITH("with@pass.word", "secret"), IN_USE);
}

static void closed_entry(void)
{
    account_t account;

    settings.require_password = true;
    open_store(64 << 20);
    EXPECT_EQ(account_create(store, "open@pass.word", 14, NULL, &account, NULL), STATUS_OK);
    struct client client = connect_client();
    ASK_ERROR(client, ENTRY, ENTER("open@pass.word"), REQUIRED);
    ASK_ERROR(client, ENTRY, ENTER_WITH("open@pass.word", "any"), WRONG);
    ASK_ERROR(client, ENTRY, ENTER("new@pass.word"), REQUIRED);
    EXPECT_EQ(account_find(store, "new@pass.word", 13, &account), STATUS_NO_ACCOUNT);
    ASK_OK(client, ENTRY, ENTER_WITH("new@pass.word", "first"));
    ASK_ERROR(client, ENTRY, ENTER_WITH("new@pass.word", "second"), WRONG);
    ASK_OK(client, ENTRY, ENTER_WITH("new@pass.word", "first"));
    ASK_ERROR(client, ENTRY, ENTER("new@pass.word"), REQUIRED);
}

static void forms_of_a_password(void)
{
    static const char *const wrong[] = {"\"\"", "\" \"", "\"a b\""};
    struct client client = connect_client();
    char body[512], password[300];

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(body, sizeof body, "{\"name\": \"a@b.c\", \"password\": %s}", wrong[i]);
        ASK_ERROR(client, ENTRY, body, "\"A password has 1 to 256 bytes and no space\"");
    }
    ASK_ERROR(client, ENTRY, ENTER_WITH("a@b.c", "\\u0000"), "\"Member password contains U+0000\"");
    ASK_ERROR(client, ENTRY, "{\"name\": \"a@b.c\", \"password\": null}",
              "\"Member password must be a string\"");
    ASK_ERROR(client, ENTRY, "{\"name\": \"a@b.c\", \"password\": 1234}",
              "\"Member password must be a string\"");
    memset(password, 'p', sizeof password);
    snprintf(body, sizeof body, "{\"name\": \"a@b.c\", \"password\": \"%.257s\"}", password);
    ASK_ERROR(client, ENTRY, body, "\"Member password is over the limit of 256 bytes\"");
    ASK_ERROR(client, MAILBOX, "null", LOG_IN_FIRST);
    snprintf(body, sizeof body, "{\"name\": \"a@b.c\", \"password\": \"%.256s\"}", password);
    ASK_OK(client, ENTRY, body);
    ASK_OK(client, ENTRY, ENTER_WITH("\\u0061@b.d", "\\u043f\xD0\xBF"));
    ASK_OK(client, ENTRY, ENTER_WITH("a@b.d", "\xD0\xBF\xD0\xBF"));
}

static void local_accounts(void)
{
    struct client client = connect_client(), smsp = connect_client();

    EXPECT(strncmp(ask_smsp(smsp, "REGISTER Alice secret"), "OK ", 3) == 0);
    ASK_ERROR(client, ENTRY, ENTER("alice@mail.localhost"), REQUIRED);
    ASK_ERROR(client, ENTRY, ENTER_WITH("alice@mail.localhost", "other"), WRONG);
    ASK_OK(client, ENTRY, ENTER_WITH("ALICE@Mail.LocalHost", "secret"));
    ASK_OK(client, SEND, "{\"to\": \"alice@MAIL.localhost\", \"header\": \"h\", \"text\": \"t\"}");
    ASK(client, OPEN, "{\"index\": 1}", OPEN,
        "{\"id\": 1, \"source\": \"Alice@mail.localhost\", \"destination\": \"Alice@mail.localhost\", "
        "\"header\": \"h\", \"text\": \"t\"}");
    ASK_OK(client, ENTRY, ENTER_WITH("bob@mail.localhost", "secret"));
    EXPECT(strncmp(ask_smsp(smsp, "LOGIN bob secret"), "OK ", 3) == 0);
    ASK_OK(client, ENTRY, ENTER("carol@mail.localhost"));
    EXPECT_STR(ask_smsp(smsp, "REGISTER carol secret"), "KO");
}

/* Many clients with one new name: it is made once, and entered once. */
static void race_for_a_new_name(void)
{
    struct client clients[CLIENTS_MAX];
    static char body[REPLY_MAX + 1];
    int entered = 0;

    for (size_t i = 0; i < CLIENTS_MAX; i++)
        clients[i] = connect_client();
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        send_frame(clients[i], ENTRY, ENTER_WITH("a@b.c", "secret"));
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (receive(clients[i], body) == 0)
            entered++;
        else
            EXPECT_STR(body, IN_USE);
    }
    EXPECT_EQ(entered, 1);
}

static const struct harness_test tests[] = {
    {"a name is an address, and nothing else is", names},
    {"a name has at most 254 bytes", longest_name},
    {"a name is entered on one connection at a time", one_connection_at_a_time},
    {"a name is free when its connection is closed", close_frees_the_name},
    {"a name is free when its client has quit", quit_frees_the_name},
    {"a name is free when its server process was killed", death_frees_the_name},
    {"a name is free when its client is gone in the middle of a wait", waiting_client_frees_the_name},
    {"a name is free when its server process was told to end", termination_frees_the_name},
    {"who is entered as an account that was removed has to log in", removed_account},
    {"who was entered as an account that was removed frees no other name", reused_record},
    {"who is entered when the operator changes the password has to log in", changed_password},
    {"a wait ends when the operator changes the password", changed_password_while_waiting},
    {"with open entry a name without a password is free to enter", open_entry},
    {"without open entry every name needs its password", closed_entry},
    {"a password is 1 to 256 bytes without a space", forms_of_a_password},
    {"an account of SMSP is entered with its password", local_accounts},
    {"a name that many ask for at once is entered once", race_for_a_new_name},
};

HARNESS_MAIN(tests)
