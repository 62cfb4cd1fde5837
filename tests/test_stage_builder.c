/* test_stage_builder.c: while one group is on its way to the disk, who waits builds the next one, and only
 * what begins where the file ends is written. */
#include "staging.h"

#include "clock.h"
#include "crc32c.h"

#include <poll.h>
#include <stddef.h>

static size_t mails_meanwhile;

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

static void end_before_it_begins(struct staged_group *group)
{
    group->last = group->before - 1;
}

static const struct scribble {
    void (*scribble)(struct staged_group *);
    bool seals; /* it is found by its seal or without it */
} scribbles[] = {{be_before_the_stage, true},  {be_far_away, true},
                 {wrap_around, true},          {have_what_was_never_noted, true},
                 {end_before_it_begins, true}, {have_what_was_never_built, false},
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

static void a_builder_that_takes_its_time_is_waited_for(void)
{
    uint64_t directs;
    begin();
    pid_t pid = fork_attached();
    if (pid == 0) {
        __atomic_store_n(&journal()->builder, store->me, __ATOMIC_RELEASE);
        journal()->staged.begun = 0; /* who comes too soon would read the block anew */
        poll(NULL, 0, 50);
        journal()->staged.begun = 1;
        __atomic_store_n(&journal()->builder, 0, __ATOMIC_RELEASE);
        _exit(0);
    }
    while (load64(&journal()->builder) == 0)
        poll(NULL, 0, 1);
    EXPECT_EQ(count(CALL_READ, &directs, send_one), 0);
    EXPECT_EQ(directs, 1);
    EXPECT_EQ(journal()->builder, 0);
    EXPECT(!wait_for(pid));
    play_end();
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

static const struct harness_test tests[] = {
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
    {"a builder that takes its time is waited for", a_builder_that_takes_its_time_is_waited_for},
    {"what is of another file or epoch is not built on", what_is_of_another_file_or_epoch_is_not_built_on},
};

HARNESS_MAIN(tests)
