/* test_slots.c: the process slots: who has one keeps it, who looks at them tells the living from the dead,
 * and what a death or a scribble left is settled once, and only in a store that is not doubted. */
#include "process.h"

#include "lock.h"
#include "segment.h"
/* Behind them, as it has a store of that name for all of the file. */
#include "attached_process.h"

/* ---- slots ---- */

static void end_at_once(void)
{
}

static void die(void)
{
    raise(SIGKILL);
}

static uint64_t *map_word(uint32_t slot)
{
    return &store->header->slot_map[slot / 64];
}

static uint32_t attached_slot(void)
{
    return slot_index(store, store->slot);
}

static void detach_with_end(void)
{
    store_detach_with_end(store);
}

/* Attaches a process that does that and then stays until its input is closed. */
static pid_t fork_staying(int input[2], void (*first)(void))
{
    int ready[2];
    char byte;
    EXPECT_EQ(pipe(ready), 0);
    EXPECT_EQ(pipe(input), 0);
    pid_t pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        close(input[1]);
        EXPECT_EQ(store_attach(store, "staying"), STATUS_OK);
        first();
        EXPECT_EQ(write(ready[1], "r", 1), 1);
        EXPECT_EQ(read(input[0], &byte, 1), 0);
        store_detach(store);
        _exit(0);
    }
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    return pid;
}

static void expect_slot_2(void)
{
    EXPECT_EQ(attached_slot(), 2);
    store_detach(store);
}

static void who_holds_a_slot_keeps_it_whatever_the_map_says(void)
{
    int input[2], status;
    open_post_office(8);
    pid_t pid = fork_staying(input, end_at_once);
    EXPECT_EQ(*map_word(0), 3);
    *map_word(0) = 1;
    uint64_t life = slot_at(store, 1)->life;
    EXPECT_EQ(end_of(expect_slot_2), 0);
    EXPECT_EQ(slot_at(store, 1)->life, life);
    close(input[1]);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
}

static void expect_to_stay_in_slot_2(void)
{
    EXPECT_EQ(attached_slot(), 2);
}

static void expect_slot_1(void)
{
    EXPECT_EQ(attached_slot(), 1);
    store_detach(store);
}

static void who_detaches_with_its_end_has_its_slot_until_then(void)
{
    struct store_process process;
    int input[2], status;
    uint32_t slot = 1;
    open_post_office(8);
    pid_t pid = fork_staying(input, detach_with_end);
    EXPECT_EQ(*map_word(0), 1);
    EXPECT(!store_next_process(store, &slot, &process));
    EXPECT_EQ(end_of(expect_slot_2), 0);
    close(input[1]);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(end_of(expect_slot_1), 0);
}

static void leave_debts(void)
{
    EXPECT_EQ(enter_account(store, alice), STATUS_OK);
    store_suspect(store);
    store_detach_with_end(store);
}

/* Who is told of it looks at once. */
static void the_debts_of_who_detached_from_a_doubted_store_are_found_before_its_end(void)
{
    int input[2], status;
    open_post_office(8);
    pid_t pid = fork_staying(input, leave_debts);
    EXPECT_EQ(store_acquit(store, NULL, NULL), STATUS_OK);
    EXPECT_EQ(end_of(end_at_once), 0);
    EXPECT_EQ(slot_at(store, 1)->entered.index, 0);
    EXPECT_EQ(enter_account(store, alice), STATUS_OK);
    close(input[1]);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    EXPECT_CLEAN(store);
}

/* As a process leaves it that is killed before it has memory for its slot. */
static void a_slot_that_nobody_ever_had_costs_nothing(void)
{
    enum { SLOT = 1000 };
    struct store_process process;
    message_id id;
    uint32_t slot = 0;
    open_post_office(1024);
    EXPECT(!process_has_slot(store, SLOT));
    *map_word(SLOT) |= UINT64_C(1) << SLOT % 64;
    store_reclaim(store);
    process_wake_waiters(store, alice);
    EXPECT_EQ(deliver(store, alice, "a", "", "b", 1, &id), STATUS_OK);
    EXPECT(store_next_process(store, &slot, &process));
    EXPECT(!store_next_process(store, &slot, &process));
    EXPECT(!process_has_slot(store, SLOT));
    EXPECT_CLEAN(store);
}

static void find_none(void)
{
    EXPECT_EQ(store_attach(store, "one too many"), STATUS_FULL_SEGMENT);
}

/* Where the next slot has no memory and can have none, those of the dead must do. */
static void without_memory_for_a_slot_one_of_a_dead_does(void)
{
    enum { KNOWN = 64 };
    open_post_office(1024);
    EXPECT(!process_has_slot(store, KNOWN));
    expect_killed(die);
    *map_word(0) = UINT64_MAX;
    fault.kinds = CALL_RESERVE;
    fault.at = 1;
    fault.lasts = true;
    fault.error = ENOSPC;
    EXPECT_EQ(end_of(expect_slot_1), 0);
    int input[2], status;
    pid_t pid = fork_staying(input, end_at_once);
    for (uint32_t i = 2; process_has_slot(store, i); i++)
        EXPECT(segment_try_byte(store, claim_byte(i)));
    EXPECT_EQ(end_unattached(find_none), 0);
    close(input[1]);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
}

/* Until it has ended nobody would have it. */
static void a_slot_whose_own_byte_cannot_be_locked_is_another_s_to_claim(void)
{
    int input[2], status;
    open_post_office(8);
    fault.kinds = CALL_LOCK;
    fault.at = 2; /* behind that of the claim */
    fault.error = ENOLCK;
    pid_t pid = fork_staying(input, expect_to_stay_in_slot_2);
    fault.kinds = 0;
    EXPECT_EQ(end_of(expect_slot_1), 0);
    close(input[1]);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    EXPECT_CLEAN(store);
}

static void a_complaint_is_due_now_and_then(void)
{
    open_post_office(8);
    EXPECT(store_may_complain(store, 1000));
    EXPECT(!store_may_complain(store, 1000));
    EXPECT(store_may_complain(store, 0));
    EXPECT(!store_may_complain(store, 1000));
}

static void attach_without_semaphore(void)
{
    fault.kinds = CALL_SEMAPHORE;
    fault.at = 1;
    fault.lasts = true;
    fault.error = EINVAL;
    EXPECT_EQ(store_attach(store, "without"), STATUS_SYSTEM);
    fault.kinds = 0;
}

static void find_no_semaphore(void)
{
    attach_without_semaphore();
    EXPECT_EQ(end_of(expect_slot_1), 0); /* while this one lives */
}

static void who_cannot_be_attached_keeps_no_slot(void)
{
    open_post_office(8);
    EXPECT_EQ(end_unattached(find_no_semaphore), 0);
    EXPECT_CLEAN(store);
}

static void suspect_and_die(void)
{
    store_suspect(store);
    raise(SIGKILL);
}

/* Its debts stand in tables that may be scribbled over. */
static void find_no_semaphore_and_die(void)
{
    attach_without_semaphore();
    die();
}

static void a_slot_that_was_about_to_be_taken_is_reclaimed(void)
{
    struct store_process process;
    uint32_t slot = 0;
    open_post_office(8);
    EXPECT_EQ(end_unattached(find_no_semaphore_and_die), SIGKILL);
    store_wake(store);
    store_reclaim(store);
    EXPECT(store_next_process(store, &slot, &process));
    EXPECT(process.pid == getpid());
    EXPECT(!store_next_process(store, &slot, &process));
}

static void a_slot_of_the_dead_is_not_settled_while_the_store_is_doubted(void)
{
    open_post_office(8);
    expect_killed(suspect_and_die);
    uint64_t life = slot_at(store, 1)->life;
    *map_word(0) = 1;
    EXPECT_EQ(end_of(expect_slot_2), 0);
    EXPECT_EQ(slot_at(store, 1)->life, life);
    EXPECT_EQ(store_acquit(store, print_finding, NULL), STATUS_OK);
    *map_word(0) = 1;
    EXPECT_EQ(end_of(expect_slot_1), 0);
}

static void the_list_tells_the_living_from_the_dead(void)
{
    struct store_process process;
    uint32_t slot = 0;
    open_post_office(8);
    store->slot->account = alice;
    expect_killed(die);
    EXPECT(store_next_process(store, &slot, &process));
    EXPECT(process.alive && process.pid == getpid());
    EXPECT_STR(process.account, "alice");
    EXPECT(store_next_process(store, &slot, &process));
    EXPECT(!process.alive && process.slot == 1);
    EXPECT_STR(process.account, "");
    EXPECT(!store_next_process(store, &slot, &process));
    slot = 0;
    store->slot->account.index = 101; /* a scribble: there are 100 */
    EXPECT(store_next_process(store, &slot, &process));
    EXPECT_STR(process.account, "");
}

/* A process does not see its own fcntl locks. */
static void the_living_are_not_dead_to_themselves(void)
{
    open_post_office(8);
    EXPECT(!segment_byte_is_held(store, slot_byte(0)));
    EXPECT(!owner_is_dead(store, store->me));
    EXPECT(!owner_is_dead(store, store->me | LOCK_WAITERS));
    EXPECT(owner_is_dead(store, owner_word(0, store->slot->life + 2)));
    EXPECT(owner_is_dead(store, owner_word(1, store->slot->life)));
}

/* When the question itself fails nobody may be declared dead. */
static void nobody_is_dead_for_want_of_an_answer(void)
{
    open_post_office(8);
    expect_killed(die);
    uint64_t dead = owner_word(1, slot_at(store, 1)->life);
    EXPECT(owner_is_dead(store, dead));
    int closed = store->fd;
    store->fd = -1;
    EXPECT(segment_byte_is_held(store, slot_byte(1)));
    EXPECT_EQ(segment_byte_holder(store, slot_byte(1)), 0);
    EXPECT(!owner_is_dead(store, dead));
    store->fd = closed;
    EXPECT(owner_is_dead(store, dead));
}

static void who_is_not_attached_may_detach_and_be_interrupted(void)
{
    open_post_office(8);
    store_detach(store);
    store_detach(store);
    store_detach_with_end(store);
    store_interrupt(store);
    EXPECT_EQ(end_of(end_at_once), 0);
    EXPECT_EQ(store_attach(store, "again"), STATUS_OK);
    EXPECT_CLEAN(store);
}

/* ---- debts ---- */

static void pin_all_and_die(void)
{
    struct message messages[PINS_MAX];
    size_t count;
    EXPECT_EQ(mailbox_list(store, alice, 0, UINT64_MAX, messages, PINS_MAX, &count), STATUS_OK);
    EXPECT_EQ(count, PINS_MAX);
    while (mailbox_count(store, alice) > 0)
        EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    raise(SIGKILL);
}

/* More than one transaction's writes: each message has a page of its own. */
static void the_many_pins_of_a_dead_process_are_given_back_in_steps(void)
{
    static char body[BLOCK_MAX / 3];
    message_id id;
    open_post_office(8);
    for (size_t i = 0; i < PINS_MAX; i++)
        EXPECT_EQ(deliver(store, alice, "a", "", body, sizeof(body) - i * 64, &id), STATUS_OK);
    expect_killed(pin_all_and_die);
    EXPECT_EQ(slot_at(store, 1)->pins, PINS_MAX);
    EXPECT_CLEAN(store);
    store_reclaim(store);
    EXPECT_EQ(slot_at(store, 1)->pins, 0);
    EXPECT_CLEAN(store);
}

static void who_has_nobody_yet_is_not_counted(void)
{
    struct store_process process;
    struct store_figures figures;
    uint32_t index = 0;
    open_post_office(4);
    store_detach(store);
    EXPECT_EQ(store_attach_ahead(store), STATUS_OK);
    const struct slot *slot = store->slot;
    EXPECT_EQ(store_processes(store), 0);
    store_figures(store, &figures);
    EXPECT_EQ(figures.slots, 1); /* which it holds, though */
    EXPECT(store_next_process(store, &index, &process));
    EXPECT_STR(process.peer, "spare");
    store->now = 1; /* as a look at the clock long ago would have left it */
    EXPECT_EQ(store_attach(store, "somebody"), STATUS_OK);
    EXPECT(store->slot == slot);
    EXPECT_EQ(store->now, 0);
    EXPECT_EQ(store_processes(store), 1);
    EXPECT_STR(slot->peer, "somebody");
    store_detach(store);
    EXPECT_EQ(store_attach_ahead(store), STATUS_OK);
    store_detach(store);
    EXPECT_EQ(store->header->idle_map[0], 0);
    EXPECT_EQ(store_attach(store, "another"), STATUS_OK);
    EXPECT(store->slot == slot);
}

static void expect_no_room_ahead(void)
{
    EXPECT_EQ(store_attach_ahead(store), STATUS_FULL_SLOTS);
    EXPECT_EQ(store->header->idle_map[0], 0);
}

static void who_finds_no_room_ahead_waits_without(void)
{
    open_post_office(1);
    EXPECT_EQ(end_unattached(expect_no_room_ahead), 0);
    EXPECT_EQ(store_processes(store), 1);
}

static void attach_ahead(void)
{
    EXPECT_EQ(store_attach_ahead(store), STATUS_OK);
    raise(SIGKILL);
}

static void expect_counted(void)
{
    EXPECT_EQ(attached_slot(), 1);
    EXPECT_EQ(store_processes(store), 2);
}

/* Whoever takes the slot of one that has died waiting is counted. */
static void a_slot_of_one_that_waited_is_claimed(void)
{
    open_post_office(4);
    EXPECT_EQ(end_unattached(attach_ahead), SIGKILL);
    EXPECT_EQ(store->header->idle_map[0], 2);
    EXPECT_EQ(store_processes(store), 1);
    *map_word(0) = 1;
    EXPECT_EQ(end_of(expect_counted), 0);
}

static void a_slot_of_one_that_waited_is_reclaimed(void)
{
    open_post_office(4);
    EXPECT_EQ(end_unattached(attach_ahead), SIGKILL);
    store_wake(store);
    store_reclaim(store);
    EXPECT_EQ(store->header->idle_map[0], 0);
    EXPECT_EQ(store_processes(store), 1);
}

static const struct harness_test tests[] = {
    {"who holds a slot keeps it, whatever the map says", who_holds_a_slot_keeps_it_whatever_the_map_says},
    {"who detaches with its end has its slot until then", who_detaches_with_its_end_has_its_slot_until_then},
    {"the debts of who detached from a doubted store are found before its end",
     the_debts_of_who_detached_from_a_doubted_store_are_found_before_its_end},
    {"a slot that nobody ever had costs nothing", a_slot_that_nobody_ever_had_costs_nothing},
    {"without memory for a slot, one of a dead process does", without_memory_for_a_slot_one_of_a_dead_does},
    {"a slot whose own byte cannot be locked is another's to claim",
     a_slot_whose_own_byte_cannot_be_locked_is_another_s_to_claim},
    {"who cannot be attached keeps no slot", who_cannot_be_attached_keeps_no_slot},
    {"a slot that was about to be taken is reclaimed", a_slot_that_was_about_to_be_taken_is_reclaimed},
    {"a slot of the dead is not settled while the store is doubted",
     a_slot_of_the_dead_is_not_settled_while_the_store_is_doubted},
    {"the list tells the living from the dead", the_list_tells_the_living_from_the_dead},
    {"the living are not dead to themselves", the_living_are_not_dead_to_themselves},
    {"nobody is dead for want of an answer", nobody_is_dead_for_want_of_an_answer},
    {"who is not attached may detach and be interrupted", who_is_not_attached_may_detach_and_be_interrupted},
    {"the many pins of a dead process are given back in steps",
     the_many_pins_of_a_dead_process_are_given_back_in_steps},
    {"who has nobody yet is not counted", who_has_nobody_yet_is_not_counted},
    {"who finds no room ahead waits without", who_finds_no_room_ahead_waits_without},
    {"a slot of one that waited is claimed", a_slot_of_one_that_waited_is_claimed},
    {"a slot of one that waited is reclaimed", a_slot_of_one_that_waited_is_reclaimed},
    {"a complaint is due now and then", a_complaint_is_due_now_and_then},
};

HARNESS_MAIN(tests)
