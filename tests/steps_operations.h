/* steps_operations.h: the operations of the office, each with what has to be there before it. They run in a
 * child of their own, which is killed in them; what they prepare is not stepped. */
#ifndef SHMAIL_TEST_STEPS_OPERATIONS_H
#define SHMAIL_TEST_STEPS_OPERATIONS_H

#include "huge.h"
#include "journal_stage.h"
#include "mailbox_record.h"
#include "message.h"
#include "password.h"
#include "steps_office.h"
#include "throttle.h"
#include "transaction.h"

enum {
    CHANGES = 1,     /* what the post office holds is another one afterwards */
    UNATTACHED = 2,  /* the operation attaches */
    ONE_SLOT = 4,    /* in a segment with room for one process */
    EMPTY = 8,       /* in a post office without anything */
    READER = 16,     /* while another process reads bob's third message */
    CHECKPOINT = 32, /* whoever survives makes a checkpoint too */
    MEANWHILE = 128, /* others change something while it runs, all but at once */
    UNRECORDED = 64  /* not with a journal, which lacks what was done before */
};

struct operation {
    const char *name;
    void (*prepare)(void); /* or NULL */
    void (*run)(void);
    unsigned kinds;
};

static struct account_secret secret;
static struct session session;
static struct message message;

/* ---- accounts and sessions ---- */

static void create(void)
{
    account_t account;
    struct cookie cookie;
    EXPECT_EQ(account_create(office, "carol", 5, hash, &account, &cookie), STATUS_OK);
    settle();
}

static void read_secret(void)
{
    EXPECT_EQ(account_secret(office, "alice", 5, &secret), STATUS_OK);
}

static void login(void)
{
    struct cookie cookie;
    EXPECT_EQ(account_login(office, &secret, &cookie), STATUS_OK);
}

static void begin_attempt(void)
{
    const struct source source = source_of_user(1000);
    EXPECT_EQ(throttle_login(office, &source, "alice", 5), 0);
}

static void succeed(void)
{
    throttle_end(office, false);
}

static void try_and_fail(void)
{
    begin_attempt();
    throttle_end(office, true);
}

static void verify_new_cookie(void)
{
    struct cookie cookie;
    read_secret();
    EXPECT_EQ(account_login(office, &secret, &cookie), STATUS_OK);
    EXPECT_EQ(cookie_verify(office, cookie.text, COOKIE_TEXT, &session), STATUS_OK);
}

static void verify_again(void)
{
    struct session found = {0};
    EXPECT_EQ(cookie_verify(office, session.text, COOKIE_TEXT, &found), STATUS_OK);
}

static void end_session(void)
{
    EXPECT_EQ(cookie_end(office, &session), STATUS_OK);
}

static void change_hash(void)
{
    EXPECT_EQ(account_change_hash(office, &secret, other_hash), STATUS_OK);
    settle();
}

static void read_secret_of_bob(void)
{
    struct cookie cookie;
    EXPECT_EQ(account_secret(office, "bob", 3, &secret), STATUS_OK);
    EXPECT_EQ(account_login(office, &secret, &cookie), STATUS_OK);
    write_letter(77);
    EXPECT_EQ(queue_push(office, bob), STATUS_OK);
    settle();
}

static void remove_account(void)
{
    EXPECT_EQ(account_remove(office, &secret), STATUS_OK);
    settle();
}

static void enter_bob(void)
{
    EXPECT_EQ(enter_account(office, bob), STATUS_OK);
}

static void enter_alice(void)
{
    EXPECT_EQ(enter_account(office, alice), STATUS_OK);
}

static void leave(void)
{
    account_leave(office);
}

static void make_hash(void)
{
    char made[HASH_MAX + 1];
    EXPECT_EQ(password_hash(office, "secret", 6, made), STATUS_OK);
}

static void hash_secret(void)
{
    read_secret();
    EXPECT_EQ(password_hash(office, "secret", 6, secret.hash), STATUS_OK);
}

static void check_password(void)
{
    EXPECT_EQ(password_matches(office, "secret", 6, &secret), STATUS_OK);
}

static bool count_account(void *count, account_t account, const char *name)
{
    (void)account, (void)name;
    ++*(int *)count;
    return true;
}

static void look_up(void)
{
    account_t found;
    char name[NAME_MAX_BYTES + 1];
    int count = 0;
    EXPECT_EQ(account_find(office, "BOB", 3, &found), STATUS_OK);
    EXPECT_EQ(account_name(office, found, name), 3);
    account_each(office, count_account, &count);
    EXPECT_EQ(count, 2);
}

/* ---- mail ---- */

static void write_small(void)
{
    write_letter(30);
}

static void write_big(void)
{
    write_letter(BIG);
}

/* More blocks than one transaction reserves. */
static void write_long(void)
{
    struct letter letter = {"alice", "", long_body, 5, 0, sizeof(long_body)};
    EXPECT_EQ(draft_write(office, &letter), STATUS_OK);
}

/* The second of its size, so that its publication reserves the next block. */
static void write_small_again(void)
{
    message_id id;
    write_small();
    EXPECT_EQ(mailbox_append(office, bob, &id), STATUS_OK);
    write_small();
}

/* As many of one size, so that its publication reserves the rest of a page. */
static void write_small_on_and_on(void)
{
    do
        append(bob, 30);
    while (office->drafts_alike < 16 || *(const block_t *)at(office, office->slot->draft));
    settle();
    write_small();
    EXPECT_EQ(office->slot->run, 0);
}

static void write_small_of_a_run(void)
{
    while (!office->slot->run)
        append(bob, 30);
    settle();
    write_small();
}

static void drop(void)
{
    draft_drop(office);
}

static void append_draft(void)
{
    message_id id;
    EXPECT_EQ(mailbox_append(office, bob, &id), STATUS_OK);
    settle();
}

/* Four drafts; so many blocks are there for them. */
static void write_several(void)
{
    struct letter letter = {"alice", "", long_body, 5, 0, 30};
    do
        append(bob, 30);
    while (!office->slot->draft || !draft_behind(office, 3));
    settle();
    EXPECT_EQ(draft_write(office, &letter), STATUS_OK);
    for (uint32_t count = 1; count < 4; count++)
        EXPECT(draft_write_behind(office, count, &letter));
}

static void write_several_past_a_leaf(void)
{
    while (mailbox_newest(office, bob) < 62 || !office->slot->draft || !draft_behind(office, 3))
        append(bob, 30);
    write_several();
}

static void append_several(void)
{
    message_id first;
    for (uint32_t left = 4, count; left > 0; left -= count)
        EXPECT_EQ(mailbox_append_drafts(office, bob, left, &first, &count), STATUS_OK);
    settle();
}

static void drop_first(void)
{
    draft_drop_first(office);
}

static void fill_leaf(void)
{
    while (mailbox_newest(office, bob) < 64)
        append(bob, 20);
    settle();
    write_small();
}

static bool never(void *context)
{
    (void)context;
    return false;
}

static void wait_in_vain(void)
{
    sigset_t none;
    uint64_t held;
    sigemptyset(&none);
    EXPECT_EQ(mailbox_wait(office, bob, 9, 0, &none, never, NULL, &held), STATUS_TIMED_OUT);
}

static void be_waited_for(void)
{
    wait_in_vain();
    write_small();
}

static void push_draft(void)
{
    EXPECT_EQ(queue_push(office, alice), STATUS_OK);
    settle();
}

static void store_queued(void)
{
    message_id id;
    EXPECT_EQ(queue_store(office, alice, bob, &id), STATUS_OK);
    settle();
}

static void read_first(void)
{
    EXPECT_EQ(mailbox_first(office, bob, &message), STATUS_OK);
    message_release(office, &message);
}

static void list_all(void)
{
    struct message messages[8];
    size_t count;
    EXPECT_EQ(mailbox_list(office, bob, 0, UINT64_MAX, messages, 8, &count), STATUS_OK);
    EXPECT_EQ(count, 3);
    message_release_all(office);
}

static void list_queue(void)
{
    struct message messages[8];
    size_t count;
    EXPECT_EQ(queue_list(office, alice, messages, 8, &count), STATUS_OK);
    EXPECT_EQ(count, queue_count(office, alice));
    message_release_all(office);
}

static void delete_first(void)
{
    EXPECT_EQ(mailbox_delete_first(office, bob), STATUS_OK);
    settle();
}

static void delete_big(void)
{
    EXPECT_EQ(mailbox_delete(office, bob, 3), STATUS_OK);
    settle();
}

static void pin_big(void)
{
    EXPECT_EQ(mailbox_open(office, bob, 3, &message), STATUS_OK);
}

static void delete_pinned(void)
{
    EXPECT_EQ(mailbox_delete(office, bob, 3), STATUS_OK);
    message_release(office, &message);
    settle();
}

static void fill_two_leaves(void)
{
    fill_leaf();
    append_draft();
}

static void delete_last(void)
{
    EXPECT_EQ(mailbox_delete(office, bob, 65), STATUS_OK);
    settle();
}

/* ---- processes ---- */

static void attach(void)
{
    EXPECT_EQ(store_attach(office, "victim"), STATUS_OK);
}

static void owe(void)
{
    write_big();
    pin_big();
    EXPECT_EQ(mailbox_delete(office, bob, 3), STATUS_OK);
    settle();
    enter_alice();
}

static void detach(void)
{
    store_detach(office);
}

static void owe_and_die(void)
{
    owe();
    raise(SIGKILL);
}

static void leave_debts(void)
{
    in_another_process(owe_and_die, SIGKILL);
    store_wake(office);
}

static void reclaim(void)
{
    store_reclaim(office);
}

static void check(void)
{
    EXPECT_CLEAN(office);
}

/* A transaction that is committed, and half of it applied. */
static void commit_and_die(void)
{
    bool waited;
    write_small();
    transaction_begin(office);
    draft_address(office, office->slot->draft, bob.index, 4, 0);
    EXPECT_EQ(mailbox_put(office, account_at(office, bob.index), office->slot->draft, &waited), STATUS_OK);
    set32(office, &office->slot->draft, 0);
    transaction_seal(office);
    for (uint32_t i = 0; i < office->redo_count / 2; i++) {
        struct redo_entry *entry = &office->slot->redo[i];
        memcpy(office->base + (entry->where & ~UINT64_C(1)), &entry->value, entry->where & 1 ? 8 : 4);
    }
    raise(SIGKILL);
}

static void leave_lock(void)
{
    write_small();
    in_another_process(commit_and_die, SIGKILL);
    store_wake(office);
}

static void leave_slot_with_lock(void)
{
    in_another_process(commit_and_die, SIGKILL);
}

/* ---- the journal ---- */

static void note_several(void)
{
    append(bob, 300);
    append(alice, BIG);
    read_secret();
    EXPECT_EQ(account_change_hash(office, &secret, other_hash), STATUS_OK);
}

/* As if the keeper had made so much room. */
static void note_past_the_cache(void)
{
    office->header->journal.capacity += HUGE_BYTES;
    note_several();
}

/* Behind one that stands in the stage, and so long that the log ends as far in its last block as before. */
static void note_a_block_past_the_cache(void)
{
    const struct journal_segment *journal = &office->header->journal;
    office->header->journal.capacity += HUGE_BYTES;
    append(bob, 1000);
    settle();
    EXPECT(journal->staged.begun && journal->staged.start == journal->tail &&
           journal->tail % STAGE_BLOCK > 0);
    append(bob, STAGE_BLOCK - sizeof(struct journal_record) - strlen("alice") - strlen("about"));
    EXPECT_EQ(journal->end, journal->tail + STAGE_BLOCK);
}

/* Behind a group that has been written. */
static void leave_something_to_build(void)
{
    note_past_the_cache();
    settle();
    append(bob, 300);
    append(bob, 5000);
    EXPECT(office->header->journal.staged.begun);
}

static void build_and_settle(void)
{
    journal_stage_help(office);
    EXPECT_EQ(office->header->journal.staged.last, office->header->journal.assigned);
    settle();
}

static void lead_and_die(void)
{
    append(bob, 31);
    journal_lead(office);
    raise(SIGKILL);
}

static void leave_leader(void)
{
    write_small();
    in_another_process(lead_and_die, SIGKILL);
}

/* To and fro, since a checkpoint may have one of the two already and not the other. */
static void bring_mail(void)
{
    message_id id;
    append(bob, 33);
    write_letter(44);
    EXPECT_EQ(queue_push(office, alice), STATUS_OK);
    EXPECT_EQ(queue_store(office, alice, bob, &id), STATUS_OK);
    write_letter(55);
    EXPECT_EQ(queue_push(office, bob), STATUS_OK);
    EXPECT_EQ(queue_store(office, bob, alice, &id), STATUS_OK);
    EXPECT_EQ(mailbox_delete_first(office, bob), STATUS_OK);
    settle();
}

static void checkpoint(void)
{
    EXPECT_EQ(journal_checkpoint(office, CHECKPOINT_BYTES), STATUS_OK);
}

#endif
