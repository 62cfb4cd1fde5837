/* test_quota.c: what a mailbox and a queue may hold: to the message and to the byte, whoever delivers; and
 * that no quota loses what was there before it. */
#include "layout.h"
#include "post_office.h"
#include "queue.h"

#include <unistd.h>

static struct store *store;
static account_t alice, bob;

static void open_with(uint64_t messages, uint64_t bytes)
{
    store = attached_store(
        &(struct store_options){.crypt_cost = 1, .quota_messages = messages, .quota_bytes = bytes});
    alice = new_account(store, "alice");
    bob = new_account(store, "bob");
}

/* Sender and subject take 9 bytes. */
static enum status send_bytes(account_t to, size_t bytes)
{
    static const char body[4096];
    message_id id;
    enum status status = deliver(store, to, "alice", "mail", body, bytes - 9, &id);
    draft_drop(store);
    return status;
}

static enum status queue_bytes(size_t bytes)
{
    static const char body[4096];
    struct letter letter = {"alice", "mail", body, 5, 4, bytes - 9};
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    enum status status = queue_push(store, alice);
    draft_drop(store);
    return status;
}

static enum status store_one(account_t to)
{
    message_id id;
    return queue_store(store, alice, to, &id);
}

static void a_mailbox_takes_so_many_messages(void)
{
    open_with(3, 0);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(send_bytes(bob, 100), STATUS_OK);
    EXPECT_EQ(send_bytes(bob, 9), STATUS_FULL_MAILBOX);
    EXPECT_EQ(mailbox_count(store, bob), 3);
    EXPECT_EQ(send_bytes(alice, 100), STATUS_OK);
    EXPECT_EQ(mailbox_delete_first(store, bob), STATUS_OK);
    EXPECT_EQ(send_bytes(bob, 100), STATUS_OK);
    EXPECT_EQ(send_bytes(bob, 100), STATUS_FULL_MAILBOX);
    EXPECT_CLEAN(store);
}

static void a_mailbox_takes_so_many_bytes_to_the_byte(void)
{
    open_with(0, 1000);
    EXPECT_EQ(send_bytes(bob, 1001), STATUS_FULL_MAILBOX);
    EXPECT_EQ(send_bytes(bob, 600), STATUS_OK);
    EXPECT_EQ(send_bytes(bob, 401), STATUS_FULL_MAILBOX);
    EXPECT_EQ(send_bytes(bob, 400), STATUS_OK);
    EXPECT_EQ(send_bytes(bob, 9), STATUS_FULL_MAILBOX);
    EXPECT_EQ(mailbox_delete_first(store, bob), STATUS_OK);
    EXPECT_EQ(send_bytes(bob, 601), STATUS_FULL_MAILBOX);
    EXPECT_EQ(send_bytes(bob, 600), STATUS_OK);
    EXPECT_CLEAN(store);
}

static void a_queue_is_counted_apart_from_the_mailbox(void)
{
    open_with(2, 1000);
    EXPECT_EQ(send_bytes(alice, 1000), STATUS_OK);
    EXPECT_EQ(queue_bytes(500), STATUS_OK);
    EXPECT_EQ(queue_bytes(501), STATUS_FULL_QUEUE);
    EXPECT_EQ(queue_bytes(400), STATUS_OK);
    EXPECT_EQ(queue_bytes(9), STATUS_FULL_QUEUE);
    EXPECT_EQ(queue_count(store, alice), 2);
    EXPECT_CLEAN(store);
}

static void what_a_full_mailbox_does_not_take_stays_on_the_queue(void)
{
    open_with(2, 0);
    EXPECT_EQ(send_bytes(bob, 100), STATUS_OK);
    EXPECT_EQ(queue_bytes(100), STATUS_OK);
    EXPECT_EQ(queue_bytes(200), STATUS_OK);
    EXPECT_EQ(store_one(bob), STATUS_OK);
    EXPECT_EQ(store_one(bob), STATUS_FULL_MAILBOX);
    EXPECT_EQ(queue_count(store, alice), 1);
    EXPECT_EQ(store_one(alice), STATUS_OK);
    EXPECT_EQ(queue_count(store, alice), 0);
    EXPECT_EQ(mailbox_count(store, bob), 2);
    EXPECT_CLEAN(store);
}

/* The server may be started anew with less. */
static void a_lower_quota_loses_nothing(void)
{
    open_with(0, 0);
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(send_bytes(bob, 100), STATUS_OK);
    store->quota_messages = 2;
    EXPECT_EQ(send_bytes(bob, 100), STATUS_FULL_MAILBOX);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(mailbox_delete_first(store, bob), STATUS_OK);
    EXPECT_EQ(send_bytes(bob, 100), STATUS_OK);
    EXPECT_EQ(mailbox_count(store, bob), 2);
}

static void a_lower_quota_of_bytes_loses_nothing(void)
{
    open_with(0, 0);
    for (int i = 0; i < 5; i++)
        EXPECT_EQ(send_bytes(bob, 100), STATUS_OK);
    store->quota_bytes = 450;
    EXPECT_EQ(send_bytes(bob, 9), STATUS_FULL_MAILBOX); /* there is less than no room */
    EXPECT_EQ(mailbox_count(store, bob), 5);
    EXPECT_EQ(mailbox_delete_first(store, bob), STATUS_OK);
    EXPECT_EQ(send_bytes(bob, 51), STATUS_FULL_MAILBOX);
    EXPECT_EQ(send_bytes(bob, 50), STATUS_OK);
}

static void a_journal_brings_back_more_than_a_lower_quota(void)
{
    struct store_options options = {
        .directory = "journal", .name = harness_name(), .sync = STORE_SYNC_ALWAYS};
    struct store *again;
    store = attached_store(&options);
    alice = new_account(store, "alice");
    bob = new_account(store, "bob");
    for (int i = 0; i < 5; i++) {
        EXPECT_EQ(send_bytes(bob, 100), STATUS_OK);
        EXPECT_EQ(queue_bytes(100), STATUS_OK);
    }
    EXPECT_EQ(store_one(bob), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    store_detach(store);
    char why[256];
    static struct store *first; /* a leak checker sees it */
    first = store;
    EXPECT_EQ(store_set_aside(&first, harness_name(), why, sizeof(why)), STATUS_OK);
    options.quota_messages = 2;
    options.quota_bytes = 150;
    again = attached_store(&options);
    store = again;
    EXPECT_EQ(account_find(store, "bob", 3, &bob), STATUS_OK);
    EXPECT_EQ(account_find(store, "alice", 5, &alice), STATUS_OK);
    EXPECT_EQ(mailbox_count(store, bob), 6);
    EXPECT_EQ(queue_count(store, alice), 4);
    EXPECT_EQ(send_bytes(bob, 100), STATUS_FULL_MAILBOX);
    EXPECT_EQ(queue_bytes(100), STATUS_FULL_QUEUE);
    EXPECT_CLEAN(store);
}

static const struct harness_test tests[] = {
    {"a mailbox takes so many messages", a_mailbox_takes_so_many_messages},
    {"a mailbox takes so many bytes, to the byte", a_mailbox_takes_so_many_bytes_to_the_byte},
    {"a queue is counted apart from the mailbox", a_queue_is_counted_apart_from_the_mailbox},
    {"what a full mailbox does not take stays on the queue",
     what_a_full_mailbox_does_not_take_stays_on_the_queue},
    {"a lower quota loses nothing", a_lower_quota_loses_nothing},
    {"a lower quota of bytes loses nothing", a_lower_quota_of_bytes_loses_nothing},
    {"a journal brings back more than a lower quota", a_journal_brings_back_more_than_a_lower_quota},
};

HARNESS_MAIN(tests)
