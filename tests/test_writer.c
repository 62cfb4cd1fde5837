/* test_writer.c: the keeper as the writer: it writes for all while several wait, leaves one alone to himself,
 * hears what else it is for, and holds nobody up when it is stopped or dies. */
#include "keeping.h"

#include "clock.h"

#define WAITS_TO_LEAD (WAITS_FOR_ROOM - 1) /* journal_lead.c */

enum { A_SECOND = 1000000000, SENDERS = 3, MANY = 300 };

static pid_t keeper;

static void begin_with_keeper(void)
{
    begin(STORE_SYNC_ALWAYS);
    keeper = start_keeper(STORE_STAY, NULL);
    wait_for_office();
}

static uint64_t writer(void)
{
    return load64(&journal()->writer);
}

/* It sleeps as the writer from then on, for a quarter of a second. */
static void ask_for_writer(void)
{
    __atomic_store_n(&journal()->writer_asked, 1, __ATOMIC_SEQ_CST);
    EXPECT_EQ(sem_post(&journal()->keeper_wake), 0);
    while (!load32(&journal()->writer_sleeps))
        poll(NULL, 0, 1);
    EXPECT_EQ(writer(), load64(&journal()->keeper));
}

static void send_and_settle(size_t length)
{
    send(length);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    EXPECT_EQ(store->slot->settling, 0);
}

/* How many syncs this process makes for so many messages. */
static uint64_t syncs_for(int messages, size_t length)
{
    fault.kinds = CALL_SYNC;
    fault.at = 0;
    fault.seen = 0;
    for (int i = 0; i < messages; i++)
        send_and_settle(length);
    return (uint64_t)fault.seen;
}

static void become_another_process(void)
{
    fault.kinds = 0;
    store->slot = NULL;
    store->me = 0;
    store->observed = 0;
    EXPECT_EQ(store_attach(store, "sender"), STATUS_OK);
}

static int start[2];

/* A process that sends so many when all may start, and writes how many syncs it has made itself to the pipe.
 */
static pid_t start_sender(int messages, size_t length, int counts)
{
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        char none;
        become_another_process();
        close(start[1]);
        EXPECT_EQ(read(start[0], &none, 1), 0);
        uint64_t syncs = syncs_for(messages, length);
        EXPECT_EQ(write(counts, &syncs, sizeof(syncs)), sizeof(syncs));
        store_detach(store);
        _exit(0);
    }
    return pid;
}

static pid_t senders[SENDERS];
static int counts[2];

static void start_senders(int messages, size_t length)
{
    EXPECT(pipe(counts) == 0 && pipe(start) == 0);
    for (int i = 0; i < SENDERS; i++)
        senders[i] = start_sender(messages, length, counts[1]);
    close(start[0]);
    close(start[1]);
}

static uint64_t end_of_senders(void)
{
    uint64_t sum = 0, one;
    for (int i = 0; i < SENDERS; i++) {
        EXPECT_EQ(read(counts[0], &one, sizeof(one)), sizeof(one));
        EXPECT_EQ(end_of(senders[i]), 0);
        sum += one;
    }
    return sum;
}

/* ---- another process, which only has a slot ---- */

static struct slot *other;

static int posts_of(struct slot *slot)
{
    int value = -1;
    EXPECT_EQ(sem_getvalue(&slot->wake, &value), 0);
    return value;
}

static int posts(void)
{
    return posts_of(other);
}

static pid_t start_other(void)
{
    uint32_t index;
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        become_another_process();
        index = slot_index(store, store->slot);
        EXPECT_EQ(write(ready[1], &index, sizeof(index)), sizeof(index));
        for (;;)
            pause();
    }
    EXPECT_EQ(read(ready[0], &index, sizeof(index)), sizeof(index));
    other = slot_at(store, index);
    return pid;
}

static void end_other(pid_t pid)
{
    EXPECT_EQ(kill(pid, SIGKILL), 0);
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    store_reclaim(store);
}

/* ---- who writes ---- */

static void it_writes_for_several_and_leaves_one_alone_to_himself(void)
{
    options.journal_bytes = 4 << 20; /* no room is to be made */
    begin_with_keeper();
    EXPECT_EQ(syncs_for(MANY, 10), MANY);
    EXPECT_EQ(journal()->writer_asked, 0);
    EXPECT_EQ(writer(), 0);
    pid_t pid = start_other();
    other->settling = journal()->assigned + 2; /* waits for another group than the next */
    EXPECT_EQ(syncs_for(1, 10), 1);
    other->settling = 0;
    while (!load32(&journal()->writer_sleeps))
        poll(NULL, 0, 1);
    EXPECT_EQ(writer(), load64(&journal()->keeper));
    uint64_t own = syncs_for(MANY, 10);
    EXPECT(own > MANY / 2 && own < MANY);
    EXPECT_EQ(writer(), 0);
    EXPECT_EQ(journal()->synced, journal()->assigned);
    end_other(pid);
    stop_keeper(keeper);
    EXPECT_CLEAN(store);
}

static void without_a_keeper_nobody_waits_for_one(void)
{
    options.journal_bytes = 1 << 20; /* nobody adds to it */
    begin(STORE_SYNC_ALWAYS);
    int64_t began = clock_now();
    start_senders(MANY, 10);
    EXPECT(end_of_senders() > 0);
    EXPECT(clock_now() - began < 10LL * A_SECOND);
    EXPECT_EQ(journal()->writer_asked, 0);
    EXPECT_CLEAN(store);
}

/* What would be lost is a post for somebody who has gone to sleep, or the writer's own. */
static void nobody_is_forgotten_when_it_comes_and_goes(void)
{
    begin_with_keeper();
    int64_t began = clock_now();
    for (int round = 0; round < 20; round++) {
        start_senders(20, 10);
        (void)syncs_for(20, 10);
        (void)end_of_senders();
        close(counts[0]);
        close(counts[1]);
    }
    EXPECT(clock_now() - began < 10LL * A_SECOND);
    stop_keeper(keeper);
    EXPECT_CLEAN(store);
}

/* ---- what else the keeper is for ---- */

static void it_makes_room_meanwhile(void)
{
    begin_with_keeper();
    start_senders(MANY, 2000);
    (void)end_of_senders();
    EXPECT(journal()->capacity > 2 * options.journal_bytes);
    stop_keeper(keeper);
    EXPECT_CLEAN(store);
}

static void add_one(void)
{
    if (!stop)
        (void)scene_send(store, "bob", "x", 10); /* unless there is no room just then */
}

static void keep_busy(void)
{
    disk_hook = add_one;
}

static void it_ends_when_it_is_told_though_there_is_always_work(void)
{
    options.journal_bytes = 4 << 20;
    begin(STORE_SYNC_ALWAYS);
    keeper = start_keeper(STORE_STAY, keep_busy);
    wait_for_office();
    ask_for_writer();
    send_and_settle(10);
    poll(NULL, 0, 20);
    EXPECT_EQ(writer(), load64(&journal()->keeper));
    int64_t told = clock_now();
    EXPECT_EQ(kill(keeper, SIGTERM), 0);
    EXPECT_EQ(end_of(keeper), 0);
    EXPECT(clock_now() - told < A_SECOND);
    EXPECT_EQ(writer(), 0);
    EXPECT_CLEAN(store);
}

/* A process whose record finds no place in the ring writes what is there. */
static void it_lets_another_one_lead_who_has_to(void)
{
    begin_with_keeper();
    start_senders(20 * MANY, 10);
    while (writer() == 0)
        poll(NULL, 0, 1);
    int64_t began = clock_now();
    for (int i = 0; i < 50; i++)
        EXPECT_EQ(journal_flush(store, true), STATUS_OK);
    EXPECT(clock_now() - began < A_SECOND);
    (void)end_of_senders();
    stop_keeper(keeper);
    EXPECT_CLEAN(store);
}

/* A post for its other work that comes while it rests as the writer, or a signal. */
static void it_hears_at_once_what_else_it_is_for(void)
{
    begin_with_keeper();
    for (int i = 0; i < 3; i++) {
        ask_for_writer();
        uint64_t looks = journal()->looks;
        int64_t told = clock_now();
        EXPECT_EQ(sem_post(&journal()->keeper_wake), 0);
        while (load64(&journal()->looks) < looks + 2)
            poll(NULL, 0, 1);
        EXPECT(clock_now() - told < A_SECOND / 10);
    }
    ask_for_writer();
    int64_t told = clock_now();
    EXPECT_EQ(kill(keeper, SIGTERM), 0);
    EXPECT_EQ(end_of(keeper), 0);
    EXPECT(clock_now() - told < A_SECOND / 10);
}

/* It was woken to lead when there was nothing left to write. */
static void when_it_rests_it_does_not_wait_to_lead(void)
{
    begin_with_keeper();
    pid_t pid = start_other();
    ask_for_writer();
    const struct slot *its = slot_at(store, owner_slot(writer()));
    journal_lead(store);
    send(10);
    EXPECT_EQ(sem_post(&journal()->keeper_wake), 0); /* it leaves, and is asked again */
    while (load64(&its->settling) != WAITS_TO_LEAD) {
        __atomic_store_n(&journal()->writer_asked, 1, __ATOMIC_SEQ_CST);
        EXPECT_EQ(sem_post(&journal()->keeper_wake), 0);
        poll(NULL, 0, 1);
    }
    bool more;
    EXPECT_EQ(journal_write_group(store, true, &more), STATUS_OK);
    other->settling = WAITS_TO_LEAD; /* has a later slot */
    journal_follow(store);
    while (!load32(&journal()->writer_sleeps))
        poll(NULL, 0, 1);
    EXPECT_EQ(its->settling, 0);
    EXPECT_EQ(posts(), 1);
    end_other(pid);
    stop_keeper(keeper);
    EXPECT_CLEAN(store);
}

/* ---- when it cannot ---- */

static void when_it_is_stopped_others_write_for_themselves(void)
{
    begin_with_keeper();
    ask_for_writer();
    EXPECT_EQ(kill(keeper, SIGSTOP), 0);
    int64_t began = clock_now();
    for (int i = 0; i < 20; i++) /* the first one waits for it, and finds that it is late */
        send_and_settle(10);
    EXPECT(clock_now() - began < A_SECOND);
    EXPECT_EQ(writer(), 0);
    EXPECT_EQ(kill(keeper, SIGCONT), 0);
    stop_keeper(keeper);
    EXPECT_CLEAN(store);
}

static void when_it_is_killed_others_write_for_themselves(void)
{
    for (int round = 0; round < 2; round++) {
        if (round == 0)
            begin_with_keeper();
        else
            keeper = start_keeper(STORE_STAY, NULL);
        ask_for_writer();
        uint64_t dead = writer();
        EXPECT_EQ(kill(keeper, SIGKILL), 0);
        EXPECT_EQ(waitpid(keeper, NULL, 0), keeper);
        EXPECT_EQ(writer(), dead);
        int64_t began = clock_now();
        if (round == 0)
            send_and_settle(10);
        else
            keeper = start_keeper(STORE_STAY, NULL); /* takes the office of a dead writer */
        while (writer() == dead && clock_now() - began < A_SECOND)
            poll(NULL, 0, 1);
        EXPECT(clock_now() - began < A_SECOND);
        EXPECT_EQ(writer(), 0);
    }
    stop_keeper(keeper);
    EXPECT_CLEAN(store);
}

static void when_the_disk_fails_it_is_no_writer_any_more(void)
{
    begin_with_keeper();
    ask_for_writer();
    send(10);
    journal_fail(store, EIO, "something");
    EXPECT_EQ(store_settle(store), STATUS_READ_ONLY);
    EXPECT_EQ(sem_post(&journal()->keeper_wake), 0); /* now it finds that */
    poll(NULL, 0, 100);
    EXPECT_EQ(writer(), 0);
    EXPECT_EQ(journal()->writer_asked, 0);
    stop_keeper(keeper);
}

/* ---- whom it wakes: this process is the keeper ---- */

static uint64_t other_wants;
static int64_t other_has_begun;

/* While it writes, in its first group, and until it has no time any more. */
static void other_begins_to_wait(void)
{
    __atomic_store_n(&other->settling, other_wants, __ATOMIC_SEQ_CST);
    poll(NULL, 0, 20);
    other_has_begun = clock_now();
}

static void write_on_for(int64_t nanoseconds)
{
    sigset_t none;
    sigemptyset(&none);
    __atomic_store_n(&journal()->writer_asked, 1, __ATOMIC_SEQ_CST);
    (void)journal_write_on(store, clock_now() + nanoseconds, &none);
    EXPECT_EQ(writer(), 0);
    EXPECT_EQ(store->slot->settling, 0);
}

static void when_it_leaves_it_wakes_who_is_to_lead(void)
{
    begin(STORE_SYNC_ALWAYS);
    pid_t pid = start_other();
    send(10);
    other_wants = journal()->assigned + 1;
    disk_hook = other_begins_to_wait;
    write_on_for(A_SECOND / 100);
    disk_hook = NULL;
    EXPECT_EQ(journal()->synced, journal()->assigned);
    EXPECT_EQ(posts(), 1);
    end_other(pid);
    EXPECT_CLEAN(store);
}

/* It would only find that there is a writer, which then would not know that it may lead. */
static void while_there_is_one_nobody_who_waits_for_a_record_is_woken_to_lead(void)
{
    begin(STORE_SYNC_ALWAYS);
    pid_t pid = start_other();
    other->settling = journal()->assigned + 1;
    journal()->writer = store->me;
    journal_wake(store, journal()->synced);
    EXPECT_EQ(posts(), 0);
    other->settling = WAITS_TO_LEAD;
    journal_wake(store, journal()->synced);
    EXPECT_EQ(posts(), 1);
    journal()->writer = 0;
    other->settling = journal()->assigned + 1;
    journal_wake(store, journal()->synced);
    EXPECT_EQ(posts(), 2);
    end_other(pid);
}

/* One that is stopped would be woken to lead again and again, in place of others, and sleep badly afterwards.
 */
static void who_was_woken_is_not_woken_again_before_it_waits_again(void)
{
    begin(STORE_SYNC_ALWAYS);
    pid_t pid = start_other();
    const uint64_t wants[] = {journal()->assigned, journal()->assigned + 1, WAITS_TO_LEAD, UINT64_MAX};
    for (int i = 0; i < 4; i++) {
        other->settling = wants[i];
        for (int times = 0; times < 2; times++)
            journal_wake(store, wants[i] == UINT64_MAX ? UINT64_MAX : journal()->synced);
        EXPECT_EQ(other->settling, 0);
        EXPECT_EQ(posts(), i + 1);
    }
    journal_wake(store, UINT64_MAX);
    EXPECT_EQ(posts(), 4);
    EXPECT_EQ(posts_of(store->slot), 0);
    end_other(pid);
}

/* For a millisecond; else who has to wake first would find that it leads again. */
static void it_waits_until_who_wants_to_lead_has_led(void)
{
    begin(STORE_SYNC_ALWAYS);
    pid_t pid = start_other();
    send(10);
    other_wants = WAITS_TO_LEAD;
    disk_hook = other_begins_to_wait;
    write_on_for(A_SECOND / 100);
    disk_hook = NULL;
    EXPECT(clock_now() - other_has_begun >= A_SECOND / 1000);
    EXPECT(posts() >= 1);
    end_other(pid);
}

static const struct harness_test tests[] = {
    {"it writes for several, and leaves one alone to himself",
     it_writes_for_several_and_leaves_one_alone_to_himself},
    {"without a keeper nobody waits for one", without_a_keeper_nobody_waits_for_one},
    {"nobody is forgotten when it comes and goes", nobody_is_forgotten_when_it_comes_and_goes},
    {"it makes room meanwhile", it_makes_room_meanwhile},
    {"it ends when it is told, though there is always work",
     it_ends_when_it_is_told_though_there_is_always_work},
    {"it lets another one lead who has to", it_lets_another_one_lead_who_has_to},
    {"it hears at once what else it is for", it_hears_at_once_what_else_it_is_for},
    {"when it rests it does not wait to lead", when_it_rests_it_does_not_wait_to_lead},
    {"when it is stopped others write for themselves", when_it_is_stopped_others_write_for_themselves},
    {"when it is killed others write for themselves", when_it_is_killed_others_write_for_themselves},
    {"when the disk fails it is no writer any more", when_the_disk_fails_it_is_no_writer_any_more},
    {"when it leaves it wakes who is to lead", when_it_leaves_it_wakes_who_is_to_lead},
    {"while there is one nobody who waits for a record is woken to lead",
     while_there_is_one_nobody_who_waits_for_a_record_is_woken_to_lead},
    {"who was woken is not woken again before it waits again",
     who_was_woken_is_not_woken_again_before_it_waits_again},
    {"it waits until who wants to lead has led", it_waits_until_who_wants_to_lead_has_led},
};
HARNESS_MAIN(tests)
