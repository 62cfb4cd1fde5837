/* test_company.c: how one who leads treats the others: it waits for those who are about to have a record, as
 * long as they come and nobody else has the processor for long; and it does not wait its turn meanwhile. */
#include "disk.h"
#include "scene.h"

#include "clock.h"
#include "scheduling.h"

#include <poll.h>
#include <sched.h>

#define A_MILLISECOND INT64_C(1000000)

enum { PLENTY = 150 }; /* records: more than one who leads waits for */

static struct store *store;
static int yields, comers; /* how many of the next yields bring a record */
static int64_t yield_nanoseconds;

static void send_one(void)
{
    EXPECT_EQ(scene_send(store, "bob", "x", 10), STATUS_OK);
}

/* Instead of the C library's: the others run, and this is what they do. */
int sched_yield(void)
{
    struct timespec left = deadline_left(clock_now() + yield_nanoseconds);

    yields++;
    if (yield_nanoseconds > 0)
        nanosleep(&left, NULL);
    if (comers > 0) {
        comers--;
        send_one();
    }
    return 0;
}

/* Returns how many syncs it took. */
static int settle(int records)
{
    yields = 0;
    for (int i = 0; i < records; i++)
        send_one();
    fault.kinds = CALL_SYNC;
    fault.at = 0;
    fault.seen = 0;
    EXPECT_EQ(store_settle(store), STATUS_OK);
    EXPECT_EQ(store->header->journal.synced, store->header->journal.assigned);
    return (int)fault.seen;
}

static void begin(void)
{
    struct store_options options = scene_options;
    options.journal_bytes = 1 << 20;
    store = attached_store(&options);
    for (int which = 0; which < 3; which++)
        EXPECT_EQ(scene_operation(store, which), STATUS_OK);
    settle(0);
    yield_nanoseconds = 0;
    comers = 0;
}

static void who_comes_while_others_come_goes_into_the_same_group(void)
{
    begin();
    settle(2); /* a group */
    comers = 3;
    EXPECT_EQ(settle(1), 1);
    EXPECT_EQ(yields, 4);
    comers = 2 * PLENTY;
    EXPECT_EQ(settle(1), 1);
    EXPECT(yields < PLENTY);
    comers = 0;
    EXPECT_EQ(settle(PLENTY), 1);
    EXPECT_EQ(yields, 0);
}

static void one_alone_waits_for_nobody(void)
{
    begin();
    settle(1);
    EXPECT_EQ(settle(1), 1);
    EXPECT_EQ(yields, 0);
}

static void where_somebody_keeps_the_processor_it_is_not_given_away_for_a_second(void)
{
    begin();
    settle(2);
    comers = PLENTY;
    yield_nanoseconds = 2 * A_MILLISECOND;
    int64_t start = clock_now();
    settle(1);
    EXPECT_EQ(yields, 1);
    comers = 0;
    while (clock_now() - start < NANOSECONDS_PER_SECOND * 9 / 10) {
        settle(2);
        EXPECT(yields == 0 || clock_now() - start > NANOSECONDS_PER_SECOND);
        poll(NULL, 0, 50);
    }
    while (clock_now() - start < NANOSECONDS_PER_SECOND + 4 * A_MILLISECOND)
        poll(NULL, 0, 50);
    settle(2);
    EXPECT(yields > 0);
}

static int policy_at_sync;

static void look_at_policy(void)
{
    policy_at_sync = sched_getscheduler(0);
}

static void who_was_given_a_policy_keeps_it(void)
{
    const struct sched_param none = {0};
    EXPECT_EQ(sched_setscheduler(0, SCHED_BATCH, &none), 0);
    scheduling_prepare();
    scheduling_share(1 << 20);
    EXPECT(!scheduling_press());
    EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
}

static void one_of_many_waits_its_turn_but_not_while_it_leads(void)
{
    begin();
    scheduling_share(1000); /* the processors are not counted yet */
    EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
    scheduling_prepare();
    scheduling_share(1);
    EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
    scheduling_share(1 << 20);
    EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
    policy_at_sync = -1;
    disk_hook = look_at_policy;
    settle(1);
    EXPECT_EQ(policy_at_sync, SCHED_OTHER);
    EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH);
    scheduling_share(1);
    EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
    settle(1);
    EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
}

static const struct harness_test tests[] = {
    {"who comes while others come goes into the same group",
     who_comes_while_others_come_goes_into_the_same_group},
    {"one alone waits for nobody", one_alone_waits_for_nobody},
    {"where somebody keeps the processor it is not given away for a second",
     where_somebody_keeps_the_processor_it_is_not_given_away_for_a_second},
    {"who was given a policy keeps it", who_was_given_a_policy_keeps_it},
    {"one of many waits its turn, but not while it leads", one_of_many_waits_its_turn_but_not_while_it_leads},
};

HARNESS_MAIN(tests)
