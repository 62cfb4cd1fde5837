/* clock.h: the two clocks. Deadlines are monotonic nanoseconds; what a person sees is Unix seconds. */
#ifndef SHMAIL_CLOCK_H
#define SHMAIL_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NANOSECONDS_PER_SECOND INT64_C(1000000000)
#define DEADLINE_NEVER INT64_MAX

int64_t clock_now(void);  /* CLOCK_MONOTONIC, nanoseconds */
int64_t clock_unix(void); /* CLOCK_REALTIME_COARSE, whole seconds */
int64_t
clock_coarse(void); /* CLOCK_MONOTONIC, whole seconds, some milliseconds late; costs next to nothing */
int64_t deadline_after_seconds(int64_t seconds);

/* What is left until a deadline, never negative. */
struct timespec deadline_left(int64_t deadline);
struct timespec deadline_at(int64_t deadline); /* the absolute time, for sem_clockwait */

#endif
