/* test_checkpoint_faults.c: a checkpoint of much that does not come to its end changes nothing: the old file
 * has all, and another one may follow. */
#include "disk.h"
#include "scene.h"

static const struct store_options options = {.directory = "journal",
                                             .crypt_cost = 1,
                                             .journal_bytes = 1 << 20,
                                             .segment_bytes = 64 << 20,
                                             .accounts = 12,
                                             .slots = 4};

static struct store *store;

static enum status send(size_t length)
{
    static char body[1 << 20];
    message_id id;
    return deliver(store, scene_account(store, "ann"), "ben", "", body, length, &id);
}

/* In a directory of its own. */
static void begin(unsigned number)
{
    char name[16];
    snprintf(name, sizeof(name), "%u", number);
    EXPECT(mkdir(name, 0700) == 0 && chdir(name) == 0);
    store = attached_store(&options);
    EXPECT_EQ(scene_create(store, "ann", NULL), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

static void expect_same_after_reboot(void)
{
    uint64_t digest = scene_digest(store);
    EXPECT_CLEAN(store);
    scene_close(store);
    store = attached_store(&options);
    EXPECT_CLEAN(store);
    EXPECT_EQ(scene_digest(store), digest);
}

static void end(void)
{
    expect_same_after_reboot();
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    expect_same_after_reboot();
    scene_close(store);
    EXPECT_EQ(chdir(".."), 0);
}

/* Of the state, of the room behind it, and of each header. */
static void whatever_sync_fails(void)
{
    unsigned at = 1;
    for (bool struck = true; struck; at++) {
        begin(at);
        for (int mail = 0; mail < 6; mail++) {
            EXPECT_EQ(journal_checkpoint(store, 12 << 20), STATUS_OK); /* which makes room */
            EXPECT_EQ(send(1 << 20), STATUS_OK);
            EXPECT_EQ(store_settle(store), STATUS_OK);
        }
        uint32_t file = store->header->journal.file;
        fault.kinds = CALL_SYNC;
        fault.at = at;
        fault.seen = 0;
        fault.error = EIO;
        enum status status = journal_checkpoint(store, 24 << 20);
        fault.kinds = 0;
        struck = fault.seen >= at;
        if (!struck)
            EXPECT_EQ(status, STATUS_OK);
        else if (store->header->journal.failure == 0)
            EXPECT(status == STATUS_SYSTEM && store->header->journal.file == file);
        end();
    }
    EXPECT(at > 6);
    harness_say("each of %u syncs failed", at - 2);
}

static size_t meanwhile;

/* While the others wait for the new file, as many records as there is room for in the old one: fewer than may
 * be pending. */
static void send_much_at_the_end(void)
{
    bool last = load64(&store->header->journal.leader) == store->me;
    if (disk_hook_file == store->header->journal.file || meanwhile > 1)
        return;
    if (!last && disk_hook_offset > 0 && meanwhile == 0) { /* for the last step to have something to copy */
        EXPECT_EQ(send(300), STATUS_OK);
        meanwhile++;
    }
    while (last && send(300) == STATUS_OK)
        meanwhile++;
}

static void what_is_pending_and_has_no_room_in_the_new_file_stays_in_the_old_one(void)
{
    begin(0);
    disk_start();
    EXPECT_EQ(syscall(SYS_ftruncate, store->files[1], 64L << 10), 0);
    disk->is_full = true;
    disk_hook = send_much_at_the_end;
    EXPECT_EQ(journal_checkpoint(store, 64 << 10), STATUS_FULL_JOURNAL);
    disk_hook = NULL;
    disk->is_full = false;
    EXPECT(meanwhile > 500);
    EXPECT_EQ(store->header->journal.file, 0);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    EXPECT_EQ(mailbox_count(store, scene_account(store, "ann")), meanwhile);
    end();
}

static void what_is_pending_is_given_room_where_the_disk_has_some(void)
{
    begin(0);
    disk_hook = send_much_at_the_end;
    EXPECT_EQ(journal_checkpoint(store, 4 << 10), STATUS_OK);
    disk_hook = NULL;
    EXPECT(meanwhile > 500);
    EXPECT_EQ(store->header->journal.file, 1);
    EXPECT_EQ(mailbox_count(store, scene_account(store, "ann")), meanwhile);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    end();
}

static const struct harness_test tests[] = {
    {"whatever sync of a checkpoint fails, the old file has all", whatever_sync_fails, 300},
    {"what is pending and has no room in the new file stays in the old one",
     what_is_pending_and_has_no_room_in_the_new_file_stays_in_the_old_one},
    {"what is pending is given room where the disk has some",
     what_is_pending_is_given_room_where_the_disk_has_some},
};

HARNESS_MAIN(tests)
