/* test_journal_clock.c: what is acknowledged before it is on disk is there in the time that was promised,
 * whoever has promised it, whatever the keeper does meanwhile, and where there is none. */
#include "keeping.h"

/* As one with --sync SECONDS does: it has the promise of this process for it. */
static void send_and_promise(uint32_t seconds)
{
    store->sync = STORE_SYNC_TIMED;
    store->sync_seconds = seconds;
    send(10);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    EXPECT(load64(&journal()->synced) < journal()->assigned);
}

static void wait_until_synced(void)
{
    while (load64(&journal()->synced) < journal()->assigned)
        poll(NULL, 0, 1);
}

static void the_keeper_syncs_by_the_clock(void)
{
    options.sync_seconds = 1;
    begin(STORE_SYNC_TIMED);
    pid_t pid = start_keeper(STORE_STAY, NULL);
    send_and_promise(1);
    wait_until_synced();
    EXPECT_EQ(journal()->sync_by, 0);
    stop_keeper(pid);
    journal()->sync_seconds = 1000;
    pid = start_keeper(STORE_STAY, NULL);
    send_and_promise(1000);
    rest(2);
    EXPECT_EQ(load64(&journal()->written), journal()->assigned);
    EXPECT_EQ(journal()->synced, journal()->assigned - 1);
    stop_keeper(pid); /* at its end it syncs what there is */
    EXPECT_EQ(journal()->synced, journal()->assigned);
}

static void the_sooner_of_two_promises_holds(void)
{
    begin(STORE_SYNC_TIMED);
    pid_t pid = start_keeper(STORE_STAY, NULL);
    send_and_promise(1000);
    send_and_promise(1);
    wait_until_synced();
    stop_keeper(pid);
    journal()->sync_seconds = 1; /* as the server says */
    pid = start_keeper(STORE_STAY, NULL);
    send_and_promise(1000);
    wait_until_synced();
    store->sync = STORE_SYNC_NEVER;
    send(10);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    EXPECT(journal()->sync_by != 0);
    wait_until_synced();
    stop_keeper(pid);
}

static void beside_a_server_that_never_syncs_it_holds_too(void)
{
    begin(STORE_SYNC_NEVER);
    pid_t pid = start_keeper(STORE_STAY, NULL);
    send_and_promise(1);
    wait_until_synced();
    stop_keeper(pid);
    store->sync = STORE_SYNC_NEVER;
    pid = start_keeper(STORE_STAY, NULL);
    send_and_promise(1000);
    wait_for_office();
    stop_keeper(pid); /* at its end it is held early */
    EXPECT_EQ(journal()->synced, journal()->assigned);
}

/* Whoever owed that is gone, and those that there are sync what is theirs. */
static void a_keeper_that_always_syncs_has_the_rest_synced_too(void)
{
    begin(STORE_SYNC_TIMED);
    send(10);
    EXPECT_EQ(journal()->sync_by, 0);
    journal()->sync = store->sync = STORE_SYNC_ALWAYS;
    pid_t pid = start_keeper(STORE_STAY, NULL);
    wait_until_synced();
    stop_keeper(pid);
}

static void a_promise_that_nobody_can_have_given_is_held_at_once(void)
{
    begin(STORE_SYNC_TIMED);
    send_and_promise(1000);
    journal()->sync_by |= UINT64_C(1) << 62;
    pid_t pid = start_keeper(STORE_STAY, NULL);
    wait_until_synced();
    stop_keeper(pid);
}

/* It was killed beside connections of inetd, none of which would make another one. */
static void where_the_keeper_is_gone_the_next_to_promise_holds_what_is_late(void)
{
    begin(STORE_SYNC_TIMED);
    send_and_promise(1);
    journal()->sync_by = 1;
    send(10);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    EXPECT_EQ(journal()->synced, journal()->assigned);
    EXPECT_EQ(journal()->sync_by, 0);
}

/* ---- a checkpoint ---- */

static uint64_t moment; /* the offset at whose write somebody's time is over */
static uint64_t sent, held;

/* His mail has to be on disk before the file becomes the active one. */
static void send_or_look(void)
{
    if (disk_hook_file == journal()->file)
        return;
    if (sent == 0 && disk_hook_offset >= moment) {
        send_and_promise(1);
        sent = journal()->assigned;
        journal()->sync_by = 1;
    }
    if (disk_hook_offset == 0 && sent > 0 && held == 0)
        held = load64(&journal()->synced);
}

static void expect_held_during_a_checkpoint(uint64_t offset)
{
    moment = offset;
    begin(STORE_SYNC_TIMED);
    disk_hook = send_or_look;
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    disk_hook = NULL;
    EXPECT(sent > 0);
    EXPECT_EQ(held, sent);
    EXPECT_CLEAN(store);
}

static void writing_a_snapshot_does_not_keep_the_keeper_from_it(void)
{
    expect_held_during_a_checkpoint(JOURNAL_HEADER_SIZE);
}

/* Zeros, behind all that the file has to say. */
static void nor_does_making_room_in_its_file(void)
{
    expect_held_during_a_checkpoint(options.journal_bytes / 2);
}

/* ---- a server ---- */

/* Or nobody would hold anything when it ends before it has one. */
static void a_lone_keeper_leaves_for_a_server_that_has_a_keeper(void)
{
    int ends[2];
    begin(STORE_SYNC_ALWAYS);
    pid_t lone = start_keeper(STORE_STAY_LONE, NULL);
    wait_for_office();
    EXPECT_EQ(pipe(ends), 0);
    pid_t server = fork();
    if (server == 0) {
        char byte;
        EXPECT_EQ(store_serve(store), STATUS_OK);
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) != 0);
    }
    close(ends[0]);
    while (load64(&journal()->keeper) != 0)
        EXPECT_EQ(sem_post(&journal()->keeper_wake), 0);
    EXPECT_EQ(waitpid(lone, NULL, WNOHANG), 0);
    close(ends[1]);
    EXPECT_EQ(end_of(server), 0);
    wait_for_office();
    EXPECT_EQ(waitpid(lone, NULL, WNOHANG), 0);
    stop_keeper(lone);
}

static const struct harness_test tests[] = {
    {"the keeper syncs by the clock", the_keeper_syncs_by_the_clock},
    {"the sooner of two promises holds", the_sooner_of_two_promises_holds},
    {"beside a server that never syncs it holds, too", beside_a_server_that_never_syncs_it_holds_too},
    {"a keeper that always syncs has the rest synced, too",
     a_keeper_that_always_syncs_has_the_rest_synced_too},
    {"a promise that nobody can have given is held at once",
     a_promise_that_nobody_can_have_given_is_held_at_once},
    {"where the keeper is gone the next to promise holds what is late",
     where_the_keeper_is_gone_the_next_to_promise_holds_what_is_late},
    {"writing a snapshot does not keep the keeper from it",
     writing_a_snapshot_does_not_keep_the_keeper_from_it},
    {"nor does making room in its file", nor_does_making_room_in_its_file},
    {"a lone keeper leaves for a server that has a keeper",
     a_lone_keeper_leaves_for_a_server_that_has_a_keeper},
};

HARNESS_MAIN(tests)
