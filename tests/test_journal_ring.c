/* test_journal_ring.c: what waits to be written, where it is much: when the ring of waiting records is full a
 * request writes it out and goes on, and a group takes no more than one call can write. */
#include "disk.h"
#include "scene.h"

static const struct store_options options = {.directory = "journal",
                                             .crypt_cost = 1,
                                             .journal_bytes = 18 << 20,
                                             .segment_bytes = 96 << 20,
                                             .accounts = 16,
                                             .slots = 8};

static struct store *store;
static char body[16500000];

static void send_body(size_t length)
{
    account_t bob = scene_account(store, "bob");
    message_id id;
    EXPECT_EQ(deliver(store, bob, "x", "", body, length, &id), STATUS_OK);
}

/* Without settling, until no more fits. */
static void fill_ring(void)
{
    const struct journal_segment *journal = &store->header->journal;
    while (journal->assigned - journal->written < RING)
        send_body(1);
}

static void begin(void)
{
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)(i * 2654435761u >> 11);
    for (int file = 0; file < 2; file++) {
        disk_memory[file] = memfd_create("journal", MFD_CLOEXEC);
        EXPECT(disk_memory[file] >= 0);
    }
    store = attached_store(&options);
    for (int which = 0; which < 3; which++)
        EXPECT_EQ(scene_operation(store, which), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

static void expect_same_after_reboot(uint64_t digest)
{
    EXPECT_EQ(scene_digest(store), digest);
    EXPECT_CLEAN(store);
    scene_close(store);
    store = attached_store(&options);
    EXPECT_EQ(scene_digest(store), digest);
    EXPECT_CLEAN(store);
}

/* Of every kind that makes a record. */
static const int kinds[] = {3, 5, 9, 10, 11, 13, 14};

static void a_full_ring_is_written_out_and_the_request_goes_on(void)
{
    begin();
    const struct journal_segment *journal = &store->header->journal;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        fill_ring();
        uint64_t assigned = journal->assigned;
        EXPECT_EQ(scene_operation(store, kinds[i]), STATUS_OK);
        EXPECT_EQ(journal->assigned, assigned + 1);
        EXPECT_EQ(journal->written, assigned);
        EXPECT_EQ(journal->synced, assigned);
    }
    EXPECT_EQ(store_settle(store), STATUS_OK);
    expect_same_after_reboot(scene_digest(store));
}

static void where_a_full_ring_cannot_be_written_the_request_is_refused(void)
{
    begin();
    fill_ring();
    uint64_t digest = scene_digest(store);
    fault.kinds = CALL_WRITE;
    fault.at = 1;
    fault.error = EIO;
    EXPECT_EQ(mailbox_delete_first(store, scene_account(store, "bob")), STATUS_READ_ONLY);
    EXPECT_EQ(scene_digest(store), digest);
    EXPECT_EQ(scene_create(store, "dave", NULL), STATUS_READ_ONLY);
    EXPECT_EQ(store_settle(store), STATUS_READ_ONLY);
    EXPECT_EQ(scene_digest(store), digest);
    EXPECT_CLEAN(store);
}

/* Records, bytes and pieces of memory: each is the first that there are too many of. */
static void a_group_takes_what_one_call_can_write(void)
{
    begin();
    for (int i = 0; i < 600; i++)
        send_body((size_t)i % 9);
    for (int i = 0; i < 6; i++)
        send_body(1000000);
    for (int i = 0; i < 240; i++)
        send_body(5);
    for (int i = 0; i < 6; i++)
        send_body(980000);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    EXPECT_EQ(store->header->journal.synced, store->header->journal.assigned);
    expect_same_after_reboot(scene_digest(store));
}

static enum status send_large(void)
{
    send_body(sizeof(body));
    return store_settle(store);
}

/* In three calls, of which the last makes it valid. */
static void a_record_of_more_pieces_than_one_call_takes_is_whole_or_absent(void)
{
    enum { WRITES = 3 };
    begin();
    uint64_t before = scene_digest(store);
    for (fault.at = 1; fault.at <= WRITES; fault.at++) {
        fault.seen = 0;
        fault.kinds = CALL_WRITE;
        fault.error = EIO;
        EXPECT_EQ(send_large(), STATUS_READ_ONLY);
        fault.kinds = 0;
        EXPECT_EQ(fault.seen, fault.at);
        scene_close(store);
        store = attached_store(&options);
        EXPECT_EQ(scene_digest(store), before);
    }
    fault.kinds = CALL_WRITE;
    fault.error = DISK_SHORT;
    fault.at = 2;
    fault.seen = 0;
    EXPECT_EQ(send_large(), STATUS_OK);
    EXPECT_EQ(fault.seen, WRITES + 1);
    fault.kinds = 0;
    expect_same_after_reboot(scene_digest(store));
    EXPECT_EQ(mailbox_count(store, scene_account(store, "bob")), 1);
}

static const struct harness_test tests[] = {
    {"a full ring is written out, and the request goes on",
     a_full_ring_is_written_out_and_the_request_goes_on},
    {"where a full ring cannot be written the request is refused",
     where_a_full_ring_cannot_be_written_the_request_is_refused},
    {"a group takes what one call can write", a_group_takes_what_one_call_can_write},
    {"a record of more pieces than one call takes is whole or absent",
     a_record_of_more_pieces_than_one_call_takes_is_whole_or_absent},
};

HARNESS_MAIN(tests)
