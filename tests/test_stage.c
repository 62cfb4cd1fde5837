/* test_stage.c: groups that are synced at once go to the file past the page cache, in whole blocks, and
 * through it where that cannot be; either way they are there after a power cut. */
#include "staging.h"

#include "crc32c.h"

#include <stddef.h>

enum { MAILS = 12 }; /* of lengths with which blocks begin, go on and end */

/* Where the next record will stand, and where what the stage held before would be taken for one. */
static void expect_zeros_behind_the_tail(void)
{
    static const char zeros[STAGE_BLOCK];
    char rest[STAGE_BLOCK];
    size_t length = STAGE_BLOCK - journal()->tail % STAGE_BLOCK;
    EXPECT_EQ(pread(store->files[journal()->file], rest, length, (off_t)journal()->tail), length);
    EXPECT_EQ(memcmp(rest, zeros, length), 0);
}

static void send_all(void)
{
    for (size_t mail = 0; mail < MAILS; mail++) {
        send_and_settle(mail % 5 * 1200);
        expect_zeros_behind_the_tail();
    }
}

static void a_synced_group_is_one_write_past_the_page_cache(void)
{
    uint64_t directs;
    begin();
    EXPECT_EQ(count(CALL_WRITE, &directs, send_all), MAILS);
    EXPECT_EQ(directs, MAILS);
    play_end();
}

static void what_is_not_synced_at_once_goes_through_the_page_cache(void)
{
    struct store_options options = large_options;
    options.sync = STORE_SYNC_TIMED;
    options.sync_seconds = 1;
    open_post_office(&options);
    do_and_settle(0, 2);
    EXPECT_EQ(scene_send(store, "alice", "more", 10), STATUS_OK);
    scene_note(scene, store);
    EXPECT_EQ(journal_flush(store, true), STATUS_OK);
    disk_acknowledged(scene->last);
    EXPECT_EQ(disk_directs, 0);
    play_end();
}

static void flush(void)
{
    EXPECT_EQ(journal_flush(store, true), STATUS_OK);
}

/* A group has a table of a thousand pieces, and here each message has four of them. */
static void what_has_many_pieces_is_written_in_several_groups(void)
{
    static char body[BLOCK_MAX - 1];
    struct store_options options = large_options;
    message_id id;
    options.sync = STORE_SYNC_TIMED;
    options.sync_seconds = 1;
    open_post_office(&options);
    do_and_settle(0, 2);
    for (int mail = 0; mail < 255; mail++) {
        EXPECT_EQ(deliver(store, scene_account(store, "bob"), "alice", "", body, sizeof(body), &id),
                  STATUS_OK);
        scene_note(scene, store);
    }
    EXPECT_EQ(count(CALL_WRITE, NULL, flush), 2);
    EXPECT_EQ(journal()->synced, scene->last);
    disk_acknowledged(scene->last);
    play_end();
}

/* ---- the block that a group begins in ---- */

static void the_next_leader_has_the_block_at_hand(void)
{
    begin();
    EXPECT_EQ(count(CALL_READ, NULL, send_one), 0);
    pid_t pid = fork_attached();
    if (pid == 0) {
        EXPECT_EQ(count(CALL_READ, NULL, send_one), 0);
        _exit(0);
    }
    EXPECT(!wait_for(pid));
    scene_note(scene, store);
    EXPECT_EQ(count(CALL_READ, NULL, send_one), 0);
    play_end();
}

static char *staged_block(void)
{
    return store->stage + journal()->staged.half % 2 * (size_t)STAGE_HALF;
}

static void scribble(void)
{
    staged_block()[journal()->tail % STAGE_BLOCK / 2] ^= 1;
}

static void scribble_well(void)
{
    scribble();
    journal()->staged.crc = crc32c(0, staged_block(), journal()->tail % STAGE_BLOCK);
}

static void be_of_the_other_file(void)
{
    scribble_well();
    journal()->staged.generation--;
}

static void be_of_another_epoch(void)
{
    scribble_well();
    journal()->staged.epoch--;
}

static void be_of_another_tail(void)
{
    scribble_well();
    journal()->staged.start -= STAGE_BLOCK;
    journal()->staged.tail -= STAGE_BLOCK;
}

static void be_of_another_record(void)
{
    scribble_well();
    journal()->staged.before--;
}

static void (*const doubts[])(void) = {scribble, be_of_the_other_file, be_of_another_epoch,
                                       be_of_another_tail, be_of_another_record};

static void a_block_that_is_in_doubt_is_read_from_the_file(void)
{
    begin();
    for (size_t i = 0; i < sizeof(doubts) / sizeof(doubts[0]); i++) {
        do {
            send_and_settle(1000);
        } while (journal()->tail % STAGE_BLOCK <= 1000);
        doubts[i]();
        journal()->staged.seal = crc32c(0, &journal()->staged, offsetof(struct staged_group, seal));
        EXPECT_EQ(count(CALL_READ, NULL, send_one), 1);
    }
    play_end();
}

static void a_block_that_cannot_be_read_is_left_to_the_page_cache(void)
{
    begin();
    send_and_settle(1000);
    scribble();
    EXPECT_EQ(scene_send(store, "alice", "more", 3000), STATUS_OK);
    scene_note(scene, store);
    uint64_t before = disk_directs;
    fault.kinds = CALL_READ;
    fault.at = 1;
    fault.seen = 0;
    fault.error = EIO;
    settle();
    fault.kinds = 0;
    EXPECT_EQ(disk_directs, before);
    send_all();
    play_end();
}

/* ---- the room ahead ---- */

static void make_room(uint64_t bytes)
{
    uint64_t reached, capacity = journal()->capacity;
    EXPECT_EQ(journal_fill(store, journal()->file, capacity, capacity + bytes, &reached), STATUS_OK);
    EXPECT_EQ(reached, capacity + bytes);
}

static void make_room_of_blocks(void)
{
    make_room(9 << 20);
}

static void make_room_of_no_block(void)
{
    make_room(STAGE_BLOCK + 8);
}

static void the_zeros_ahead_go_past_the_page_cache_as_well(void)
{
    uint64_t directs;
    begin();
    EXPECT_EQ(count(CALL_WRITE, &directs, make_room_of_blocks), 3);
    EXPECT_EQ(directs, 3);
    play_end();
}

static void zeros_that_are_no_blocks_go_through_the_page_cache(void)
{
    uint64_t directs;
    begin();
    EXPECT_EQ(count(CALL_WRITE, &directs, make_room_of_no_block), 1);
    EXPECT_EQ(directs, 0);
    play_end();
}

static void where_a_file_system_refuses_zeros_go_through_the_page_cache(void)
{
    uint64_t directs;
    begin();
    disk_has_no_direct = true;
    EXPECT_EQ(count(CALL_WRITE, &directs, make_room_of_blocks), 3);
    EXPECT_EQ(directs, 3);
    play_end();
}

/* ---- where it cannot be ---- */

static void near_the_capacity_it_goes_through_the_page_cache(void)
{
    uint64_t directs;
    begin();
    EXPECT_EQ(count(CALL_WRITE, &directs, send_one), 1);
    EXPECT_EQ(directs, 1);
    journal()->capacity = journal()->tail / STAGE_BLOCK * STAGE_BLOCK + HUGE_BYTES + STAGE_BLOCK - 1;
    EXPECT_EQ(count(CALL_WRITE, &directs, send_one), 1);
    EXPECT_EQ(directs, 0);
    play_end();
}

static void send_more_than_a_half(void)
{
    static char body[STAGE_HALF];
    message_id id;
    memset(body, 'x', sizeof(body));
    EXPECT_EQ(deliver(store, scene_account(store, "bob"), "alice", "large", body, sizeof(body), &id),
              STATUS_OK);
    scene_note(scene, store);
    settle();
}

static void what_is_larger_than_half_the_stage_goes_through_the_page_cache(void)
{
    uint64_t directs;
    begin();
    EXPECT_EQ(count(CALL_WRITE, &directs, send_more_than_a_half), 1);
    EXPECT_EQ(directs, 0);
    EXPECT_EQ(count(CALL_READ, &directs, send_one), 1);
    EXPECT_EQ(directs, 1);
    play_end();
}

static void a_file_system_that_refuses_is_asked_once(void)
{
    uint64_t directs;
    begin();
    disk_has_no_direct = true;
    EXPECT_EQ(count(CALL_WRITE, &directs, send_all), MAILS);
    EXPECT_EQ(directs, 1);
    play_end();
}

static void without_memory_for_the_stage_it_goes_through_the_page_cache(void)
{
    open_post_office(&large_options);
    scene_do(scene, store, 0);
    fault.kinds = CALL_RESERVE;
    fault.at = 1;
    fault.seen = 0;
    fault.lasts = true;
    fault.error = ENOSPC;
    uint64_t before = disk_directs;
    settle();
    fault.kinds = 0;
    EXPECT_EQ(disk_directs, before);
    send_one();
    EXPECT_EQ(disk_directs, before + 1);
    play_end();
}

/* What was built before goes on its way, and what follows. */
static void without_memory_for_more_of_the_stage_a_group_ends(void)
{
    begin();
    for (int mail = 0; mail < 30; mail++) {
        EXPECT_EQ(scene_send(store, "bob", "meanwhile", 3600), STATUS_OK);
        scene_note(scene, store);
    }
    uint64_t directs = disk_directs;
    fault.kinds = CALL_RESERVE;
    fault.at = 1;
    fault.seen = 0;
    fault.error = ENOSPC;
    settle();
    EXPECT_EQ(fault.seen, 1);
    fault.kinds = 0;
    EXPECT_EQ(disk_directs, directs + 2);
    play_end();
}

static void a_write_cut_short_or_interrupted_is_done_again_through_the_page_cache(void)
{
    static const int ways[] = {DISK_SHORT, EINTR};
    begin();
    for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
        EXPECT_EQ(scene_send(store, "alice", "more", 3000), STATUS_OK);
        scene_note(scene, store);
        fault.kinds = CALL_WRITE;
        fault.at = 1;
        fault.seen = 0;
        fault.error = ways[way];
        settle();
        EXPECT_EQ(fault.seen, 2);
        fault.kinds = 0;
        send_all();
    }
    play_end();
}

static void a_write_that_fails_is_told(void)
{
    begin();
    EXPECT_EQ(scene_send(store, "alice", "more", 3000), STATUS_OK);
    fault.kinds = CALL_WRITE;
    fault.at = 1;
    fault.seen = 0;
    fault.error = EIO;
    EXPECT_EQ(store_settle(store), STATUS_READ_ONLY);
    EXPECT_EQ(fault.seen, 1);
    EXPECT_EQ(journal()->failure, EIO);
}

/* ---- power cuts ---- */

static void no_group_is_lost(void)
{
    begin();
    for (size_t group = 0; group < 10; group++) {
        note_mails(1 + group % 4);
        settle();
    }
    play(8);
}

static void a_dead_leader_s_group_is_written_again(void)
{
    static const int ways[][2] = {
        {CALL_SYNC, DISK_DIES}, {CALL_WRITE, DISK_DIES_HALF_WAY}, {CALL_WRITE, DISK_DIES}};
    begin();
    for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
        note_mails(3);
        die_as_the_leader((unsigned)ways[way][0], ways[way][1]);
        note_mails(1);
        settle();
    }
    play(8);
}

static const struct harness_test tests[] = {
    {"a synced group is one write past the page cache", a_synced_group_is_one_write_past_the_page_cache},
    {"what is not synced at once goes through the page cache",
     what_is_not_synced_at_once_goes_through_the_page_cache},
    {"what has many pieces is written in several groups", what_has_many_pieces_is_written_in_several_groups},
    {"the next leader has the block at hand", the_next_leader_has_the_block_at_hand},
    {"a block that is in doubt is read from the file", a_block_that_is_in_doubt_is_read_from_the_file},
    {"a block that cannot be read is left to the page cache",
     a_block_that_cannot_be_read_is_left_to_the_page_cache},
    {"the zeros ahead go past the page cache as well", the_zeros_ahead_go_past_the_page_cache_as_well},
    {"zeros that are no blocks go through the page cache",
     zeros_that_are_no_blocks_go_through_the_page_cache},
    {"where a file system refuses, zeros go through the page cache",
     where_a_file_system_refuses_zeros_go_through_the_page_cache},
    {"near the capacity it goes through the page cache", near_the_capacity_it_goes_through_the_page_cache},
    {"what is larger than half the stage goes through the page cache",
     what_is_larger_than_half_the_stage_goes_through_the_page_cache},
    {"a file system that refuses is asked once", a_file_system_that_refuses_is_asked_once},
    {"without memory for the stage it goes through the page cache",
     without_memory_for_the_stage_it_goes_through_the_page_cache},
    {"without memory for more of the stage a group ends", without_memory_for_more_of_the_stage_a_group_ends},
    {"a write cut short or interrupted is done again through the page cache",
     a_write_cut_short_or_interrupted_is_done_again_through_the_page_cache},
    {"a write that fails is told", a_write_that_fails_is_told},
    {"no acknowledged group is lost", no_group_is_lost, 300},
    {"a dead leader's group is written again", a_dead_leader_s_group_is_written_again, 300},
};

HARNESS_MAIN(tests)
