/* test_authenticate.c: what becomes of hashes at a login, and how a client is served that had to wait. */
#include "authenticate.h"
#include "clock.h"
#include "layout.h"
#include "password.h"
#include "smsp_session.h"
#include "throttle.h"

#include <crypt.h>

static struct store *store;
static struct peer client;
static char cookie[COOKIE_TEXT + 1];

static void print_finding(void *context, const char *finding)
{
    (void)context;
    printf("%s\n", finding);
}

static void begin(void)
{
    store = open_store();
    EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
}

static void end(void)
{
    EXPECT_EQ(disconnect(&client), 0);
    EXPECT_EQ(store_check(store, print_finding, NULL), 0);
}

static struct account_secret secret_of(const char *name)
{
    struct account_secret secret;
    EXPECT_EQ(account_secret(store, name, strlen(name), &secret), STATUS_OK);
    return secret;
}

/* A hash as an older server may have made it. */
static void create_with(const char *name, const char *setting)
{
    struct crypt_data scratch = {0};
    account_t account;
    const char *hash = crypt_rn("secret", setting, &scratch, sizeof scratch);
    EXPECT(hash != NULL && hash[0] != '*');
    EXPECT_EQ(account_create(store, name, strlen(name), hash, &account, NULL), STATUS_OK);
}

static void expect_renewed(const char *name)
{
    struct account_secret before = secret_of(name);
    EXPECT(!password_is_current(store, before.hash));
    connect_peer(store, &client, '\n');
    EXPECT_STR(ask(&client, "LOGIN %s wrong", name), "KO");
    EXPECT_STR(secret_of(name).hash, before.hash);
    keep_cookie(ask(&client, "LOGIN %s secret", name), cookie);
    struct account_secret after = secret_of(name);
    EXPECT(password_is_current(store, after.hash));
    EXPECT_STR(ask(&client, "COUNT %s %s", name, cookie), "COUNTED 0");
    keep_cookie(ask(&client, "LOGIN %s secret", name), cookie);
    EXPECT_STR(secret_of(name).hash, after.hash);
    end();
}

static void a_hash_of_another_cost_is_renewed_at_login(void)
{
    begin();
    store->crypt_cost = 2;
    connect_peer(store, &client, '\n');
    enrol(&client, "alice", cookie);
    EXPECT_EQ(disconnect(&client), 0);
    store->crypt_cost = 1;
    expect_renewed("alice");
}

static void a_hash_of_another_method_is_renewed_at_login(void)
{
    begin();
    create_with("alice", "$6$rounds=1000$abcdefgh");
    expect_renewed("alice");
    create_with("bob", "$5$rounds=1000$abcdefgh");
    expect_renewed("bob");
}

static void a_login_that_waits_is_let_in_at_its_turn(void)
{
    const struct source source = {0};
    begin();
    connect_peer(store, &client, '\n');
    enrol(&client, "alice", cookie);
    for (int i = 0; i < THROTTLE_SOURCE_FREE + 1; i++)
        EXPECT_STR(ask(&client, "LOGIN nobody wrong"), "KO");
    EXPECT(throttle_login(store, &source, "alice", 5) > 0);
    keep_cookie(ask(&client, "LOGIN alice secret"), cookie);
    end();
}

/* What was asked before is answered first; a client that gives up is not waited for. */
static void nobody_waits_for_a_client_that_is_gone(void)
{
    const struct source source = {0};
    begin();
    for (int i = 0; i < THROTTLE_SOURCE_FREE + 8; i++) {
        store->ahead += THROTTLE_DELAY_MOST * NANOSECONDS_PER_SECOND;
        EXPECT_EQ(throttle_login(store, &source, "nobody", 6), 0);
        throttle_end(store, true);
    }
    connect_peer(store, &client, '\n');
    enrol(&client, "alice", cookie);
    say_bytes(&client, "NOOP\nLOGIN alice secret\n", 24);
    EXPECT_STR(hear(&client), "OK");
    int64_t start = clock_now();
    end();
    EXPECT(clock_now() - start < 3 * NANOSECONDS_PER_SECOND);
}

/* Nobody knows whether the password was right. */
static void a_login_that_could_not_be_checked_takes_no_failure_back(void)
{
    struct connection connection = {.peer = "test", .source = source_of_user(1)};
    struct account_secret secret;
    account_t account;
    begin();
    connection.store = store;
    EXPECT_EQ(account_create(store, "alice", 5, "*no hash", &account, NULL), STATUS_OK);
    for (int i = 0; i < THROTTLE_SOURCE_FREE; i++) {
        EXPECT_EQ(authenticate(&connection, "alice", 5, "secret", 6, &secret), STATUS_SYSTEM);
    }
    EXPECT(throttle_login(store, &connection.source, "alice", 5) > 0);
}

static const struct harness_test tests[] = {
    {"a login that could not be checked takes no failure back",
     a_login_that_could_not_be_checked_takes_no_failure_back},
    {"a hash of another cost is renewed at login", a_hash_of_another_cost_is_renewed_at_login},
    {"a hash of another method is renewed at login", a_hash_of_another_method_is_renewed_at_login},
    {"a login that waits is let in at its turn", a_login_that_waits_is_let_in_at_its_turn},
    {"nobody waits for a client that is gone", nobody_waits_for_a_client_that_is_gone},
};

HARNESS_MAIN(tests)
