/* test_lock.c: the lock and the redo record where something is wrong with them: what only our own fault can
 * ask for ends the process and harms nobody else, and what a scribble left is neither believed nor used. */
#include "lock.h"

#include "block.h"
#include "segment.h"
#include "transaction.h"
/* Behind them, as it has a store of that name for all of the file. */
#include "attached_process.h"

/* ---- misuse ---- */

static void take_twice(void)
{
    lock_take(store);
    lock_take(store);
}

static void release_without_it(void)
{
    lock_release(store);
}

static void write_too_much(void)
{
    transaction_begin(store);
    for (uint32_t i = 0; i <= REDO_MAX; i++)
        set64(store, (uint64_t *)(void *)store->base + i, 1);
}

static block_t new_block(size_t size)
{
    block_t block = 0;
    enum status status;
    do {
        transaction_begin(store);
        status = block_allocate(store, size, &block);
    } while (!transaction_finish(store, &status));
    EXPECT_EQ(status, STATUS_OK);
    return block;
}

static void free_what_lies_before_the_arena(void)
{
    transaction_begin(store);
    block_free(store, (block_t)(store->arena / UNIT - 1));
}

static void free_the_middle_of_a_block(void)
{
    block_t block = new_block(100);
    transaction_begin(store);
    block_free(store, block + 1);
}

static void free_what_is_free(void)
{
    block_t block = new_block(5000);
    transaction_begin(store);
    block_free(store, block);
    block_free(store, block);
}

static void allocate_after_a_free(void)
{
    block_t block = new_block(5000);
    transaction_begin(store);
    block_free(store, block);
    (void)block_allocate(store, 100, &block);
}

static void take_a_run_after_a_free(void)
{
    block_t block = new_block(5000);
    transaction_begin(store);
    block_free(store, block);
    (void)block_take_run(store, 100, &block);
}

static void free_a_block_as_a_run(void)
{
    block_t block = new_block(5000);
    transaction_begin(store);
    block_free_run(store, block);
}

/* Of a page whose blocks were all handed out, and not all are in use. */
static void free_used_blocks_as_a_run(void)
{
    block_t blocks[PAGE / BLOCK_MAX];
    for (size_t i = 0; i < PAGE / BLOCK_MAX; i++)
        blocks[i] = new_block(BLOCK_MAX);
    transaction_begin(store);
    block_free(store, blocks[1]);
    block_free_run(store, blocks[0]);
}

static void misuse_aborts_and_harms_nobody_else(void)
{
    static void (*const misuses[])(void) = {take_twice,
                                            release_without_it,
                                            write_too_much,
                                            free_what_lies_before_the_arena,
                                            free_what_is_free,
                                            free_the_middle_of_a_block,
                                            allocate_after_a_free,
                                            take_a_run_after_a_free,
                                            free_a_block_as_a_run,
                                            free_used_blocks_as_a_run};
    message_id id = 0;
    open_post_office(8);
    for (size_t i = 0; i < sizeof(misuses) / sizeof(misuses[0]); i++) {
        int status = end_of(misuses[i]);
        EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        EXPECT_EQ(deliver(store, alice, "a", "", "b", 1, &id), STATUS_OK);
        EXPECT_EQ(mailbox_count(store, alice), i + 1);
        EXPECT(!store_is_suspect(store));
    }
}

/* ---- a redo record that its dead owner had scribbled over ---- */

static int scribble;

static void commit_scribbled_and_die(void)
{
    struct slot *slot = store->slot;
    transaction_begin(store);
    set64(store, &store->header->acquitted, 77);
    switch (scribble) {
    case 0:
        slot->redo[0].where += 2;
        break;
    case 1:
        slot->redo[0].where = store->header->segment_bytes;
        break;
    case 2: /* nothing was ever kept there */
        slot->redo[0].where = store->arena + (uint64_t)(store->pages_most - 1) * PAGE;
        break;
    default:
        for (uint32_t i = 1; i < REDO_MAX; i++)
            slot->redo[i] = slot->redo[0];
        store->redo_count = REDO_MAX + 1;
    }
    transaction_seal(store);
    raise(SIGKILL);
}

static void a_scribbled_redo_record_ends_where_it_makes_no_sense(void)
{
    for (scribble = 0; scribble < 4; scribble++) {
        open_post_office(8);
        expect_killed(commit_scribbled_and_die);
        EXPECT(!store_is_suspect(store));
        transaction_begin(store);
        transaction_end(store, STATUS_OK);
        EXPECT(store_is_suspect(store));
        EXPECT_EQ(store->header->acquitted, 0); /* nothing of it is applied */
    }
}

static void nothing_is_reserved_beyond_the_segment(void)
{
    open_post_office(8);
    uint64_t bytes = store->header->segment_bytes;
    EXPECT_EQ(segment_reserve(store, bytes - 1, 1), STATUS_OK);
    EXPECT_EQ(segment_reserve(store, bytes - 1, 2), STATUS_FULL_SEGMENT);
    EXPECT_EQ(segment_reserve(store, bytes, 1), STATUS_FULL_SEGMENT);
}

static const struct harness_test tests[] = {
    {"misuse aborts and harms nobody else", misuse_aborts_and_harms_nobody_else},
    {"a scribbled redo record ends where it makes no sense",
     a_scribbled_redo_record_ends_where_it_makes_no_sense},
    {"nothing is reserved beyond the segment", nothing_is_reserved_beyond_the_segment},
};

HARNESS_MAIN(tests)
