/* test_read_ahead.c: a long recovery has a thread that reads the journal ahead: what it reads is the same,
 * and where it cannot, the recovery reads by itself. */
#include "huge.h"
#include "post_office.h"
#include "random.h"
#include "restore_ahead.h"
#include "scene.h"
#include "segment.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum {
    ACCOUNTS = ACCOUNTS_NEAR + 50, /* the last of which have no memory until they are made */
    MESSAGES = 1000,
    BODY = 20000,
    SEGMENT = 128 << 20,
    FAR = SEGMENT / 2,   /* there are only the last accounts */
    LONG_BODY = 3 << 20, /* longer than what is read at a time */
};

/* ---- in the place of the C library's functions ---- */

static pthread_t reader; /* the thread that recovers */
static int reads_ahead;
static int failing = -1; /* of five of the thread's, the one that fails */
static enum { WHOLE, IN_PARTS, FAIL, END } manner;
static uint64_t memory = UINT64_MAX; /* bytes that the machine has for the segment */
static _Atomic bool is_short;
static bool pages_are_small;

/* The C library has a name of its own for calls whose buffer the compiler knows. */
ssize_t checked_pread(int, void *, size_t, off_t, size_t) __asm__("__pread_chk");

ssize_t pread(int fd, void *bytes, size_t length, off_t offset)
{
    if (!pthread_equal(pthread_self(), reader)) {
        if (reads_ahead++ % 5 == failing) {
            errno = EIO;
            return manner == END ? 0 : -1;
        }
        length = manner == WHOLE ? length : (length + 2) / 3;
    }
    return syscall(SYS_pread64, fd, bytes, length, offset);
}

ssize_t checked_pread(int fd, void *bytes, size_t length, off_t offset, size_t size)
{
    (void)size;
    return pread(fd, bytes, length, offset);
}

static bool has_memory(int fd, off_t length)
{
    struct stat about;
    return fstat(fd, &about) == 0 && (uint64_t)about.st_blocks * 512 + (uint64_t)length <= memory;
}

/* Where memory is short and a record far from the others wants some, the thread has taken it before. */
int posix_fallocate(int fd, off_t offset, off_t length)
{
    const bool is_reader = pthread_equal(pthread_self(), reader);
    if (is_reader && memory != UINT64_MAX && offset > FAR)
        for (int i = 0; i < 50 && !is_short; i++)
            (void)usleep(1000);
    if (!has_memory(fd, length)) {
        is_short = is_short || !is_reader;
        return ENOSPC;
    }
    return syscall(SYS_fallocate, fd, 0, offset, length) == 0 ? 0 : errno;
}

int madvise(void *place, size_t length, int advice)
{
    if (advice == MADV_COLLAPSE && pages_are_small) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_madvise, place, length, advice);
}

/* ---- */

static const struct store_options options = {.accounts = ACCOUNTS,
                                             .slots = 4,
                                             .crypt_cost = 1,
                                             .segment_bytes = SEGMENT,
                                             .directory = "journal",
                                             .journal_bytes = UINT64_C(48) << 20};

static struct store *store;
static uint64_t digest;
static char body[LONG_BODY];

static void send(account_t to, size_t length)
{
    message_id id;
    memset(body, 'a' + (int)(length % 26), 64);
    EXPECT_EQ(deliver(store, to, "carol", "of many", body, length, &id), STATUS_OK);
}

static void send_many(account_t alice, account_t bob, size_t count)
{
    for (size_t i = 0; i < count; i++)
        send(i % 2 ? alice : bob, 1 + pick(BODY));
}

/* A journal of 24 MiB, and nothing else left. */
static void make_journal(void)
{
    char name[16];
    reader = pthread_self();
    memset(body, 'x', sizeof(body));
    store = attached_store(&options);
    account_t alice = new_account(store, "alice"), bob = new_account(store, "bob");
    send_many(alice, bob, MESSAGES);
    send(bob, LONG_BODY);
    for (int i = 0; i < 12; i++)
        send(alice, WINDOW + pick(WINDOW));
    for (int i = 0; i < ACCOUNTS - 2; i++) {
        sprintf(name, "user%d", i);
        (void)new_account(store, name);
    }
    send_many(alice, bob, MESSAGES / 5);
    EXPECT_EQ(store_settle(store), STATUS_OK);
    digest = scene_digest(store);
    scene_close(store);
}

static void recover(void)
{
    reads_ahead = 0;
    store = attached_store(&options);
    EXPECT_EQ(scene_digest(store), digest);
    EXPECT_CLEAN(store);
}

static void what_is_read_ahead_is_the_same(void)
{
    make_journal();
    recover();
    EXPECT(reads_ahead > 30);
}

static void what_comes_in_parts_is_whole(void)
{
    manner = IN_PARTS;
    make_journal();
    recover();
    EXPECT(reads_ahead > 100);
}

static void expect_all_in_spite_of(int end)
{
    make_journal();
    manner = end;
    for (failing = 0; failing < 5; failing++) {
        recover();
        EXPECT(reads_ahead > 10);
        scene_close(store);
    }
}

static void what_cannot_be_read_ahead_is_read(void)
{
    expect_all_in_spite_of(FAIL);
}

static void nor_does_an_early_end_matter(void)
{
    expect_all_in_spite_of(END);
}

/* The thread has to give back what it has reserved, and ends; what it has read is still looked at. */
static void without_memory_it_goes_on_alone(void)
{
    struct stat about;
    char why[512];
    bool alone = false;
    enum status status;
    pages_are_small = true;
    make_journal();
    recover();
    EXPECT_EQ(fstat(store->fd, &about), 0);
    scene_close(store);
    const int all = reads_ahead;
    memory = (uint64_t)about.st_blocks * 512;
    for (;; memory -= PAGE) {
        reads_ahead = 0;
        is_short = false;
        status = store_open(&store, &options, why, sizeof(why));
        if (status != STATUS_OK)
            break;
        EXPECT_EQ(store_attach(store, "test"), STATUS_OK);
        EXPECT_EQ(scene_digest(store), digest);
        scene_close(store);
        alone = alone || reads_ahead < all - 8;
    }
    EXPECT_EQ(status, STATUS_FULL_SEGMENT);
    EXPECT(alone);
}

static const struct harness_test tests[] = {
    {"what is read ahead is the same", what_is_read_ahead_is_the_same},
    {"what comes in parts is whole", what_comes_in_parts_is_whole},
    {"what cannot be read ahead is read", what_cannot_be_read_ahead_is_read},
    {"nor does an early end matter", nor_does_an_early_end_matter},
    {"without memory a recovery goes on alone", without_memory_it_goes_on_alone},
};

HARNESS_MAIN(tests)
