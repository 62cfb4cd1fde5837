/* scheduling.c: two policies of the kernel's ordinary scheduler. */
#include "scheduling.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

static size_t processors = SIZE_MAX;
static bool waits_its_turn;

static bool set(int policy)
{
    const struct sched_param none = {0};

    return sched_setscheduler(0, policy, &none) == 0;
}

void scheduling_prepare(void)
{
    cpu_set_t usable;

    if (sched_getscheduler(0) == SCHED_OTHER && sched_getaffinity(0, sizeof usable, &usable) == 0) {
        processors = (size_t)CPU_COUNT(&usable);
    }
}

void scheduling_share(size_t processes)
{
    bool should_wait = processes > processors;

    if (should_wait != waits_its_turn && set(should_wait ? SCHED_BATCH : SCHED_OTHER)) {
        waits_its_turn = should_wait;
    }
}

void scheduling_press(void)
{
    if (waits_its_turn) {
        (void)set(SCHED_OTHER);
    }
}

void scheduling_ease(void)
{
    if (waits_its_turn) {
        (void)set(SCHED_BATCH);
    }
}
