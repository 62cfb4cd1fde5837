/* test_keeper_room.c: a journal's keeper makes room in its files: more of it where records find none or soon
 * will, or a file that is written anew where the log is longer than what it is about. */
#include "keeping.h"

#include <sys/resource.h>

static char body[600 << 10];

static bool is_without_room(enum status status)
{
    return status == STATUS_FULL_JOURNAL || status == STATUS_LATE_JOURNAL;
}

static void it_makes_room_for_what_found_none(void)
{
    begin(STORE_SYNC_ALWAYS);
    pid_t pid = start_keeper(STORE_STAY, NULL);
    uint64_t capacity = journal()->capacity;
    enum status status;
    message_id id;
    while (is_without_room(status =
                               deliver(store, scene_account(store, "bob"), "a", "", body, sizeof(body), &id)))
        poll(NULL, 0, 1);
    EXPECT_EQ(status, STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    EXPECT(journal()->capacity > capacity + sizeof(body));
    EXPECT(journal()->log_bytes > options.journal_bytes / 2);
    rest(2); /* the log is long, but the state is longer */
    EXPECT_EQ(journal()->generation, 1);
    stop_keeper(pid);
}

static void it_makes_room_before_there_is_none(void)
{
    message_id id;
    begin(STORE_SYNC_ALWAYS);
    uint64_t capacity = journal()->capacity;
    EXPECT_EQ(deliver(store, scene_account(store, "bob"), "a", "", body, 81 << 10, &id), STATUS_OK);
    EXPECT(capacity - journal()->end < options.journal_bytes / 2);
    pid_t pid = start_keeper(STORE_STAY, NULL);
    while (load64(&journal()->capacity) == capacity)
        poll(NULL, 0, 1);
    stop_keeper(pid);
    EXPECT_EQ(journal()->capacity, capacity + options.journal_bytes);
    EXPECT_EQ(journal()->generation, 1);
}

static void leave_no_space(void)
{
    fault.kinds = CALL_RESERVE;
    fault.at = 1;
    fault.lasts = true;
    fault.error = ENOSPC;
}

/* Who gives a larger size to a post office that stands. On a full disk that is no reason to complain. */
static void it_makes_a_file_as_large_as_is_wanted(void)
{
    begin(STORE_SYNC_ALWAYS);
    uint64_t capacity = journal()->capacity;
    store->journal_bytes = capacity * 3 / 2;
    pid_t unlucky = start_keeper(STORE_STAY, leave_no_space);
    while (load64(&journal()->looks) < 2)
        poll(NULL, 0, 1);
    stop_keeper(unlucky);
    EXPECT_EQ(journal()->roomless, 0);
    EXPECT_EQ(journal()->capacity, capacity);
    pid_t pid = start_keeper(STORE_STAY, NULL);
    while (load64(&journal()->capacity) < store->journal_bytes)
        poll(NULL, 0, 1);
    rest(2);
    stop_keeper(pid);
    EXPECT_EQ(journal()->capacity, store->journal_bytes);
    EXPECT_EQ(journal()->generation, 1);
}

static int times_woken(void)
{
    int value;
    EXPECT_EQ(sem_getvalue(&journal()->keeper_wake, &value), 0);
    return value;
}

static void send_and_write(size_t length)
{
    message_id id;
    EXPECT_EQ(deliver(store, scene_account(store, "bob"), "a", "", body, length, &id), STATUS_OK);
    EXPECT_EQ(journal_flush(store, true), STATUS_OK);
}

/* As soon as the log is long, or half of the room is gone, each once. */
static void it_is_woken_when_there_may_be_something_to_do(void)
{
    options.segment_bytes = UINT64_C(256) << 20;
    options.journal_bytes = 4 << 20;
    begin(STORE_SYNC_ALWAYS);
    journal()->capacity += 1 << 20; /* so that the log is long first */
    journal()->log_bytes = (2 << 20) - 1000;
    send_and_write(0);
    EXPECT_EQ(times_woken(), 0);
    send_and_write(2000);
    EXPECT_EQ(times_woken(), 1);
    send_and_write(2000);
    EXPECT_EQ(times_woken(), 1);
    while (journal()->capacity - journal()->tail > 2300000) {
        journal()->log_bytes = 0;
        send_and_write(100000);
    }
    EXPECT_EQ(times_woken(), 1);
    for (int i = 0; i < 3; i++)
        send_and_write(200000);
    EXPECT_EQ(times_woken(), 2);
}

/* Most bytes of the active file that waited for one sync, behind the last space that was given to the other.
 */
static uint64_t most_unsynced(void)
{
    uint64_t unsynced = 0, most = 0;
    for (size_t i = 0; i < disk->count; i++) {
        const struct disk_event *event = &disk->events[i];
        bool is_other = event->file != (int)journal()->file;
        unsynced = event->kind == EVENT_SYNC ? 0 : unsynced + event->length;
        if (is_other)
            unsynced = most = 0;
        most = unsynced > most ? unsynced : most;
    }
    return most;
}

enum { MUCH = 64 << 20 };

/* So that a keeper makes much room at its first look; returns how much there is before. */
static uint64_t want_much_room(void)
{
    static char large[10 << 20];
    message_id id;
    options.segment_bytes = UINT64_C(256) << 20;
    options.journal_bytes = MUCH + (1 << 20);
    begin(STORE_SYNC_ALWAYS);
    account_t bob = scene_account(store, "bob");
    uint64_t capacity = journal()->capacity;
    while (capacity - journal()->end >= options.journal_bytes / 2)
        EXPECT_EQ(deliver(store, bob, "a", "", large, sizeof(large), &id), STATUS_OK);
    EXPECT_EQ(journal_flush(store, true), STATUS_OK);
    return capacity;
}

/* Not all at once where much is wanted: what is to be synced would wait for all those zeros. */
static void it_makes_much_room_in_steps(void)
{
    uint64_t capacity = want_much_room();
    disk_start();
    pid_t pid = start_keeper(STORE_STAY, NULL);
    while (load64(&journal()->capacity) == capacity)
        poll(NULL, 0, 1);
    stop_keeper(pid);
    EXPECT_EQ(journal()->capacity, capacity + MUCH);
    EXPECT_EQ(most_unsynced(), 4 << 20);
}

static void end_the_disk_in_the_second_step(void)
{
    fault.kinds = CALL_WRITE;
    fault.at = 2;
    fault.lasts = true;
    fault.error = ENOSPC;
}

static void what_it_has_filled_before_the_disk_ends_is_room(void)
{
    uint64_t capacity = want_much_room();
    pid_t pid = start_keeper(STORE_STAY, end_the_disk_in_the_second_step);
    while (load64(&journal()->looks) < 2)
        poll(NULL, 0, 1);
    stop_keeper(pid);
    EXPECT_EQ(journal()->capacity, capacity + (4 << 20));
    EXPECT_EQ(journal()->failure, 0);
    send(10000);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

static void what_may_have_been_lost_is_written_to_the_other_file(void)
{
    begin(STORE_SYNC_ALWAYS);
    journal()->suspect = 1;
    pid_t pid = start_keeper(STORE_STAY, NULL);
    while (load64(&journal()->generation) == 1)
        poll(NULL, 0, 1);
    stop_keeper(pid);
    EXPECT_EQ(journal()->file, 1);
    EXPECT_EQ(journal()->suspect, 0);
}

static void a_file_that_the_state_does_not_half_fill_is_written_anew(void)
{
    options.journal_bytes = 2 << 20;
    begin(STORE_SYNC_ALWAYS);
    account_t bob = scene_account(store, "bob");
    pid_t pid = start_keeper(STORE_STAY, NULL);
    wait_for_office();
    uint64_t longest = 0;
    while (load64(&journal()->generation) == 1) {
        enum status status = scene_send(store, "bob", "x", 1000);
        longest = journal()->log_bytes > longest ? journal()->log_bytes : longest;
        if (is_without_room(status))
            poll(NULL, 0, 1);
        else
            EXPECT_EQ(mailbox_delete_first(store, bob), STATUS_OK);
        EXPECT_EQ(store_settle(store), STATUS_OK);
    }
    stop_keeper(pid);
    EXPECT(longest + 2000 > options.journal_bytes / 2); /* it is woken at once, by what was not looked at */
    EXPECT(longest / 2 > (uint64_t)store->header->pages_used * PAGE);
    EXPECT(journal()->log_bytes < longest / 4);
    EXPECT(journal()->end < longest / 4);
    EXPECT_CLEAN(store);
}

/* Whatever records take beside what they are about in the segment: nothing would be won. */
static void a_log_that_only_grew_is_not_written_anew(void)
{
    options.journal_bytes = 1 << 20;
    options.accounts = 100000;
    options.segment_bytes = UINT64_C(256) << 20;
    begin(STORE_SYNC_ALWAYS);
    pid_t pid = start_keeper(STORE_STAY, NULL);
    wait_for_office();
    while (journal()->log_bytes < 3 * options.journal_bytes && load64(&journal()->generation) == 1) {
        char name[16];
        account_t account;
        snprintf(name, sizeof(name), "u%u", store->header->accounts_used);
        if (is_without_room(account_create(store, name, strlen(name), NULL, &account, NULL)))
            poll(NULL, 0, 1);
        EXPECT_EQ(store_settle(store), STATUS_OK);
    }
    rest(2);
    stop_keeper(pid);
    EXPECT_EQ(journal()->generation, 1);
}

/* Until then who finds no room has to wait. */
static void a_file_takes_over_before_it_has_all_its_room(void)
{
    const uint64_t bytes = 64 << 20;
    begin(STORE_SYNC_ALWAYS);
    EXPECT_EQ(journal_checkpoint(store, bytes), STATUS_OK);
    EXPECT_EQ(journal()->generation, 2);
    EXPECT(journal()->capacity - journal()->end >= 16 << 20);
    EXPECT(journal()->capacity - journal()->end < 17 << 20);
    store->journal_bytes = bytes;
    pid_t pid = start_keeper(STORE_STAY, NULL);
    while (load64(&journal()->capacity) < bytes)
        poll(NULL, 0, 1);
    stop_keeper(pid);
    EXPECT_EQ(journal()->generation, 2);
    EXPECT_CLEAN(store);
}

/* ---- a crash ---- */

static void it_makes_no_room_that_no_record_can_want(void)
{
    const struct rlimit limit = {64 << 20, 64 << 20}; /* in place of a disk that is full at some time */
    signal(SIGXFSZ, SIG_IGN);
    begin(STORE_SYNC_ALWAYS);
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    uint64_t capacity = journal()->capacity;
    journal()->wanted = UINT64_C(1) << 50;
    pid_t pid = start_keeper(STORE_STAY, NULL);
    wait_for_office();
    rest(3);
    stop_keeper(pid);
    EXPECT_EQ(journal()->wanted, 0);
    EXPECT_EQ(journal()->capacity, capacity);
}

static void it_writes_no_zeros_over_the_log(void)
{
    begin(STORE_SYNC_ALWAYS);
    uint64_t digest = scene_digest(store);
    uint64_t tail = journal()->tail, capacity = journal()->capacity;
    journal()->tail = journal()->end = journal()->capacity = 0;
    pid_t pid = start_keeper(STORE_STAY, NULL);
    wait_for_office();
    rest(3);
    EXPECT_EQ(journal()->capacity, 0);
    EXPECT_EQ(store->header->suspected - store->header->acquitted, 1);
    journal()->capacity = capacity;
    journal()->tail = journal()->end = tail;
    stop_keeper(pid);
    scene_close(store);
    store = attached_store(&options);
    EXPECT_EQ(scene_digest(store), digest);
}

static const struct harness_test tests[] = {
    {"it makes room for what found none", it_makes_room_for_what_found_none},
    {"it makes room before there is none", it_makes_room_before_there_is_none},
    {"it makes a file as large as is wanted", it_makes_a_file_as_large_as_is_wanted},
    {"it is woken when there may be something to do", it_is_woken_when_there_may_be_something_to_do},
    {"what may have been lost is written to the other file",
     what_may_have_been_lost_is_written_to_the_other_file},
    {"it makes much room in steps", it_makes_much_room_in_steps},
    {"what it has filled before the disk ends is room", what_it_has_filled_before_the_disk_ends_is_room},
    {"a file that the state does not half fill is written anew",
     a_file_that_the_state_does_not_half_fill_is_written_anew},
    {"a log that only grew is not written anew", a_log_that_only_grew_is_not_written_anew},
    {"a file takes over before it has all its room", a_file_takes_over_before_it_has_all_its_room},
    {"it makes no room that no record can want", it_makes_no_room_that_no_record_can_want},
    {"it writes no zeros over the log", it_writes_no_zeros_over_the_log},
};

HARNESS_MAIN(tests)
