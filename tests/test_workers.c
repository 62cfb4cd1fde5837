/* Tests of workers.h: what has run out, and spares that die, are not tried again without end. */
#include "clock.h"
#include "harness.h"
#include "pass.h"
#include "workers.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SPARE = 1, OTHER_SPARE = 2, CHILD = 3 }; /* pids that nobody signals */

static const struct parent_limits limits = {.connections = 4, .per_source = 4, .spares = 2};
static const struct listeners none;
static struct arrival waiting[WORKERS_WAITING_MOST];

/* With a maker that hears nothing. The maker's end of the channel. */
static int begin(struct workers *workers)
{
    int ends[2];

    *workers = (struct workers){.limits = &limits, .waiting = waiting};
    EXPECT(workers_prepare(workers, &none));
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    workers->maker.pid = getpid();
    workers->maker.channel = ends[0];
    return ends[1];
}

static void wait_for_pause(const struct workers *workers)
{
    struct timespec left = deadline_left(workers_pause_end(workers));

    while (nanosleep(&left, &left) != 0) {
        continue;
    }
}

static void the_end_of_a_process_ends_the_pause(void)
{
    static struct workers workers; /* a leak checker finds it here */
    struct source source = source_of_user(1), of;

    (void)begin(&workers);
    EXPECT(workers_can_serve(&workers));
    children_add(&workers.children, CHILD, &source);
    workers_back_off(&workers, "cannot make a process", EAGAIN);
    EXPECT(!workers_can_serve(&workers));
    EXPECT(workers_pause_end(&workers) <= clock_now() + NANOSECONDS_PER_SECOND / 5);
    EXPECT(workers_reap(&workers, &none, CHILD, 0, &of));
    EXPECT_EQ(of.kind, SOURCE_USER);
    EXPECT(workers_can_serve(&workers));
}

static bool is_told(int channel)
{
    char order[256];

    return recv(channel, order, sizeof order, 0) > 0;
}

static void spare_waits(struct workers *workers, pid_t pid)
{
    *spares_place(&workers->spares) = pid;
}

static void who_follows_a_dead_spare_is_made_at_once_and_the_next_after_a_pause(void)
{
    static struct workers workers;
    struct source source;
    int channel = begin(&workers);

    workers.maker.let = 1;
    spare_waits(&workers, SPARE);
    spare_waits(&workers, OTHER_SPARE);
    workers_keep_spares(&workers, true);
    EXPECT(!is_told(channel)); /* none lacks */
    EXPECT(!workers_reap(&workers, &none, SPARE, 0, &source));
    workers_keep_spares(&workers, false);
    EXPECT(is_told(channel));
    EXPECT(!workers_reap(&workers, &none, OTHER_SPARE, 0, &source));
    workers_keep_spares(&workers, true);
    EXPECT(!is_told(channel));
    wait_for_pause(&workers);
    workers_look(&workers);
    workers_keep_spares(&workers, false);
    EXPECT(is_told(channel));
    EXPECT_EQ(workers_pause_end(&workers), DEADLINE_NEVER); /* nothing more is owed */
}

static void spares_count_as_connections_that_may_come(void)
{
    static struct workers workers;
    struct source source = source_of_user(1);

    (void)begin(&workers);
    workers.maker.ready = true;
    spare_waits(&workers, SPARE);
    children_add(&workers.children, CHILD, &source);
    workers_let(&workers);
    EXPECT_EQ(workers.maker.let, 2);
    workers.maker.ready = true;
    workers.maker.let = 0;
    spare_waits(&workers, OTHER_SPARE);
    children_add(&workers.children, CHILD + 1, &source);
    workers_let(&workers);
    EXPECT_EQ(workers.maker.let, 0);
    EXPECT(workers_take(&workers));
    EXPECT_EQ(workers_count(&workers), 4);
}

static pid_t fork_one(void (*on_hangup)(int))
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)signal(SIGHUP, on_hangup);
        for (;;) {
            (void)pause();
        }
    }
    return pid;
}

static void who_is_told_to_end_may_still_be_a_connection_of_any_source(void)
{
    static struct workers workers;
    struct source source = source_of_user(1);
    const struct arrival arrival = {.source = source_of_user(2)};
    int status;

    (void)begin(&workers);
    pid_t pid = fork_one(SIG_IGN);
    spare_waits(&workers, pid);
    for (pid_t child = CHILD; child < CHILD + 3; child++) {
        children_add(&workers.children, child, &source);
    }
    EXPECT(workers_take(&workers));
    workers_end_spares(&workers);
    EXPECT(!workers_take(&workers));
    EXPECT(!workers_can_serve(&workers));
    children_add(&workers.children, CHILD + 3, &arrival.source);
    EXPECT(!workers_have_share(&workers, &arrival));
    EXPECT(kill(pid, SIGKILL) == 0);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(!workers_reap(&workers, &none, pid, status, &source));
    EXPECT(workers_reap(&workers, &none, CHILD, 0, &source));
    EXPECT(workers_can_serve(&workers));
}

/* It may say so while more is let, which is not taken back by that. */
static void where_a_spare_could_not_accept_the_others_end_and_the_parent_does(void)
{
    static struct workers workers;
    const struct maker_note note = {.word = MAKER_STUCK, .answers = -1};
    int status, channel = begin(&workers);

    pid_t pid = fork_one(SIG_DFL);
    spare_waits(&workers, pid);
    workers.maker.let = 3;
    EXPECT(pass_give(channel, -1, &note, sizeof note));
    (void)workers_hear(&workers);
    EXPECT(workers.stuck);
    EXPECT_EQ(workers.maker.let, 3);
    EXPECT(!workers.maker.ready);
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT(WIFSIGNALED(status));
    workers.maker.let = 0;
    EXPECT(!workers_take(&workers));
}

static const struct harness_test tests[] = {
    {"the end of a process ends the pause", the_end_of_a_process_ends_the_pause},
    {"who follows a dead spare is made at once, and the next after a pause",
     who_follows_a_dead_spare_is_made_at_once_and_the_next_after_a_pause},
    {"spares count as connections that may come", spares_count_as_connections_that_may_come},
    {"who is told to end may still be a connection, of any source",
     who_is_told_to_end_may_still_be_a_connection_of_any_source},
    {"where a spare could not accept, the others end, and the parent does",
     where_a_spare_could_not_accept_the_others_end_and_the_parent_does},
};

HARNESS_MAIN(tests)
