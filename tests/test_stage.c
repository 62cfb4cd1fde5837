/* test_stage.c: groups that are synced at once go to the file past the page cache, in whole blocks, and
 * through it where that cannot be; either way they are there after a power cut. */
#include "clock.h"
#include "crc32c.h"
#include "huge.h"
#include "journal_stage.h"

#include "power.h"

#include <poll.h>
#include <stddef.h>

static const struct store_options large_options = {.directory = "journal",
                                                   .crypt_cost = 1,
                                                   .journal_bytes = 5 << 20,
                                                   .segment_bytes = 32 << 20,
                                                   .accounts = 16,
                                                   .slots = 8};

enum { MAILS = 12, ACCOUNTS = 2 }; /* of lengths with which blocks begin, go on and end */

static void begin(void)
{
    open_post_office(&large_options);
    do_and_settle(0, ACCOUNTS);
}

static struct journal_segment *journal(void)
{
    return &store->header->journal;
}

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

/* Of the calls in between: how many this process has made, and how many of them past the page cache. */
static uint64_t count(enum disk_call kind, uint64_t *directs, void (*run)(void))
{
    uint64_t before = disk_directs;
    fault.kinds = kind;
    fault.at = fault.seen = 0;
    run();
    fault.kinds = 0;
    if (directs)
        *directs = disk_directs - before;
    return fault.seen;
}

static void send_one(void)
{
    send_and_settle(700);
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
    open_post_office(&options);
    do_and_settle(0, ACCOUNTS);
    EXPECT_EQ(scene_send(store, "alice", "more", 10), STATUS_OK);
    scene_note(scene, store);
    EXPECT_EQ(journal_flush(store, true), STATUS_OK);
    disk_acknowledged(scene->last);
    EXPECT_EQ(disk_directs, 0);
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

/* ---- who waits builds the next group ---- */

static size_t mails_meanwhile;

static void note_mails(size_t mails)
{
    for (size_t mail = 0; mail < mails; mail++) {
        EXPECT_EQ(scene_send(store, "bob", "meanwhile", mail % 4 * 900), STATUS_OK);
        scene_note(scene, store);
    }
}

/* As others do while the leader writes: this process is the leader, whose word is its own. */
static void build_meanwhile(void)
{
    uint64_t before = journal()->assigned;
    note_mails(mails_meanwhile);
    journal_stage_help(store);
    EXPECT_EQ(journal()->staged.before, before);
    EXPECT_EQ(journal()->staged.last, before + mails_meanwhile);
    EXPECT_EQ(journal()->staged.tail, journal()->end);
}

static void what_comes_while_a_group_is_written_is_built_meanwhile(void)
{
    begin();
    for (mails_meanwhile = 0; mails_meanwhile < 12; mails_meanwhile++) {
        note_mails(mails_meanwhile % 3 + 1);
        disk_hook = build_meanwhile;
        EXPECT_EQ(store_settle(store), STATUS_OK);
        disk_hook = NULL;
        EXPECT_EQ(journal()->assigned - journal()->synced, mails_meanwhile);
        note_mails(mails_meanwhile % 2); /* goes into the same group */
        journal_observe_all(store);
        EXPECT_EQ(count(CALL_READ, NULL, settle), 0);
        EXPECT_EQ(journal()->synced, journal()->assigned);
    }
    play(8);
}

static void be_before_the_stage(struct staged_group *group)
{
    group->tail = 8;
}

static void be_far_away(struct staged_group *group)
{
    group->tail += UINT64_C(1) << 40;
}

static void wrap_around(struct staged_group *group)
{
    group->tail = (uint64_t)-8;
}

static void have_what_was_never_noted(struct staged_group *group)
{
    group->last += 3000;
}

static void have_what_was_never_built(struct staged_group *group)
{
    group->last++;
}

static void be_in_the_other_half(struct staged_group *group)
{
    group->half++;
}

static const struct scribble {
    void (*scribble)(struct staged_group *);
    bool seals; /* it is found by its seal or without it */
} scribbles[] = {{be_before_the_stage, true},
                 {be_far_away, true},
                 {wrap_around, true},
                 {have_what_was_never_noted, true},
                 {have_what_was_never_built, false},
                 {be_in_the_other_half, false}};

static void a_group_that_is_scribbled_over_is_built_anew(void)
{
    begin();
    for (size_t i = 0; i < 2 * sizeof(scribbles) / sizeof(scribbles[0]); i++) {
        const struct scribble *how = &scribbles[i / 2];
        struct staged_group *group = &journal()->staged;
        note_mails(2);
        settle();
        note_mails(2);
        journal_stage_help(store);
        EXPECT_EQ(group->last, journal()->assigned);
        note_mails(1);
        how->scribble(group);
        if (i % 2 && how->seals)
            group->seal = crc32c(0, group, offsetof(struct staged_group, seal));
        struct staged_group before = *group;
        journal_stage_help(store);
        EXPECT_EQ(memcmp(group, &before, sizeof(before)), 0);
        EXPECT_EQ(count(CALL_READ, NULL, settle), 1);
        EXPECT_EQ(journal()->synced, journal()->assigned);
    }
    play_end();
}

static void let_the_other_build(void)
{
    int64_t deadline = deadline_after_seconds(10);
    uint64_t written = journal()->written;
    while (load64(&journal()->assigned) <= written + 1 ||
           load64(&journal()->staged.last) < load64(&journal()->assigned)) {
        EXPECT(clock_now() < deadline);
        poll(NULL, 0, 1);
    }
}

static void who_has_to_wait_builds(void)
{
    begin();
    pid_t pid = fork_attached();
    if (pid == 0) {
        disk_hook = let_the_other_build;
        EXPECT_EQ(scene_send(store, "bob", "first", 100), STATUS_OK);
        EXPECT_EQ(store_settle(store), STATUS_OK);
        _exit(0);
    }
    while (load64(&journal()->staged.before) < load64(&journal()->written) + 1)
        poll(NULL, 0, 1);
    scene_note(scene, store);
    note_mails(1);
    settle();
    EXPECT(!wait_for(pid));
    play_end();
}

static void settle_in_part(void)
{
    journal()->synced--; /* as if it had been written under another policy */
    settle();
}

/* The records of a group say that what came before is on the disk. */
static void no_group_is_built_behind_what_is_not_on_the_disk(void)
{
    uint64_t directs;
    begin();
    note_mails(1);
    EXPECT_EQ(count(CALL_WRITE, &directs, settle_in_part), 1);
    EXPECT_EQ(directs, 0);
    EXPECT_EQ(count(CALL_WRITE, &directs, send_one), 1);
    EXPECT_EQ(directs, 1);
    play_end();
}

static void die_as_the_leader(unsigned kind, int how)
{
    pid_t pid = fork_attached();
    if (pid == 0) {
        fault.kinds = kind;
        fault.at = 1;
        fault.seen = 0;
        fault.error = how;
        journal_observe_all(store);
        (void)store_settle(store);
        _exit(0);
    }
    EXPECT(wait_for(pid));
}

/* What was built behind a group is of no use once that has not come to the disk. */
static void a_group_behind_one_that_was_not_written_is_built_anew(void)
{
    begin();
    note_mails(2);
    die_as_the_leader(CALL_WRITE, DISK_DIES);
    uint64_t last = journal()->assigned;
    note_mails(3);
    journal_stage_help(store);
    EXPECT_EQ(journal()->staged.before, last);
    EXPECT_EQ(journal()->staged.last, journal()->assigned);
    EXPECT_EQ(count(CALL_READ, NULL, settle), 1);
    play(8);
}

static void nobody_builds_behind_what_goes_through_the_page_cache(void)
{
    begin();
    note_mails(1);
    uint64_t capacity = journal()->capacity;
    journal()->capacity = journal()->tail / STAGE_BLOCK * STAGE_BLOCK + HUGE_BYTES;
    settle();
    EXPECT_EQ(journal()->staged.begun, 0);
    note_mails(1);
    journal_stage_help(store);
    EXPECT_EQ(journal()->staged.begun, 0);
    journal()->capacity = capacity;
    settle();
    EXPECT_EQ(journal()->staged.begun, 1);
    play(8);
}

static void build_and_die(void)
{
    journal()->builder = store->me;
    journal()->staged.tail += 8; /* a record that is not whole yet */
    raise(SIGKILL);
}

static void what_a_dead_builder_leaves_is_built_anew(void)
{
    begin();
    settle();
    pid_t pid = fork_attached();
    if (pid == 0)
        build_and_die();
    EXPECT(wait_for(pid));
    note_mails(2);
    journal_stage_help(store);
    EXPECT_EQ(journal()->staged.last, journal()->synced);
    EXPECT_EQ(count(CALL_READ, NULL, settle), 1);
    EXPECT_EQ(journal()->builder, 0);
    play(8);
}

static void what_is_of_another_file_or_epoch_is_not_built_on(void)
{
    begin();
    settle();
    note_mails(1);
    for (int way = 0; way < 2; way++) {
        uint64_t *mark = way ? &journal()->epoch : &journal()->generation;
        ++*mark;
        journal_stage_help(store);
        EXPECT_EQ(journal()->staged.last, journal()->synced);
        --*mark;
    }
    journal_stage_help(store);
    EXPECT_EQ(journal()->staged.last, journal()->assigned);
    settle();
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
    settle();
    fault.kinds = 0;
    EXPECT_EQ(disk_directs, 0);
    send_one();
    EXPECT_EQ(disk_directs, 1);
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

static void send_group(size_t mails)
{
    for (size_t mail = 0; mail < mails; mail++) {
        EXPECT_EQ(scene_send(store, "bob", "of a group", mail % 4 * 900), STATUS_OK);
        scene_note(scene, store);
    }
}

static void no_group_is_lost(void)
{
    begin();
    for (size_t group = 0; group < 10; group++) {
        send_group(1 + group % 4);
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
        send_group(3);
        die_as_the_leader((unsigned)ways[way][0], ways[way][1]);
        send_group(1);
        settle();
    }
    play(8);
}

static const struct harness_test tests[] = {
    {"a synced group is one write past the page cache", a_synced_group_is_one_write_past_the_page_cache},
    {"what is not synced at once goes through the page cache",
     what_is_not_synced_at_once_goes_through_the_page_cache},
    {"the next leader has the block at hand", the_next_leader_has_the_block_at_hand},
    {"a block that is in doubt is read from the file", a_block_that_is_in_doubt_is_read_from_the_file},
    {"a block that cannot be read is left to the page cache",
     a_block_that_cannot_be_read_is_left_to_the_page_cache},
    {"what comes while a group is written is built meanwhile",
     what_comes_while_a_group_is_written_is_built_meanwhile, 300},
    {"a group that is scribbled over is built anew", a_group_that_is_scribbled_over_is_built_anew},
    {"who has to wait builds", who_has_to_wait_builds},
    {"no group is built behind what is not on the disk", no_group_is_built_behind_what_is_not_on_the_disk},
    {"a group behind one that was not written is built anew",
     a_group_behind_one_that_was_not_written_is_built_anew, 300},
    {"nobody builds behind what goes through the page cache",
     nobody_builds_behind_what_goes_through_the_page_cache, 300},
    {"what a dead builder leaves is built anew", what_a_dead_builder_leaves_is_built_anew, 300},
    {"what is of another file or epoch is not built on", what_is_of_another_file_or_epoch_is_not_built_on},
    {"near the capacity it goes through the page cache", near_the_capacity_it_goes_through_the_page_cache},
    {"what is larger than half the stage goes through the page cache",
     what_is_larger_than_half_the_stage_goes_through_the_page_cache},
    {"a file system that refuses is asked once", a_file_system_that_refuses_is_asked_once},
    {"without memory for the stage it goes through the page cache",
     without_memory_for_the_stage_it_goes_through_the_page_cache},
    {"a write cut short or interrupted is done again through the page cache",
     a_write_cut_short_or_interrupted_is_done_again_through_the_page_cache},
    {"a write that fails is told", a_write_that_fails_is_told},
    {"no acknowledged group is lost", no_group_is_lost, 300},
    {"a dead leader's group is written again", a_dead_leader_s_group_is_written_again, 300},
};

HARNESS_MAIN(tests)
