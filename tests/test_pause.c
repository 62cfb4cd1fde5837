/* Tests of pause.h: the parent never sleeps without one whom it has not tried to make. */
#include "clock.h"
#include "harness.h"
#include "pause.h"

#include <time.h>

static void let_pass(int64_t nanoseconds)
{
    struct timespec left = deadline_left(clock_now() + nanoseconds);
    while (nanosleep(&left, &left) != 0)
        continue;
}

static void one_that_is_over_lasts_until_somebody_looks(void)
{
    struct pause pause = {0};

    pause_begin(&pause, 1000);
    let_pass(2000);
    EXPECT(pause.lasts);
    EXPECT(pause_end(&pause) <= clock_now()); /* a sleep that begins now is none */
    pause_look(&pause);
    EXPECT(!pause.lasts);
    EXPECT_EQ(pause_end(&pause), DEADLINE_NEVER);
}

static void one_that_is_not_over_goes_on(void)
{
    struct pause pause = {0};
    int64_t before = clock_now();

    pause_look(&pause);
    EXPECT(!pause.lasts);
    pause_begin(&pause, NANOSECONDS_PER_SECOND * 1000);
    pause_look(&pause);
    EXPECT(pause.lasts);
    EXPECT(pause_end(&pause) >= before + NANOSECONDS_PER_SECOND * 1000);
    EXPECT(pause_end(&pause) <= clock_now() + NANOSECONDS_PER_SECOND * 1000);
}

static void what_is_taken_back_ends_no_sleep(void)
{
    struct pause pause = {0};

    pause_begin(&pause, NANOSECONDS_PER_SECOND * 1000);
    pause.lasts = false;
    EXPECT_EQ(pause_end(&pause), DEADLINE_NEVER);
    pause_look(&pause);
    EXPECT(!pause.lasts);
}

static const struct harness_test tests[] = {
    {"one that is over lasts until somebody looks", one_that_is_over_lasts_until_somebody_looks},
    {"one that is not over goes on", one_that_is_not_over_goes_on},
    {"what is taken back ends no sleep", what_is_taken_back_ends_no_sleep},
};

HARNESS_MAIN(tests)
