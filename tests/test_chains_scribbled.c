/* test_chains_scribbled.c: chains and trees in which a link or a key has been scribbled over: whoever follows
 * them under the lock comes to an end, where a check finds why, and holds up nobody for ever. */
#include "base64.h"
#include "cookie.h"
#include "index.h"
#include "queue.h"
#include "siphash.h"

#include "mailbox_record.h"
#include "post_office.h"

#include <sys/wait.h>

enum { TRIES = 1 << 20, SECONDS = 5 };

static struct store *store;
static account_t alice;
static struct cookie cookie; /* alice's */
static struct session_record *session;

static void begin(void)
{
    struct account_secret secret;
    store = attached_store(
        &(struct store_options){.segment_bytes = 64 << 20, .accounts = 50, .slots = 4, .crypt_cost = 1});
    EXPECT_EQ(account_create(store, "alice", 5, NULL, &alice, &cookie), STATUS_OK);
    EXPECT_EQ(account_secret(store, "alice", 5, &secret), STATUS_OK);
    session = session_at(store, account_at(store, alice.index)->session);
    EXPECT_CLEAN(store);
}

static void say_nothing(void *context, const char *text)
{
    (void)context;
    (void)text;
}

/* A process of its own does it; then whoever comes finds the lock free. */
static void expect_bug(void (*act)(void))
{
    int status;
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        store->slot = NULL;
        store->me = 0;
        EXPECT_EQ(store_attach(store, "victim"), STATUS_OK);
        alarm(SECONDS);
        act();
        _exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(WIFSIGNALED(status) ? WTERMSIG(status) : 0, SIGABRT);
    EXPECT(store_check(store, say_nothing, NULL) > 0);
}

/* ---- sessions ---- */

static void log_in(void)
{
    struct account_secret secret;
    EXPECT_EQ(account_secret(store, "alice", 5, &secret), STATUS_OK);
    (void)account_login(store, &secret, &cookie);
}

static void log_out(void)
{
    struct session found;
    EXPECT_EQ(cookie_verify(store, cookie.text, COOKIE_TEXT, &found), STATUS_OK);
    session->chain = 0;
    session->secret[0] ^= 1;
    (void)cookie_end(store, &found);
}

/* The next one that pushes it out looks for it in another bucket. */
static void a_session_whose_key_is_wrong_is_a_bug_that_is_found(void)
{
    begin();
    session->secret[0] ^= 1;
    expect_bug(log_in);
    session->secret[0] ^= 1;
    EXPECT_CLEAN(store);
    expect_bug(log_out);
}

static void account_without_sessions(void)
{
    account_at(store, alice.index)->session = 0;
    log_in();
}

static void a_session_that_is_none_is_not_ended(void)
{
    begin();
    expect_bug(account_without_sessions);
}

static void sessions_that_go_round_come_to_an_end(void)
{
    begin();
    session->older = account_at(store, alice.index)->session;
    expect_bug(log_in);
}

/* Another key, for which the same bucket is looked through. */
static void look_for_another(void)
{
    uint8_t key[COOKIE_BYTES] = {0};
    char text[COOKIE_TEXT + 1];
    struct session found;
    uint32_t bucket = session_hash(store, session->secret) & store->cookie_mask[0];
    for (uint32_t i = 1; (session_hash(store, key) & store->cookie_mask[0]) != bucket && i < TRIES; i++)
        memcpy(key, &i, sizeof(i));
    base64_encode(key, COOKIE_BYTES, text);
    (void)cookie_verify(store, text, COOKIE_TEXT, &found);
}

static void a_chain_of_sessions_that_goes_round_comes_to_an_end(void)
{
    begin();
    session->chain = account_at(store, alice.index)->session;
    expect_bug(look_for_another);
}

/* ---- accounts ---- */

static void look_for_another_name(void)
{
    char name[16];
    account_t account;
    uint32_t bucket = account_at(store, alice.index)->name_hash & store->name_mask;
    for (int i = 0; i < TRIES; i++) {
        int length = snprintf(name, sizeof(name), "n%d", i);
        uint32_t hash = (uint32_t)siphash13_folded(store->header->hash_key, name, (size_t)length);
        if ((hash & store->name_mask) == bucket)
            break;
    }
    (void)account_find(store, name, strlen(name), &account);
}

static void a_chain_of_accounts_that_goes_round_comes_to_an_end(void)
{
    begin();
    account_at(store, alice.index)->chain = alice.index;
    expect_bug(look_for_another_name);
}

static void remove_with_another_hash(void)
{
    struct account_secret secret;
    EXPECT_EQ(account_secret(store, "alice", 5, &secret), STATUS_OK);
    account_at(store, alice.index)->name_hash ^= 1;
    (void)account_remove(store, &secret);
}

static void an_account_that_is_not_in_its_chain_is_a_bug_that_is_found(void)
{
    begin();
    expect_bug(remove_with_another_hash);
}

/* ---- messages ---- */

static void list_queue(void)
{
    struct message messages[4];
    size_t count;
    (void)queue_list_below(store, alice, 1, messages, 4, &count);
}

static void a_queue_that_goes_round_comes_to_an_end(void)
{
    struct letter letter = {.sender = "alice", .sender_length = 5, .body = "body", .body_length = 4};
    begin();
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
        EXPECT_EQ(queue_push(store, alice), STATUS_OK);
    }
    block_t newest = account_at(store, alice.index)->queue;
    ((struct message_record *)at(store, newest))->link = newest;
    expect_bug(list_queue);
}

static void delete_second(void)
{
    (void)mailbox_delete(store, alice, 2);
}

static void list_from_third(void)
{
    struct message messages[4];
    size_t count;
    (void)mailbox_list(store, alice, 2, UINT64_MAX, messages, 4, &count);
}

static void an_index_that_is_too_high_or_empty_comes_to_an_end(void)
{
    message_id id;
    begin();
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(deliver(store, alice, "bob", "", "body", 4, &id), STATUS_OK);
    struct account_record *record = account_at(store, alice.index);
    struct node *root = at(store, record->root);
    EXPECT_EQ(record->height, 2);
    record->height = UINT32_MAX;
    expect_bug(list_from_third);
    record->height = 12;
    expect_bug(delete_second);
    /* With so many levels more it would be for years. */
    record->height = 3;
    struct node *inner = at(store, root->entry[0]);
    block_t leaf = root->entry[1];
    ((struct node *)at(store, leaf))->present = 0;
    root->present = inner->present = UINT64_MAX;
    for (int i = 0; i < NODE_ENTRIES; i++) {
        root->entry[i] = root->entry[0];
        inner->entry[i] = leaf;
    }
    expect_bug(list_from_third);
}

static const struct harness_test tests[] = {
    {"a session whose key is wrong is a bug that is found",
     a_session_whose_key_is_wrong_is_a_bug_that_is_found},
    {"a session that is none is not ended", a_session_that_is_none_is_not_ended},
    {"sessions that go round come to an end", sessions_that_go_round_come_to_an_end},
    {"a chain of sessions that goes round comes to an end",
     a_chain_of_sessions_that_goes_round_comes_to_an_end},
    {"a chain of accounts that goes round comes to an end",
     a_chain_of_accounts_that_goes_round_comes_to_an_end},
    {"an account that is not in its chain is a bug that is found",
     an_account_that_is_not_in_its_chain_is_a_bug_that_is_found},
    {"a queue that goes round comes to an end", a_queue_that_goes_round_comes_to_an_end},
    {"an index that is too high, or empty, comes to an end",
     an_index_that_is_too_high_or_empty_comes_to_an_end},
};

HARNESS_MAIN(tests)
