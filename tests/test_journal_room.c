/* test_journal_room.c: a request that finds no room in the journal waits for the keeper to make some: how it
 * ends when that comes, when it does not, and when the keeper or the journal is lost meanwhile. Here the
 * keeper's office is held by the test, which looks for room, or does not. */
#include "disk.h"
#include "scene.h"

#include "clock.h"

#include <poll.h>

static const struct store_options options = {.directory = "journal",
                                             .crypt_cost = 1,
                                             .journal_bytes = 160 << 10,
                                             .segment_bytes = 16 << 20,
                                             .accounts = 16,
                                             .slots = 8};

enum { LARGE = 170 << 10, A_SECOND = 1000000000 };

static struct store *store;
static uint64_t before; /* the state without what waits */

static struct journal_segment *journal(void)
{
    return &store->header->journal;
}

static void begin(void)
{
    store = attached_store(&options);
    for (int which = 0; which < 4; which++)
        EXPECT_EQ(scene_operation(store, which), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    __atomic_store_n(&journal()->keeper, store->me, __ATOMIC_RELEASE);
    before = scene_digest(store);
}

static void attach_child(void)
{
    store->slot = NULL;
    store->me = 0;
    store->observed = 0;
    EXPECT_EQ(store_attach(store, "child"), STATUS_OK);
}

/* ---- the request ---- */

struct answer {
    enum status status;
    int64_t nanoseconds;
};

static int answers;
static uint32_t waiter_slot;

/* Returns when it waits for room. */
static pid_t start_waiter(void)
{
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        attach_child();
        uint32_t slot = slot_index(store, store->slot);
        EXPECT_EQ(write(ends[1], &slot, sizeof(slot)), sizeof(slot));
        int64_t start = clock_now();
        store->unix_now = 1;
        struct answer answer = {.status = scene_send(store, "bob", "large", LARGE)};
        answer.nanoseconds = clock_now() - start;
        EXPECT_EQ(store->slot->settling, 0);
        EXPECT_EQ(store->room_deadline, 0);
        EXPECT_EQ(store->unix_now, 0); /* what comes next comes later */
        draft_drop(store);
        store_detach(store);
        EXPECT_EQ(write(ends[1], &answer, sizeof(answer)), sizeof(answer));
        _exit(0);
    }
    close(ends[1]);
    answers = ends[0];
    EXPECT_EQ(read(answers, &waiter_slot, sizeof(waiter_slot)), sizeof(waiter_slot));
    while (load64(&slot_at(store, waiter_slot)->settling) != UINT64_MAX)
        poll(NULL, 0, 1);
    return pid;
}

static bool is_answered(void)
{
    return poll(&(struct pollfd){.fd = answers, .events = POLLIN}, 1, 0) != 0;
}

static struct answer answer_of(pid_t pid)
{
    struct answer answer;
    int status;
    EXPECT_EQ(read(answers, &answer, sizeof(answer)), sizeof(answer));
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    return answer;
}

static void expect_nothing_done(void)
{
    EXPECT_EQ(scene_digest(store), before);
    EXPECT_CLEAN(store);
}

static void expect_given_up_after_three_seconds(struct answer answer)
{
    EXPECT_EQ(answer.status, STATUS_LATE_JOURNAL);
    EXPECT(answer.nanoseconds > 29 * (int64_t)A_SECOND / 10);
    EXPECT(answer.nanoseconds < 4 * (int64_t)A_SECOND);
    expect_nothing_done();
    EXPECT_EQ(scene_send(store, "bob", "small", 10), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

/* ---- the keeper, as far as a waiter sees it ---- */

static void begin_look(void)
{
    __atomic_store_n(&journal()->looks, (load64(&journal()->looks) + 2) | 1, __ATOMIC_SEQ_CST);
}

static void end_look(bool roomless)
{
    __atomic_store_n(&journal()->roomless, roomless, __ATOMIC_RELEASE);
    __atomic_store_n(&journal()->looks, journal()->looks + 1, __ATOMIC_SEQ_CST);
    journal_wake(store, UINT64_MAX);
}

static void make_room(void)
{
    uint64_t reached;
    EXPECT_EQ(journal_fill(store, journal()->file, journal()->capacity, 2 * options.journal_bytes, &reached),
              STATUS_OK);
    transaction_begin(store);
    set64(store, &journal()->capacity, reached);
    transaction_end(store, STATUS_OK);
}

/* ---- tests ---- */

static void it_goes_on_when_room_comes(void)
{
    begin();
    begin_look(); /* before it asks: what this one finds is no answer to it */
    pid_t pid = start_waiter();
    int64_t start = clock_now();
    end_look(true);
    begin_look();
    make_room();
    end_look(false);
    struct answer answer = answer_of(pid);
    EXPECT_EQ(answer.status, STATUS_OK);
    EXPECT(clock_now() - start < A_SECOND);
    EXPECT_EQ(mailbox_count(store, scene_account(store, "bob")), 2);
    EXPECT_CLEAN(store);
}

/* One look, which may write zeros for many seconds yet. */
static void it_goes_on_as_soon_as_there_is_enough(void)
{
    begin();
    pid_t pid = start_waiter();
    int64_t start = clock_now();
    begin_look();
    make_room();
    struct answer answer = answer_of(pid);
    EXPECT_EQ(answer.status, STATUS_OK);
    EXPECT(clock_now() - start < A_SECOND);
    EXPECT_CLEAN(store);
}

/* The same, where the room is that of the other file, though that is shorter. */
static void it_goes_on_when_the_other_file_takes_over(void)
{
    begin();
    make_room();
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(scene_send(store, "bob", "gone", 60000), STATUS_OK);
        EXPECT_EQ(mailbox_delete(store, scene_account(store, "bob"),
                                 mailbox_newest(store, scene_account(store, "bob"))),
                  STATUS_OK);
    }
    EXPECT_EQ(store_settle(store), STATUS_OK);
    uint64_t capacity = journal()->capacity;
    pid_t pid = start_waiter();
    int64_t start = clock_now();
    begin_look();
    EXPECT_EQ(journal_checkpoint(store, LARGE + (80 << 10)), STATUS_OK);
    EXPECT(journal()->capacity < capacity);
    struct answer answer = answer_of(pid);
    EXPECT_EQ(answer.status, STATUS_OK);
    EXPECT(clock_now() - start < A_SECOND);
    EXPECT_CLEAN(store);
}

static void it_ends_when_the_keeper_finds_none(void)
{
    begin();
    pid_t pid = start_waiter();
    int64_t start = clock_now();
    begin_look();
    end_look(true);
    EXPECT_EQ(answer_of(pid).status, STATUS_FULL_JOURNAL);
    EXPECT(clock_now() - start < A_SECOND);
    expect_nothing_done();
}

/* The keeper lives, and is busy or stopped. */
static void it_gives_up_after_three_seconds(void)
{
    begin();
    expect_given_up_after_three_seconds(answer_of(start_waiter()));
}

/* The keeper always finds room, which others always take: all its waits together last no longer. */
static void it_gives_up_after_three_seconds_however_often_it_has_asked(void)
{
    begin();
    pid_t pid = start_waiter();
    uint64_t looks = journal()->looks;
    while (!is_answered()) {
        begin_look();
        end_look(false);
        poll(NULL, 0, 1);
    }
    EXPECT(journal()->looks > looks + 8);
    expect_given_up_after_three_seconds(answer_of(pid));
}

static pid_t start_keeper(void)
{
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        attach_child();
        __atomic_store_n(&journal()->keeper, store->me, __ATOMIC_RELEASE);
        for (;;)
            pause();
    }
    while (load64(&journal()->keeper) == store->me)
        poll(NULL, 0, 1);
    return pid;
}

static void end_keeper(pid_t keeper)
{
    EXPECT_EQ(kill(keeper, SIGKILL), 0);
    EXPECT_EQ(waitpid(keeper, NULL, 0), keeper);
}

static void it_ends_when_the_keeper_dies_and_none_follows(void)
{
    begin();
    pid_t keeper = start_keeper();
    pid_t pid = start_waiter();
    int64_t start = clock_now();
    end_keeper(keeper);
    EXPECT_EQ(answer_of(pid).status, STATUS_LATE_JOURNAL);
    EXPECT(clock_now() - start > A_SECOND / 4);
    EXPECT(clock_now() - start < A_SECOND);
    expect_nothing_done();
}

static int64_t refused_after(void)
{
    int64_t start = clock_now();
    EXPECT_EQ(scene_send(store, "bob", "large", LARGE), STATUS_LATE_JOURNAL);
    return clock_now() - start;
}

/* Many requests may have come at once, and wait for each other. */
static void without_a_keeper_a_process_waits_once_for_one(void)
{
    begin();
    __atomic_store_n(&journal()->keeper, 0, __ATOMIC_RELEASE);
    EXPECT(refused_after() > A_SECOND / 4);
    int64_t all = 0;
    for (int i = 0; i < 10; i++)
        all += refused_after();
    EXPECT(all < A_SECOND / 4);
    begin_look(); /* one has come, and gone */
    end_look(false);
    EXPECT(refused_after() > A_SECOND / 4);
    expect_nothing_done();
}

/* After one that has died, and after one that has left its office. */
static void it_waits_for_the_next_keeper(void)
{
    begin();
    uint64_t me = journal()->keeper;
    pid_t keeper = start_keeper();
    pid_t pid = start_waiter();
    end_keeper(keeper);
    poll(NULL, 0, 150);
    __atomic_store_n(&journal()->keeper, 0, __ATOMIC_RELEASE);
    poll(NULL, 0, 150);
    EXPECT(!is_answered());
    __atomic_store_n(&journal()->keeper, me, __ATOMIC_RELEASE);
    begin_look();
    make_room();
    end_look(false);
    EXPECT_EQ(answer_of(pid).status, STATUS_OK);
    EXPECT_CLEAN(store);
}

/* It says what is wrong then, and not that the disk is full. */
static void it_ends_when_the_journal_fails(void)
{
    begin();
    pid_t pid = start_waiter();
    int64_t start = clock_now();
    journal_fail(store, EIO, "a test");
    EXPECT_EQ(answer_of(pid).status, STATUS_READ_ONLY);
    EXPECT(clock_now() - start < A_SECOND);
    expect_nothing_done();
}

static const struct harness_test tests[] = {
    {"it goes on when room comes, and not before", it_goes_on_when_room_comes},
    {"it goes on as soon as there is enough", it_goes_on_as_soon_as_there_is_enough},
    {"it goes on when the other file takes over", it_goes_on_when_the_other_file_takes_over},
    {"it ends when the keeper finds none", it_ends_when_the_keeper_finds_none},
    {"it gives up after three seconds", it_gives_up_after_three_seconds},
    {"it gives up after three seconds however often it has asked",
     it_gives_up_after_three_seconds_however_often_it_has_asked},
    {"it ends when the keeper dies and none follows", it_ends_when_the_keeper_dies_and_none_follows},
    {"without a keeper a process waits once for one", without_a_keeper_a_process_waits_once_for_one},
    {"it waits for the next keeper", it_waits_for_the_next_keeper},
    {"it ends when the journal fails", it_ends_when_the_journal_fails},
};

HARNESS_MAIN(tests)
