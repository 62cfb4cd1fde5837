/* test_crash.c: processes killed or stopped at the worst moments harm nobody else. */
#include "account.h"
#include "clock.h"
#include "journal.h"
#include "lock.h"
#include "mailbox_record.h"
#include "message.h"
#include "password.h"
#include "post_office.h"
#include "process.h"
#include "queue.h"
#include "transaction.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { A_SECOND = 1000000000 };

static struct store *store;
static account_t alice;

/* ---- children that say when they are where they shall be ---- */

static int ready_pipe[2];

static void say_ready(void)
{
    EXPECT_EQ(write(ready_pipe[1], "r", 1), 1);
}

static void wait_for_ready(void)
{
    char byte;
    EXPECT_EQ(read(ready_pipe[0], &byte, 1), 1);
}

static pid_t fork_attached(void (*run)(void))
{
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        EXPECT_EQ(store_attach(store, "child"), STATUS_OK);
        run();
        _exit(0);
    }
    return pid;
}

static void end_child(pid_t pid, int signal_number)
{
    int status;
    EXPECT_EQ(kill(pid, signal_number), 0);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
}

/* Runs it in a child up to where it says ready, and kills it there. */
static void killed(void (*run)(void))
{
    pid_t pid = fork_attached(run);
    wait_for_ready();
    end_child(pid, SIGKILL);
}

static void stay(void)
{
    say_ready();
    for (;;)
        pause();
}

static void open_post_office_with(const struct store_options *options)
{
    EXPECT_EQ(pipe(ready_pipe), 0);
    store = open_store(options);
    pid_t pid = fork();
    if (pid == 0) {
        EXPECT_EQ(store_attach(store, "maker"), STATUS_OK);
        EXPECT_EQ(account_create(store, "alice", 5, NULL, &alice, NULL), STATUS_OK);
        store_detach(store);
        _exit(0);
    }
    EXPECT_EQ(waitpid(pid, NULL, 0), pid);
    alice = (account_t){1, 1};
}

static void open_post_office_for(uint32_t slots)
{
    open_post_office_with(&(struct store_options){.crypt_cost = 1, .slots = slots});
}

static void open_post_office(void)
{
    open_post_office_for(8);
}

/* What must hold after any death: the next operation takes under a second, and nothing is lost or leaked. */
static void expect_recovery(uint64_t messages)
{
    int64_t start = clock_now();
    EXPECT_EQ(store_attach(store, "survivor"), STATUS_OK);
    message_id id = 0;
    EXPECT_EQ(mailbox_count(store, alice), mailbox_count(store, alice));
    EXPECT_EQ(deliver(store, alice, "survivor", "", "x", 1, &id), STATUS_OK);
    EXPECT(clock_now() - start < A_SECOND);
    EXPECT_EQ(mailbox_count(store, alice), messages + 1);
    store_reclaim(store);
    EXPECT_CLEAN(store);
    struct store_figures figures;
    store_figures(store, &figures);
    EXPECT_EQ(figures.slots, 1);
}

/* ---- the lock ---- */

static void hold_lock(void)
{
    lock_take(store);
    stay();
}

static void a_killed_holder_blocks_nobody(void)
{
    open_post_office();
    killed(hold_lock);
    expect_recovery(0);
}

static void take_and_release(void)
{
    lock_take(store);
    lock_release(store);
}

static void a_stopped_holder_is_not_robbed(void)
{
    open_post_office();
    pid_t holder = fork_attached(hold_lock);
    wait_for_ready();
    EXPECT_EQ(kill(holder, SIGSTOP), 0);
    EXPECT_EQ(waitpid(holder, NULL, WUNTRACED), holder);
    pid_t waiter = fork_attached(take_and_release);
    int64_t until = clock_now() + A_SECOND / 2;
    while (clock_now() < until) {
        EXPECT_EQ(waitpid(waiter, NULL, WNOHANG), 0);
        poll(NULL, 0, 10);
    }
    EXPECT_EQ(kill(holder, SIGCONT), 0);
    EXPECT_EQ(waitpid(waiter, NULL, WNOHANG), 0);
    end_child(holder, SIGKILL);
    int status;
    EXPECT_EQ(waitpid(waiter, &status, 0), waiter);
    EXPECT_EQ(status, 0);
}

static void wait_for_lock(void)
{
    say_ready();
    lock_take(store);
    lock_release(store);
}

static void hold_lock_until_told(void)
{
    lock_take(store);
    say_ready();
    raise(SIGSTOP);
    lock_release(store);
}

static void a_killed_waiter_does_not_swallow_the_wake_up(void)
{
    open_post_office();
    for (int round = 0; round < 20; round++) {
        pid_t holder = fork_attached(hold_lock_until_told);
        wait_for_ready();
        EXPECT_EQ(waitpid(holder, NULL, WUNTRACED), holder);
        pid_t first = fork_attached(wait_for_lock);
        pid_t second = fork_attached(wait_for_lock);
        wait_for_ready();
        wait_for_ready();
        while (!(load64(&store->header->owner) & LOCK_WAITERS))
            poll(NULL, 0, 1);
        int64_t start = clock_now();
        EXPECT_EQ(kill(holder, SIGCONT), 0);
        end_child(first, SIGKILL);
        EXPECT_EQ(waitpid(second, NULL, 0), second);
        EXPECT(clock_now() - start < A_SECOND);
        EXPECT_EQ(waitpid(holder, NULL, 0), holder);
        EXPECT_EQ(store_attach(store, "reclaimer"), STATUS_OK);
        store_reclaim(store);
        store_detach(store);
    }
    expect_recovery(0);
}

/* A scribble over the word, not a death: nobody ever was this, and where its slot would be there is nothing.
 */
static void an_owner_that_there_cannot_be_blocks_nobody(void)
{
    open_post_office_with(
        &(struct store_options){.crypt_cost = 1, .segment_bytes = 8 << 20, .accounts = 16, .slots = 8});
    store->header->owner = owner_word(1 << 20, 1);
    expect_recovery(0);
}

static void an_owner_whose_slot_nobody_ever_had_blocks_nobody(void)
{
    struct stat before, after;
    open_post_office_for(128);
    store->header->owner = owner_word(127, 1);
    EXPECT_EQ(fstat(store->fd, &before), 0);
    EXPECT(owner_is_dead(store, store->header->owner));
    EXPECT_EQ(fstat(store->fd, &after), 0);
    EXPECT_EQ(after.st_blocks, before.st_blocks); /* and its memory is not touched */
    expect_recovery(0);
}

/* ---- transactions ---- */

static void prepare_append(void)
{
    struct letter letter = {.sender = "dead", .sender_length = 4, .body = "kept", .body_length = 4};
    message_id id = 0;
    bool waited;
    /* One that comes and goes has the memory reserved that the next one needs. */
    EXPECT_EQ(deliver(store, alice, "dead", "", "gone", 4, &id), STATUS_OK);
    EXPECT_EQ(mailbox_delete(store, alice, id), STATUS_OK);
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    transaction_begin(store);
    draft_address(store, store->slot->draft, alice.index, id + 1, 0);
    EXPECT_EQ(mailbox_put(store, account_at(store, alice.index), store->slot->draft, &waited), STATUS_OK);
    set32(store, &store->slot->draft, 0);
}

static void append_without_commit(void)
{
    prepare_append();
    stay();
}

static void append_committed_only(void)
{
    prepare_append();
    transaction_seal(store);
    stay();
}

static void append_half_applied(void)
{
    prepare_append();
    transaction_seal(store);
    for (uint32_t i = 0; i < store->redo_count / 2; i++) {
        struct redo_entry *entry = &store->slot->redo[i];
        void *field = store->base + (entry->where & ~UINT64_C(1));
        memcpy(field, &entry->value, entry->where & 1 ? 8 : 4);
    }
    stay();
}

static void an_uncommitted_transaction_leaves_nothing(void)
{
    open_post_office();
    killed(append_without_commit);
    expect_recovery(0);
}

static void a_committed_transaction_is_completed(void)
{
    open_post_office();
    killed(append_committed_only);
    expect_recovery(1);
    killed(append_half_applied);
    message_id id = 0;
    EXPECT_EQ(deliver(store, alice, "survivor", "", "y", 1, &id), STATUS_OK);
    EXPECT_EQ(mailbox_count(store, alice), 4);
    store_reclaim(store);
    EXPECT_CLEAN(store);
}

/* Takes the lock over as the lock does, but dies before it completes what was committed. */
static void recover_and_die(void)
{
    uint64_t owner = load64(&store->header->owner);
    EXPECT(owner_is_dead(store, owner));
    EXPECT(__atomic_compare_exchange_n(&store->header->owner, &owner, store->me, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED));
    stay();
}

static void a_recoverer_may_die_as_well(void)
{
    open_post_office();
    killed(append_half_applied);
    killed(recover_and_die);
    killed(recover_and_die);
    expect_recovery(1);
}

/* ---- what a process owes ---- */

static void write_big_draft(void)
{
    static char body[300000];
    struct letter letter = {.sender = "dead", .sender_length = 4, .body = body, .body_length = sizeof(body)};
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK);
    stay();
}

static void a_dead_process_keeps_no_reserved_block(void)
{
    open_post_office();
    killed(write_big_draft);
    expect_recovery(0);
}

static void pin_first(void)
{
    struct message message;
    EXPECT_EQ(mailbox_first(store, alice, &message), STATUS_OK);
    EXPECT_EQ(mailbox_first(store, alice, &message), STATUS_OK);
    stay();
}

static void a_dead_reader_keeps_no_deleted_message(void)
{
    static char body[100000];
    open_post_office();
    EXPECT_EQ(store_attach(store, "owner"), STATUS_OK);
    message_id id = 0;
    EXPECT_EQ(deliver(store, alice, "alice", "", body, sizeof(body), &id), STATUS_OK);
    pid_t reader = fork_attached(pin_first);
    wait_for_ready();
    EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    EXPECT_CLEAN(store);
    end_child(reader, SIGKILL);
    store_detach(store);
    expect_recovery(0);
}

static void enter_alice(void)
{
    EXPECT_EQ(enter_account(store, alice), STATUS_OK);
    stay();
}

static void the_name_of_a_dead_process_is_free_again(void)
{
    open_post_office();
    EXPECT_EQ(store_attach(store, "other"), STATUS_OK);
    pid_t pid = fork_attached(enter_alice);
    wait_for_ready();
    EXPECT_EQ(enter_account(store, alice), STATUS_IN_USE);
    end_child(pid, SIGKILL);
    EXPECT_EQ(enter_account(store, alice), STATUS_OK);
    account_leave(store);
    store_detach(store);
    expect_recovery(0);
}

static void take_all_tokens(void)
{
    for (uint32_t i = 0; i < store->header->tokens; i++)
        store->header->token[i] = store->me;
    stay();
}

static void a_dead_hasher_gives_its_token_back(void)
{
    char hash[HASH_MAX + 1];
    open_post_office();
    killed(take_all_tokens);
    EXPECT_EQ(store_attach(store, "hasher"), STATUS_OK);
    EXPECT_EQ(password_hash(store, "secret", 6, hash), STATUS_OK);
    store_detach(store);
    expect_recovery(0);
}

static void slots_of_the_dead_are_used_again(void)
{
    open_post_office();
    for (int i = 0; i < 8; i++)
        killed(write_big_draft);
    expect_recovery(0);
}

static void who_claims_the_slot_of_the_dead_completes_its_transaction(void)
{
    open_post_office_for(1);
    killed(append_half_applied);
    expect_recovery(1);
}

static void a_full_slot_table_is_an_answer(void)
{
    pid_t pids[8];
    open_post_office();
    for (int i = 0; i < 8; i++) {
        pids[i] = fork_attached(stay);
        wait_for_ready();
    }
    EXPECT_EQ(store_attach(store, "ninth"), STATUS_FULL_SLOTS);
    for (int i = 0; i < 8; i++)
        end_child(pids[i], SIGKILL);
    expect_recovery(0);
}

static void attach_and_look(void)
{
    for (uint32_t i = 0; i < store->header->slots_most; i++)
        if (process_has_slot(store, i))
            EXPECT_EQ(slot_at(store, i)->draft, 0);
}

static void who_died_without_a_server_is_looked_after_by_the_next(void)
{
    open_post_office();
    killed(write_big_draft);
    EXPECT_EQ(store_serve(store), STATUS_OK);
    pid_t child = fork_attached(attach_and_look);
    int status;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    expect_recovery(0);
}

/* The map only hints: neither a slot that was given back is a connection nor one that nobody ever had, and
 * that one's memory is not touched. */
static void the_connections_of_a_source_are_those_that_are_there(void)
{
    const struct source source = {.kind = SOURCE_OTHER, .bytes = {1}};
    struct stat before, after;
    open_post_office_for(128);
    uint64_t *map = store->header->slot_map;
    EXPECT_EQ(store_attach(store, "one"), STATUS_OK);
    store_name_peer(store, "one", &source);
    EXPECT_EQ(fstat(store->fd, &before), 0);
    map[1] = UINT64_C(1) << 63;
    EXPECT_EQ(store_count_source(store, &source), 1);
    map[1] = 0;
    EXPECT_EQ(fstat(store->fd, &after), 0);
    EXPECT_EQ(after.st_blocks, before.st_blocks);
    store_detach(store);
    map[0] = 1;
    EXPECT_EQ(store_count_source(store, &source), 0);
    map[0] = 0;
    expect_recovery(0);
}

static void wait_to_lead(void)
{
    say_ready();
    journal_lead(store);
}

static void expect_unwanted(void)
{
    EXPECT(store->slot == slot_at(store, 1));
    EXPECT_EQ(store->slot->settling, 0);
}

/* Else each wake-up for the next leader would go to a process that waits for nothing. */
static void who_comes_after_a_waiter_to_lead_is_not_woken_for_it(void)
{
    int status;
    open_post_office_for(2);
    EXPECT_EQ(store_attach(store, "leader"), STATUS_OK);
    journal_lead(store);
    pid_t waiter = fork_attached(wait_to_lead);
    wait_for_ready();
    while (load64(&slot_at(store, 1)->settling) == 0)
        poll(NULL, 0, 1);
    end_child(waiter, SIGKILL);
    pid_t next = fork_attached(expect_unwanted);
    EXPECT_EQ(waitpid(next, &status, 0), next);
    EXPECT_EQ(status, 0);
    journal_follow(store);
    store_detach(store);
    expect_recovery(0);
}

static void a_long_name_of_a_peer_is_cut(void)
{
    char name[PEER_MAX + 10];
    open_post_office();
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    EXPECT_EQ(store_attach(store, name), STATUS_OK);
    EXPECT_EQ(strlen(store->slot->peer), PEER_MAX);
    store_detach(store);
    expect_recovery(0);
}

static const struct harness_test tests[] = {
    {"a killed holder of the lock blocks nobody", a_killed_holder_blocks_nobody},
    {"a stopped holder of the lock is not robbed", a_stopped_holder_is_not_robbed},
    {"a killed waiter does not swallow the wake-up", a_killed_waiter_does_not_swallow_the_wake_up},
    {"an owner that there cannot be blocks nobody", an_owner_that_there_cannot_be_blocks_nobody},
    {"an owner whose slot nobody ever had blocks nobody", an_owner_whose_slot_nobody_ever_had_blocks_nobody},
    {"an uncommitted transaction leaves nothing", an_uncommitted_transaction_leaves_nothing},
    {"a committed transaction is completed", a_committed_transaction_is_completed},
    {"a recoverer may die as well", a_recoverer_may_die_as_well},
    {"a dead process keeps no reserved block", a_dead_process_keeps_no_reserved_block},
    {"a dead reader keeps no deleted message", a_dead_reader_keeps_no_deleted_message},
    {"the name of a dead process is free again", the_name_of_a_dead_process_is_free_again},
    {"a dead hasher gives its token back", a_dead_hasher_gives_its_token_back},
    {"slots of the dead are used again", slots_of_the_dead_are_used_again},
    {"who claims the slot of the dead completes its transaction",
     who_claims_the_slot_of_the_dead_completes_its_transaction},
    {"who died without a server is looked after by the next one's first child",
     who_died_without_a_server_is_looked_after_by_the_next},
    {"the connections of a source are those that are there",
     the_connections_of_a_source_are_those_that_are_there},
    {"who comes after a waiter to lead is not woken for it",
     who_comes_after_a_waiter_to_lead_is_not_woken_for_it},
    {"a full slot table is an answer", a_full_slot_table_is_an_answer},
    {"a long name of a peer is cut", a_long_name_of_a_peer_is_cut},
};

HARNESS_MAIN(tests)
