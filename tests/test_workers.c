/* Tests of workers.h: where nobody can be given a process, nobody is tried to be given one without end. */
#include "clock.h"
#include "harness.h"
#include "workers.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const struct parent_limits limits = {.connections = 4, .per_source = 4, .spares = 1};
static struct arrival waiting[WORKERS_WAITING_MOST];

/* With one spare, whose channel holds no more, and without a maker. The spare's end of the channel. */
static int begin_with_spare(struct workers *workers, pid_t spare)
{
    int ends[2];
    char byte = 0;

    *workers = (struct workers){.limits = &limits, .waiting = waiting};
    EXPECT(workers_prepare(workers));
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    while (send(ends[0], &byte, 1, 0) == 1) {
        continue;
    }
    children_ask(&workers->children, &(struct child){.channel = ends[0], .connection = -1});
    children_made(&workers->children, spare);
    return ends[1];
}

static void serve_one(struct workers *workers)
{
    const struct arrival arrival = {.connection = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0),
                                    .source = source_of_user(1)};

    EXPECT(workers_can_serve(workers));
    workers_serve(workers, &arrival);
}

static void who_can_be_given_to_no_spare_waits_for_a_pause(void)
{
    static struct workers workers; /* a leak checker finds it here */
    char byte;
    int64_t begin = clock_now();
    int channel = begin_with_spare(&workers, getpid());

    serve_one(&workers);
    EXPECT_EQ(workers.waiting_count, 1);
    EXPECT(!workers_can_serve(&workers) || clock_now() - begin >= NANOSECONDS_PER_SECOND / 5);
    EXPECT(workers_pause_end(&workers) <= clock_now() + NANOSECONDS_PER_SECOND / 5);
    while (recv(channel, &byte, 1, 0) == 1) {
        continue;
    }
    struct timespec left = deadline_left(workers_pause_end(&workers));
    while (nanosleep(&left, &left) != 0) {
        continue;
    }
    workers_look(&workers);
    EXPECT(workers_can_serve(&workers)); /* without a maker */
    workers_serve_waiting(&workers);
    EXPECT_EQ(workers.waiting_count, 0);
    EXPECT(children_are_handed(&workers.children));
}

static void the_end_of_a_process_ends_the_pause(void)
{
    static struct workers workers; /* a leak checker finds it here */
    struct source source;

    (void)begin_with_spare(&workers, 1);
    children_ask(&workers.children, &(struct child){.channel = -1, .connection = -1});
    children_made(&workers.children, 2);
    serve_one(&workers);
    EXPECT_EQ(workers.waiting_count, 1);
    EXPECT(!workers_can_serve(&workers));
    EXPECT(workers_reap(&workers, 2, 0, &source));
    EXPECT(workers_can_serve(&workers));
}

static const struct harness_test tests[] = {
    {"who can be given to no spare waits for a pause", who_can_be_given_to_no_spare_waits_for_a_pause},
    {"the end of a process ends the pause", the_end_of_a_process_ends_the_pause},
};

HARNESS_MAIN(tests)
