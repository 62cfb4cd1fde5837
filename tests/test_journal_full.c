/* test_journal_full.c: a full disk and a failed one are answers: what can be done is done, what cannot is
 * refused, and the keeper brings back what can be brought back. */
#include "power.h"

#include <poll.h>

static const struct store_options options = {.directory = "journal",
                                             .crypt_cost = 1,
                                             .journal_bytes = 160 << 10,
                                             .segment_bytes = 16 << 20,
                                             .accounts = 16,
                                             .slots = 8};

static void begin(void)
{
    open_post_office(&options);
    do_and_settle(0, SCENE_FIRST_HALF);
}

static enum status try_send(size_t length)
{
    enum status status = scene_send(store, "bob", "filling", length);
    draft_drop(store);
    if (status == STATUS_OK) {
        scene_note(scene, store);
        settle();
    }
    return status;
}

/* Only a keeper knows whether it is the disk. */
static enum status refusal(void)
{
    return load32(&store->header->journal.roomless) ? STATUS_FULL_JOURNAL : STATUS_LATE_JOURNAL;
}

static size_t fill(size_t length)
{
    size_t count = 0;
    enum status status;
    while ((status = try_send(length)) == STATUS_OK)
        count++;
    EXPECT_EQ(status, refusal());
    return count;
}

/* Everything that takes room is refused, and changes nothing. */
static void expect_full(void)
{
    uint64_t digest = scene_digest(store);
    EXPECT_EQ(scene_send(store, "alice", "x", 1000), refusal());
    EXPECT_EQ(scene_push(store, "alice", "x", 1000), refusal());
    draft_drop(store);
    EXPECT_EQ(scene_digest(store), digest);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    EXPECT_CLEAN(store);
}

static void delete_all(const char *name)
{
    account_t account = scene_account(store, name);
    while (mailbox_count(store, account) > 0) {
        EXPECT_EQ(mailbox_delete_first(store, account), STATUS_OK);
        scene_note(scene, store);
        settle();
    }
}

static void expect_same_after_reboot(void)
{
    uint64_t digest = scene_digest(store);
    reboot(&options);
    EXPECT_EQ(scene_digest(store), digest);
    EXPECT_CLEAN(store);
}

static void on_a_full_disk_deletes_and_a_checkpoint_make_room(void)
{
    size_t sent = 0;
    begin();
    disk->is_full = true;
    for (int round = 0; round < 4; round++) {
        size_t count = fill(900);
        EXPECT(count > 20);
        sent += count;
        expect_full();
        expect_same_after_reboot();
        expect_full();
        delete_all("bob");
        expect_same_after_reboot();
        EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
        expect_same_after_reboot();
    }
    harness_say("%zu messages sent on a full disk of 320 KiB, and deleted", sent);
    play_end();
}

/* There is nothing that deletes may not use: at last they are refused as well, and a reboot still works. */
static void on_a_full_disk_the_reserve_is_for_deletes(void)
{
    size_t deletes = 0;
    begin();
    disk->is_full = true;
    fill(0);
    account_t bob = scene_account(store, "bob");
    while (mailbox_count(store, bob) > 0 && mailbox_delete_first(store, bob) == STATUS_OK)
        deletes++;
    EXPECT_EQ(store_settle(store), STATUS_OK);
    EXPECT(deletes > 500);
    uint64_t digest = scene_digest(store);
    scene_close(store);
    store = attached_store(&options);
    EXPECT_EQ(scene_digest(store), digest);
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    EXPECT_EQ(scene_send(store, "bob", "room", 100), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    harness_say("%zu deletes on a full disk", deletes);
}

static void a_checkpoint_that_finds_no_room_changes_nothing(void)
{
    begin();
    EXPECT_EQ(journal_checkpoint(store, 4 * options.journal_bytes), STATUS_OK);
    disk->is_full = true;
    fill(3000);
    uint32_t file = store->header->journal.file;
    uint64_t end = store->header->journal.end;
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_FULL_JOURNAL);
    EXPECT_EQ(store->header->journal.file, file);
    EXPECT_EQ(store->header->journal.end, end);
    expect_full();
    expect_same_after_reboot();
    delete_all("bob");
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_OK);
    EXPECT_EQ(try_send(1000), STATUS_OK);
    expect_same_after_reboot();
    play_end();
}

/* All that was ever sent is there: in the other file it would take as much. */
static void a_checkpoint_that_wins_no_room_changes_nothing(void)
{
    begin();
    disk->is_full = true;
    for (int i = 0; i < 10; i++)
        EXPECT_EQ(try_send(3000), STATUS_OK);
    uint64_t end = store->header->journal.end;
    EXPECT_EQ(journal_checkpoint(store, options.journal_bytes), STATUS_FULL_JOURNAL);
    EXPECT_EQ(store->header->journal.file, 0);
    EXPECT_EQ(store->header->journal.end, end);
    EXPECT_EQ(try_send(3000), STATUS_OK);
    expect_same_after_reboot();
    play_end();
}

static uint64_t size_of_inactive(void)
{
    struct stat about;
    EXPECT_EQ(fstat(store->files[1 - store->header->journal.file], &about), 0);
    return (uint64_t)about.st_size;
}

/* Where the other file is too short, as in a copy, the log may not grow before that one has; but what makes
 * room may. */
static void a_start_gives_the_other_file_as_much_space(void)
{
    begin();
    scene_close(store);
    EXPECT_EQ(truncate("journal/journal.1", JOURNAL_HEADER_SIZE), 0);
    disk->is_full = true;
    store = attached_store(&options);
    expect_full();
    EXPECT_EQ(mailbox_delete_first(store, scene_account(store, "bob")), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    scene_close(store);
    disk->is_full = false;
    store = attached_store(&options);
    EXPECT_EQ(store->header->journal.capacity, options.journal_bytes);
    EXPECT(size_of_inactive() >= options.journal_bytes);
    EXPECT_EQ(scene_send(store, "bob", "room", 10), STATUS_OK);
    EXPECT_EQ(journal_checkpoint(store, 4 * options.journal_bytes), STATUS_OK);
    EXPECT(store->header->journal.capacity > 4 * options.journal_bytes);
    EXPECT(size_of_inactive() >= store->header->journal.capacity);
}

/* Then zeros are written; but there may be no space for these either. */
static void a_file_system_that_gives_no_space_in_advance_will_do(void)
{
    begin();
    fault.kinds = CALL_RESERVE;
    fault.at = 1;
    fault.lasts = true;
    fault.error = EOPNOTSUPP;
    EXPECT_EQ(journal_checkpoint(store, 4 * options.journal_bytes), STATUS_OK);
    EXPECT(store->header->journal.capacity > 4 * options.journal_bytes);
    EXPECT(size_of_inactive() >= store->header->journal.capacity);
    uint64_t reached;
    disk->is_full = true;
    EXPECT_EQ(journal_reserve(store, size_of_inactive(), &reached), STATUS_OK);
    EXPECT_EQ(journal_reserve(store, 8 * options.journal_bytes, &reached), STATUS_FULL_JOURNAL);
    EXPECT_EQ(errno, ENOSPC);
    EXPECT(reached < 8 * options.journal_bytes);
    fault.kinds = 0;
    expect_same_after_reboot();
}

/* Not even the record that begins an epoch: then nothing is lost, but nothing goes on. */
static void without_room_for_an_epoch_a_start_is_refused(void)
{
    char why[1024];
    begin();
    uint64_t end = store->header->journal.end;
    uint64_t digest = scene_digest(store);
    scene_close(store);
    EXPECT_EQ(truncate("journal/journal.0", (off_t)end), 0);
    disk->is_full = true;
    EXPECT_EQ(store_open(&store, &options, why, sizeof(why)), STATUS_SYSTEM);
    EXPECT(strstr(why, "cannot be written: No space left on device"));
    disk->is_full = false;
    store = attached_store(&options);
    EXPECT_EQ(scene_digest(store), digest);
}

static void a_journal_that_finds_no_room_to_begin_takes_none(void)
{
    char why[1024];
    struct stat about;
    scene = calloc(1, sizeof(*scene));
    disk_start();
    fault.kinds = CALL_WRITE;
    fault.at = 3; /* the second file's */
    fault.lasts = true;
    fault.error = ENOSPC;
    EXPECT_EQ(store_open(&store, &options, why, sizeof(why)), STATUS_SYSTEM);
    EXPECT(strstr(why, "cannot be written: No space left on device"));
    fault.kinds = 0;
    for (int file = 0; file < 2; file++) {
        EXPECT_EQ(stat(file ? "journal/journal.1" : "journal/journal.0", &about), 0);
        EXPECT_EQ(about.st_size, 0);
    }
    store = attached_store(&options);
    EXPECT_CLEAN(store);
}

/* ---- the keeper ---- */

static pid_t start_keeper(void)
{
    pid_t pid = fork_attached();
    if (pid == 0) {
        static volatile sig_atomic_t stop;
        sigset_t none;
        sigemptyset(&none);
        store_keep(store, STORE_STAY, &stop, &none);
        _exit(1);
    }
    return pid;
}

static void kill_keeper(pid_t pid)
{
    EXPECT_EQ(kill(pid, SIGKILL), 0);
    EXPECT(wait_for(pid));
}

static void the_keeper_makes_room_as_it_is_needed(void)
{
    size_t sent = 0;
    begin();
    pid_t keeper = start_keeper();
    while (load64(&store->header->journal.keeper) == 0)
        poll(NULL, 0, 1);
    while (store->header->journal.generation < 3) {
        EXPECT_EQ(try_send(1000), STATUS_OK);
        sent++;
        if (mailbox_count(store, scene_account(store, "bob")) > 30)
            delete_all("bob");
    }
    delete_all("bob");
    EXPECT_EQ(try_send(200 << 10), STATUS_OK);
    kill_keeper(keeper);
    EXPECT_CLEAN(store);
    expect_same_after_reboot();
    harness_say("%zu messages and two checkpoints, and no refusal", sent);
}

/* Deletions have used up what is kept for them several times over: each time the state finds room in the
 * other file, which has grown with the log. */
static void delete_on_a_full_disk(size_t length)
{
    size_t sent = 0;
    begin();
    account_t bob = scene_account(store, "bob");
    pid_t keeper = start_keeper();
    while (load64(&store->header->journal.keeper) == 0)
        poll(NULL, 0, 1);
    while (load64(&store->header->journal.capacity) < 8 * options.journal_bytes)
        EXPECT_EQ(scene_send(store, "bob", "more", length), STATUS_OK);
    disk->is_full = true;
    while (scene_send(store, "bob", "more", length) == STATUS_OK)
        EXPECT_EQ(store_settle(store), STATUS_OK);
    draft_drop(store);
    expect_full();
    while (mailbox_count(store, bob) > 100) {
        disk->count = disk->used = 0;
        EXPECT_EQ(mailbox_delete_first(store, bob), STATUS_OK);
        EXPECT_EQ(store_settle(store), STATUS_OK);
    }
    EXPECT(store->header->journal.generation > 1);
    for (; sent < 1000; sent++)
        EXPECT_EQ(scene_send(store, "bob", "again", length), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    kill_keeper(keeper);
    EXPECT_CLEAN(store);
    uint64_t digest = scene_digest(store);
    scene_close(store);
    store = attached_store(&options);
    EXPECT_EQ(scene_digest(store), digest);
}

static void on_a_full_disk_deletes_never_stop_however_far_the_log_had_grown(void)
{
    delete_on_a_full_disk(500);
}

/* What is kept for deletes is used up before they have won much. */
static void nor_do_they_where_little_is_won_by_each(void)
{
    delete_on_a_full_disk(10);
}

/* The one that stands by must not end: its parent would make the next one at once. */
static void a_second_keeper_stands_by(void)
{
    struct store_figures figures = {.slots = 0};
    begin();
    uint64_t *office = &store->header->journal.keeper;
    pid_t first = start_keeper();
    while (load64(office) == 0)
        poll(NULL, 0, 1);
    uint64_t owner = load64(office);
    pid_t second = start_keeper();
    for (int i = 0; i < 500; i++) {
        poll(NULL, 0, 1);
        EXPECT_EQ(waitpid(second, NULL, WNOHANG), 0);
    }
    store_figures(store, &figures);
    EXPECT_EQ(figures.slots, 3);
    EXPECT_EQ(load64(office), owner);
    kill_keeper(first);
    while (load64(office) == owner)
        poll(NULL, 0, 1);
    kill_keeper(second);
}

/* What was written before the sync that failed may be lost, though the system takes it for written: the state
 * is put into the other file. */
static void after_a_failed_sync_the_keeper_starts_a_new_file(void)
{
    struct store_options timed = options;
    timed.sync = STORE_SYNC_TIMED;
    timed.sync_seconds = 1;
    open_post_office(&timed);
    for (int which = 0; which < 12; which++) {
        scene_do(scene, store, which);
        EXPECT_EQ(journal_flush(store, which == 5), STATUS_OK);
    }
    fault.kinds = CALL_SYNC;
    fault.at = 1;
    fault.error = EIO;
    EXPECT_EQ(journal_flush(store, true), STATUS_READ_ONLY);
    fault.kinds = 0;
    EXPECT_EQ(scene_send(store, "bob", "refused", 10), STATUS_READ_ONLY);
    draft_drop(store);
    pid_t server = fork_attached();
    if (server == 0) {
        EXPECT_EQ(store_serve(store), STATUS_OK);
        store_detach(store);
        _exit(0);
    }
    EXPECT(!wait_for(server));
    scene_do(scene, store, 12);
    pid_t keeper = start_keeper();
    while (load64(&store->header->journal.generation) < 2)
        poll(NULL, 0, 1);
    while (load64(&store->header->journal.synced) < scene->last)
        poll(NULL, 0, 1);
    disk_acknowledged(scene->last);
    kill_keeper(keeper);
    play(60);
}

/* ---- one directory, two post offices ---- */

static bool opens(const char *suffix, char why[static 512])
{
    struct store_options named = scene_options;
    char name[80];
    int status;
    int ends[2];
    snprintf(name, sizeof(name), "%s-%s", harness_name(), suffix);
    named.name = name;
    EXPECT_EQ(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (store_open(&store, &named, why, 512) != STATUS_OK) {
            EXPECT(write(ends[1], why, 512) == 512);
            _exit(1);
        }
        EXPECT_EQ(store_attach(store, suffix), STATUS_OK);
        EXPECT_EQ(scene_create(store, suffix, NULL), STATUS_OK);
        EXPECT_EQ(store_settle(store), STATUS_OK);
        store_detach(store);
        _exit(0);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFEXITED(status));
    if (WEXITSTATUS(status) != 0)
        EXPECT(read(ends[0], why, 512) == 512);
    close(ends[0]);
    close(ends[1]);
    return WEXITSTATUS(status) == 0;
}

static void a_post_office_whose_directory_another_one_had_is_refused(void)
{
    char why[512];
    EXPECT(opens("a", why));
    EXPECT(opens("b", why));
    EXPECT(!opens("a", why));
    EXPECT(strstr(why, "out of date"));
    EXPECT(opens("c", why));
    EXPECT(!opens("b", why));
}

static const struct harness_test tests[] = {
    {"on a full disk deletes and a checkpoint make room", on_a_full_disk_deletes_and_a_checkpoint_make_room},
    {"on a full disk the reserve is for deletes", on_a_full_disk_the_reserve_is_for_deletes},
    {"a checkpoint that finds no room changes nothing", a_checkpoint_that_finds_no_room_changes_nothing},
    {"a checkpoint that wins no room changes nothing", a_checkpoint_that_wins_no_room_changes_nothing},
    {"a start gives the other file as much space", a_start_gives_the_other_file_as_much_space},
    {"a file system that gives no space in advance will do",
     a_file_system_that_gives_no_space_in_advance_will_do},
    {"without room for an epoch a start is refused", without_room_for_an_epoch_a_start_is_refused},
    {"a journal that finds no room to begin takes none", a_journal_that_finds_no_room_to_begin_takes_none},
    {"the keeper makes room as it is needed", the_keeper_makes_room_as_it_is_needed},
    {"on a full disk deletes never stop, however far the log had grown",
     on_a_full_disk_deletes_never_stop_however_far_the_log_had_grown},
    {"nor do they where little is won by each", nor_do_they_where_little_is_won_by_each},
    {"a second keeper stands by, and keeps when the first is killed", a_second_keeper_stands_by},
    {"after a failed sync the keeper starts a new file", after_a_failed_sync_the_keeper_starts_a_new_file},
    {"a post office whose directory another one had is refused",
     a_post_office_whose_directory_another_one_had_is_refused},
};

HARNESS_MAIN(tests)
