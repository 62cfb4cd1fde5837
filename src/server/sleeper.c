/* sleeper.c: sleeps for a connection, and is woken by its peer, by a deadline or by a signal. */
#include "sleeper.h"

#include "clock.h"
#include "descriptors.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>

enum {
    READS_FEW = 2,       /* before it waits in recv(2) */
    READS_BLIND = 64,    /* so often may input be ready at once before signals are let in */
    CLOSING_SECONDS = 3, /* for a peer to take its last replies; the parent kills after 4 */
};

#define BUSY_LONG (NANOSECONDS_PER_SECOND / 20) /* time between sleeps after which signals are let in */

static sigset_t wait_mask; /* sleep_mask with SIGIO let in, once the socket sends it */

void sleeper_begin(struct sleeper *sleeper, const struct stream_options *options)
{
    sleeper->options = options;
    sleeper->woke = clock_now();
}

void sleeper_end(struct sleeper *sleeper)
{
    if (sleeper->signalled) {
        descriptor_unwatch(sleeper->options->out);
    }
}

bool sleeper_is_closing(struct sleeper *sleeper)
{
    if (sleeper->options->closing == NULL || *sleeper->options->closing == 0) {
        return false;
    }
    if (sleeper->closing_deadline == 0) {
        sleeper->closing_deadline = deadline_after_seconds(CLOSING_SECONDS);
    }
    return true;
}

bool sleeper_is_cut(struct sleeper *sleeper)
{
    return sleeper_is_closing(sleeper) && clock_now() >= sleeper->closing_deadline;
}

void sleeper_let_signals_in(struct sleeper *sleeper)
{
    if (sleeper->waits_in_recv) {
        return;
    }
    if (++sleeper->blind_reads < READS_BLIND && clock_now() - sleeper->woke < BUSY_LONG) {
        return;
    }
    sleeper->blind_reads = 0;
    if (sleeper->options->sleep_mask != NULL) {
        sleeper_pause(sleeper, 0);
    }
}

enum status sleeper_wait(struct sleeper *sleeper, int descriptor, short events, int64_t deadline)
{
    for (;;) {
        struct pollfd poll = {.fd = descriptor, .events = events};
        int64_t until = deadline;
        if (sleeper_is_closing(sleeper)) {
            until = events == POLLIN ? 0 : sleeper->closing_deadline;
        }
        struct timespec left = deadline_left(until);
        int ready = ppoll(&poll, 1, until == DEADLINE_NEVER ? NULL : &left, sleeper->options->sleep_mask);
        if (ready > 0) {
            sleeper->woke = clock_now();
            return STATUS_OK;
        }
        if (ready == 0) {
            return until == deadline ? STATUS_TIMED_OUT : STATUS_CLOSING;
        }
        if (errno != EINTR) {
            return STATUS_SYSTEM;
        }
        sleeper->blind_reads = 0;
    }
}

/* A connection of one request, whose second read finds its end, is not worth the two calls that this takes.
 */
bool sleeper_may_recv(struct sleeper *sleeper, int64_t deadline)
{
    if (sleeper->reads < READS_FEW || sleeper->options->let_in == NULL) {
        return false;
    }
    sleeper->watch.until = deadline;
    if (!sleeper->watch.is_set) {
        sleeper->waits_in_recv = true;
        sleeper->options->let_in(sleeper->options->in, &sleeper->watch);
    }
    return !sleeper_is_closing(sleeper);
}

void sleeper_has_read(struct sleeper *sleeper)
{
    sleeper->watch.until = 0;
    sleeper->reads += sleeper->reads < READS_FEW;
}

void sleeper_pause(struct sleeper *sleeper, int64_t nanoseconds)
{
    const struct timespec moment = {.tv_nsec = nanoseconds};

    (void)ppoll(NULL, 0, &moment, sleeper->options->sleep_mask);
}

/* A signal for each segment that arrives is a cost that only a connection pays that has waited once. */
const sigset_t *sleeper_mask(struct sleeper *sleeper, bool is_socket)
{
    if (sleeper->options->sleep_mask == NULL) {
        return NULL;
    }
    if (!sleeper->watching) {
        sleeper->watching = true;
        wait_mask = *sleeper->options->sleep_mask;
        sleeper->signalled = is_socket && descriptor_watch(sleeper->options->out);
        if (sleeper->signalled) {
            sigdelset(&wait_mask, SIGIO);
        }
    }
    return &wait_mask;
}
