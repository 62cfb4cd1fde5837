/* clock.c: reads the clocks and turns deadlines into what system calls take. In come seconds, out go
 * nanoseconds and timespecs. It never sleeps and keeps no state. */
#include "clock.h"

#include "log.h"

static struct timespec read_clock(clockid_t id)
{
    struct timespec now;

    if (clock_gettime(id, &now) != 0) {
        bug("a clock that every kernel has cannot be read");
    }
    return now;
}

static struct timespec split(int64_t nanoseconds)
{
    return (struct timespec){.tv_sec = (time_t)(nanoseconds / NANOSECONDS_PER_SECOND),
                             .tv_nsec = (long)(nanoseconds % NANOSECONDS_PER_SECOND)};
}

int64_t clock_now(void)
{
    struct timespec now = read_clock(CLOCK_MONOTONIC);

    return (int64_t)now.tv_sec * NANOSECONDS_PER_SECOND + now.tv_nsec;
}

int64_t clock_unix(void)
{
    return (int64_t)read_clock(CLOCK_REALTIME_COARSE).tv_sec; /* exact enough for seconds, and cheaper */
}

int64_t clock_coarse(void)
{
    return (int64_t)read_clock(CLOCK_MONOTONIC_COARSE).tv_sec;
}

int64_t deadline_after_seconds(int64_t seconds)
{
    int64_t now = clock_now();

    if (seconds <= 0) {
        return now;
    }
    if (seconds > (DEADLINE_NEVER - now) / NANOSECONDS_PER_SECOND) {
        return DEADLINE_NEVER;
    }
    return now + seconds * NANOSECONDS_PER_SECOND;
}

struct timespec deadline_left(int64_t deadline)
{
    int64_t now = clock_now();

    return split(deadline > now ? deadline - now : 0);
}

struct timespec deadline_at(int64_t deadline)
{
    return split(deadline > 0 ? deadline : 0);
}
