/* test_leader.c: many who wait for one sync: who leads writes for all, wakes whom it has served and one of
 * the others, and is followed when it dies; when it fails, all know at once. */
#include "disk.h"
#include "scene.h"
#include "steps.h"

#include "clock.h"

#include <poll.h>

static const struct store_options options = {.directory = "journal",
                                             .crypt_cost = 1,
                                             .journal_bytes = 160 << 10,
                                             .segment_bytes = 16 << 20,
                                             .accounts = 16,
                                             .slots = 80};

enum { A_SECOND = 1000000000 };

static struct store *store;

static void begin(void)
{
    store = attached_store(&options);
    for (int which = 0; which < 3; which++)
        EXPECT_EQ(scene_operation(store, which), STATUS_OK);
    EXPECT_EQ(store_settle(store), STATUS_OK);
}

static struct journal_segment *journal(void)
{
    return &store->header->journal;
}

/* ---- followers: processes that send one message when they are told, and settle ---- */

struct follower {
    pid_t pid;
    int told[2], sent[2];
    uint32_t slot;
};

/* Ends with the number of syncs that it made, or with 100 where the store was read-only. */
static void follow(const struct follower *follower)
{
    char byte;
    EXPECT_EQ(read(follower->told[0], &byte, 1), 1);
    EXPECT_EQ(scene_send(store, "bob", "x", 10), STATUS_OK);
    EXPECT_EQ(write(follower->sent[1], "s", 1), 1);
    fault.kinds = CALL_SYNC;
    fault.at = 0;
    enum status status = store_settle(store);
    EXPECT(status == STATUS_OK || status == STATUS_READ_ONLY);
    EXPECT_EQ(store->slot->settling, 0);
    store_detach(store);
    _exit(status == STATUS_OK ? (int)fault.seen : 100);
}

static struct follower start_follower(void)
{
    struct follower follower;
    uint32_t ready[2];
    EXPECT(pipe(follower.told) == 0 && pipe(follower.sent) == 0 && pipe((int *)ready) == 0);
    follower.pid = fork();
    EXPECT(follower.pid >= 0);
    if (follower.pid == 0) {
        disk_hook = NULL;
        fault.kinds = 0;
        store->slot = NULL;
        store->me = 0;
        store->observed = 0;
        EXPECT_EQ(store_attach(store, "follower"), STATUS_OK);
        follower.slot = slot_index(store, store->slot);
        EXPECT_EQ(write((int)ready[1], &follower.slot, sizeof(follower.slot)), sizeof(follower.slot));
        follow(&follower);
    }
    EXPECT_EQ(read((int)ready[0], &follower.slot, sizeof(follower.slot)), sizeof(follower.slot));
    return follower;
}

static void tell(const struct follower *follower)
{
    char byte;
    EXPECT_EQ(write(follower->told[1], "t", 1), 1);
    EXPECT_EQ(read(follower->sent[0], &byte, 1), 1);
}

/* Until it sleeps, or is about to: its wish stands in its slot, and the post that follows is not lost. */
static void wait_until_settling(const struct follower *follower)
{
    while (load64(&slot_at(store, follower->slot)->settling) == 0)
        poll(NULL, 0, 1);
}

static int end_of(const struct follower *follower)
{
    int status;
    EXPECT_EQ(waitpid(follower->pid, &status, 0), follower->pid);
    EXPECT(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static struct follower early, late, latest;
static bool others_come;

/* The leader has taken its group, and is about to write. */
static void others_come_while_it_writes(void)
{
    if (!others_come)
        return;
    others_come = false;
    wait_until_settling(&early);
    tell(&late);
    wait_until_settling(&late);
    tell(&latest);
    wait_until_settling(&latest);
}

/* As long as nobody is there to sleep any more than it has to: all within a second. */
static void one_sync_serves_all_who_waited_for_it_and_one_of_the_others_leads_next(void)
{
    begin();
    late = start_follower(); /* has the first slot, and so is looked at first */
    early = start_follower();
    latest = start_follower();
    EXPECT_EQ(scene_send(store, "bob", "x", 10), STATUS_OK);
    uint64_t owner = store->me;
    __atomic_store_n(&journal()->leader, owner, __ATOMIC_SEQ_CST);
    tell(&early);
    others_come = true;
    disk_hook = others_come_while_it_writes;
    *(&store->header->slot_map[1]) |= 1; /* a slot that nobody ever had */
    bool more;
    int64_t start = clock_now();
    EXPECT_EQ(journal_write_group(store, true, &more), STATUS_OK);
    disk_hook = NULL;
    EXPECT_EQ(journal()->synced, journal()->assigned - 2);
    journal_follow(store);
    EXPECT_EQ(end_of(&early), 0);
    EXPECT(end_of(&late) + end_of(&latest) >= 1);
    EXPECT(clock_now() - start < A_SECOND);
    EXPECT_EQ(journal()->synced, journal()->assigned);
    EXPECT_EQ(journal()->leader, 0);
    EXPECT_CLEAN(store);
}

static void when_the_leader_fails_all_who_wait_know_at_once(void)
{
    bool more;
    begin();
    early = start_follower();
    late = start_follower();
    latest = start_follower();
    __atomic_store_n(&journal()->leader, store->me, __ATOMIC_SEQ_CST);
    tell(&early);
    others_come = true;
    disk_hook = others_come_while_it_writes;
    fault.kinds = CALL_SYNC;
    fault.at = 1;
    fault.error = EIO;
    int64_t start = clock_now();
    EXPECT_EQ(journal_write_group(store, true, &more), STATUS_READ_ONLY);
    EXPECT_EQ(end_of(&early), 100);
    EXPECT_EQ(end_of(&late), 100);
    EXPECT_EQ(end_of(&latest), 100);
    EXPECT(clock_now() - start < A_SECOND);
    journal_follow(store);
    EXPECT_EQ(journal()->failure, EIO);
    EXPECT_EQ(journal_flush(store, true), STATUS_READ_ONLY);
}

static void fail_before(void)
{
    journal_fail(store, ENOSPC, "something else");
}

static void the_first_failure_is_the_one_that_is_told(void)
{
    begin();
    EXPECT_EQ(scene_send(store, "bob", "x", 10), STATUS_OK);
    disk_hook = fail_before;
    fault.kinds = CALL_WRITE;
    fault.at = 1;
    fault.error = EIO;
    EXPECT_EQ(store_settle(store), STATUS_READ_ONLY);
    EXPECT_EQ(journal()->failure, ENOSPC);
}

/* However often a waiter looks, a leader that lives keeps its role. */
static void a_leader_that_lives_is_waited_for(void)
{
    bool more;
    begin();
    early = start_follower();
    __atomic_store_n(&journal()->leader, store->me, __ATOMIC_SEQ_CST);
    tell(&early);
    for (int looks = 0; looks < 3; looks++) {
        sem_t *wake = &slot_at(store, early.slot)->wake;
        int posts = 1;
        wait_until_settling(&early);
        EXPECT_EQ(sem_post(wake), 0);
        while (sem_getvalue(wake, &posts) == 0 && posts > 0)
            poll(NULL, 0, 1);
        EXPECT_EQ(journal()->leader, store->me);
    }
    EXPECT_EQ(waitpid(early.pid, NULL, WNOHANG), 0);
    EXPECT_EQ(journal_write_group(store, true, &more), STATUS_OK);
    journal_follow(store);
    EXPECT_EQ(end_of(&early), 0);
}

static void die_as_leader(void)
{
    journal_lead(store);
    raise(SIGKILL);
}

/* Whoever waits has the owner looked up after its first sleep. */
static void a_dead_leader_is_followed_within_a_second(void)
{
    begin();
    for (int round = 0; round < 2; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            store->slot = NULL;
            EXPECT_EQ(store_attach(store, "leader"), STATUS_OK);
            die_as_leader();
        }
        EXPECT_EQ(waitpid(pid, NULL, 0), pid);
        EXPECT(journal()->leader != 0);
        EXPECT_EQ(scene_send(store, "bob", "x", 10), STATUS_OK);
        int64_t start = clock_now();
        EXPECT_EQ(round == 0 ? store_settle(store) : journal_flush(store, true), STATUS_OK);
        EXPECT(clock_now() - start < A_SECOND);
        EXPECT_EQ(journal()->synced, journal()->assigned);
        EXPECT_EQ(journal()->leader, 0);
        EXPECT_EQ(store->slot->settling, 0);
        int posts = 1; /* none of its own, which would end a later sleep */
        EXPECT_EQ(sem_getvalue(&store->slot->wake, &posts), 0);
        EXPECT_EQ(posts, 0);
        store_reclaim(store);
    }
    EXPECT_CLEAN(store);
}

/* It would swallow the one post by which the next leader is found. */
static void who_waits_for_room_is_not_asked_to_lead(void)
{
    int posts = 1;
    begin();
    store->slot->settling = UINT64_MAX;
    journal_wake(store, journal()->synced);
    EXPECT_EQ(sem_getvalue(&store->slot->wake, &posts), 0);
    EXPECT_EQ(posts, 0);
    journal_wake(store, UINT64_MAX);
    EXPECT_EQ(sem_getvalue(&store->slot->wake, &posts), 0);
    EXPECT_EQ(posts, 1);
}

/* Its sync may have been the one that the system has told of a lost write. */
static void after_a_leader_that_died_with_something_to_sync_the_file_is_suspect(void)
{
    begin();
    for (int unsynced = 0; unsynced < 2; unsynced++) {
        pid_t pid = fork();
        if (pid == 0) {
            store->slot = NULL;
            EXPECT_EQ(store_attach(store, "leader"), STATUS_OK);
            if (unsynced) {
                bool more;
                EXPECT_EQ(scene_send(store, "bob", "x", 10), STATUS_OK);
                journal_lead(store);
                EXPECT_EQ(journal_write_group(store, false, &more), STATUS_OK);
                raise(SIGKILL);
            }
            die_as_leader();
        }
        EXPECT_EQ(waitpid(pid, NULL, 0), pid);
        EXPECT_EQ(journal_flush(store, true), STATUS_OK);
        EXPECT_EQ(journal()->suspect, (uint32_t)unsynced);
        store_reclaim(store);
    }
}

/* ---- a leader that dies in the transaction by which it lets its group go ---- */

enum death { AS_IT_IS_SEALED, WHEN_HALF_OF_IT_STANDS, DEATHS };

static _Noreturn void lead_in_steps(uint32_t *slot)
{
    store->slot = NULL;
    EXPECT_EQ(store_attach(store, "leader"), STATUS_OK);
    *slot = slot_index(store, store->slot);
    EXPECT_EQ(scene_send(store, "bob", "x", 10), STATUS_OK);
    steps_mark_start();
    (void)store_settle(store);
    _exit(1);
}

static bool is_there(const struct slot *slot, uint64_t written, enum death death)
{
    return load64(&slot->redo_count) > 0 &&
           (death == AS_IT_IS_SEALED || load64(&journal()->written) > written);
}

/* Who leads next finds that transaction first: it has neither the group nor the place to write in memory. */
static void what_a_dead_leader_has_let_go_is_not_let_go_again(void)
{
    const char *obstacle = steps_obstacle();
    uint32_t *slot = mmap(NULL, sizeof(*slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (obstacle)
        harness_skip(obstacle);
    begin();
    for (enum death death = 0; death < DEATHS; death++) {
        struct steps steps;
        early = start_follower();
        pid_t pid = fork();
        if (pid == 0)
            lead_in_steps(slot);
        steps_begin(&steps, pid, false, NULL);
        uint64_t written = journal()->written;
        while (load64(&journal()->leader) == 0)
            EXPECT(steps_next(&steps));
        tell(&early);
        wait_until_settling(&early);
        while (!is_there(slot_at(store, *slot), written, death))
            EXPECT(steps_next(&steps));
        steps_kill(&steps);
        EXPECT(end_of(&early) <= 1);
        EXPECT_EQ(journal()->written, journal()->assigned);
        EXPECT_EQ(journal()->tail, journal()->end);
        store_reclaim(store);
        EXPECT_CLEAN(store);
    }
}

static const struct harness_test tests[] = {
    {"one sync serves all who waited for it, and one of the others leads next",
     one_sync_serves_all_who_waited_for_it_and_one_of_the_others_leads_next},
    {"when the leader fails all who wait know at once", when_the_leader_fails_all_who_wait_know_at_once},
    {"a leader that lives is waited for", a_leader_that_lives_is_waited_for},
    {"the first failure is the one that is told", the_first_failure_is_the_one_that_is_told},
    {"a dead leader is followed within a second", a_dead_leader_is_followed_within_a_second},
    {"who waits for room is not asked to lead", who_waits_for_room_is_not_asked_to_lead},
    {"after a leader that died with something to sync the file is suspect",
     after_a_leader_that_died_with_something_to_sync_the_file_is_suspect},
    {"what a dead leader has let go is not let go again", what_a_dead_leader_has_let_go_is_not_let_go_again},
};

HARNESS_MAIN(tests)
