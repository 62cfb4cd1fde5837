/* test_scale.c: what an operation costs does not grow with the post office.
 *
 * Each operation is timed on a small store and on a large one in turns, on as many accounts of either, so
 * that caches help both alike and what is left is growth. Half of the messages lie in one mailbox. */
#include "account.h"
#include "layout.h"
#include "post_office.h"
#include "sanitized.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LARGE = SANITIZED ? 50000 : 1000000 };
enum { SMALL = 1000, BODY = 100, USED = 32, BATCH = 1024, ROUNDS = 15, MOST = 300 /* hundredths */ };

struct office {
    struct store *store;
    uint32_t size;
    account_t crowded; /* has half of the messages */
    account_t used[USED];
    char names[USED][16];
    uint32_t next;                      /* counts operations, so that each takes another account */
    double bytes_spread, bytes_crowded; /* for a message in either kind of mailbox */
};

static char body[BODY];
static int screen; /* where they are shown also when all is well */

static uint32_t pages_in_use(struct store *store)
{
    struct store_figures figures;
    store_figures(store, &figures);
    return (uint32_t)(figures.pages_used - figures.pages_free);
}

static void deliver_one(struct office *office, account_t to, message_id *id)
{
    EXPECT_EQ(deliver(office->store, to, "somebody", "", body, sizeof(body), id), STATUS_OK);
}

static void fill(struct office *office, uint32_t size)
{
    message_id id;
    office->store = attached_store(&(struct store_options){.accounts = size + 1});
    office->size = size;
    for (uint32_t i = 0; i < size; i++) {
        char name[16] = "";
        account_t account;
        int length = sprintf(name, "user%u", i);
        EXPECT_EQ(account_create(office->store, name, (size_t)length, NULL, &account, NULL), STATUS_OK);
        if (i % (size / USED) == 0 && i / (size / USED) < USED) {
            office->used[i / (size / USED)] = account;
            memcpy(office->names[i / (size / USED)], name, sizeof(name));
        }
    }
    office->crowded = new_account(office->store, "crowded");
    uint32_t pages[3] = {pages_in_use(office->store)};
    for (uint32_t i = 0; i < size; i += 2) /* accounts are numbered from 1 on */
        deliver_one(office, (account_t){i + 1, 1}, &id);
    pages[1] = pages_in_use(office->store);
    for (uint32_t i = 0; i < size; i += 2)
        deliver_one(office, office->crowded, &id);
    pages[2] = pages_in_use(office->store);
    office->bytes_spread = (double)(pages[1] - pages[0]) * PAGE * 2 / size;
    office->bytes_crowded = (double)(pages[2] - pages[1]) * PAGE * 2 / size;
    for (uint32_t i = 0; i < USED; i++)
        deliver_one(office, office->used[i], &id);
}

/* ---- operations ---- */

static void count(struct office *office, account_t account)
{
    EXPECT(mailbox_count(office->store, account) > 0);
}

static void first(struct office *office, account_t account)
{
    struct message message;
    EXPECT_EQ(mailbox_first(office->store, account, &message), STATUS_OK);
    EXPECT_EQ(message.body_length, BODY);
    message_release(office->store, &message);
}

static void append(struct office *office, account_t account)
{
    message_id id;
    deliver_one(office, account, &id);
}

static void delete_first(struct office *office, account_t account)
{
    EXPECT_EQ(mailbox_delete_first(office->store, account), STATUS_OK);
}

/* Any of those that lie there. */
static void open_by_id(struct office *office, account_t account)
{
    struct message message;
    message_id back = office->next % USED * (mailbox_count(office->store, account) / USED);
    message_id id = mailbox_newest(office->store, account) - back;
    EXPECT_EQ(mailbox_open(office->store, account, id, &message), STATUS_OK);
    message_release(office->store, &message);
}

static void look_up(struct office *office, account_t account)
{
    const char *name = office->names[office->next % USED];
    struct account_secret secret;
    EXPECT_EQ(account_secret(office->store, name, strlen(name), &secret), STATUS_OK);
    EXPECT_EQ(secret.account.index, account.index);
}

/* In this order a round leaves each mailbox as it was, but for its first messages. */
static const struct {
    const char *name;
    void (*run)(struct office *, account_t);
    bool crowded; /* in the one great mailbox, else in those of single accounts */
} operations[] = {
    {"COUNT", count, false},
    {"first", first, false},
    {"open by id", open_by_id, false},
    {"login's look-up", look_up, false},
    {"append", append, false},
    {"delete", delete_first, false},
    {"COUNT, crowded", count, true},
    {"first, crowded", first, true},
    {"open by id, crowded", open_by_id, true},
    {"append, crowded", append, true},
    {"delete, crowded", delete_first, true},
};

enum { OPERATIONS = sizeof(operations) / sizeof(operations[0]) };

/* Of this process, so that others on the machine count little. */
static int64_t time_used(void)
{
    struct timespec now;
    EXPECT_EQ(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t time_batch(struct office *office, size_t operation)
{
    int64_t start = time_used();
    for (int i = 0; i < BATCH; i++, office->next++)
        operations[operation].run(office, operations[operation].crowded ? office->crowded
                                                                        : office->used[office->next % USED]);
    return time_used() - start;
}

static int compare_times(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static void no_cost_grows_with_the_post_office(void)
{
    static struct office offices[2];
    static int64_t times[2][OPERATIONS][ROUNDS];
    bool grows = false;
    fill(&offices[0], SMALL);
    fill(&offices[1], LARGE);
    for (int round = 0; round < ROUNDS; round++)
        for (size_t operation = 0; operation < OPERATIONS; operation++)
            for (int i = 0; i < 2; i++)
                times[i][operation][round] = time_batch(&offices[i], operation);
    for (size_t operation = 0; operation < OPERATIONS; operation++) {
        int64_t each[2];
        for (int i = 0; i < 2; i++) {
            qsort(times[i][operation], ROUNDS, sizeof(int64_t), compare_times);
            each[i] = times[i][operation][ROUNDS / 2];
        }
        int64_t ratio = each[0] ? 100 * each[1] / each[0] : 0;
        dprintf(screen, "# %-20s %6lld ns of %4d, %6lld ns of %d: %lld.%02lld times\n",
                operations[operation].name, (long long)each[0] / BATCH, SMALL, (long long)each[1] / BATCH,
                LARGE, (long long)ratio / 100, (long long)ratio % 100);
        grows = grows || ratio > MOST;
    }
    EXPECT(!grows);
}

static void a_message_takes_little_more_than_its_text(void)
{
    static struct office office;
    fill(&office, LARGE / 10);
    dprintf(screen,
            "# a message of %d takes %.1f bytes in a mailbox of many, %.1f as the only one of its mailbox\n",
            BODY, office.bytes_crowded, office.bytes_spread);
    EXPECT(office.bytes_crowded < BODY + 80);
    EXPECT_CLEAN(office.store);
}

static const struct harness_test tests[] = {
    {"no cost grows with the post office", no_cost_grows_with_the_post_office, 120},
    {"a message takes little more than its text", a_message_takes_little_more_than_its_text},
};

int main(int argc, char **argv)
{
    screen = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    return harness_main(argc, argv, tests, sizeof(tests) / sizeof(tests)[0]);
}
