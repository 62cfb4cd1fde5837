/* test_recover_ahead.c: a long recovery has a thread that gets memory ahead: nothing of it is left over, none
 * is missed by who needs it, and where it cannot be had all goes on without. */
#include "mapping.h"
#include "post_office.h"
#include "restore.h"
#include "scene.h"
#include "segment.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum {
    ACCOUNTS = 1000,
    WORTH = 64, /* pages in use upon which the thread begins */
    AHEAD = 32, /* pages that have memory then, at least */
    BODY = 16000,
};

static struct store *store;
static struct restore *restore;
static account_t alice;
static uint64_t given;
static char body[400000];

/* ---- in the place of the C library's functions ---- */

static uint64_t memory = UINT64_MAX; /* bytes that the machine has for the segment */
static int threads;
static bool threads_are_refused;
static bool nothing_is_taken_back;
static bool pages_are_small;

int posix_fallocate(int fd, off_t offset, off_t length)
{
    struct stat about;
    if (fstat(fd, &about) != 0 || (uint64_t)about.st_blocks * 512 + (uint64_t)length > memory)
        return ENOSPC;
    return syscall(SYS_fallocate, fd, 0, offset, length) == 0 ? 0 : errno;
}

int madvise(void *place, size_t length, int advice)
{
    const int collapse = 25; /* MADV_COLLAPSE: glibc 2.37 has it */
    if ((advice == MADV_REMOVE && nothing_is_taken_back) || (advice == collapse && pages_are_small)) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_madvise, place, length, advice);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = NULL;
    void *symbol = dlsym(RTLD_NEXT, "pthread_create");
    memcpy(&create, &symbol, sizeof(create));
    threads++;
    return threads_are_refused ? EAGAIN : create(thread, attributes, run, context);
}

/* ---- */

static uint64_t memory_in_use(void)
{
    struct stat about;
    EXPECT_EQ(fstat(store->fd, &about), 0);
    return (uint64_t)about.st_blocks * 512;
}

static enum status give_account(uint32_t account, const char *name)
{
    struct journal_record record = {.type = RECORD_ACCOUNT,
                                    .sequence = ++given,
                                    .account = account,
                                    .sender_length = (uint8_t)strlen(name)};
    return restore_record(restore, &record, name);
}

static enum status give_message(uint32_t length)
{
    struct journal_record record = {.type = RECORD_MESSAGE,
                                    .sequence = given + 1,
                                    .account = alice.index,
                                    .id = given + 1,
                                    .body_length = length};
    given++;
    return restore_record(restore, &record, body);
}

static void begin(const struct store_options *options)
{
    memset(body, 'x', sizeof(body));
    store = attached_store(options);
    restore = restore_begin(store);
    EXPECT(restore);
    EXPECT_EQ(give_account(1, "alice"), STATUS_OK);
    alice = (account_t){1, account_at(store, 1)->generation};
}

static const struct store_options roomy = {
    .accounts = ACCOUNTS, .slots = 4, .crypt_cost = 1, .segment_bytes = UINT64_C(64) << 20};

static void fill_pages(uint32_t pages)
{
    while (store->header->pages_used < pages)
        EXPECT_EQ(give_message(BODY), STATUS_OK);
}

/* Until so many pages have memory. */
static void begin_with_memory_ahead(const struct store_options *options, uint32_t pages)
{
    begin(options);
    fill_pages(WORTH);
    EXPECT_EQ(threads, 0);
    EXPECT_EQ(give_message(1), STATUS_OK);
    EXPECT_EQ(threads, 1);
    while (!segment_has(store, store->arena + (uint64_t)(pages - 1) * PAGE))
        sched_yield();
}

static void expect_nothing_left_over(void)
{
    uint64_t units = 0;
    for (uint64_t unit = 0; unit < store->header->segment_bytes / PAGE; unit++)
        units += segment_has(store, unit * PAGE);
    for (uint32_t page = store->header->pages_used; page < store->pages_most; page++)
        EXPECT(!segment_has(store, store->arena + (uint64_t)page * PAGE));
    EXPECT_EQ(memory_in_use(), units * PAGE);
}

static void what_nobody_has_used_is_given_back(void)
{
    begin_with_memory_ahead(&roomy, WORTH + AHEAD);
    restore_end(restore);
    EXPECT(store->header->pages_used < WORTH + AHEAD - 1);
    expect_nothing_left_over();
    EXPECT_CLEAN(store);
}

static void expect_pages_ahead_are_huge(bool huge)
{
    begin_with_memory_ahead(&roomy, WORTH + AHEAD);
    for (uint64_t at = store->arena + (uint64_t)WORTH * PAGE; segment_has(store, at); at += PAGE)
        (void)*(volatile char *)(store->base + at);
    EXPECT_EQ(mapping_at(store->base).huge >= HUGE_BYTES, huge);
    fill_pages(WORTH + AHEAD);
    restore_end(restore);
    expect_nothing_left_over();
    EXPECT_CLEAN(store);
}

static void memory_comes_in_huge_pages(void)
{
    want_huge_pages();
    expect_pages_ahead_are_huge(true);
}

static void where_there_are_none_small_ones_will_do(void)
{
    pages_are_small = true;
    expect_pages_ahead_are_huge(false);
}

static void what_cannot_be_given_back_stays_reserved(void)
{
    nothing_is_taken_back = true;
    begin_with_memory_ahead(&roomy, WORTH + AHEAD);
    restore_end(restore);
    EXPECT(segment_has(store, store->arena + (uint64_t)(WORTH + AHEAD - 1) * PAGE));
    EXPECT_CLEAN(store);
}

static void who_finds_no_memory_gets_what_was_reserved_ahead(void)
{
    begin_with_memory_ahead(&roomy, WORTH + AHEAD);
    memory = memory_in_use();
    EXPECT(!segment_has(store, (uint64_t)((char *)account_at(store, ACCOUNTS) - store->base)));
    EXPECT_EQ(give_account(ACCOUNTS, "zelda"), STATUS_OK);
    EXPECT_EQ(give_message(sizeof(body)), STATUS_OK);
    enum status status = STATUS_OK;
    uint64_t count = mailbox_count(store, alice);
    for (; (status = give_message(BODY)) == STATUS_OK; count++)
        ;
    EXPECT_EQ(status, STATUS_FULL_SEGMENT);
    EXPECT(memory_in_use() <= memory && memory - memory_in_use() < PAGE); /* the kernel counts late */
    restore_end(restore);
    EXPECT_EQ(mailbox_count(store, alice), count);
    expect_nothing_left_over();
    EXPECT_CLEAN(store);
}

static void an_arena_is_reserved_ahead_to_its_last_page(void)
{
    static struct store *volatile probe; /* is never closed: here a leak checker sees it */
    struct store_options options = roomy;
    probe = open_store(&options);
    options.segment_bytes -= (uint64_t)(probe->pages_most - (WORTH + AHEAD / 2)) * PAGE;
    begin_with_memory_ahead(&options, WORTH + AHEAD / 2);
    enum status status;
    while ((status = give_message(BODY)) == STATUS_OK)
        ;
    EXPECT_EQ(status, STATUS_FULL_SEGMENT);
    EXPECT_EQ(store->header->pages_used, store->pages_most);
    restore_end(restore);
    expect_nothing_left_over();
    EXPECT_CLEAN(store);
}

static void without_a_thread_all_is_recovered(void)
{
    threads_are_refused = true;
    begin(&roomy);
    fill_pages(2 * WORTH);
    EXPECT_EQ(threads, 1); /* it is not asked for again and again */
    uint64_t count = given - 1;
    restore_end(restore);
    EXPECT_EQ(mailbox_count(store, alice), count);
    expect_nothing_left_over();
    EXPECT_CLEAN(store);
}

static void a_large_post_office_is_as_it_was(void)
{
    enum { MESSAGES = 3000 };
    struct store_options options = roomy;
    options.directory = "journal";
    options.journal_bytes = UINT64_C(24) << 20;
    memset(body, 'x', sizeof(body));
    store = attached_store(&options);
    account_t accounts[] = {new_account(store, "alice"), new_account(store, "bob")};
    message_id id;
    for (size_t i = 0; i < MESSAGES; i++) {
        sprintf(body, "message %zu", i);
        size_t length = i % 100 == 7 ? 20000 + 10 * i : 10 + i;
        EXPECT_EQ(deliver(store, accounts[i % 2], "carol", "of many", body, length, &id), STATUS_OK);
        if (i % 5 == 4)
            EXPECT_EQ(mailbox_delete(store, accounts[i % 2], id), STATUS_OK);
    }
    EXPECT_EQ(store_settle(store), STATUS_OK);
    uint64_t digest = scene_digest(store);
    scene_close(store);
    store = attached_store(&options);
    EXPECT_EQ(threads, 1);
    EXPECT_EQ(scene_digest(store), digest);
    EXPECT_CLEAN(store);
    expect_nothing_left_over();
}

static const struct harness_test tests[] = {
    {"what a recovery has reserved ahead and nobody has used is given back",
     what_nobody_has_used_is_given_back},
    {"memory comes in huge pages", memory_comes_in_huge_pages},
    {"where there are none small pages will do", where_there_are_none_small_ones_will_do},
    {"what cannot be given back stays reserved", what_cannot_be_given_back_stays_reserved},
    {"a recovery that finds no memory gets what was reserved ahead",
     who_finds_no_memory_gets_what_was_reserved_ahead},
    {"a recovery reserves the arena ahead to its last page, and can fill it",
     an_arena_is_reserved_ahead_to_its_last_page},
    {"without a thread all is recovered", without_a_thread_all_is_recovered},
    {"a large post office is as it was after a reboot", a_large_post_office_is_as_it_was},
};

HARNESS_MAIN(tests)
