/* test_far.c: tables in two parts: what a small post office uses lies in the first huge page, and the records
 * behind it serve as those do, on both sides of each bound. */
#include "cookie.h"
#include "huge.h"
#include "process.h"
#include "scene.h"
#include "segment.h"

#include <signal.h>

enum { ACCOUNTS = 2 * ACCOUNTS_NEAR };
static_assert((int)SESSIONS_NEAR < (int)ACCOUNTS, "there are far sessions, too");

static struct store *store;
static struct cookie cookies[ACCOUNTS];

static const char *name_of(uint32_t number)
{
    static char name[16];
    snprintf(name, sizeof(name), "user%u", number);
    return name;
}

static account_t open_account(uint32_t number)
{
    account_t account;
    const char *name = name_of(number);
    EXPECT_EQ(account_create(store, name, strlen(name), NULL, &account, &cookies[number]), STATUS_OK);
    return account;
}

static enum status verify(const struct cookie *cookie, struct session *session)
{
    *session = (struct session){0};
    return cookie_verify(store, cookie->text, COOKIE_TEXT, session);
}

static bool lies_near(const void *record, size_t size)
{
    return segment_offset(store, record) + size <= HUGE_BYTES;
}

static void what_a_small_post_office_uses_lies_in_one_huge_page(void)
{
    store = private_store();
    account_t alice = new_account(store, "alice");
    open_account(0);
    EXPECT_EQ(scene_send(store, "alice", "hello", 100), STATUS_OK);
    EXPECT(lies_near(store->slot, sizeof(struct slot)));
    EXPECT(lies_near(&store->waits[store->header->slots_most], 0));
    EXPECT(lies_near(&store->ring[RING], 0));
    EXPECT(lies_near(&store->cookie_buckets[0][SESSIONS_NEAR], 0));
    EXPECT(lies_near(slot_at(store, SLOTS_NEAR - 1), sizeof(struct slot)));
    EXPECT(lies_near(account_at(store, ACCOUNTS_NEAR - 1), sizeof(struct account_record)));
    EXPECT(lies_near(session_at(store, SESSIONS_NEAR - 1), sizeof(struct session_record)));
    EXPECT(lies_near(at(store, account_record(store, alice)->identity), PAGE));
    EXPECT(lies_near(store->base + store->arena, (size_t)8 * PAGE));
}

static void expect_cookies(uint32_t from, uint32_t to)
{
    struct session session;
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        bool is_there = i >= from && i < to;
        EXPECT_EQ(verify(&cookies[i], &session), is_there ? STATUS_OK : STATUS_NO_SESSION);
        EXPECT_EQ(session.account.index, is_there ? scene_account(store, name_of(i)).index : 0);
    }
}

/* Also where the sessions of near accounts are far ones, and the other way round. */
static void accounts_and_cookies_are_found_on_both_sides(void)
{
    struct session session;
    store = private_store();
    for (uint32_t i = 0; i < ACCOUNTS; i++)
        EXPECT_EQ(open_account(i).index, i + 1);
    EXPECT_EQ(store->header->sessions_used, ACCOUNTS);
    expect_cookies(0, ACCOUNTS);
    EXPECT_CLEAN(store);
    for (uint32_t i = 0; i < 100; i++) {
        EXPECT_EQ(verify(&cookies[i], &session), STATUS_OK);
        EXPECT_EQ(cookie_end(store, &session), STATUS_OK);
    }
    for (uint32_t i = ACCOUNTS - 100; i < ACCOUNTS; i++)
        EXPECT_EQ(scene_secret(store, name_of(i), NULL), STATUS_OK);
    account_sweep(store);
    expect_cookies(100, ACCOUNTS - 100);
    EXPECT_CLEAN(store);
    for (uint32_t i = ACCOUNTS - 100; i < ACCOUNTS; i++)
        open_account(i);
    EXPECT_EQ(store->header->accounts_used, ACCOUNTS);
    expect_cookies(100, ACCOUNTS);
    EXPECT_CLEAN(store);
}

static void count(void *findings, const char *finding)
{
    (void)finding;
    ++*(int *)findings;
}

static void a_chain_that_crosses_is_found_out(void)
{
    store = private_store();
    for (uint32_t i = 0; i < SESSIONS_NEAR; i++)
        open_account(i);
    EXPECT_EQ(store->header->sessions_used, SESSIONS_NEAR); /* so the last one is the first far one */
    struct session_record *far = session_at(store, SESSIONS_NEAR);
    uint32_t *near = &store->cookie_buckets[0][session_hash(store, far->secret) & store->cookie_mask[0]];
    uint32_t before = *near;
    EXPECT_CLEAN(store);
    far->chain = before;
    *near = SESSIONS_NEAR;
    store->cookie_buckets[1][session_hash(store, far->secret) & store->cookie_mask[1]] = 0;
    int findings = 0;
    EXPECT(store_check(store, count, &findings) > 0);
    EXPECT(findings > 0);
}

/* Its memory is there before the first of its sessions. */
static void a_far_bucket_is_looked_at_before_it_is_used(void)
{
    int findings = 0;
    store = private_store();
    for (uint32_t i = 1; i < SESSIONS_NEAR; i++)
        open_account(i);
    EXPECT_EQ(store->header->sessions_used, SESSIONS_NEAR - 1);
    uint32_t *bucket = &store->cookie_buckets[1][5];
    EXPECT_EQ(segment_reserve(store, segment_offset(store, bucket), sizeof(*bucket)), STATUS_OK);
    EXPECT_CLEAN(store);
    *bucket = 7;
    EXPECT(store_check(store, count, &findings) > 0);
}

/* The hints say that all near slots are taken. */
static void attach_far(void)
{
    for (uint32_t i = 0; i < SLOTS_NEAR / 64; i++)
        store->header->slot_map[i] = UINT64_MAX;
    EXPECT_EQ(store_attach(store, "far"), STATUS_OK);
    EXPECT_EQ(slot_index(store, store->slot), SLOTS_NEAR);
    EXPECT(store->slot == slot_at(store, SLOTS_NEAR));
    EXPECT_EQ(owner_slot(store->me), SLOTS_NEAR);
}

static void a_far_slot_serves_as_a_near_one(void)
{
    struct store_process process;
    uint32_t slot = SLOTS_NEAR;
    store = open_store(&(struct store_options){.crypt_cost = 1, .slots = 2 * SLOTS_NEAR});
    attach_far();
    account_t alice = new_account(store, "alice");
    EXPECT_EQ(scene_send(store, "alice", "hello", 100), STATUS_OK);
    EXPECT_EQ(mailbox_count(store, alice), 1);
    EXPECT(store_next_process(store, &slot, &process));
    EXPECT_EQ(process.slot, SLOTS_NEAR);
    EXPECT_STR(process.peer, "far");
    EXPECT_CLEAN(store);
    store_detach(store);
    EXPECT_EQ(store->header->slot_map[SLOTS_NEAR / 64], 0);
}

static void a_far_slot_is_reclaimed_from_the_dead(void)
{
    int status;
    store = attached_store(&(struct store_options){.crypt_cost = 1, .slots = 2 * SLOTS_NEAR});
    account_t alice = new_account(store, "alice");
    pid_t pid = fork();
    if (pid == 0) {
        store->slot = NULL;
        attach_far();
        if (scene_draft(store, "alice@example.org", "never sent", 20000) == STATUS_OK)
            raise(SIGKILL);
        _exit(1);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFSIGNALED(status));
    EXPECT(slot_at(store, SLOTS_NEAR)->draft != 0);
    store_wake(store);
    store_reclaim(store);
    EXPECT_EQ(slot_at(store, SLOTS_NEAR)->draft, 0);
    EXPECT_EQ(mailbox_count(store, alice), 0);
    EXPECT_CLEAN(store);
}

/* In a process of its own, which then dies: its journal is what is left. */
static uint64_t digest_of_one_that_died(const struct store_options *options)
{
    uint64_t *digest = mmap(NULL, sizeof(*digest), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    EXPECT(digest != MAP_FAILED);
    pid_t pid = fork();
    if (pid == 0) {
        store = attached_store(options);
        for (uint32_t i = 0; i < ACCOUNTS; i++)
            open_account(i);
        for (uint32_t i = ACCOUNTS_NEAR - 10; i < ACCOUNTS_NEAR + 10; i++)
            if (scene_send(store, name_of(i), "across", 100 + i % 7) != STATUS_OK)
                _exit(1);
        for (uint32_t i = ACCOUNTS_NEAR - 500; i < ACCOUNTS - 1; i += 3) /* gaps, which nobody takes again */
            if (scene_secret(store, name_of(i), NULL) != STATUS_OK)
                _exit(1);
        account_sweep(store);
        *digest = scene_digest(store);
        _exit(store_settle(store) != STATUS_OK);
    }
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    return *digest;
}

static void a_journal_brings_back_both_sides(void)
{
    const struct store_options options = {.directory = "journal", .crypt_cost = 1};
    uint64_t digest = digest_of_one_that_died(&options);
    store = attached_store(&options);
    EXPECT_EQ(store->header->accounts_used, ACCOUNTS);
    EXPECT_EQ(scene_digest(store), digest);
    EXPECT_CLEAN(store);
}

static const struct harness_test tests[] = {
    {"what a small post office uses lies in one huge page",
     what_a_small_post_office_uses_lies_in_one_huge_page},
    {"accounts and cookies are found on both sides", accounts_and_cookies_are_found_on_both_sides},
    {"a chain that crosses is found out", a_chain_that_crosses_is_found_out},
    {"a far bucket is looked at before it is used", a_far_bucket_is_looked_at_before_it_is_used},
    {"a far slot serves as a near one", a_far_slot_serves_as_a_near_one},
    {"a far slot is reclaimed from the dead", a_far_slot_is_reclaimed_from_the_dead},
    {"a journal brings back both sides", a_journal_brings_back_both_sides},
};

HARNESS_MAIN(tests)
