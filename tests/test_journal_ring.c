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

static uint64_t journal_offset(void)
{
    return store->header->journal.end;
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
    EXPECT_EQ(store_settle(store), STATUS_OK);
    for (int i = 0; i < 252; i++)
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

/* ---- many records, and a disk that fails ---- */

static void fail_read(uint64_t at, int error)
{
    fault.kinds = at ? CALL_READ : 0;
    fault.at = at;
    fault.seen = 0;
    fault.error = error;
}

/* Whether that read was wanted; where it was not, nothing is missing. */
static bool is_refused_without(uint64_t at, int error, uint64_t digest)
{
    char why[1024];
    fail_read(at, error);
    enum status status = store_open(&store, &options, why, sizeof(why));
    fail_read(0, 0);
    if (status == STATUS_OK) {
        EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
        EXPECT_EQ(scene_digest(store), digest);
        scene_close(store);
        return false;
    }
    if (status != STATUS_SYSTEM || !strstr(why, error == EIO ? "Input/output error" : "No data"))
        harness_fail(__FILE__, __LINE__, "read %ju fails: %s: %s", (uintmax_t)at, status_text(status), why);
    return true;
}

/* For each post office that stands and that nobody has open a read comes first, which changes nothing. */
static void expect_refused_without_any(int error, uint64_t digest)
{
    uint64_t at = 0;
    for (int refused = 0; refused < 4; refused += is_refused_without(at, error, digest))
        EXPECT(++at < 100);
}

/* How many reads were wanted: whoever misses one does not say where the end is. */
static int count_wanted_reads(void)
{
    char why[1024];
    int wanted = 0;
    bool struck = true;
    for (uint64_t at = 1; struck; at++) {
        fail_read(at, EIO);
        enum status status = store_open(&store, &options, why, sizeof(why));
        struck = fault.seen >= at;
        fail_read(0, 0);
        /* What is read ahead may be nothing that was wanted, once the end is known for none. */
        bool is_unread = struck && status == STATUS_SYSTEM;
        EXPECT(is_unread || status == STATUS_MISMATCH);
        EXPECT(strstr(why, is_unread ? "cannot be read: Input/output error" : "was acknowledged once"));
        wanted += is_unread;
    }
    return wanted;
}

/* Again where two threads that read came by turns, so that one was never the one that fails. */
static void expect_no_end_at(uint64_t offset)
{
    unsigned char byte;
    EXPECT_EQ(syscall(SYS_pread64, disk_memory[0], &byte, 1, offset), 1);
    byte ^= 1;
    EXPECT_EQ(syscall(SYS_pwrite64, disk_memory[0], &byte, 1, offset), 1);
    for (int passes = 1; count_wanted_reads() < 3; passes++)
        EXPECT(passes < 5);
    byte ^= 1;
    EXPECT_EQ(syscall(SYS_pwrite64, disk_memory[0], &byte, 1, offset), 1);
}

/* The journal is read in pieces; whichever of them cannot be read, nothing is taken for its end. */
static void a_long_journal_that_cannot_be_read_is_refused(void)
{
    static const int errors[] = {EIO, DISK_NOTHING};
    begin();
    uint64_t second = journal_offset();
    send_body(10);
    send_body(sizeof(body));
    send_body(10);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    send_body(10);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    uint64_t digest = scene_digest(store);
    scene_close(store);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        expect_refused_without_any(errors[i], digest);
    store = attached_store(&options);
    EXPECT_EQ(scene_digest(store), digest);
    scene_close(store);
    /* What is damaged was acknowledged, as the last record says; until that has been read nobody knows. */
    expect_no_end_at(second);
    expect_no_end_at(second + 5000); /* in the long one behind it */
}

static bool many_come;

static void send_many(void)
{
    if (!many_come || disk_hook_file == store->header->journal.file ||
        load64(&store->header->journal.checkpoint) == 0)
        return;
    unsigned armed = fault.kinds;
    many_come = false;
    fault.kinds = 0;
    for (int i = 0; i < 40; i++)
        send_body(30000);
    EXPECT_EQ(journal_flush(store, true), STATUS_OK);
    fault.kinds = armed;
}

/* More messages than one chunk, more bytes than one write, and as much again while it runs. */
static void fail_checkpoints(int messages)
{
    static const enum disk_call calls[] = {
#if DISK_HAS_MEMORY
        CALL_MEMORY,
#endif
        CALL_WRITE,
        CALL_READ
    };
    begin();
    for (int i = 0; i < messages; i++)
        send_body(20000);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        bool struck = true;
        for (uint64_t at = 1; struck; at++) {
            uint32_t file = store->header->journal.file;
            fault.seen = 0;
            fault.at = at;
            fault.error = calls[i] == CALL_MEMORY ? ENOMEM : EIO;
            fault.kinds = calls[i];
            many_come = true;
            disk_hook = send_many;
            enum status status = journal_checkpoint(store, options.journal_bytes);
            struck = fault.seen >= at;
            disk_hook = NULL;
            fault.kinds = 0;
            EXPECT_EQ(status == STATUS_OK, store->header->journal.file != file);
            EXPECT_EQ(store->header->journal.checkpoint, 0);
            EXPECT_EQ(message_pins(store), 0);
            bool read_only = store->header->journal.failure != 0;
            EXPECT_EQ(store_settle(store), STATUS_OK);
            while (mailbox_count(store, scene_account(store, "bob")) > (uint64_t)messages && !read_only)
                EXPECT_EQ(mailbox_delete_first(store, scene_account(store, "bob")), STATUS_OK);
            uint64_t digest = scene_digest(store);
            EXPECT(read_only || store_settle(store) == STATUS_OK);
            scene_close(store);
            store = attached_store(&options);
            EXPECT_EQ(scene_digest(store), digest);
            EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
            EXPECT(at < 100);
        }
    }
}

static void a_checkpoint_that_fails_anywhere_changes_nothing(void)
{
    fail_checkpoints(2 * PINS_MAX);
}

static void a_checkpoint_of_little_that_fails_anywhere_changes_nothing(void)
{
    fail_checkpoints(1);
}

/* What waits is written before the snapshot begins; the second group is never tried. */
static void a_checkpoint_that_cannot_write_what_waits_does_not_begin(void)
{
    begin();
    fill_ring();
    uint64_t written = store->header->journal.written;
    fault.kinds = CALL_WRITE;
    fault.at = 2;
    fault.error = ENOSPC;
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_READ_ONLY);
    fault.kinds = 0;
    EXPECT_EQ(store->header->journal.written, written);
    EXPECT_EQ(store->header->journal.checkpoint, 0);
    EXPECT_EQ(store->header->journal.file, 0);
}

static const struct harness_test tests[] = {
    {"a full ring is written out, and the request goes on",
     a_full_ring_is_written_out_and_the_request_goes_on},
    {"where a full ring cannot be written the request is refused",
     where_a_full_ring_cannot_be_written_the_request_is_refused},
    {"a group takes what one call can write", a_group_takes_what_one_call_can_write},
    {"a record of more pieces than one call takes is whole or absent",
     a_record_of_more_pieces_than_one_call_takes_is_whole_or_absent},
    {"a long journal that cannot be read is refused", a_long_journal_that_cannot_be_read_is_refused},
    {"a checkpoint that fails anywhere changes nothing", a_checkpoint_that_fails_anywhere_changes_nothing},
    {"a checkpoint of little that fails anywhere changes nothing",
     a_checkpoint_of_little_that_fails_anywhere_changes_nothing},
    {"a checkpoint that cannot write what waits does not begin",
     a_checkpoint_that_cannot_write_what_waits_does_not_begin},
};

HARNESS_MAIN(tests)
