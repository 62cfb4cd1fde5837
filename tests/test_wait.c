/* test_wait.c: waiting for mail: who is woken by whom, and when. */
#include "account.h"
#include "clock.h"
#include "mailbox_record.h"
#include "message.h"
#include "password.h"
#include "post_office.h"
#include "process.h"
#include "transaction.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECOND = 1000000000 };

static struct store *store;
static account_t alice;

static void open_mailbox(void)
{
    store = private_store();
    alice = new_account(store, "alice");
}

static void deliver_one(void)
{
    message_id id;
    EXPECT_EQ(deliver(store, alice, "bob", "", "mail", 4, &id), STATUS_OK);
}

static volatile sig_atomic_t told_to_stop;

static bool never(void *context)
{
    (void)context;
    return false;
}

static bool when_told(void *context)
{
    (void)context;
    return told_to_stop;
}

static void tell_to_stop(int signal_number)
{
    (void)signal_number;
    told_to_stop = 1;
    store_interrupt(store);
}

static enum status wait_for(uint64_t count, int64_t deadline, bool (*interrupted)(void *), uint64_t *held)
{
    sigset_t mask;
    sigemptyset(&mask);
    return mailbox_wait(store, alice, count, deadline, &mask, interrupted, NULL, held);
}

static pid_t fork_attached(void (*run)(void))
{
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        EXPECT_EQ(store_attach(store, "child"), STATUS_OK);
        run();
        store_detach(store);
        _exit(0);
    }
    return pid;
}

static void expect_success(pid_t pid)
{
    int status;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
}

static uint32_t waiters(void)
{
    uint32_t found = 0;
    uint32_t slot = 0;
    struct store_process process;
    while (store_next_process(store, &slot, &process))
        found += process.waiting;
    return found;
}

static void sleep_until_somebody_waits(void)
{
    while (waiters() == 0)
        poll(NULL, 0, 1);
}

/* Nobody who was not woken would look again within the second. */
static void deliver_three(void)
{
    sleep_until_somebody_waits();
    for (int i = 0; i < 3; i++)
        deliver_one();
}

static void a_waiter_is_woken_by_another_process(void)
{
    uint64_t held;
    open_mailbox();
    for (uint64_t round = 1; round <= 10; round++) {
        pid_t pid = fork_attached(deliver_three);
        int64_t start = clock_now();
        EXPECT_EQ(wait_for(3 * round, DEADLINE_NEVER, never, &held), STATUS_OK);
        EXPECT(clock_now() - start < SECOND);
        EXPECT_EQ(held, 3 * round);
        expect_success(pid);
    }
    EXPECT_CLEAN(store);
}

static void wait_for_five(void)
{
    uint64_t held;
    EXPECT_EQ(wait_for(5, DEADLINE_NEVER, never, &held), STATUS_OK);
    EXPECT_EQ(held, 5);
}

static void wait_for_one(void)
{
    uint64_t held;
    EXPECT_EQ(wait_for(1, DEADLINE_NEVER, never, &held), STATUS_OK);
}

static void every_waiter_is_woken_at_its_own_count(void)
{
    enum { PATIENT = 3, QUICK = 3 };
    pid_t patient[PATIENT];
    pid_t quick[QUICK];
    open_mailbox();
    for (int i = 0; i < PATIENT; i++)
        patient[i] = fork_attached(wait_for_five);
    for (int i = 0; i < QUICK; i++)
        quick[i] = fork_attached(wait_for_one);
    while (waiters() < PATIENT + QUICK)
        poll(NULL, 0, 1);
    int64_t start = clock_now();
    deliver_one();
    for (int i = 0; i < QUICK; i++)
        expect_success(quick[i]);
    EXPECT_EQ(waiters(), PATIENT);
    for (int i = 0; i < 4; i++) {
        EXPECT_EQ(waitpid(patient[0], NULL, WNOHANG), 0);
        deliver_one();
    }
    for (int i = 0; i < PATIENT; i++)
        expect_success(patient[i]);
    EXPECT(clock_now() - start < SECOND);
    EXPECT_EQ(waiters(), 0);
    EXPECT_CLEAN(store);
}

static void what_is_there_is_not_waited_for(void)
{
    uint64_t held;
    open_mailbox();
    EXPECT_EQ(wait_for(0, 0, never, &held), STATUS_OK);
    EXPECT_EQ(wait_for(1, 0, never, &held), STATUS_TIMED_OUT);
    EXPECT_EQ(held, 0);
    for (int i = 0; i < 3; i++)
        deliver_one();
    EXPECT_EQ(wait_for(2, 0, never, &held), STATUS_OK);
    EXPECT_EQ(held, 3);
}

static void a_deadline_ends_the_wait(void)
{
    uint64_t held;
    open_mailbox();
    deliver_one();
    int64_t deadline = clock_now() + SECOND / 20;
    EXPECT_EQ(wait_for(2, deadline, never, &held), STATUS_TIMED_OUT);
    EXPECT(clock_now() >= deadline && clock_now() < deadline + SECOND);
    EXPECT_EQ(held, 1);
    EXPECT_EQ(waiters(), 0);
}

/* What is sent behind a WAIT comes when that is over. */
static void a_wait_takes_time(void)
{
    uint64_t held;
    struct message message;
    open_mailbox();
    store->now = store->unix_now = 1;
    deliver_one();
    EXPECT_EQ(wait_for(2, clock_now() + SECOND / 20, never, &held), STATUS_TIMED_OUT);
    EXPECT_EQ(store->now, 0);
    deliver_one();
    EXPECT_EQ(mailbox_open(store, alice, 1, &message), STATUS_OK);
    EXPECT_EQ(message.received, 1);
    EXPECT_EQ(mailbox_open(store, alice, 2, &message), STATUS_OK);
    EXPECT(message.received > 1 && message.received <= clock_unix());
    store->unix_now = 1;
    EXPECT_EQ(store_settle(store), STATUS_OK);
    deliver_one();
    EXPECT_EQ(mailbox_open(store, alice, 3, &message), STATUS_OK);
    EXPECT(message.received > 1);
}

/* Of a process that was forked from one that has recovered the store, or that has hashed a password. */
static void a_moment_is_over_when_time_has_passed(void)
{
    char hash[HASH_MAX + 1];
    open_mailbox();
    store->now = store->unix_now = 1;
    store_detach(store);
    EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
    EXPECT_EQ(store->now + store->unix_now, 0);
    store->now = store->unix_now = 1;
    EXPECT_EQ(password_hash(store, "secret", 6, hash), STATUS_OK);
    EXPECT_EQ(store->now + store->unix_now, 0);
}

static void signal_parent(void)
{
    sleep_until_somebody_waits();
    EXPECT_EQ(kill(getppid(), SIGUSR1), 0);
}

static void an_interrupt_ends_the_wait(void)
{
    uint64_t held;
    struct sigaction action = {.sa_handler = tell_to_stop};
    sigset_t blocked;
    open_mailbox();
    EXPECT_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    EXPECT_EQ(sigprocmask(SIG_BLOCK, &blocked, NULL), 0);
    int64_t start = clock_now();
    pid_t pid = fork_attached(signal_parent);
    EXPECT_EQ(wait_for(1, DEADLINE_NEVER, when_told, &held), STATUS_HANGUP);
    expect_success(pid);
    told_to_stop = 0;
    raise(SIGUSR1); /* one that comes before the sleep is not lost */
    EXPECT_EQ(told_to_stop, 0);
    EXPECT_EQ(wait_for(1, DEADLINE_NEVER, when_told, &held), STATUS_HANGUP);
    EXPECT(clock_now() - start < SECOND);
    EXPECT_EQ(waiters(), 0);
}

/* Nobody has to interrupt him for that. */
static void who_is_to_end_does_not_sleep(void)
{
    uint64_t held;
    open_mailbox();
    told_to_stop = 1;
    int64_t start = clock_now();
    EXPECT_EQ(wait_for(1, DEADLINE_NEVER, when_told, &held), STATUS_HANGUP);
    EXPECT(clock_now() - start < SECOND / 2);
    deliver_one();
    EXPECT_EQ(wait_for(1, DEADLINE_NEVER, when_told, &held), STATUS_OK); /* what is there is told */
}

static void remove_alice(void)
{
    struct account_secret secret;
    sleep_until_somebody_waits();
    EXPECT_EQ(account_secret(store, "alice", 5, &secret), STATUS_OK);
    EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
}

static void a_removed_account_ends_the_wait(void)
{
    uint64_t held;
    open_mailbox();
    int64_t start = clock_now();
    pid_t pid = fork_attached(remove_alice);
    EXPECT_EQ(wait_for(1, DEADLINE_NEVER, never, &held), STATUS_GONE);
    EXPECT(clock_now() - start < SECOND);
    expect_success(pid);
    EXPECT_EQ(wait_for(1, DEADLINE_NEVER, never, &held), STATUS_GONE);
    EXPECT_CLEAN(store);
}

/* Appends, and is gone before it could wake anybody. */
static void deliver_and_die(void)
{
    struct letter letter = {.sender = "bob", .sender_length = 3, .body = "mail", .body_length = 4};
    bool waited = false;
    enum status status;
    sleep_until_somebody_waits();
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    do {
        transaction_begin(store);
        draft_address(store, store->slot->draft, alice.index, 1, 0);
        status = mailbox_put(store, account_at(store, alice.index), store->slot->draft, &waited);
        set32(store, &store->slot->draft, 0);
    } while (!transaction_finish(store, &status));
    EXPECT(waited);
    raise(SIGKILL);
}

static void a_deliverer_that_dies_delays_a_waiter_by_a_second(void)
{
    uint64_t held;
    open_mailbox();
    int64_t start = clock_now();
    pid_t pid = fork_attached(deliver_and_die);
    EXPECT_EQ(wait_for(1, DEADLINE_NEVER, never, &held), STATUS_OK);
    EXPECT(clock_now() - start < INT64_C(2) * SECOND);
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
}

static const struct harness_test tests[] = {
    {"a waiter is woken by another process", a_waiter_is_woken_by_another_process},
    {"every waiter is woken at its own count", every_waiter_is_woken_at_its_own_count},
    {"what is there is not waited for", what_is_there_is_not_waited_for},
    {"a deadline ends the wait", a_deadline_ends_the_wait},
    {"a wait takes time", a_wait_takes_time},
    {"a moment is over when time has passed", a_moment_is_over_when_time_has_passed},
    {"an interrupt ends the wait", an_interrupt_ends_the_wait},
    {"who is to end does not sleep", who_is_to_end_does_not_sleep},
    {"a removed account ends the wait", a_removed_account_ends_the_wait},
    {"a deliverer that dies delays a waiter by a second", a_deliverer_that_dies_delays_a_waiter_by_a_second},
};

HARNESS_MAIN(tests)
