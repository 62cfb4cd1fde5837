/* Tests of late.h: who came first is let in first, and nobody is kept for long, or beside too many. */
#include "clock.h"
#include "harness.h"
#include "late.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

static struct late_connection list[LATE_MOST];

static struct arrival arrival_of(uint32_t user, int connection)
{
    return (struct arrival){.connection = connection, .source = source_of_user(user)};
}

static void keep(struct late *late, uint32_t user, int connection)
{
    const struct arrival arrival = arrival_of(user, connection);
    EXPECT(late_keep(late, &arrival));
}

static void the_oldest_of_a_source_is_taken_first(void)
{
    struct late late = {.list = list};
    const struct source first = source_of_user(1), second = source_of_user(2), third = source_of_user(3);

    keep(&late, 1, 10);
    keep(&late, 2, 20);
    keep(&late, 1, 11);
    keep(&late, 2, 21);
    EXPECT(late_of(&late, &third) == NULL);
    EXPECT_EQ(late_take(&late, late_of(&late, &second)).connection, 20);
    EXPECT_EQ(late_take(&late, late_of(&late, &second)).connection, 21);
    EXPECT(late_of(&late, &second) == NULL);
    EXPECT_EQ(late_take(&late, late_of(&late, &first)).connection, 10);
    EXPECT_EQ(late_take(&late, late_of(&late, &first)).connection, 11);
    EXPECT_EQ(late.count, 0);
}

static void nobody_is_kept_longer_than_a_fifth_of_a_second(void)
{
    struct late late = {.list = list};
    int64_t begin = clock_now();

    EXPECT_EQ(late_end(&late), DEADLINE_NEVER);
    EXPECT(late_over(&late) == NULL);
    keep(&late, 1, 10);
    EXPECT(late_over(&late) == NULL || clock_now() - begin >= NANOSECONDS_PER_SECOND / 5);
    EXPECT(late_end(&late) >= begin + NANOSECONDS_PER_SECOND / 5);
    EXPECT(late_end(&late) <= clock_now() + NANOSECONDS_PER_SECOND / 5);
    keep(&late, 2, 20);
    struct timespec left = deadline_left(late_end(&late));
    while (nanosleep(&left, &left) != 0) {
        continue;
    }
    EXPECT(late_over(&late) == &list[0]);
    EXPECT_EQ(late_take(&late, late_over(&late)).connection, 10);
    EXPECT_EQ(late.count, 1);
}

static void who_floods_leaves_room_for_others(void)
{
    struct late late = {.list = list};
    const struct arrival more = arrival_of(1, 10);

    for (int i = 0; i < LATE_OF_SOURCE; i++) {
        keep(&late, 1, 10);
    }
    EXPECT(!late_keep(&late, &more));
    keep(&late, 2, 20);
    EXPECT(late_take(&late, late_oldest(&late)).connection == 10);
    keep(&late, 1, 11);
    EXPECT(!late_keep(&late, &more));
    EXPECT(late_oldest(&(struct late){.list = list}) == NULL);
}

static void there_are_not_too_many_and_all_are_closed(void)
{
    struct late late = {.list = list};
    int ends[2];
    char byte;
    const struct arrival more = arrival_of(1, -1);

    EXPECT(pipe(ends) == 0);
    for (uint32_t i = 0; i < LATE_MOST; i++) {
        keep(&late, 2 + i, fcntl(ends[1], F_DUPFD_CLOEXEC, 0));
    }
    EXPECT(!late_keep(&late, &more));
    EXPECT_EQ(late.count, LATE_MOST);
    close(ends[1]);
    late_close(&late);
    EXPECT_EQ(late.count, 0);
    EXPECT_EQ(read(ends[0], &byte, 1), 0); /* else it waits for who writes */
    close(ends[0]);
}

static const struct harness_test tests[] = {
    {"the oldest of a source is taken first", the_oldest_of_a_source_is_taken_first},
    {"nobody is kept longer than a fifth of a second", nobody_is_kept_longer_than_a_fifth_of_a_second},
    {"who floods leaves room for others", who_floods_leaves_room_for_others},
    {"there are not too many, and all are closed", there_are_not_too_many_and_all_are_closed},
};

HARNESS_MAIN(tests)
