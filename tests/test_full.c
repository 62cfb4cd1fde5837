/* test_full.c: full tables, a full arena and no memory behind the segment: the one request fails, nothing is
 * half done, and all works again where room is made. */
#include "account.h"
#include "block.h"
#include "layout.h"
#include "mapping.h"
#include "post_office.h"
#include "queue.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct store *store;

/* A post office whose arena has so many pages. */
static void open_so(struct store_options options, uint32_t pages)
{
    static struct store *volatile roomy; /* is never closed: here a leak checker sees it */
    options.segment_bytes = UINT64_C(64) << 20;
    roomy = open_store(&options);
    options.segment_bytes = roomy->header->segment_bytes - (uint64_t)(roomy->pages_most - pages) * PAGE;
    store = attached_store(&options);
    EXPECT_EQ(store->pages_most, pages);
}

static void open_with_pages(uint32_t pages)
{
    open_so((struct store_options){.accounts = 1000, .slots = 2, .sessions_per_account = 3}, pages);
}

static void remove_account(const char *name)
{
    struct account_secret secret;
    EXPECT_EQ(account_secret(store, name, strlen(name), &secret), STATUS_OK);
    EXPECT_EQ(account_remove(store, &secret), STATUS_OK);
}

static void no_account_record_is_an_answer(void)
{
    enum { ACCOUNTS = 10 };
    struct store_figures figures;
    struct cookie cookie;
    account_t account;
    char name[16];
    store = attached_store(&(struct store_options){.accounts = ACCOUNTS});
    for (int i = 0; i < ACCOUNTS; i++) {
        sprintf(name, "user%d", i);
        new_account(store, name);
    }
    for (int round = 0; round < 5; round++) {
        EXPECT_EQ(account_create(store, "late", 4, "hash", &account, NULL), STATUS_FULL_ACCOUNTS);
        EXPECT_EQ(account_create(store, "late", 4, "hash", &account, &cookie), STATUS_FULL_ACCOUNTS);
        EXPECT_EQ(account_find(store, "late", 4, &account), STATUS_NO_ACCOUNT);
        EXPECT_EQ(account_create(store, "USER5", 5, "hash", &account, NULL), STATUS_TAKEN);
        EXPECT_CLEAN(store);
        remove_account("user5");
        EXPECT_EQ(account_create(store, "user5", 5, "hash", &account, &cookie), STATUS_OK);
    }
    store_figures(store, &figures);
    EXPECT_EQ(figures.accounts, ACCOUNTS);
    EXPECT_EQ(figures.sessions, 1);
    EXPECT_CLEAN(store);
}

/* There are as many as all accounts could have together when the post office was made. */
static void no_session_record_is_an_answer(void)
{
    enum { SESSIONS = 10 };
    struct account_secret secret;
    struct cookie cookies[SESSIONS], late;
    struct session session = {0};
    account_t account;
    store = attached_store(&(struct store_options){.accounts = SESSIONS});
    store->sessions_per_account = SESSIONS_LIMIT;
    EXPECT_EQ(account_create(store, "alice", 5, "hash", &account, &cookies[0]), STATUS_OK);
    EXPECT_EQ(account_secret(store, "alice", 5, &secret), STATUS_OK);
    for (int i = 1; i < SESSIONS; i++)
        EXPECT_EQ(account_login(store, &secret, &cookies[i]), STATUS_OK);
    for (int i = 0; i < SESSIONS; i++) {
        EXPECT_EQ(account_login(store, &secret, &late), STATUS_FULL_SESSIONS);
        EXPECT_EQ(account_create(store, "bob", 3, "hash", &account, &late), STATUS_FULL_SESSIONS);
        EXPECT_EQ(account_find(store, "bob", 3, &account), STATUS_NO_ACCOUNT);
        EXPECT_CLEAN(store);
        EXPECT_EQ(cookie_verify(store, cookies[i].text, COOKIE_TEXT, &session), STATUS_OK);
        EXPECT_EQ(cookie_end(store, &session), STATUS_OK);
        EXPECT_EQ(account_login(store, &secret, &late), STATUS_OK);
    }
    EXPECT_EQ(account_create(store, "carol", 5, "hash", &account, NULL), STATUS_OK);
    EXPECT_CLEAN(store);
}

/* ---- no block left ---- */

static char body[500000]; /* longer than one transaction can reserve */
static account_t alice;

static enum status deliver_bytes(size_t length)
{
    message_id id;
    return deliver(store, alice, "bob", "", body, length, &id);
}

static void fill_up(size_t length)
{
    enum status status = STATUS_OK;
    for (size_t size = length; size > 0; size /= 2)
        while ((status = deliver_bytes(size)) == STATUS_OK)
            ;
    EXPECT_EQ(status, STATUS_FULL_SEGMENT);
}

static void expect_done_or_full(enum status status, bool done)
{
    EXPECT(status == STATUS_OK || status == STATUS_FULL_SEGMENT);
    EXPECT_EQ(status == STATUS_OK, done);
    EXPECT_EQ(store->slot->pins, 0);
    EXPECT_CLEAN(store);
}

/* Each kind of request that needs a block is either done or not. */
static void try_everything(uint32_t round)
{
    struct letter letter = {.sender = "bob", .sender_length = 3, .body = body};
    struct account_secret secret, after;
    struct cookie cookie;
    account_t account = ACCOUNT_NONE;
    account_t found = ACCOUNT_NONE;
    message_id id = 0;
    letter.body_length = (size_t)round * 7919 % sizeof(body);
    uint64_t count = mailbox_count(store, alice);
    enum status status = draft_write(store, &letter);
    expect_done_or_full(status, store->slot->draft != 0);
    if (status == STATUS_OK) {
        status = mailbox_append(store, alice, &id);
        expect_done_or_full(status, mailbox_count(store, alice) == count + 1);
        EXPECT_EQ(status == STATUS_OK, store->slot->draft == 0);
        draft_drop(store);
    }
    status = account_create(store, "new", 3, body, &account, &cookie);
    expect_done_or_full(status, account_find(store, "new", 3, &found) == STATUS_OK);
    if (status == STATUS_OK)
        remove_account("new");
    EXPECT_EQ(account_secret(store, "alice", 5, &secret), STATUS_OK);
    status = account_change_hash(store, &secret, round % 2 ? "short" : "a longer one than the other, by far");
    EXPECT_EQ(account_secret(store, "alice", 5, &after), STATUS_OK);
    expect_done_or_full(status, after.revision != secret.revision);
    status = account_login(store, &after, &cookie);
    EXPECT(status == STATUS_OK || status == STATUS_FULL_SEGMENT);
}

static void no_block_left_is_an_answer(void)
{
    struct store_figures figures;
    open_with_pages(40);
    alice = new_account(store, "alice");
    new_account(store, "bob");
    for (uint32_t round = 0; round < 40; round++) {
        fill_up(round % 5 == 0 ? sizeof(body) : 1 + round * 1009 % 30000);
        EXPECT_CLEAN(store);
        for (uint32_t i = 0; i < 12 && mailbox_count(store, alice) > 0; i++) {
            try_everything(round + i);
            EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
        }
        if (round % 8 != 0)
            continue;
        while (mailbox_count(store, alice) > 0)
            EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
        EXPECT_EQ(deliver_bytes(sizeof(body)), STATUS_OK);
    }
    remove_account("alice");
    store_figures(store, &figures);
    EXPECT_CLEAN(store);
}

/* A page that a class keeps, and whose free blocks are a chain, goes to another class; what wanted it is then
 * dropped, after it has written its block. */
static void a_page_that_was_wanted_in_vain_stays_sound(void)
{
    enum { SESSIONS = 2 };
    struct account_secret secret;
    struct cookie cookie;
    account_t bob;
    char hash[HASH_MAX + 1] = {0};
    message_id id;
    memset(hash, 'h', HASH_MAX);
    open_so((struct store_options){.accounts = SESSIONS}, 3);
    alice = new_account(store, "alice");
    EXPECT_EQ(account_secret(store, "alice", 5, &secret), STATUS_OK);
    store->sessions_per_account = SESSIONS_LIMIT;
    for (int i = 0; i < SESSIONS; i++)
        EXPECT_EQ(account_login(store, &secret, &cookie), STATUS_OK);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(deliver(store, alice, "bob", "", "x", 1, &id), STATUS_OK);
    for (int i = 0; i < 2; i++)
        EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    draft_drop(store);
    EXPECT_EQ(store->header->pages_used, 3);
    EXPECT_CLEAN(store);
    EXPECT_EQ(account_create(store, "bob", 3, hash, &bob, &cookie), STATUS_FULL_SESSIONS);
    EXPECT_CLEAN(store);
    EXPECT_EQ(account_create(store, "bob", 3, hash, &bob, NULL), STATUS_OK);
    EXPECT_CLEAN(store);
}

struct race {
    uint32_t started, ended; /* rounds */
    enum status status;      /* of the other's */
};

static enum status send_in_a_race(void)
{
    enum status status = deliver_bytes(3000);
    draft_drop(store);
    return status;
}

static void run_races(struct race *race, uint32_t rounds)
{
    EXPECT_EQ(store_attach(store, "other"), STATUS_OK);
    for (uint32_t round = 1; round <= rounds; round++) {
        while (load32(&race->started) < round)
            sched_yield();
        race->status = send_in_a_race();
        __atomic_store_n(&race->ended, round, __ATOMIC_RELEASE);
    }
}

/* Who frees what another class keeps frees it for all who wait for a page of that class. */
static void two_that_want_one_page_both_get_it(void)
{
    enum { ROUNDS = 30000 };
    struct race *race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    open_with_pages(3);
    alice = new_account(store, "alice");
    EXPECT_EQ(deliver_bytes(7000), STATUS_OK);
    EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    store_detach(store);
    pid_t pid = fork();
    if (pid == 0) {
        run_races(race, ROUNDS);
        _exit(0);
    }
    EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        EXPECT_EQ(deliver_bytes(7000), STATUS_OK);
        EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
        draft_drop(store);
        __atomic_store_n(&race->started, round, __ATOMIC_RELEASE);
        EXPECT_EQ(send_in_a_race(), STATUS_OK);
        while (load32(&race->ended) < round)
            sched_yield();
        EXPECT_EQ(race->status, STATUS_OK);
        for (int i = 0; i < 2; i++)
            EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    }
    int end;
    EXPECT(waitpid(pid, &end, 0) == pid && end == 0);
    EXPECT_CLEAN(store);
}

/* Sends until it keeps the rest of a page, and again when there is no room left at all. */
static void send_on(uint32_t *stage)
{
    EXPECT_EQ(store_attach(store, "other"), STATUS_OK);
    while (!store->slot->run)
        EXPECT_EQ(deliver_bytes(100), STATUS_OK);
    __atomic_store_n(stage, 1, __ATOMIC_RELEASE);
    while (load32(stage) < 2)
        sched_yield();
    EXPECT_EQ(store->slot->run, 0);
    enum status status;
    while ((status = deliver_bytes(100)) == STATUS_OK) /* into what it still keeps one by one */
        ;
    EXPECT_EQ(status, STATUS_FULL_SEGMENT);
    draft_drop(store);
    store_detach(store);
}

/* What one process keeps for its next drafts another one gets before it is told that there is no room. */
static void fill_beside_one_that_sends_on(void)
{
    uint32_t *stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(stage != MAP_FAILED);
    alice = new_account(store, "alice");
    store_detach(store);
    pid_t pid = fork();
    if (pid == 0) {
        send_on(stage);
        _exit(0);
    }
    EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
    while (load32(stage) < 1)
        sched_yield();
    while (deliver_bytes(100) == STATUS_OK)
        ;
    EXPECT_EQ(store->slot->run, 0);
    __atomic_store_n(stage, 2, __ATOMIC_RELEASE);
    int end;
    EXPECT(waitpid(pid, &end, 0) == pid && end == 0);
    while (deliver_bytes(100) == STATUS_OK)
        ;
    for (uint32_t page = 0; page < store->header->pages_used; page++) {
        struct page_shape shape;
        EXPECT(block_page_shape(store->pages[page].word, &shape));
        EXPECT(shape.size != store->draft_block || shape.used == shape.blocks);
    }
    EXPECT_CLEAN(store);
}

static void what_another_keeps_serves_in_a_full_arena(void)
{
    open_with_pages(40);
    fill_beside_one_that_sends_on();
    EXPECT_EQ(store->header->pages_used, store->pages_most);
}

/* The leaf of the index has no room: the draft is written, and cannot be published. */
static void a_draft_that_cannot_be_published_stays(void)
{
    message_id id;
    struct letter letter = {.sender = "bob", .sender_length = 3, .body = body, .body_length = 16000};
    open_with_pages(2);
    alice = new_account(store, "alice");
    EXPECT_EQ(draft_write(store, &letter), STATUS_OK); /* both pages have a class now */
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(mailbox_append(store, alice, &id), STATUS_FULL_SEGMENT);
        EXPECT(store->slot->draft != 0);
        EXPECT_EQ(mailbox_count(store, alice), 0);
        EXPECT_CLEAN(store);
    }
    EXPECT_EQ(queue_push(store, alice), STATUS_OK); /* which needs no block */
    EXPECT_EQ(queue_store(store, alice, alice, &id), STATUS_FULL_SEGMENT);
    EXPECT_EQ(queue_count(store, alice), 1);
    EXPECT_CLEAN(store);
    remove_account("alice");
    EXPECT_CLEAN(store);
}

/* ---- no memory behind the segment ---- */

/* A tmpfs of our own over the one where named segments lie. */
static void limit_shared_memory(const char *bytes)
{
    char text[64];
    uid_t user = geteuid();
    gid_t group = getegid();
    if (unshare(CLONE_NEWNS | (user ? CLONE_NEWUSER : 0)) != 0)
        harness_skip("no mount namespace can be made");
    if (user) {
        const char *const maps[][2] = {
            {"/proc/self/setgroups", "deny"}, {"/proc/self/uid_map", NULL}, {"/proc/self/gid_map", NULL}};
        for (size_t i = 0; i < 3; i++) {
            snprintf(text, sizeof(text), "%u %u 1", i == 1 ? user : group, i == 1 ? user : group);
            const char *line = maps[i][1] ? maps[i][1] : text;
            int fd = open(maps[i][0], O_WRONLY);
            EXPECT(fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line));
            close(fd);
        }
    }
    snprintf(text, sizeof(text), "size=%s,mode=1777", bytes);
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, text) != 0)
        harness_skip("no tmpfs can be mounted");
}

static void no_memory_behind_the_segment_is_an_answer(void)
{
    limit_shared_memory("4m");
    store = attached_store(&(struct store_options){.name = harness_name(), .sessions_per_account = 3});
    alice = new_account(store, "alice");
    for (uint32_t round = 0; round < 5; round++) {
        fill_up(sizeof(body));
        EXPECT_CLEAN(store);
        for (uint32_t i = 0; i < 12 && mailbox_count(store, alice) > 0; i++) {
            try_everything(round + i);
            EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
        }
    }
    /* Names that hash to tables without memory are unknown, not fatal. */
    for (uint32_t i = 0; i < 1000; i++) {
        char name[16];
        account_t account;
        struct session session = {0};
        char cookie[COOKIE_TEXT + 1];
        sprintf(name, "user%u", i);
        enum status status = account_create(store, name, strlen(name), "hash", &account, NULL);
        EXPECT(status == STATUS_OK || status == STATUS_FULL_SEGMENT);
        EXPECT_EQ(account_find(store, name, strlen(name), &account),
                  status == STATUS_OK ? STATUS_OK : STATUS_NO_ACCOUNT);
        snprintf(cookie, sizeof(cookie), "%c%c%041d", 'A' + (int)i % 26, 'a' + (int)i % 23, 0);
        EXPECT_EQ(cookie_verify(store, cookie, COOKIE_TEXT, &session), STATUS_NO_SESSION);
    }
    EXPECT_CLEAN(store);
    while (mailbox_count(store, alice) > 0)
        EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    EXPECT_EQ(deliver_bytes(sizeof(body)), STATUS_OK);
    EXPECT_CLEAN(store);
}

static void what_is_left_of_little_memory_is_for_mail(void)
{
    struct stat before, after;
    want_huge_pages();
    limit_shared_memory("32m");
    store = attached_store(&(struct store_options){.name = harness_name()});
    EXPECT_EQ(fstat(store->fd, &before), 0);
    store_gather(store);
    EXPECT_EQ(fstat(store->fd, &after), 0);
    EXPECT_EQ(after.st_blocks, before.st_blocks);
    EXPECT_EQ(mount("shm", "/dev/shm", NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, "size=128m"), 0);
    store_gather(store);
    EXPECT_EQ(mapping_at(store->base).huge, HUGE_BYTES);
}

/* Though there would be pages enough: the one has memory. */
static void without_memory_what_another_class_keeps_serves(void)
{
    uint32_t count = 0;
    limit_shared_memory("6m");
    store = attached_store(&(struct store_options){.name = harness_name()});
    alice = new_account(store, "alice");
    for (; deliver_bytes(3000) == STATUS_OK; count++)
        ;
    draft_drop(store);
    for (; count > 0; count--)
        EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    while (store->header->pages_free_count > 0)
        EXPECT_EQ(deliver_bytes(7000), STATUS_OK);
    while (deliver_bytes(7000) == STATUS_OK)
        ;
    draft_drop(store);
    for (uint32_t page = 0; page < store->header->pages_used; page++) {
        struct page_shape shape;
        EXPECT(block_page_shape(store->pages[page].word, &shape) && shape.used > 0);
    }
    EXPECT(store->header->pages_used < store->pages_most);
    EXPECT_CLEAN(store);
}

static void without_memory_what_another_keeps_serves(void)
{
    limit_shared_memory("6m");
    store = attached_store(&(struct store_options){.name = harness_name(), .slots = 4});
    fill_beside_one_that_sends_on();
    EXPECT(store->header->pages_used < store->pages_most);
    EXPECT(load32(&store->header->scarce));
    while (mailbox_count(store, alice) > 0)
        EXPECT_EQ(mailbox_delete_first(store, alice), STATUS_OK);
    EXPECT_EQ(deliver_bytes(100), STATUS_OK);
}

static void no_memory_for_a_new_segment_is_an_answer(void)
{
    char why[256] = "";
    struct store_options options = {.name = harness_name()};
    limit_shared_memory("32k");
    EXPECT_EQ(store_open(&store, &options, why, sizeof(why)), STATUS_SYSTEM);
    EXPECT(strstr(why, "cannot create a segment"));
    char path[128];
    snprintf(path, sizeof(path), "/dev/shm/shmail-%s", harness_name());
    EXPECT(access(path, F_OK) != 0);
}

static const struct harness_test tests[] = {
    {"no account record is an answer", no_account_record_is_an_answer},
    {"no session record is an answer", no_session_record_is_an_answer},
    {"no block left is an answer", no_block_left_is_an_answer},
    {"a page that was wanted in vain stays sound", a_page_that_was_wanted_in_vain_stays_sound},
    {"two that want one page both get it", two_that_want_one_page_both_get_it},
    {"what another keeps serves in a full arena", what_another_keeps_serves_in_a_full_arena},
    {"a draft that cannot be published stays", a_draft_that_cannot_be_published_stays},
    {"no memory behind the segment is an answer", no_memory_behind_the_segment_is_an_answer},
    {"what is left of little memory is for mail", what_is_left_of_little_memory_is_for_mail},
    {"without memory what another class keeps serves", without_memory_what_another_class_keeps_serves},
    {"without memory what another keeps serves", without_memory_what_another_keeps_serves},
    {"no memory for a new segment is an answer", no_memory_for_a_new_segment_is_an_answer},
};

HARNESS_MAIN(tests)
