/* test_huge.c: huge pages: where a mapping begins, what becomes one page, and what is refused. */
#include "layout.h"
#include "mapping.h"
#include "post_office.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { LENGTH = HUGE_BYTES + 3 * 4096 - 100, MAPPED = HUGE_BYTES + 3 * 4096 };

static void a_mapping_begins_where_a_huge_page_may(void)
{
    int file = memory_file(LENGTH);
    for (size_t i = 0; i < 8; i++) {
        size_t before = mapped_bytes();
        char *memory = huge_map(LENGTH, PROT_READ | PROT_WRITE, 0, file);
        EXPECT(memory != MAP_FAILED);
        EXPECT_EQ((uintptr_t)memory % HUGE_BYTES, 0);
        EXPECT_EQ(mapped_bytes() - before, MAPPED);
        EXPECT_EQ(memory[LENGTH - 1], (char)i);
        memory[LENGTH - 1]++;
        EXPECT(mmap(NULL, 4096 * (i + 1), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    }
}

/* Where a process has page tables anyhow: in the heap's, or, where too little of that is left, behind it. */
static void a_mapping_lies_beside_the_heap(void)
{
    const size_t near = ((size_t)1 << 30) + (64 << 20);
    char *memory = huge_map(LENGTH, PROT_READ, 0, memory_file(LENGTH));
    EXPECT(memory > (char *)sbrk(0) && (size_t)(memory - (char *)sbrk(0)) < near);
}

/* Where there is room for it, as there is in a new process. */
static void most_of_a_mapping_lies_in_tables_of_its_own(void)
{
    const uintptr_t table = (uintptr_t)1 << 30, first = 32 << 20;
    char *memory = huge_map(LENGTH, PROT_READ, 0, memory_file(LENGTH));
    EXPECT_EQ(((uintptr_t)memory + first) % table, 0);
}

static void what_cannot_be_mapped_leaves_nothing_behind(void)
{
    size_t before = mapped_bytes();
    EXPECT(huge_map(LENGTH, PROT_READ, 0, -1) == MAP_FAILED);
    EXPECT_EQ(errno, EBADF);
    EXPECT(huge_map((size_t)1 << 60, PROT_READ, 0, memory_file(LENGTH)) == MAP_FAILED);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(mapped_bytes(), before);
}

static void pages_become_one_and_keep_what_is_in_them(void)
{
    want_huge_pages();
    int file = memory_file(HUGE_BYTES);
    char *memory = huge_map(HUGE_BYTES, PROT_READ | PROT_WRITE, 0, file);
    memory[5] = 'a';
    memory[HUGE_BYTES - 1] = 'z';
    EXPECT_EQ(mapping_at(memory).huge, 0);
    EXPECT(huge_gather(memory, HUGE_BYTES));
    EXPECT(memory[5] == 'a' && memory[HUGE_BYTES - 1] == 'z' && memory[HUGE_BYTES / 2] == 0);
    EXPECT_EQ(mapping_at(memory).huge, HUGE_BYTES);
}

static void what_is_refused_stays_as_it_was(void)
{
    char *memory = huge_map(HUGE_BYTES, PROT_READ | PROT_WRITE, 0, memory_file(HUGE_BYTES));
    memory[5] = 'a';
    EXPECT_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
    EXPECT(!huge_gather(memory, HUGE_BYTES));
    EXPECT_EQ(memory[5], 'a');
    EXPECT_EQ(mapping_at(memory).huge, 0);
}

static long page_size; /* 0: that of the system */

long sysconf(int name)
{
    long (*of_the_system)(int);
    *(void **)&of_the_system = dlsym(RTLD_NEXT, "sysconf");
    return name == _SC_PAGESIZE && page_size != 0 ? page_size : of_the_system(name);
}

/* There the system would do nothing, and call it a success. */
static void where_small_pages_are_larger_nothing_is_gathered(void)
{
    want_huge_pages();
    char *memory = huge_map(HUGE_BYTES, PROT_READ | PROT_WRITE, 0, memory_file(HUGE_BYTES));
    memory[5] = 'a';
    page_size = 65536;
    EXPECT(!huge_gather(memory, HUGE_BYTES));
    page_size = 0;
    EXPECT_EQ(mapping_at(memory).huge, 0);
    EXPECT(huge_gather(memory, HUGE_BYTES));
}

/* ---- a post office ---- */

enum { LETTERS = 3000, SENDERS = 2 };

static struct store *store; /* until the process ends */

static void send_letters(account_t to)
{
    message_id id;
    EXPECT_EQ(store_attach(store, "sender"), STATUS_OK);
    for (size_t i = 0; i < LETTERS; i++)
        EXPECT_EQ(deliver(store, to, "alice", "", "short", 5, &id), STATUS_OK);
    store_detach(store);
    _exit(0);
}

static void the_tables_become_one_page_while_others_work(void)
{
    want_huge_pages();
    store = private_store();
    account_t bob = new_account(store, "bob");
    for (size_t i = 0; i < SENDERS; i++)
        if (fork() == 0)
            send_letters(bob);
    int status;
    pid_t ended;
    size_t senders = SENDERS;
    while ((ended = waitpid(-1, &status, WNOHANG)) >= 0 && senders > 0) {
        senders -= ended > 0;
        EXPECT(ended == 0 || status == 0);
        store_gather(store);
    }
    EXPECT_EQ(mailbox_count(store, bob), SENDERS * LETTERS);
    EXPECT_CLEAN(store);
    EXPECT_EQ(mapping_at(store->base).huge, HUGE_BYTES);
}

static void what_is_smaller_than_a_huge_page_stays_in_small_ones(void)
{
    store = attached_store(&(struct store_options){
        .crypt_cost = 1, .accounts = 10, .slots = 4, .segment_bytes = HUGE_BYTES - PAGE});
    store_gather(store);
    EXPECT_EQ(mapping_at(store->base).huge, 0);
}

static const struct harness_test tests[] = {
    {"a mapping begins where a huge page may", a_mapping_begins_where_a_huge_page_may},
    {"a mapping lies beside the heap", a_mapping_lies_beside_the_heap},
    {"most of a mapping lies in tables of its own", most_of_a_mapping_lies_in_tables_of_its_own},
    {"what cannot be mapped leaves nothing behind", what_cannot_be_mapped_leaves_nothing_behind},
    {"pages become one, and keep what is in them", pages_become_one_and_keep_what_is_in_them},
    {"what is refused stays as it was", what_is_refused_stays_as_it_was},
    {"where small pages are larger nothing is gathered", where_small_pages_are_larger_nothing_is_gathered},
    {"a post office's tables become one page while others work",
     the_tables_become_one_page_while_others_work},
    {"what is smaller than a huge page stays in small ones",
     what_is_smaller_than_a_huge_page_stays_in_small_ones},
};

HARNESS_MAIN(tests)
