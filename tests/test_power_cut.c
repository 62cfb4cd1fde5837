/* test_power_cut.c: whenever the power goes, whatever the disk then holds of what was not synced: everything
 * that was acknowledged is there, and nothing of which there is half. */
#include "power.h"

/* ---- operations, one by one, in groups, and across reboots ---- */

static void no_acknowledged_operation_is_lost(void)
{
    open_post_office(&scene_options);
    do_and_settle(0, 7);
    for (int which = 7; which < 11; which++)
        scene_do(scene, store, which);
    settle();
    scene_do(scene, store, 11);
    reboot(&scene_options);
    do_and_settle(12, 14);
    for (int which = 14; which < 17; which++)
        scene_do(scene, store, which);
    EXPECT_EQ(journal_flush(store, false), STATUS_OK);
    reboot(&scene_options);
    reboot(&scene_options);
    do_and_settle(17, SCENE_OPERATIONS);
    play(60);
}

static const struct store_options roomy_options = {.directory = "journal",
                                                   .crypt_cost = 1,
                                                   .journal_bytes = 512 << 10,
                                                   .segment_bytes = 8 << 20,
                                                   .accounts = 16,
                                                   .slots = 8};

/* One operation or another, of up to six sectors. */
static void do_something(void)
{
    static unsigned random = 7;
    random = random * 1103515245 + 12345;
    const char *name = random >> 20 & 1 ? "alice" : "bob";
    account_t account = scene_account(store, name);
    size_t length = (random >> 16) % 2500;
    enum status status = STATUS_OK;
    if (mailbox_count(store, account) > 6)
        status = mailbox_delete_first(store, account);
    else if (random >> 23 & 1)
        status = scene_send(store, name, "some", length);
    else if (queue_count(store, account) > 2)
        status = scene_store(store, name, "bob");
    else
        status = scene_push(store, name, "some", length);
    EXPECT_EQ(status, STATUS_OK);
    scene_note(scene, store);
}

static void do_groups(int groups)
{
    for (int group = 0; group < groups; group++) {
        for (int i = 0; i <= group * 5 % 7; i++)
            do_something();
        settle();
    }
}

static void no_group_is_lost(void)
{
    open_post_office(&roomy_options);
    do_and_settle(0, 2);
    do_groups(40);
    play(60);
}

/* What was not settled may be lost, but only from the end. */
static void without_syncs_there_is_a_prefix(void)
{
    struct store_options options = scene_options;
    options.sync = STORE_SYNC_NEVER;
    open_post_office(&options);
    for (int which = 0; which < SCENE_OPERATIONS; which++) {
        scene_do(scene, store, which);
        EXPECT_EQ(store_settle(store), STATUS_OK);
        if (which % 3 == 0)
            EXPECT_EQ(journal_flush(store, false), STATUS_OK);
        if (which == 8)
            EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
        if (which == 11) {
            EXPECT_EQ(journal_flush(store, true), STATUS_OK);
            disk_acknowledged(scene->last);
        }
    }
    EXPECT_EQ(journal_flush(store, false), STATUS_OK);
    play(60);
}

/* Larger than what is written at once. */
static void a_record_written_in_parts_is_whole_or_absent(void)
{
    static char body[5 << 20];
    struct store_options options = scene_options;
    message_id id;
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)(i * i / 977);
    options.journal_bytes = 6 << 20;
    options.segment_bytes = 32 << 20;
    open_post_office(&options);
    do_and_settle(0, 4);
    EXPECT_EQ(deliver(store, scene_account(store, "bob"), "alice", "large", body, sizeof(body), &id),
              STATUS_OK);
    scene_note(scene, store);
    settle();
    do_and_settle(4, 5);
    play(4);
}

/* ---- leaders that die ---- */

static void settle_and_die(enum disk_call kind, int how)
{
    pid_t pid = fork_attached();
    if (pid == 0) {
        fault.kinds = kind;
        fault.at = 1;
        fault.error = how;
        journal_observe_all(store);
        EXPECT_EQ(store_settle(store), STATUS_OK);
        _exit(0);
    }
    EXPECT(wait_for(pid));
}

static void a_dead_leader_s_group_is_written_again(void)
{
    open_post_office(&scene_options);
    do_and_settle(0, 4);
    for (int round = 0; round < 3; round++) {
        scene_do(scene, store, 4 + 3 * round);
        settle_and_die(CALL_SYNC, DISK_DIES);
        scene_do(scene, store, 5 + 3 * round);
        settle_and_die(CALL_WRITE, DISK_DIES_HALF_WAY);
        scene_do(scene, store, 6 + 3 * round);
        settle_and_die(CALL_WRITE, DISK_DIES);
        settle();
    }
    play(60);
}

/* ---- checkpoints ---- */

static void serve_meanwhile(void)
{
    if (disk_hook_file != store->header->journal.file && disk_hook_offset == JOURNAL_HEADER_SIZE)
        do_groups(5);
}

static void a_checkpoint_loses_nothing(void)
{
    open_post_office(&roomy_options);
    do_and_settle(0, 2);
    do_groups(8);
    for (int round = 0; round < 3; round++) {
        disk_hook = serve_meanwhile;
        EXPECT_EQ(journal_checkpoint(store, roomy_options.journal_bytes), STATUS_OK);
        disk_hook = NULL;
        do_groups(2);
        do_something();
        reboot(&roomy_options);
    }
    play(60);
}

/* The keeper dies at each of its writes and syncs; the others go on as if there had been none. */
static void a_keeper_that_dies_in_a_checkpoint_loses_nothing(void)
{
    static const int ways[] = {DISK_DIES, DISK_DIES_HALF_WAY};
    size_t deaths = 0;
    open_post_office(&scene_options);
    do_and_settle(0, SCENE_FIRST_HALF);
    for (int way = 0; way < 2; way++) {
        bool died = true;
        for (uint64_t at = 1; died; at++, deaths++) {
            pid_t pid = fork_attached();
            if (pid == 0) {
                fault.kinds = CALL_WRITE | CALL_SYNC;
                fault.at = at;
                fault.error = ways[way];
                EXPECT_EQ(journal_checkpoint(store, scene_options.journal_bytes), STATUS_OK);
                _exit(0);
            }
            died = wait_for(pid);
            send_and_settle(at % 5 * 10);
        }
    }
    EXPECT(deaths > 16);
    play(60);
}

/* ---- names ---- */

static bool parent_is_synced, directory_is_synced;

static bool is_directory(int fd, const char *path)
{
    struct stat one, other;
    return fstat(fd, &one) == 0 && stat(path, &other) == 0 && one.st_ino == other.st_ino;
}

static void note_sync(int fd)
{
    parent_is_synced |= is_directory(fd, ".");
    directory_is_synced |= is_directory(fd, "journal") && access("journal/journal.1", F_OK) == 0;
}

/* What is written to a file is lost where the power takes its name. */
static void a_journal_that_was_made_has_its_names_on_disk(void)
{
    disk_synced = note_sync;
    open_post_office(&scene_options);
    EXPECT(parent_is_synced);
    EXPECT(directory_is_synced);
}

static const struct harness_test tests[] = {
    {"a journal that was made has its names on disk", a_journal_that_was_made_has_its_names_on_disk},
    {"no acknowledged operation is lost", no_acknowledged_operation_is_lost, 300},
    {"no acknowledged group of operations is lost", no_group_is_lost, 300},
    {"without syncs there is a prefix of what happened", without_syncs_there_is_a_prefix, 300},
    {"a record written in parts is whole or absent", a_record_written_in_parts_is_whole_or_absent, 300},
    {"a dead leader's group is written again", a_dead_leader_s_group_is_written_again, 300},
    {"a checkpoint loses nothing", a_checkpoint_loses_nothing, 300},
    {"a keeper that dies in a checkpoint loses nothing", a_keeper_that_dies_in_a_checkpoint_loses_nothing,
     300},
};

HARNESS_MAIN(tests)
