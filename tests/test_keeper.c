/* test_keeper.c: the one process that keeps a journal in order: there is one at a time, it leaves when it is
 * told or when it is alone for long, it syncs by the clock, and says once what it cannot do. */
#include "keeping.h"

/* How often the keeper has said that, once it has ended. */
static int times_said(const char *words)
{
    static char text[8192];
    size_t length = 0;
    ssize_t got;
    int count = 0;
    while ((got = read(said, text + length, sizeof(text) - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    for (const char *at = text; (at = strstr(at, words)); at++)
        count++;
    return count;
}

/* ---- the office ---- */

static void there_is_one_keeper_and_a_dead_one_is_followed(void)
{
    begin(STORE_SYNC_ALWAYS);
    pid_t first = start_keeper(STORE_STAY, NULL);
    wait_for_office();
    uint64_t dead = journal()->keeper;
    EXPECT_EQ(end_of(start_keeper(STORE_STAY_LONE, NULL)), 0); /* a lone one is not needed */
    pid_t second = start_keeper(STORE_STAY, NULL);
    EXPECT_EQ(kill(first, SIGKILL), 0);
    EXPECT_EQ(waitpid(first, NULL, 0), first);
    while (load64(&journal()->keeper) == dead)
        poll(NULL, 0, 1);
    stop_keeper(second);
    EXPECT_CLEAN(store);
}

/* Else whoever needs room finds no keeper for as long as the sync takes. */
static void it_stays_in_office_until_its_last_sync_is_done(void)
{
    begin(STORE_SYNC_ALWAYS);
    pid_t pid = start_keeper(STORE_STAY, NULL);
    wait_for_office();
    journal_lead(store); /* that sync has to wait */
    EXPECT_EQ(kill(pid, SIGTERM), 0);
    EXPECT_EQ(sem_post(&journal()->keeper_wake), 0);
    const struct slot *slot = slot_at(store, owner_slot(journal()->keeper));
    while (load64(&slot->settling) == 0)
        poll(NULL, 0, 1);
    EXPECT(load64(&journal()->keeper) != 0);
    journal_follow(store);
    EXPECT_EQ(end_of(pid), 0);
    EXPECT_EQ(journal()->keeper, 0);
}

/* It may have died between a sync that failed and saying so. */
static void after_a_keeper_that_died_with_something_to_sync_the_file_is_suspect(void)
{
    static const volatile sig_atomic_t stopped = 1;
    sigset_t none;
    sigemptyset(&none);
    begin(STORE_SYNC_TIMED);
    for (int unsynced = 0; unsynced < 2; unsynced++) {
        EXPECT_EQ(journal_flush(store, true), STATUS_OK);
        pid_t pid = start_keeper(STORE_STAY, NULL);
        wait_for_office();
        if (unsynced) {
            send(10);
            EXPECT_EQ(journal_flush(store, false), STATUS_OK);
        }
        EXPECT_EQ(kill(pid, SIGKILL), 0);
        EXPECT_EQ(waitpid(pid, NULL, 0), pid);
        EXPECT_EQ(journal()->suspect, 0);
        store_keep(store, STORE_STAY, &stopped, &none);
        EXPECT_EQ(journal()->suspect, (uint32_t)unsynced);
        store_reclaim(store);
    }
}

static void without_a_journal_there_is_nothing_to_keep(void)
{
    store = private_store();
    EXPECT(!store_has_journal(store));
    store_prepare_to_keep(store);
    EXPECT_EQ(end_of(start_keeper(STORE_STAY, NULL)), 1);
}

static void let_seconds_fly(void)
{
    disk_seconds_a_look = 1;
}

static void expect_end(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        EXPECT_EQ(sem_post(&journal()->keeper_wake), 0);
        poll(NULL, 0, 1);
    }
    EXPECT_EQ(status, 0);
    EXPECT_EQ(journal()->keeper, 0);
}

/* The last process of inetd has left its keeper; whoever comes in time finds one. */
static void expect_lone_until(void (*end)(struct store *))
{
    begin(STORE_SYNC_ALWAYS);
    EXPECT(store_has_journal(store));
    pid_t pid = start_keeper(STORE_STAY_LONE, let_seconds_fly);
    wait_for_office();
    rest(20);
    EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
    end(store);
    expect_end(pid);
}

static void a_lone_keeper_leaves_and_one_that_is_not_alone_stays(void)
{
    expect_lone_until(store_detach);
}

/* Nobody knows then which of those that have slots live, and somebody has to check. */
static void a_lone_keeper_stays_with_nobody_who_is_suspect(void)
{
    expect_lone_until(store_suspect);
}

static void let_time_fly_or_not(int signal_number)
{
    disk_seconds_a_look = signal_number == SIGUSR1 ? 10 : 0;
}

static void let_time_fly_when_told(void)
{
    signal(SIGUSR1, let_time_fly_or_not);
    signal(SIGUSR2, let_time_fly_or_not);
}

/* The newcomer has seen it in office, and so has started none. */
static void a_lone_keeper_stays_for_who_comes_as_it_leaves(void)
{
    begin(STORE_SYNC_ALWAYS);
    pid_t pid = start_keeper(STORE_STAY_LONE, let_time_fly_when_told);
    wait_for_office();
    store_detach(store);
    rest(2);
    poll(NULL, 0, 20); /* it has found nobody, and sleeps */
    EXPECT_EQ(store_attach(store, "newcomer"), STATUS_OK);
    EXPECT_EQ(kill(pid, SIGUSR1), 0); /* its time is over */
    poll(NULL, 0, 20);
    EXPECT_EQ(kill(pid, SIGUSR2), 0);
    rest(3);
    EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
    stop_keeper(pid);
}

/* It looks so often, each look after its time, and is there still. */
static void expect_stays(pid_t pid)
{
    EXPECT_EQ(kill(pid, SIGUSR1), 0);
    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
        EXPECT_EQ(sem_post(&journal()->keeper_wake), 0);
        poll(NULL, 0, 5);
    }
}

/* inetd's next process has seen it in office, and waits for its first line. */
static void a_lone_keeper_stays_with_who_has_nobody_to_serve_yet(void)
{
    begin(STORE_SYNC_TIMED);
    pid_t pid = start_keeper(STORE_STAY_LONE, let_time_fly_when_told);
    wait_for_office();
    store_detach(store);
    EXPECT_EQ(store_attach_ahead(store), STATUS_OK);
    expect_stays(pid);
    store_detach(store);
    expect_end(pid);
}

/* It would never leave, and the post office could not be removed. */
static void a_lone_keeper_stays_with_no_slot_that_never_was(void)
{
    options.slots = 1024;
    begin(STORE_SYNC_ALWAYS);
    pid_t pid = start_keeper(STORE_STAY_LONE, let_seconds_fly);
    wait_for_office();
    EXPECT(!process_has_slot(store, 1000));
    store->header->slot_map[1000 / 64] |= UINT64_C(1) << 1000 % 64;
    store_detach(store);
    expect_end(pid);
    EXPECT_EQ(store->header->slot_map[1000 / 64], 0);
}

/* Its parent, which has died, had forked it. */
static void an_orphan_stays_for_a_child_that_has_not_attached_yet(void)
{
    begin(STORE_SYNC_TIMED);
    store_detach(store);
    pid_t pid = start_keeper(STORE_STAY_ORPHAN, let_time_fly_when_told);
    wait_for_office();
    rest(3);
    EXPECT_EQ(store_attach(store, "late"), STATUS_OK);
    expect_stays(pid);
    store_detach(store);
    expect_end(pid);
}

/* They come while it looks; it wakes once for all of them. */
static void many_wake_ups_are_one_look(void)
{
    begin(STORE_SYNC_ALWAYS);
    pid_t pid = start_keeper(STORE_STAY, NULL);
    wait_for_office();
    EXPECT_EQ(kill(pid, SIGSTOP), 0);
    EXPECT_EQ(waitpid(pid, NULL, WUNTRACED), pid);
    uint64_t looks = load64(&journal()->looks);
    for (int i = 0; i < 5000; i++)
        EXPECT_EQ(sem_post(&journal()->keeper_wake), 0);
    EXPECT_EQ(kill(pid, SIGCONT), 0);
    rest(1);
    EXPECT((load64(&journal()->looks) - looks) / 2 < 1000);
    stop_keeper(pid);
}

/* ---- the clock ---- */

static void it_never_syncs_where_that_was_asked_for(void)
{
    begin(STORE_SYNC_NEVER);
    pid_t pid = start_keeper(STORE_STAY, NULL);
    send(10);
    while (load64(&journal()->written) < journal()->assigned)
        poll(NULL, 0, 1);
    stop_keeper(pid);
    EXPECT_EQ(journal()->synced, journal()->assigned - 1);
}

/* Who ends the server, and then the system, has lost nothing. */
static void at_its_end_it_writes_also_what_it_never_syncs(void)
{
    static const volatile sig_atomic_t stopped = 1;
    sigset_t none;
    sigemptyset(&none);
    begin(STORE_SYNC_NEVER);
    send(10);
    EXPECT_EQ(journal()->written, journal()->assigned - 1);
    store_keep(store, STORE_STAY, &stopped, &none);
    EXPECT_EQ(journal()->written, journal()->assigned);
    EXPECT_EQ(journal()->synced, journal()->assigned - 1);
}

/* ---- without a keeper ---- */

static void send_and_leave(void)
{
    send(10);
    EXPECT_EQ(journal()->written, journal()->assigned - 1);
    store_detach(store);
}

static void come_back(void)
{
    EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
}

static void who_leaves_writes_what_nobody_else_would(void)
{
    begin(STORE_SYNC_NEVER);
    send_and_leave();
    EXPECT_EQ(journal()->written, journal()->assigned);
    EXPECT_EQ(journal()->synced, journal()->assigned - 1);
    come_back();
    journal()->sync_seconds = 1;
    journal()->sync = STORE_SYNC_TIMED;
    send_and_leave();
    EXPECT_EQ(journal()->synced, journal()->assigned);
    come_back();
    EXPECT_CLEAN(store);
}

static void who_leaves_a_keeper_behind_writes_nothing_and_a_dead_one_is_none(void)
{
    begin(STORE_SYNC_TIMED);
    pid_t pid = start_keeper(STORE_STAY, NULL);
    wait_for_office();
    EXPECT_EQ(kill(pid, SIGSTOP), 0);
    EXPECT_EQ(waitpid(pid, NULL, WUNTRACED), pid);
    send_and_leave();
    EXPECT_EQ(journal()->written, journal()->assigned - 1);
    EXPECT_EQ(kill(pid, SIGKILL), 0);
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    come_back();
    store_detach(store);
    EXPECT_EQ(journal()->synced, journal()->assigned);
}

/* What is suspect may be a scribble; what has lost its name may have a successor, with the same journal. */
static void who_leaves_writes_nothing_where_it_might_do_harm(void)
{
    begin(STORE_SYNC_TIMED);
    store_suspect(store);
    send_and_leave();
    EXPECT_EQ(journal()->written, journal()->assigned - 1);
    store->header->acquitted = store->header->suspected;
    come_back();
    store->header->retired = 1;
    store_detach(store);
    EXPECT_EQ(journal()->written, journal()->assigned - 1);
    store->header->retired = 0;
    come_back();
    EXPECT_CLEAN(store);
}

/* It has not opened the journal. */
static void who_only_looks_writes_nothing(void)
{
    options.name = harness_name();
    begin(STORE_SYNC_TIMED);
    send(10);
    pid_t pid = fork();
    if (pid == 0) {
        store = attached_store(&(struct store_options){.name = options.name, .must_exist = true});
        store_detach(store);
        _exit(0);
    }
    EXPECT_EQ(end_of(pid), 0);
    EXPECT_EQ(journal()->written, journal()->assigned - 1);
}

/* ---- a crash ---- */

static void a_dead_keeper_s_checkpoint_does_not_run_any_more(void)
{
    begin(STORE_SYNC_ALWAYS);
    journal()->checkpoint = 1;
    pid_t pid = start_keeper(STORE_STAY, NULL);
    wait_for_office();
    rest(2);
    EXPECT_EQ(journal()->checkpoint, 0);
    stop_keeper(pid);
}

static void of_what_may_be_damaged_there_is_no_checkpoint(void)
{
    begin(STORE_SYNC_ALWAYS);
    journal()->suspect = 1;
    store_suspect(store);
    pid_t pid = start_keeper(STORE_STAY, NULL);
    wait_for_office();
    rest(3);
    EXPECT_EQ(journal()->generation, 1);
    EXPECT_EQ(store_acquit(store, NULL, NULL), STATUS_OK);
    while (load64(&journal()->generation) == 1)
        poll(NULL, 0, 1);
    stop_keeper(pid);
    EXPECT_EQ(times_said("a checkpoint failed"), 0); /* nor was one tried */
    EXPECT_CLEAN(store);
}

/* Its first look counts what a snapshot would take, and then would make one. */
static void accounts_beyond_the_table_do_not_lead_it_astray(void)
{
    begin(STORE_SYNC_ALWAYS);
    uint32_t used = store->header->accounts_used;
    store->header->accounts_used = UINT32_MAX - 1;
    journal()->log_bytes = UINT64_C(1) << 30;
    journal()->suspect = 0;
    pid_t pid = start_keeper(STORE_STAY, NULL);
    wait_for_office();
    rest(3);
    stop_keeper(pid);
    store->header->accounts_used = used;
    EXPECT_CLEAN(store);
}

/* It tells who opened a file once of what was lost. */
static void it_has_the_files_open_for_itself(void)
{
    begin(STORE_SYNC_ALWAYS);
    pid_t pid = fork();
    if (pid == 0) {
        store_prepare_to_keep(store);
        for (int i = 0; i < 2; i++)
            EXPECT_EQ(lseek(store->files[i], 1, SEEK_SET), 1);
        _exit(0);
    }
    EXPECT_EQ(end_of(pid), 0);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(lseek(store->files[i], 0, SEEK_CUR), 0);
    fault.kinds = CALL_OPEN; /* no /proc */
    fault.at = 1;
    fault.lasts = true;
    fault.error = ENOENT;
    store_prepare_to_keep(store);
    fault.kinds = 0;
    send(10);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

/* ---- what it cannot do ---- */

static void fail_all_syncs(void)
{
    fault.kinds = CALL_SYNC;
    fault.at = 1;
    fault.lasts = true;
    fault.error = EIO;
}

static void what_it_cannot_do_it_says_once(void)
{
    begin(STORE_SYNC_ALWAYS);
    __atomic_store_n(&journal()->wanted, 1 << 20, __ATOMIC_RELEASE);
    uint64_t capacity = journal()->capacity;
    pid_t pid = start_keeper(STORE_STAY, fail_all_syncs);
    while (load64(&journal()->wanted) > 0)
        poll(NULL, 0, 1);
    rest(2);
    stop_keeper(pid);
    EXPECT_EQ(journal()->capacity, capacity);
    EXPECT_EQ(times_said("no room can be made"), 1);
    EXPECT_EQ(journal()->failure, EIO); /* perhaps it was a record that the disk has lost */
    pid = start_keeper(STORE_STAY, NULL);
    wait_for_office();
    rest(2);
    stop_keeper(pid);
    EXPECT_EQ(times_said("no room can be made"), 1);
}

/* The other file has lost the space that it had for the state. */
static void on_a_full_disk_a_checkpoint_that_failed_is_tried_again_but_not_at_once(void)
{
    account_t bob;
    disk_start();
    begin(STORE_SYNC_ALWAYS);
    bob = scene_account(store, "bob");
    while (scene_send(store, "bob", "", 0) == STATUS_OK)
        EXPECT_EQ(store_settle(store), STATUS_OK);
    draft_drop(store);
    EXPECT_EQ(ftruncate(store->files[1], JOURNAL_HEADER_SIZE), 0);
    disk->is_full = true;
    while (journal()->capacity - journal()->end >= JOURNAL_DELETE_RESERVE / 2) {
        EXPECT_EQ(mailbox_delete_first(store, bob), STATUS_OK);
        EXPECT_EQ(store_settle(store), STATUS_OK);
    }
    store_suspect(store);
    pid_t pid = start_keeper(STORE_STAY, NULL);
    wait_for_office();
    rest(3);
    stop_keeper(pid);
    EXPECT_EQ(times_said("a checkpoint failed"), 0); /* not of what may be damaged */
    EXPECT_EQ(store_acquit(store, NULL, NULL), STATUS_OK);
    pid = start_keeper(STORE_STAY, NULL);
    wait_for_office();
    rest(3);
    stop_keeper(pid);
    EXPECT_EQ(times_said("a checkpoint failed"), 1);
    journal()->suspect = 1; /* the same for one that is due */
    pid = start_keeper(STORE_STAY, NULL);
    wait_for_office();
    rest(3);
    stop_keeper(pid);
    EXPECT_EQ(times_said("a checkpoint failed"), 1);
    journal()->suspect = 0;
    pid = start_keeper(STORE_STAY, let_seconds_fly);
    wait_for_office();
    rest(20);
    stop_keeper(pid);
    EXPECT(times_said("a checkpoint failed") > 1);
    EXPECT_EQ(journal()->generation, 1);
    disk->is_full = false;
    pid = start_keeper(STORE_STAY, NULL);
    while (load64(&journal()->capacity) == options.journal_bytes)
        poll(NULL, 0, 1);
    stop_keeper(pid);
    EXPECT_CLEAN(store);
}

static const struct harness_test tests[] = {
    {"there is one keeper, and a dead one is followed", there_is_one_keeper_and_a_dead_one_is_followed},
    {"it stays in office until its last sync is done", it_stays_in_office_until_its_last_sync_is_done},
    {"after a keeper that died with something to sync the file is suspect",
     after_a_keeper_that_died_with_something_to_sync_the_file_is_suspect},
    {"without a journal there is nothing to keep", without_a_journal_there_is_nothing_to_keep},
    {"a lone keeper leaves, and one that is not alone stays",
     a_lone_keeper_leaves_and_one_that_is_not_alone_stays},
    {"a lone keeper stays with nobody who is suspect", a_lone_keeper_stays_with_nobody_who_is_suspect},
    {"a lone keeper stays for who comes as it leaves", a_lone_keeper_stays_for_who_comes_as_it_leaves},
    {"a lone keeper stays with who has nobody to serve yet",
     a_lone_keeper_stays_with_who_has_nobody_to_serve_yet},
    {"a lone keeper stays with no slot that never was", a_lone_keeper_stays_with_no_slot_that_never_was},
    {"an orphan stays for a child that has not attached yet",
     an_orphan_stays_for_a_child_that_has_not_attached_yet},
    {"many wake-ups are one look", many_wake_ups_are_one_look},
    {"it never syncs where that was asked for", it_never_syncs_where_that_was_asked_for},
    {"at its end it writes also what it never syncs", at_its_end_it_writes_also_what_it_never_syncs},
    {"who leaves writes what nobody else would", who_leaves_writes_what_nobody_else_would},
    {"who leaves a keeper behind writes nothing, and a dead one is none",
     who_leaves_a_keeper_behind_writes_nothing_and_a_dead_one_is_none},
    {"who leaves writes nothing where it might do harm", who_leaves_writes_nothing_where_it_might_do_harm},
    {"who only looks writes nothing", who_only_looks_writes_nothing},
    {"a dead keeper's checkpoint does not run any more", a_dead_keeper_s_checkpoint_does_not_run_any_more},
    {"of what may be damaged there is no checkpoint", of_what_may_be_damaged_there_is_no_checkpoint},
    {"accounts beyond the table do not lead it astray", accounts_beyond_the_table_do_not_lead_it_astray},
    {"it has the files open for itself", it_has_the_files_open_for_itself},
    {"what it cannot do it says once", what_it_cannot_do_it_says_once},
    {"on a full disk a checkpoint that failed is tried again, but not at once",
     on_a_full_disk_a_checkpoint_that_failed_is_tried_again_but_not_at_once},
};

HARNESS_MAIN(tests)
