/* scheduling.c: two policies of the kernel's ordinary scheduler, and a move by an affinity for a moment. */
#include "scheduling.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

static size_t processors = SIZE_MAX; /* not counted, or the policy is not ours to change */

static bool set(int policy)
{
    const struct sched_param none = {0};

    return sched_setscheduler(0, policy, &none) == 0;
}

/* The kernel is asked: to write to a variable, a process that was forked would have to copy a page. */
static bool waits_its_turn(void)
{
    return processors != SIZE_MAX && sched_getscheduler(0) == SCHED_BATCH;
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

    if (should_wait != waits_its_turn()) {
        (void)set(should_wait ? SCHED_BATCH : SCHED_OTHER);
    }
}

static bool may_use(const cpu_set_t *usable, int processor)
{
    return processor >= 0 && processor < CPU_SETSIZE && CPU_ISSET((size_t)processor, usable);
}

void scheduling_follow(int socket)
{
    int processor = -1; /* where nothing has come in, or the socket's kind does not say */
    socklen_t size = sizeof processor;
    cpu_set_t usable, one;

    if (!waits_its_turn() || getsockopt(socket, SOL_SOCKET, SO_INCOMING_CPU, &processor, &size) != 0 ||
        sched_getaffinity(0, sizeof usable, &usable) != 0 || !may_use(&usable, processor)) {
        return;
    }
    CPU_ZERO(&one);
    CPU_SET((size_t)processor, &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0) {
        (void)sched_setaffinity(0, sizeof usable, &usable);
    }
}

bool scheduling_press(void)
{
    return waits_its_turn() && set(SCHED_OTHER);
}

void scheduling_ease(bool pressed)
{
    if (pressed) {
        (void)set(SCHED_BATCH);
    }
}
